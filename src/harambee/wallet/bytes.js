/** Bytes: hexadecimal, little-endian numbers, and putting parts together. */

const encoder = new TextEncoder();

export function utf8(text) {
  return encoder.encode(text);
}

export function concat(...parts) {
  const whole = new Uint8Array(parts.reduce((size, part) => size + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

export function hex(bytes) {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** The bytes of a text of hexadecimal digits; an error unless there are `length` of them. */
export function fromHex(text, length) {
  if (typeof text !== "string" || text.length !== 2 * length || !/^[0-9a-fA-F]*$/.test(text)) {
    throw new RangeError(`not ${length} bytes in hexadecimal`);
  }
  return Uint8Array.from({ length }, (_, at) => Number.parseInt(text.slice(2 * at, 2 * at + 2), 16));
}

export function equal(one, other) {
  return one.length === other.length && one.every((byte, at) => byte === other[at]);
}

/** A whole number from 0 to `most`, or an error: a fraction or a NaN never gets into signed bytes. */
export function whole(value, most) {
  if (!Number.isSafeInteger(value) || value < 0 || value > most) {
    throw new RangeError(`not a whole number from 0 to ${most}`);
  }
  return value;
}

export const U8 = 0xff;
export const U16 = 0xffff;
export const U32 = 0xffffffff;

export function u8(value) {
  return Uint8Array.of(whole(value, U8));
}

export function u16(value) {
  whole(value, U16);
  return Uint8Array.of(value & 255, value >>> 8);
}

export function u32(value) {
  whole(value, U32);
  return Uint8Array.of(value & 255, (value >>> 8) & 255, (value >>> 16) & 255, value >>> 24);
}

export function u64(value) {
  whole(value, Number.MAX_SAFE_INTEGER);
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(value), true);
  return bytes;
}

/** The number that bytes stand for, least first. */
export function littleEndian(bytes) {
  return bytes.reduceRight((number, byte) => (number << 8n) | BigInt(byte), 0n);
}

export function bigEndian(bytes) {
  return bytes.reduce((number, byte) => (number << 8n) | BigInt(byte), 0n);
}
