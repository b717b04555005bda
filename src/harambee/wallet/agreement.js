/** Believing doors: a fact counts when w super-agents say the same, because one of them is honest. */

import { DoorError, ProblemError } from "./doors.js";

const HEDGE_MS = 500;
const ROUNDS = 5;
const ROUND_PAUSE_MS = 100;

/** Too few super-agents answer, or they do not agree; `code` is for the texts. */
export class BeliefError extends Error {
  constructor(code) {
    super(code);
    this.code = code;
  }
}

export function pause(milliseconds) {
  return new Promise((resolve) => {
    setTimeout(resolve, milliseconds);
  });
}

/**
 * The first answer that `needed` doors give alike; answers are compared as JSON.
 *
 * So many doors are asked as are needed, in order, and one more whenever those under way can no longer
 * agree, or take long.
 */
export async function agreed(doors, needed, ask) {
  const waiting = [...doors];
  const running = new Map();
  const counts = new Map();
  let wanted = needed;
  for (;;) {
    while (waiting.length > 0 && running.size < wanted) {
      const door = waiting.shift();
      const asked = ask(door).then(
        (answer) => ({ door, answer: JSON.stringify(answer) }),
        (error) => ({ door, error }),
      );
      running.set(door, asked);
    }
    if (running.size === 0) {
      const heard = [...counts.values()].reduce((sum, count) => sum + count, 0);
      throw new BeliefError(heard >= needed ? "disagree" : "unreachable");
    }
    const late = waiting.length > 0 ? [pause(HEDGE_MS)] : [];
    const said = await Promise.race([...running.values(), ...late]);
    if (said !== undefined) {
      running.delete(said.door);
      if (said.error !== undefined && !(said.error instanceof DoorError)) {
        throw said.error;
      }
      if (said.error === undefined) {
        const count = (counts.get(said.answer) ?? 0) + 1;
        if (count >= needed) {
          return JSON.parse(said.answer);
        }
        counts.set(said.answer, count);
      }
    }
    wanted = Math.max(
      needed - Math.max(0, ...counts.values()),
      running.size + (said === undefined ? 1 : 0),
    );
  }
}

/** What w super-agents of this network say alike; they are asked again while they differ. */
export async function believed(network, ask) {
  const checked = async (door) => {
    await door.checkNetwork(network.id);
    return ask(door);
  };
  for (let turn = 1; ; turn += 1) {
    try {
      return await agreed(network.doors, network.w, checked);
    } catch (error) {
      if (!(error instanceof BeliefError) || error.code !== "disagree" || turn === ROUNDS) {
        throw error;
      }
    }
    await pause(ROUND_PAUSE_MS);
  }
}

/** What the first door that answers says: for what is one super-agent's word anyhow. */
export async function told(network, ask) {
  let last = new BeliefError("unreachable");
  for (const door of network.doors) {
    try {
      await door.checkNetwork(network.id);
      return await ask(door);
    } catch (error) {
      if (!(error instanceof DoorError)) {
        throw error;
      }
      // A door that says why it does not answer says more than one that is silent.
      last = error instanceof ProblemError || !(last instanceof ProblemError) ? error : last;
    }
  }
  throw last;
}
