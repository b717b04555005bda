"""Telephones and short codes: one form for each number, however it is written."""

import pytest

from harambee.handset.numbers import canonical_number
from harambee.handset.telephone import TelephoneError
from harambee.node.directory import alias_of

FORMS = {
    "+254712345678": ["0712345678", "0712 345 678", "+254712345678", "254712345678"],
    "till:123456": ["till 123456", "Till 123456", "TILL:123456", "till123456", " till-123456 "],
    "paybill:247247": ["paybill 247247", "PayBill 247247"],
    "agent:0012345": ["agent 0012345"],
    "agent:12345": ["agent 12345"],
    "pochi:+254712345678": ["pochi 0712345678", "Pochi 0712 345 678", "pochi:+254712345678"],
}


@pytest.mark.parametrize(
    ("form", "text"), [(form, text) for form, texts in FORMS.items() for text in texts]
)
def test_a_number_has_one_form(form, text):
    assert canonical_number(text) == form
    assert canonical_number(form) == form


@pytest.mark.parametrize(
    "text",
    [
        "",
        "till",
        "till 1234",
        "till 12345678",
        "till 12345x",
        "till 123 456",
        "shop 123456",
        "pochi",
        "pochi 123456",
        "pochi till 123456",
        "123456",
        "till " + 30 * "1",
        "till \u0661\u0662\u0663\u0664\u0665\u0666",
    ],
)
def test_what_is_no_number_is_refused_with_a_sentence(text):
    with pytest.raises(TelephoneError, match=r"^This is not a .*\.$"):
        canonical_number(text)


def test_every_number_has_an_alias_of_its_own():
    aliases = {form: alias_of(bytes(32), texts[0]) for form, texts in FORMS.items()}
    assert len(set(aliases.values())) == len(FORMS)
    for form, texts in FORMS.items():
        assert {alias_of(bytes(32), text) for text in texts} == {aliases[form]}
