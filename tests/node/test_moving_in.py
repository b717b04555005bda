"""Moving house: every row is accepted or refused for one reason, and no cent is lost in between."""

import csv
from datetime import datetime
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.crypto.curve import TORSION_ENCODINGS, P
from tests.node.incumbents import (
    ED25519,
    P256,
    SUPER_AGENTS,
    Fresh,
    csv_file,
    hexadecimal,
    nobody,
    row,
)

from harambee.crypto import keys, signatures
from harambee.crypto.hashing import TAG_ORDER, signed_prefix
from harambee.handset.orders import OrderBody, sign_order
from harambee.ledger import invariants
from harambee.ledger.kinds import OrderKind
from harambee.ledger.ledger import Ledger
from harambee.ledger.outcomes import Applied, Outcome
from harambee.ledger.records import (
    FIRST_FREE_POSITION,
    KIND_MASK,
    OPENING_ALIAS,
    ORDER,
    REGION_ACCOUNTS,
    SUPPLY_CENTS_MAX,
    AccountKind,
    account_flags,
    key_of,
    region_of,
)
from harambee.money.amounts import MAX_AMOUNT_CENTS
from harambee.money.tariff import NEWEST_VERSION, FeeMode, FeeTable, shipped_tariff
from harambee.node import development, network_folder
from harambee.node.account_files import COLUMNS, AccountFile, AccountFileError
from harambee.node.development import Bank
from harambee.node.directory import alias_of
from harambee.node.moving_in import KINDS, SENTENCES, Reason, judge
from harambee.node.network_folder import (
    NetworkFolderError,
    create_network,
    load_network,
    load_node,
    read_incumbent,
)

DIRECTORY_KEY = bytes(range(32))
TARIFF = shipped_tariff(NEWEST_VERSION)


def judged(folder, rows, taken=(1, 1)):
    return judge(
        AccountFile(csv_file(folder, rows)),
        super_agents=SUPER_AGENTS,
        tariff=TARIFF,
        directory_key=DIRECTORY_KEY,
        taken=taken,
        tell=nobody,
    )


def reasons_of(incumbent):
    return [Reason(reason) for reason in incumbent.rows["reason"].tolist()]


def reason_of(folder, **changes):
    (reason,) = reasons_of(judged(folder, [row(1, **changes)]))
    return reason


def opened(network):
    """The ledger of a network, as a super-agent opens it."""
    genesis = network.genesis
    ledger = Ledger(genesis.regions, genesis.tariffs, genesis.key_days)
    issuers = {issuer.account: issuer.limit_cents for issuer in genesis.document.issuers}
    ledger.open_accounts(network.openings, issuers)
    ledger.open_alias_rows(np.frombuffer(genesis.aliases, OPENING_ALIAS))
    return ledger


def account_of(network, ledger, number):
    found = ledger.alias(alias_of(network.directory_key(), number))
    return None if found is None else found[0]


# -- what is read of a row ------------------------------------------------------------------------

GOOD_KEY = hexadecimal(ED25519[1])


