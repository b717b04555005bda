"""Four super-agents with feature phones, in memory: one ledger by the readable rules, links that can be cut.

A super-agent that is down answers nobody and is linked to nobody; its disk stays. An order that is offered
at a `mute` one reaches nobody until the village lets it out: so somebody dies between signing and speaking.
"""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from tests.handset.conftest import make_genesis

from harambee.crypto.hashing import TAG_ORDER, TAG_POSSESSION, signed_prefix
from harambee.crypto.keys import PublicKey, sign, verify
from harambee.crypto.signatures import from_seed
from harambee.crypto.vault import SealingKey, Vault
from harambee.feature_phones.custody import Custody
from harambee.feature_phones.desk import PhonesDesk
from harambee.feature_phones.ground import GroundError, Shown, StatementRow
from harambee.feature_phones.port import NewPhone
from harambee.feature_phones.store import PhoneStore
from harambee.handset.name_checks import is_asked_by, read_question
from harambee.handset.orders import OrderBody
from harambee.handset.payment_requests import is_question_of, read_decline
from harambee.handset.telephone import TelephoneError
from harambee.ledger import house_rules
from harambee.ledger.outcomes import Applied, Outcome
from harambee.ledger.records import (
    ACCOUNT,
    ORDER,
    AccountKind,
    account_flags,
    account_number,
    excise_account,
    key_of,
    revenue_account,
)
from harambee.ledger.rules import Account, Books, Order
from harambee.money.tariff import shipped_tariff
from harambee.texts.languages import Language

TODAY = 20_781
NOON_US = TODAY * 86_400_000_000 + 9 * 3_600_000_000
NUMBER, PIN = "+254712345678", "2580"
BEN, SHOP, BILLER, AGENT, AIRTIME, SMART = (account_number(1, 16 + place) for place in range(6))
NAMES = {BEN: "BEN O.", SHOP: "CORNER SHOP", BILLER: "WATER", AGENT: "AGENT ONE", AIRTIME: "AIR"}
NUMBERS = {
    "+254722000001": BEN,
    "till:123456": SHOP,
    "paybill:400001": BILLER,
    "agent:12345": AGENT,
    "paybill:400009": AIRTIME,
    "+254733000001": SMART,
}
KINDS = {
    BEN: AccountKind.CUSTOMER,
    SHOP: AccountKind.MERCHANT,
    BILLER: AccountKind.BUSINESS,
    AGENT: AccountKind.AGENT,
    AIRTIME: AccountKind.BUSINESS,
    SMART: AccountKind.CUSTOMER,
}
SMART_KEY = from_seed(b"m" * 32)
ENROLMENT_KEY = from_seed(b"e" * 32)


def record_of(account):
    record = np.zeros(1, ACCOUNT)
    record["key"] = np.frombuffer(account.key, np.uint8)
    for name, value in {
        "balance": account.balance_cents,
        "debited": account.debited_cents,
        "credited": account.credited_cents,
        "next_sequence": account.next_sequence,
        "flags": account.flags,
        "spent_today": account.spent_today_cents,
        "day": account.day,
        "held": account.held_cents,
        "frozen": account.frozen_cents,
        "head_office": account.head_office,
    }.items():
        record[name] = value
    return record


@dataclass
class Village:
    """What all super-agents agree on, and who of them is there."""

    folder: object
    genesis: object = field(default_factory=lambda: make_genesis(2))
    accounts: dict[Any, Any] = field(default_factory=dict)
    numbers: dict[Any, Any] = field(default_factory=lambda: dict(NUMBERS))
    final: dict[Any, Any] = field(default_factory=dict)
    offered: list[Any] = field(default_factory=list)
    """(who offered it, its body), in order."""
    desks: dict[Any, Any] = field(default_factory=dict)
    down: set[Any] = field(default_factory=set)
    mute: set[Any] = field(default_factory=set)
    kept_back: list[Any] = field(default_factory=list)
    cut: set[Any] = field(default_factory=set)
    """Pairs of super-agents with no link between them."""
    requests: list[Any] = field(default_factory=list)
    declined: list[Any] = field(default_factory=list)
    profiles: list[Any] = field(default_factory=list)
    locked_names: bool = False
    time_us: int = NOON_US
    account: int = 0
    """Of the feature phone."""

    def __post_init__(self):
        self.tariff = shipped_tariff(2)
        for number, kind in KINDS.items():
            self.accounts[number] = Account(
                key=SMART_KEY.public, flags=account_flags(kind), balance_cents=1_000_000
            )
        for region in range(4):
            for number in (revenue_account(region << 20), excise_account(region << 20)):
                self.accounts[number] = Account(
                    key=ENROLMENT_KEY.public, flags=account_flags(AccountKind.REVENUE)
                )
            self.accounts[account_number(region, 0)] = Account(
                key=ENROLMENT_KEY.public,
                flags=account_flags(AccountKind.ENROLMENT),
                next_sequence=64,
            )

    def start(self, index):
        vault = Vault(SealingKey(bytes([index + 1]) * 32))
        store = PhoneStore.open(self.folder / str(index), self.genesis.network, index, vault)
        ground = VillageGround(self, index)
        custody = Custody(ground, store, finish_every_s=0.01)
        self.desks[index] = PhonesDesk(ground, custody)
        self.down.discard(index)

    def stop(self, index):
        """Let one die; what is on its disk stays."""
        self.desks.pop(index).custody.store.close()
        self.down.add(index)

    async def finished(self, index):
        """Let a super-agent go on with what it had signed."""
        custody = self.desks[index].custody
        for account in custody.store.all_pending():
            await custody._finish(account)

    def books(self):
        return Books(self.accounts, tariffs={self.tariff.version: self.tariff})

    def take(self, order, possession=b""):
        """Judge an order, and apply it if it is accepted: the whole network in one call."""
        said = Order.of(np.frombuffer(order, ORDER)[0])
        books, network = self.books(), self.genesis.network
        payer = self.accounts.get(said.payer)
        key = key_of(record_of(payer))
        holds = verify(key, signed_prefix(TAG_ORDER, network) + order[:64], order[64:])
        proven = False
        if possession:
            form = said.options[1] & 7
            prefix = signed_prefix(TAG_POSSESSION, network)
            proven = verify(PublicKey(form, said.reference), prefix + order[:64], possession)
        if self.final.get((said.payer, said.sequence)) == order:
            return Outcome.ACCEPTED
        outcome = house_rules.judge(
            said, books, TODAY, signature_holds=holds, possession_holds=proven
        )
        if outcome is Outcome.ACCEPTED:
            effects = house_rules.effects(said, books)
            assert effects.applied is Applied.APPLIED
            self.accounts.update(effects.accounts)
            self.final[said.payer, said.sequence] = order
        return outcome

    def let_out(self):
        """What mute super-agents had signed reaches the network now, late."""
        return [self.take(*kept) for kept in self.kept_back]

    def finals(self, account, kind=None):
        orders = [
            OrderBody.from_bytes(order)
            for (payer, _), order in self.final.items()
            if payer == account
        ]
        return [body for body in orders if kind in (None, body.kind)]

    def credit(self, account, cents):
        self.accounts[account] = replace(self.accounts[account], balance_cents=cents)


