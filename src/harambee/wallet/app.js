/** The wallet's frame: it learns the network, opens the account, and shows one screen at a time. */

import { told } from "./agreement.js";
import { el, heading, button, sentenceOf } from "./ui.js";
import { Handset } from "./handset.js";
import { greet, learn, networkOf, readGenesis } from "./network.js";
import { hasPin } from "./pin.js";
import { agentScreen, tillScreen } from "./screen_desks.js";
import { historyScreen, receiptScreen, receiptsScreen, checkScreen } from "./screen_history.js";
import { homeScreen, passing } from "./screen_home.js";
import { lockScreen, moreScreen } from "./screen_more.js";
import { payScreen } from "./screen_pay.js";
import { receiveScreen } from "./screen_receive.js";
import { keyFileScreen, lostScreen, startScreen } from "./screen_start.js";
import * as store from "./store.js";
import { setLanguage, t } from "./texts.js";

const LOCK_AFTER_MS = 5 * 60_000;

const SCREENS = {
  home: homeScreen, pay: payScreen, receive: receiveScreen, history: historyScreen, receipts: receiptsScreen,
  receipt: receiptScreen, check: checkScreen, more: moreScreen, agent: agentScreen, till: tillScreen,
};
const BEFORE_ACCOUNT = { start: startScreen, lost: lostScreen, keyfile: keyFileScreen, check: checkScreen };
const TABS = ["home", "pay", "receive", "history", "more"];

class App {
  constructor() {
    this.network = null;
    this.handset = null;
    this.settings = {};
    this.names = new Map();
    this.isLocked = false;
    this.leaving = new AbortController();
    this.main = document.querySelector("main");
    this.nav = document.querySelector("nav");
  }

  async start() {
    this.settings = (await store.get("settings")) ?? {};
    this.names = new Map((await store.all("names")).map(({ account, name }) => [account, name]));
    setLanguage(this.settings.language ?? (navigator.language.startsWith("sw") ? "sw" : "en"));
    this.drawFrame();
    if (!globalThis.isSecureContext) {
      this.show(heading(t("wallet")), el("p", { class: "error" }, t("insecure")));
      return;
    }
    await this.learnNetwork();
    await this.openAccount();
    this.isLocked = this.handset !== null && (await hasPin());
    if (this.handset !== null && (await this.handset.slot()).orders.length > 0) {
      location.hash = "home"; // what is on its way comes first
    }
    globalThis.addEventListener("hashchange", () => this.route());
    document.addEventListener("visibilitychange", () => this.lockWhenAway());
    await this.route();
  }

