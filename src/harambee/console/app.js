// The console: pages by the part of the address behind the #, shown anew twice a second.

import { findControl } from "./buttons.js";
import { Chart } from "./chart.js";
import { Network, ask } from "./network.js";
import { follow, showOrder } from "./path.js";
import { Ring, markOf } from "./ring.js";
import { at, blocks, duration, fact, keepRows, made, megabytes, milliseconds, onDesk, row, say, shillings, stack, whole } from "./words.js";

const SHOWN_MS = 500;
const BUTTONS_MS = 1000;
const BANKS_MS = 5000;
const AGAIN_MS = 1000;
const PAGES = ["network", "money", "order", "super-agent"];

const control = findControl();
let network, ring, rates, latencies;
let path = null;
const said = new Map();

function page() {
  const [, name = "", ...rest] = location.hash.split("/");
  return { name: PAGES.includes(name) ? name : "network", rest: rest.map(decodeURIComponent) };
}

// -- what is on every page -----------------------------------------------------------------------

function showVerdict() {
  const { committee } = network.about;
  const states = network.members.map((member) => network.state(member)[0]);
  const up = states.filter((state) => state === "up").length;
  const pays = up >= committee.q && network.heard().some((member) => member.live.status.ready == null);
  const through = network.witness ? `Seen through ${network.witness.name}.` : "Nobody is heard.";
  const verdict = !pays
    ? `It waits: ${up} of ${committee.n} super-agents are up, and payments need ${committee.q}. No shilling is lost.`
    : `It pays: ${up} of ${committee.n} super-agents are up, and it needs ${committee.q}.`;
  say(at("verdict"), `${verdict} ${through}`, !pays ? "bad" : up < committee.n ? "late" : "good");
}

// Whoever hears the page and does not see it is told what changes.
function announce() {
  for (const member of network.members) {
    const [state] = network.state(member);
    const before = said.get(member.name);
    if (before !== undefined && before !== state) say(at("announcer"), `${member.name} is ${state}.`);
    said.set(member.name, state);
  }
}

// -- network -------------------------------------------------------------------------------------

function showTrust(card, difference, words) {
  const live = network.witness?.live;
  const trust = live?.trust;
  if (!trust) return;
  const between = trust.circulation_cents - trust.owed_cents;
  say(difference, between === 0 ? "0" : shillings(between));
  say(words, `${shillings(trust.circulation_cents)} of e-money in circulation, ` +
    `${shillings(trust.owed_cents)} owed by the trust banks.`);
  card.className = between === 0 && live.status.total_cents === 0 ? "card even" : "card odd";
}

function showDigests() {
  const { told, asked, areEqual } = network.digests;
  const those = asked < network.members.length ? `${asked} that this page listens to` : asked;
  const entries = Math.max(0, ...told.map((member) => member.live.digest.entries));
  const words = !told.length
    ? "Nobody has told its digest yet."
    : areEqual
      ? `Equal: ${told.length} of ${those} have this digest, after ${whole(entries)} orders.`
      : `Under way: ${told.length} ledgers were looked at in different moments, after ${whole(entries)} orders.`;
  say(at("digest-words"), words, areEqual ? "good" : "faint");
  say(at("digest-value"), areEqual ? told[0].live.digest.digest : "");
}

function showAlarms() {
  const alarms = [...network.alarms];
  const rows = keepRows(at("alarms"), alarms.map(([sentence]) => sentence), () => made("li"));
  for (const [sentence, who] of alarms) {
    const names = who.length === network.members.length ? "all of them" : who.join(", ");
    say(rows.get(sentence), names ? `${sentence} Says ${names}.` : sentence, "bad");
  }
  if (!alarms.length) {
    const quiet = keepRows(at("alarms"), ["none"], () => made("li"));
    say(quiet.get("none"), "None.", "good");
  }
}

function memberRow(name) {
  const member = network.members.find((one) => one.name === name);
  const link = made("a", { href: `#/super-agent/${encodeURIComponent(name)}` }, name);
  const cells = ["name", "state", "height", "final", "behind", "for-buttons"].map((kind) => made("td", { class: kind }));
  for (const [cell, label] of [[cells[2], "height"], [cells[3], "final"], [cells[4], "behind by"]]) cell.dataset.label = label;
  cells[0].append(link);
  const whole = made("tr", null, ...cells);
  whole.member = member;
  if (control) {
    whole.buttons = control.buttonsFor(name, (text) => say(at("button-answer"), text));
    cells[5].append(...whole.buttons);
  }
  cells[5].hidden = !control;
  return whole;
}

function showMembers() {
  const rows = keepRows(at("members"), network.members.map((member) => member.name), memberRow);
  for (const one of rows.values()) {
    const { member } = one;
    const [state, why] = network.state(member);
    const isPaused = control?.states.get(member.name)?.state === "paused";
    const [, told, height, final, behind] = one.children;
    say(told, `${markOf(state)} ${state}${isPaused ? " (paused)" : ""}`, `state is-${state}`);
    told.title = why;
    say(height, whole(network.height(member)));
    say(final, whole(network.peer(member)?.height_final));
    const late = network.behind(member);
    say(behind, state === "down" || !late ? "–" : blocks(late));
    if (one.buttons) control.show(one.buttons, member.name);
  }
}

