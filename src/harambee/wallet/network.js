/**
 * The network as this wallet knows it: whose words count, and where to ask.
 *
 * The genesis is pinned at first use. Its hash is the network's id, and every signature of this wallet and
 * every receipt that it believes is for that id: whoever serves the page afterwards cannot change it. Where
 * doors are may change; a false address costs an answer and nothing more.
 */

import { digest } from "./blake2b.js";
import { fromHex, hex, utf8 } from "./bytes.js";
import { Door, DoorError } from "./doors.js";

const MEMBERS_MAX = 1_000;
const GREETING_MS = 3_000;

/** The network that a genesis document describes; an error if it is none. Its text is what is pinned. */
export function readGenesis(text) {
  const said = JSON.parse(text);
  const rows = said.super_agents;
  if (said.format !== 1 || !Array.isArray(rows) || rows.length === 0 || rows.length > MEMBERS_MAX) {
    throw new RangeError("this is no genesis that this wallet can read");
  }
  const members = rows.map((row) => ({
    name: String(row.name),
    key: fromHex(row.key, 32),
    regions: row.regions.map(Number),
  }));
  const network = digest(utf8("harambee genesis"), utf8(text));
  const f = Math.floor((members.length - 1) / 3);
  return {
    text,
    network,
    id: hex(network),
    name: String(said.name),
    isDevelopment: said.development === true,
    epoch: said.epoch,
    members,
    regions: 1 + Math.max(...members.flatMap((member) => member.regions)),
    tariff: said.tariffs[0].version,
    tariffs: said.tariffs,
    n: members.length,
    q: members.length - f,
    w: f + 1,
  };
}

/** The doors of a network, from rows {name, http}: one for each member that has an address. */
export function doorsOf(genesis, rows) {
  const places = new Map(rows.map((row) => [String(row.name), String(row.http)]));
  return genesis.members.flatMap((member, index) => {
    const base = places.get(member.name) ?? "";
    return /^https?:\/\/[^/?#]+$/.test(base) ? [new Door(index, member.name, base)] : [];
  });
}

/** What the door at this address tells of its network: {genesis, rows}; a DoorError if it tells nothing. */
export async function greet(base) {
  const door = new Door(-1, "", base);
  try {
    const [document, said] = await Promise.all([
      door.send("GET", "/v1/genesis"),
      door.ask("GET", "/v1/network"),
    ]);
    const genesis = readGenesis(new TextDecoder().decode(document));
    return { genesis, rows: [...said.doors].map(({ name, http }) => ({ name, http })) };
  } catch (error) {
    throw error instanceof DoorError ? error : new DoorError("the answer cannot be understood");
  }
}

/**
 * Learn a network for the first time, from the door that served this page.
 *
 * The others that it names are asked which network they serve: w of them, this one counted, must say the
 * same. Where `expected` is an id that the owner has on paper, nothing else is believed.
 */
export async function learn(base, expected = "") {
  const { genesis, rows } = await greet(base);
  if (expected !== "" && genesis.id !== expected) {
    throw new DoorError("this super-agent serves another network");
  }
  const agreeing = await Promise.all(
    doorsOf(genesis, rows).map((door) =>
      door.send("GET", "/v1/genesis", null, "", 0, AbortSignal.timeout(GREETING_MS)).then(
        (document) => (readGenesis(new TextDecoder().decode(document)).id === genesis.id ? 1 : 0),
        () => 0,
      ),
    ),
  );
  if (agreeing.reduce((sum, one) => sum + one, 0) < genesis.w) {
    throw new DoorError("too few super-agents answer");
  }
  return { genesis, rows };
}

/** The network for asking: what is pinned, and doors in an order that begins with `first`. */
export function networkOf(genesis, rows, first = 0) {
  const doors = doorsOf(genesis, rows);
  const begin = doors.length === 0 ? 0 : first % doors.length;
  return { ...genesis, doors: [...doors.slice(begin), ...doors.slice(0, begin)] };
}