@pytest.mark.parametrize(
    ("changes", "number", "flags"),
    [
        ({}, "+254700000001", account_flags(AccountKind.CUSTOMER)),
        ({"kind": " Customer "}, "+254700000001", account_flags(AccountKind.CUSTOMER)),
        (
            {"number": "+254 700 000001", "tier": "1"},
            "+254700000001",
            account_flags(AccountKind.CUSTOMER, tier=1),
        ),
        ({"tier": "0"}, "+254700000001", account_flags(AccountKind.CUSTOMER)),
        ({"kind": "pochi"}, "pochi:+254700000001", account_flags(AccountKind.POCHI)),
        (
            {"kind": "pochi", "number": "Pochi 0700000001"},
            "pochi:+254700000001",
            account_flags(AccountKind.POCHI),
        ),
        ({"kind": "agent", "number": "12345"}, "agent:12345", account_flags(AccountKind.AGENT)),
        (
            {"kind": "merchant", "number": "123456"},
            "till:123456",
            account_flags(AccountKind.MERCHANT),
        ),
        (
            {"kind": "merchant", "number": "Till 0123456"},
            "till:0123456",
            account_flags(AccountKind.MERCHANT),
        ),
        (
            {"kind": "business", "number": "200001"},
            "paybill:200001",
            account_flags(AccountKind.BUSINESS),
        ),
        (
            {"kind": "business", "number": "200001", "fee_mode": "Shared"},
            "paybill:200001",
            account_flags(AccountKind.BUSINESS, fee_mode=FeeMode.SHARED),
        ),
        (
            {"key": GOOD_KEY.upper(), "key_type": "Ed25519"},
            "+254700000001",
            account_flags(AccountKind.CUSTOMER),
        ),
        ({"super_agent": "amani"}, "+254700000001", account_flags(AccountKind.CUSTOMER)),
        (
            {"super_agent": "0", "balance": "0.00"},
            "+254700000001",
            account_flags(AccountKind.CUSTOMER),
        ),
    ],
)
def test_a_good_row_is_an_account(tmp_path, changes, number, flags):
    incumbent = judged(tmp_path, [row(1, **changes)])
    assert reasons_of(incumbent) == [Reason.ACCEPTED]
    (found,) = incumbent.rows
    assert found["alias"].tobytes() == alias_of(DIRECTORY_KEY, number)
    assert found["flags"] == flags
    assert found["key"].tobytes() == ED25519[1].public
    assert found["balance"] == (0 if "balance" in changes else 1_000_50)
    assert found["region"] == (0 if "super_agent" in changes else 1)


@pytest.mark.parametrize("keypair", P256)
def test_a_key_of_a_phone_is_read_short_or_long(tmp_path, keypair):
    public = keys.public_of(keypair)
    short = bytes.fromhex(hexadecimal(keypair))
    point = keys.p256.ec.EllipticCurvePublicKey.from_encoded_point(
        keys.p256.ec.SECP256R1(), short
    ).public_numbers()
    long = f"04{point.x:064x}{point.y:064x}"
    for n, text in enumerate((short.hex(), long), start=1):
        incumbent = judged(tmp_path, [row(n, key=text, key_type="p256")])
        assert reasons_of(incumbent) == [Reason.ACCEPTED]
        (found,) = incumbent.rows
        assert found["key"].tobytes() == public.key
        assert found["flags"] == account_flags(
            AccountKind.CUSTOMER, key_type=1, p256_sign=keypair.is_odd
        )


SMALL = [encoding.hex() for encoding in TORSION_ENCODINGS]
NO_POINT = (2).to_bytes(32, "little").hex()
P256_NO_POINT = "02" + (2**256 - 1).to_bytes(32, "big").hex()