@dataclass
class VillageGround:
    """One super-agent of the village, as the desk for feature phones sees it."""

    village: Village
    index: int

    @property
    def genesis(self):
        return self.village.genesis

    def now_us(self):
        self.village.time_us += 1
        return self.village.time_us

    def today(self):
        return TODAY

    def ready(self):
        return "down" if self.index in self.village.down else None

    async def account(self, number):
        found = self.village.accounts.get(number)
        return None if found is None else record_of(found)

    async def number(self, text):
        return self.village.numbers.get(text)

    async def alias(self, text):
        if not text.startswith("+254"):
            raise TelephoneError(text)
        return text.encode().ljust(32, b"\0")

    async def tariff(self):
        return self.village.tariff

    async def offer(self, order, possession, wait_ms):
        body = OrderBody.from_bytes(order)
        self.village.offered.append((self.index, body))
        if self.index in self.village.mute:
            self.village.kept_back.append((order, possession))
            return None
        return self.village.take(order, possession)

    async def final(self, payer, sequence, wait_ms):
        order = self.village.final.get((payer, sequence))
        return order is not None, order

    async def statement(self, account, limit):
        orders = [order for (payer, _), order in self.village.final.items() if payer == account]
        return [
            StatementRow(order, -OrderBody.from_bytes(order).amount_cents)
            for order in reversed(orders)
        ][:limit]

    async def name_of(self, signed):
        question = read_question(signed)
        key = key_of(record_of(self.village.accounts[question.asker]))
        assert is_asked_by(signed, self.genesis.network, key)
        if self.village.locked_names:
            return Shown("", "", is_locked=True)
        name = NAMES.get(question.payee)
        return None if name is None else Shown(name, "0722***001")

    async def requests(self, question):
        (account,) = np.frombuffer(question[:4], "<u4")
        key = key_of(record_of(self.village.accounts[int(account)]))
        assert is_question_of(question, self.genesis.network, key)
        return list(self.village.requests)

    async def decline(self, signed):
        self.village.declined.append(read_decline(signed))

    async def next_enrolment(self):
        payer = account_number(self.index, 0)
        return payer, self.village.accounts[payer].next_sequence

    async def enrol(self, body, possession, msisdn):
        order = body + sign(ENROLMENT_KEY, signed_prefix(TAG_ORDER, self.genesis.network) + body)
        outcome = self.village.take(order, possession)
        if outcome is not Outcome.ACCEPTED:
            raise GroundError(outcome.name)
        account = OrderBody.from_bytes(body).payee
        self.village.numbers[msisdn] = account
        return account

    async def keep_profile(self, signed):
        self.village.profiles.append(signed)
        return True

    def is_linked(self, peer):
        village = self.village
        return (
            not {peer, self.index} & village.down
            and peer in village.desks
            and not {(peer, self.index), (self.index, peer)} & village.cut
        )

    async def ask(self, peer, matter, content, patience_s):
        await asyncio.sleep(0)
        if not self.is_linked(peer):
            raise GroundError("there is no link")
        return await self.village.desks[peer].custody.serve(self.index, matter, content)


@asynccontextmanager
async def village_of(folder, *, phone=True, cents=100_000):
    """A village with one feature phone, whose home is super-agent 0 and alternates 1 and 2."""
    village = Village(folder)
    for index in range(4):
        village.start(index)
    if phone:
        village.account = await village.desks[0].register(
            NewPhone(NUMBER, "Customer One", PIN, Language.ENGLISH)
        )
        village.credit(village.account, cents)
    try:
        yield village
    finally:
        for desk in village.desks.values():
            desk.custody.store.close()
