/** The bytes that are signed, sent or kept, exactly as docs/wire.md has them. */

import { blake2b, digest } from "./blake2b.js";
import { concat, fromHex, hex, littleEndian, u16, u32, u64, u8, utf8, whole } from "./bytes.js";
import { holds, sign } from "./keys.js";

export const BODY_BYTES = 64;
export const ORDER_BYTES = 128;

export const KIND = {
  send: 1, withdraw: 2, deposit: 3, buy_goods: 4, bank_deposit: 5, cancel: 6, enrol: 7, claim: 8,
  float_sale: 9, bank_withdrawal: 10, pay_bill: 11, airtime: 12, pay_out: 13, bulk_pay_out: 14,
  business_transfer: 15, deposit_commission: 16, treasury: 17, excise_remittance: 18,
  join_head_office: 19, hold: 20, release: 21, void: 22, refund: 23, ask_reversal: 24,
  refuse_reversal: 25, dispute: 26, change_key: 27, refuse_key: 28, take_key: 29, adopt_limit: 30,
  freeze: 64, unfreeze: 65, close: 66, set_tier: 67, attest: 68, new_tariff: 69, request_key: 70,
};
export const KIND_NAME = Object.fromEntries(Object.entries(KIND).map(([name, code]) => [code, name]));

export const MOVES_NO_MONEY = new Set([
  "cancel", "enrol", "claim", "join_head_office", "hold", "void", "ask_reversal", "refuse_reversal",
  "dispute", "change_key", "refuse_key", "take_key", "adopt_limit", "freeze", "unfreeze", "close",
  "set_tier", "attest", "new_tariff", "request_key",
]);

/** The codes of outcomes that mean "later" or "look at the slot", and not "give the order up". */
export const NOT_YET = new Set([5, 6, 24, 25, 31, 32]);

const NO_OPTIONS = new Uint8Array(3);
const NO_REFERENCE = new Uint8Array(32);
const EAST_AFRICA_S = 3 * 3600;
const DAY_S = 86_400;

/** The 48 bytes before whatever is signed in this role on this network. */
export function prefix(role, network) {
  const tag = new Uint8Array(16);
  tag.set(utf8(`hrb1:${role}`));
  return concat(tag, network);
}

/** The day number of an order that is signed at this time: days since 1970-01-01 in UTC+3. */
export function dayOf(timeMs) {
  return Math.floor((Math.floor(timeMs / 1000) + EAST_AFRICA_S) / DAY_S);
}

/** The 64 bytes of an order's body; an error if a number does not fit its field. */
export function orderBody(order) {
  const { options = NO_OPTIONS, reference = NO_REFERENCE } = order;
  const body = concat(
    u32(order.payer), u32(order.payee), u64(order.amount), u32(order.fee), u32(order.sequence),
    u8(order.kind), u16(order.tariff), u16(order.day), options, reference,
  );
  if (body.length !== BODY_BYTES) {
    throw new RangeError("a field of the order has another length");
  }
  return body;
}

/** The fields of an order's 64 bytes, or its 128. */
export function readOrder(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, BODY_BYTES);
  return {
    payer: view.getUint32(0, true),
    payee: view.getUint32(4, true),
    amount: whole(Number(view.getBigUint64(8, true)), Number.MAX_SAFE_INTEGER),
    fee: view.getUint32(16, true),
    sequence: view.getUint32(20, true),
    kind: view.getUint8(24),
    tariff: view.getUint16(25, true),
    day: view.getUint16(27, true),
    options: bytes.slice(29, 32),
    reference: bytes.slice(32, 64),
  };
}

export function orderId(network, order) {
  return digest(prefix("order", network), order.subarray(0, BODY_BYTES));
}

export async function signOrder(key, network, order) {
  const body = orderBody(order);
  return concat(body, await sign(key, concat(prefix("order", network), body)));
}

/** What a new key signs of the order that brings it. */
export function signPossession(key, network, body) {
  return sign(key, concat(prefix("possession", network), body));
}

/** The order that burns the slot of another one: to oneself, of nothing. */
export function cancelOf(order, day) {
  return {
    payer: order.payer, payee: order.payer, amount: 0, fee: 0, sequence: order.sequence,
    kind: KIND.cancel, tariff: order.tariff, day,
  };
}

/** A payment's name in a refund: its slot. */
export function slotReference(payer, sequence) {
  return concat(u32(payer), u32(sequence), new Uint8Array(24));
}

/** The reference of a bill; spaces around the account and the case of its letters do not matter. */
export function billReference(biller, account) {
  return digest(utf8("harambee bill"), u32(biller), utf8(account.trim().toUpperCase()));
}

/** What a super-agent signed, {super_agent, signature} as a door tells it, held against the committee. */
async function isSigned(genesis, role, said, word) {
  const member = genesis.members[word.super_agent];
  if (member === undefined) {
    return false;
  }
  const message = concat(prefix(role, genesis.network), u32(genesis.epoch), said);
  return holds(member.key, message, fromHexOrNothing(word.signature));
}

