// What the super-agents say: one stream of events from each, as far as there are not too many of them.
//
// Whoever serves this page is one witness among others. A super-agent's state is what it says of itself while
// it is heard; one that is not heard is what the others say of their links to it.

import { blocks } from "./words.js";

const FOLLOWED_MAX = 12;
const SILENT_MS = 3000;
const AGAIN_MS = 1000;
const BEHIND_BLOCKS = 500;

export class Network {
  constructor(about) {
    this.about = about;
    this.own = about.super_agent;
    this.members = about.committee.members.map((member, index) => ({
      index,
      name: member.name,
      door: index === this.own ? location.origin : about.doors[index].http,
      followed: false,
      heardAt: -Infinity,
      live: null,
    }));
    for (const member of this.chosen()) this.follow(member);
  }

  // This one, and as many others as may be, spread over the committee.
  chosen() {
    const n = this.members.length;
    const count = Math.min(n, FOLLOWED_MAX);
    const step = n / count;
    return Array.from({ length: count }, (_, k) => this.members[(this.own + Math.floor(k * step)) % n]);
  }

  follow(member) {
    member.followed = true;
    const source = new EventSource(`${member.door}/v1/live`);
    source.onmessage = (event) => {
      member.live = JSON.parse(event.data);
      member.heardAt = performance.now();
    };
    source.onerror = () => {
      member.heardAt = -Infinity;
      // A browser asks again by itself unless it was refused; then this does.
      if (source.readyState === EventSource.CLOSED) setTimeout(() => this.follow(member), AGAIN_MS);
    };
  }

  isHeard(member) {
    return member.live != null && performance.now() - member.heardAt < SILENT_MS;
  }

  // Who is looked through: this page's own super-agent while it is heard, otherwise whoever is.
  get witness() {
    const own = this.members[this.own];
    const ready = (member) => this.isHeard(member) && member.live.status.ready == null;
    return (ready(own) ? own : this.members.find(ready)) ?? this.members.find((member) => this.isHeard(member)) ?? null;
  }

  heard() {
    return this.members.filter((member) => this.isHeard(member));
  }

  // "up", "behind", "down" or "convicted", and a sentence where there is one.
  state(member) {
    const views = this.heard().filter((one) => one !== member);
    const asPeer = (one) => one.live.status.peers[member.index];
    if (views.some((one) => asPeer(one)?.convicted)) {
      return ["convicted", "It has signed what no honest super-agent signs."];
    }
    if (member.followed) {
      if (!this.isHeard(member)) return ["down", "It is not heard."];
      if (member.live.status.ready != null) return ["behind", member.live.status.ready];
    } else if (!views.some((one) => asPeer(one)?.connected)) {
      return ["down", "Nobody here has a link to it."];
    }
    const behind = this.behind(member);
    return behind > BEHIND_BLOCKS ? ["behind", `It is ${blocks(behind)} behind.`] : ["up", ""];
  }

  peer(member) {
    return this.witness?.live.status.peers[member.index] ?? null;
  }

  height(member) {
    return Math.max(this.peer(member)?.height ?? 0, this.isHeard(member) ? member.live.status.height : 0);
  }

  behind(member) {
    const said = this.isHeard(member) ? /(\d+) blocks/.exec(member.live.status.ready ?? "") : null;
    return said ? Number(said[1]) : (this.peer(member)?.behind ?? 0);
  }

  isLinked(one, other) {
    return [[one, other], [other, one]].every(
      ([from, to]) => !this.isHeard(from) || from.live.status.peers[to.index]?.connected,
    ) && this.state(one)[0] !== "down" && this.state(other)[0] !== "down";
  }

  get latency() {
    const doors = this.heard().map((member) => member.live.status);
    const middle = doors.map((status) => status.latency_ms_p50).filter((n) => n > 0).sort((a, b) => a - b);
    const worst = doors.map((status) => status.latency_ms_p99).filter((n) => n > 0);
    return middle.length ? [middle[middle.length >> 1], Math.max(...worst)] : [null, null];
  }

  // Ledgers are the same where digests are; they differ for a moment by what is under way.
  get digests() {
    const told = this.heard().filter((member) => member.live.digest != null);
    const values = new Set(told.map((member) => member.live.digest.digest));
    const asked = this.members.filter((member) => member.followed).length;
    return { told, asked, areEqual: told.length > 0 && values.size === 1 };
  }

  // Alarms, each with who says it, if it is not this page; the same sentence once.
  get alarms() {
    const found = new Map();
    for (const wanted of ["down", "convicted"]) {
      const those = this.members.filter((member) => this.state(member)[0] === wanted);
      const names = those.map((member) => member.name);
      if (those.length === 1) found.set(`${names[0]} is ${wanted}. ${this.state(those[0])[1]}`, []);
      if (those.length > 1) found.set(`${those.length} super-agents are ${wanted}: ${names.join(", ")}.`, []);
    }
    for (const member of this.heard()) {
      for (const sentence of member.live.alarms) {
        found.set(sentence, [...(found.get(sentence) ?? []), member.name]);
      }
    }
    return found;
  }
}

// JSON of a super-agent that is heard: this page's own first, then the others.
export async function ask(network, path) {
  const doors = [network.witness, ...network.heard()].filter(Boolean).map((member) => member.door);
  let last = new Error("No super-agent answers.");
  for (const door of new Set(doors)) {
    try {
      const answer = await fetch(door + path, { signal: AbortSignal.timeout(4000) });
      const document = await answer.json();
      if (answer.ok) return document;
      last = new Error(document.detail);
      if (answer.status < 500) break;
    } catch (error) {
      last = new Error("No super-agent answers.", { cause: error });
    }
  }
  throw last;
}
