"""Rows that cannot be used are kept in a csv, whatever they hold."""

import csv
import pathlib

from shared.sources import quarantine


def test_every_row_set_aside_is_in_the_file_with_its_reason(tmp_path: pathlib.Path) -> None:
    rows = [
        quarantine.BadRow("a.csv", 3, "not valid UTF-8", "caf\udce9"),
        quarantine.BadRow("b.csv", 1, "no label", 'two\nlines, "quoted"'),
    ]
    with quarantine.opened() as aside:
        for row in rows:
            aside.add(row)
        aside.write(tmp_path / "quarantine.csv")
        assert aside.rows == 2
    with (tmp_path / "quarantine.csv").open(encoding="utf-8", newline="") as stream:
        found = list(csv.reader(stream))
    assert found[0] == ["file", "row", "reason", "text"]
    assert found[1] == ["a.csv", "3", "not valid UTF-8", "caf\\udce9"]
    assert found[2] == ["b.csv", "1", "no label", 'two\nlines, "quoted"']
