/**
 * A customer's account in this browser: it pays, registers and cancels through any super-agents that answer.
 *
 * It never signs a second payment in an open slot. The signed bytes are durable before they first leave;
 * whatever happens then, the wallet goes on with the same bytes when it is opened again. When q super-agents
 * refuse, it signs a cancel for the slot, because a refused order is not dead: only when the cancel is final
 * is the payment shown as failed.
 */

import { believed, pause, told } from "./agreement.js";
import { equal, hex } from "./bytes.js";
import { DoorError, ProblemError } from "./doors.js";
import { HandsetError } from "./errors.js";
import { find, isKeyOf, lasting, movementBetween, tariffOf } from "./finding.js";
import { newKey } from "./keys.js";
import { feeOf } from "./money.js";
import { keepReceipt } from "./receipts.js";
import { settle } from "./settlement.js";
import * as store from "./store.js";
import * as wire from "./wire.js";

const { KIND } = wire;
const PATIENCE_MS = 15_000;
const NAME_TRIES = 3;
const NAME_PAUSE_MS = 250;
const BILL_ACCOUNT_MAX = 40;
const SIGN_AGAIN = new Set(["QUESTION_REPLAYED", "NAMES_BUSY", "CLOCK_WRONG"]);

/** One at a time in this browser, whichever tab it is in: two may not sign for one slot. */
function locked(act) {
  return navigator.locks.request("harambee-slot", act);
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
        const timeUs = Date.now() * 1000;
        const question = await wire.nameQuestion(this.key, this.network.network, this.account, payee, timeUs);
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
      await this.takeNewKey(said.reference);
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

  /** This new key is the account's: it takes the old one's place before the slot is let go. */
  async takeNewKey(key) {
    const fresh = await store.get("newKey");
    if (fresh !== undefined && equal(fresh.public, key)) {
      await store.put("owner", { account: this.account, key: fresh });
      await store.remove("newKey");
      this.key = fresh;
    }
  }
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
