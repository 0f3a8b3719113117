"""What labels mean: one code over all sources of a run, recorded, and held to by other data."""

import json
import pathlib
from typing import Any

import pytest

from apps.sentiment import __main__, dataset
from apps.sentiment.readers import labels
from shared import errors
from tests.sentiment import loading

POLAR = ("negative", "positive")


def table(path: pathlib.Path, values: list[str], column: str = "label") -> str:
    rows = [f"{value},text number {index} of {path.stem}" for index, value in enumerate(values)]
    path.write_text("\n".join([f"{column},text", *rows]) + "\n")
    return str(path)


def names_of(reviews: dataset.Reviews) -> list[str]:
    return [reviews.class_names[label] for label in reviews.labels]


@pytest.mark.parametrize(
    ("trained", "other", "expected"),
    [
        (["1", "2"] * 5, ["1"] * 4, ["negative"] * 4),
        (["1", "2"] * 5, ["2.0"] * 4, ["positive"] * 4),
        (["0", "1", "2"] * 5, ["0", "1"], ["negative", "neutral"]),
        (["0", "1", "2"] * 5, ["1", "2"], ["neutral", "positive"]),
        (["-1", "0", "1"] * 5, ["0", "1"], ["neutral", "positive"]),
        (["-1", "0", "1"] * 5, ["-1", "-1"], ["negative", "negative"]),
        (["0", "4"] * 5, ["4"], ["positive"]),
        (["neg", "pos"] * 5, ["0", "1"], ["negative", "positive"]),
        (["0", "1"] * 5, ["neg", "Positive"], ["negative", "positive"]),
        (["0", "1"] * 5, ["true", "False"], ["positive", "negative"]),
        (["1", "2", "5"] * 5, ["5 stars", "1"], ["5", "1"]),
    ],
)
def test_other_data_are_read_by_the_code_of_the_run(
    tmp_path: pathlib.Path, trained: list[str], other: list[str], expected: list[str]
) -> None:
    own = loading.load([table(tmp_path / "own.csv", trained)])
    recorded = dataset.Code.from_json(json.loads(json.dumps(own.code.to_json())))
    again = loading.load([str(tmp_path / "own.csv")], code=recorded)
    assert (names_of(again), again.class_names, again.ordinal) == (names_of(own), own.class_names, own.ordinal)
    reviews = loading.load([table(tmp_path / "other.csv", other)], code=recorded, class_names=own.class_names)
    assert names_of(reviews) == expected


@pytest.mark.parametrize(
    ("trained", "other", "column"),
    [
        (["0", "1"], ["1", "2"], "label"),
        (["0", "1"], ["-1", "1"], "label"),
        (["0", "1"], ["1", "5"], "stars"),
        (["0", "1"], ["1", "1"], "stars"),
        (["0", "1"], ["1", "2"], "rating"),
        (["1", "2", "3", "4", "5"], ["8", "9", "10"], "rating"),
        (["neg", "pos"], ["1", "1"], "label"),
        (["neg", "pos"], ["joy", "anger"], "label"),
    ],
)
def test_labels_that_fit_no_class_of_the_run_or_two_codes_are_refused_with_counts_and_a_way_out(
    tmp_path: pathlib.Path, trained: list[str], other: list[str], column: str
) -> None:
    own = loading.load([table(tmp_path / "own.csv", trained * 5)])
    path = table(tmp_path / "other.csv", other * 5, column)
    for skip_bad in (False, True):
        with pytest.raises(errors.InputError, match=r"other.csv, column '\w+'.* \(\d+ rows\).*--label-code"):
            loading.load([path], code=own.code, class_names=own.class_names, skip_bad=skip_bad)


def test_label_code_settles_what_labels_mean(tmp_path: pathlib.Path) -> None:
    own = loading.load([table(tmp_path / "own.csv", ["0", "1"] * 5)])
    other = table(tmp_path / "other.csv", ["1", "2"] * 5)
    known = {"code": own.code, "class_names": own.class_names}
    assert names_of(loading.load([other], label_code="1=negative,2=positive", **known)) == ["negative", "positive"] * 5
    with pytest.raises(errors.InputError, match=r"classes of the run \(negative, positive\)\. Received: bad"):
        loading.load([other], label_code="1=bad,2=positive", **known)
    stars = table(tmp_path / "stars.csv", ["1", "2", "4", "5"] * 5, "stars")
    told = loading.load([stars], label_code="1=negative,2=negative,4=positive,5=positive")
    assert names_of(told) == ["negative", "negative", "positive", "positive"] * 5
    for wrong in ("1", "1=negative,", "=x", "1=a,1=b"):
        with pytest.raises(errors.InputError, match="--label-code: expected each label once"):
            loading.load([other], label_code=wrong)


