"""Records of delimited text against csv, against hand-written faults, and the number of records proven."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import errors
from shared.sources import delimited

CELLS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=8)


def opener(content: bytes) -> delimited.Opener:
    return lambda: io.BytesIO(content)


def written(rows: list[list[str]], delimiter: str, quoting: int = csv.QUOTE_MINIMAL) -> str:
    stream = io.StringIO(newline="")
    csv.writer(stream, delimiter=delimiter, quoting=quoting).writerows(rows)  # type: ignore[arg-type]
    return stream.getvalue()


def read(text: str, delimiter: str = ",") -> list[delimited.Record]:
    return list(delimited.records(io.StringIO(text, newline=""), delimiter=delimiter))


@given(st.lists(st.lists(CELLS, min_size=3, max_size=3), min_size=1, max_size=6), st.sampled_from(",;\t"))
def test_what_csv_writes_is_read_back_and_counted(rows: list[list[str]], delimiter: str) -> None:
    text = written(rows, delimiter, csv.QUOTE_ALL)
    found = read(text, delimiter)
    assert [record.fields for record in found] == rows
    assert sum(record.lines for record in found) == len(list(io.StringIO(text, newline="")))
    if not any(record.problem for record in found):
        assert (
            delimited.prove(opener(text.encode()), delimiter=delimiter, encoding="utf-8-sig", where="x")
            == len(rows) - 1
        )


def test_a_mark_that_is_not_closed_costs_its_own_row_only() -> None:
    found = read('id,text\n1,"great stuff\n2,"dull" plot\n3,lovely\n')
    assert [record.fields for record in found] == [
        ["id", "text"],
        ["1", '"great stuff'],
        ["2", '"dull" plot'],
        ["3", "lovely"],
    ]
    assert [bool(record.problem) for record in found] == [False, True, True, False]
    assert [record.line for record in found] == [1, 2, 3, 4]


def test_two_rows_that_make_one_whole_record_are_told_from_a_cell_with_line_breaks() -> None:
    broken_line = 'a,b,c\n1,"m 5, x\nand, so, on",y\n'
    assert [bool(record.problem) for record in read(broken_line)] == [False, False]
    rows = 'a,b\n"m 5,1\nm 6",2\n'
    assert "2 lines, each of them a whole row" in read(rows)[1].problem
    spoken = list(
        delimited.records(io.StringIO(rows, newline=""), delimiter=",", is_row=lambda fields: fields[1] == "9")
    )
    assert spoken[1].fields == ["m 5,1\nm 6", "2"]
    assert not spoken[1].problem


def test_a_mark_inside_a_cell_that_does_not_begin_with_one_is_text() -> None:
    assert read('a,b\n1,5" pipe\n')[1] == delimited.Record(2, 1, ["1", '5" pipe'])


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_encodings_are_told_by_their_first_bytes(encoding: str) -> None:
    content = "id,name\n1,Zoë\n2,李\n".encode(encoding)
    found = delimited.encoding_of(content)
    assert content.decode(found).lstrip("\ufeff").startswith("id,name")
    assert delimited.prove(opener(content), delimiter=",", encoding=found, where="x") == 2


def test_bytes_that_are_no_utf8_are_named_with_their_line() -> None:
    content = "id,name\n1,Anna\n2,Zoë\n".encode("cp1252")
    with pytest.raises(errors.InputError, match=r"people.csv: line 3, byte 5.*UTF-8.*Zo.xeb"):
        delimited.check_encoding(opener(content), encoding="utf-8-sig", where="people.csv")
    assert not delimited.is_utf8(opener(content))


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", '"'])
def test_records_are_counted_whatever_ends_a_line(end: str, mark: str) -> None:
    text = end.join(["a,b", f"{mark}1{mark},x", "", "2,y", "3,z"])
    assert delimited.prove(opener(text.encode()), delimiter=",", encoding="utf-8-sig", where="x") == 3


def test_an_unclosed_mark_is_refused_with_its_row_and_line() -> None:
    with pytest.raises(errors.InputError, match=r"t.csv: row 2, line 4: .*\"m 5"):
        delimited.prove(opener(b'a,b\n\n1,x\n2,"m 5\n3,"m 6\n'), delimiter=",", encoding="utf-8-sig", where="t.csv")


@given(st.text('a",\n\r', max_size=30), st.integers(1, 40))
def test_what_is_counted_quickly_has_as_many_whole_records(text: str, block_bytes: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(delimited, "_BLOCK_BYTES", block_bytes)
        try:
            counted = delimited.prove(opener(text.encode()), delimiter=",", encoding="utf-8-sig", where="x")
        except errors.InputError:
            assert any(record.problem for record in read(text))
        else:
            found = read(text)
            assert not any(record.problem for record in found)
            assert counted == max(len(found) - 1, 0)


def test_quoted_files_are_counted_without_reading_their_records(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delimited, "records", None)
    text = '\ufeff"a","b, c"\r\n"1","say ""no"""\r\n2,""\r\n\r\n"3",x'
    assert delimited.prove(opener(text.encode()), delimiter=",", encoding="utf-8-sig", where="x") == 3