REFUSED = [
    ({"number": "x" * 201}, Reason.NOT_A_ROW),
    ({"kind": ""}, Reason.KIND_UNKNOWN),
    ({"kind": "bank"}, Reason.KIND_UNKNOWN),
    ({"kind": "enrolment"}, Reason.KIND_UNKNOWN),
    ({"number": ""}, Reason.NUMBER_WRONG),
    ({"number": "700000001"}, Reason.NUMBER_WRONG),
    ({"number": "0700000001.0"}, Reason.NUMBER_WRONG),
    ({"number": "07000000\u0661\u0661"}, Reason.NUMBER_WRONG),
    ({"number": "till:12345"}, Reason.NUMBER_WRONG),
    ({"number": "12345", "kind": "customer"}, Reason.NUMBER_WRONG),
    ({"kind": "agent"}, Reason.NUMBER_WRONG),
    ({"number": "till:12345", "kind": "agent"}, Reason.NUMBER_WRONG),
    ({"number": "agent:1234", "kind": "agent"}, Reason.NUMBER_WRONG),
    ({"number": "12345678", "kind": "merchant"}, Reason.NUMBER_WRONG),
    ({"number": "12345", "kind": "pochi"}, Reason.NUMBER_WRONG),
    ({"balance": ""}, Reason.BALANCE_NOT_EXACT),
    ({"balance": "100"}, Reason.BALANCE_NOT_EXACT),
    ({"balance": "100.5"}, Reason.BALANCE_NOT_EXACT),
    ({"balance": "100.505"}, Reason.BALANCE_NOT_EXACT),
    ({"balance": "1,000.00"}, Reason.BALANCE_NOT_EXACT),
    ({"balance": "1e3"}, Reason.BALANCE_NOT_EXACT),
    ({"balance": "+1.00"}, Reason.BALANCE_NOT_EXACT),
    ({"balance": "Ksh1.00"}, Reason.BALANCE_NOT_EXACT),
    ({"balance": "1" * 60 + ".00"}, Reason.BALANCE_NOT_EXACT),
    ({"balance": "-0.01"}, Reason.BALANCE_NEGATIVE),
    ({"balance": f"{MAX_AMOUNT_CENTS // 100}.01"}, Reason.BALANCE_TOO_LARGE),
    ({"balance": "9" * 36 + ".00"}, Reason.BALANCE_TOO_LARGE),
    ({"key": ""}, Reason.NO_KEY),
    ({"key": GOOD_KEY[:-2]}, Reason.KEY_UNREADABLE),
    ({"key": GOOD_KEY[:-1]}, Reason.KEY_UNREADABLE),
    ({"key": GOOD_KEY[:-3] + "  a"}, Reason.KEY_UNREADABLE),
    ({"key": "g" * 64}, Reason.KEY_UNREADABLE),
    ({"key_type": "rsa"}, Reason.KEY_UNREADABLE),
    ({"key_type": "p256"}, Reason.KEY_UNREADABLE),
    ({"key": hexadecimal(P256[0])}, Reason.KEY_UNREADABLE),
    ({"key": "04" + hexadecimal(P256[0])[2:], "key_type": "p256"}, Reason.KEY_UNREADABLE),
    ({"key": "00", "key_type": "p256"}, Reason.KEY_UNREADABLE),
    ({"key": P256_NO_POINT, "key_type": "p256"}, Reason.KEY_NOT_A_POINT),
    ({"key": NO_POINT}, Reason.KEY_NOT_A_POINT),
    ({"key": (P + 5).to_bytes(32, "little").hex()}, Reason.KEY_NOT_A_POINT),
    ({"key": "00" * 32}, Reason.KEY_OF_SMALL_ORDER),
    ({"key": SMALL[0]}, Reason.KEY_OF_SMALL_ORDER),
    ({"tier": "9"}, Reason.TIER_WRONG),
    ({"tier": "one"}, Reason.TIER_WRONG),
    ({"tier": "1", "kind": "agent", "number": "12345"}, Reason.TIER_WRONG),
    ({"fee_mode": "payer"}, Reason.FEE_MODE_WRONG),
    ({"fee_mode": "half", "kind": "business", "number": "12345"}, Reason.FEE_MODE_WRONG),
    ({"super_agent": ""}, Reason.SUPER_AGENT_UNKNOWN),
    ({"super_agent": "chapa"}, Reason.SUPER_AGENT_UNKNOWN),
    ({"super_agent": "2"}, Reason.SUPER_AGENT_UNKNOWN),
    ({"super_agent": "-1"}, Reason.SUPER_AGENT_UNKNOWN),
    ({"head_office": "12345"}, Reason.HEAD_OFFICE_WRONG),
    ({"head_office": "12", "kind": "agent", "number": "12345"}, Reason.HEAD_OFFICE_WRONG),
    ({"head_office": "0700000001", "kind": "agent", "number": "12345"}, Reason.HEAD_OFFICE_WRONG),
    ({"head_office": "23456", "kind": "agent", "number": "12345"}, Reason.HEAD_OFFICE_UNKNOWN),
    ({"head_office": "12345", "kind": "agent", "number": "12345"}, Reason.HEAD_OFFICE_UNKNOWN),
]


