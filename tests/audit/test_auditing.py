"""An audit finds nothing where nothing is wrong, and whatever is wrong by the name of its block."""

import itertools

import lmdb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.audit.histories import (
    MEMBERS,
    audited,
    blocks_of,
    chorus,
    genesis_of,
    genesis_of_tests,
    journal_of,
    payments,
)
from tests.protocol.network import (
    NETWORK,
    SUPER_AGENT_KEYS,
    TODAY,
    Network,
    customer_key,
    customers,
    make_order,
    sign_again,
)

from harambee.crypto.hashing import TAG_POSSESSION, digest, signed_prefix
from harambee.crypto.keys import public_of, sign
from harambee.crypto.p256 import P256KeyPair
from harambee.crypto.signatures import from_seed
from harambee.ledger.house_rules import HOLD_DAYS_MAX
from harambee.ledger.kinds import OrderKind
from harambee.ledger.records import (
    BODY_BYTES,
    NAMED_HOLD,
    OPENING,
    ORDER,
    ORDER_BYTES,
    POSITION_ENROLMENT,
    AccountKind,
    account_number,
)
from harambee.node.sealing import sealed
from harambee.protocol.wire import HEAD, block_prefix, digest_of, head_bytes, write_possession
from harambee.sim.run import Run
from harambee.sim.story import Story
from harambee.sim.town import BANK

GENESIS = genesis_of_tests()
ANN, BEN, CYD = customers(3)
ENROLMENT = account_number(0, POSITION_ENROLMENT)
GROUPS = [payments(36)[start : start + 6] for start in range(0, 36, 6)]
BLOCKS = blocks_of(*GROUPS)
PHONE = P256KeyPair(digest(b"a phone"))


@pytest.fixture(scope="module")
def journal(tmp_path_factory):
    with journal_of(tmp_path_factory.mktemp("audited") / "journal", GENESIS, BLOCKS) as opened:
        yield opened


def store(journal, position, stored):
    """Put bytes where a block stands, as a disk might; returns what stood there."""
    key = position.to_bytes(8, "big")
    with journal._environment.begin(write=True, db=journal._blocks) as transaction:
        before = transaction.get(key)
        transaction.put(key, stored)
    return before


def stored_at(journal, position):
    with journal._environment.begin(db=journal._blocks) as transaction:
        return transaction.get(position.to_bytes(8, "big"))


def where(found):
    """The blocks that findings name: (author, height), and the orders."""
    return [
        (None if f.name is None else (f.name.author, f.name.height), f.position, f.row)
        for f in found.findings
    ]


def place_of(position, row=None):
    head = np.frombuffer(BLOCKS[position], HEAD, 1)[0]
    return (int(head["author"]), int(head["height"])), position, row


# -- nothing is wrong -----------------------------------------------------------------------------


def test_a_clean_journal(journal):
    found = audited(journal, GENESIS)
    assert found.ok
    assert found.sentences == []
    assert (found.orders, found.applied, found.refused, found.undecided) == (36, 36, 0, 0)
    assert found.blocks == len(BLOCKS)
    assert found.signatures_checked == 36 + len(BLOCKS)
    assert found.total_cents == 0
    assert sum(found.heights) == len(BLOCKS)
    assert found.as_json()["heights"] == {
        "super-agent-0": 5,
        "super-agent-1": 5,
        "super-agent-2": 4,
        "super-agent-3": 4,
    }


def test_what_is_not_final_where_the_journal_ends_is_undecided(tmp_path):
    with journal_of(tmp_path / "j", GENESIS, BLOCKS[: len(GROUPS)]) as journal:
        found = audited(journal, GENESIS)
    assert found.ok
    assert found.orders == 36
    assert 0 < found.undecided == 36 - found.applied


def test_another_digest_than_expected_is_a_finding(journal):
    ours = audited(journal, GENESIS).digest
    assert audited(journal, GENESIS, expected=ours).ok
    (sentence,) = audited(journal, GENESIS, expected=bytes(32)).sentences
    assert ours.hex() in sentence


