"""Networks of any size, and true proofs of their orders, for tests to alter."""

from harambee.crypto.hashing import TAG_RECEIPT, signed_prefix
from harambee.crypto.signatures import from_seed, sign
from harambee.handset.orders import OrderBody, order_id
from harambee.handset.proofs import make_proof
from harambee.handset.receipts import Receipt
from harambee.ledger.kinds import OrderKind
from harambee.money.tariff import shipped_tariff
from harambee.protocol.genesis import Genesis, GenesisDocument, MemberDocument

TODAY = 20_781
PAYER, SHOP = 17, 3 << 20 | 40


def key_of(index, salt=1):
    return from_seed(index.to_bytes(2, "little") + bytes([salt]) * 30)


def network_of(super_agents, salt=1, epoch=0):
    """A genesis whose keys everybody in these tests knows."""
    members = [
        MemberDocument(f"agent-{index}", key_of(index, salt).public.hex(), "00" * 32, [index])
        for index in range(super_agents)
    ]
    tariffs = [shipped_tariff(2).to_document()]
    return Genesis(
        GenesisDocument(
            1, "proofs", True, epoch, "2026-01-01", members, tariffs, [], [], 0, "00" * 32
        ),
        b"",
    )


def order_of(**changes):
    """An order of 250 shillings at a till, right in everything but the changes; its 64 bytes."""
    fields = {
        "payer": PAYER,
        "payee": SHOP,
        "amount_cents": 250_00,
        "fee_cents": 0,
        "sequence": 3,
        "kind": OrderKind.BUY_GOODS,
        "tariff": 2,
        "day": TODAY,
    } | changes
    return OrderBody(**fields).to_bytes()


def receipt_of(genesis, body, index, salt=1):
    """What a super-agent signs over a final order."""
    epoch = genesis.committee.epoch.to_bytes(4, "little")
    prefix = signed_prefix(TAG_RECEIPT, genesis.network) + epoch
    return Receipt(
        index, sign(key_of(index, salt), prefix + order_id(genesis.network, body) + b"\0")
    )


def proof_of(genesis, body, signers=None):
    """A true proof, by the first super-agents or by those named."""
    signers = range(genesis.committee.w) if signers is None else signers
    return make_proof(genesis, body, [receipt_of(genesis, body, index) for index in signers])