@pytest.mark.parametrize(("changes", "reason"), REFUSED)
def test_what_is_wrong_with_a_row_is_its_reason(tmp_path, changes, reason):
    assert reason_of(tmp_path, **changes) is reason


def test_no_reason_is_without_an_example():
    elsewhere = {Reason.ACCEPTED, Reason.NUMBER_TAKEN, Reason.REGION_FULL}
    assert {reason for _, reason in REFUSED} == set(Reason) - elsewhere


def test_the_first_reason_is_told(tmp_path):
    worse = next(changes for changes, reason in REFUSED if reason is Reason.TIER_WRONG)
    assert reason_of(tmp_path, **worse, key=NO_POINT) is Reason.KEY_NOT_A_POINT
    assert reason_of(tmp_path, **worse, key="", balance="-1.00") is Reason.BALANCE_NEGATIVE


# -- rows beside each other -----------------------------------------------------------------------


def test_who_has_a_number_first_has_it_however_it_is_written(tmp_path):
    rows = [row(1), row(2), row(3, number="+254 700 000 001"), row(4, number="254700000002")]
    rows += [row(1, kind="pochi"), row(5, number="0700000001")]
    incumbent = judged(tmp_path, rows)
    taken, good = Reason.NUMBER_TAKEN, Reason.ACCEPTED
    assert reasons_of(incumbent) == [good, good, taken, taken, good, taken]
    told = [(one.line, sentence) for one, _, sentence in incumbent.refusals(nobody)]
    assert told == [
        (4, "Line 2 has this number already."),
        (5, "Line 3 has this number already."),
        (7, "Line 2 has this number already."),
    ]


def test_a_number_of_a_refused_row_is_taken_too(tmp_path):
    incumbent = judged(tmp_path, [row(1, key=""), row(2, number="0700000001")])
    assert reasons_of(incumbent) == [Reason.NO_KEY, Reason.NUMBER_TAKEN]


def test_a_key_may_sign_for_several_accounts_and_that_is_counted(tmp_path):
    rows = [row(1), row(1, kind="pochi"), row(2), row(3, key=GOOD_KEY), row(4), row(5, number="1")]
    incumbent = judged(tmp_path, rows)
    assert reasons_of(incumbent)[:5] == [Reason.ACCEPTED] * 5
    assert incumbent.tally.shared_keys == 3


def test_aliases_that_begin_alike_are_told_apart():
    from harambee.node.moving_in import _groups

    rng = np.random.default_rng(5)
    table = rng.integers(0, 2, (2_000, 32), np.uint8)
    table[:, :29] = 7
    table[1_000:, 3] = 8
    order, is_repeated = _groups(table)
    rows = [table[at].tobytes() for at in range(len(table))]
    assert order.tolist() == sorted(range(len(rows)), key=lambda at: (rows[at], at))
    ascending = sorted(rows)
    assert is_repeated.tolist() == [False] + [
        one == other for one, other in zip(ascending[1:], ascending[:-1], strict=True)
    ]


def test_a_region_that_is_full_takes_no_more(tmp_path):
    full = REGION_ACCOUNTS - FIRST_FREE_POSITION
    rows = [row(n, super_agent="amani") for n in range(1, 6)] + [row(6, super_agent="baraka")]
    rows[1]["key"] = ""
    incumbent = judged(tmp_path, rows, taken=(full - 2, full - 1))
    good, late = Reason.ACCEPTED, Reason.REGION_FULL
    assert reasons_of(incumbent) == [good, Reason.NO_KEY, good, late, late, good]


def agent(n, office="", **changes):
    return row(n, kind="agent", number=f"1000{n}", head_office=office, super_agent="0", **changes)


