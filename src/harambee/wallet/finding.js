/** What a payment needs to know, each as w super-agents say: accounts, movements and the tariff of a day. */

import { believed } from "./agreement.js";
import { hex } from "./bytes.js";
import { DoorError, ProblemError } from "./doors.js";
import { HandsetError } from "./errors.js";
import { FORM_ED25519, FORM_P256_EVEN, FORM_P256_ODD } from "./keys.js";
import { readTariff } from "./money.js";

const MOVEMENTS = {
  customer: {
    customer: "send", pochi: "send", agent: "withdraw", merchant: "buy_goods", bank: "bank_deposit",
    business: "pay_bill",
  },
  agent: { customer: "deposit", agent: "float_sale", float: "float_sale", bank: "bank_deposit", business: "airtime" },
  merchant: {
    customer: "pay_out", pochi: "pay_out", merchant: "business_transfer", business: "business_transfer",
    bank: "bank_deposit",
  },
};
MOVEMENTS.pochi = MOVEMENTS.customer;
MOVEMENTS.business = MOVEMENTS.merchant;

/** The movement between accounts of these kinds; HandsetError where there is none. */
export function movementBetween(payer, payee) {
  const movement = MOVEMENTS[payer]?.[payee];
  if (movement === undefined) {
    throw new HandsetError("noMovement");
  }
  return movement;
}

/** An account without its balance, which changes while doors are asked. */
export async function lasting(door, number) {
  const view = await door.account(number);
  return view === null ? null : { ...view, balance: 0, available: 0 };
}

function formOf(view) {
  if (view.keyType === "ed25519") {
    return FORM_ED25519;
  }
  return view.keyIsOdd ? FORM_P256_ODD : FORM_P256_EVEN;
}

export function isKeyOf(view, key) {
  return view.key === hex(key.public) && formOf(view) === key.form;
}

const NO_NUMBER = -1;

/** The account of a number; NO_NUMBER for a text that is none, which w have to say, too. */
async function directory(door, text) {
  try {
    return await door.directory(text);
  } catch (error) {
    if (error instanceof ProblemError && error.code === "TELEPHONE_INVALID") {
      return NO_NUMBER;
    }
    throw error;
  }
}

/** The account under an account number, a telephone number or a short code, as w say; HandsetError if none. */
export async function find(network, text) {
  const bare = text.trim();
  let number = /^[0-9]{1,10}$/.test(bare) && !/^0[17][0-9]{8}$/.test(bare) ? Number(bare) : null;
  if (number === null || number > 0xffffffff) {
    number = await believed(network, (door) => directory(door, bare));
  }
  if (number === NO_NUMBER) {
    throw new HandsetError("numberWrong");
  }
  const view = number === null ? null : await believed(network, (door) => lasting(door, number));
  if (view === null) {
    throw new HandsetError("noAccount");
  }
  return view;
}

/** The tariff of a day, as w super-agents say: of those that have begun by then the newest. */
export async function tariffOf(network, day) {
  const rows = (await believed(network, (door) => door.tariffs())).filter((row) => row.firstDay <= day);
  const newest = rows.reduce(
    (best, row) =>
      best === null || row.firstDay > best.firstDay || (row.firstDay === best.firstDay && row.version > best.version)
        ? row
        : best,
    null,
  );
  for (const door of newest === null ? [] : network.doors) {
    try {
      const tariff = readTariff(await door.tariff(newest.version), newest.digest);
      if (tariff !== null) {
        return tariff;
      }
    } catch (error) {
      if (!(error instanceof DoorError)) {
        throw error;
      }
    }
  }
  throw new HandsetError("noTariff");
}
