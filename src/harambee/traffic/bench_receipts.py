"""How long a shop's telephone would need to check a proof: from its text, and from a picture of it.

No network is started: the keys of a committee are made here, w of them sign, and only the reading
side is timed, beginning with the characters or with the bytes of a PNG.
"""

import statistics
import time
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from harambee.crypto.hashing import TAG_RECEIPT, signed_prefix
from harambee.crypto.signatures import KeyPair, sign
from harambee.handset.orders import OrderBody, order_id, today
from harambee.handset.pictures import picture_of, qr_of, read_picture
from harambee.handset.proofs import Proof, make_proof, verify_proof
from harambee.handset.receipts import Receipt
from harambee.ledger.kinds import OrderKind
from harambee.ledger.outcomes import Outcome
from harambee.money.tariff import shipped_tariff
from harambee.protocol.genesis import FORMAT, Genesis, GenesisDocument, MemberDocument

SUPER_AGENTS: Final = (4, 100)
AMOUNT_CENTS: Final = 250_00


def bench_receipts(rounds: int, seed: int) -> dict[str, Any]:
    """Return milliseconds, each a median over so many rounds, for every size of network."""
    figures: dict[str, Any] = {"rounds": rounds, "seed": seed}
    for super_agents in SUPER_AGENTS:
        found = _measured(super_agents, rounds, seed)
        figures |= {f"{name}_{super_agents}": value for name, value in found.items()}
    return figures


def _measured(super_agents: int, rounds: int, seed: int) -> dict[str, Any]:
    genesis, keys = _network(super_agents, seed)
    text = _proof(genesis, keys).to_text()
    picture = picture_of(text, "png")
    assert read_picture(picture) == text, "what is drawn here is read here"
    return {
        "text_ms": _median_ms(rounds, lambda: verify_proof(text, genesis)),
        "picture_ms": _median_ms(rounds, lambda: verify_proof(read_picture(picture), genesis)),
        "signatures": genesis.committee.w,
        "characters": len(text),
        "qr_version": qr_of(text).version,
        "picture_bytes": len(picture),
    }


def _median_ms(rounds: int, work: Callable[[], object]) -> float:
    work()
    spent_s = []
    for _ in range(rounds):
        began = time.perf_counter()
        work()
        spent_s.append(time.perf_counter() - began)
    return round(1_000 * statistics.median(spent_s), 3)


def _network(super_agents: int, seed: int) -> tuple[Genesis, list[KeyPair]]:
    """Return a committee whose keys are all here."""
    dice = np.random.default_rng([seed, 6])
    seeds = dice.integers(0, 256, (super_agents, 32), dtype=np.uint8)
    keys = [KeyPair(row.tobytes()) for row in seeds]
    members = [
        MemberDocument(f"super-agent-{index}", key.public.hex(), "00" * 32, [index])
        for index, key in enumerate(keys)
    ]
    document = GenesisDocument(
        format=FORMAT,
        name="bench",
        development=True,
        epoch=0,
        created="2026-01-01",
        super_agents=members,
        tariffs=[shipped_tariff(2).to_document()],
        issuers=[],
        aliases=[],
        openings_count=0,
        openings_digest="00" * 32,
    )
    return Genesis(document, b""), keys


def _proof(genesis: Genesis, keys: list[KeyPair]) -> Proof:
    """Return a purchase under the words of the last w super-agents."""
    body = OrderBody(
        payer=16,
        payee=17,
        amount_cents=AMOUNT_CENTS,
        fee_cents=0,
        sequence=3,
        kind=OrderKind.BUY_GOODS,
        tariff=genesis.tariffs[-1].version,
        day=today(),
    ).to_bytes()
    said = order_id(genesis.network, body) + bytes([Outcome.ACCEPTED])
    prefix = signed_prefix(TAG_RECEIPT, genesis.network) + bytes(4)
    signed = [Receipt(index, sign(key, prefix + said)) for index, key in enumerate(keys)]
    return make_proof(genesis, body, signed[-genesis.committee.w :])