def test_real_replicas_and_a_crash_and_orders_that_they_refuse(tmp_path):
    network = Network(seed=3)
    genesis = genesis_of_tests(4, network.people)
    network.pay(0, make_order(ANN, BEN, 100, 0))
    network.offer(1, make_order(BEN, CYD, 50, 0))
    network.offer(2, make_order(BEN, ANN, 50, 0))
    network.run(6)
    network.kill(2)
    network.pay(1, make_order(ANN, BEN, 200, 1))
    network.restart(2)
    network.run(4)
    for index, node in enumerate(network.nodes):
        with journal_of(tmp_path / str(index), genesis, node.disk, index) as journal:
            found = audited(journal, genesis)
        assert found.ok, found.sentences
        assert found.digest == node.replica.ledger.digest()
        assert found.applied == node.replica.counters.applied or index == 2
        assert found.refused > 0


@pytest.mark.parametrize("seed", [1, 2])
def test_among_liars_an_audit_of_any_honest_journal_is_clean(tmp_path, seed):
    run = Run(Story(orders=60, seconds=4, p256=0.2), seed)
    assert run.tell()["clean"]
    town = run.world.town
    rows, limits = town.opening_rows(), {BANK: town._limit}
    genesis = genesis_of(town.network, town.committee, rows, (town.tariff,), limits)
    for machine in run.world.honest:
        place = tmp_path / str(machine.index)
        with journal_of(place, genesis, machine.disk, machine.index) as journal:
            found = audited(journal, genesis, convicted=sorted(machine.evidence))
        assert found.ok, found.sentences
        assert found.digest == machine.replica.ledger.digest()
        assert found.refused > 0, "a liar's orders lie in blocks, and were not applied"


# -- one bit --------------------------------------------------------------------------------------