def test_a_part_of_a_code_beside_the_whole_of_it_is_read_as_the_whole(tmp_path: pathlib.Path) -> None:
    whole = table(tmp_path / "whole.csv", ["-1", "0", "1"] * 4)
    part = table(tmp_path / "part.csv", ["0", "1"] * 2)
    for order in ([whole, part], [part, whole]):
        found = names_of(loading.load(order))
        assert (found.count("negative"), found.count("neutral"), found.count("positive")) == (4, 6, 6)


@pytest.mark.parametrize(
    "values", [[["0", "1"], ["1", "2"]], [["0", "2"]], [["2", "4"]], [["0", "1"], ["2"]], [["0", "1"], ["-1"]]]
)
def test_labels_that_fit_two_codes_are_refused_in_training_unless_said(
    tmp_path: pathlib.Path, values: list[list[str]]
) -> None:
    paths = [table(tmp_path / f"{number}.csv", each * 3) for number, each in enumerate(values)]
    with pytest.raises(errors.InputError, match="--label-code="):
        loading.load(paths)
    said = ",".join(f"{label}={label}" for label in sorted({label for each in values for label in each}))
    assert loading.load(paths, label_code=said).ordinal


@pytest.mark.parametrize(
    ("column", "values", "names", "ordinal"),
    [
        ("stars", ["4", "5"], ("4", "5"), True),
        ("Star Rating", ["1", "2"], ("1", "2"), True),
        ("rating", ["1", "2"], ("1", "2"), True),
        ("rating", ["2", "4"], ("2", "4"), True),
        ("overall", ["1.0", "2.0", "3.0"], ("1", "2", "3"), True),
        ("rating", ["7", "10"], ("7", "10"), True),
        ("score", ["0", "1"], POLAR, False),
        ("score", ["-1", "1"], POLAR, False),
        ("score", ["pos", "neg"], POLAR, False),
        ("label", ["1", "2"], POLAR, False),
    ],
)
def test_ratings_are_known_by_the_name_of_their_column_and_its_range(
    tmp_path: pathlib.Path, column: str, values: list[str], names: tuple[str, ...], ordinal: bool
) -> None:
    reviews = loading.load([table(tmp_path / "a.csv", values * 3, column)])
    assert (reviews.class_names, reviews.ordinal) == (names, ordinal)


def test_ratings_of_two_scales_are_told(tmp_path: pathlib.Path) -> None:
    five = table(tmp_path / "five.csv", ["1", "5"] * 3, "stars")
    ten = table(tmp_path / "ten.csv", ["1", "10"] * 3, "stars")
    assert any("column 'stars' up to 10" in note for note in loading.load([five, ten]).notes)


def test_a_run_that_records_no_code_is_read_by_the_first_that_fits_and_says_so(tmp_path: pathlib.Path) -> None:
    reviews = loading.load([table(tmp_path / "a.csv", ["1"] * 3)], class_names=POLAR)
    assert names_of(reviews) == ["positive"] * 3
    assert any("records no label code" in note for note in reviews.notes)


def test_data_says_the_role_of_every_column(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [f"{n},film {n} is its own,{n % 2},{1 + n % 5},web" for n in range(30)]
    (tmp_path / "a.csv").write_text("\n".join(["id,Review,label,stars,source", *rows]))
    told: dict[str, Any] = {}
    assert __main__.main(["data", "--data", str(tmp_path / "a.csv"), "--output-dir", str(tmp_path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["columns"]
    assert told == {
        "id": "not read",
        "Review": "text",
        "label": "label",
        "stars": "not read: 'label' is the label (--label-column chooses another one)",
        "source": "source, for slices",
    }


@pytest.mark.parametrize("value", ["maybe", "?", "7", "NA", ""])
def test_one_cell_of_the_label_column_that_is_no_label_is_named(tmp_path: pathlib.Path, value: str) -> None:
    path = table(tmp_path / "a.csv", ["0", "1"] * 50 + [value])
    with pytest.raises(errors.InputError, match=r"a.csv, row 102: (unknown label|missing label)"):
        loading.load([path])


def test_a_label_column_of_no_labels_is_named_with_its_first_rows(tmp_path: pathlib.Path) -> None:
    path = table(tmp_path / "a.csv", ["joy", "fear", "rage", "calm"], "sentiment")
    with pytest.raises(errors.InputError, match=r"column 'sentiment'.*'joy' first in a.csv, row 2.*--label-column"):
        loading.load([path])


def test_scores_of_many_different_values_are_no_ratings() -> None:
    halves = {f"{number / 2:g}": 5 for number in range(21)}
    assert labels.read(halves, kind="rating").ordinal
    with pytest.raises(errors.InputError, match=r"or a rating from 0 to 10\. Received: '0' \(2 rows\)"):
        labels.read({f"{number / 50:g}": 2 for number in range(50)}, kind="rating")
