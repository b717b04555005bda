/**
 * A customer's account in this browser: it pays, registers and cancels through any super-agents that answer.
 *
 * It never signs a second payment in an open slot. The signed bytes are durable before they first leave;
 * whatever happens then, the wallet goes on with the same bytes when it is opened again. When q super-agents refuse, it
 * signs a cancel for the slot, because a refused order is not dead: only when the cancel is final is the
 * payment shown as failed.
 */

import { believed, pause, told } from "./agreement.js";
import { concat, equal, fromHex, hex } from "./bytes.js";
import { DoorError, ProblemError } from "./doors.js";
import { FORM_ED25519, FORM_P256_EVEN, FORM_P256_ODD, newKey } from "./keys.js";
import { feeOf, readTariff } from "./money.js";
import { settle } from "./settlement.js";
import * as store from "./store.js";
import * as wire from "./wire.js";

const { KIND } = wire;
const PATIENCE_MS = 15_000;
const CONFIRM_TRIES = 40;
const CONFIRM_PAUSE_MS = 150;
const ENROLMENT_TRIES = 4;
const NAME_TRIES = 3;
const NAME_PAUSE_MS = 250;
const BILL_ACCOUNT_MAX = 40;
const SIGN_AGAIN = new Set(["QUESTION_REPLAYED", "NAMES_BUSY", "CLOCK_WRONG"]);

/** The wallet could not do what it was asked; `code` names the sentence, in both languages. */
export class HandsetError extends Error {
  constructor(code, detail = "") {
    super(`${code} ${detail}`.trim());
    this.code = code;
    this.detail = detail;
  }
}

const MOVEMENTS = {
  customer: {
    customer: "send", pochi: "send", agent: "withdraw", merchant: "buy_goods", bank: "bank_deposit",
    business: "pay_bill",
  },
  agent: { customer: "deposit", agent: "float_sale", float: "float_sale", bank: "bank_deposit", business: "airtime" },
  merchant: {
    customer: "pay_out", pochi: "pay_out", merchant: "business_transfer", business: "business_transfer",
    bank: "bank_deposit",
  },
};
MOVEMENTS.pochi = MOVEMENTS.customer;
MOVEMENTS.business = MOVEMENTS.merchant;

/** The movement between accounts of these kinds; HandsetError where there is none. */
export function movementBetween(payer, payee) {
  const movement = MOVEMENTS[payer]?.[payee];
  if (movement === undefined) {
    throw new HandsetError("noMovement");
  }
  return movement;
}

/** One at a time in this browser, whichever tab it is in: two may not sign for one slot. */
function locked(act) {
  return navigator.locks.request("harambee-slot", act);
}

/** An account without its balance, which changes while doors are asked. */
async function lasting(door, number) {
  const view = await door.account(number);
  return view === null ? null : { ...view, balance: 0, available: 0 };
}

function formOf(view) {
  if (view.keyType === "ed25519") {
    return FORM_ED25519;
  }
  return view.keyIsOdd ? FORM_P256_ODD : FORM_P256_EVEN;
}

function isKeyOf(view, key) {
  return view.key === hex(key.public) && formOf(view) === key.form;
}

/** The account under an account number, a telephone number or a short code, as w say; HandsetError if none. */
export async function find(network, text) {
  const bare = text.trim();
  let number = /^[0-9]{1,10}$/.test(bare) && !/^0[17][0-9]{8}$/.test(bare) ? Number(bare) : null;
  if (number === null || number > 0xffffffff) {
    try {
      number = await believed(network, (door) => door.directory(bare));
    } catch (error) {
      throw error instanceof ProblemError ? new HandsetError("numberWrong") : error;
    }
  }
  const view = number === null ? null : await believed(network, (door) => lasting(door, number));
  if (view === null) {
    throw new HandsetError("noAccount");
  }
  return view;
}

/** The tariff of a day, as w super-agents say: of those that have begun by then the newest. */
async function tariffOf(network, day) {
  const rows = (await believed(network, (door) => door.tariffs())).filter((row) => row.firstDay <= day);
  const newest = rows.reduce(
    (best, row) =>
      best === null || row.firstDay > best.firstDay || (row.firstDay === best.firstDay && row.version > best.version)
        ? row
        : best,
    null,
  );
  for (const door of newest === null ? [] : network.doors) {
    try {
      const tariff = readTariff(await door.tariff(newest.version), newest.digest);
      if (tariff !== null) {
        return tariff;
      }
    } catch (error) {
      if (!(error instanceof DoorError)) {
        throw error;
      }
    }
  }
  throw new HandsetError("noTariff");
}

