"""The page of threats names tests that are there."""

import pathlib
import re

ROOT = pathlib.Path(__file__).parent.parent.parent


def test_every_test_that_the_page_names_exists() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", (ROOT / "docs" / "security.md").read_text("utf-8"))
    assert len(named) > 20
    for file, test in named:
        assert f"def {test}" in (ROOT / file).read_text("utf-8"), (file, test)


def test_every_row_of_a_threat_names_a_test() -> None:
    rows = [line for line in (ROOT / "docs" / "security.md").read_text("utf-8").splitlines() if line.startswith("| ")]
    assert len(rows) > 20
    assert [row for row in rows if "`tests/" not in row and row != "| threat | defence | test |"] == []
