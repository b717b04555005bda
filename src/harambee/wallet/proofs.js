/**
 * Receipts that prove themselves: one order and the words of w super-agents, verified with no network.
 *
 * docs/wire.md, section 15, is the layout; as text it is HRB1: and base45, which a QR code packs best.
 */

import { concat, fromHex, hex, littleEndian, u16, u32, u8 } from "./bytes.js";
import * as wire from "./wire.js";

const BEGINS = "HRB1:";
const VERSION = 1;
const HEAD_BYTES = 71;
const WORD_BYTES = 66;
const CHARACTERS_MAX = 101_500;
const DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:";

/** A text proves nothing; `code` names the sentence. */
export class ProofError extends Error {
  constructor(code) {
    super(code);
    this.code = code;
  }
}

/** Bytes as text by RFC 9285; the least digit of a group comes first. */
export function base45(bytes) {
  let text = "";
  for (let at = 0; at < bytes.length; at += 2) {
    const group = bytes.subarray(at, at + 2);
    let number = group.reduce((sum, byte) => sum * 256 + byte, 0);
    for (let place = 0; place <= group.length; place += 1) {
      text += DIGITS[number % 45];
      number = Math.floor(number / 45);
    }
  }
  return text;
}

/** The bytes of a text, or null unless it is just what `base45` would write. */
export function fromBase45(text) {
  if (text.length % 3 === 1) {
    return null;
  }
  const bytes = [];
  for (let at = 0; at < text.length; at += 3) {
    const values = [...text.slice(at, at + 3)].map((digit) => DIGITS.indexOf(digit));
    const number = values.reduceRight((sum, value) => sum * 45 + value, 0);
    const width = values.length - 1;
    if (values.includes(-1) || number >= 256 ** width) {
      return null;
    }
    bytes.push(...(width === 2 ? [number >>> 8, number & 255] : [number]));
  }
  return Uint8Array.from(bytes);
}

/** The text that proves a kept receipt, {body, receipts}. */
export function proofText(genesis, kept) {
  const chosen = [...kept.receipts].sort((a, b) => a.super_agent - b.super_agent).slice(0, genesis.w);
  const words = chosen.map(({ super_agent, signature }) => concat(u16(super_agent), fromHex(signature, 64)));
  const head = concat(u8(VERSION), u32(genesis.epoch), kept.body, u16(chosen.length));
  return BEGINS + base45(concat(head, ...words));
}

/** What a text claims, {epoch, body, receipts}, unchecked but for its form; ProofError if it is no proof. */
export function readProof(text) {
  const bare = text.trim();
  if (bare.length > CHARACTERS_MAX || !bare.startsWith(BEGINS)) {
    throw new ProofError("proofNone");
  }
  const content = fromBase45(bare.slice(BEGINS.length));
  if (content === null || content.length < HEAD_BYTES || content[0] !== VERSION) {
    throw new ProofError("proofNone");
  }
  const count = Number(littleEndian(content.subarray(69, 71)));
  if (content.length !== HEAD_BYTES + count * WORD_BYTES) {
    throw new ProofError("proofNone");
  }
  const receipts = Array.from({ length: count }, (_, at) => {
    const word = content.subarray(HEAD_BYTES + at * WORD_BYTES, HEAD_BYTES + (at + 1) * WORD_BYTES);
    return { super_agent: word[0] | (word[1] << 8), signature: hex(word.subarray(2)) };
  });
  return { epoch: Number(littleEndian(content.subarray(1, 5))), body: content.slice(5, 69), receipts };
}

/** What a proof proves: the order's fields, its code and who signed; ProofError if nothing. Asks nobody. */
export async function verifyProof(genesis, text) {
  const proof = readProof(text);
  const signers = proof.receipts.map(({ super_agent }) => super_agent);
  const ascend = signers.every((one, at) => at === 0 || signers[at - 1] < one);
  if (proof.epoch !== genesis.epoch || signers.length !== genesis.w || !ascend) {
    throw new ProofError("proofForged");
  }
  const id = wire.orderId(genesis.network, proof.body);
  for (const receipt of proof.receipts) {
    if (!(await wire.receiptHolds(genesis, id, receipt))) {
      throw new ProofError("proofForged");
    }
  }
  const said = wire.readOrder(proof.body);
  if (!(said.kind in wire.KIND_NAME)) {
    throw new ProofError("proofNone");
  }
  return {
    ...said,
    id: hex(id),
    movement: wire.KIND_NAME[said.kind],
    movesMoney: !wire.MOVES_NO_MONEY.has(wire.KIND_NAME[said.kind]),
    code: wire.receiptCode(proof.body, genesis.regions),
    signers: signers.map((index) => genesis.members[index].name),
  };
}
