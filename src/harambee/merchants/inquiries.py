"""Names of customers that merchants are about to pay, asked for by the merchant's own key at its home.

A merchant is one asker among others: its questions are counted by those who count every account's, one
that is followed by a payment is none, and who asks for too many gets no more on that day. So a consumer key
that was stolen is no telephone book, at whichever doors it is used.
"""

import contextlib
from collections.abc import Mapping
from typing import Final

import msgspec

from harambee.crypto.signatures import KeyPair
from harambee.handset.name_checks import Question, sign_question
from harambee.merchants.book import Book, key_of
from harambee.merchants.ground import Ground, GroundError, Matter
from harambee.merchants.port import Merchant, MerchantsError, Reason
from harambee.merchants.rows import TOLD_BYTES_MAX, RowError, read_row, write_row, write_told

ASK_S: Final = 12.0
"""Whoever counts the questions is asked, and then whoever holds the name."""
NAME_MAX: Final = 128
SENTENCE_MAX: Final = 256


class _Inquiry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whose software asks for which merchant, and for whose name."""

    consumer_key: str
    short_code: str
    msisdn: str


class _Told(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A name, or why there is none."""

    name: str = ""
    reason: Reason | None = None
    sentence: str = ""


class Inquiries:
    """The questions of the merchants whose home this is, and the way to the homes of the others."""

    def __init__(self, ground: Ground, book: Book) -> None:
        self._ground = ground
        self._book = book
        self._keys: Mapping[str, KeyPair] = {}
        self._last_us: dict[str, int] = {}
        """For each merchant the time of its last question: the next one has to be later."""

    def load(self, keys: Mapping[str, KeyPair]) -> None:
        """Begin with these merchants' keys, by "paybill:174379"."""
        self._keys = keys

    async def name_of_number(self, consumer_key: str, short_code: str, msisdn: str) -> str:
        """Return what a merchant may see of a number's owner; MerchantsError."""
        inquiry = _Inquiry(consumer_key, short_code, msisdn)
        merchant = self._book.find(short_code)
        if merchant is None:
            raise MerchantsError(
                Reason.MERCHANT_UNKNOWN, "There is no merchant of this short code."
            )
        if merchant.home == self._ground.index:
            return await self._asked(merchant, inquiry)
        try:
            content = write_told(inquiry)
            answer = await self._ground.ask(merchant.home, Matter.NAME, content, ASK_S)
            told = read_row(answer, _Told, TOLD_BYTES_MAX)
        except (GroundError, RowError) as error:
            name = self._ground.genesis.committee.members[merchant.home].name
            sentence = f"This merchant's key lies at {name}, which cannot be reached now."
            raise MerchantsError(Reason.UNAVAILABLE, sentence) from error
        if told.reason is not None or not (told.name and told.name.isprintable()):
            reason = told.reason or Reason.UNAVAILABLE
            raise MerchantsError(reason, told.sentence[:SENTENCE_MAX])
        return told.name[:NAME_MAX]

    async def told(self, content: bytes) -> bytes:
        """Answer another super-agent, at whose door a merchant's software asks; nothing where it did not."""
        with contextlib.suppress(RowError):
            inquiry = read_row(content, _Inquiry, TOLD_BYTES_MAX)
            merchant = self._book.find(inquiry.short_code)
            if merchant is None or merchant.home != self._ground.index:
                return b""
            try:
                return write_row(_Told(await self._asked(merchant, inquiry)))
            except MerchantsError as error:
                return write_row(_Told("", error.reason, error.sentence))
            except GroundError as error:
                return write_row(_Told("", Reason.UNAVAILABLE, str(error)))
        return b""

    async def _asked(self, merchant: Merchant, inquiry: _Inquiry) -> str:
        key = key_of(merchant)
        app = self._book.app(inquiry.consumer_key)
        if app is None or merchant.short_code not in app.short_codes:
            raise MerchantsError(Reason.INVALID, "This software does not act for this merchant.")
        keypair = self._keys.get(key)
        if keypair is None:
            sentence = "This super-agent has not got this merchant's key."
            raise MerchantsError(Reason.UNAVAILABLE, sentence)
        payee = await self._ground.number(inquiry.msisdn)
        if payee is None:
            sentence = "No account is registered under this number."
            raise MerchantsError(Reason.PAYER_UNKNOWN, sentence)
        time_us = max(self._ground.now_ms() * 1_000, self._last_us.get(key, 0) + 1)
        self._last_us[key] = time_us
        question = Question(merchant.account, payee, time_us)
        return await self._ground.ask_name(
            sign_question(keypair, self._ground.genesis.network, question)
        )