def test_agents_stand_under_a_head_office_of_their_super_agent(tmp_path):
    rows = [
        agent(1, "10003"),
        agent(2, "paybill 200001"),
        agent(3),
        row(4, kind="business", number="200001", super_agent="0"),
        agent(5, "10001"),
        agent(6, "200001"),
        agent(7, "10009"),
        agent(8, "paybill:200002"),
        agent(9, key=""),
        row(10, kind="business", number="200002", super_agent="1"),
    ]
    incumbent = judged(tmp_path, rows)
    good, unknown = Reason.ACCEPTED, Reason.HEAD_OFFICE_UNKNOWN
    reasons = [good, good, good, good, unknown, unknown, unknown, unknown, Reason.NO_KEY, good]
    assert reasons_of(incumbent) == reasons
    assert sorted(incumbent.branches.tolist()) == [[0, 2], [1, 3]]
    network = create_network(tmp_path / "network", super_agents=2, incumbent=incumbent)
    ledger = opened(network)
    with (network.folder / "head-offices.csv").open() as file:
        pairs = {int(r["account"]): int(r["head_office"]) for r in csv.DictReader(file)}
    assert pairs == {
        account_of(network, ledger, "agent:10001"): account_of(network, ledger, "agent:10003"),
        account_of(network, ledger, "agent:10002"): account_of(network, ledger, "paybill:200001"),
    }


def test_sums_are_exact_however_large(tmp_path):
    most = f"{MAX_AMOUNT_CENTS // 100}.00"
    huge = "9" * 30 + ".99"
    rows = [row(n, balance=most) for n in range(1, 10)] + [row(10, balance=huge)]
    rows += [row(11, balance=f"-{huge}"), row(12, balance=f"-{most}", key="")]
    tally = judged(tmp_path, rows).tally
    assert tally.total(accepted=True) == (9, 9 * MAX_AMOUNT_CENTS)
    assert tally.total(accepted=False) == (3, -MAX_AMOUNT_CENTS)
    assert tally.counts["customer", Reason.BALANCE_TOO_LARGE] == (1, 10**32 - 1)


def test_many_pages_are_one_file(tmp_path, monkeypatch):
    from harambee.node import moving_in

    monkeypatch.setattr(moving_in, "ROWS_AT_ONCE", 4)
    rows = [row(n) for n in range(1, 12)] + [
        agent(12, "100013"),
        agent(13),
        row(14, number="0700000003"),
    ]
    incumbent = judged(tmp_path, rows)
    assert reasons_of(incumbent) == [Reason.ACCEPTED] * 13 + [Reason.NUMBER_TAKEN]
    assert incumbent.rows["line"].tolist() == list(range(2, 16))
    assert incumbent.branches.tolist() == [[11, 12]]
    for n in range(1, 12):
        assert incumbent.rows["key"][n - 1].tobytes() == ED25519[n].public


def test_a_file_without_rows_is_refused(tmp_path):
    with pytest.raises(AccountFileError, match=r"accounts.csv has no rows"):
        judged(tmp_path, [])


# -- good and bad rows mixed ----------------------------------------------------------------------

NUMBERS = st.integers(0, 12)
FAULTS = [(changes, reason) for changes, reason in REFUSED if len(changes) == 1]


@st.composite
def mixed_rows(draw):
    """Rows, and what each must become if no other one had its number."""
    rows, reasons = [], []
    for _ in range(draw(st.integers(1, 12))):
        n = draw(NUMBERS)
        kind = draw(
            st.sampled_from(["customer", "customer", "pochi", "merchant", "business", "agent"])
        )
        number = f"07000000{n:02d}" if kind in ("customer", "pochi") else f"1000{n:02d}"
        made = row(
            n + 1,
            kind=kind,
            number=number,
            balance=f"{draw(st.integers(0, 10**7))}.{draw(st.integers(0, 99)):02d}",
            super_agent=draw(st.sampled_from(["amani", "0", "baraka", "1"])),
        )
        if draw(st.booleans()):
            made |= {"key": hexadecimal(draw(st.sampled_from(P256))), "key_type": "p256"}
        reason = Reason.ACCEPTED
        if kind == "customer" and made["key_type"] == "" and draw(st.integers(0, 2)) == 0:
            changes, reason = draw(st.sampled_from(FAULTS))
            made |= changes
        rows.append(made)
        reasons.append(reason)
    return rows, reasons


