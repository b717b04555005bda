"""The store of profiles: sealed, versioned, durable; and the count of questions, at its edges."""

import os
import stat
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harambee.crypto.vault import SealingKey, Vault
from harambee.node.profile_store import (
    SWEPT_AT_ONCE,
    Counted,
    Kept,
    ProfileStore,
    ProfileStoreError,
    older_key_file,
    open_vault,
)

NETWORK = b"n" * 32
VAULT = Vault(SealingKey(b"k" * 32))
DAY, ASKER, LIMIT = 20_781, 17, 5
SECRET = b"Given Family, +254712345678"


@pytest.fixture
def store(tmp_path):
    with ProfileStore.open(tmp_path / "profiles", NETWORK, 0, VAULT) as opened:
        yield opened


def reopened(store, folder, vault=VAULT):
    store.close()
    return ProfileStore.open(folder, NETWORK, 0, vault)


def count(store, payee, time_us, *, day=DAY, next_sequence=0, paid=None, limit=LIMIT):
    return store.count_check(day, ASKER, payee, time_us, next_sequence, paid or {}, limit)


def test_a_profile_is_there_after_a_restart_and_nobody_reads_it_from_the_disk(store, tmp_path):
    assert store.get(17) is None
    assert store.put(17, 1, SECRET) is Kept.NEW
    with reopened(store, tmp_path / "profiles") as again:
        assert again.get(17) == SECRET
        assert again.count() == 1
    for file in (tmp_path / "profiles").iterdir():
        content = file.read_bytes()
        assert not any(part in content for part in (b"Given", b"Family", b"712345678"))
        assert not stat.S_IMODE(file.stat().st_mode) & 0o077


@given(st.lists(st.tuples(st.integers(1, 5), st.binary(max_size=9)), max_size=12))
def test_an_older_version_never_replaces_a_newer_one(puts):
    with (
        tempfile.TemporaryDirectory() as folder,
        ProfileStore.open(Path(folder), NETWORK, 0, VAULT) as store,
    ):
        highest, content = 0, None
        for version, signed in puts:
            kept = store.put(17, version, signed)
            if version > highest:
                assert kept is Kept.NEW
                highest, content = version, signed
            else:
                same = version <= highest and signed == content
                assert kept is (Kept.SAME if same else Kept.OLDER)
            assert store.get(17) == content


def test_a_row_that_was_changed_or_moved_on_the_disk_is_not_served(store):
    store.put(17, 1, SECRET)
    store.put(18, 1, b"another")
    with store._writing() as transaction:
        row = transaction.get(b"\0\0\0\x11", db=store._profiles)
        transaction.put(b"\0\0\0\x12", row, db=store._profiles)
        later = (2).to_bytes(4, "little") + row[4:]
        transaction.put(b"\0\0\0\x11", later, db=store._profiles)
    for account in (17, 18):
        with pytest.raises(ProfileStoreError, match="altered, or moved"):
            store.get(account)


def test_what_an_alternate_has_yet_to_confirm_stays_until_it_does(store, tmp_path):
    store.put(17, 1, SECRET, (1, 2))
    store.put(18, 1, SECRET, (1, 2))
    store.put(17, 2, SECRET, (1, 2))
    store.delivered(1, 17, 1)
    with reopened(store, tmp_path / "profiles") as again:
        assert again.undelivered(1, 9) == [(17, 2), (18, 1)], "an old version confirms no new one"
        assert again.undelivered(1, 1) == [(17, 2)]
        assert again.undelivered(1, 9, after=17) == [(18, 1)]
        again.delivered(1, 17, 2)
        assert again.undelivered(1, 9) == [(18, 1)]
        assert again.undelivered(2, 9) == [(17, 2), (18, 1)]
        assert again.undelivered(3, 9) == []
        assert again.undelivered(2, 9, after=2**32 - 1) == []


def test_five_names_may_stay_unpaid_and_the_sixth_locks_until_the_next_day(store, tmp_path):
    for payee in range(LIMIT):
        assert count(store, payee, 100 + payee) is Counted.NEW
    assert count(store, 4, 200) is Counted.AGAIN, "the same payee counts once"
    assert count(store, 5, 300) is Counted.LOCKED
    assert count(store, 0, 301) is Counted.LOCKED, "and stays locked, whomever she asks for"
    paid = dict.fromkeys(range(5), 99)
    assert count(store, 5, 302, paid=paid) is Counted.LOCKED, "a late payment unlocks nothing"
    with reopened(store, tmp_path / "profiles") as again:
        assert count(again, 5, 400) is Counted.LOCKED, "a restart forgets nothing"
        assert count(again, 5, 401, day=DAY + 1) is Counted.NEW, "midnight does"
        assert count(again, 5, 402) is Counted.LOCKED, "a clock that is set back does not"


