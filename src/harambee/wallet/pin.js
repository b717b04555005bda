/**
 * The PIN that opens this wallet's screen.
 *
 * It keeps out whoever picks up the open phone, and no more: the signing key is the browser's and stays
 * where it is. What is kept of a PIN is PBKDF2 of it, so that reading the database does not show it at once;
 * after three wrong tries each further one has to wait, longer each time, over restarts too.
 */

import { equal, utf8 } from "./bytes.js";
import * as store from "./store.js";

const ITERATIONS = 600_000;
const FREE_TRIES = 3;
const FIRST_WAIT_MS = 30_000;
const DOUBLINGS_MAX = 8;

export function isPin(text) {
  return /^[0-9]{4,8}$/.test(text);
}

async function derived(pin, salt, iterations) {
  const key = await crypto.subtle.importKey("raw", utf8(pin), "PBKDF2", false, ["deriveBits"]);
  const how = { name: "PBKDF2", hash: "SHA-256", salt, iterations };
  return new Uint8Array(await crypto.subtle.deriveBits(how, key, 256));
}

export async function hasPin() {
  return (await store.get("pin")) !== undefined;
}

export async function setPin(pin) {
  const salt = crypto.getRandomValues(new Uint8Array(16));
  const verifier = await derived(pin, salt, ITERATIONS);
  await store.put("pin", { salt, iterations: ITERATIONS, verifier, wrong: 0, notBeforeMs: 0 });
}

export async function removePin() {
  await store.remove("pin");
}

/** {isRight, waitMs}: a try before its time is none. The count is durable before the answer is shown. */
export async function tryPin(pin) {
  const kept = await store.get("pin");
  const waitMs = kept.notBeforeMs - Date.now();
  if (waitMs > 0) {
    return { isRight: false, waitMs };
  }
  const isRight = equal(await derived(pin, kept.salt, kept.iterations), kept.verifier);
  const wrong = isRight ? 0 : kept.wrong + 1;
  const over = wrong - FREE_TRIES;
  const restMs = over < 0 ? 0 : FIRST_WAIT_MS * 2 ** Math.min(over, DOUBLINGS_MAX);
  await store.put("pin", { ...kept, wrong, notBeforeMs: restMs === 0 ? 0 : Date.now() + restMs });
  return { isRight, waitMs: restMs };
}
