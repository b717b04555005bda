/** Making what is on the screen: elements, fields with their labels, messages, pictures of codes. */

import { BeliefError } from "./agreement.js";
import { ProblemError, DoorError } from "./doors.js";
import { HandsetError } from "./errors.js";
import { formatCents } from "./money.js";
import { ProofError } from "./proofs.js";
import { qrSquares } from "./qr.js";
import { hasText, language, t } from "./texts.js";

const SVG = "http://www.w3.org/2000/svg";
const QUIET = 4;

/** An element: properties that begin with "on" listen, others are attributes; false and null are left out. */
export function el(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) {
      made.addEventListener(name.slice(2), value);
    } else if (value !== false && value !== null) {
      made.setAttribute(name, value === true ? "" : value);
    }
  }
  made.append(...children.flat().filter((child) => child !== null && child !== false));
  return made;
}

let fields = 0;

/** An input with its label, and a hint that a screen reader reads along. */
export function field(label, properties = {}, hint = "") {
  fields += 1;
  const id = `field-${fields}`;
  const tag = properties.rows === undefined ? "input" : "textarea";
  const described = hint === "" ? {} : { "aria-describedby": `${id}-hint` };
  const input = el(tag, { id, autocomplete: "off", ...described, ...properties });
  const row = el(
    "div",
    { class: "field" },
    el("label", { for: id }, label),
    input,
    hint === "" ? null : el("p", { id: `${id}-hint`, class: "hint" }, hint),
  );
  return { row, input };
}

export function button(label, act, properties = {}) {
  return el("button", { type: "button", onclick: act, ...properties }, label);
}

/** A form that sends by Enter or its button, and is busy meanwhile; errors stand in it as a sentence. */
export function form(label, act, ...children) {
  const said = el("p", { class: "error", role: "alert" });
  const send = el("button", { type: "submit", class: "main" }, label);
  const made = el("form", { novalidate: true }, ...children, said, send);
  made.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (send.disabled) {
      return;
    }
    send.disabled = true;
    send.setAttribute("aria-busy", "true");
    said.textContent = "";
    try {
      await act();
    } catch (error) {
      said.textContent = sentenceOf(error);
    } finally {
      send.disabled = false;
      send.removeAttribute("aria-busy");
    }
  });
  return made;
}

/** What went wrong, in one sentence of the customer's language; a bug goes to the console as well. */
export function sentenceOf(error) {
  if (error instanceof ProblemError) {
    return error.message;
  }
  if (error instanceof DoorError) {
    return t("unreachable");
  }
  if (error instanceof HandsetError || error instanceof BeliefError || error instanceof ProofError) {
    return t(error.code, { detail: error.detail ?? "" });
  }
  console.error(error);
  return t("bug", { detail: String(error) });
}

/** An amount with the currency before it, and before that its sign: a minus, or where it `isChange` a plus. */
export function money(cents, isChange = false) {
  const sign = cents < 0 ? "−" : isChange && cents > 0 ? "+" : "";
  return `${sign}Ksh ${formatCents(Math.abs(cents))}`;
}

export function when(timeMs) {
  const shown = { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", timeZone: "Africa/Nairobi" };
  return new Intl.DateTimeFormat(language() === "sw" ? "sw-KE" : "en-KE", shown).format(new Date(timeMs));
}

export function movementName(movement) {
  return hasText(`movement_${movement}`) ? t(`movement_${movement}`) : movement.replaceAll("_", " ");
}

export function kindName(kind) {
  return hasText(`kind_${kind}`) ? t(`kind_${kind}`) : kind;
}

/** A QR code of a text as a picture, dark on light in every colour scheme; cameras want it so. */
export function qrPicture(text, label, level = "M") {
  const squares = qrSquares(text, level);
  const size = squares.length + 2 * QUIET;
  const picture = document.createElementNS(SVG, "svg");
  picture.setAttribute("viewBox", `0 0 ${size} ${size}`);
  picture.setAttribute("class", "qr");
  picture.setAttribute("role", "img");
  picture.setAttribute("aria-label", label);
  picture.setAttribute("shape-rendering", "crispEdges");
  const path = document.createElementNS(SVG, "path");
  const runs = squares.flatMap((row, y) =>
    row.flatMap((isDark, x) => (isDark ? [`M${x + QUIET} ${y + QUIET}h1v1h-1z`] : [])),
  );
  path.setAttribute("d", runs.join(""));
  picture.append(path);
  return picture;
}

/** A button that copies a text, and says so. */
export function copyButton(text) {
  const made = button(t("copy"), async () => {
    await navigator.clipboard.writeText(text);
    made.textContent = t("copied");
  });
  return made;
}

/** Rows of a term and what it is. */
export function facts(rows) {
  const pairs = rows.map(([term, value]) => el("div", {}, el("dt", {}, term), el("dd", {}, value)));
  return el("dl", { class: "facts" }, pairs);
}

export function heading(text) {
  return el("h1", { tabindex: "-1" }, text);
}
