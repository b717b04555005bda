/** Being paid: a code that names this account, and the same as text. */

import { writeKeQr } from "./ke_qr.js";
import { amountOf } from "./screen_pay.js";
import { t } from "./texts.js";
import { copyButton, el, field, form, heading, kindName, money, qrPicture } from "./ui.js";

const OF_TRADE = { merchant: "BG", business: "PB", agent: "WA" };

/** The code of the own account: its short code or telephone where it has one, else its number. */
export function ownCode(app, kind, amount = null) {
  const { name = "", msisdn = "", shortCode = "" } = app.settings;
  const wholeName = name || t("account", { detail: app.handset.account });
  if (kind in OF_TRADE && shortCode !== "") {
    return writeKeQr({ kind: OF_TRADE[kind], payee: shortCode, name: wholeName, amount });
  }
  const [code, payee] = msisdn === "" ? ["AC", String(app.handset.account)] : ["SM", msisdn];
  return writeKeQr({ kind: code, payee, name: wholeName, amount });
}

/** A card with a code, what it says in words, and its text. */
export function codeCard(app, kind, amount = null) {
  const text = ownCode(app, kind, amount);
  const { name = "", msisdn = "", shortCode = "" } = app.settings;
  const called = kind in OF_TRADE && shortCode !== "" ? `${kindName(kind)} ${shortCode}` : msisdn;
  const own = called || t("account", { detail: app.handset.account });
  const said = [name, own, amount === null ? "" : money(amount)];
  return el("section", { class: "card code" },
    qrPicture(text, t("qrOf", { detail: said.filter(Boolean).join(", ") })),
    el("p", { class: "name" }, said.filter(Boolean).join(" · ")),
    el("details", {},
      el("summary", {}, t("sameAsText")),
      el("p", { class: "payload" }, text),
      copyButton(text),
    ),
  );
}

export async function receiveScreen(app) {
  const { kind } = await app.handset.own();
  const place = el("div", {}, codeCard(app, kind));
  const amount = field(t("receiveAmount"), { name: "amount", inputmode: "decimal", maxlength: 20 });
  const draw = async () => {
    const text = amount.input.value.trim();
    place.replaceChildren(codeCard(app, kind, text === "" ? null : amountOf(text)));
  };
  return [heading(t("receiveTitle")), place, form(t("showCode"), draw, amount.row)];
}
