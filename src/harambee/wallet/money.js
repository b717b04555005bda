/** Amounts of money: whole cents, the text that people read and type, and what a payment costs. */

import { digest } from "./blake2b.js";
import { hex, utf8 } from "./bytes.js";

export const AMOUNT_MAX = 10 ** 15;

const AMOUNT = /^(?:ksh|kes)? ?([0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)(?:\.([0-9]{1,2}))?$/i;

/** The cents that a text stands for, or null for a text that is no amount; nothing is rounded. */
export function parseCents(text) {
  const found = text.length <= 40 ? AMOUNT.exec(text.trim()) : null;
  if (found === null) {
    return null;
  }
  const digits = found[1].replaceAll(",", "") + (found[2] ?? "").padEnd(2, "0");
  const cents = digits.length <= 16 ? Number(digits) : Number.POSITIVE_INFINITY;
  return cents <= AMOUNT_MAX ? cents : null;
}

/** "1,000.50": as people read an amount, without the currency's name; `cents` is not below zero. */
export function formatCents(cents) {
  const digits = String(cents).padStart(3, "0");
  const shillings = digits.slice(0, -2).replace(/\B(?=(?:[0-9]{3})+$)/g, ",");
  return `${shillings}.${digits.slice(-2)}`;
}

/** Which part of the tariff prices a movement, and who bears the charge; null where the bill says so. */
const PRICED = {
  send: ["send", "payer"],
  withdraw: ["withdraw", "payer"],
  deposit: ["deposit", "payer"],
  buy_goods: ["buy_goods", "payee"],
  bank_deposit: ["bank_deposit", "payer"],
  bank_withdrawal: ["bank_withdrawal", "payer"],
  pay_bill: ["pay_bill", null],
  airtime: ["airtime", "payer"],
  pay_out: ["pay_out", "payer"],
  business_transfer: ["business_transfer", "payer"],
  float_sale: ["none", "payer"],
  refund: ["none", "payer"],
};
const FREE_UNLESS_PRICED = new Set(["none", "buy_goods", "deposit", "bank_deposit", "bank_withdrawal"]);

/** The bands of a table, ascending: {upper_cents, fee_cents, basis_points}, no fee_cents for no service. */
function bandsOf(tariff, table) {
  if (table === "send") {
    return tariff.band.map(({ upper_cents, send_cents }) => ({ upper_cents, fee_cents: send_cents }));
  }
  if (table === "withdraw") {
    const least = { upper_cents: tariff.limits.withdraw_minimum_cents - 1 };
    const bands = tariff.band.map(({ upper_cents, withdraw_cents }) => ({
      upper_cents,
      fee_cents: withdraw_cents,
    }));
    return [least, ...bands];
  }
  const service = (tariff.service ?? []).find((one) => one.table === table);
  if (service === undefined) {
    return FREE_UNLESS_PRICED.has(table) ? [{ upper_cents: AMOUNT_MAX, fee_cents: 0 }] : [];
  }
  const bands = service.band.map((band) => ({ fee_cents: 0, ...band }));
  return [{ upper_cents: service.least_cents - 1 }, ...bands];
}

/** A share of an amount in hundredths of a per cent, rounded down to a whole cent. */
function share(cents, basisPoints) {
  return Number((BigInt(cents) * BigInt(basisPoints)) / 10_000n);
}

/** The whole charge of an amount in a table, or null where the tariff offers no such service. */
function charge(tariff, table, cents) {
  const band = bandsOf(tariff, table).find(({ upper_cents }) => cents <= upper_cents);
  if (band === undefined || band.fee_cents === undefined) {
    return null;
  }
  return band.fee_cents + share(cents, band.basis_points ?? 0);
}

/** What the payer of a movement is charged on top of the amount, or null where it is not offered. */
export function feeOf(tariff, movement, cents, agreed = "payer") {
  const [table, bearer] = PRICED[movement];
  const whole = cents > 0 && cents <= AMOUNT_MAX ? charge(tariff, table, cents) : null;
  if (whole === null) {
    return null;
  }
  switch (bearer ?? agreed) {
    case "payee":
      return 0;
    case "shared":
      return share(whole, tariff.shared_payer_basis_points ?? 0);
    default:
      return whole;
  }
}

/** The tariff in a document's bytes if they have this digest, hexadecimal; else null. */
export function readTariff(text, expected) {
  const found = hex(digest(utf8("harambee tariff"), utf8(text)));
  return found === expected ? JSON.parse(text) : null;
}
