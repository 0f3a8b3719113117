"""What `data` says before training: planted leaks, constants and wrong labels are found; clean data are left alone."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.evaluation import inspection
from shared.report import data_page

ROWS = 400


def _inspected(*, flipped: int = 0, seed: int = 0, exclusive: bool = True) -> inspection.Inspected:
    random = np.random.default_rng(seed)
    truth = random.integers(0, 2, ROWS)
    matrix = random.normal(size=(ROWS, 4)) + 4 * truth[:, np.newaxis]
    labels = truth.copy()
    labels[:flipped] = 1 - labels[:flipped]
    columns = pd.DataFrame(
        {
            "noise": random.normal(size=ROWS),
            "leak": np.where(labels == 1, "chargeback", "none"),
            "number leak": labels + random.normal(0, 0.01, ROWS),
            "half missing": np.where(labels == 1, np.nan, 1.0),
            "constant": "same",
            "names": [f"name {n % 7}" for n in range(ROWS)],
        }
    )
    return inspection.Inspected(
        names=[f"a.csv, row {row + 1}" for row in range(ROWS)],
        labels=np.eye(2)[labels] if exclusive else labels[:, np.newaxis].astype(float),
        class_names=("no", "yes") if exclusive else ("finding",),
        exclusive=exclusive,
        units=np.arange(ROWS) // 2,
        columns=columns,
        matrix=matrix,
        show=lambda row: f"text of {row}",
    )


def test_columns_that_alone_predict_the_label_are_found_and_noise_is_not() -> None:
    found = {column.name: column for column in inspection.columns(_inspected(), seed=0)}
    for name in ("leak", "number leak", "half missing"):
        assert (found[name].alone or 0) > inspection.SUSPICIOUS, name
    for name in ("noise", "names", "constant"):
        assert (found[name].alone or 0) < 0.65, name
    assert found["constant"].constant
    assert not found["half missing"].constant
    assert found["half missing"].missing == pytest.approx(np.isnan(_inspected().columns["half missing"]).mean())


def test_a_number_of_each_rows_own_tells_nothing_on_other_units() -> None:
    inspected = _inspected()
    columns = pd.DataFrame({"id": [f"row {number}" for number in range(ROWS)]})
    (found,) = inspection.columns(dataclasses.replace(inspected, columns=columns), seed=0)
    assert found.alone == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("exclusive", [True, False])
def test_planted_wrong_labels_stand_at_the_head_of_the_list(exclusive: bool) -> None:
    found = inspection.label_errors(_inspected(flipped=20, exclusive=exclusive), seed=0)
    assert len({error.row for error in found[:30]} & set(range(20))) >= 18
    assert len(found) <= 40
    assert all(error.given != error.suggested for error in found)
    margins = [error.probability_given - error.probability_suggested for error in found]
    assert margins == sorted(margins)


def test_clean_labels_give_a_short_list() -> None:
    assert len(inspection.label_errors(_inspected(), seed=0)) <= 8


def test_too_few_rows_of_a_class_say_nothing() -> None:
    inspected = _inspected()
    labels = np.eye(2)[np.r_[np.ones(3, int), np.zeros(ROWS - 3, int)]]
    rare = dataclasses.replace(inspected, labels=labels)
    assert inspection.label_errors(rare, seed=0) == []
    assert all(column.alone is None for column in inspection.columns(rare, seed=0))


@given(most=st.integers(0, 60), seed=st.integers(0, 5), sizes=st.lists(st.integers(1, 9), min_size=1, max_size=12))
def test_rows_are_drawn_by_whole_units_and_never_more_than_asked_for(most: int, seed: int, sizes: list[int]) -> None:
    units = np.repeat(np.arange(len(sizes)), sizes)
    rows = np.arange(len(units)) + 100
    found = inspection.drawn(rows, units, most=most, seed=seed)
    assert len(found) <= max(most, 0) or len(rows) <= most
    for unit in np.unique(units[found - 100]):
        assert np.isin(rows[units == unit], found).all()
    assert (np.diff(found) > 0).all()


def test_the_page_names_what_to_look_at_and_shows_the_rows() -> None:
    inspected = _inspected(flipped=20)
    columns, errors = inspection.columns(inspected, seed=0), inspection.label_errors(inspected, seed=0)
    counts = {"train": {"rows": 300, "classes": {"no": 150, "yes": 150}}, "test": {"rows": 100}}
    certificate = {
        **{"unit": "pair", "method": "whole units", "rows": ROWS, "counts": counts},
        **{"overlap": {"units_in_two_parts": 0}, "checks": {"duplicate_groups": 3}},
    }
    page = data_page.render(
        data_page.Understood(
            title="t: the data",
            source="a.csv: 400 rows <b>",
            roles={"leak": "text"},
            notes=["a note"],
            certificate=certificate,
            inspected=inspected,
            columns=columns,
            errors=errors,
        )
    )
    for text in ("leak alone predicts yes", "constant: one value", f"text of {errors[0].row}", "a note", "&lt;b&gt;"):
        assert text in page, text
    written = data_page.errors_json(errors)["rows"]
    assert [row["name"] for row in written] == [error.name for error in errors]
