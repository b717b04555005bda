"""A super-agent's configuration: read, or refused in one sentence that names file and field."""

import pytest

from harambee.crypto.key_places import EnvironmentKey
from harambee.node.config import Address, ConfigError, read_config

GOOD = """
name = "amani"
genesis = "../../genesis.json"
openings = "../../openings.bin"
addresses = "../../addresses.json"
certificates = "../../certificates"
directory_key = "../../directory.key"
signing_key = "signing.key"
enrolment_key = "enrolment.key"
treasury_key = "treasury.key"
tls_key = "tls.key"
tls_certificate = "tls.crt"
"""


@pytest.fixture
def write(tmp_path):
    def write(text):
        file = tmp_path / "node.toml"
        file.write_text(text)
        return file

    return write


def test_defaults_listen_on_loopback_only(write, tmp_path):
    config = read_config(write(GOOD))
    assert config.listen_http == Address("127.0.0.1", 8401)
    assert config.listen_peer == Address("127.0.0.1", 9401)
    assert (config.name_checks_daily, config.profiles) == (5, tmp_path / "profiles")
    assert (config.pace_ms, config.heartbeat_ms, config.log_level) == (20, 1000, "info")
    assert config.journal == tmp_path.resolve() / "journal"


def test_texts_go_to_an_outbox_beside_the_file_unless_it_says_otherwise(write, tmp_path):
    config = read_config(write(GOOD))
    assert (config.texts, config.texts_language, config.texts_brand) == ("outbox", "en", "Harambee")
    assert config.texts_folder == tmp_path.resolve() / "texts"
    said = 'texts = "off"\ntexts_language = "sw"\ntexts_brand = "Pamoja"\ntexts_folder = "/srv/x"\n'
    config = read_config(write(GOOD + said))
    assert (config.texts, config.texts_language, config.texts_brand) == ("off", "sw", "Pamoja")
    assert str(config.texts_folder) == "/srv/x"


def test_paths_are_relative_to_the_file_and_may_be_absolute(write, tmp_path):
    config = read_config(write(GOOD + 'journal = "/var/lib/harambee"\n'))
    assert str(config.journal) == "/var/lib/harambee"
    assert config.signing_key == tmp_path.resolve() / "signing.key"


def test_a_key_may_be_in_the_environment(write):
    config = read_config(write(GOOD.replace("signing.key", "env:AMANI_SIGNING")))
    assert config.signing_key == EnvironmentKey("AMANI_SIGNING")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "missing required field `name`"),
        (GOOD + "name_checks_daily = -1", "name_checks_daily: expected `int` >= 0"),
        (GOOD + "name_checks_daily = 101", "name_checks_daily: expected `int` <= 100"),
        (GOOD + "pace_ms = 0", "pace_ms: expected `int` >= 1"),
        (GOOD + 'pace_ms = "20"', "pace_ms: expected `int`, got `str`"),
        (GOOD + "pace_ms = 20.5", "pace_ms: expected `int`, got `float`"),
        (GOOD + "heartbeat_ms = 10", "heartbeat_ms must not be below pace_ms"),
        (GOOD + 'log_level = "loud"', "log_level: invalid enum value 'loud'"),
        (GOOD + 'texts = "sms"', "texts: invalid enum value 'sms'"),
        (GOOD + 'texts_language = "de"', "texts_language: invalid enum value 'de'"),
        (GOOD + f'texts_brand = "{"x" * 17}"', "texts_brand: expected `str` of length <= 16"),
        (GOOD + 'colour = "red"', "unknown field `colour`"),
        (GOOD + 'listen_http = "8401"', "listen_http: '8401' is not an address"),
        (GOOD + 'listen_peer = "host:70000"', "listen_peer: 'host:70000' has a port above 65535"),
        (GOOD + 'journal = ""', "journal: expected `str` of length >= 1"),
        (GOOD.replace("signing.key", "env:1"), "signing_key: behind env: stands the name of a"),
        (GOOD + 'log_format = "xml"', "log_format: invalid enum value 'xml'"),
        ("name = ", "is not valid TOML"),
    ],
)
def test_a_wrong_field_is_named(write, text, sentence):
    file = write(text)
    with pytest.raises(ConfigError) as refusal:
        read_config(file)
    assert str(refusal.value).startswith(str(file))
    assert sentence in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"there is no configuration .*node\.toml"):
        read_config(tmp_path / "node.toml")
    with pytest.raises(ConfigError, match="cannot read"):
        read_config(tmp_path)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:80", Address("127.0.0.1", 80)),
        ("[::1]:80", Address("::1", 80)),
        ("amani.example:65535", Address("amani.example", 65535)),
    ],
)
def test_an_address_reads_back(text, address):
    assert Address.parse(text) == address
    assert str(address) == text


@pytest.mark.parametrize(
    "text", ["", ":80", "host", "host:", "host:-1", "::1:80", "host:\uff18\uff10"]
)
def test_what_is_no_address_is_refused(text):
    with pytest.raises(ConfigError):
        Address.parse(text)


KEYS = {name: name * 64 for name in "ab"}


def test_two_operators_with_keys_of_their_own(write, tmp_path):
    assert read_config(write(GOOD)).operators == {}
    said = f'operators = {{ first = "{KEYS["a"]}", second = "{KEYS["b"].upper()}" }}\n'
    config = read_config(write(GOOD + said))
    assert config.operators == {"first": b"\xaa" * 32, "second": b"\xbb" * 32}
    assert config.governance == tmp_path.resolve() / "governance"


@pytest.mark.parametrize(
    ("operators", "sentence"),
    [
        (f'first = "{KEYS["a"]}"', "there are 2 to 64, not 1"),
        (f'first = "{KEYS["a"]}", second = "{KEYS["a"]}"', "second has the key of another one"),
        (f'first = "{KEYS["a"]}", second = "ab"', "the key of second is not 64 hexadecimal"),
        (f'first = "{KEYS["a"]}", "a b" = "{KEYS["b"]}"', "'a b' is no name of letters and digits"),
    ],
)
def test_operators_that_cannot_be(write, operators, sentence):
    with pytest.raises(ConfigError, match=sentence):
        read_config(write(GOOD + f"operators = {{ {operators} }}\n"))
