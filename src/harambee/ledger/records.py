"""The records that the whole network is made of, account and order first, byte for byte.

`docs/wire.md` is the contract; sizes and offsets are asserted here, where they are declared, so
that a slip fails at import and not on another super-agent. Amounts are integer cents. Records are
packed and little-endian, so an array of them *is* the wire format and the page format: nothing is
converted.
"""

from enum import IntEnum
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from harambee.crypto.keys import FORM_MASK, KeyForm, PublicKey
from harambee.money.tariff import FeeMode

ORDER: Final = np.dtype(
    [
        ("payer", "<u4"),
        ("payee", "<u4"),
        ("amount", "<u8"),
        ("fee", "<u4"),
        ("sequence", "<u4"),
        ("kind", "u1"),
        ("tariff", "<u2"),
        ("day", "<u2"),
        ("options", "u1", 3),
        ("reference", "u1", 32),
        ("signature", "u1", 64),
    ]
)
ORDER_BYTES: Final = 128
BODY_BYTES: Final = 64
assert ORDER.itemsize == ORDER_BYTES
assert ORDER.fields is not None
assert ORDER.fields["reference"][1] == BODY_BYTES - 32
assert ORDER.fields["signature"][1] == BODY_BYTES

ACCOUNT: Final = np.dtype(
    [
        ("key", "u1", 32),
        ("balance", "<i8"),
        ("debited", "<u8"),
        ("credited", "<u8"),
        ("next_sequence", "<u4"),
        ("flags", "<u4"),
        ("spent_today", "<u4"),
        ("day", "<u2"),
        ("held", "<u8"),
        ("frozen", "<u8"),
        ("head_office", "<u4"),
        ("last_entry", "<u8"),
    ]
)
assert ACCOUNT.itemsize == 98
ACCOUNT_DIGESTED_BYTES: Final = 90
"""A digest covers these leading bytes: all but `last_entry`, this replica's own index."""
assert ACCOUNT.fields is not None
assert ACCOUNT.fields["last_entry"][1] == ACCOUNT_DIGESTED_BYTES

LINE: Final = np.dtype(
    [
        ("balance", "<i8"),
        ("debited", "<u8"),
        ("credited", "<u8"),
        ("held", "<u8"),
        ("frozen", "<u8"),
        ("last_entry", "<u8"),
        ("next_sequence", "<u4"),
        ("flags", "<u4"),
        ("spent_today", "<u4"),
        ("day", "<u2"),
        ("unused", "<u2"),
    ]
)
"""What orders read and write of an account, as a ledger keeps it: one cache line, from its start.

An ACCOUNT record is put together from it and an IDENTITY where somebody outside asks for one.
"""
LINE_BYTES: Final = 64
assert LINE.itemsize == LINE_BYTES

IDENTITY: Final = np.dtype([("key", "u1", 32), ("head_office", "<u4")])
"""What only signatures and commissions need of an account."""
assert LINE.itemsize + IDENTITY.itemsize == 100
assert ACCOUNT.names is not None
LINE_FIELDS: Final = tuple(n for n in ACCOUNT.names if n not in {"key", "head_office"})
"""The fields that ACCOUNT and LINE have in common; all others of ACCOUNT are in IDENTITY."""
assert LINE.names is not None
assert {*LINE.names} == {*LINE_FIELDS, "unused"}

ENTRY: Final = np.dtype(
    [
        ("payer", "<u4"),
        ("payee", "<u4"),
        ("sequence", "<u4"),
        ("index", "<u4"),
        ("position", "<u8"),
        ("payer_previous", "<u8"),
        ("payee_previous", "<u8"),
        ("revenue_previous", "<u8"),
        ("excise_previous", "<u8"),
        ("head_office_previous", "<u8"),
    ]
)
"""One statement entry: where the order lies in the journal, and the entries before it.

Those are indices plus one, 0 for none, in the chains of the accounts it touched. Two sorts of entry
are in no slot of their payer and have a mark in the place of the revenue account's: that of a
claim, whose sequence is its alias's, and those of a payee table's rows, which follow the entry of
their order.
"""
NO_ACCOUNT_SLOT: Final = 2**64 - 1
ROW_OF_TABLE: Final = 2**64 - 2
assert ENTRY.itemsize == 64

PAYEE: Final = np.dtype([("payee", "<u4"), ("amount", "<u8")])
"""One row of the payee table of a bulk pay-out: an account number and cents."""
assert PAYEE.itemsize == 12
PAYEES_MAX: Final = 10_000
"""How many payees one bulk order has at most; more of them are several orders."""

NAMED_SLOT: Final = np.dtype([("payer", "<u4"), ("sequence", "<u4"), ("zero", "u1", 24)])
"""A reference that names an order by its slot."""
NAMED_HOLD: Final = np.dtype(
    [
        ("payer", "<u4"),
        ("sequence", "<u4"),
        ("amount", "<u8"),
        ("fee", "<u4"),
        ("day", "<u2"),
        ("movement", "u1"),
        ("fee_mode", "u1"),
        ("zero", "u1", 8),
    ]
)
"""A reference that names a hold by its slot, with what it holds: cents, and the movement to come."""
assert NAMED_SLOT.itemsize == NAMED_HOLD.itemsize == ORDER["reference"].itemsize

SUPPLY_CENTS_MAX: Final = 2**61
"""All that issuers together may owe, so that no balance and no sum of two can overflow an i64."""
SEQUENCE_LAST: Final = 2**32 - 1
"""Never used: the sequence after it would be the first one again."""

