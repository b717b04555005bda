/** The words of w super-agents that an order is final, kept in this browser. */

import { concat, fromHex, hex } from "./bytes.js";
import * as store from "./store.js";
import * as wire from "./wire.js";

/** The 64 bytes of an order as a door spells it out. */
function bodyOf(order) {
  return wire.orderBody({
    payer: order.payer, payee: order.payee, amount: order.amount_cents, fee: order.fee_cents,
    sequence: order.sequence, kind: wire.KIND[order.kind], tariff: order.tariff, day: order.day,
    options: fromHex(order.options, 3), reference: fromHex(order.reference, 32),
  });
}

/** Keep w receipts of an order, newest last, under its day and id. */
export async function keepReceipt(network, order, receipts) {
  const { day } = wire.readOrder(order);
  const id = hex(wire.orderId(network.network, order));
  const name = `${String(day).padStart(5, "0")}-${id}`;
  const kept = { id, body: order.slice(0, wire.BODY_BYTES), receipts, keptMs: Date.now() };
  await store.put(name, kept, "receipts");
}

/** w receipts of a payment that a statement shows, kept here; false where they do not come together. */
export async function collectReceipt(network, line) {
  const path = `/v1/orders/${line.payer}/${line.sequence}`;
  const found = new Map();
  const words = network.doors.map(async (door) => {
    const { order, receipt } = await door.ask("GET", path);
    const body = bodyOf(order);
    const id = wire.orderId(network.network, body);
    if (receipt.super_agent === door.index && (await wire.receiptHolds(network, id, receipt))) {
      const name = hex(id);
      found.set(name, { body, receipts: [...(found.get(name)?.receipts ?? []), receipt] });
    }
  });
  await Promise.allSettled(words);
  const proven = [...found.values()].find(({ receipts }) => receipts.length >= network.w);
  if (proven === undefined) {
    return false;
  }
  await keepReceipt(network, concat(proven.body, new Uint8Array(64)), proven.receipts);
  return true;
}
