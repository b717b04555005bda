"""Holds and reversals over HTTP: terms, states, pages, receipts of what ended them, and hostile addresses."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.gateways.conftest import PAYEE, PAYER, TODAY

from harambee.handset.doors import HttpDoor
from harambee.handset.holds import HoldState, HoldView, hold_options, release_of, void_of
from harambee.handset.network_file import DoorAddress
from harambee.handset.orders import OrderBody, order_id
from harambee.handset.receipt_code import receipt_code
from harambee.ledger.kinds import OrderKind
from harambee.ledger.records import SEQUENCE_LAST
from harambee.ledger.side_tables import Hold, Reversal
from harambee.money.tariff import FeeMode
from harambee.node.port import HoldFacts, OpenHold, ReversalFacts

VIEW = HoldView(
    PAYER,
    7,
    PAYEE,
    500_00,
    7_00,
    1,
    TODAY,
    3,
    OrderKind.SEND,
    FeeMode.PAYER,
    is_authorisation=True,
)
HOLD = OrderBody(
    PAYER,
    PAYEE,
    500_00,
    7_00,
    7,
    OrderKind.HOLD,
    1,
    TODAY,
    hold_options(OrderKind.SEND, 3, FeeMode.PAYER, authorisation=True),
).to_bytes() + bytes(64)
RELEASED = release_of(VIEW, PAYEE, 200_00, 7_00, TODAY).to_bytes() + bytes(64)
VOIDED = void_of(VIEW, PAYEE, TODAY).to_bytes() + bytes(64)
TERMS = Hold(PAYEE, 500_00, 7_00, 1, TODAY, OrderKind.SEND, FeeMode.PAYER, 3, is_authorisation=True)
PATH = f"/v1/holds/{PAYER}/7"


def ask(client, path, query=""):
    return asyncio.run(client.ask("GET", path, query=query.encode()))


def test_a_hold_says_its_terms_and_how_it_stands_with_it(client, port):
    assert ask(client, PATH).code == "HOLD_UNKNOWN"
    port.holds_held[PAYER, 7] = HoldFacts(HOLD, 0, None)
    document = ask(client, PATH).document
    order, ending = document.pop("order"), document.pop("ending")
    assert order["kind"] == "hold"
    assert ending is None
    assert document == {
        "payer": PAYER,
        "sequence": 7,
        "payee": PAYEE,
        "amount_cents": 500_00,
        "fee_cents": 7_00,
        "tariff": 1,
        "day": TODAY,
        "days": 3,
        "free_day": TODAY + 3,
        "movement": "send",
        "fee_mode": "payer",
        "authorisation": True,
        "receipt_code": receipt_code(PAYER, 7, TODAY, 4),
        "state": "held",
        "slot": 0,
        "released_cents": 0,
        "ended_by": None,
    }


@pytest.mark.parametrize(
    ("ending", "state", "cents"), [(RELEASED, "released", 200_00), (VOIDED, "voided", 0)]
)
def test_what_ended_a_hold_is_told_and_signed_for(client, port, ending, state, cents):
    port.holds_held[PAYER, 7] = HoldFacts(HOLD, SEQUENCE_LAST, ending)
    document = ask(client, PATH).document
    assert (document["state"], document["released_cents"]) == (state, cents)
    assert (document["ended_by"], document["slot"]) == (PAYEE, None)
    told = document["ending"]
    assert told["hold"] == {"payer": PAYER, "sequence": 7}
    assert told["receipt_code"] == document["receipt_code"]
    name = order_id(port.genesis.network, ending).hex()
    assert told["id"] == name
    assert document["receipt"] == {
        "super_agent": 0,
        "outcome": 0,
        "signature": port.receipt(bytes.fromhex(name)).hex(),
    }
    by_id = ask(client, f"{PATH}/ending", f"id={name}").document
    assert by_id == {"state": "final", "order": told, "receipt": document["receipt"]}
    assert ask(client, f"{PATH}/ending").document == by_id
    other = ask(client, f"{PATH}/ending", f"id={'ab' * 32}").document
    assert other == {"state": "other", "order": told}


def test_a_slot_of_a_hold_that_was_closed_is_said_to_be(client, port):
    port.holds_held[PAYER, 7] = HoldFacts(HOLD, 1, None)
    port.skipped_to = 1
    assert ask(client, f"{PATH}/ending", "slot=0").document == {"state": "skipped"}
    assert ask(client, f"{PATH}/ending", "slot=1&wait_ms=70").document == {"state": "unknown"}
    assert port.waits[-1] == 70


def test_open_holds_of_an_account_come_in_pages(client, port):
    others = [OpenHold(PAYER, sequence, TERMS) for sequence in range(5)]
    port.open_holds = [*others, OpenHold(PAYEE, 2**31, TERMS._replace(payee=PAYER))]
    path = f"/v1/accounts/{PAYER}/holds"
    pages, after = [], ""
    while True:
        page = ask(client, path, f"limit=2{after}").document
        pages += page["holds"]
        if page["next_after"] is None:
            break
        after = f"&after={page['next_after']}"
    assert [(row["payer"], row["sequence"]) for row in pages] == [
        *((PAYER, sequence) for sequence in range(5)),
        (PAYEE, 2**31),
    ]
    assert pages[0]["slot"] == 0
    assert ask(client, f"/v1/accounts/{PAYEE}/holds", "limit=99999").status == 200
    assert ask(client, "/v1/accounts/99/holds").code == "ACCOUNT_UNKNOWN"


def test_a_reversal_says_what_was_asked_and_what_came_back(client, port, order):
    path = f"/v1/reversals/{PAYER}/7"
    assert ask(client, path).code == "PAYMENT_UNKNOWN"
    port.reversals_held[PAYER, 7] = ReversalFacts(order, Reversal(500, 200, is_refused=True))
    document = ask(client, path).document
    assert document.pop("order")["id"] == order_id(port.genesis.network, order).hex()
    assert document == {
        "payer": PAYER,
        "sequence": 7,
        "asked_cents": 500,
        "refunded_cents": 200,
        "refused": True,
        "disputed": False,
    }


def test_an_account_says_what_of_its_balance_is_available(client, port):
    record = port.accounts_held[PAYER]
    record["balance"], record["held"], record["frozen"] = 1_000, 300, 250
    document = ask(client, f"/v1/accounts/{PAYER}").document
    cents = ("balance_cents", "held_cents", "frozen_cents", "available_cents")
    assert [document[name] for name in cents] == [1_000, 300, 250, 450]


SEGMENT = st.one_of(
    st.sampled_from(["0", "7", "16", str(2**32 - 1), str(2**32), "-1", "", "٣", "1e3", "*"]),
    st.text(max_size=12),
)
QUERY = st.one_of(
    st.sampled_from(["", "slot=0", "slot=x", "id=00", "after=18446744073709551616", "limit=0"]),
    st.text(st.characters(codec="ascii"), max_size=30),
)


@given(
    st.sampled_from(["holds", "reversals", "accounts"]),
    SEGMENT,
    SEGMENT,
    st.sampled_from(["", "/ending", "/holds"]),
    QUERY,
)
def test_hostile_addresses_get_a_problem_and_no_mistake(make_client, where, one, two, end, query):
    client = make_client()
    path = f"/v1/{where}/{one}/{two}{end}"
    client.port.holds_held[PAYER, 7] = HoldFacts(HOLD, SEQUENCE_LAST, RELEASED)
    reply = asyncio.run(client.ask("GET", path, query=query.encode()))
    assert reply.status in {200, 400, 404, 405}


# -- as a handset's door reads them -----------------------------------------------------------------


class Said(HttpDoor):
    """A door whose answers are those of an application in this process."""

    def __init__(self, client):
        super().__init__(0, DoorAddress("agent-0", "http://nowhere"), None)
        self.client = client

    async def _send(self, method, path, content, content_type, wait_ms=0):
        at, _, query = path.partition("?")
        reply = await self.client.ask(method, at, query=query.encode())
        if reply.status >= 400:
            raise self._problem(reply.status, reply.body)
        return reply.body


def test_a_door_reads_what_the_gateway_says(client, port, order):
    door, key = Said(client), (PAYER, 7)

    def run(asking):
        return asyncio.run(asking)

    assert run(door.hold(*key)) is None
    assert run(door.reversal(*key)) is None
    port.holds_held[key] = HoldFacts(HOLD, 0, None)
    port.open_holds = [OpenHold(PAYER, 7, TERMS)]
    assert run(door.hold(*key)) == VIEW
    assert run(door.holds(PAYER, None)).holds == (VIEW,)
    assert run(door.final_ending(key, 0)) is None
    name = order_id(port.genesis.network, RELEASED)
    assert run(door.ending(key, 0, name, 0)).state == "unknown"
    port.holds_held[key] = HoldFacts(HOLD, SEQUENCE_LAST, RELEASED)
    ended = run(door.hold(*key))
    assert (ended.state, ended.released_cents, ended.ended_by) == (
        HoldState.RELEASED,
        200_00,
        PAYEE,
    )
    assert run(door.ending(key, 0, name, 0)).receipt.signature == port.receipt(name)
    assert run(door.ending(key, 0, bytes(32), 0)).other_id == name
    assert run(door.final_ending(key, 0)).body == RELEASED[:64]
    port.reversals_held[key] = ReversalFacts(order, Reversal(500, 200, is_refused=True))
    assert run(door.reversal(*key)).refunded_cents == 200
