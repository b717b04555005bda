/**
 * Ed25519 signatures held against a key, for browsers whose WebCrypto has none.
 *
 * It only verifies, so nothing secret is in its hands and it need not take the same time for all. The rule
 * is that of docs/wire.md: S below the order, canonical encodings, a key that is not of small order, and
 * the equation with the cofactor.
 */

import { concat, littleEndian } from "./bytes.js";

const P = 2n ** 255n - 19n;
const L = 2n ** 252n + 27742317777372353535851937790883648493n;

function mod(number) {
  const rest = number % P;
  return rest < 0n ? rest + P : rest;
}

function power(base, exponent) {
  let result = 1n;
  let square = mod(base);
  for (let left = exponent; left > 0n; left >>= 1n) {
    if (left & 1n) {
      result = mod(result * square);
    }
    square = mod(square * square);
  }
  return result;
}

const D = mod(-121665n * power(121666n, P - 2n));
const ROOT_OF_MINUS_ONE = power(2n, (P - 1n) / 4n);
const NEUTRAL = [0n, 1n, 1n, 0n];

/** Points are (X, Y, Z, T) with x = X/Z, y = Y/Z, xy = T/Z; one formula adds any two of them. */
function add([x1, y1, z1, t1], [x2, y2, z2, t2]) {
  const a = mod((y1 - x1) * (y2 - x2));
  const b = mod((y1 + x1) * (y2 + x2));
  const c = mod(2n * t1 * t2 * D);
  const d = mod(2n * z1 * z2);
  const [e, f, g, h] = [b - a, d - c, d + c, b + a];
  return [mod(e * f), mod(g * h), mod(f * g), mod(e * h)];
}

function times(scalar, point) {
  let sum = NEUTRAL;
  let doubled = point;
  for (let left = scalar; left > 0n; left >>= 1n) {
    if (left & 1n) {
      sum = add(sum, doubled);
    }
    doubled = add(doubled, doubled);
  }
  return sum;
}

function isNeutral([x, y, z]) {
  return x === 0n && y === z;
}

/** The point that 32 bytes encode, or null where they encode none, or not as one is written. */
function decode(bytes) {
  const number = littleEndian(bytes);
  const wantsOdd = (number >> 255n) & 1n;
  const y = number & (2n ** 255n - 1n);
  if (y >= P) {
    return null;
  }
  const u = mod(y * y - 1n);
  const v = mod(D * y * y + 1n);
  let x = mod(u * power(v, 3n) * power(u * power(v, 7n), (P - 5n) / 8n));
  if (mod(v * x * x) !== u) {
    x = mod(x * ROOT_OF_MINUS_ONE);
  }
  if (mod(v * x * x) !== u || (x === 0n && wantsOdd === 1n)) {
    return null;
  }
  if ((x & 1n) !== wantsOdd) {
    x = P - x;
  }
  return [x, y, 1n, mod(x * y)];
}

const BASE = decode(concat(Uint8Array.of(0x58), new Uint8Array(31).fill(0x66)));

/** Whether `signature`, 64 bytes, is the key's signature of `message`. */
export async function verifyEd25519(key, message, signature) {
  if (key.length !== 32 || signature.length !== 64) {
    return false;
  }
  const [r, s] = [signature.subarray(0, 32), littleEndian(signature.subarray(32))];
  const [pointR, pointA] = [decode(r), decode(key)];
  if (s >= L || pointR === null || pointA === null || isNeutral(times(8n, pointA))) {
    return false;
  }
  const hash = await crypto.subtle.digest("SHA-512", concat(r, key, message));
  const k = littleEndian(new Uint8Array(hash)) % L;
  const [left, right] = [times(s, BASE), add(pointR, times(k, pointA))];
  const [x, y, z, t] = right;
  return isNeutral(times(8n, add(left, [mod(-x), y, z, mod(-t)])));
}
