"""The three formats of a statement."""

import base64
import csv
import io
import re
import zlib

import pytest
from tests.statements.sheets import ANNA, BEN, PAYER, agents, annas, entry

from harambee.ledger.records import AccountKind
from harambee.statements.comma_separated import comma_separated, safe
from harambee.statements.plain import plain
from harambee.statements.portable_document import folded, in_font, portable_document
from harambee.statements.sheet import sheet_of

PLAIN = """\
Account          16 (customer)
Name             ANNA
Period           all entries
Opening Balance  Ksh 0.00
Total Paid In    Ksh 1,000.00
Total Withdrawn  Ksh 836.00
Closing Balance  Ksh 164.00

Receipt No.  Completion Time      Details                                      Transaction Status   Paid In  Withdrawn   Balance
UC1AAAAAAA   2026-03-01 08:00:00  Account Opened                               Completed                                    0.00
UC1BBBBBBB   2026-03-01 09:00:00  Deposit of Funds at Agent JAMII AGENCIES     Completed           1,000.00             1,000.00
UC2CCCCCCC   2026-03-02 17:28:09  Customer Transfer to BEN                     Completed                        500.00    500.00
UC2CCCCCCC   2026-03-02 17:28:09  Customer Transfer Charge                     Completed                          7.00    493.00
UC2DDDDDDD   2026-03-02 17:30:00  Payment Cancelled                            Cancelled                                  493.00
UC3EEEEEEE   2026-03-03 10:41:00  Merchant Payment to account 20               Completed                        100.00    393.00
UC4FFFFFFF   2026-03-04 12:00:00  Customer Withdrawal at Agent JAMII AGENCIES  Completed                        200.00    193.00
UC4FFFFFFF   2026-03-04 12:00:00  Withdrawal Charge                            Completed                         29.00    164.00
"""  # noqa: E501 - a table is as wide as it is

CSV = '''\
Receipt No.,Completion Time,Initiation Time,Details,Transaction Status,Paid In,Withdrawn,Balance,Reason Type,Other Party Info
,,,Opening Balance,,,,5000.00,,
UC1BBBBBBB,2026-03-01 09:00:00,2026-03-01 09:00:00,"Customer Deposit by ""Anna"", 2nd",Completed,,1000.00,4000.00,Deposit,"""Anna"", 2nd"
UC1GGGGGGG,2026-03-01 09:00:01,2026-03-01 09:00:01,Deposit Commission,Completed,7.20,,4007.20,Deposit,account 2
UC4FFFFFFF,2026-03-04 12:00:00,2026-03-04 12:00:00,"Customer Withdrawal by ""Anna"", 2nd",Completed,200.00,,4207.20,Withdrawal,"""Anna"", 2nd"
UC4FFFFFFF,2026-03-04 12:00:00,2026-03-04 12:00:00,Withdrawal Commission,Completed,6.40,,4213.60,Withdrawal,"""Anna"", 2nd"
,,,Closing Balance,,213.60,1000.00,4213.60,,
'''  # noqa: E501 - records are as long as they are


def test_text():
    assert plain(annas()) == PLAIN


def test_text_of_nothing():
    assert "Nothing moved the account" in plain(sheet_of(ANNA, AccountKind.CUSTOMER, [], 5))


def test_csv_is_as_rfc_4180_has_it():
    made = comma_separated(agents(names={ANNA: '"Anna", 2nd'}))
    assert made == CSV.replace("\n", "\r\n")
    records = list(csv.reader(io.StringIO(made, newline=""), strict=True))
    assert {len(record) for record in records} == {10}


def test_a_customers_csv_has_her_columns():
    records = list(csv.reader(io.StringIO(comma_separated(annas()), newline="")))
    assert records[0] == [
        "Receipt No.",
        "Completion Time",
        "Details",
        "Transaction Status",
        "Paid In",
        "Withdrawn",
        "Balance",
    ]


