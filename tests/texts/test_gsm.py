"""The alphabet of texts, and what a text costs in segments."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harambee.texts.gsm import fold, is_gsm, segments


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("Wanjikũ’s", "Wanjiku's"),
        ("caffè", "caffè"),
        ("a\r\n\tb\0c", "a b c"),
        ("水", "?"),
        ("ﬁne…", "fine..."),
        ("\N{NO-BREAK SPACE}x  y ", "x y"),
        ("", ""),
    ],
)
def test_folding(text, folded):
    assert fold(text) == folded


@given(st.text())
def test_whatever_is_folded_can_be_sent_and_stays_as_it_is(text):
    assert is_gsm(fold(text))
    assert fold(fold(text)) == fold(text)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 1),
        ("a" * 160, 1),
        ("a" * 161, 2),
        ("a" * 306, 2),
        ("a" * 307, 3),
        ("€" * 80, 1),
        ("€" * 81, 2),
        # 153 is odd: the 77th escape begins the next segment, and one septet of each is lost.
        ("€" * 152, 2),
        ("€" * 153, 3),
    ],
)
def test_segments(text, count):
    assert segments(text) == count


def test_what_cannot_be_sent_has_no_segments():
    with pytest.raises(ValueError, match="fold it first"):
        segments("水")
