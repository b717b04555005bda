/**
 * KE-QR: EMVCo's merchant-presented codes with Kenya's template, written and read.
 *
 * Fields are a two-digit tag, a two-digit length and a value; the last one is a CRC over all before its
 * value. What is read comes from strangers: it is bounded, and anything odd is no code at all. Lengths count
 * characters as Unicode does. `harambee.handset.ke_qr` is the same in Python.
 */

import { utf8 } from "./bytes.js";
import { formatCents, parseCents } from "./money.js";

const TEXT_MAX = 512;
const TEMPLATES = Array.from({ length: 26 }, (_, at) => String(26 + at));
const GUID = "ke.go.qr";
const SHILLING = "404";
const NAME_MAX = 25;
const PAYEE = /^\+?[0-9]{1,15}$/;
const SHILLINGS = /^[0-9]{1,13}(?:\.[0-9]{0,2})?$/;
const WORDS = { BG: "till", PB: "paybill", SB: "paybill", WA: "agent" };

/** CRC-16/CCITT-FALSE: polynomial 0x1021, beginning with 0xffff. */
function crc16(bytes) {
  let value = 0xffff;
  for (const byte of bytes) {
    value ^= byte << 8;
    for (let bit = 0; bit < 8; bit += 1) {
      value = ((value << 1) ^ (value & 0x8000 ? 0x1021 : 0)) & 0xffff;
    }
  }
  return value.toString(16).toUpperCase().padStart(4, "0");
}

function field(tag, value) {
  return `${tag}${String([...value].length).padStart(2, "0")}${value}`;
}

/**
 * The text of a code: `kind` is BG for a till, PB for a paybill, WA for an agent, SM for a telephone and AC
 * for an account of this network; `amount` in cents or null where the payer says it.
 */
export function writeKeQr({ kind, payee, name, amount = null }) {
  const template = field("00", GUID) + field("01", kind) + field("02", payee);
  const price = amount === null ? "" : field("54", formatCents(amount).replaceAll(",", ""));
  const body =
    field("00", "01") + field("01", amount === null ? "11" : "12") + field("28", template) +
    field("52", "0000") + field("53", SHILLING) + price + field("58", "KE") +
    field("59", [...name].slice(0, NAME_MAX).join("").trim()) + field("60", "KENYA");
  const covered = `${body}6304`;
  return covered + crc16(utf8(covered));
}

/** The fields of a text, by tag; null where it is not made of fields. */
function fieldsOf(text) {
  const characters = [...text];
  const fields = new Map();
  for (let at = 0; at < characters.length; ) {
    const head = characters.slice(at, at + 4).join("");
    const size = Number(head.slice(2));
    const value = characters.slice(at + 4, at + 4 + size);
    if (!/^[0-9]{4}$/.test(head) || size === 0 || value.length !== size || fields.has(head.slice(0, 2))) {
      return null;
    }
    fields.set(head.slice(0, 2), value.join(""));
    at += 4 + size;
  }
  return fields;
}

/**
 * What a code asks for, {text, amount, name, reference}: `text` is a number as a person would type it,
 * `amount` in cents or null, `reference` the account at a biller or empty. Null for a text that is no such
 * code, or for another scheme or currency.
 */
export function readKeQr(scanned) {
  const text = scanned.trim();
  if ([...text].length > TEXT_MAX || !isSealed(text)) {
    return null;
  }
  const fields = fieldsOf(text);
  if (fields?.keys().next().value !== "00" || fields.get("00") !== "01" || fields.get("53") !== SHILLING) {
    return null;
  }
  const template = templateOf(fields);
  const [kind, payee] = [template?.get("01"), template?.get("02")];
  const additional = fieldsOf(fields.get("62") ?? "");
  const amount = amountOf(fields.get("54"));
  const isKnown = kind in WORDS || kind === "SM" || kind === "AC";
  if (!isKnown || !PAYEE.test(payee ?? "") || additional === null || Number.isNaN(amount)) {
    return null;
  }
  const typed = kind in WORDS ? `${WORDS[kind]} ${payee}` : payee;
  return { text: typed, amount, name: fields.get("59") ?? "", reference: additional.get("05") ?? "" };
}

/** Whether a text ends with the CRC over all before it. */
function isSealed(text) {
  const [covered, crc] = [text.slice(0, -4), text.slice(-4).toUpperCase()];
  return covered.endsWith("6304") && crc === crc16(utf8(covered));
}

/** The fields of the template that is Kenya's, mobile money's own before others; null where there is none. */
function templateOf(fields) {
  for (const tag of ["28", ...TEMPLATES].filter((one) => fields.has(one))) {
    const template = fieldsOf(fields.get(tag));
    if (template === null || template.get("00")?.toLowerCase() === GUID) {
      return template;
    }
  }
  return null;
}

/** The cents of an amount, null where there is none, NaN for a text that is no amount or nothing. */
function amountOf(text) {
  if (text === undefined) {
    return null;
  }
  const cents = SHILLINGS.test(text) ? parseCents(text.replace(/\.$/, "")) : null;
  return cents || Number.NaN;
}