def with_taken(rows, reasons):
    """What each row must become beside the others."""
    seen, final = set(), []
    for one, reason in zip(rows, reasons, strict=True):
        numbered = reason not in (Reason.NOT_A_ROW, Reason.KIND_UNKNOWN, Reason.NUMBER_WRONG)
        named = (one["kind"], one["number"])
        if reason is Reason.ACCEPTED and named in seen:
            reason = Reason.NUMBER_TAKEN  # noqa: PLW2901 - what it becomes
        if numbered:
            seen.add(named)
        final.append(reason)
    return final


def cents_of(text):
    """The cents of an exact amount, by the rules of arithmetic alone; None if it is none."""
    whole, point, cents = text.removeprefix("-").partition(".")
    exact = len(text) <= 40 and all(p.isascii() and p.isdigit() for p in (whole, cents))
    if not (point and exact and len(cents) == 2):
        return None
    return int(text.replace(".", ""))


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    return Fresh(tmp_path_factory.mktemp("mixed"))


@given(mixed_rows())
def test_all_rows_are_accepted_or_refused_and_their_cents_add_up(fresh, drawn):
    rows, reasons = drawn
    incumbent = judged(fresh.folder(), rows)
    expected = with_taken(rows, reasons)
    assert reasons_of(incumbent) == expected
    tally, cents = incumbent.tally, [cents_of(one["balance"]) for one in rows]
    readable = [
        c if r is not Reason.NOT_A_ROW else None for c, r in zip(cents, expected, strict=True)
    ]
    assert tally.without_amount == readable.count(None)
    assert tally.total() == (len(rows), sum(c or 0 for c in readable))
    for accepted in (True, False):
        of_these = [
            c or 0
            for c, reason in zip(readable, expected, strict=True)
            if (reason is Reason.ACCEPTED) is accepted
        ]
        assert tally.total(accepted=accepted) == (len(of_these), sum(of_these))
    told = [(one.line - 2, reason) for one, reason, _ in incumbent.refusals(nobody)]
    assert told == [(at, reason) for at, reason in enumerate(expected) if reason]


def pay(network, ledger, payer, payee, keypair):
    """Pay Ksh10 by an order that the payer's own key signs; what became of it."""
    cents, day = 10_00, 20_000
    body = OrderBody(
        payer=payer,
        payee=payee,
        amount_cents=cents,
        fee_cents=TARIFF.fee_cents(FeeTable.SEND, cents),
        sequence=0,
        kind=OrderKind.SEND,
        tariff=TARIFF.version,
        day=day,
    )
    order = sign_order(keypair, network.genesis.network, body)
    prefix = signed_prefix(TAG_ORDER, network.genesis.network)
    records = np.frombuffer(order, ORDER)
    holds = keys.verify(key_of(ledger.account(payer)), prefix + order[:64], order[64:])
    codes = ledger.check(records, np.array([holds]), np.array([False]), day)
    if codes[0] == Outcome.ACCEPTED:
        assert ledger.apply(records, 0, np.zeros(1, np.uint32)).tolist() == [Applied.APPLIED]
    return Outcome(int(codes[0]))


PAYER = row(21, number="0711000001", balance="500.00", super_agent="amani")
PHONE = row(
    22,
    number="0711000002",
    balance="500.00",
    super_agent="baraka",
    key=hexadecimal(P256[3]),
    key_type="p256",
)


