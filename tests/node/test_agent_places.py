"""The operator's file of agents: what is read, what is refused, and that a change is noticed."""

import pytest

from harambee.handset.places import Place
from harambee.node.agent_places import AgentPlace, AgentPlaces, AgentPlacesError, read_agent_places

HEAD = "account,latitude,longitude,sells_above\n"
GOOD = HEAD + '17,-1.2864,36.8172,"50,000"\n\n18,-1.2921,36.8219,\n'


def write(folder, text):
    file = folder / "agents.csv"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return file


def test_rows_are_read_and_an_empty_field_is_no_consent(tmp_path):
    assert read_agent_places(write(tmp_path, GOOD)) == {
        17: AgentPlace(17, Place(-1.2864, 36.8172), 50_000_00),
        18: AgentPlace(18, Place(-1.2921, 36.8219), None),
    }


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", None),
        ("account,latitude\n", "does not begin with account,latitude,longitude,sells_above"),
        (HEAD + "17,1,2\n", "line 2: there are 3 fields, not 4"),
        (HEAD + "agent,1,2,\n", "line 2: the first field is not an account number"),
        (HEAD + "9" * 5_000 + ",1,2,\n", "line 2: the first field is not an account number"),
        (HEAD + "17,1,2,\n17,1,2,\n", "line 3: account 17 stands here twice"),
        (HEAD + "17,100,2,\n", "line 2: A latitude is a decimal number"),
        (HEAD + "17,1,2,-5\n", "line 2: '-5' is not an amount"),
        (HEAD + '17,1,2,"5\n', "line 2: "),
        (b"\xff\xfe", "is not UTF-8 text"),
        (HEAD + "x" * (4 << 20), "is larger than"),
    ],
)
def test_what_is_no_such_file_is_a_sentence(tmp_path, text, sentence):
    file = write(tmp_path, text)
    if sentence is None:
        assert read_agent_places(file) == {}
        return
    with pytest.raises(AgentPlacesError) as refusal:
        read_agent_places(file)
    assert sentence in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_change_is_noticed_and_a_broken_file_changes_nothing(tmp_path, caplog):
    file = write(tmp_path, GOOD)
    places = AgentPlaces(file)
    assert set(places.rows()) == {17, 18}
    write(tmp_path, GOOD + "19,0,0,1\n")
    assert set(places.rows()) == {17, 18, 19}
    write(tmp_path, "rubbish")
    assert set(places.rows()) == {17, 18, 19}
    assert set(places.rows()) == {17, 18, 19}
    assert len(caplog.records) == 1, "a broken file is spoken of once"
    file.unlink()
    assert set(places.rows()) == {17, 18, 19}
    write(tmp_path, GOOD)
    assert set(places.rows()) == {17, 18}


def test_without_a_file_nobody_is_anywhere():
    assert AgentPlaces(None).rows() == {}