  /** Pin the network at first use; later only where its doors are is asked again. */
  async learnNetwork() {
    let kept = await store.get("network");
    if (kept === undefined) {
      const expected = /[#&]network=([0-9a-f]{64})/.exec(location.hash)?.[1] ?? "";
      const { genesis, rows } = await learn(location.origin, expected);
      kept = { genesis: genesis.text, rows };
      await store.put("network", kept);
    }
    const genesis = readGenesis(kept.genesis);
    const at = kept.rows.findIndex((row) => row.http === location.origin);
    const first = genesis.members.findIndex((member) => member.name === kept.rows[at]?.name);
    this.network = networkOf(genesis, kept.rows, Math.max(0, first));
    this.refreshDoors().catch(passing);
    document.querySelector(".test").hidden = !genesis.isDevelopment;
  }

  async refreshDoors() {
    const { id } = this.network;
    const rows = await told(this.network, async (door) => (await greet(door.base)).rows);
    const { genesis } = await store.get("network");
    await store.put("network", { genesis, rows });
    const fresh = networkOf(readGenesis(genesis), rows);
    if (fresh.id === id && fresh.doors.length >= this.network.doors.length) {
      for (const door of this.network.doors) {
        door.base = fresh.doors.find((one) => one.index === door.index)?.base ?? door.base;
      }
    }
  }

  async openAccount() {
    const owner = await store.get("owner");
    const isOpen = owner !== undefined && owner.account !== null;
    this.handset = isOpen ? new Handset(this.network, owner) : null;
  }

  async saveSettings(changes) {
    this.settings = { ...this.settings, ...changes };
    await store.put("settings", this.settings);
  }

  /** How the screen calls an account: by the name that was shown when it was paid, else by its number. */
  nameOf(account) {
    return this.names.get(account) ?? t("account", { detail: account });
  }

  async keepName(account, name) {
    this.names.set(account, name);
    await store.put(account, { account, name }, "names");
  }

  lockWhenAway() {
    if (document.hidden) {
      this.hiddenMs = Date.now();
    } else if (this.handset !== null && Date.now() - (this.hiddenMs ?? Date.now()) > LOCK_AFTER_MS) {
      hasPin().then((locks) => {
        this.isLocked = this.isLocked || locks;
        return this.route();
      });
    }
  }

  drawFrame() {
    document.querySelector(".skip").textContent = t("skip");
    document.querySelector(".test").textContent = t("development");
    this.nav.setAttribute("aria-label", t("navigation"));
    this.nav.replaceChildren(
      ...TABS.map((tab) => {
        // What was paid is shown in the place of the form: the same tab leads back to it.
        const again = () => location.hash === `#${tab}` && this.route();
        return el("a", { href: `#${tab}`, class: `tab ${tab}`, onclick: again }, el("span", {}, t(tab)));
      }),
    );
    const offline = document.querySelector(".offline");
    const mark = () => {
      offline.hidden = navigator.onLine;
      offline.textContent = t("offline");
    };
    globalThis.addEventListener("online", mark);
    globalThis.addEventListener("offline", mark);
    mark();
  }

  /** Go to a screen; `#receipt/ID` has an argument. */
  go(hash) {
    if (location.hash === `#${hash}`) {
      return this.route();
    }
    location.hash = hash;
    return undefined;
  }

  async route() {
    this.leaving.abort();
    this.leaving = new AbortController();
    const { signal } = this.leaving;
    const [name, argument = ""] = location.hash.slice(1).split("/");
    const screens = this.handset === null ? BEFORE_ACCOUNT : SCREENS;
    const fallback = this.handset === null ? startScreen : homeScreen;
    const screen = this.isLocked ? lockScreen : (screens[name] ?? fallback);
    this.nav.hidden = this.handset === null || this.isLocked;
    for (const tab of this.nav.children) {
      const isHere = screens[name] === undefined ? tab.hash === "#home" : tab.hash === `#${name}`;
      isHere ? tab.setAttribute("aria-current", "page") : tab.removeAttribute("aria-current");
    }
    this.show(el("p", { class: "loading", role: "status" }, t("loading")));
    try {
      const content = await screen(this, argument, signal);
      if (!signal.aborted) {
        this.show(...content);
      }
    } catch (error) {
      const said = sentenceOf(error);
      const again = button(t("retry"), () => this.route(), { class: "main" });
      this.show(heading(t("wallet")), el("p", { class: "error", role: "alert" }, said), again);
    }
  }

  /** Put these elements on the screen; the heading has the focus, so that a reader begins there. */
  show(...content) {
    this.main.replaceChildren(...content);
    this.main.querySelector("h1")?.focus({ preventScroll: true });
    globalThis.scrollTo(0, 0);
  }
}

async function begin(app) {
  try {
    await app.start();
  } catch (error) {
    const said = sentenceOf(error);
    app.show(
      heading(t("wallet")),
      el("p", { class: "error", role: "alert" }, t("noNetwork")),
      el("p", {}, said),
      button(t("retry"), () => begin(app), { class: "main" }),
    );
  }
}

if ("serviceWorker" in navigator) {
  navigator.serviceWorker.register("sw.js").catch(() => null); // it works without, as long as there is a network
}
await begin(new App());