def test_a_payment_to_the_payee_takes_its_question_away(store):
    for payee in range(LIMIT):
        count(store, payee, 100 + payee, next_sequence=7)
    early = {0: 6}
    after = {0: 7}
    other = {99: 7}
    row = store.checks(DAY, ASKER)
    assert row.payees == tuple((payee, 7) for payee in range(LIMIT))
    assert count(store, 5, 200, paid=after, next_sequence=8) is Counted.NEW
    assert count(store, 0, 201, paid=after | other, next_sequence=8) is Counted.LOCKED
    with store._writing() as transaction:
        transaction.delete(b"".join((DAY.to_bytes(2), ASKER.to_bytes(4))), db=store._checks)
    for payee in range(LIMIT):
        count(store, payee, 100 + payee, next_sequence=7)
    assert count(store, 5, 200, paid=early | other) is Counted.LOCKED, "paid before she asked"


@pytest.mark.parametrize("limit", [0, 1, 2])
def test_the_limit_is_what_the_configuration_says(store, limit):
    answers = [count(store, payee, 100 + payee, limit=limit) for payee in range(3)]
    assert answers == [Counted.NEW] * limit + [Counted.LOCKED] * (3 - limit)


def test_a_question_that_was_seen_is_refused_and_counts_nothing(store):
    assert count(store, 1, 100) is Counted.NEW
    assert count(store, 1, 100) is Counted.REPLAYED
    assert count(store, 2, 99) is Counted.REPLAYED
    assert store.checks(DAY, ASKER).payees == ((1, 0),)


def test_a_question_that_taught_nothing_does_not_count(store):
    for payee in range(20):
        assert count(store, payee, 100 + payee) is Counted.NEW
        store.uncount_check(DAY, ASKER, payee)
    assert store.checks(DAY, ASKER).payees == ()


def test_past_days_are_swept_away(store):
    for asker in range(3 * SWEPT_AT_ONCE):
        store.count_check(DAY, asker, 1, 1, 0, {}, LIMIT)
    assert store.rows_of_checks() == 3 * SWEPT_AT_ONCE
    count(store, 1, 1, day=DAY + 1)
    assert store.rows_of_checks() == 3 * SWEPT_AT_ONCE + 1, "yesterday's stay"
    for turn in range(4):
        count(store, 1, 2 + turn, day=DAY + 2)
    assert store.rows_of_checks() == 2, "one of the day before, one of this day"


def test_a_new_key_seals_everything_again(store, tmp_path):
    for account in range(30):
        store.put(account, 1, b"profile %d" % account)
    old, new = SealingKey(b"k" * 32), SealingKey(b"m" * 32)
    folder = tmp_path / "profiles"
    with pytest.raises(ProfileStoreError, match="a key that is not here"):
        reopened(store, folder, Vault(new))
    ProfileStore.open(folder, NETWORK, 0, Vault(new, old)).close()
    with ProfileStore.open(folder, NETWORK, 0, Vault(new)) as again:
        assert [again.get(account) for account in range(30)] == [
            b"profile %d" % account for account in range(30)
        ]


def test_a_key_is_made_once_and_replaced_only_where_the_older_one_is_kept(tmp_path):
    key, folder = tmp_path / "profile.key", tmp_path / "profiles"
    vault = open_vault(key, folder)
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    with ProfileStore.open(folder, NETWORK, 0, vault) as store:
        store.put(17, 1, SECRET)
    key.rename(tmp_path / "elsewhere")
    with pytest.raises(ProfileStoreError, match="there is no key file"):
        open_vault(key, folder)
    (tmp_path / "elsewhere").rename(older_key_file(key))
    with ProfileStore.open(folder, NETWORK, 0, open_vault(key, folder)) as store:
        assert store.get(17) == SECRET
    older_key_file(key).unlink()
    with ProfileStore.open(folder, NETWORK, 0, open_vault(key, folder)) as store:
        assert store.get(17) == SECRET
    key.chmod(0o644)
    with pytest.raises(ProfileStoreError, match="chmod 600"):
        open_vault(key, folder)


@pytest.mark.parametrize(("network", "author"), [(b"m" * 32, 0), (NETWORK, 1)])
def test_a_folder_of_somebody_else_is_refused(store, tmp_path, network, author):
    store.close()
    with pytest.raises(ProfileStoreError, match="belong to another"):
        ProfileStore.open(tmp_path / "profiles", network, author, VAULT)


def test_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / "data.mdb").write_bytes(os.urandom(8_192))
    with pytest.raises(ProfileStoreError, match="cannot open the profiles"):
        ProfileStore.open(tmp_path, NETWORK, 0, VAULT)


def test_what_is_closed_says_so(store):
    store.close()
    with pytest.raises(ProfileStoreError, match="closed"):
        store.get(17)
