"""Proofs as QR codes: written as PNG or SVG, shown in a terminal, read from pictures.

A picture comes from a stranger: its bytes and pixels are counted before anything is decoded, and
only formats that cameras and screens make are tried.
"""

import io
import struct
import warnings
import zlib
from typing import Final

import segno
import zxingcpp
from PIL import Image, UnidentifiedImageError

from harambee.handset.proofs import BEGINS, QR_CHARACTERS_MAX, ProofError

PICTURE_BYTES_MAX: Final = 16 << 20
PIXELS_MAX: Final = 25_000_000
"""What telephones' cameras make; with all its colours such a picture takes 100 MB for a moment."""
WANTED_PIXELS: Final = (4_096, 4_096)
"""A JPEG is not decoded much finer than this: no code needs it."""
FORMATS: Final = ("PNG", "JPEG", "WEBP")
SCALE: Final = 6
"""Pixels of a module: large enough to be read from a screen or from paper."""
BORDER: Final = 4
QR_CODES: Final = zxingcpp.BarcodeFormats(zxingcpp.BarcodeFormat.QRCode)
_DAMAGED: Final = (
    EOFError,
    IndexError,
    OSError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)
"""What Pillow's decoders raise over pictures that are cut short or damaged."""


def qr_of(text: str) -> segno.QRCode:
    """Return the QR code of a proof's text; ProofError if none is so large."""
    if len(text) > QR_CHARACTERS_MAX:
        raise ProofError(
            f"The proof has {len(text):,} characters, and a QR code holds {QR_CHARACTERS_MAX:,}."
        )
    return segno.make_qr(text, error="l", mode="alphanumeric", boost_error=True)


def picture_of(text: str, form: str) -> bytes:
    """Return the QR code of a proof's text as a file, `form` being "png" or "svg"; ProofError."""
    assert form in ("png", "svg")
    content = io.BytesIO()
    qr_of(text).save(content, kind=form, scale=SCALE, border=BORDER)
    return content.getvalue()


def terminal_lines(text: str) -> list[str]:
    """Return the QR code as lines for a terminal, to be shown white on black; ProofError."""
    shown = io.StringIO()
    qr_of(text).terminal(shown, border=BORDER, compact=True)
    return shown.getvalue().splitlines()


def read_picture(content: bytes) -> str:
    """Return the text of the proof whose QR code is in a picture; ProofError, with one sentence, if none.

    Nothing else is raised, whatever the bytes are.
    """
    proofs = {text for text in texts_in(content) if text.startswith(BEGINS)}
    if not proofs:
        raise ProofError("There is no proof in this picture that can be read.")
    if len(proofs) > 1:
        raise ProofError("There are several proofs in this picture: show one at a time.")
    return proofs.pop()


def texts_in(content: bytes) -> set[str]:
    """Return the texts of all QR codes in a picture; ProofError for what is none, or is too large."""
    if len(content) > PICTURE_BYTES_MAX:
        raise ProofError(f"The picture is larger than {PICTURE_BYTES_MAX >> 20} MiB.")
    codes = zxingcpp.read_barcodes(_decoded(content), formats=QR_CODES)
    return {code.text for code in codes}


def _decoded(content: bytes) -> Image.Image:
    """Return the picture in grey; ProofError for what is none, or is too large."""
    try:
        with warnings.catch_warnings():
            # Pillow only warns of large pictures; those beyond our own bound are refused below.
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(content), formats=FORMATS) as picture:
                width, height = picture.size
                if width * height > PIXELS_MAX:
                    raise ProofError(f"The picture has more than {PIXELS_MAX:,} pixels.")
                picture.draft("L", WANTED_PIXELS)
                return _on_white(picture).convert("L")
    except UnidentifiedImageError as error:
        raise ProofError("This is neither a proof nor a picture: PNG, JPEG or WebP.") from error
    except Image.DecompressionBombError as error:
        raise ProofError(f"The picture has more than {PIXELS_MAX:,} pixels.") from error
    except _DAMAGED as error:
        raise ProofError("The picture is damaged.") from error


def _on_white(picture: Image.Image) -> Image.Image:
    """Return a picture whose see-through parts are white, as a screen would show them."""
    if not picture.has_transparency_data:
        return picture
    seen = picture.convert("RGBA")
    ground = Image.new("RGBA", seen.size, "white")
    ground.alpha_composite(seen)
    return ground
