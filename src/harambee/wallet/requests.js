/**
 * What merchants ask this account to pay: seen, approved or declined.
 *
 * Doors only carry requests. One is shown if the super-agent that took it has signed it, if it is for this
 * account and has not expired, and if w super-agents say that the payee is of the kind that is paid so. It
 * is noted as answered, durably, before an order is signed: what is lost by a crash the merchant asks again,
 * what is paid twice is gone.
 */

import { believed } from "./agreement.js";
import { hex } from "./bytes.js";
import { DoorError } from "./doors.js";
import { HandsetError } from "./errors.js";
import * as store from "./store.js";
import * as wire from "./wire.js";

const FORGOTTEN_AFTER_MS = 15 * 60_000;
const PAYEE_KINDS = { pay_bill: 4, buy_goods: 3 };
const DIGITS = 16;

function rowName(request) {
  return `${String(request.expiresMs).padStart(DIGITS, "0")}-${request.id}`;
}

function readDocument(bytes) {
  try {
    const said = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
    const numbers = [said.payee, said.payer, said.amount_cents, said.made_ms, said.expires_ms];
    const texts = [said.payee_name, said.short_code, said.account, said.text];
    const isSound =
      numbers.every((one) => Number.isSafeInteger(one) && one >= 0) && said.amount_cents > 0 &&
      texts.every((one) => typeof one === "string" && one.length <= 100) && said.kind in PAYEE_KINDS;
    return isSound ? said : null;
  } catch {
    return null; // no document, so no request
  }
}

async function checked(handset, row) {
  const { network, account } = handset;
  const said = readDocument(row.document);
  const isOurs = said !== null && said.payer === account && said.super_agent === row.super_agent;
  if (!isOurs || said.expires_ms <= Date.now() || !(await wire.requestHolds(network, row.document, row))) {
    return null;
  }
  return {
    id: hex(wire.requestId(network.network, row.document)), payee: said.payee, amount: said.amount_cents,
    movement: said.kind, name: said.payee_name, shortCode: said.short_code, account: said.account,
    text: said.text, madeMs: said.made_ms, expiresMs: said.expires_ms,
    reference: wire.requestId(network.network, row.document),
  };
}

/**
 * What w doors tell together, each replaced by another one where it does not answer.
 *
 * With a wait the first that has something to tell is enough: the others are still waiting for it.
 */
async function toldByDoors({ network, key, account }, waitMs, signal) {
  const left = [...network.doors];
  const told = [];
  const one = async () => {
    for (let door = left.shift(); door !== undefined; door = left.shift()) {
      try {
        const question = await wire.requestsQuestion(key, network.network, account, Date.now() * 1000);
        told.push(...(await door.requests(question, waitMs, signal)));
        return;
      } catch (error) {
        if (!(error instanceof DoorError)) {
          throw error;
        }
      }
    }
    throw new HandsetError("unreachable");
  };
  const asked = Array.from({ length: network.w }, one);
  if (waitMs === 0) {
    await Promise.allSettled(asked);
  }
  await Promise.any(asked).catch(({ errors }) => {
    throw errors[0];
  });
  return told;
}

/** Which requests wait for an answer, oldest first; each door may wait `waitMs` for one to come. */
export async function waiting(handset, waitMs = 0, signal = null) {
  const { network } = handset;
  const told = await toldByDoors(handset, waitMs, signal);
  const found = new Map();
  for (const row of told) {
    const request = await checked(handset, row);
    if (request !== null && (await store.get(rowName(request), "answered")) === undefined) {
      found.set(request.id, request);
    }
  }
  const requests = [...found.values()];
  if (requests.length === 0) {
    return [];
  }
  const kinds = await believed(network, (door) => door.kinds(requests.map((one) => one.payee)));
  return requests
    .filter((one, at) => kinds[at] === PAYEE_KINDS[one.movement])
    .sort((one, other) => one.madeMs - other.madeMs);
}

/** Pay a request at the fee that was confirmed: what became of it. Where it is refused, the merchant is told why. */
export async function approve(handset, request, fee) {
  const { payee, amount, movement, reference } = request;
  const beforeSigning = async () => {
    if (request.expiresMs <= Date.now()) {
      throw new HandsetError("requestExpired");
    }
    if ((await store.get(rowName(request), "answered")) !== undefined) {
      throw new HandsetError("requestAnswered");
    }
    await note(request);
  };
  const payment = await handset.pay({ payee, amount, movement, reference, fee, bill: "", beforeSigning });
  if (payment.status === "refused") {
    await tell(handset, request, payment.outcome).catch(() => null);
  } else if (payment.status === "replaced") {
    await store.remove(rowName(request), "answered");
  }
  return payment;
}

/** Say that the customer does not pay. */
export async function refuse(handset, request) {
  await note(request);
  await tell(handset, request, 0);
}

async function note(request) {
  await store.put(rowName(request), true, "answered");
  const oldest = String(Math.max(0, Date.now() - FORGOTTEN_AFTER_MS)).padStart(DIGITS, "0");
  await store.removeBelow(oldest, "answered");
}

async function tell(handset, request, reason) {
  const { network } = handset;
  const signed = await wire.decline(handset.key, network.network, request.reference, handset.account, reason);
  const took = await Promise.allSettled(network.doors.map((door) => door.decline(signed)));
  if (took.filter(({ status }) => status === "fulfilled").length < network.w) {
    throw new HandsetError("unreachable");
  }
}
