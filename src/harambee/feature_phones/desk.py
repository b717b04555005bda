"""A door for feature phones: whoever dials is brought to a holder of her account that can be reached.

A door knows nothing of PINs and keys and signs nothing. What it shows before the PIN (to whom, at which
price) it computes from its own ledger, and asks a holder for the name.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

import msgspec

from harambee.crypto.keys import public_of
from harambee.crypto.signatures import KeyPair, generate
from harambee.feature_phones.custody import Custody, pin_row
from harambee.feature_phones.ground import Ground, GroundError
from harambee.feature_phones.messages import (
    Act,
    Done,
    Fate,
    Matter,
    MessageError,
    Named,
    OfAccount,
    Rows,
    Told,
    read,
    write,
)
from harambee.feature_phones.pins import SALT_BYTES, VERIFIER_BYTES, PinError, check_new_pin
from harambee.feature_phones.port import Caller, NewPhone, Obstacle, PhonesError, Quote, Wish
from harambee.feature_phones.rows import KeyRow, PinRow
from harambee.feature_phones.signing import OPTION_CUSTODIAL
from harambee.feature_phones.store import PhoneStoreError
from harambee.handset.orders import (
    NO_REFERENCE,
    OrderBody,
    OrderError,
    bill_reference,
    check_between,
    fee_of,
    sign_possession,
)
from harambee.handset.payment_requests import RequestError, read_request, request_id
from harambee.handset.profiles import Profile, ProfileError, sign_profile
from harambee.ledger.kinds import OrderKind
from harambee.ledger.records import (
    CUSTODIAL_BIT,
    FEE_MODE_MASK,
    FEE_MODE_SHIFT,
    KIND_MASK,
    AccountKind,
)
from harambee.money.tariff import FeeMode, Tariff
from harambee.protocol.holders import holders
from harambee.texts.languages import Language

TELL_S: Final = 3.0
NAME_S: Final = 6.0
ACT_S: Final = 14.0
"""A holder may have to take the account over first."""
ENROL_TRIES: Final = 4

M = TypeVar("M", bound=msgspec.Struct)

log: Final = logging.getLogger(__name__)

_NO_PIN: Final = PinRow(0, bytes(SALT_BYTES), bytes(VERIFIER_BYTES), Language.ENGLISH)


@dataclass
class PhonesDesk:
    """Implements `PhonesPort` over a super-agent, which may be a holder itself."""

    ground: Ground
    custody: Custody

    # -- who dials --------------------------------------------------------------------------------

    async def caller(self, number: str) -> Caller | Obstacle:
        """Return who dials from a number, in its canonical form."""
        try:
            account = await self.ground.number(number)
            record = None if account is None else await self.ground.account(account)
        except GroundError:
            return Obstacle.UNAVAILABLE
        if account is None or record is None:
            return Obstacle.NUMBER_UNKNOWN
        if not int(record["flags"][0]) & CUSTODIAL_BIT:
            return Obstacle.OWN_KEY
        told = await self._of_holder(
            account, Matter.TELL, OfAccount(account), Told, TELL_S, lambda answer: answer.known
        )
        if told is None or not told.known:
            return Obstacle.UNAVAILABLE
        return self._caller(account, told)

    def _caller(self, account: int, told: Told) -> Caller:
        plain = Caller(account, told.language, told.next_sequence)
        try:
            request = read_request(told.request) if told.request else None
        except RequestError:
            return plain
        if request is None or request.payer != account:
            return plain
        name = request_id(self.ground.genesis.network, told.request)
        return Caller(account, told.language, told.next_sequence, request, name)

    # -- what it would be -------------------------------------------------------------------------

    async def quote(self, caller: Caller, wish: Wish) -> Quote | Obstacle:
        """Return to whom a payment would be, and at which price."""
        try:
            payee = await self.ground.number(wish.to)
            if payee is None:
                return Obstacle.PAYEE_UNKNOWN
            reference = NO_REFERENCE
            if wish.kind is OrderKind.PAY_BILL:
                reference = bill_reference(payee, wish.bill_account)
            elif wish.airtime_for:
                reference = await self.ground.alias(wish.airtime_for)
            return await self._quote(caller, wish.kind, payee, wish.amount_cents, reference)
        except OrderError:
            return Obstacle.PAYEE_WRONG
        except GroundError:
            return Obstacle.UNAVAILABLE

    async def quote_request(self, caller: Caller) -> Quote | Obstacle:
        """Return to whom paying the request that waits would be, and at which price."""
        request = caller.request
        if request is None:
            return Obstacle.PAYEE_UNKNOWN
        try:
            return await self._quote(
                caller, request.order_kind, request.payee, request.amount_cents, caller.request_id
            )
        except GroundError:
            return Obstacle.UNAVAILABLE

    async def _quote(
        self, caller: Caller, kind: OrderKind, payee: int, amount_cents: int, reference: bytes
    ) -> Quote | Obstacle:
        if payee == caller.account:
            return Obstacle.PAYEE_HERSELF
        own, other = await self.ground.account(caller.account), await self.ground.account(payee)
        if own is None or other is None:
            return Obstacle.PAYEE_UNKNOWN
        flags = int(other["flags"][0])
        try:
            payer_kind = AccountKind(int(own["flags"][0]) & KIND_MASK)
            check_between(kind, payer_kind, AccountKind(flags & KIND_MASK))
        except OrderError:
            return Obstacle.PAYEE_WRONG
        mode = FeeMode(flags >> FEE_MODE_SHIFT & FEE_MODE_MASK)
        try:
            fee_cents = fee_of(await self.ground.tariff(), kind, amount_cents, mode)
        except OrderError:
            return Obstacle.AMOUNT_WRONG
        asked = OfAccount(caller.account, payee)
        named = await self._of_holder(caller.account, Matter.NAME, asked, Named, NAME_S)
        if named is not None and named.locked:
            return Obstacle.NAMES_LOCKED
        name, number = ("", "") if named is None else (named.name, named.number)
        return Quote(kind, payee, amount_cents, fee_cents, reference, name, number)

    async def act(self, act: Act) -> Done:
        """Have something done by the first holder that can be reached."""
        done = await self._of_holder(
            act.account,
            Matter.ACT,
            act,
            Done,
            ACT_S,
            lambda answer: answer.fate is not Fate.UNAVAILABLE,
        )
        return Done(Fate.UNAVAILABLE) if done is None else done

    async def _of_holder(
        self,
        account: int,
        matter: Matter,
        asked: msgspec.Struct,
        kind: type[M],
        patience_s: float,
        is_good: Callable[[M], bool] | None = None,
    ) -> M | None:
        """Return the first good answer of a holder that can be reached, else the last one; None if none."""
        content = write(asked)
        found: M | None = None
        for holder in holders(self.ground.genesis.committee, account):
            try:
                if holder == self.ground.index:
                    answer = await self.custody.serve(holder, matter, content)
                elif self.ground.is_linked(holder):
                    answer = await self.ground.ask(holder, matter, content, patience_s)
                else:
                    continue
                found = read(answer, kind)
            except (GroundError, MessageError):
                continue
            if is_good is None or is_good(found):
                break
        return found

    # -- what operators do ------------------------------------------------------------------------

    async def register(self, phone: NewPhone) -> int:
        """Open an account at this super-agent, its home, whose key is kept by its holders."""
        try:
            check_new_pin(phone.pin)
            Profile(0, 1, phone.name, phone.number, phone.language).to_bytes()
        except PinError as error:
            raise PhonesError("PIN_WEAK", str(error)) from error
        except ProfileError as error:
            raise PhonesError("PROFILE_INVALID", str(error)) from error
        try:
            if await self.ground.number(phone.number) is not None:
                raise PhonesError(
                    "NUMBER_TAKEN", "An account is registered under this number already."
                )
            account, keypair = await self._enrol(phone)
            await self._keep_profile(account, keypair, phone)
        except (GroundError, PhoneStoreError) as error:
            raise PhonesError("UNAVAILABLE", str(error)) from error
        log.info("a feature phone's account %d was opened", account)
        return account

    async def _enrol(self, phone: NewPhone) -> tuple[int, KeyPair]:
        """Enrol a key that a majority of the account's holders has durably; GroundError."""
        holding, said = self.custody.holding, "The network did not confirm it."
        tariff = await self.ground.tariff()
        for _ in range(ENROL_TRIES):
            payer, sequence = await self.ground.next_enrolment()
            account = payer + sequence
            made = KeyRow(self.ground.index, generate().seed)
            keypair = (await holding.own_key(account, made)).keypair
            before = await holding.newest_pin(account) or _NO_PIN
            pin = await pin_row(phone.pin, before.version + 1, before)
            pin = msgspec.structs.replace(pin, language=phone.language)
            await holding.keep_everywhere(Rows(account, [], pin))
            body = OrderBody(
                payer=payer,
                payee=account,
                amount_cents=0,
                fee_cents=0,
                sequence=sequence,
                kind=OrderKind.ENROL,
                tariff=tariff.version,
                day=self.ground.today(),
                options=bytes(
                    [
                        AccountKind.CUSTOMER,
                        public_of(keypair).form | OPTION_CUSTODIAL,
                        low_tier(tariff),
                    ]
                ),
                reference=keypair.public,
            )
            possession = sign_possession(keypair, self.ground.genesis.network, body)
            try:
                return await self.ground.enrol(body.to_bytes(), possession, phone.number), keypair
            except GroundError as error:
                said = str(error)  # another customer may have got the position first
        raise GroundError(said)

    async def _keep_profile(self, account: int, keypair: KeyPair, phone: NewPhone) -> None:
        profile = Profile(account, 1, phone.name, phone.number, phone.language)
        signed = sign_profile(keypair, self.ground.genesis.network, profile)
        if not await self.ground.keep_profile(signed):
            log.warning(
                "the profile of a feature phone's account was not kept; texts miss its number"
            )

    async def unlock(self, number: str) -> int:
        """Let a PIN be tried again that was locked, by an operator of one of its holders."""
        try:
            account = await self.ground.number(number)
            if account is None:
                raise PhonesError("NUMBER_UNKNOWN", "No account is registered under this number.")
            held_by = self.custody.holding.holders_of(account)
            if self.ground.index not in held_by:
                members = self.ground.genesis.committee.members
                names = ", ".join(members[holder].name for holder in held_by)
                raise PhonesError("NOT_HELD_HERE", f"This account is held by {names}: ask there.")
            await self.custody.holding.unlock(account)
        except (GroundError, PhoneStoreError) as error:
            raise PhonesError("UNAVAILABLE", str(error)) from error
        return account


def low_tier(tariff: Tariff) -> int:
    """Return the tier of the lowest limits that a tariff has, if they are below those of tier 0; else 0."""
    lowest, own = 0, tariff.limits_of(0)[0]
    for tier in tariff.tiers:
        if tier.transaction_cents < own:
            lowest, own = tier.tier, tier.transaction_cents
    return lowest