OPENING: Final = np.dtype(
    [
        ("number", "<u4"),
        ("key", "u1", 32),
        ("balance", "<i8"),
        ("flags", "<u4"),
        ("next_sequence", "<u4"),
    ]
)
"""One account as the genesis opens it; balances in cents, adding up to zero."""
assert OPENING.itemsize == 52

ALIAS: Final = np.dtype([("alias", "u1", 32), ("owner", "<u4"), ("next_sequence", "<u4")])
"""Which account a keyed hash names, and the alias's next slot; 0 where nobody has claimed it."""
NOBODY: Final = 0xFFFF_FFFF
"""The owner of an alias whose every slot so far was skipped."""
assert ALIAS.itemsize == 40

OPENING_ALIAS: Final = np.dtype([("alias", "u1", 32), ("owner", "<u4")])
"""One alias as the genesis enters it: whose account it names; ascending by the alias's bytes."""
assert OPENING_ALIAS.itemsize == 36

REGION_BITS: Final = 12
POSITION_BITS: Final = 20
REGION_ACCOUNTS: Final = 1 << POSITION_BITS
assert REGION_BITS + POSITION_BITS == 32

POSITION_ENROLMENT: Final = 0
POSITION_REVENUE: Final = 1
POSITION_COMMISSION: Final = 2
POSITION_FLOAT: Final = 3
POSITION_EXCISE: Final = 4
FIRST_FREE_POSITION: Final = 16


class AccountKind(IntEnum):
    """What an account is; bits 0-3 of its flags. Zero means that no account is here."""

    NONE = 0
    CUSTOMER = 1
    AGENT = 2
    MERCHANT = 3
    BUSINESS = 4
    BANK = 5
    ENROLMENT = 6
    REVENUE = 7
    COMMISSION = 8
    FLOAT = 9
    EXCISE = 10
    POCHI = 11


class Status(IntEnum):
    """Whether an account may pay and be paid; bits 4-7 of its flags."""

    ACTIVE = 0
    FROZEN = 1
    CLOSED = 2


class KeyType(IntEnum):
    """The signature scheme of an account's key; bits 12-13 of its flags."""

    ED25519 = 0
    P256 = 1


KIND_MASK: Final = 0xF
STATUS_SHIFT: Final = 4
STATUS_MASK: Final = 0xF
TIER_SHIFT: Final = 8
TIER_MASK: Final = 0xF
KEY_TYPE_SHIFT: Final = 12
KEY_TYPE_MASK: Final = 0x3
KEY_SIGN: Final = 1 << 2
"""Above the type of a key, in an option byte as in the flags: that the y of a P-256 point is odd."""
P256_SIGN_BIT: Final = KEY_SIGN << KEY_TYPE_SHIFT
KEY_FORM_MASK: Final = FORM_MASK
"""Type and sign, a `KeyForm`: from KEY_TYPE_SHIFT on in the flags, from bit 0 on in an option byte."""
assert [*map(int, KeyForm)] == [KeyType.ED25519, KeyType.P256, KeyType.P256 | KEY_SIGN]
CUSTODIAL_BIT: Final = 1 << 15
FEE_MODE_SHIFT: Final = 16
FEE_MODE_MASK: Final = 0x3


def account_flags(
    kind: AccountKind,
    status: Status = Status.ACTIVE,
    tier: int = 0,
    key_type: KeyType = KeyType.ED25519,
    *,
    p256_sign: bool = False,
    custodial: bool = False,
    fee_mode: FeeMode = FeeMode.PAYER,
) -> int:
    """The u32 `flags` of an account."""
    assert 0 <= tier <= TIER_MASK
    return (
        int(kind)
        | int(status) << STATUS_SHIFT
        | tier << TIER_SHIFT
        | int(key_type) << KEY_TYPE_SHIFT
        | (P256_SIGN_BIT if p256_sign else 0)
        | (CUSTODIAL_BIT if custodial else 0)
        | int(fee_mode) << FEE_MODE_SHIFT
    )


def key_of(record: Any) -> PublicKey:
    """The key of an ACCOUNT record, a scalar or an array of one."""
    form = int(np.ravel(record["flags"])[0]) >> KEY_TYPE_SHIFT & KEY_FORM_MASK
    return PublicKey(form, record["key"].tobytes())


def account_number(region: int, position: int) -> int:
    """Join a region and a position; the result is also the row in the ledger's array."""
    assert 0 <= region < 1 << REGION_BITS
    assert 0 <= position < REGION_ACCOUNTS
    return region << POSITION_BITS | position


def region_of(number: int) -> int:
    """The region in which an account was enrolled."""
    return number >> POSITION_BITS


def revenue_account(payer: int) -> int:
    """The account that receives the fee of `payer`'s orders: the revenue account of its region."""
    return account_number(region_of(payer), POSITION_REVENUE)


def excise_account(payer: int) -> int:
    """The account that receives the tax in the fee of `payer`'s orders, of the same region."""
    return account_number(region_of(payer), POSITION_EXCISE)


def head_office_named(payee: int, options: bytes) -> int | None:
    """The head office that an order with a commission names, or 0 if it says that there is none.

    The three option bytes are a position in the payee's region. None where no head office can be.
    """
    position = int.from_bytes(options, "little")
    if position == 0:
        return 0
    if not FIRST_FREE_POSITION <= position < REGION_ACCOUNTS:
        return None
    return account_number(region_of(payee), position)


def readable(array: npt.NDArray[Any], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Return the array as kernels take it, contiguous and read-only: one compilation for all."""
    if array.dtype is dtype and array.flags.c_contiguous and not array.flags.writeable:
        return array
    view = np.ascontiguousarray(array, dtype).view()
    view.setflags(write=False)
    return view