@settings(max_examples=20)
@given(mixed_rows(), st.lists(st.integers(1, 10**12), min_size=0, max_size=4))
def test_the_network_opens_and_customers_pay_each_other_by_number(fresh, drawn, limits):
    """With the banks' limits in any proportion, their debts are what was accepted, to the cent."""
    rows, _ = drawn
    folder = fresh.folder()
    incumbent = read_incumbent(
        csv_file(folder, [*rows, PAYER, PHONE]),
        super_agents=2,
        trust_banks=[Bank(f"bank-{i}", limit) for i, limit in enumerate(limits)],
        tell=nobody,
    )
    supply = incumbent.tally.total(accepted=True).cents
    banks = [Bank(f"bank-{i}", limit) for i, limit in enumerate(limits)]
    if banks:
        banks.append(Bank("rest", max(0, supply - sum(limits))))
    network = create_network(
        folder / "network", super_agents=2, incumbent=incumbent, trust_banks=banks
    )
    openings, ledger = network.openings, opened(network)
    is_bank = openings["flags"] & KIND_MASK == AccountKind.BANK
    assert int(openings["balance"][is_bank].sum()) == -supply
    assert int(openings["balance"][~is_bank].sum()) == supply
    assert [i.account for i in network.genesis.document.issuers] == openings["number"][
        is_bank
    ].tolist()
    assert len(incumbent.accepted) == network.genesis.document.aliases_count
    invariants.check(ledger)
    payer = account_of(network, ledger, "0711000001")
    phone = account_of(network, ledger, "+254711000002")
    assert (region_of(payer), region_of(phone)) == (0, 1)
    assert pay(network, ledger, payer, phone, P256[3]) is Outcome.SIGNATURE_INVALID
    assert pay(network, ledger, payer, phone, ED25519[21]) is Outcome.ACCEPTED
    assert pay(network, ledger, phone, payer, ED25519[21]) is Outcome.SIGNATURE_INVALID
    assert pay(network, ledger, phone, payer, P256[3]) is Outcome.ACCEPTED
    assert ledger.total_cents() == 0
    invariants.check(ledger)


# -- the network's folder -------------------------------------------------------------------------


def moved(folder, rows, banks=(), super_agents=2):
    incumbent = read_incumbent(
        csv_file(folder, rows), super_agents=super_agents, trust_banks=banks, tell=nobody
    )
    return create_network(
        folder / "network", super_agents=super_agents, incumbent=incumbent, trust_banks=banks
    )


def test_nothing_is_there_but_what_the_file_has(tmp_path):
    network = moved(tmp_path, [row(1), row(2)], [Bank("alpha", 10_000_00), Bank("beta", 0)])
    again = load_network(network.folder)
    assert again.genesis.network == network.genesis.network
    kinds = sorted((network.openings["flags"] & KIND_MASK).tolist())
    own = [kind for kind in AccountKind if AccountKind.ENROLMENT <= kind <= AccountKind.EXCISE]
    assert kinds == sorted([1, 1, 5, 5, *own, *own])
    assert {one.name for one in network.demo()} == {"alpha", "beta"}
    assert [(i.name, i.limit_cents) for i in network.genesis.document.issuers] == [
        ("alpha", 10_000_00),
        ("beta", 0),
    ]
    assert not (network.folder / "head-offices.csv").exists()
    assert network.genesis.document.aliases == []
    assert load_node(network.node(0)).genesis.aliases == network.genesis.aliases
    for name in network.names:
        places = (network.folder / "super-agents" / name / "agents.csv").read_text()
        assert places.count("\n") == 1


def test_banks_that_may_not_owe_so_much_leave_nothing_behind(tmp_path):
    sentence = "hold Ksh3,001.00, and the trust banks may owe Ksh3,000.99: raise their limits"
    with pytest.raises(NetworkFolderError, match=sentence):
        moved(tmp_path, [row(1), row(2)], [Bank("alpha", 3_000_99)])
    assert [path.name for path in tmp_path.iterdir()] == ["accounts.csv"]
    with pytest.raises(NetworkFolderError, match="limits are more money than a ledger can hold"):
        moved(tmp_path, [row(1)], [Bank("alpha", SUPPLY_CENTS_MAX), Bank("beta", 1)])


def test_more_money_than_a_ledger_holds_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(network_folder, "SUPPLY_CENTS_MAX", 3_000_99)
    with pytest.raises(NetworkFolderError, match="balances are more money than a ledger can hold"):
        moved(tmp_path, [row(1), row(2)])