function showNewest() {
  const body = at("newest");
  // Who points at a row or stands on its link, wants it to stay.
  if (body.matches(":hover") || body.contains(document.activeElement)) return;
  const newest = network.witness?.live.newest ?? [];
  const first = body.firstElementChild?.dataset.name;
  if (newest.length && newest[0].receipt_code !== first) {
    for (const index of new Set(newest.map((one) => one.super_agent))) ring.beat(index);
  }
  const rows = newest.map((one) => {
    const link = made("a", { href: `#/order/${one.payer}/${one.sequence}` }, one.receipt_code);
    const line = row(link, onDesk(one.payer), onDesk(one.payee), shillings(one.amount_cents),
      onDesk(one.kind.replaceAll("_", " ")), network.members[one.super_agent].name);
    line.dataset.name = one.receipt_code;
    return line;
  });
  body.replaceChildren(...rows);
  at("newest-words").hidden = rows.length > 0;
}

function showNetwork() {
  ring.show();
  showTrust(at("trust-card"), at("difference"), at("trust-words"));
  showDigests();
  showAlarms();
  showMembers();
  showNewest();
}

// -- money ---------------------------------------------------------------------------------------

async function showBanks() {
  if (page().name !== "money" || !network.witness) return;
  const { banks } = await ask(network, "/v1/trust");
  stack(at("banks"), banks.map((bank) => {
    const says = !bank.within_limit ? "owes more than it has attested" : bank.alarm ? "more than a quarter lies here" : "–";
    const share = `${Math.floor(bank.share_basis_points / 100)}.${String(bank.share_basis_points % 100).padStart(2, "0")}%`;
    return row(bank.name ?? bank.account, shillings(bank.owed_cents), shillings(bank.limit_cents), share,
      made("td", { class: !bank.within_limit ? "bad" : bank.alarm ? "late" : "" }, says));
  }));
}

function showMoney() {
  showTrust(at("money-card"), at("money-difference"), at("money-words"));
  const heard = network.heard();
  stack(at("floats"), heard.map(({ name, live: { status } }) =>
    row(name, shillings(status.float_cents),
      made("td", { class: status.float_low ? "bad" : "" }, status.float_lasts_s == null ? "days" : duration(status.float_lasts_s)),
      shillings(status.commissions_owed_cents))));
  stack(at("ledgers"), heard.filter((member) => member.live.digest).map(({ name, live: { digest } }) =>
    row(name, whole(digest.entries), digest.total_cents === 0 ? "0" : shillings(digest.total_cents),
      made("td", null, made("code", { title: digest.digest }, `${digest.digest.slice(0, 16)}…`)))));
}

// -- order ---------------------------------------------------------------------------------------

async function findOrder(query) {
  path = null;
  at("order").hidden = true;
  say(at("search-answer"), "Looking …", "faint");
  try {
    path = await follow(network, query);
    const isThere = path.order != null;
    say(at("search-answer"), isThere ? "" : `There is no order: the slot is ${path.state}.`, isThere ? "" : "late");
    showOrder(network, path);
  } catch (error) {
    say(at("search-answer"), error.message, "bad");
  }
}

// An order that is not final yet is looked at again, until it is.
async function tendOrder() {
  const { name, rest } = page();
  if (name === "order" && path?.state === "pending") {
    const before = path;
    try {
      const now = await follow(network, rest.join("/"));
      if (path === before) {
        path = now;
        showOrder(network, path);
      }
    } catch (error) {
      say(at("search-answer"), error.message, "bad");
    }
  }
  setTimeout(tendOrder, AGAIN_MS);
}

function orderIsLookedFor(event) {
  event.preventDefault();
  const text = at("query").value.trim();
  const target = `#/order/${text.split(/[/ ]+/).map(encodeURIComponent).join("/")}`;
  if (location.hash === target) findOrder(text);
  else location.hash = target;
}

// -- one super-agent -----------------------------------------------------------------------------

const chosenMember = () =>
  network.members.find((member) => member.name === page().rest[0]) ?? network.members[network.own];

