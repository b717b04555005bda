// One order's way as a picture: a line for each super-agent, and what its blocks said of the order, when.

import { at, drawn, fact, milliseconds, row, shillings, whole } from "./words.js";
import { ask } from "./network.js";

const ROW = 30;
const THIN = 15;
const TOP = 34;

export async function follow(network, query) {
  const text = query.trim();
  const slot = /^(\d{1,10})\s*[/ ]\s*(\d{1,10})$/.exec(text);
  let place = slot ? [slot[1], slot[2]] : null;
  if (!place) {
    const { order } = await ask(network, `/v1/receipts/${encodeURIComponent(text.toUpperCase())}`);
    place = [order.payer, order.sequence];
  }
  return ask(network, `/v1/orders/${place[0]}/${place[1]}/path`);
}

// Every step with its kind, by time.
function steps(path) {
  const kinds = { vote: path.votes, refusal: path.refusals, acknowledgement: path.acknowledgements };
  const found = Object.entries(kinds).flatMap(([kind, some]) => some.map((step) => ({ kind, ...step })));
  // The block is its author's own vote, and is drawn as the block.
  const others = found.filter((step) => step.kind !== "vote" || step.super_agent !== path.block.super_agent);
  return [{ kind: "block", ...path.block }, ...others.sort((a, b) => a.time_ms - b.time_ms)];
}

// When the q-th of some blocks was made; null where there are fewer.
function quorum(some, q) {
  const times = some.map((step) => step.time_ms).sort((a, b) => a - b);
  return times.length >= q ? times[q - 1] : null;
}

export function showOrder(network, path) {
  const { order } = path;
  const name = (index) => network.members[index].name;
  at("order").hidden = order == null;
  if (order == null) return;
  at("order-title").textContent = order.receipt_code;
  at("order-facts").replaceChildren(
    fact("state", path.state), fact("amount", shillings(order.amount_cents)), fact("charge", shillings(order.fee_cents)),
    fact("from account", order.payer), fact("to account", order.payee), fact("sequence", order.sequence),
    fact("kind", order.kind.replaceAll("_", " ")), fact("carried by", name(path.block.super_agent)),
    fact("in its block", whole(path.block.height)),
  );
  const found = steps(path);
  const began = path.block.time_ms;
  const certified = quorum(path.votes, path.q);
  const final = quorum(path.acknowledgements, path.q);
  at("path-words").textContent = words(path, began, certified, final, name);
  draw(at("path"), network, found, began, certified, final);
  at("steps").replaceChildren(...found.map((step) =>
    row(name(step.super_agent), said(step), whole(step.height), `${step.time_ms - began} ms`)));
}

const said = (step) => ({
  block: "carries it",
  vote: "votes for it",
  refusal: `refuses it: ${step.outcome?.toLowerCase().replaceAll("_", " ")}`,
  acknowledgement: "acknowledges it",
})[step.kind];

function words(path, began, certified, final, name) {
  const after = (time) => `${milliseconds(time - began) === "–" ? 0 : milliseconds(time - began)} ms`;
  const by = `${name(path.block.super_agent)} put it into block ${whole(path.block.height)}.`;
  if (!path.known) return `${by} It is ${path.state}; the heights of so long ago are not kept any more.`;
  if (path.refusals.length) {
    return `${by} ${path.refusals.length} of ${path.n} refused it, so it was counted by itself; it is ${path.state}.`;
  }
  const votes = certified == null
    ? `${path.votes.length} of ${path.n} have voted for it, and ${path.q} are needed.`
    : `${path.q} votes, which are a certificate, were there after ${after(certified)}.`;
  const end = final == null
    ? `${path.acknowledgements.length} have acknowledged that.`
    : `With ${path.q} acknowledgements it was final after ${after(final)}.`;
  return `${by} ${votes} ${end} Times are the clocks of those who made the blocks.`;
}

function draw(place, network, found, began, certified, final) {
  const width = Math.max(280, place.clientWidth);
  const shown = network.members;
  const isThin = shown.length > 20;
  const high = isThin ? THIN : ROW;
  const left = Math.min(120, 26 + 8 * Math.max(...shown.map((member) => member.name.length)));
  const first = Math.min(...found.map((step) => step.time_ms), began);
  const last = Math.max(...found.map((step) => step.time_ms), began + 1);
  const right = width - 18;
  const x = (time) => left + 14 + ((right - left - 14) * (time - first)) / Math.max(1, last - first);
  const y = (index) => TOP + high * index + high / 2;
  const bottom = TOP + high * shown.length;
  const parts = [];
  if (certified != null) {
    parts.push(drawn("rect", { class: "span", x: x(began), y: TOP, width: Math.max(1, x(certified) - x(began)), height: bottom - TOP }));
  }
  for (const member of shown) {
    parts.push(
      drawn("line", { class: "lane", x1: left, x2: right, y1: y(member.index), y2: y(member.index) }),
      drawn("text", { x: 0, y: y(member.index) + 4, ...(isThin ? { class: "faint" } : {}) }, member.name),
    );
  }
  const moments = [["certificate", certified, 12], ["final", final, 27]].filter(([, time]) => time != null);
  for (const [name, time, line] of moments) {
    const end = x(time) > width - 90;
    parts.push(
      drawn("line", { class: "moment", x1: x(time), x2: x(time), y1: line - 6, y2: bottom }),
      drawn("text", { class: "faint", x: x(time) + (end ? -5 : 5), y: line, "text-anchor": end ? "end" : "start" },
        `${name}, ${time - began} ms`),
    );
  }
  for (const step of found) parts.push(mark(step, x(step.time_ms), y(step.super_agent), isThin ? 4 : 6, began));
  parts.push(
    drawn("text", { class: "faint", x: x(began), y: bottom + 16, "text-anchor": "middle" }, "0"),
    drawn("text", { class: "faint", x: right, y: bottom + 16, "text-anchor": "end" }, `${last - began} ms`),
  );
  const label = `The order's way: ${found.map((step) => `${network.members[step.super_agent].name} ${said(step)}`).join(", ")}`;
  place.replaceChildren(drawn("svg", { viewBox: `0 0 ${width} ${bottom + 22}`, role: "img", "aria-label": label }, ...parts));
}

function mark(step, x, y, size, began) {
  const shapes = {
    block: () => drawn("rect", { class: "block", x: x - size, y: y - size, width: 2 * size, height: 2 * size }),
    vote: () => drawn("circle", { class: "vote", cx: x, cy: y, r: size }),
    acknowledgement: () =>
      drawn("path", { class: "acknowledgement", d: `M${x} ${y - size}l${size} ${2 * size}h${-2 * size}z` }),
    refusal: () =>
      drawn("path", { class: "refusal", d: `M${x - size} ${y - size}l${2 * size} ${2 * size}m0 ${-2 * size}l${-2 * size} ${2 * size}` }),
  };
  const shape = shapes[step.kind]();
  shape.append(drawn("title", null, `${said(step)}: block ${step.height}, after ${step.time_ms - began} ms`));
  return shape;
}
