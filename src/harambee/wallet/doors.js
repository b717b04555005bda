/**
 * One super-agent as the wallet sees it: a few questions, each with an end.
 *
 * An answer that is late, too long or not as agreed is a DoorError, which means "ask another". Nothing here
 * decides whether an answer is true; that is for receipts and for agreement.
 */

import { hex, u32, utf8 } from "./bytes.js";

const ANSWER_BYTES_MAX = 1 << 20;
const ANSWER_MS = 6_000;
const NAME_MS = 8_000;
const BILL_MS = 9_000;
const OCTETS = "application/octet-stream";
const JSON_TYPE = "application/json";
const ACCOUNT_BYTES = 98;

/** This door did not answer, or not sensibly. */
export class DoorError extends Error {}

/** The door says in a problem document why it cannot do what was asked. */
export class ProblemError extends DoorError {
  constructor(status, code, sentence) {
    super(sentence);
    this.status = status;
    this.code = code;
  }
}

async function readBounded(response) {
  const reader = response.body?.getReader();
  const pieces = [];
  let size = 0;
  while (reader !== undefined) {
    const { done, value } = await reader.read();
    if (done) {
      break;
    }
    size += value.length;
    if (size > ANSWER_BYTES_MAX) {
      await reader.cancel();
      throw new DoorError("the answer is too long");
    }
    pieces.push(value);
  }
  return new Uint8Array(await new Blob(pieces).arrayBuffer());
}

function problemOf(status, document) {
  const { code, detail } = document ?? {};
  if (typeof code !== "string" || typeof detail !== "string") {
    return new DoorError("the answer cannot be understood");
  }
  return new ProblemError(status, code, detail.slice(0, 500));
}

function parsed(bytes) {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    throw new DoorError("the answer cannot be understood");
  }
}

/** A whole number that JSON may hold exactly. */
function number(value) {
  if (!Number.isSafeInteger(value)) {
    throw new DoorError("the answer has no number where there is one");
  }
  return value;
}

function text(value, most = 256) {
  if (typeof value !== "string" || value.length > most) {
    throw new DoorError("the answer has no text where there is one");
  }
  return value;
}

function list(value, most) {
  if (!Array.isArray(value) || value.length > most) {
    throw new DoorError("the answer has no list where there is one");
  }
  return value;
}

export class Door {
  constructor(index, name, base) {
    this.index = index;
    this.name = name;
    this.base = base;
    this.network = null;
  }

  /** Raise a DoorError if the door serves another network than this, hexadecimal, or does not answer. */
  async checkNetwork(id) {
    this.network ??= text((await this.ask("GET", "/v1/network")).network);
    if (this.network !== id) {
      throw new DoorError("this super-agent serves another network");
    }
  }

  /** Send one request; its answer as JSON. */
  async ask(method, path, body = null, waitMs = 0) {
    const content = body === null ? null : utf8(JSON.stringify(body));
    return parsed(await this.send(method, path, content, JSON_TYPE, waitMs));
  }

  /** Send one request; the bytes of its answer. A caller's `signal` ends it early. */
  async send(method, path, content = null, type = JSON_TYPE, waitMs = 0, signal = null) {
    const late = AbortSignal.timeout(ANSWER_MS + waitMs);
    let response;
    let answer;
    try {
      response = await fetch(this.base + path, {
        method,
        body: content,
        headers: content === null ? {} : { "content-type": type },
        credentials: "omit",
        referrerPolicy: "no-referrer",
        redirect: "error",
        cache: "no-store",
        signal: signal === null ? late : AbortSignal.any([late, signal]),
      });
      answer = await readBounded(response);
    } catch (error) {
      throw error instanceof DoorError ? error : new DoorError("this super-agent cannot be reached");
    }
    if (!response.ok) {
      throw problemOf(response.status, parsed(answer));
    }
    return answer;
  }

  /** The answer, or null where the door says in these words that there is nothing. */
  async found(nothing, ask) {
    try {
      return await ask();
    } catch (error) {
      if (error instanceof ProblemError && error.code === nothing) {
        return null;
      }
      throw error;
    }
  }

  /** An account, or null where there is none. */
  account(account) {
    return this.found("ACCOUNT_UNKNOWN", async () => {
      const said = await this.ask("GET", `/v1/accounts/${account}`);
      return {
        account,
        key: text(said.key),
        keyType: text(said.key_type),
        keyIsOdd: said.key_y_is_odd === true,
        kind: text(said.kind),
        status: text(said.status),
        feeMode: text(said.fee_mode),
        headOffice: said.head_office === null ? 0 : number(said.head_office),
        nextSequence: number(said.next_sequence),
        balance: number(said.balance_cents),
        available: number(said.available_cents),
      };
    });
  }

  /** The account of a telephone number or short code, or null where nobody has it. */
  directory(msisdn) {
    return this.found("NUMBER_UNKNOWN", async () =>
      number((await this.ask("POST", "/v1/directory", { msisdn })).account),
    );
  }

  async tariffs() {
    const { tariffs } = await this.ask("GET", "/v1/tariffs");
    return list(tariffs, 65_536).map((row) => ({
      version: number(row.version),
      firstDay: number(row.first_day),
      digest: text(row.digest),
    }));
  }

