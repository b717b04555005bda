"""What a handset reads before it asks anyone; whatever is wrong with it is one sentence."""

import msgspec
import pytest
from tests.handset.proof_cases import network_of

from harambee.handset.network_file import NetworkFileError, read_committee, read_network

GENESIS = network_of(4)
DOCUMENT = msgspec.json.encode(GENESIS.document)


def changed(**fields):
    return msgspec.json.encode(msgspec.to_builtins(GENESIS.document) | fields)


def test_the_genesis_is_read_from_its_folder_or_by_its_name(tmp_path):
    file = tmp_path / "genesis.json"
    file.write_bytes(DOCUMENT)
    for place in (tmp_path, file):
        genesis = read_committee(place)
        assert genesis.network == GENESIS.network
        assert genesis.committee == GENESIS.committee
    with pytest.raises(NetworkFileError, match="There is no network in"):
        read_network(tmp_path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "There is no network in"),
        (b"", "cannot be read"),
        (b"{}", "cannot be read"),
        (changed(format=2), "has format 2; this software reads format 1"),
        (changed(super_agents=[]), "is damaged"),
        (
            changed(
                super_agents=2 * [{"name": "a", "key": "", "tls_key_digest": "", "regions": [0]}]
            ),
            "is damaged",
        ),
        (
            changed(super_agents=[{"name": "a", "key": "x", "tls_key_digest": "", "regions": [0]}]),
            "is damaged",
        ),
        (
            changed(super_agents=[{"name": "a", "key": "", "tls_key_digest": "", "regions": []}]),
            "is damaged",
        ),
        (changed(tariffs=[]), "is damaged"),
    ],
)
def test_what_is_no_genesis_is_one_sentence(tmp_path, content, said):
    if content is not None:
        (tmp_path / "genesis.json").write_bytes(content)
    with pytest.raises(NetworkFileError, match=said) as caught:
        read_committee(tmp_path)
    assert "\n" not in str(caught.value)
