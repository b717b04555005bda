/** What moved the account, and receipts: kept here, and held against the super-agents' keys with no network. */

import { BeliefError } from "./agreement.js";
import { DoorError } from "./doors.js";
import { proofText, verifyProof } from "./proofs.js";
import { collectReceipt } from "./receipts.js";
import * as store from "./store.js";
import { t } from "./texts.js";
import { button, copyButton, el, facts, field, form, heading, money, movementName, qrPicture, when } from "./ui.js";
import { readOrder } from "./wire.js";

const PAGE = 20;
const DAY_MS = 86_400_000;

/** One line: what it was, with whom, and by how much the account changed. */
export function lineRow(app, line) {
  const who = [line.other === null ? "" : app.nameOf(line.other), when(line.timeMs)];
  const sign = line.change > 0 ? "in" : "out";
  const change = el("span", { class: `change ${sign}` }, line.change === 0 ? "" : money(line.change, true));
  const look = el("a", { href: `#receipt/${line.id}/${line.payer}/${line.sequence}` },
    el("span", { class: "what" }, movementName(line.kind)),
    el("span", { class: "who" }, who.filter(Boolean).join(" · ")),
    change,
  );
  return el("li", {}, look);
}

export function receiptLinks() {
  const kept = el("a", { href: "#receipts" }, t("receipts"));
  return el("p", { class: "links" }, kept, el("a", { href: "#check" }, t("checkReceipt")));
}

export async function historyScreen(app) {
  const list = el("ul", { class: "lines" });
  const older = button(t("older"), () => more());
  let before = null;
  const more = async () => {
    const page = await app.handset.statement(PAGE, before);
    list.append(...page.lines.map((line) => lineRow(app, line)));
    before = page.nextBefore;
    older.hidden = before === null;
  };
  try {
    await more();
  } catch (error) {
    if (!(error instanceof DoorError || error instanceof BeliefError)) {
      throw error;
    }
    return receiptsScreen(app); // with no network this is what there is
  }
  return [
    heading(t("history")),
    receiptLinks(),
    list.childElementCount === 0 ? el("p", { class: "hint" }, t("nothingYet")) : list,
    older,
    el("p", { class: "hint" }, t("answeredOneDoor")),
  ];
}

export async function receiptsScreen(app) {
  const kept = (await store.all("receipts")).reverse();
  const rows = kept.map((receipt) => {
    const said = readOrder(receipt.body);
    const isOut = said.payer === app.handset.account;
    return el("li", {}, el("a", { href: `#receipt/${receipt.id}` },
      el("span", { class: "what" }, app.nameOf(isOut ? said.payee : said.payer)),
      el("span", { class: "who" }, when(receipt.keptMs)),
      el("span", { class: isOut ? "change out" : "change in" }, money(isOut ? -said.amount : said.amount, true)),
    ));
  });
  return [
    heading(t("receipts")),
    rows.length === 0 ? el("p", { class: "hint" }, t("noReceipts")) : el("ul", { class: "lines" }, rows),
    el("p", { class: "links" }, el("a", { href: "#check" }, t("checkReceipt"))),
  ];
}

/** One receipt by its order's id; one that is not here yet is collected if the line's slot is known. */
export async function receiptScreen(app, id) {
  const find = async () => (await store.all("receipts")).find((receipt) => receipt.id === id);
  let kept = await find();
  if (kept === undefined) {
    const [, , payer, sequence] = location.hash.slice(1).split("/").map(Number);
    await collectReceipt(app.network, { payer, sequence });
    kept = await find();
  }
  if (kept === undefined) {
    const again = button(t("retry"), () => app.route(), { class: "main" });
    return [heading(t("receipt")), el("p", {}, t("noReceiptYet")), again];
  }
  const text = proofText(app.network, kept);
  return [heading(t("receipt")), ...(await verdictOn(app, text)), el("section", { class: "card code" },
    qrPicture(text, t("qrOf", { detail: t("receipt") }), "L"),
    el("details", {}, el("summary", {}, t("sameAsText")), el("p", { class: "payload" }, text), copyButton(text)),
  )];
}

/** What a proof proves, as elements; ProofError where it proves nothing. */
async function verdictOn(app, text) {
  const proven = await verifyProof(app.network, text);
  const said = proven.movesMoney ? t("receiptValid", { detail: proven.signers.length }) : t("proofNoMoney");
  return [
    el("div", { class: proven.movesMoney ? "verdict final" : "verdict refused", role: "status" },
      el("p", { class: "figure" }, money(proven.amount)),
      el("p", {}, said),
    ),
    facts([
      [t("what"), movementName(proven.movement)],
      [t("from"), String(proven.payer)],
      [t("to"), String(proven.payee)],
      [t("fee"), money(proven.fee)],
      [t("day"), new Date(proven.day * DAY_MS).toISOString().slice(0, 10)],
      [t("code"), el("code", {}, proven.code)],
      [t("signedBy"), proven.signers.join(", ")],
    ]),
    el("p", { class: "hint" }, t("takeOnce")),
  ];
}

export async function checkScreen(app) {
  const text = field(t("checkText"), { name: "proof", rows: 6, required: true });
  const place = el("div", {});
  const check = async () => {
    place.replaceChildren();
    place.replaceChildren(...(await verdictOn(app, text.input.value)));
  };
  return [heading(t("checkReceipt")), form(t("check"), check, text.row), place];
}
