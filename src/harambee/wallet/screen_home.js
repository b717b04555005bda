/** The first screen: what there is, what is asked for, what is on its way, and what came last. */

import { DoorError } from "./doors.js";
import { sayPayment } from "./screen_pay.js";
import { lineRow } from "./screen_history.js";
import { approve, refuse, waiting } from "./requests.js";
import { HandsetError } from "./errors.js";
import { BeliefError, pause } from "./agreement.js";
import { t } from "./texts.js";
import { button, el, facts, form, heading, money } from "./ui.js";

const REFRESH_MS = 8_000;
const LISTEN_MS = 10_000;
const LOOK_AGAIN_MS = 2_000;
const LATEST = 5;
const DESKS = { agent: ["#agent", "agentDesk"], merchant: ["#till", "tillDesk"], business: ["#till", "tillDesk"] };

export async function homeScreen(app, _argument, signal) {
  const { handset } = app;
  const figure = el("p", { class: "figure", "aria-live": "polite" });
  const beneath = el("p", { class: "hint" });
  const latest = el("div", {});
  const asked = el("div", { "aria-live": "polite" });
  const open = el("div", { "aria-live": "polite" });
  const desks = el("p", { class: "links" });

  const refresh = async () => {
    const [view, page] = await Promise.all([handset.balance(), handset.statement(LATEST)]);
    figure.textContent = money(view.balance);
    const { balance, available: free } = view;
    const available = free === balance ? "" : t("available", { detail: money(free) });
    beneath.textContent = view.agreed ? available : t("notAgreed");
    const rows = page.lines.map((line) => lineRow(app, line));
    const none = el("p", { class: "hint" }, t("nothingYet"));
    latest.replaceChildren(rows.length === 0 ? none : el("ul", { class: "lines" }, rows));
    const desk = DESKS[view.kind];
    desks.replaceChildren(...(desk === undefined ? [] : [el("a", { href: desk[0], class: "desk" }, t(desk[1]))]));
  };
  await refresh();
  keepFresh(refresh, signal);
  listen(app, asked, signal);
  await goOn(app, open);
  return [
    heading(t("home")),
    el("section", { class: "card balance", "aria-label": t("balance") },
      el("p", { class: "label" }, app.settings.name || t("account", { detail: handset.account })),
      figure,
      beneath,
      el("p", { class: "label" }, app.settings.msisdn || t("account", { detail: handset.account })),
    ),
    open,
    asked,
    desks,
    el("section", { class: "card" }, el("h2", {}, t("latest")), latest),
  ];
}

/** Errors of one refresh are shown by the next one that works; the figure stays as it was. */
async function keepFresh(refresh, signal) {
  while (!signal.aborted) {
    await pause(REFRESH_MS);
    if (!signal.aborted && !document.hidden) {
      await refresh().catch(passing);
    }
  }
}

/** A network that fails for a while is no error of a screen that asks again by itself. */
export function passing(error) {
  if (!(error instanceof DoorError || error instanceof BeliefError || error instanceof HandsetError)) {
    throw error;
  }
}

/** What merchants ask, as soon as they ask it. */
async function listen(app, place, signal) {
  let waitMs = 0;
  while (!signal.aborted) {
    try {
      const found = await waiting(app.handset, waitMs, signal);
      if (!signal.aborted && !place.contains(document.activeElement)) {
        drawRequests(app, place, found);
      }
      // With something on the screen only what is new would end the wait: it is looked at again anyhow.
      waitMs = found.length === 0 ? LISTEN_MS : 0;
      await pause(found.length === 0 ? 0 : LOOK_AGAIN_MS);
    } catch (error) {
      passing(error);
      await pause(REFRESH_MS);
    }
  }
}

function drawRequests(app, place, found) {
  const cards = found.map((request) => {
    const { name, amount, text, account } = request;
    const look = button(t("approve"), () => app.show(...confirmRequest(app, request)), { class: "main" });
    const no = button(t("refuse"), async () => {
      await refuse(app.handset, request).catch(passing);
      card.remove();
    });
    const card = el("li", { class: "request" },
      el("p", {}, t("asksToPay", { name, amount: money(amount) })),
      el("p", { class: "hint" }, [account, text].filter(Boolean).join(" · ")),
      el("div", { class: "row" }, look, no),
    );
    return card;
  });
  const list = el("section", { class: "card" }, el("h2", {}, t("asks")), el("ul", { class: "lines" }, cards));
  place.replaceChildren(...(cards.length === 0 ? [] : [list]));
}

function confirmRequest(app, request) {
  const fee = el("span", {}, "…");
  const total = el("span", {}, "…");
  let cents = null;
  const price = app.handset.priceOf(request).then((found) => {
    cents = found;
    fee.textContent = money(found);
    total.textContent = money(request.amount + found);
  });
  const act = async () => {
    await price;
    app.show(...sayPayment(app, await approve(app.handset, request, cents)));
  };
  price.catch(passing);
  return [
    heading(t("confirmTitle")),
    facts([
      [t("to"), request.name],
      [t("forBill"), [request.account, request.text].filter(Boolean).join(" · ") || "—"],
      [t("sum"), money(request.amount)],
      [t("fee"), fee],
      [t("total"), total],
    ]),
    form(t("confirm"), act),
    button(t("back"), () => app.route()),
  ];
}

/** A payment that an earlier run left open is brought to its end, or can be cancelled. */
async function goOn(app, place) {
  const slot = await app.handset.slot();
  if (slot.orders.length === 0) {
    return;
  }
  const show = async (act) => {
    const payment = await act();
    if (payment !== null) {
      app.show(...sayPayment(app, payment));
    }
  };
  place.replaceChildren(
    el("section", { class: "card" },
      el("p", {}, t("openPayment")),
      form(t("goOn"), () => show(() => app.handset.resume())),
      form(t("cancelIt"), () => show(() => app.handset.cancel())),
    ),
  );
}