/**
 * Open an account for a key that is durable already; its number once w super-agents confirm it.
 *
 * `msisdn` may be empty. HandsetError if no super-agent does so.
 */
export async function register(network, key, msisdn) {
  const number = await enrolled(network, key, msisdn);
  for (let turn = 0; turn < CONFIRM_TRIES; turn += 1) {
    const view = await believed(network, (door) => lasting(door, number)).catch(() => null);
    if (view !== null && isKeyOf(view, key)) {
      return number;
    }
    await pause(CONFIRM_PAUSE_MS);
  }
  throw new HandsetError("notConfirmed");
}

async function enrolled(network, key, msisdn) {
  let said = new HandsetError("unreachable");
  for (let turn = 0; turn < ENROLMENT_TRIES; turn += 1) {
    for (const door of network.doors) {
      try {
        await door.checkNetwork(network.id);
        return await enrolAt(network, door, key, msisdn);
      } catch (error) {
        if (!(error instanceof DoorError)) {
          throw error;
        }
        if (error instanceof ProblemError && error.status < 500) {
          // Another customer may have got the position first: the next one is asked for.
          said = new HandsetError("refusedSaying", error.message);
          break;
        }
      }
    }
    await pause(CONFIRM_PAUSE_MS * turn);
  }
  throw said;
}

async function enrolAt(network, door, key, msisdn) {
  const view = await door.enrolment();
  const region = wire.regionOf(view.enrolmentAccount);
  const isItsOwn = network.members[door.index].regions.includes(region);
  if (!isItsOwn || view.enrolmentAccount !== region * 2 ** 20 || view.account !== view.enrolmentAccount + view.sequence) {
    throw new DoorError("this super-agent offers an account that is not its own to give");
  }
  const body = wire.orderBody({
    payer: view.enrolmentAccount, payee: view.account, amount: 0, fee: 0, sequence: view.sequence,
    kind: KIND.enrol, tariff: network.tariffs.at(-1).version, day: view.day,
    options: Uint8Array.of(1, key.form, 0), reference: key.public,
  });
  return door.register(body, await wire.signPossession(key, network.network, body), msisdn);
}

/** The account of this browser on a network; `owner` is {account, key}. */
export class Handset {
  constructor(network, owner) {
    this.network = network;
    this.account = owner.account;
    this.key = owner.key;
  }

  today() {
    return wire.dayOf(Date.now());
  }

  /** The own account as w super-agents say; HandsetError where the account has another key. */
  async own() {
    const view = await believed(this.network, (door) => lasting(door, this.account));
    if (view === null) {
      throw new HandsetError("noAccount");
    }
    if (!isKeyOf(view, this.key)) {
      throw new HandsetError("keyReplaced");
    }
    return view;
  }

  /** What the account holds: {balance, available, kind, agreed}; not agreed where doors still differ. */
  async balance() {
    try {
      const view = await believed(this.network, (door) => door.account(this.account));
      return { ...view, agreed: true };
    } catch (error) {
      if (error.code !== "disagree") {
        throw error;
      }
    }
    const view = await told(this.network, (door) => door.account(this.account));
    return { ...view, agreed: false };
  }

  statement(limit, before = null) {
    return told(this.network, (door) => door.statement(this.account, limit, before));
  }

  float() {
    return told(this.network, (door) => door.float(this.account));
  }

  /** A payee's masked name, {name, number}; null where nobody can tell. One super-agent's word. */
  async nameOf(payee) {
    for (let turn = 1; turn <= NAME_TRIES; turn += 1) {
      let again = false;
      for (const door of this.network.doors) {
        const question = await wire.nameQuestion(this.key, this.network.network, this.account, payee, Date.now() * 1000);
        try {
          await door.checkNetwork(this.network.id);
          return await door.nameOf(question);
        } catch (error) {
          if (!(error instanceof DoorError)) {
            throw error;
          }
          again = error instanceof ProblemError && SIGN_AGAIN.has(error.code);
          if (again || (error instanceof ProblemError && error.status < 500)) {
            break;
          }
        }
      }
      if (!again) {
        return null;
      }
      await pause(NAME_PAUSE_MS * turn);
    }
    return null;
  }

