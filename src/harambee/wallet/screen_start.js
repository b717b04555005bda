/** Before there is an account: opening one, taking one over on a new phone, or with a key file. */

import { hex } from "./bytes.js";
import { register } from "./enrolling.js";
import { HandsetError } from "./errors.js";
import { find } from "./finding.js";
import { Handset } from "./handset.js";
import { keyOfFile, newKey } from "./keys.js";
import { askForKey, takeKey } from "./new_keys.js";
import * as store from "./store.js";
import { language, t } from "./texts.js";
import { button, copyButton, el, field, form, heading, qrPicture, sentenceOf } from "./ui.js";
import { regionOf } from "./wire.js";

/** The number as the directory has it; a profile names its owner so. */
function international(text) {
  const bare = text.replace(/[ \-().]/g, "");
  return bare.replace(/^0(?=[17])/, "+254").replace(/^254/, "+254");
}

/** The key of the account that is about to be opened, durable before anybody hears of it. */
async function preparedKey() {
  const kept = await store.get("owner");
  if (kept !== undefined) {
    return kept.key;
  }
  const key = await newKey();
  await store.put("owner", { account: null, key });
  return key;
}

export async function startScreen(app) {
  const named = { name: "name", autocomplete: "name", maxlength: 60, required: true };
  const name = field(t("yourName"), named, t("nameHint"));
  const called = { name: "number", type: "tel", autocomplete: "tel", inputmode: "tel", maxlength: 20 };
  const number = field(t("yourNumber"), called, t("numberHint"));
  const open = async () => {
    const key = await preparedKey();
    const account = await register(app.network, key, number.input.value.trim());
    await store.put("owner", { account, key });
    await app.openAccount();
    const said = name.input.value.trim().split(/\s+/).join(" ").normalize("NFC");
    const msisdn = international(number.input.value.trim());
    await app.saveSettings({ name: said, msisdn, language: language() });
    let trouble = "";
    if (said !== "") {
      const code = language() === "sw" ? 1 : 0;
      trouble = await app.handset.keepProfile(said, msisdn, code).then(() => "", sentenceOf);
    }
    if (trouble === "") {
      app.go("home");
      return;
    }
    const goOn = button(t("next"), () => app.go("home"), { class: "main" });
    app.show(heading(t("openAccount")), el("p", {}, t("nameNotKept", { detail: trouble })), goOn);
  };
  return [
    heading(t("welcome")),
    el("p", { class: "lead" }, t("welcomeText")),
    form(t("openAccount"), open, name.row, number.row),
    el("p", { class: "links" },
      link("#lost", t("lostPhone")), link("#keyfile", t("useKeyFile")), link("#check", t("checkReceipt")),
    ),
    languageLink(app),
  ];
}

function link(hash, text) {
  return el("a", { href: hash }, text);
}

/** Before an account is open there are no settings: the other language is one touch away. */
function languageLink(app) {
  const other = language() === "sw" ? ["en", "English"] : ["sw", "Kiswahili"];
  const change = async () => {
    await app.saveSettings({ language: other[0] });
    location.reload();
  };
  return button(other[1], change, { lang: other[0], class: "quiet" });
}

export async function lostScreen(app) {
  const wanted = await store.get("wanted");
  const lost = { name: "which", maxlength: 32, required: true, value: wanted?.account ?? null };
  const which = field(t("lostWhich"), lost);
  const place = el("div", {});
  const ask = async () => {
    const view = await find(app.network, which.input.value);
    const text = await askForKey(app.network, view);
    const region = regionOf(view.account);
    const home = app.network.members.find((member) => member.regions.includes(region));
    place.replaceChildren(
      el("section", { class: "card" },
        el("h2", {}, t("tellAgent", { detail: home.name })),
        el("p", {}, t("tellAgentText")),
        qrPicture(text, t("qrOf", { detail: text.slice(0, 20) })),
        el("p", { class: "payload" }, text),
        copyButton(text),
      ),
    );
  };
  const take = async () => {
    await takeKey(app.network);
    await app.openAccount();
    app.go("home");
  };
  return [
    heading(t("lostPhone")),
    el("p", {}, t("lostText")),
    form(t("makeKey"), ask, which.row),
    place,
    form(t("finishKey"), take),
    el("p", { class: "links" }, link("#start", t("back"))),
  ];
}

export async function keyFileScreen(app) {
  const chosen = { type: "file", name: "keyfile", accept: ".key,application/json" };
  const file = field(t("keyFile"), chosen, t("keyFileHint"));
  const number = field(t("accountNumber"), { name: "account", maxlength: 32, required: true });
  const use = async () => {
    const text = (await file.input.files[0]?.text()) ?? "";
    const key = await keyOfFile(text).catch(() => {
      throw new HandsetError("keyFileWrong");
    });
    const view = await find(app.network, number.input.value);
    if (view.key !== hex(key.public)) {
      throw new HandsetError("wrongKeyForAccount");
    }
    const owner = { account: view.account, key };
    await new Handset(app.network, owner).own();
    await store.put("owner", owner);
    await app.openAccount();
    app.go("home");
  };
  const back = el("p", { class: "links" }, link("#start", t("back")));
  return [heading(t("useKeyFile")), form(t("useIt"), use, file.row, number.row), back];
}
