"""KE-QR: EMVCo's own sample, what is written is read, and strangers' texts are no trouble."""

import io
from contextlib import suppress

import pytest
import zxingcpp
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from harambee.handset.ke_qr import (
    NAME_MAX,
    REFERENCE_MAX,
    TEXT_MAX,
    Code,
    CodeError,
    Kind,
    crc16,
    read_code,
    read_fields,
    write_code,
)
from harambee.handset.posters import poster, qr_of

EMVCO_SAMPLE = (
    "00020101021229300012D156000000000510A93FO3230Q31280012D15600000001030812345678520441115802CN"
    "5914BEST TRANSPORT6007BEIJING64200002ZH0104最佳运输0202北京540523.7253031565502016233030412340603"
    "***0708A60086670902ME91320016A0112233449988770708123456786304A13A"
)
TILL = Code(Kind.TILL, "174379", "Duka la Mama", 12_50, "shelf 7")
LETTERS = st.text(st.characters(categories=("L", "N")), min_size=1, max_size=NAME_MAX)


def test_emvcos_published_sample_decodes():
    fields = read_fields(EMVCO_SAMPLE)
    assert fields["59"] == "BEST TRANSPORT"
    assert fields["60"] == "BEIJING"
    assert fields["54"] == "23.72"
    assert fields["64"] == "0002ZH0104最佳运输0202北京"
    with pytest.raises(CodeError, match="Kenyan shillings"):
        read_code(EMVCO_SAMPLE)


def test_one_wrong_character_is_noticed():
    text = write_code(TILL)
    for at in range(len(text)):
        wrong = "1" if text[at] != "1" else "2"
        with pytest.raises(CodeError):
            read_code(text[:at] + wrong + text[at + 1 :])


def test_the_crc_is_ccitt_false():
    assert crc16(b"123456789") == 0x29B1
    assert crc16(b"") == 0xFFFF


@given(
    kind=st.sampled_from([Kind.TILL, Kind.PAYBILL, Kind.AGENT, Kind.BUSINESS]),
    digits=st.integers(10_000, 9_999_999),
    name=LETTERS,
    cents=st.none() | st.integers(1, 10**11),
    reference=st.text(st.characters(categories=("L", "N")), max_size=REFERENCE_MAX),
)
def test_what_is_written_is_read(kind, digits, name, cents, reference):
    code = read_code(write_code(Code(kind, str(digits), name, cents, reference)))
    assert (code.kind, code.payee, code.name) == (kind, str(digits), name)
    assert (code.amount_cents, code.reference) == (cents, reference)


def test_a_long_name_is_cut_and_a_telephone_keeps_its_plus():
    code = read_code(write_code(Code(Kind.TELEPHONE, "+254712345678", "A" * 40)))
    assert code.name == "A" * NAME_MAX
    assert code.number == "+254712345678"


@pytest.mark.parametrize(
    "code",
    [
        Code(Kind.TILL, "12", "Shop"),
        Code(Kind.TILL, "shop", "Shop"),
        Code(Kind.TELEPHONE, "0712", "Shop"),
        Code(Kind.TILL, "174379", " "),
        Code(Kind.TILL, "174379", "Shop", 0),
        Code(Kind.TILL, "174379", "Shop", -1),
        Code(Kind.TILL, "174379", "Shop", 1, "x" * 26),
        Code(Kind.TILL, "174379", "Shop", 1, "a\nb"),
        Code(Kind.TILL, "174379", "Shop", category="12"),
        Code(Kind.TILL, "174379", "Shop", postcode="x" * 11),
    ],
)
def test_what_no_code_can_say_is_not_written(code):
    with pytest.raises(CodeError):
        write_code(code)


def sealed(body):
    covered = f"{body}6304"
    return f"{covered}{crc16(covered.encode()):04X}"


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("000201530340428280008ke.go.qr0102BG0206174379540405", "no code for a payment"),
        ("00020153034042828" + "0008ke.go.qr0102XX0206174379", "not say whom"),
        ("0002015303404" + "2830" + "0008ke.go.qr0102BG0208shop1234", "not say whom"),
        ("0002015303404" + "2828" + "0008ke.go.qx0102BG0206174379", "another way to pay"),
        ("0002025303404", "another version"),
        ("5303404000201", "another version"),
        ("00020153034045401-", "cannot be read"),
        ("00020153034045300", "no code for a payment"),
        ("0002010002015303404", "no code for a payment"),
    ],
)
def test_what_is_odd_is_no_code(body, why):
    template = "2828" + "0008ke.go.qr0102BG0206174379"
    text = body if "28" in body[4:] or why != "cannot be read" else body + template
    with pytest.raises(CodeError, match=why):
        read_code(sealed(text))


@given(st.text(max_size=TEXT_MAX + 10))
@example("6304")
@example("\ud800" * 8)
def test_a_strangers_text_is_read_or_refused(text):
    for content in (text, sealed(text) if text.isprintable() else text):
        with suppress(CodeError):
            assert read_code(content).payee


def test_a_picture_is_read_back_by_another_library():
    written = io.BytesIO()
    qr_of(TILL).save(written, kind="png", scale=4, border=4)
    with Image.open(io.BytesIO(written.getvalue())) as picture:
        (found,) = zxingcpp.read_barcodes(picture)
    assert read_code(found.text).name == "Duka la Mama"


def test_a_poster_is_one_page_and_the_same_each_time():
    content = poster(TILL)
    assert content.startswith(b"%PDF-")
    assert content.count(b"/Type /Page\n") == 1
    assert content == poster(TILL)