@pytest.mark.parametrize(
    ("cell", "written"),
    [
        ("=1+1", "'=1+1"),
        ("+254712345678", "'+254712345678"),
        ("-2+3", "'-2+3"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t=1"),
        ("  =1", "'  =1"),
        ("\r\n=1", "'\r\n=1"),
        ("Anna = Ben", "Anna = Ben"),
        ("", ""),
    ],
)
def test_no_name_is_a_formula(cell, written):
    assert safe(cell) == written


def test_a_name_that_is_a_formula_does_not_stand_alone_in_a_cell():
    line = entry("UC1AAAAAAA", "send", PAYER, BEN, (2026, 3, 1, 8, 0, 0), -100, 400)
    sheet = sheet_of(ANNA, AccountKind.BUSINESS, [line], 400, names={BEN: '=cmd|"/c calc"!A1'})
    record = list(csv.DictReader(io.StringIO(comma_separated(sheet), newline="")))[1]
    assert record["Other Party Info"] == '\'=cmd|"/c calc"!A1'
    assert record["Details"].startswith("Customer Transfer to =")


def test_the_balance_of_a_bank_is_a_negative_number_and_stays_one():
    line = entry("UC1AAAAAAA", "bank_withdrawal", PAYER, BEN, (2026, 3, 1, 8, 0, 0), -100, -105)
    made = comma_separated(sheet_of(ANNA, AccountKind.BANK, [line], -105))
    assert ",-1.05," in made
    assert ",-0.05," in made


# -- PDF ------------------------------------------------------------------------------------------


def pages_of(document):
    """The strings that each page of a PDF shows, in the order of drawing."""
    pages = []
    for stream in re.findall(rb"stream\r?\n(.*?)endstream", document, re.DOTALL):
        content = zlib.decompress(base64.a85decode(b"<~" + stream.strip(), adobe=True))
        shown = re.findall(rb"\(((?:\\.|[^\\)])*)\) Tj", content)
        pages.append([re.sub(rb"\\(.)", rb"\1", text).decode("cp1252") for text in shown])
    return pages


def many(count):
    lines = [
        entry(f"UC{n:08d}", "send", PAYER, BEN, (2026, 3, 1, 8, 0, 0), -100, -100 * n)
        for n in range(1, count + 1)
    ]
    return sheet_of(ANNA, AccountKind.CUSTOMER, lines, -100 * count)


def test_a_pdf_has_what_the_text_has():
    (page,) = pages_of(portable_document(annas()))
    assert page[0] == "Harambee statement"
    for line in PLAIN.splitlines()[:7]:
        name, value = re.split(r"  +", line)
        assert page[page.index(name) + 1] == value
    for row in annas().rows:
        assert row.receipt_no in page
    assert "Customer Transfer to BEN" in page
    assert "1,000.00" in page
    assert page[-1] == "Page 1 of 1"


def test_the_same_sheet_is_the_same_bytes():
    assert portable_document(annas()) == portable_document(annas())
    assert portable_document(annas()).startswith(b"%PDF-1.")
    assert portable_document(annas()) != portable_document(agents())


def test_a_long_statement_has_every_row_once_on_numbered_pages():
    pages = pages_of(portable_document(many(200)))
    assert [page[-1] for page in pages] == [
        f"Page {n} of {len(pages)}" for n in range(1, len(pages) + 1)
    ]
    assert len(pages) > 2
    assert all("Receipt No." in page for page in pages)
    shown = [text for page in pages for text in page if re.fullmatch(r"UC\d{8}", text)]
    assert shown == [f"UC{n:08d}" for n in range(1, 201)]


def test_nothing_moved():
    (page,) = pages_of(portable_document(sheet_of(ANNA, AccountKind.CUSTOMER, [], 5)))
    assert "Nothing moved the account in this period." in page


def test_an_organisations_pdf_lies_across_and_has_its_columns():
    document = portable_document(agents())
    (page,) = pages_of(document)
    assert "Initiation Time" in page
    assert "Reason Type" in page
    width, height = re.search(rb"/MediaBox \[ 0 0 (\d+)\.\d+ (\d+)\.\d+ \]", document).groups()
    assert int(width) > int(height)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Wanjikũ wa Mũthoni", "Wanjiku wa Muthoni"),
        ("Café €5 – “x”", "Café €5 – “x”"),
        ("水\n\0", "?  "),
    ],
)
def test_the_fonts_show_every_letter(text, shown):
    assert in_font(text) == shown
    assert in_font(text).encode("cp1252")


def test_long_details_are_folded_and_lose_nothing():
    text = "Customer Transfer to " + "W" * 40 + " and others"
    lines = folded(text, "Helvetica", 60)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    assert len(lines) > 4


def test_a_name_with_signs_of_pdf_is_only_text():
    sheet = sheet_of(ANNA, AccountKind.CUSTOMER, [], 5, names={ANNA: r"A) Tj (B\ "})
    (page,) = pages_of(portable_document(sheet))
    assert r"A) Tj (B\ " in page