  /** Sign who the owner is, and bring it to those who keep it. */
  async keepProfile(name, number, language) {
    const said = { account: this.account, version: 1, name, number, language };
    const signed = await wire.profile(this.key, this.network.network, said);
    let last = new HandsetError("unreachable");
    for (let turn = 0; turn < NAME_TRIES; turn += 1) {
      for (const door of this.network.doors) {
        try {
          await door.checkNetwork(this.network.id);
          await door.keepProfile(signed);
          return;
        } catch (error) {
          if (!(error instanceof DoorError)) {
            throw error;
          }
          last = new HandsetError("refusedSaying", error.message);
        }
      }
      await pause(NAME_PAUSE_MS);
    }
    throw last;
  }

  /**
   * A payment as it would be made: whom, which movement and which fee, for the customer to confirm.
   *
   * `text` is what she typed; `bill` the account at a biller, or what a till is told; empty where there is none.
   */
  async prepare(text, amount, bill = "") {
    const [own, payee, tariff] = await Promise.all([
      this.own(), find(this.network, text), tariffOf(this.network, this.today()),
    ]);
    if (payee.account === this.account) {
      throw new HandsetError("payerIsPayee");
    }
    const movement = movementBetween(own.kind, payee.kind);
    if (movement === "pay_bill" && (bill.trim() === "" || bill.trim().length > BILL_ACCOUNT_MAX)) {
      throw new HandsetError("billAccount");
    }
    const fee = feeOf(tariff, movement, amount, payee.feeMode);
    if (fee === null) {
      throw new HandsetError("noPrice");
    }
    return { payee: payee.account, payeeKind: payee.kind, movement, amount, fee, bill };
  }

  /** What it costs the payer to pay a request: {payee, amount, movement}. */
  async priceOf({ payee, amount, movement }) {
    const [view, tariff] = await Promise.all([
      believed(this.network, (door) => lasting(door, payee)), tariffOf(this.network, this.today()),
    ]);
    const fee = view === null ? null : feeOf(tariff, movement, amount, view.feeMode);
    if (fee === null) {
      throw new HandsetError("noPrice");
    }
    return fee;
  }

  /** What a biller says of the payment before it is made; nobody who cannot be reached stops it. */
  async announce(prepared) {
    const { payee, amount, bill } = prepared;
    for (const door of this.network.doors) {
      try {
        await door.checkNetwork(this.network.id);
        const timeUs = Date.now() * 1000;
        const said = { payer: this.account, payee, amount, account: bill.trim(), timeUs };
        return await door.announce(await wire.announcement(this.key, this.network.network, said));
      } catch (error) {
        if (!(error instanceof DoorError)) {
          throw error;
        }
      }
    }
    return { accepted: true, sentence: "" };
  }

  /** Pay what was prepared and confirmed: what became of it. */
  pay(prepared) {
    return locked(async () => {
      const reference = this.reference(prepared);
      const earlier = await this.finishEarlier();
      if (earlier !== null) {
        const said = wire.readOrder(earlier.order);
        const isSame =
          said.payee === prepared.payee && said.amount === prepared.amount &&
          said.kind === KIND[prepared.movement] && equal(said.reference, reference);
        if (isSame) {
          return { ...earlier, resumed: true };
        }
        this.demandDecided(earlier);
      }
      if (prepared.bill !== "") {
        const verdict = await this.announce(prepared);
        if (!verdict.accepted) {
          throw new HandsetError("refusedSaying", verdict.sentence);
        }
      }
      return this.signNew({ ...prepared, reference });
    });
  }

  reference({ movement, payee, bill, reference }) {
    if (reference !== undefined) {
      return reference;
    }
    return bill === "" ? new Uint8Array(32) : wire.billReference(payee, bill);
  }

  demandDecided(earlier) {
    if (earlier.isOpen) {
      throw new HandsetError("earlierOpen");
    }
  }

