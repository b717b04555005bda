/** Opening an account through any super-agent. */

import { believed, pause } from "./agreement.js";
import { DoorError, ProblemError } from "./doors.js";
import { HandsetError } from "./errors.js";
import { isKeyOf, lasting } from "./finding.js";
import * as wire from "./wire.js";

const CONFIRM_TRIES = 40;
const CONFIRM_PAUSE_MS = 150;
const ENROLMENT_TRIES = 4;

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
  const isItsOwn =
    network.members[door.index].regions.includes(region) &&
    view.enrolmentAccount === region * 2 ** 20 &&
    view.account === view.enrolmentAccount + view.sequence;
  if (!isItsOwn) {
    throw new DoorError("this super-agent offers an account that is not its own to give");
  }
  const body = wire.orderBody({
    payer: view.enrolmentAccount, payee: view.account, amount: 0, fee: 0, sequence: view.sequence,
    kind: wire.KIND.enrol, tariff: network.tariffs.at(-1).version, day: view.day,
    options: Uint8Array.of(1, key.form, 0), reference: key.public,
  });
  return door.register(body, await wire.signPossession(key, network.network, body), msisdn);
}