function fromHexOrNothing(text) {
  try {
    return fromHex(text, 64);
  } catch {
    return new Uint8Array(0); // no signature has no bytes, so it does not hold
  }
}

/** Whether that super-agent signed that the order of this id is final. */
export function receiptHolds(genesis, id, receipt) {
  return isSigned(genesis, "receipt", concat(id, u8(0)), receipt);
}

/** Whether that super-agent signed that it refused the order, by that rule, on that day. */
export async function refusalHolds(genesis, id, refusal) {
  const { outcome, day } = refusal;
  if (!Number.isInteger(outcome) || outcome <= 0 || outcome > 255 || !Number.isInteger(day)) {
    return false;
  }
  return isSigned(genesis, "refusal", concat(id, u8(outcome), u16(day & 0xffff)), refusal);
}

export function requestId(network, document) {
  return digest(utf8("harambee request"), network, document);
}

/** Whether that super-agent signed that it took this request from the merchant. */
export function requestHolds(genesis, document, word) {
  return isSigned(genesis, "request", requestId(genesis.network, document), word);
}

async function signed(key, network, role, body) {
  return concat(body, await sign(key, concat(prefix(role, network), body)));
}

/** A signed question for a payee's name, 80 bytes; the time in microseconds since 1970 UTC. */
export function nameQuestion(key, network, asker, payee, timeUs) {
  return signed(key, network, "name-check", concat(u32(asker), u32(payee), u64(timeUs)));
}

/** A signed question for what merchants ask of this account, 76 bytes. */
export function requestsQuestion(key, network, account, timeUs) {
  return signed(key, network, "requests?", concat(u32(account), u64(timeUs)));
}

/** A signed decline, 101 bytes; the reason is an outcome's code, 0 where the customer does not want to. */
export function decline(key, network, request, account, reason) {
  return signed(key, network, "decline", concat(request, u32(account), u8(reason)));
}

/** A signed announcement: what a merchant is told before she is paid. */
export function announcement(key, network, { payer, payee, amount, account, timeUs }) {
  const said = { payer, payee, amount_cents: amount, account, time_us: timeUs, msisdn: null };
  return signed(key, network, "announce", utf8(JSON.stringify(said)));
}

/** A signed profile without documents: who owns the account. */
export function profile(key, network, { account, version, name, number, language }) {
  const [nameBytes, numberBytes] = [utf8(name), utf8(number)];
  const body = concat(
    u16(1), u32(account), u32(version), u8(language), u8(nameBytes.length), u8(numberBytes.length),
    u8(0), nameBytes, numberBytes,
  );
  return signed(key, network, "profile", body);
}

/** The text that a new phone shows to its super-agent: the order that asks for its key, and its word for it. */
export function keyRequestText(body, possession) {
  return `HRBK1:${hex(concat(body, possession))}`;
}

/** The low bytes of a position in a region, as options of a withdrawal name a head office. */
export function headOfficeOptions(headOffice) {
  const position = headOffice % 2 ** 20;
  return Uint8Array.of(position & 255, (position >>> 8) & 255, position >>> 16);
}

export const regionOf = (account) => Math.floor(account / 2 ** 20);

// Ten characters that customers read to each other: the day, and a permutation of payer and sequence
// (harambee.handset.receipt_code explains it).
const CODE_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const CODE_DAYS = "123456789ABCDEFGHIJKLMNOPQRSTUV";
const CODE_HALF = 6 ** 7;
const CODE_SPACE = 36 ** 7;
const CODE_PERSON = utf8("harambee receipt");
const ENDINGS = new Set([KIND.release, KIND.void]);

function scrambled(number) {
  let [left, right] = [Math.floor(number / CODE_HALF), number % CODE_HALF];
  for (let turn = 0; turn < 8; turn += 1) {
    const hash = blake2b(concat(u8(turn), u32(right)), 8, CODE_PERSON);
    const step = Number(littleEndian(hash) % BigInt(CODE_HALF));
    [left, right] = [right, (left + step) % CODE_HALF];
  }
  return left * CODE_HALF + right;
}

/** The receipt code of an order, on a network of so many regions. */
export function receiptCode(order, regions) {
  const said = readOrder(order);
  let { payer, sequence, day } = said;
  if (ENDINGS.has(said.kind)) {
    const named = new DataView(said.reference.buffer, said.reference.byteOffset, 32);
    [payer, sequence, day] = [named.getUint32(0, true), named.getUint32(4, true), named.getUint16(20, true)];
  }
  const accounts = regions * 2 ** 20;
  const remainder = sequence % Math.floor(CODE_SPACE / accounts);
  let number = scrambled(remainder * accounts + (payer % accounts));
  let name = "";
  for (let place = 0; place < 7; place += 1) {
    name = CODE_DIGITS[number % 36] + name;
    number = Math.floor(number / 36);
  }
  const when = new Date(day * DAY_S * 1000);
  const year = String.fromCharCode(65 + ((((when.getUTCFullYear() - 2006) % 26) + 26) % 26));
  return year + String.fromCharCode(65 + when.getUTCMonth()) + CODE_DAYS[when.getUTCDate() - 1] + name;
}
