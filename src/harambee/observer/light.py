"""Light mode: one account, as of a checkpoint that w super-agents have signed, and nothing else kept.

A phone needs the committee's keys, some two kilobytes, and a hash or twenty. What it trusts is in
docs/threat-model.md.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from harambee.crypto.durable_files import replace_file
from harambee.handset.doors import DoorError
from harambee.observer.alarms import Alarms
from harambee.observer.checkpoints import hear_all, newest_true, ring_for_others
from harambee.observer.sources import Source
from harambee.protocol.account_proofs import (
    AccountProof,
    flaw_of_account,
    make_account_proof,
    read_account_proof,
    read_piece,
)
from harambee.protocol.checkpoint import Words
from harambee.protocol.genesis import Genesis
from harambee.protocol.malformed import Malformed
from harambee.storage.checkpoint_store import CheckpointStore


class NotProvedError(Exception):
    """Nothing can be shown of this account; one sentence."""


async def fetch_proof(
    genesis: Genesis, sources: Sequence[Source], account: int, alarms: Alarms
) -> AccountProof:
    """Return an account at the newest checkpoint that w super-agents have signed, checked.

    Whatever does not check rings an alarm. NotProvedError where nothing is left.
    """
    words = Words.of(genesis.committee)
    who = await hear_all(genesis, sources, alarms, words)
    true = newest_true(words)
    if true is None:
        heard = len({word for name in who for word in (w.signer for w in words.for_(name))})
        raise NotProvedError(
            f"no checkpoint is shown that {genesis.committee.w} super-agents have signed"
            + (f", only ones that fewer have, of {heard} together" if heard else "")
        )
    ring_for_others(genesis, words, true, alarms)
    for source in who[true.digest]:
        try:
            content = await source.piece(true.digest, account)
        except DoorError:
            continue
        if content is None:
            continue
        piece = read_piece(content)
        if isinstance(piece, Malformed):
            flaw: str | None = piece.why
        else:
            proof = make_account_proof(account, words.for_(true.digest), piece, genesis.committee.w)
            flaw = flaw_of_account(proof, genesis.committee)
            if flaw is None:
                return proof
        sentence = f"{source.name} shows account {account} with a proof that does not hold: {flaw}."
        alarms.ring("proof", source.index, source.name, sentence)
    if alarms.new:
        raise NotProvedError(alarms.new[-1].sentence)
    raise NotProvedError(f"no super-agent shows account {account} in checkpoint {true.number}")


def kept_file(folder: Path, account: int) -> Path:
    """Where light mode keeps an account."""
    return folder / f"account-{account}.proof"


def keep(folder: Path, genesis: Genesis, proof: AccountProof) -> AccountProof:
    """Keep a proof in the place of an older one; returns the newer of both. OSError.

    A door that shows an old checkpoint does not take this phone back behind what it has seen.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = kept_file(folder, proof.account)
    try:
        before = read_account_proof(file.read_bytes(), genesis.network, genesis.committee)
    except FileNotFoundError:
        before = Malformed("there is none")
    if (
        not isinstance(before, Malformed)
        and flaw_of_account(before, genesis.committee) is None
        and before.checkpoint.blocks > proof.checkpoint.blocks
    ):
        return before
    replace_file(file, proof.to_bytes())
    return proof


def stored_proof(store: CheckpointStore, genesis: Genesis, account: int) -> AccountProof:
    """Make the proof of an account from a full observer's folder. NotProvedError, CheckpointDamaged."""
    committee = genesis.committee
    for stored in sorted(store.all(), key=lambda s: s.checkpoint.blocks, reverse=True):
        words = stored.words(committee)
        if len(words) >= committee.w:
            piece = stored.piece(account)
            if piece is None:
                raise NotProvedError(f"there was no account {account} at the last checkpoint")
            return make_account_proof(account, words, piece, committee.w)
    raise NotProvedError("there is no checkpoint here yet that enough super-agents have signed")


def checked(content: bytes, genesis: Genesis) -> tuple[AccountProof, np.void]:
    """Return what a file proves, and the account's record; NotProvedError says why it proves nothing."""
    proof = read_account_proof(content, genesis.network, genesis.committee)
    if isinstance(proof, Malformed):
        raise NotProvedError(proof.why)
    flaw = flaw_of_account(proof, genesis.committee)
    if flaw is not None:
        raise NotProvedError(flaw)
    record = proof.piece.record(proof.account)
    if record is None:
        raise NotProvedError(
            f"there was no account {proof.account} at checkpoint {proof.checkpoint.number}"
        )
    return proof, record
