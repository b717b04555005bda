// The map: every super-agent on a ring, what links them, and in the middle how many payments a second.

import { drawn, say } from "./words.js";

const SIDE = 420;
const LINKED_MAX = 16;
const MARKS = { up: "●", behind: "◐", down: "✕", convicted: "⚑" };
export const markOf = (state) => MARKS[state];

export class Ring {
  constructor(place, network) {
    this.network = network;
    const n = network.members.length;
    const named = n <= LINKED_MAX;
    const radius = named ? SIDE / 2 - 66 : SIDE / 2 - 18;
    const size = Math.max(4, Math.min(24, (Math.PI * radius) / n - 2));
    this.links = [];
    this.nodes = network.members.map((member, index) => {
      const angle = (2 * Math.PI * index) / n - Math.PI / 2;
      return this.node(member, SIDE / 2 + radius * Math.cos(angle), SIDE / 2 + radius * Math.sin(angle), size, named);
    });
    const lines = drawn("g", { "aria-hidden": "true" });
    if (named) {
      for (let a = 0; a < n; a += 1) {
        for (let b = a + 1; b < n; b += 1) {
          const [one, other] = [this.nodes[a], this.nodes[b]];
          const line = drawn("line", { class: "link", x1: one.x, y1: one.y, x2: other.x, y2: other.y });
          this.links.push([line, network.members[a], network.members[b]]);
          lines.append(line);
        }
      }
    }
    const middle = SIDE / 2;
    this.rate = drawn("text", { class: "centre", x: middle, y: middle + 4 }, "–");
    const plate = drawn("circle", { cx: middle, cy: middle, r: 62, fill: "var(--card)" });
    const words = drawn("text", { class: "centre-words", x: middle, y: middle + 28 }, "payments a second");
    const groups = this.nodes.map((node) => node.group);
    place.replaceChildren(
      drawn("svg", { viewBox: `0 0 ${SIDE} ${SIDE}`, role: "group", "aria-label": "Map of the super-agents" },
        lines, plate, this.rate, words, ...groups),
    );
  }

  node(member, x, y, size, named) {
    const circle = (kind, r) => drawn("circle", { class: kind, cx: x, cy: y, r });
    const rim = named ? 4 : 1.5;
    const parts = { pulse: circle("pulse", size + rim), halo: circle("halo", size + rim), body: circle("body", size) };
    const mark = drawn("text", { class: "mark", x, y, "font-size": size }, "");
    const under = y + size + 22;
    const label = drawn("text", { class: "label", x, y: under }, named ? member.name : "");
    const below = drawn("text", { class: "below", x, y: under + 15 }, "");
    const title = drawn("title", null, member.name);
    const group = drawn("a", { href: `#/super-agent/${encodeURIComponent(member.name)}`, class: "is-up" },
      title, parts.pulse, parts.halo, parts.body, mark, label, below);
    return { member, x, y, named, group, title, mark, below, pulse: parts.pulse };
  }

  show() {
    const { network } = this;
    for (const node of this.nodes) {
      const [state] = network.state(node.member);
      const height = network.height(node.member);
      node.group.setAttribute("class", node.named ? `is-${state}` : `is-${state} is-small`);
      const told = `${node.member.name}: ${state}, height ${height}`;
      say(node.title, told);
      node.group.setAttribute("aria-label", told);
      say(node.mark, state === "up" || !node.named ? "" : markOf(state));
      say(node.below, node.named ? `${state} · ${height.toLocaleString("en")}` : "");
    }
    for (const [line, one, other] of this.links) {
      line.setAttribute("class", network.isLinked(one, other) ? "link" : "link is-off");
    }
    const rate = network.witness?.live.status.finals_per_second;
    say(this.rate, rate == null ? "–" : Math.round(rate).toLocaleString("en"));
  }

  // The blocks of this super-agent have brought payments.
  beat(index) {
    const pulse = this.nodes[index]?.pulse;
    if (!pulse) return;
    pulse.classList.remove("beats");
    pulse.getBoundingClientRect();
    pulse.classList.add("beats");
  }
}
