/** BLAKE2b (RFC 7693), without a key: browsers have no such hash of their own. */

import { concat } from "./bytes.js";

const BLOCK = 128;
const ROUNDS = 12;

const IV = [
  0x6a09e667f3bcc908n, 0xbb67ae8584caa73bn, 0x3c6ef372fe94f82bn, 0xa54ff53a5f1d36f1n,
  0x510e527fade682d1n, 0x9b05688c2b3e6c1fn, 0x1f83d9abfb41bd6bn, 0x5be0cd19137e2179n,
];
// Which word of the block each of the sixteen steps of a round takes; after ten rounds from the top again.
const SIGMA = [
  [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
  [14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3],
  [11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4],
  [7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8],
  [9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13],
  [2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9],
  [12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11],
  [13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10],
  [6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5],
  [10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0],
];
// The columns of the state, then its diagonals.
const LANES = [
  [0, 4, 8, 12], [1, 5, 9, 13], [2, 6, 10, 14], [3, 7, 11, 15],
  [0, 5, 10, 15], [1, 6, 11, 12], [2, 7, 8, 13], [3, 4, 9, 14],
];

function turned(word, bits) {
  return BigInt.asUintN(64, (word >> bits) | (word << (64n - bits)));
}

function mix(v, [a, b, c, d], x, y) {
  v[a] = BigInt.asUintN(64, v[a] + v[b] + x);
  v[d] = turned(v[d] ^ v[a], 32n);
  v[c] = BigInt.asUintN(64, v[c] + v[d]);
  v[b] = turned(v[b] ^ v[c], 24n);
  v[a] = BigInt.asUintN(64, v[a] + v[b] + y);
  v[d] = turned(v[d] ^ v[a], 16n);
  v[c] = BigInt.asUintN(64, v[c] + v[d]);
  v[b] = turned(v[b] ^ v[c], 63n);
}

function compress(h, block, bytesSoFar, isLast) {
  const v = [...h, ...IV];
  v[12] ^= BigInt(bytesSoFar);
  if (isLast) {
    v[14] = BigInt.asUintN(64, ~v[14]);
  }
  const view = new DataView(block.buffer, block.byteOffset, BLOCK);
  const words = Array.from({ length: 16 }, (_, at) => view.getBigUint64(8 * at, true));
  for (let round = 0; round < ROUNDS; round += 1) {
    const order = SIGMA[round % SIGMA.length];
    LANES.forEach((lane, at) => mix(v, lane, words[order[2 * at]], words[order[2 * at + 1]]));
  }
  for (let at = 0; at < 8; at += 1) {
    h[at] ^= v[at] ^ v[at + 8];
  }
}

/** The digest of `content`, of `size` bytes; `person` has sixteen bytes, or there is none. */
export function blake2b(content, size = 32, person = new Uint8Array(16)) {
  const personal = new DataView(person.buffer, person.byteOffset, 16);
  const h = [...IV];
  h[0] ^= 0x01010000n ^ BigInt(size);
  h[6] ^= personal.getBigUint64(0, true);
  h[7] ^= personal.getBigUint64(8, true);
  let at = 0;
  for (; at + BLOCK < content.length; at += BLOCK) {
    compress(h, content.subarray(at, at + BLOCK), at + BLOCK, false);
  }
  const last = new Uint8Array(BLOCK);
  last.set(content.subarray(at));
  compress(h, last, content.length, true);
  const out = new DataView(new ArrayBuffer(64));
  h.forEach((word, place) => out.setBigUint64(8 * place, word, true));
  return new Uint8Array(out.buffer, 0, size);
}

/** BLAKE2b-256 of the parts, one after the other: the H of docs/wire.md. */
export function digest(...parts) {
  return blake2b(concat(...parts));
}