  /**
   * Sign, keep and send an order for the next slot: {payee, amount, movement, reference}.
   *
   * `fee` is what the customer confirmed, and `beforeSigning` what must be durable before; both may be missing.
   */
  async signNew(wanted) {
    const day = this.today();
    const [own, payee, tariff] = await Promise.all([
      this.own(),
      believed(this.network, (door) => lasting(door, wanted.payee)),
      tariffOf(this.network, day),
    ]);
    if (payee === null) {
      throw new HandsetError("noAccount");
    }
    const { movement, amount } = wanted;
    const fee = feeOf(tariff, movement, amount, payee.feeMode);
    if (fee === null) {
      throw new HandsetError("noPrice");
    }
    if (wanted.fee !== undefined && wanted.fee !== fee) {
      throw new HandsetError("feeChanged"); // what is signed is what was confirmed
    }
    await wanted.beforeSigning?.();
    const options = { withdraw: wire.headOfficeOptions(payee.headOffice) }[movement] ??
      (movement === "pay_bill" ? Uint8Array.of(["payer", "payee", "shared"].indexOf(payee.feeMode), 0, 0) : undefined);
    return this.bring({
      payer: this.account, payee: payee.account, amount, fee, sequence: own.nextSequence,
      kind: KIND[movement], tariff: tariff.version, day, options, reference: wanted.reference,
    });
  }

  /** Sign an order, keep it, and only then let it leave. */
  async bring(order, possession = null, sign = this.key) {
    const slot = await this.slot();
    const sequence = Math.max(order.sequence, slot.next);
    const signed = await wire.signOrder(sign, this.network.network, { ...order, sequence });
    const pending = { next: sequence, orders: [signed], refusedBy: null, possession };
    await store.put("slot", pending);
    return this.finish(pending);
  }

  async slot() {
    return (await store.get("slot")) ?? { next: 0, orders: [], refusedBy: null, possession: null };
  }

  /** Go on with what an earlier run left open; null if there is nothing. */
  resume() {
    return locked(() => this.finishEarlier());
  }

  /** Cancel what is open: it ends as cancelled, or as final if that came first. */
  cancel() {
    return locked(async () => {
      const slot = await this.slot();
      return slot.orders.length === 0 ? null : this.burn(slot);
    });
  }

  async finishEarlier() {
    const slot = await this.slot();
    return slot.orders.length === 0 ? null : this.finish(slot);
  }

  async finish(slot) {
    if (slot.refusedBy !== null || slot.orders.length > 1) {
      return this.burn(slot);
    }
    const decision = await this.settled(slot);
    if (decision.refusedBy !== null) {
      return this.burn({ ...slot, refusedBy: decision.refusedBy });
    }
    return this.conclude(slot, decision);
  }

  /** Sign a cancel for the slot, keep it, send it, and see which of its orders is final. */
  async burn(slot) {
    const newest = wire.readOrder(slot.orders.at(-1));
    const today = this.today();
    let orders = slot.orders;
    // A cancel ages like any order; yesterday's is still good, an older one is signed again.
    if (newest.kind !== KIND.cancel || Math.abs(newest.day - today) > 1) {
      orders = [...orders, await wire.signOrder(this.key, this.network.network, wire.cancelOf(newest, today))];
    }
    const kept = { ...slot, orders };
    await store.put("slot", kept);
    return this.conclude(kept, await this.settled(kept));
  }

  settled({ orders, possession }) {
    const { payer, sequence } = wire.readOrder(orders[0]);
    return settle(this.network, { payer, sequence, orders, possession }, PATIENCE_MS);
  }

  /** Say what the decision means; a receipt is kept before the slot is let go. */
  async conclude(slot, decision) {
    const [order] = slot.orders;
    const said = wire.readOrder(order);
    const id = hex(wire.orderId(this.network.network, order));
    const isFinal = decision.finalId === id;
    if (isFinal) {
      await keepReceipt(this.network, order, decision.receipts);
    }
    if (isFinal && said.kind === KIND.change_key) {
      await this.takeNewKey();
    }
    if (decision.finalId !== null || decision.foreign || decision.skipped) {
      await store.put("slot", { next: said.sequence + 1, orders: [], refusedBy: null, possession: null });
    }
    const status = statusOf(decision, isFinal, slot.refusedBy);
    return {
      status, order, id, isOpen: status === "sent" || status === "waiting",
      outcome: slot.refusedBy ?? 0, via: decision.via, said,
      code: wire.receiptCode(order, this.network.regions), receipts: isFinal ? decision.receipts : [],
    };
  }

