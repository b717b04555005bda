/**
 * Keys that the browser makes and keeps: Ed25519 where it has that, P-256 elsewhere.
 *
 * A secret key is a CryptoKey that cannot be exported: scripts, ours too, can have it sign and never read
 * it. A public key is 32 bytes and a form (docs/wire.md, sections 3 and 4).
 */

import { bigEndian, concat, fromHex } from "./bytes.js";
import { verifyEd25519 } from "./ed25519.js";

export const FORM_ED25519 = 0;
export const FORM_P256_EVEN = 1;
export const FORM_P256_ODD = 5;

const ED25519 = { name: "Ed25519" };
const P256 = { name: "ECDSA", namedCurve: "P-256" };
const ECDSA_SHA256 = { name: "ECDSA", hash: "SHA-256" };
const ORDER = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;

// PKCS #8 of a secret key up to its 32 bytes (RFC 8410; RFC 5915).
const PKCS8_ED25519 = "302e020100300506032b657004220420";
const PKCS8_P256 = "3041020100301306072a8648ce3d020106082a8648ce3d030107042730250201010420";

let hasEd25519;

/** Whether this browser's WebCrypto has Ed25519; found out once. */
export function browserHasEd25519() {
  hasEd25519 ??= crypto.subtle.generateKey(ED25519, false, ["sign", "verify"]).then(
    () => true,
    () => false,
  );
  return hasEd25519;
}

/** A new key: {form, public, secret}; of P-256 where it must be or `wished` says so. */
export async function newKey(wished = "") {
  const isEd25519 = wished !== "p256" && (await browserHasEd25519());
  const pair = await crypto.subtle.generateKey(isEd25519 ? ED25519 : P256, false, ["sign", "verify"]);
  const raw = new Uint8Array(await crypto.subtle.exportKey("raw", pair.publicKey));
  return { ...publicOf(raw), secret: pair.privateKey };
}

/** The public key that a raw export stands for: 32 bytes of Ed25519, or 4, x and y of a point. */
function publicOf(raw) {
  if (raw.length === 32) {
    return { form: FORM_ED25519, public: raw };
  }
  return { form: raw[64] & 1 ? FORM_P256_ODD : FORM_P256_EVEN, public: raw.slice(1, 33) };
}

/** The key in the text of a key file, as `harambee` writes one; an error if it is none. */
export async function keyOfFile(text) {
  const record = JSON.parse(text);
  const isP256 = record.type === "p256";
  const der = fromHex((isP256 ? PKCS8_P256 : PKCS8_ED25519) + record.seed, isP256 ? 67 : 48);
  const algorithm = isP256 ? P256 : ED25519;
  const readable = await crypto.subtle.importKey("pkcs8", der, algorithm, true, ["sign"]);
  const { x, y } = await crypto.subtle.exportKey("jwk", readable);
  const raw = isP256 ? concat(Uint8Array.of(4), fromBase64Url(x), fromBase64Url(y)) : fromBase64Url(x);
  const secret = await crypto.subtle.importKey("pkcs8", der, algorithm, false, ["sign"]);
  return { ...publicOf(raw), secret };
}

function fromBase64Url(text) {
  return Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
}

/** The 64-byte signature of a message, in the one form that the network takes. */
export async function sign(key, message) {
  if (key.form === FORM_ED25519) {
    return new Uint8Array(await crypto.subtle.sign(ED25519, key.secret, message));
  }
  return withLowS(new Uint8Array(await crypto.subtle.sign(ECDSA_SHA256, key.secret, message)));
}

/** r and s as the network takes them: of the two s that satisfy the equation the lower one. */
export function withLowS(signature) {
  const s = bigEndian(signature.subarray(32));
  if (s <= ORDER / 2n) {
    return signature;
  }
  const low = (ORDER - s).toString(16).padStart(64, "0");
  return concat(signature.subarray(0, 32), fromHex(low, 32));
}

/** Whether a super-agent's Ed25519 key signed this. */
export async function holds(key, message, signature) {
  if (signature.length !== 64) {
    return false;
  }
  if (!(await browserHasEd25519())) {
    return verifyEd25519(key, message, signature);
  }
  try {
    const imported = await crypto.subtle.importKey("raw", key, ED25519, false, ["verify"]);
    return await crypto.subtle.verify(ED25519, imported, signature, message);
  } catch {
    return false; // these bytes are no key
  }
}
