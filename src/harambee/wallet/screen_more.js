/** Settings: language, PIN, key, which network this is, and the version of this wallet. */

import { hex } from "./bytes.js";
import { hasPin, isPin, removePin, setPin, tryPin } from "./pin.js";
import { receiptLinks } from "./screen_history.js";
import { sayPayment } from "./screen_pay.js";
import { language, t } from "./texts.js";
import { HandsetError } from "./errors.js";
import { button, el, facts, field, form, heading } from "./ui.js";

function pinField(label) {
  return field(label, { type: "password", inputmode: "numeric", maxlength: 8, required: true, autocomplete: "off" });
}

/** HandsetError unless this PIN opens the wallet. */
async function demandPin(text) {
  const { isRight, waitMs } = await tryPin(text);
  if (!isRight) {
    throw waitMs > 0 ? new HandsetError("pinWait", Math.ceil(waitMs / 1000)) : new HandsetError("pinWrong");
  }
}

export async function lockScreen(app) {
  const pin = pinField(t("pin"));
  const open = async () => {
    await demandPin(pin.input.value);
    app.isLocked = false;
    await app.route();
  };
  return [heading(t("locked")), form(t("unlock"), open, pin.row)];
}

async function pinSection() {
  const isSet = await hasPin();
  const old = pinField(t("pinOld"));
  const fresh = pinField(t("pinNew"));
  const again = pinField(t("pinAgain"));
  const said = el("p", { role: "status", class: "hint" });
  const change = async () => {
    if (!isPin(fresh.input.value)) {
      throw new HandsetError("pinForm");
    }
    if (fresh.input.value !== again.input.value) {
      throw new HandsetError("pinDiffer");
    }
    if (isSet) {
      await demandPin(old.input.value);
    }
    await setPin(fresh.input.value);
    section.replaceWith(await pinSection());
  };
  const remove = async () => {
    await demandPin(old.input.value);
    await removePin();
    section.replaceWith(await pinSection());
  };
  const section = el("section", { class: "card pin" },
    el("h2", {}, t("pin")),
    el("p", { class: "hint" }, t("pinText")),
    form(isSet ? t("pinChange") : t("pinSet"), change, isSet ? old.row : null, fresh.row, again.row),
    isSet ? form(t("pinRemove"), remove) : null,
    said,
  );
  return section;
}

function languageSection(app) {
  const choose = (code, name) =>
    button(name, async () => {
      await app.saveSettings({ language: code });
      location.reload();
    }, { lang: code, "aria-pressed": String(language() === code) });
  return el("section", { class: "card" },
    el("h2", {}, t("languageName")),
    el("div", { class: "row" }, choose("en", "English"), choose("sw", "Kiswahili")),
  );
}

function keySection(app) {
  const { key } = app.handset;
  const change = async () => {
    app.show(...sayPayment(app, await app.handset.changeKey()));
  };
  return el("section", { class: "card" },
    el("h2", {}, t("key")),
    facts([
      [t("accountNumber"), String(app.handset.account)],
      [t(`keyType_${key.form & 3}`), el("code", {}, hex(key.public))],
    ]),
    el("p", { class: "hint" }, t("keyText")),
    form(t("changeKey"), change),
  );
}

function networkSection(app) {
  const { name, id, doors, w, n } = app.network;
  return el("section", { class: "card" },
    el("h2", {}, t("networkName")),
    facts([
      [t("networkName"), name],
      [t("networkId"), el("code", { class: "id" }, id)],
      [t("superAgents"), doors.map((door) => door.name).join(", ")],
    ]),
    el("p", { class: "hint" }, t("networkText", { w, n })),
  );
}

/** Ask the service worker, which keeps this wallet's files, to do something; what it answers. */
function askKeeper(message) {
  return new Promise((resolve) => {
    const channel = new MessageChannel();
    channel.port1.onmessage = ({ data }) => resolve(data);
    navigator.serviceWorker.controller.postMessage(message, [channel.port2]);
  });
}

function versionSection() {
  if (!navigator.serviceWorker?.controller) {
    return "";
  }
  const said = el("p", { role: "status", class: "hint" });
  const take = button(t("update"), async () => {
    await askKeeper("take");
    location.reload();
  }, { class: "main", hidden: true });
  const look = async () => {
    const answer = await askKeeper("compare");
    if (answer === "unreachable") {
      throw new HandsetError("unreachable");
    }
    said.textContent = t(answer === "same" ? "versionSame" : "versionNew", { detail: location.host });
    take.hidden = answer === "same";
  };
  return el("section", { class: "card" },
    el("h2", {}, t("version")),
    el("p", { class: "hint" }, t("versionText")),
    form(t("lookForVersion"), look),
    said,
    take,
  );
}

export async function moreScreen(app) {
  return [
    heading(t("settings")),
    receiptLinks(),
    languageSection(app),
    await pinSection(),
    keySection(app),
    networkSection(app),
    versionSection(),
  ];
}
