"""Names for the people of a demonstration: "Customer 1" owns the account customer-1.

In a real network a profile comes from its owner, through the super-agent that enrols her. The keys
of a development network lie in its folder, so its people can sign before anybody runs.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from harambee.handset.profiles import Profile, sign_profile
from harambee.node.development import DemoAccount
from harambee.node.profile_store import ProfileStore, open_vault
from harambee.protocol.genesis import Genesis
from harambee.protocol.holders import co_holders, holders

FIRST_VERSION: Final = 1


def write_demo_profiles(homes: Path, genesis: Genesis, people: Sequence[DemoAccount]) -> None:
    """Write each one's profile to those who hold it; `homes` has a folder for each super-agent.

    ProfileStoreError or KeyFileError where that cannot be.
    """
    held: dict[int, list[tuple[int, int, bytes]]] = {}
    for person in people:
        signed = sign_profile(person.keypair, genesis.network, _profile_of(person))
        for holder in holders(genesis.committee, person.account):
            held.setdefault(holder, []).append((person.account, FIRST_VERSION, signed))
    for holder, profiles in held.items():
        home = homes / genesis.committee.members[holder].name
        folder = home / "profiles"
        vault = open_vault(home / "profile.key", folder)
        with ProfileStore.open(folder, genesis.network, holder, vault) as store:
            store.put_all(profiles)
            for peer in co_holders(genesis.committee, holder):
                store.note_asked(peer)


def _profile_of(person: DemoAccount) -> Profile:
    name = person.name.replace("-", " ").title()
    return Profile(person.account, FIRST_VERSION, name, person.msisdn or None)
