/**
 * Bringing one slot to its end: the same bytes to one door after another, until enough have spoken.
 *
 * An order is final on receipts of w super-agents, and refused on refusals of q, each held against the
 * pinned keys: a door's bare word counts for nothing. Everything else is "not yet".
 */

import { pause } from "./agreement.js";
import { hex } from "./bytes.js";
import { DoorError } from "./doors.js";
import { NOT_YET, orderId, receiptHolds, refusalHolds } from "./wire.js";

const OFFER_WAIT_MS = 3_000;
const WATCH_WAIT_MS = 10_000;
const OVERTAKE_MS = 1_000;
const PAUSE_MS = 100;
const PAUSE_MS_MAX = 2_000;

class Settlement {
  constructor(network, slot) {
    this.network = network;
    this.slot = slot;
    this.orders = new Map(slot.orders.map((order) => [hex(orderId(network.network, order)), order]));
    this.last = [...this.orders.keys()].at(-1);
    this.receipts = new Map([...this.orders.keys()].map((id) => [id, new Map()]));
    this.refusals = new Map();
    this.others = new Map();
    this.decision = {
      finalId: null, receipts: [], foreign: false, skipped: false, refusedBy: null, heard: false, via: "",
    };
    this.stop = new AbortController();
    this.ended = new Promise((resolve, reject) => {
      this.end = resolve;
      this.fail = reject;
    });
  }

  get isOver() {
    return this.stop.signal.aborted;
  }

  decide(findings) {
    if (!this.isOver) {
      Object.assign(this.decision, findings);
      this.finish();
    }
  }

  finish() {
    this.stop.abort();
    this.end();
  }

  /** Offer and watch until the slot is decided, q have refused, or the patience is over. */
  async run(patienceMs) {
    const tasks = [...this.network.doors.map((door) => this.watch(door)), this.offerInTurn()];
    tasks.forEach((task) => task.catch(this.fail));
    try {
      await Promise.race([this.ended, pause(patienceMs)]);
    } finally {
      this.finish();
    }
    return this.decision;
  }

  /** To one door after another, and after a refusal to all at once; a slow one is overtaken. */
  async offerInTurn() {
    const running = new Set();
    for (let wait = PAUSE_MS; !this.isOver; wait = Math.min(2 * wait, PAUSE_MS_MAX)) {
      for (const door of this.network.doors.filter((one) => !running.has(one))) {
        running.add(door);
        const offer = this.offer(door).finally(() => running.delete(door));
        offer.catch(this.fail);
        if (this.refusals.size === 0) {
          await Promise.race([offer, pause(OVERTAKE_MS), this.ended]);
        }
        if (this.isOver) {
          return;
        }
      }
      await Promise.race([pause(wait), this.ended]);
    }
  }

  async offer(door) {
    const id = this.last;
    const order = this.orders.get(id);
    const possession = order === this.slot.orders[0] ? (this.slot.possession ?? null) : null;
    let answer;
    try {
      answer = await door.offer(order, possession, OFFER_WAIT_MS);
    } catch (error) {
      if (error instanceof DoorError) {
        return;
      }
      throw error;
    }
    this.decision.heard = true;
    if (this.decision.via === "" && (answer.state === "final" || answer.state === "pending")) {
      this.decision.via = door.name;
    }
    await this.takeReceipt(door, id, answer.receipt);
    await this.takeRefusal(door, id, answer.refusal);
  }

  /** Ask a door about the slot again and again; it waits with us until there is an answer. */
  async watch(door) {
    let id = this.last;
    for (let wait = PAUSE_MS; !this.isOver; ) {
      let view = null;
      try {
        const bytes = Uint8Array.from(id.match(/../g), (pair) => Number.parseInt(pair, 16));
        const { payer, sequence } = this.slot;
        view = await door.slot(payer, sequence, bytes, WATCH_WAIT_MS, this.stop.signal);
        wait = PAUSE_MS;
      } catch (error) {
        if (!(error instanceof DoorError)) {
          throw error;
        }
        wait = Math.min(2 * wait, PAUSE_MS_MAX);
      }
      if (view !== null) {
        await this.takeReceipt(door, id, view.receipt);
        if (view.other !== null && this.orders.has(view.other) && view.other !== id) {
          id = view.other;
          continue;
        }
        if (view.other !== null || view.state === "skipped") {
          this.takeOther(door, view.other);
        }
      }
      await Promise.race([pause(wait), this.ended]);
    }
  }

  async takeReceipt(door, id, receipt) {
    const mine = this.receipts.get(id);
    if (receipt === null || receipt.super_agent !== door.index || mine.has(door.index)) {
      return;
    }
    const bytes = orderId(this.network.network, this.orders.get(id));
    if (!(await receiptHolds(this.network, bytes, receipt))) {
      return;
    }
    mine.set(door.index, { super_agent: door.index, signature: receipt.signature });
    if (mine.size >= this.network.w) {
      this.decide({ finalId: id, receipts: [...mine.values()] });
    }
  }

  async takeRefusal(door, id, refusal) {
    if (refusal === null || refusal.super_agent !== door.index || NOT_YET.has(refusal.outcome)) {
      return;
    }
    const bytes = orderId(this.network.network, this.orders.get(id));
    if (!(await refusalHolds(this.network, bytes, refusal))) {
      return;
    }
    this.refusals.set(door.index, refusal.outcome);
    if (this.refusals.size >= this.network.q) {
      const reasons = [...this.refusals.values()];
      const count = (reason) => reasons.filter((other) => other === reason).length;
      this.decide({ refusedBy: reasons.reduce((a, b) => (count(b) > count(a) ? b : a)) });
    }
  }

  takeOther(door, other) {
    const said = this.others.get(other) ?? new Set();
    this.others.set(other, said.add(door.index));
    if (said.size >= this.network.w) {
      this.decide({ foreign: other !== null, skipped: other === null });
    }
  }
}

/**
 * What became of a slot: {payer, sequence, orders, possession}, the last of its orders is to be offered.
 *
 * The answer has the id of the order that is final with w receipts, or says that the slot went to another
 * order (`foreign`) or to none (`skipped`), or by which outcome q refused; `heard` says whether any door took it.
 */
export function settle(network, slot, patienceMs) {
  return new Settlement(network, slot).run(patienceMs);
}