function showMember() {
  const member = chosenMember();
  const [state, why] = network.state(member);
  say(at("agent-name"), member.name);
  if (at("agent-choice").value !== member.name) at("agent-choice").value = member.name;
  say(at("agent-state"), `${markOf(state)} ${state}. ${why}`, `state is-${state}`);
  const s = member.live?.status;
  if (!s) {
    at("agent-facts").replaceChildren(fact("height", whole(network.height(member))));
    at("agent-peers").replaceChildren();
    at("agent-evidence").replaceChildren(made("li", { class: "faint" }, "This page does not listen to it."));
    return;
  }
  at("agent-facts").replaceChildren(
    fact("serving for", duration(s.uptime_s)), fact("final so far", whole(s.final_total)),
    fact("final a second", whole(s.finals_per_second)), fact("refused here", whole(s.refused_total)),
    fact("latency, median", `${milliseconds(s.latency_ms_p50)} ms`), fact("latency, 99th", `${milliseconds(s.latency_ms_p99)} ms`),
    fact("own height", whole(s.height)), fact("queued", whole(s.queued)), fact("open slots", whole(s.open_slots)),
    fact("blocks in the journal", whole(s.journal_blocks)), fact("one fsync", `${milliseconds(s.fsync_ms_p50)} ms`),
    fact("signatures checked", whole(s.signatures_checked)), fact("memory", megabytes(s.rss_bytes)),
    fact("checkpoint", !s.checkpoint ? "none yet" : `${s.checkpoint}, signed by ${s.checkpoint_signed_by}`),
    fact("proposals to approve", whole(s.proposals_to_approve)), fact("texts waiting", whole(s.texts_waiting)),
  );
  stack(at("agent-peers"), s.peers.filter((peer) => peer.index !== member.index).map((peer) =>
    row(made("td", null, peer.name), made("td", { class: peer.convicted || !peer.connected ? "bad" : "good" },
      peer.convicted ? "convicted" : peer.connected ? "up" : "down"),
    whole(peer.height), whole(peer.height_final), peer.behind > 0 ? whole(peer.behind) : "–",
    megabytes(peer.bytes_in), megabytes(peer.bytes_out))));
  const evidence = member.live.evidence.map((one) => made("li", null,
    made("a", { href: `${member.door}/v1/evidence/${one.super_agent}`, download: `evidence-${one.name}` }, one.name),
    `: ${one.why}`));
  const rows = keepRows(at("agent-evidence"), member.live.evidence.map((one) => one.name),
    (name) => evidence[member.live.evidence.findIndex((one) => one.name === name)]);
  if (!rows.size || !member.live.evidence.length) {
    at("agent-evidence").replaceChildren(made("li", { class: "good" }, "Against nobody."));
  }
}

// -- the whole -----------------------------------------------------------------------------------

function show() {
  showVerdict();
  announce();
  rates.add([network.witness?.live.status.finals_per_second ?? null]);
  latencies.add(network.latency);
  ({ network: showNetwork, money: showMoney, order: () => {}, "super-agent": showMember })[page().name]();
}

function turn() {
  const { name, rest } = page();
  for (const one of PAGES) at(`page-${one}`).hidden = one !== name;
  for (const link of document.querySelectorAll("nav a")) {
    if (link.hash === `#/${name}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (name === "order" && rest.length) {
    at("query").value = rest.join("/");
    findOrder(rest.join("/"));
  }
  show();
  if (name === "money") showBanks().catch(() => {});
  document.title = `${network.about.name_of_super_agent} · Harambee ${name}`;
}

async function tendButtons() {
  const isThere = await control.look();
  say(at("button-words"), isThere
    ? "This network is for development: its super-agents can be broken here, for real."
    : "The buttons of harambee up do not answer.");
  setTimeout(tendButtons, BUTTONS_MS);
}

async function tendBanks() {
  try {
    await showBanks();
  } catch {
    say(at("money-words"), "No super-agent answers.");
  }
  setTimeout(tendBanks, BANKS_MS);
}

async function begin() {
  let about;
  try {
    about = await (await fetch("/v1/network")).json();
  } catch {
    say(at("verdict"), "This super-agent does not answer; asking again …", "bad");
    setTimeout(begin, AGAIN_MS);
    return;
  }
  network = new Network(about);
  ring = new Ring(at("ring"), network);
  rates = new Chart(at("chart-rate"), [{ name: "final a second", write: whole }]);
  latencies = new Chart(at("chart-latency"), [{ name: "median", write: milliseconds }, { name: "99th of 100", write: milliseconds }]);
  say(at("title"), `${about.name_of_super_agent} · ${about.name}`);
  say(at("network-id"), about.network);
  at("agent-choice").append(...network.members.map((member) => made("option", { value: member.name }, member.name)));
  at("agent-choice").addEventListener("change", (event) => {
    location.hash = `#/super-agent/${encodeURIComponent(event.target.value)}`;
  });
  at("search").addEventListener("submit", orderIsLookedFor);
  document.querySelector("th.for-buttons").hidden = !control;
  say(at("button-words"), control ? "" : "Each is asked for its own word; its height is that of its newest block.");
  window.addEventListener("hashchange", turn);
  window.addEventListener("resize", () => path && showOrder(network, path));
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && !/INPUT|SELECT/.test(event.target.tagName)) {
      event.preventDefault();
      location.hash = "#/order";
      requestAnimationFrame(() => at("query").focus());
    }
  });
  turn();
  setInterval(show, SHOWN_MS);
  tendBanks();
  tendOrder();
  if (control) tendButtons();
}

begin();
