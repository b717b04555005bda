"""QR codes of proofs: what is written is read again, and no picture does more harm than to be refused."""

import io
import struct
import zlib

import pytest
import segno
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFilter
from tests.handset.proof_cases import network_of, order_of, proof_of

from harambee.handset import pictures
from harambee.handset.pictures import (
    PICTURE_BYTES_MAX,
    PIXELS_MAX,
    picture_of,
    qr_of,
    read_picture,
    terminal_lines,
)
from harambee.handset.proofs import (
    QR_CHARACTERS_MAX,
    ProofError,
    proof_characters,
    verify_proof,
)

FOUR, HUNDRED = network_of(4), network_of(100)
TEXT = proof_of(FOUR, order_of()).to_text()
LONG = proof_of(HUNDRED, order_of()).to_text()
PNG = picture_of(TEXT, "png")


def refused(content):
    with pytest.raises(ProofError) as caught:
        read_picture(content)
    return str(caught.value)


def saved(picture, form, **options):
    content = io.BytesIO()
    picture.save(content, form, **options)
    return content.getvalue()


def opened(content=PNG):
    return Image.open(io.BytesIO(content)).convert("L")


@pytest.mark.parametrize(("text", "genesis"), [(TEXT, FOUR), (LONG, HUNDRED)])
def test_a_proof_comes_back_from_its_picture_and_verifies(text, genesis):
    assert read_picture(picture_of(text, "png")) == text
    assert verify_proof(text, genesis).amount_cents == 250_00


@pytest.mark.parametrize("text", [TEXT, LONG])
def test_a_photograph_is_read_too(text):
    """Turned, on a background, a little out of focus, as JPEG and WebP, with and without colours."""
    code = opened(picture_of(text, "png")).convert("RGB")
    desk = Image.new("RGB", (code.width * 3 // 2, code.height * 3 // 2), (170, 140, 110))
    desk.paste(code, (code.width // 4, code.height // 5))
    turned = desk.rotate(7, resample=Image.Resampling.BICUBIC, fillcolor=(170, 140, 110))
    soft = turned.filter(ImageFilter.GaussianBlur(1))
    assert read_picture(saved(soft, "JPEG", quality=70)) == text
    assert read_picture(saved(soft, "WEBP", quality=70)) == text
    assert read_picture(saved(turned.rotate(180), "PNG")) == text


def test_a_picture_without_a_ground_is_read_as_a_screen_shows_it():
    content = io.BytesIO()
    segno.make_qr(TEXT).save(content, kind="png", scale=4, light=None)
    assert read_picture(content.getvalue()) == TEXT


def test_an_svg_is_a_drawing_of_the_same_code():
    drawing = picture_of(TEXT, "svg").decode()
    assert drawing.startswith("<?xml")
    assert "<svg" in drawing
    assert "neither a proof nor a picture" in refused(drawing.encode())


def test_a_terminal_shows_the_same_code():
    lines = terminal_lines(TEXT)
    side = qr_of(TEXT).symbol_size(border=pictures.BORDER)[0]
    assert {len(line) for line in lines} == {side}
    assert len(lines) == (side + 1) // 2
    # As pixels again, two to a character: what a telephone's camera sees.
    halves = {"█": (255, 255), "▀": (255, 0), "▄": (0, 255), " ": (0, 0)}
    rows = [[halves[sign][half] for sign in line] for line in lines for half in (0, 1)]
    seen = Image.new("L", (side, len(rows)))
    seen.putdata([pixel for row in rows for pixel in row])
    large = seen.resize((side * 4, len(rows) * 4), Image.Resampling.NEAREST)
    assert read_picture(saved(large, "PNG")) == TEXT


def test_a_proof_of_too_many_super_agents_has_no_code():
    assert proof_characters(42) <= QR_CHARACTERS_MAX < proof_characters(43)
    assert qr_of("HRB1:" + "0" * (QR_CHARACTERS_MAX - 5)).version == 40
    with pytest.raises(ProofError, match="4,297 characters, and a QR code holds 4,296"):
        qr_of("HRB1:" + "0" * (QR_CHARACTERS_MAX - 4))


def test_a_picture_without_a_proof_says_so():
    blank = Image.new("L", (300, 300), 255)
    assert "no proof in this picture" in refused(saved(blank, "PNG"))
    content = io.BytesIO()
    segno.make_qr("https://example.org/").save(content, kind="png", scale=5)
    assert "no proof in this picture" in refused(content.getvalue())
    half = opened()
    half.paste(255, (0, 0, half.width // 2, half.height))
    assert "no proof in this picture" in refused(saved(half, "PNG"))


def test_two_proofs_in_one_picture_are_not_chosen_between():
    other = proof_of(FOUR, order_of(sequence=4)).to_text()
    left, right = opened(), opened(picture_of(other, "png"))
    both = Image.new("L", (left.width + right.width, left.height), 255)
    both.paste(left, (0, 0))
    both.paste(right, (left.width, 0))
    assert "several proofs" in refused(saved(both, "PNG"))


def png_of(width, height):
    """A PNG of a few bytes that says it has so many pixels."""
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", zlib.compress(bytes(64))), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in chunks
    )


@pytest.mark.parametrize("size", [(5_001, 5_000), (60_000, 60_000), (2**31 - 1, 2**31 - 1)])
def test_pixels_are_counted_before_they_are_decoded(size, monkeypatch):
    def no_decoding(_picture):
        raise AssertionError("it decodes")

    monkeypatch.setattr(Image.Image, "load", no_decoding)
    assert size[0] * size[1] > PIXELS_MAX
    assert f"more than {PIXELS_MAX:,} pixels" in refused(png_of(*size))


def test_bytes_are_counted_first_of_all():
    assert "larger than 16 MiB" in refused(PNG + bytes(PICTURE_BYTES_MAX))


@pytest.mark.parametrize(
    "content", [b"", b"\0", b"GIF89a", b"BM", b"%PDF-1.7", png_of(40, 40), PNG[:99]]
)
def test_what_is_no_picture_is_refused(content):
    refused(content)


JPEG = saved(opened(), "JPEG")
WEBP = saved(opened(), "WEBP")


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from([PNG, JPEG, WEBP]), st.data())
def test_a_damaged_picture_is_refused_or_says_what_it_said(picture, data):
    at = data.draw(st.integers(0, len(picture)))
    piece = data.draw(st.binary(max_size=12))
    damaged = picture[:at] + piece + picture[at + len(piece) :]
    if data.draw(st.booleans()):
        damaged = damaged[: data.draw(st.integers(0, len(damaged)))]
    try:
        said = read_picture(damaged)
    except ProofError:
        return
    assert said == TEXT