  /** The document of a tariff's version, as text. */
  async tariff(version) {
    return new TextDecoder().decode(await this.send("GET", `/v1/tariffs/${version}`));
  }

  async statement(account, limit, before = null) {
    const older = before === null ? "" : `&before=${before}`;
    const said = await this.ask("GET", `/v1/accounts/${account}/statement?limit=${limit}${older}`);
    return {
      lines: list(said.lines, limit).map((line) => ({
        entry: number(line.entry),
        timeMs: number(line.time_ms),
        change: number(line.change_cents),
        balance: number(line.balance_cents),
        other: line.other === null ? null : number(line.other),
        charge: number(line.charge_cents),
        commission: number(line.commission_cents),
        payer: number(line.order.payer),
        sequence: number(line.order.sequence),
        amount: number(line.order.amount_cents),
        kind: text(line.order.kind),
        code: text(line.order.receipt_code),
        id: text(line.order.id),
      })),
      nextBefore: said.next_before === null ? null : number(said.next_before),
    };
  }

  /** How long an agent's float lasts, as this door forecasts it. */
  async float(account) {
    const said = await this.ask("GET", `/v1/accounts/${account}/float`);
    return {
      low: said.low === true,
      lastsUntilMs: said.lasts_until_ms === null ? null : number(said.lasts_until_ms),
      topUp: number(said.top_up_cents),
      sentence: text(said.sentence, 500),
    };
  }

  /** Bring a signed order, and what a new key signed if it brings one; what became of it. */
  async offer(order, possession, waitMs) {
    const proof = possession === null ? {} : { possession: hex(possession) };
    const body = { orders: [{ bytes: hex(order), ...proof }] };
    const { orders } = await this.ask("POST", `/v1/orders?wait_ms=${waitMs}`, body, waitMs);
    const [fate] = list(orders, 1);
    return {
      state: text(fate.state),
      receipt: fate.receipt ?? null,
      refusal: fate.refusal ?? null,
    };
  }

  /** What is final in a slot, if not the order of that id. */
  async slot(payer, sequence, id, waitMs, signal) {
    const path = `/v1/orders/${payer}/${sequence}?id=${hex(id)}&wait_ms=${waitMs}`;
    const said = parsed(await this.send("GET", path, null, JSON_TYPE, waitMs, signal));
    return {
      state: text(said.state),
      other: said.state === "other" ? text(said.order.id) : null,
      receipt: said.receipt ?? null,
    };
  }

  /** The kinds of accounts, 0 where there is none; read from records of 98 bytes. */
  async kinds(accounts) {
    const asked = new Uint8Array(accounts.flatMap((account) => [...u32(account)]));
    const records = await this.send("POST", "/v1/accounts/query", asked, OCTETS);
    if (records.length !== accounts.length * ACCOUNT_BYTES) {
      throw new DoorError("the answer has another length");
    }
    return accounts.map((_, at) => records[at * ACCOUNT_BYTES + 60] & 15);
  }

  /** A payee's masked name, to the account that signed the question. */
  async nameOf(question) {
    const said = await this.ask("POST", "/v1/names", { question: hex(question) }, NAME_MS);
    return { name: text(said.name), number: said.number === null ? "" : text(said.number) };
  }

  async keepProfile(signed) {
    await this.ask("POST", "/v1/profiles", { profile: hex(signed) }, NAME_MS);
  }

  /** What merchants ask of the account that signed the question; may wait for something. */
  async requests(question, waitMs, signal) {
    const path = `/v1/requests/query?wait_ms=${waitMs}`;
    const answer = await this.send("POST", path, question, OCTETS, waitMs, signal);
    return list(parsed(answer).requests, 10_000).map((row) => ({
      document: utf8(text(row.document, 1024)),
      super_agent: number(row.super_agent),
      signature: text(row.signature),
    }));
  }

  async decline(signed) {
    await this.send("POST", "/v1/requests/declines", signed, OCTETS);
  }

  /** What a merchant says of a payment that is about to be made. */
  async announce(signed) {
    const said = parsed(await this.send("POST", "/v1/bills", signed, OCTETS, BILL_MS));
    return { accepted: said.accepted === true, sentence: text(said.sentence ?? "") };
  }

  /** What of an account is governed: where a new key would be asked for, and the one that waits. */
  async governed(account) {
    const said = await this.ask("GET", `/v1/governance/accounts/${account}`);
    const request = said.key_request ?? null;
    return {
      enrolmentAccount: number(said.enrolment_account),
      nextSlot: number(said.next_slot),
      newKey: request === null ? null : text(request.key),
      newKeySlot: request === null ? 0 : number(request.slot),
      newKeyOptions: request === null ? 0 : number(request.options),
      newKeyDay: request === null ? 0 : number(request.first_day),
    };
  }

  async enrolment() {
    const said = await this.ask("GET", "/v1/enrolment");
    return {
      enrolmentAccount: number(said.enrolment_account),
      sequence: number(said.sequence),
      account: number(said.account),
      day: number(said.day),
    };
  }

  /** Enrol a key that has signed `body`; the account's number. */
  async register(body, possession, msisdn) {
    const document = { order_body: hex(body), possession: hex(possession) };
    if (msisdn !== "") {
      document.msisdn = msisdn;
    }
    return number((await this.ask("POST", "/v1/accounts?wait_ms=10000", document, 10_000)).account);
  }
}
