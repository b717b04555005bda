"""The files with which a merchants' desk begins: written, read back, and refused."""

import json
from dataclasses import replace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harambee.crypto.signatures import from_seed
from harambee.merchants import files
from harambee.merchants.files import MerchantFiles, MerchantFilesError
from harambee.merchants.port import App, Merchant, Trade

TILL = Merchant("174379", Trade.TILL, 17, "Till 1", 0, "pass")
PAYBILL = Merchant("174379", Trade.PAYBILL, 18, "Paybill 1", 0, "key")
ELSEWHERE = Merchant("600000", Trade.PAYBILL, 1 << 20, "Paybill 2", 1, "pass")
APP = App("consumer", ("174379", "600000"), bytes(range(32)), b"d" * 32)
WHOLE = MerchantFiles(
    (APP,),
    (TILL, PAYBILL, ELSEWHERE),
    {"till:174379": from_seed(b"t" * 32), "paybill:174379": from_seed(b"p" * 32)},
    {"testapi": "secret"},
)


@pytest.fixture
def home(tmp_path):
    WHOLE.write(tmp_path)
    return tmp_path


def test_what_was_written_is_read_back(home):
    assert MerchantFiles.load(home) == WHOLE
    assert {file.stat().st_mode & 0o777 for file in home.rglob("*") if file.is_file()} == {0o600}
    assert sorted(file.name for file in (home / "merchant-keys").iterdir()) == [
        "174379-paybill.key",
        "174379-till.key",
    ]


def test_who_has_no_keys_and_no_initiators_has_neither_file(tmp_path):
    known = replace(WHOLE, keys={}, initiators={})
    known.write(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["merchants.json"]
    assert MerchantFiles.load(tmp_path) == known


def test_where_there_are_no_files_there_are_no_merchants(tmp_path):
    assert MerchantFiles.load(tmp_path) == MerchantFiles()


def test_secrets_do_not_show(home):
    shown = repr(MerchantFiles.load(home))
    for secret in (
        "'pass'",
        "'key'",
        "'secret'",
        repr(APP.token_key),
        from_seed(b"t" * 32).seed.hex(),
    ):
        assert secret not in shown


def changed(home, change):
    file = home / "merchants.json"
    document = json.loads(file.read_text())
    change(document)
    file.write_text(json.dumps(document))
    with pytest.raises(MerchantFilesError) as error:
        MerchantFiles.load(home)
    assert str(error.value).startswith(str(file))
    assert str(error.value).endswith(".")
    return str(error.value)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda one: one.update(format=2), "has format 2"),
        (lambda one: one.update(more=1), "is not as such a file must be"),
        (lambda one: one["merchants"][0].update(trade="shop"), "is not as such a file"),
        (lambda one: one["merchants"][0].update(account=1 << 32), "is not as such a file"),
        (lambda one: one["merchants"][0].update(home=-1), "is not as such a file"),
        (lambda one: one["merchants"][0].update(short_code="17437a"), "no short code"),
        (lambda one: one["merchants"][0].update(short_code="../../x"), "no short code"),
        (lambda one: one["merchants"][0].update(name=""), "name and passkey"),
        (lambda one: one["merchants"][0].update(name="a\nb"), "name and passkey"),
        (lambda one: one["merchants"][0].update(passkey="p" * 65), "name and passkey"),
        (lambda one: one["merchants"].append(one["merchants"][0]), "till:174379 twice"),
        (lambda one: one["apps"].append(one["apps"][0]), "consumer twice"),
        (lambda one: one["apps"][0].update(consumer_key="a:b"), "no colon"),
        (lambda one: one["apps"][0].update(token_key="00"), "not 32 bytes"),
        (lambda one: one["apps"][0].update(secret_digest="hidden"), "not hexadecimal"),
        (lambda one: one["apps"][0].update(short_codes=["1"]), "no short code"),
    ],
)
def test_what_is_no_merchant_or_app_is_refused_in_one_sentence(home, change, sentence):
    said = changed(home, change)
    assert sentence in said
    assert "hidden" not in said


def test_files_that_others_can_read_or_that_are_none_are_refused(home):
    for name, harm in (
        ("merchants.json", "by others"),
        ("initiators.json", "by others"),
        ("merchant-keys/174379-till.key", "by others"),
    ):
        (home / name).chmod(0o640)
        with pytest.raises(MerchantFilesError, match=harm):
            MerchantFiles.load(home)
        (home / name).chmod(0o600)
    (home / "initiators.json").write_text('{"testapi": 5}')
    with pytest.raises(MerchantFilesError, match="is not as such a file"):
        MerchantFiles.load(home)
    (home / "initiators.json").unlink()
    (home / "initiators.json").mkdir()
    with pytest.raises(MerchantFilesError, match="is not a plain file"):
        MerchantFiles.load(home)


def test_a_file_that_is_too_large_is_not_read(home, monkeypatch):
    monkeypatch.setattr(files, "FILE_BYTES_MAX", 100)
    with pytest.raises(MerchantFilesError, match="more than 100 bytes"):
        MerchantFiles.load(home)


def test_a_key_is_never_overwritten(home):
    with pytest.raises(MerchantFilesError, match="never overwritten"):
        WHOLE.write(home)
    with pytest.raises(MerchantFilesError, match="Cannot write"):
        WHOLE.write(home / "missing")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["format", "apps", "merchants", "short_code", "token_key", "trade"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(st.binary(max_size=200) | JSON.map(msgspec.json.encode))
def test_whatever_stands_in_the_file_is_read_or_refused(tmp_path_factory, content):
    folder = tmp_path_factory.mktemp("any")
    file = folder / "merchants.json"
    file.touch(mode=0o600)
    file.write_bytes(content)
    try:
        read = MerchantFiles.load(folder)
    except MerchantFilesError:
        read = MerchantFiles()
    assert read == MerchantFiles(), "nothing that this can make up has an app or a merchant"