  /** Give a payment that came here back, all of it that is left: what became of the refund. */
  refund(line) {
    return locked(async () => {
      const earlier = await this.finishEarlier();
      if (earlier !== null) {
        this.demandDecided(earlier);
      }
      const path = `/v1/reversals/${line.payer}/${line.sequence}`;
      const { refunded } = await believed(this.network, async (door) => {
        const { refunded_cents: refunded } = await door.ask("GET", path);
        return { refunded };
      });
      if (refunded >= line.amount) {
        throw new HandsetError("refundedAlready");
      }
      return this.signNew({
        payee: line.payer, amount: line.amount - refunded, movement: "refund",
        reference: wire.slotReference(line.payer, line.sequence),
      });
    });
  }

  /** Give the account a new key, made here; the old one is replaced once that is final. */
  changeKey() {
    return locked(async () => {
      const earlier = await this.finishEarlier();
      if (earlier !== null) {
        this.demandDecided(earlier);
      }
      const fresh = (await store.get("newKey")) ?? (await newKey());
      await store.put("newKey", fresh);
      const [own, slot] = await Promise.all([this.own(), this.slot()]);
      const order = {
        payer: this.account, payee: this.account, amount: 0, fee: 0,
        sequence: Math.max(own.nextSequence, slot.next), kind: KIND.change_key,
        tariff: this.network.tariff, day: this.today(), options: Uint8Array.of(0, fresh.form, 0),
        reference: fresh.public,
      };
      const possession = await wire.signPossession(fresh, this.network.network, wire.orderBody(order));
      return this.bring(order, possession);
    });
  }

  /** The new key is the account's: it takes the old one's place before the slot is let go. */
  async takeNewKey() {
    const fresh = await store.get("newKey");
    if (fresh !== undefined) {
      await store.put("owner", { account: this.account, key: fresh });
      await store.remove("newKey");
      this.key = fresh;
    }
  }

  /** w receipts of a payment that a statement shows, kept here; false where they do not come together. */
  async collectReceipt(line) {
    const path = `/v1/orders/${line.payer}/${line.sequence}`;
    const found = new Map();
    const words = this.network.doors.map(async (door) => {
      const { order, receipt } = await door.ask("GET", path);
      const body = bodyOf(order);
      const id = wire.orderId(this.network.network, body);
      if (receipt.super_agent === door.index && (await receiptHolds(this.network, id, receipt))) {
        const name = hex(id);
        found.set(name, { body, receipts: [...(found.get(name)?.receipts ?? []), receipt] });
      }
    });
    await Promise.allSettled(words);
    const proven = [...found.values()].find(({ receipts }) => receipts.length >= this.network.w);
    if (proven === undefined) {
      return false;
    }
    await keepReceipt(this.network, concat(proven.body, new Uint8Array(64)), proven.receipts);
    return true;
  }
}

const { receiptHolds } = wire;

/** The 64 bytes of an order as a door spells it out. */
function bodyOf(order) {
  return wire.orderBody({
    payer: order.payer, payee: order.payee, amount: order.amount_cents, fee: order.fee_cents,
    sequence: order.sequence, kind: KIND[order.kind], tariff: order.tariff, day: order.day,
    options: fromHex(order.options, 3), reference: fromHex(order.reference, 32),
  });
}

/** Keep w receipts of an order, newest last, under its day and id. */
async function keepReceipt(network, order, receipts) {
  const { day } = wire.readOrder(order);
  const id = hex(wire.orderId(network.network, order));
  const name = `${String(day).padStart(5, "0")}-${id}`;
  const kept = { id, body: order.slice(0, wire.BODY_BYTES), receipts, keptMs: Date.now() };
  await store.put(name, kept, "receipts");
}

function statusOf(decision, isFinal, refusedBy) {
  if (isFinal) {
    return "final";
  }
  if (decision.finalId !== null || decision.skipped) {
    return refusedBy === null ? "cancelled" : "refused";
  }
  if (decision.foreign) {
    return "replaced";
  }
  return decision.heard ? "sent" : "waiting";
}

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
    kind: KIND.request_key, tariff: network.tariff, day: wire.dayOf(Date.now()),
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
      kind: KIND.take_key, tariff: network.tariff, day: wire.dayOf(Date.now()),
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
