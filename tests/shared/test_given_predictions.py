"""Tests of predictions of another model: who is who, what is no probability, what logits say."""

import json
import pathlib
from typing import Any

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pytest

from shared import errors, given_predictions
from shared.evaluation import other_models

CLASSES = ("negative", "positive")


def rows_of(ids: Any = (11, 7, 30, 4), **changes: Any) -> given_predictions.Rows:
    known = {
        "table": pd.DataFrame({"id": list(ids), "text": ["a", "b", "c", "d"]}),
        "identity": ("id",),
        "parts": {"validation": np.array([1, 3]), "test": np.array([2, 0])},
        "class_names": CLASSES,
    }
    return given_predictions.Rows(**{**known, **changes})


def written(path: pathlib.Path, table: dict[Any, Any]) -> pathlib.Path:
    frame = pd.DataFrame(table)
    if path.suffix == ".csv":
        frame.to_csv(path, index=False)
    elif path.suffix == ".jsonl":
        frame.to_json(path, orient="records", lines=True)
    else:
        frame.to_parquet(path)
    return path


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".jsonl"])
@hypothesis.given(order=st.permutations([0, 1, 2, 3]))
def test_rows_are_joined_by_identity_in_whatever_order_they_stand(
    tmp_path: pathlib.Path, suffix: str, order: list[int]
) -> None:
    table = pd.DataFrame({"id": [11, 7, 30, 4], "score": [0.1, 0.2, 0.3, 0.4]}).iloc[order]
    found = given_predictions.read(written(tmp_path / f"other{suffix}", table.to_dict("list")), rows_of())
    assert found.name == "other"
    np.testing.assert_allclose(found.scores["validation"], [[0.8, 0.2], [0.6, 0.4]])
    np.testing.assert_allclose(found.scores["test"], [[0.7, 0.3], [0.9, 0.1]])


def test_ids_that_a_table_keeps_as_numbers_with_a_point_are_the_same_ids(tmp_path: pathlib.Path) -> None:
    path = written(tmp_path / "a.parquet", {"id": [11.0, 7.0, 30.0, 4.0], "score": [0.1, 0.2, 0.3, 0.4]})
    assert given_predictions.read(path, rows_of()).scores["test"][0, 1] == 0.3


def test_leading_zeros_are_part_of_an_id(tmp_path: pathlib.Path) -> None:
    path = written(tmp_path / "a.csv", {"id": ["11", "7", "030", "4"], "score": [0.1, 0.2, 0.3, 0.4]})
    with pytest.raises(errors.InputError, match=r"row 3: .*Received: 030, which is no row"):
        given_predictions.read(path, rows_of())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"id": [11, 7, 30, 7]}, r"row 4: .*Received: 7, which is named twice"),
        ({"id": [11, 7, 30, 5]}, r"row 4: .*Received: 5, which is no row of the run's data"),
        ({"score": [0.1, 0.2, 0.3, 1.5]}, r"row 4, column 'score': expected a probability.*Received: '1.5'"),
        ({"score": [0.1, None, 0.3, 0.5]}, r"row 2, column 'score': expected a probability"),
        ({"score": ["0.1", "high", "0.3", "0.5"]}, r"row 2, column 'score': .*Received: 'high'"),
    ],
)
def test_a_row_that_is_wrong_is_named(tmp_path: pathlib.Path, changes: dict[str, Any], message: str) -> None:
    table = {"id": [11, 7, 30, 4], "score": [0.1, 0.2, 0.3, 0.4], **changes}
    with pytest.raises(errors.InputError, match=message):
        given_predictions.read(written(tmp_path / "a.csv", table), rows_of())


def test_every_row_of_a_part_must_be_there_and_more_are_counted(tmp_path: pathlib.Path) -> None:
    short = written(tmp_path / "a.csv", {"id": [11, 7, 30], "score": [0.1, 0.2, 0.3]})
    with pytest.raises(errors.InputError, match=r"part validation. Received: none of 1 of 2, such as id 4"):
        given_predictions.read(short, rows_of())
    whole = written(tmp_path / "b.csv", {"id": [11, 7, 30, 4], "score": [0.1, 0.2, 0.3, 0.4]})
    found = given_predictions.read(whole, rows_of(parts={"validation": np.array([1])}))
    assert found.notes == ("3 rows of b.csv are of other parts, and were not read.",)


def test_columns_of_classes_must_add_up_where_a_row_is_of_one_class(tmp_path: pathlib.Path) -> None:
    table = {"id": [11, 7, 30, 4], "negative": [0.5, 0.5, 0.5, 0.9], "positive": [0.5, 0.5, 0.5, 0.9]}
    path = written(tmp_path / "a.csv", table)
    with pytest.raises(errors.InputError, match=r"row 4: expected probabilities that add up to 1. Received: 1.8"):
        given_predictions.read(path, rows_of())
    found = given_predictions.read(path, rows_of(exclusive=False))
    np.testing.assert_allclose(found.scores["validation"], [[0.5, 0.5], [0.9, 0.9]])


def test_columns_that_are_missing_are_named(tmp_path: pathlib.Path) -> None:
    with pytest.raises(errors.InputError, match=r"score_negative, score_positive, or score of the second one"):
        given_predictions.read(written(tmp_path / "a.csv", {"id": [11], "p": [0.5]}), rows_of())
    with pytest.raises(errors.InputError, match=r"expected the columns id, .*--write-rows"):
        given_predictions.read(written(tmp_path / "a.csv", {"name": [11], "score": [0.5]}), rows_of())


def test_rows_of_the_run_that_cannot_be_told_apart_are_refused(tmp_path: pathlib.Path) -> None:
    path = written(tmp_path / "a.csv", {"id": [11, 7, 4], "score": [0.1, 0.2, 0.3]})
    with pytest.raises(errors.InputError, match=r"can be told apart. Received: 1 of 4"):
        given_predictions.read(path, rows_of(ids=(11, 7, 7, 4)))


def test_logits_give_the_probabilities_back() -> None:
    given = np.array([[0.2, 0.8], [1.0, 0.0]])
    found = other_models.Predictions(name="a", scores={"test": given})
    powers = np.exp(found.logits("test"))
    np.testing.assert_allclose(powers / powers.sum(axis=1, keepdims=True), given, atol=1e-11)
    np.testing.assert_allclose(1 / (1 + np.exp(-found.logits("test", exclusive=False))), given, atol=1e-11)


@pytest.mark.parametrize("name", ["rows.csv", "rows.parquet"])
def test_rows_to_score_have_their_part_and_replace_no_file(tmp_path: pathlib.Path, name: str) -> None:
    path = tmp_path / name
    assert rows_of().write(path) == 4
    found = pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)
    assert found.to_dict("list") == {
        "id": [7, 4, 30, 11],
        "text": ["b", "d", "c", "a"],
        "part": ["validation", "validation", "test", "test"],
    }
    with pytest.raises(errors.InputError, match="which exists"):
        rows_of().write(path)
    with pytest.raises(errors.InputError, match=r"a new .csv or .parquet. Received: .*rows.txt$"):
        rows_of().write(tmp_path / "rows.txt")


def test_a_line_that_is_no_json_is_an_error(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"id": 1}) + "\n{")
    with pytest.raises(errors.InputError, match="one JSON object per line"):
        given_predictions.read(path, rows_of())
