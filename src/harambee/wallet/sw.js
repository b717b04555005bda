/**
 * Keeps the wallet's files, so that it opens with no network and stays the version it is.
 *
 * The files are fetched once, when the wallet is first opened. From then on they are served from here, and
 * replaced only when the owner asks for it, all together. What the wallet asks of super-agents is none of this
 * file's business and passes by it.
 */

const CACHE = "harambee-wallet";
const FRESH = "harambee-wallet-fresh";
const FILES = [
  "./", "app.css", "manifest.webmanifest", "icon.svg", "icon-192.png", "icon-512.png",
  "agreement.js", "app.js", "blake2b.js", "bytes.js", "doors.js", "ed25519.js", "enrolling.js", "errors.js",
  "finding.js", "handset.js", "ke_qr.js", "keys.js", "money.js", "network.js", "new_keys.js", "pin.js",
  "proofs.js", "qr.js", "receipts.js", "requests.js", "scanning.js", "screen_desks.js", "screen_history.js",
  "screen_home.js", "screen_more.js", "screen_pay.js", "screen_receive.js", "screen_start.js",
  "settlement.js", "store.js", "texts.js", "ui.js", "wire.js",
];

function addressOf(file) {
  return new URL(file, self.location).href;
}

/** Fetch every file into a cache of this name; all of them or none. */
async function fill(name) {
  await caches.delete(name);
  const cache = await caches.open(name);
  await cache.addAll(FILES.map((file) => new Request(addressOf(file), { cache: "no-cache" })));
  return cache;
}

async function isWhole() {
  const cache = await caches.open(CACHE);
  return (await cache.keys()).length > 0;
}

async function contentOf(cache, file) {
  const found = await cache.match(addressOf(file));
  return found === undefined ? "" : found.text();
}

/** "same" or "new", compared file by file with what this address serves now, or "unreachable". */
async function compare() {
  let fresh;
  try {
    fresh = await fill(FRESH);
  } catch {
    return "unreachable";
  }
  const kept = await caches.open(CACHE);
  const same = await Promise.all(
    FILES.map(async (file) => (await contentOf(kept, file)) === (await contentOf(fresh, file))),
  );
  return same.every(Boolean) ? "same" : "new";
}

/** Put what was compared last into the place of what is here. */
async function take() {
  const [kept, fresh] = await Promise.all([caches.open(CACHE), caches.open(FRESH)]);
  await Promise.all(FILES.map(async (file) => kept.put(addressOf(file), await fresh.match(addressOf(file)))));
  await caches.delete(FRESH);
  return "taken";
}

self.addEventListener("install", (event) => {
  event.waitUntil(isWhole().then((whole) => (whole ? null : fill(CACHE))));
});

self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));

self.addEventListener("message", (event) => {
  const acts = { compare, take };
  if (event.data in acts) {
    event.waitUntil(acts[event.data]().then((answer) => event.ports[0].postMessage(answer)));
  }
});

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const scope = new URL(self.registration.scope);
  const address = new URL(request.url);
  if (request.method !== "GET" || address.origin !== scope.origin || !address.pathname.startsWith(scope.pathname)) {
    return;
  }
  const name = request.mode === "navigate" ? scope.href : `${address.origin}${address.pathname}`;
  const kept = caches.open(CACHE).then((cache) => cache.match(name));
  event.respondWith(kept.then((found) => found ?? fetch(request)));
});
