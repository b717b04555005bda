/** A new phone takes an account over, once enough super-agents have approved its key (docs/lost-phone.md). */

import { believed } from "./agreement.js";
import { hex } from "./bytes.js";
import { HandsetError } from "./errors.js";
import { isKeyOf, lasting } from "./finding.js";
import { newKey } from "./keys.js";
import { settle } from "./settlement.js";
import * as store from "./store.js";
import * as wire from "./wire.js";

const PATIENCE_MS = 15_000;

/**
 * A new phone asks for an account: a key of its own, made durable, and the text for the super-agent that
 * opened the account.
 */
export async function askForKey(network, view) {
  const kept = await store.get("wanted");
  const wanted = kept?.account === view.account ? kept : { account: view.account, key: await newKey() };
  await store.put("wanted", wanted);
  const governed = await believed(network, (door) => door.governed(view.account));
  const body = wire.orderBody({
    payer: governed.enrolmentAccount, payee: view.account, amount: 0, fee: 0, sequence: governed.nextSlot,
    kind: wire.KIND.request_key, tariff: network.tariff, day: wire.dayOf(Date.now()),
    options: Uint8Array.of(0, wanted.key.form, 0), reference: wanted.key.public,
  });
  const possession = await wire.signPossession(wanted.key, network.network, body);
  return wire.keyRequestText(body, possession);
}

/**
 * Let the key that waits here take over its account; the owner of the account is in this browser then.
 *
 * HandsetError says what is missing: approvals, days, or super-agents that answer.
 */
export async function takeKey(network) {
  const wanted = await store.get("wanted");
  if (wanted === undefined) {
    throw new HandsetError("noKeyWanted");
  }
  const view = await believed(network, (door) => lasting(door, wanted.account));
  if (!isKeyOf(view, wanted.key)) {
    const governed = await believed(network, (door) => door.governed(wanted.account));
    if (governed.newKey !== hex(wanted.key.public)) {
      throw new HandsetError("keyNotApproved");
    }
    if (wire.dayOf(Date.now()) < governed.newKeyDay) {
      throw new HandsetError("keyTooYoung", new Date(governed.newKeyDay * 86_400_000).toISOString().slice(0, 10));
    }
    const { newKeySlot: slot } = governed;
    const order = await wire.signOrder(wanted.key, network.network, {
      payer: wanted.account, payee: wanted.account, amount: 0, fee: 0, sequence: view.nextSequence,
      kind: wire.KIND.take_key, tariff: network.tariff, day: wire.dayOf(Date.now()),
      options: Uint8Array.of(slot & 255, slot >>> 8, governed.newKeyOptions), reference: wanted.key.public,
    });
    const asked = { payer: wanted.account, sequence: view.nextSequence, orders: [order], possession: null };
    const decision = await settle(network, asked, PATIENCE_MS);
    if (decision.finalId === null) {
      throw new HandsetError("notConfirmed");
    }
  }
  await store.put("owner", wanted);
  await store.remove("wanted");
  return wanted;
}
