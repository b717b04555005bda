/** Paying: whom and how much, is it right, and what became of it. */

import { HandsetError } from "./errors.js";
import { readKeQr } from "./ke_qr.js";
import { parseCents, formatCents } from "./money.js";
import { canScan, scan } from "./scanning.js";
import { hasText, t } from "./texts.js";
import { button, el, facts, field, form, heading, kindName, money, movementName } from "./ui.js";

/** The amount that was typed, in cents; HandsetError for a text that is none. */
export function amountOf(text) {
  const cents = parseCents(text);
  if (cents === null || cents === 0) {
    throw new HandsetError("amountWrong");
  }
  return cents;
}

export async function payScreen(app, _argument, signal, filled = {}) {
  const whom = { name: "payee", maxlength: 40, required: true, value: filled.text ?? null };
  const payee = field(t("payWhom"), whom, t("payWhomHint"));
  const amount = field(t("amount"), {
    name: "amount", inputmode: "decimal", maxlength: 20, required: true,
    value: filled.amount ? formatCents(filled.amount) : null,
  });
  const noted = { name: "bill", maxlength: 40, value: filled.reference ?? null };
  const bill = field(t("forBill"), noted, t("forBillHint"));
  const next = async () => {
    const cents = amountOf(amount.input.value);
    const prepared = await app.handset.prepare(payee.input.value, cents, bill.input.value.trim());
    app.show(...(await confirmScreen(app, prepared, filled.name ?? "")));
  };
  const take = (found) => payScreen(app, "", signal, found).then((content) => app.show(...content));
  return [
    heading(t("pay")),
    button(t("scan"), () => app.show(...scanScreen(app, take, signal)), { class: "scan" }),
    form(t("next"), next, payee.row, amount.row, bill.row),
  ];
}

/** What is about to be signed, with the payee's name as those say who keep it. */
async function confirmScreen(app, prepared, shown) {
  const found = await app.handset.nameOf(prepared.payee);
  const name = found === null ? t("nameUnknown") : [found.name, found.number].filter(Boolean).join(" · ");
  const act = async () => {
    working.textContent = t("sending");
    try {
      if (found !== null) {
        await app.keepName(prepared.payee, found.name);
      }
      app.show(...sayPayment(app, await app.handset.pay(prepared)));
    } finally {
      working.textContent = "";
    }
  };
  const working = el("p", { role: "status", class: "hint" });
  const { payee, payeeKind, movement, amount, fee, bill } = prepared;
  return [
    heading(t("confirmTitle")),
    facts([
      [t("to"), el("strong", { class: found === null ? "unknown" : "name" }, name)],
      [t("accountNumber"), `${payee} (${kindName(payeeKind)})`],
      ...(shown === "" ? [] : [[t("nameInCode"), shown]]),
      [t("what"), movementName(movement)],
      ...(bill === "" ? [] : [[t("forBill"), bill]]),
      [t("sum"), money(amount)],
      [t("fee"), money(fee)],
      [t("total"), el("strong", { class: "total" }, money(amount + fee))],
    ]),
    movement === "deposit" ? el("p", {}, t("depositText")) : "",
    form(t("confirm"), act),
    working,
    button(t("back"), () => app.route()),
  ];
}

/** What became of a payment, for its payer. */
export function sayPayment(app, payment) {
  const { status, said, code, id, outcome, receipts, via } = payment;
  const why = hasText(`outcome_${outcome}`) ? t(`outcome_${outcome}`) : t("outcome_other", { detail: outcome });
  const sentence = status === "refused" ? why : t(`say_${status}`, { detail: receipts.length });
  return [
    heading(t(`status_${status}`)),
    el("div", { class: `verdict ${status}`, role: "status" },
      el("p", { class: "figure" }, money(said.amount)),
      el("p", {}, sentence),
    ),
    payment.resumed ? el("p", {}, t("resumed")) : "",
    facts([
      [t("to"), app.nameOf(said.payee)],
      [t("fee"), money(said.fee)],
      [t("code"), el("code", {}, code)],
      ...(via === "" ? [] : [[t("via"), via]]),
    ]),
    status === "final" ? button(t("receipt"), () => app.go(`receipt/${id}`), { class: "main" }) : "",
    payment.isOpen ? button(t("goOn"), () => app.go("home"), { class: "main" }) : "",
    button(t("home"), () => app.go("home")),
  ];
}

/** Reading a code: by camera, from a picture, or as text. `take` is given what it asks for. */
function scanScreen(app, take, signal) {
  const trouble = el("p", { class: "error", role: "alert" });
  const accept = (text) => {
    const found = readKeQr(text);
    if (found === null) {
      trouble.textContent = t("scanForeign");
      return false;
    }
    take(found);
    return true;
  };
  const pasted = field(t("scanPaste"), { name: "payload", rows: 4, maxlength: 512 });
  const paste = async () => {
    trouble.textContent = "";
    accept(pasted.input.value);
  };
  const camera = canScan() ? scan(accept, trouble, signal) : el("p", { class: "hint" }, t("scanNone"));
  return [
    heading(t("scanTitle")),
    camera,
    form(t("next"), paste, pasted.row),
    trouble,
    button(t("back"), () => app.route()),
  ];
}
