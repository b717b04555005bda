/** The desks of who trades: an agent's float and commission, a merchant's till. */

import { pause } from "./agreement.js";
import { collectReceipt } from "./receipts.js";
import { codeCard } from "./screen_receive.js";
import { passing } from "./screen_home.js";
import { sayPayment } from "./screen_pay.js";
import * as store from "./store.js";
import { t } from "./texts.js";
import { el, facts, field, form, heading, money, movementName, when } from "./ui.js";
import { KIND_NAME, readOrder } from "./wire.js";

const POLL_MS = 2_000;
const SHOWN = 20;
const COMMISSION_LINES = 100;

export async function agentScreen(app, _argument, signal) {
  const [view, outlook, page] = await Promise.all([
    app.handset.balance(), app.handset.float(), app.handset.statement(COMMISSION_LINES),
  ]);
  const earned = page.lines.reduce((sum, line) => sum + line.commission, 0);
  const low = outlook.low ? t("floatLow", { detail: money(outlook.topUp) }) : t("floatGood");
  return [
    heading(t("agentDesk")),
    facts([
      [t("float"), el("strong", {}, money(view.balance))],
      [t("commission", { detail: page.lines.length }), money(earned)],
    ]),
    el("p", { class: outlook.low ? "verdict refused" : "verdict final", role: "status" }, low),
    el("p", { class: "links" }, el("a", { href: "#pay", class: "desk" }, t("takeDeposit"))),
    el("p", { class: "hint" }, t("depositText")),
    el("h2", {}, t("customerWithdraws")),
    el("p", {}, t("withdrawText")),
    codeCard(app, "agent"),
    arriving(app, signal),
    shortCodeForm(app),
  ];
}

export async function tillScreen(app, _argument, signal) {
  const view = await app.handset.balance();
  return [
    heading(t("tillDesk")),
    facts([[t("balance"), el("strong", {}, money(view.balance))]]),
    codeCard(app, view.kind),
    arriving(app, signal),
    shortCodeForm(app),
  ];
}

/** Payments as they arrive; each is marked as final once w super-agents have signed it for this wallet. */
function arriving(app, signal) {
  const list = el("ul", { class: "lines arriving", "aria-live": "polite" });
  const empty = el("p", { class: "hint" }, t("nothingYet"));
  const rows = new Map();
  const look = async () => {
    const { lines } = await app.handset.statement(SHOWN);
    const came = lines.filter((line) => line.change > 0 && line.payer !== app.handset.account);
    for (const line of came.reverse()) {
      const slot = `${line.payer}/${line.sequence}`;
      if (!rows.has(slot)) {
        rows.set(slot, arrivedRow(app, line));
        list.prepend(rows.get(slot).row);
      }
      if (!rows.get(slot).isProven) {
        const collected = (await proves(app, line)) || (await collectReceipt(app.network, line));
        rows.get(slot).mark(collected && (await proves(app, line)));
      }
    }
    empty.hidden = rows.size > 0;
  };
  watch(look, signal);
  return el("section", { class: "card" }, el("h2", {}, t("arriving")), empty, list);
}

/** Whether a receipt that is kept here says what the line says: the line alone is one super-agent's word. */
async function proves(app, line) {
  const kept = (await store.all("receipts")).map(({ body }) => readOrder(body));
  return kept.some(
    (said) =>
      said.payer === line.payer && said.sequence === line.sequence && said.amount === line.amount &&
      said.payee === app.handset.account && KIND_NAME[said.kind] === line.kind,
  );
}

async function watch(look, signal) {
  while (!signal.aborted) {
    await look().catch(passing);
    await pause(POLL_MS);
  }
}

function arrivedRow(app, line) {
  const state = el("span", { class: "state" }, t("isComing"));
  const back = el("details", {},
    el("summary", {}, t("giveBack")),
    form(t("giveBackSure", { detail: money(line.amount) }), async () => {
      app.show(...sayPayment(app, await app.handset.refund(line)));
    }),
  );
  const row = el("li", {},
    el("a", { href: `#receipt/${line.id}/${line.payer}/${line.sequence}` },
      el("span", { class: "what" }, movementName(line.kind)),
      el("span", { class: "who" }, `${line.code} · ${app.nameOf(line.payer)} · ${when(line.timeMs)}`),
      el("span", { class: "change in" }, money(line.amount, true)),
    ),
    state,
    line.kind === "withdraw" ? null : back,
  );
  const arrived = { row, isProven: false };
  arrived.mark = (isProven) => {
    if (isProven) {
      arrived.isProven = true;
      state.textContent = t("isFinal", { detail: app.network.w });
      state.classList.add("proven");
    }
  };
  return arrived;
}

function shortCodeForm(app) {
  const code = field(t("ownCode"), {
    name: "shortcode", inputmode: "numeric", pattern: "[0-9]{5,7}", maxlength: 7, value: app.settings.shortCode ?? null,
  }, t("ownCodeHint"));
  const said = el("p", { role: "status", class: "hint" });
  const keep = async () => {
    const text = code.input.value.trim();
    await app.saveSettings({ shortCode: /^[0-9]{5,7}$/.test(text) ? text : "" });
    said.textContent = t("kept");
  };
  return el("section", { class: "card" }, form(t("keep"), keep, code.row), said);
}
