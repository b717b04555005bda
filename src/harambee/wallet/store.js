/**
 * What this wallet keeps, in the browser's own database and nowhere else.
 *
 * One record under each name: "owner" (account, key), "network" (genesis, doors), "slot" (the order that is
 * on its way), "pin", "settings"; receipts, payees and answered requests are rows of their own. What must not be
 * lost is written with strict durability: the promise ends when it is on the disk.
 */

const NAME = "harambee-wallet";
const VERSION = 1;
const STORES = ["records", "receipts", "answered", "names"];

let opened;

function database() {
  opened ??= new Promise((resolve, reject) => {
    const opening = indexedDB.open(NAME, VERSION);
    opening.onupgradeneeded = () => {
      STORES.forEach((store) => opening.result.createObjectStore(store));
    };
    opening.onsuccess = () => resolve(opening.result);
    opening.onerror = () => reject(opening.error);
  });
  return opened;
}

async function transact(store, mode, act) {
  const db = await database();
  return new Promise((resolve, reject) => {
    const transaction = db.transaction(store, mode, { durability: "strict" });
    const request = act(transaction.objectStore(store));
    transaction.oncomplete = () => resolve(request.result);
    transaction.onabort = () => reject(transaction.error);
  });
}

export function get(name, store = "records") {
  return transact(store, "readonly", (at) => at.get(name));
}

export function put(name, value, store = "records") {
  return transact(store, "readwrite", (at) => at.put(value, name));
}

export function remove(name, store = "records") {
  return transact(store, "readwrite", (at) => at.delete(name));
}

/** All values of a store, in the order of their names. */
export function all(store) {
  return transact(store, "readonly", (at) => at.getAll());
}

/** Forget the rows whose names stand below this one. */
export function removeBelow(name, store) {
  return transact(store, "readwrite", (at) => at.delete(IDBKeyRange.upperBound(name, true)));
}