def test_aliases_that_were_altered_or_lost_are_noticed(tmp_path):
    network = moved(tmp_path, [row(1), row(2)])
    file = network.folder / "aliases.bin"
    content = file.read_bytes()
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(NetworkFolderError, match="the aliases are not those"):
        load_network(network.folder)
    file.unlink()
    with pytest.raises(NetworkFolderError, match="the file was changed, or is missing"):
        load_node(network.node(1))


def test_five_banks_over_two_super_agents_ascend(tmp_path):
    banks = [Bank(f"bank-{n}", 1_000_00 + n) for n in range(5)]
    network = moved(tmp_path, [row(1), row(2)], banks)
    assert {i.name: i.limit_cents for i in network.genesis.document.issuers} == dict(banks)
    opened(network)


class _Noon(datetime):
    @classmethod
    def now(cls, tz=None):
        return cls(2026, 1, 1, 12, tzinfo=tz)


@cache
def certificate_of(name):
    return network_folder.create_certificate(name)


def make_still(monkeypatch):
    """What a new network draws by dice or reads off a clock is the same each time."""
    count = iter(range(1, 10_000))
    noise = iter(range(1, 10_000))
    for name in SUPER_AGENTS:
        certificate_of(name)
    monkeypatch.setattr(network_folder, "create_certificate", certificate_of)
    monkeypatch.setattr(network_folder, "datetime", _Noon)
    monkeypatch.setattr(
        network_folder, "generate", lambda: signatures.from_seed(next(count).to_bytes(32, "big"))
    )
    monkeypatch.setattr(
        network_folder.secrets, "token_bytes", lambda size: next(noise).to_bytes(size, "big")
    )
    monkeypatch.setattr(development.os, "urandom", bytes)


def test_parquet_and_csv_give_the_same_genesis_byte_for_byte(tmp_path, monkeypatch):
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    rows = [
        PAYER,
        PHONE,
        agent(1, "10003"),
        agent(3),
        row(5),
        row(6, key=""),
        row(7, number="0700000005"),
    ]
    table = {column: [one[column] for one in rows] for column in COLUMNS}
    made = []
    for name in ("accounts.csv", "accounts.parquet"):
        folder = tmp_path / name.rpartition(".")[2]
        folder.mkdir()
        csv_file(folder, rows)
        if name.endswith("parquet"):
            parquet.write_table(arrow.table(table), folder / name)
        with monkeypatch.context() as still:
            make_still(still)
            incumbent = read_incumbent(folder / name, super_agents=2, trust_banks=(), tell=nobody)
            create_network(folder / "network", super_agents=2, incumbent=incumbent)
        assert [r for r in reasons_of(incumbent) if r] == [Reason.NO_KEY, Reason.NUMBER_TAKEN]
        made.append(folder / "network")
    for file in ("genesis.json", "openings.bin", "aliases.bin", "head-offices.csv"):
        first, second = ((folder / file).read_bytes() for folder in made)
        assert first == second, file
        assert first


def test_every_kind_and_reason_has_its_words():
    assert set(KINDS.values()) == {AccountKind(n) for n in (1, 2, 3, 4, 11)}
    for sentence in SENTENCES.values():
        assert sentence.endswith(".")
        assert sentence[0].isupper()


def test_the_example_of_the_documentation_is_accepted(tmp_path):
    text = (Path(__file__).parents[2] / "docs" / "moving-in.md").read_text()
    lines = [line.strip() for line in text.splitlines() if line.count(",") == len(COLUMNS) - 1]
    (tmp_path / "accounts.csv").write_text("\n".join(lines))
    incumbent = read_incumbent(
        tmp_path / "accounts.csv", super_agents=2, trust_banks=(), tell=nobody
    )
    assert reasons_of(incumbent) == [Reason.ACCEPTED] * 5
    assert incumbent.branches.tolist() == [[2, 3]]
    for reason in Reason:
        assert reason is Reason.ACCEPTED or f"`{reason.name.lower()}`" in text
    assert all(f"| `{column}` |" in text for column in COLUMNS)