@given(data=st.data())
@settings(max_examples=60)
def test_one_flipped_bit_of_any_stored_block_is_found_and_the_block_is_named(journal, data):
    position = data.draw(st.integers(0, len(BLOCKS) - 1))
    stored = bytearray(stored_at(journal, position))
    bit = data.draw(st.integers(0, 8 * len(stored) - 1))
    stored[bit // 8] ^= 1 << bit % 8
    before = store(journal, position, bytes(stored))
    try:
        found = audited(journal, GENESIS)
    finally:
        store(journal, position, before)
    assert not found.ok
    assert where(found) == [place_of(position)]
    assert "checksum" in found.sentences[0]


@given(data=st.data())
@settings(max_examples=60)
def test_one_flipped_bit_under_a_new_checksum_is_found_all_the_same(journal, data):
    """Whoever changes a journal on purpose seals it again."""
    position = data.draw(st.integers(0, len(BLOCKS) - 1))
    content = bytearray(BLOCKS[position])
    bit = data.draw(st.integers(0, 8 * len(content) - 1))
    content[bit // 8] ^= 1 << bit % 8
    before = store(journal, position, sealed(bytes(content)))
    try:
        found = audited(journal, GENESIS)
    finally:
        store(journal, position, before)
    assert not found.ok
    assert {finding.position for finding in found.findings} == {position}
    assert place_of(position)[0] in {at for at, _, _ in where(found)}


def test_two_damaged_blocks_are_both_named_and_what_stands_on_them_is_counted(journal):
    spoilt = [1, 4]
    before = {at: store(journal, at, stored_at(journal, at)[:-1] + b"?") for at in spoilt}
    try:
        found = audited(journal, GENESIS)
    finally:
        for at, stored in before.items():
            store(journal, at, stored)
    assert where(found) == [place_of(at) for at in spoilt]
    assert found.first_unreached == 2
    assert found.unreached_blocks == len(BLOCKS) - 3
    assert "lacks what is in them" in found.sentences[-1]
    # Their authors' signatures are checked all the same.
    assert found.signatures_checked == len(BLOCKS) - 2


def test_a_block_of_a_few_bytes_is_named_by_the_index(journal):
    before = store(journal, 3, b"")
    try:
        found = audited(journal, GENESIS)
    finally:
        store(journal, 3, before)
    assert where(found) == [place_of(3)]


def test_blocks_in_the_archive_are_audited_as_all_others(tmp_path):
    with journal_of(tmp_path / "j", GENESIS, BLOCKS) as journal:
        clean = audited(journal, GENESIS)
        assert journal.prune(np.array([0, 1, 2, 5])) == 4
        moved = audited(journal, GENESIS)
        assert moved.ok, moved.sentences
        assert moved.digest == clean.digest
        assert moved.signatures_checked == clean.signatures_checked
        (file,) = journal.archive.files()
        octets = bytearray(file.read_bytes())
        octets[octets.index(BLOCKS[2][-64:])] ^= 4
        file.write_bytes(octets)
        spoilt = audited(journal, GENESIS)
        assert where(spoilt) == [place_of(2)]
        assert "checksum" in spoilt.sentences[0]
        file.unlink()
        gone = audited(journal, GENESIS)
        assert where(gone) == [place_of(at) for at in (0, 1, 2, 5)]
        assert all("not there any more" in sentence for sentence in gone.sentences[:4])


# -- the database around the blocks ---------------------------------------------------------------


def database(journal, name):
    return journal._environment.begin(write=True, db=getattr(journal, f"_{name}"))


@pytest.fixture
def own_journal(tmp_path):
    with journal_of(tmp_path / "own", GENESIS, BLOCKS) as journal:
        yield journal


def test_a_block_that_the_database_has_lost(own_journal):
    with database(own_journal, "blocks") as transaction:
        transaction.delete((7).to_bytes(8, "big"))
    found = audited(own_journal, GENESIS)
    assert place_of(7) in where(found)
    assert {finding.position for finding in found.findings} <= {7, -1}


def test_an_index_that_does_not_lead_to_a_block(own_journal):
    with database(own_journal, "ids") as transaction:
        key = next(key for key, value in transaction.cursor() if value[:8] == b"\5" + bytes(7))
        transaction.delete(key)
    found = audited(own_journal, GENESIS)
    assert [(at, row) for _, at, row in where(found)] == [(-1, None), (5, None)]
    assert "its index names 17" in found.sentences[0]
    assert "index does not lead to it" in found.sentences[1]


def test_a_database_that_cannot_be_walked_over_is_looked_up_block_by_block(
    own_journal, monkeypatch
):
    def broken(*_):
        raise lmdb.CorruptedError

    whole = audited(own_journal, GENESIS)
    monkeypatch.setattr(own_journal, "_chunk", broken)
    found = audited(own_journal, GENESIS)
    assert found.ok
    assert found.digest == whole.digest
    monkeypatch.setattr(own_journal, "names_of", broken)
    monkeypatch.setattr(own_journal, "position_of", broken)
    found = audited(own_journal, GENESIS)
    assert [at for _, at, _ in where(found)] == list(range(len(BLOCKS)))
    assert found.applied == 36


# -- forgeries under valid checksums --------------------------------------------------------------


def sealed_again(data, key):
    """A block whose body was changed: digests and signature made anew, by somebody."""
    head = np.frombuffer(data, HEAD, 1).copy()
    body_at = len(head_bytes(data))
    head["body_digest"] = np.frombuffer(digest(data[body_at:-64]), np.uint8)
    unsigned = head.tobytes() + data[HEAD.itemsize : -64]
    return unsigned + sign(key, block_prefix(NETWORK, 0) + digest_of(unsigned))


def forged_amount(position):
    """A block with one cent more in its second order."""
    data = bytearray(BLOCKS[position])
    at = len(head_bytes(BLOCKS[position])) + ORDER_BYTES + 8
    data[at] ^= 1
    return bytes(data)


def audit_of(tmp_path, blocks):
    with journal_of(tmp_path / "forged", GENESIS, blocks) as journal:
        return audited(journal, GENESIS)


def test_an_order_that_was_changed_in_a_block(tmp_path):
    found = audit_of(tmp_path, [*BLOCKS[:2], forged_amount(2), *BLOCKS[3:]])
    assert where(found) == [place_of(2)]
    assert "the body is not the one that the head names" in found.sentences[0]


def test_an_order_that_was_changed_and_its_block_signed_again_by_its_author(tmp_path):
    """The author alone could do that; then nothing that stands on the old block fits."""
    last = len(BLOCKS) - 1
    author = int.from_bytes(BLOCKS[2][2:4], "little")
    forged = sealed_again(forged_amount(2), SUPER_AGENT_KEYS[author])
    found = audit_of(tmp_path, [*BLOCKS[:2], forged, *BLOCKS[3:]])
    assert not found.ok
    assert found.findings == ()
    assert found.first_unreached == 3
    assert found.unreached_blocks == last - 2


def test_a_block_in_another_blocks_place_is_not_the_one_that_the_index_names(journal):
    author = int.from_bytes(BLOCKS[2][2:4], "little")
    forged = sealed_again(forged_amount(2), SUPER_AGENT_KEYS[author])
    before = store(journal, 2, sealed(forged))
    try:
        found = audited(journal, GENESIS)
    finally:
        store(journal, 2, before)
    assert where(found) == [place_of(2)]
    assert "index" in found.sentences[0]


@pytest.mark.parametrize("who", ["nobody", "another super-agent", "a customer"])
def test_a_block_that_its_author_has_not_signed(tmp_path, who):
    key = {
        "nobody": None,
        "another super-agent": SUPER_AGENT_KEYS[3],
        "a customer": customer_key(ANN),
    }[who]
    unsigned = BLOCKS[5][:-64]
    mark = bytes(64) if key is None else sign(key, block_prefix(NETWORK, 0) + digest_of(unsigned))
    found = audit_of(tmp_path, [*BLOCKS[:5], unsigned + mark, *BLOCKS[6:]])
    assert where(found) == [place_of(5)]
    assert "author has not signed" in found.sentences[0]
    assert found.unreached_blocks == 0


def test_orders_that_their_payers_have_not_signed_are_named_one_by_one(tmp_path):
    """A committee that lies together may make them final; it cannot hide it."""
    groups = [list(group) for group in GROUPS]
    changed = groups[1][3].copy()
    changed["amount"] += 1
    groups[1][3] = changed
    groups[4][0] = sign_again(groups[4][0].copy(), customer_key(BEN))
    blocks = blocks_of(*groups)
    with journal_of(tmp_path / "j", GENESIS, blocks) as journal:
        found = audited(journal, GENESIS)
    assert [(f.position, f.row) for f in found.findings] == [(1, 3), (4, 0)]
    assert all("not signed by its payer" in sentence for sentence in found.sentences)
    assert found.applied == 36


def test_a_block_that_stands_there_twice(tmp_path):
    found = audit_of(tmp_path, [*BLOCKS, BLOCKS[0]])
    assert [f.position for f in found.findings] == [len(BLOCKS)] * 2
    assert any("twice" in sentence for sentence in found.sentences)


def test_more_findings_than_are_listed_are_counted(tmp_path, monkeypatch):
    monkeypatch.setattr("harambee.audit.findings.FINDINGS_MAX", 3)
    groups = [[sign_again(o.copy(), customer_key(BEN)) for o in group] for group in GROUPS]
    with journal_of(tmp_path / "j", GENESIS, blocks_of(*groups)) as journal:
        found = audited(journal, GENESIS)
    forged = sum(int(o["payer"][0]) != BEN for group in groups for o in group)
    assert len(found.findings) + found.findings_more == forged
    assert found.findings_more == forged - 3


# -- whose key it was -----------------------------------------------------------------------------


def changing(key, sequence):
    """An order by which Ann's key becomes another one, and what that key signs."""
    public = public_of(key)
    order = make_order(ANN, ANN, 0, sequence, kind=OrderKind.CHANGE_KEY)
    order["reference"] = np.frombuffer(public.key, np.uint8)
    order["options"] = 0, public.form, 0
    return order, public


def proof_of(order, key):
    return sign(key, signed_prefix(TAG_POSSESSION, NETWORK) + order.tobytes()[:BODY_BYTES])


def said(voices, *groups):
    """Blocks of (orders, proofs by row), by one author after the other, and what makes them final."""
    blocks = []
    for turn, (orders, proofs) in enumerate(groups):
        attached = b"".join(write_possession(row, proof) for row, proof in proofs.items())
        blocks.append(voices.say(turn % MEMBERS, np.concatenate(orders).tobytes(), attached))
    return [*blocks, *voices.make_final()]


def findings_of(tmp_path, *groups):
    with journal_of(tmp_path / "j", GENESIS, said(chorus(), *groups)) as journal:
        found = audited(journal, GENESIS)
    assert found.applied == found.orders
    return [(f.position, f.row) for f in found.findings]


NEW_KEYS = {"ed25519": from_seed(digest(b"a new phone")), "p256": PHONE}


@pytest.mark.parametrize("key", NEW_KEYS.values(), ids=NEW_KEYS)
@pytest.mark.parametrize("together", [True, False], ids=["in one block", "in three blocks"])
def test_each_slot_has_the_key_that_its_payer_had_in_it(tmp_path, key, together):
    change, _ = changing(key, 1)
    sign_again(change)
    orders = [
        make_order(ANN, BEN, 100, 0),
        change,
        make_order(ANN, BEN, 100, 2, key=key),
        make_order(ANN, BEN, 100, 3, key=key),
    ]
    proof = proof_of(change, key)
    if together:
        groups = [(orders, {1: proof})]
    else:
        groups = [([orders[0]], {}), ([change], {0: proof}), (orders[2:], {})]
    assert findings_of(tmp_path, *groups) == []


def test_an_old_key_signs_no_more_and_a_new_one_not_yet(tmp_path):
    change, _ = changing(PHONE, 1)
    sign_again(change)
    orders = [
        make_order(ANN, BEN, 100, 0, key=PHONE),
        change,
        make_order(ANN, BEN, 100, 2),
        make_order(ANN, BEN, 100, 3, key=PHONE),
    ]
    assert findings_of(tmp_path, (orders, {1: proof_of(change, PHONE)})) == [(0, 0), (0, 2)]


def test_a_new_key_that_has_not_signed(tmp_path):
    change, _ = changing(PHONE, 0)
    sign_again(change)
    wrong = proof_of(change, customer_key(ANN))
    assert findings_of(tmp_path, ([change], {0: wrong})) == [(0, 0)]


def test_a_new_key_whose_proof_is_nowhere(tmp_path):
    change, _ = changing(PHONE, 0)
    sign_again(change)
    assert findings_of(tmp_path, ([change], {})) == [(0, 0)]


def test_a_proof_beside_another_copy_of_the_order_is_as_good(tmp_path):
    change, _ = changing(PHONE, 0)
    sign_again(change)
    good, wrong = proof_of(change, PHONE), proof_of(change, customer_key(ANN))
    for first, second in itertools.permutations([{0: good}, {0: wrong}]):
        groups = [([change], first), ([change], second)]
        with journal_of(tmp_path / str(len(first)), GENESIS, said(chorus(), *groups)) as journal:
            found = audited(journal, GENESIS)
        tmp_path /= "next"
        tmp_path.mkdir()
        assert found.ok, found.sentences
        assert (found.applied, found.refused) == (1, 1)


def asking(key, sequence):
    """The enrolling super-agent asks that Ann's key become another one, and that key takes over."""
    public = public_of(key)
    reference = np.frombuffer(public.key, np.uint8)
    asked = make_order(ENROLMENT, ANN, 0, 0, kind=OrderKind.REQUEST_KEY, reference=reference)
    asked["options"] = 0, public.form, 0
    take = make_order(ANN, ANN, 0, sequence, kind=OrderKind.TAKE_KEY, reference=reference)
    take["options"] = 0, 0, public.form
    return sign_again(asked), sign_again(take, key)


def test_a_lost_phones_new_key_signs_for_itself_and_then_for_the_account(tmp_path):
    asked, take = asking(PHONE, 1)
    orders = [
        make_order(ANN, BEN, 100, 0),
        take,
        make_order(ANN, BEN, 100, 2, key=PHONE),
        make_order(ANN, BEN, 100, 3),
    ]
    groups = [([asked], {0: proof_of(asked, PHONE)}), (orders, {})]
    assert findings_of(tmp_path, *groups) == [(1, 3)]


def enrolment(key, position=44):
    public = public_of(key)
    order = np.zeros(1, ORDER)
    order["kind"], order["payer"], order["sequence"] = OrderKind.ENROL, ENROLMENT, position
    order["payee"], order["day"], order["tariff"] = account_number(0, position), TODAY, 1
    order["options"] = AccountKind.CUSTOMER, public.form, 0
    order["reference"] = np.frombuffer(public.key, np.uint8)
    return sign_again(order)


def with_next_enrolment(position):
    """The genesis of these tests, where the region's next account is at a position."""
    openings = np.frombuffer(GENESIS.openings, OPENING).copy()
    openings["next_sequence"][openings["number"] == ENROLMENT] = position
    limits = {row.account: row.limit_cents for row in GENESIS.document.issuers}
    return genesis_of(NETWORK, GENESIS.committee, openings, GENESIS.tariffs, limits)


@pytest.mark.parametrize("key", [PHONE, customer_key(ANN)], ids=["her own", "another"])
def test_an_enrolment_and_the_new_accounts_first_order_in_one_block(tmp_path, key):
    position = 44
    number, genesis = account_number(0, position), with_next_enrolment(position)
    order = enrolment(PHONE, position)
    cancel = make_order(number, number, 0, 0, kind=OrderKind.CANCEL, key=key)
    blocks = said(chorus(), ([order, cancel], {0: proof_of(order, PHONE)}))
    with journal_of(tmp_path / "j", genesis, blocks) as journal:
        found = audited(journal, genesis)
    assert found.applied == 2
    expected = [] if key == PHONE else [(0, 1)]
    assert [(f.position, f.row) for f in found.findings] == expected


# -- slots that are not the signer's --------------------------------------------------------------


def released(hold, key):
    """The release of a hold by its payee, signed by some key."""
    named = np.zeros(1, NAMED_HOLD)
    for name in ("payer", "sequence", "amount", "fee", "day"):
        named[name] = hold[name]
    named["movement"] = hold["options"][0][0]
    order = make_order(ANN, ANN, int(hold["amount"][0]), 0, kind=OrderKind.RELEASE)
    order["fee"], order["reference"] = hold["fee"], named.view(np.uint8)
    return sign_again(order, key)


@pytest.mark.parametrize(("signer", "expected"), [("old", []), ("new", []), ("stranger", [(2, 0)])])
def test_what_ends_a_hold_may_be_signed_by_any_key_that_its_signer_had(tmp_path, signer, expected):
    """Her key changes in slots of her own: whether before or after, voters may have seen it differently."""
    hold = make_order(BEN, ANN, 100, 0, kind=OrderKind.HOLD)
    hold["options"] = OrderKind.SEND, HOLD_DAYS_MAX, 0
    sign_again(hold)
    change, _ = changing(PHONE, 0)
    sign_again(change)
    key = {"old": customer_key(ANN), "new": PHONE, "stranger": customer_key(CYD)}[signer]
    groups = [([hold], {}), ([change], {0: proof_of(change, PHONE)}), ([released(hold, key)], {})]
    assert findings_of(tmp_path, *groups) == expected
