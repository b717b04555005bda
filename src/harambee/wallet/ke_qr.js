/**
 * KE-QR: EMVCo's merchant-presented codes with Kenya's template, written and read.
 *
 * Fields are a two-digit tag, a two-digit length and a value; the last one is a CRC over all before its
 * value. What is read comes from strangers: it is bounded, and anything odd is no code at all.
 */

import { utf8 } from "./bytes.js";
import { formatCents, parseCents } from "./money.js";

const TEXT_MAX = 512;
const TEMPLATES = ["26", "27", "28", "29", "30", "31", "32", "33", "34", "35"];
const GUID = "ke.go.qr";
const NAME_MAX = 25;
const WORDS = { BG: "till", PB: "paybill", WA: "agent" };

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
  return `${tag}${String(value.length).padStart(2, "0")}${value}`;
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
    field("52", "0000") + field("53", "404") + price + field("58", "KE") +
    field("59", name.slice(0, NAME_MAX) || "HARAMBEE") + field("60", "KENYA");
  const covered = `${body}6304`;
  return covered + crc16(utf8(covered));
}

/** The fields of a text, by tag; null where it is not made of fields. */
function fieldsOf(text) {
  const fields = new Map();
  for (let at = 0; at < text.length; ) {
    const head = text.slice(at, at + 4);
    const size = Number(head.slice(2));
    const value = text.slice(at + 4, at + 4 + size);
    if (!/^[0-9]{4}$/.test(head) || size === 0 || value.length !== size || fields.has(head.slice(0, 2))) {
      return null;
    }
    fields.set(head.slice(0, 2), value);
    at += 4 + size;
  }
  return fields;
}

/**
 * What a code asks for, {text, amount, name}: `text` is a number as a person would type it, `amount` in
 * cents or null. Null for a text that is no such code, or for another scheme or currency.
 */
export function readKeQr(scanned) {
  const text = scanned.trim();
  if (text.length > TEXT_MAX || text.slice(-4).toUpperCase() !== crc16(utf8(text.slice(0, -4)))) {
    return null;
  }
  const fields = fieldsOf(text);
  if (fields === null || fields.get("00") !== "01" || fields.get("53") !== "404") {
    return null;
  }
  const ours = TEMPLATES.map((tag) => fieldsOf(fields.get(tag) ?? "")).find((one) => one?.get("00") === GUID);
  const [kind, payee] = [ours?.get("01"), ours?.get("02")];
  if (payee === undefined || !/^\+?[0-9]{1,15}$/.test(payee)) {
    return null;
  }
  const amount = fields.has("54") ? parseCents(fields.get("54")) : null;
  if ((fields.has("54") && amount === null) || !(kind in WORDS || kind === "SM" || kind === "AC")) {
    return null;
  }
  const typed = kind in WORDS ? `${WORDS[kind]} ${payee}` : payee;
  return { text: typed, amount, name: fields.get("59") ?? "" };
}
