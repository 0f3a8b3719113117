"""Scoring files: no row is lost, unreadable ones are set aside, and a resumed call must be the same call."""

import dataclasses
import json
import pathlib
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from apps.sentiment import config, predict
from shared import errors, parser, predicting, steps
from tests import helpers

BROKEN = b"text,stars\nfine,1\ncaf\xe9,2\na,b,c\n,4\nlast,5\n"


def answer(texts: npt.NDArray[np.object_]) -> dict[str, npt.NDArray[Any]]:
    """Every text is positive by its length in hundredths."""
    positive = np.array([len(text) / 100 for text in texts])
    names = np.array(["positive"] * len(texts), object)
    return {"labels": names, "decision": names, "scores": np.stack([1 - positive, positive], axis=1)}


@pytest.fixture
def options(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> parser.PredictOptions:
    monkeypatch.setattr(predict, "_open", lambda _: (answer, ("negative", "positive"), {"model": "toy"}))
    (tmp_path / "in.csv").write_bytes(BROKEN)
    return helpers.predict_options([tmp_path / "in.csv"], tmp_path / "out.csv", config.Config(skip_bad=True))


def test_an_unreadable_row_stops_the_call_and_is_named(options: parser.PredictOptions) -> None:
    with pytest.raises(errors.InputError, match=r"in.csv, row 3: .*byte 0xe9.*--skip-bad"):
        predict.predict(dataclasses.replace(options, settings=config.Config()))
    assert not options.output.exists()


def test_skip_bad_scores_the_other_rows_and_sets_the_unreadable_ones_aside(options: parser.PredictOptions) -> None:
    said = predict.predict(options)
    assert (said["rows"], said["quarantined_rows"]) == (3, 2)
    scores = pd.read_csv(options.output)
    assert scores["row"].tolist() == [2, 5, 6]
    assert scores["score_positive"].tolist() == [0.04, 0.0, 0.04]
    aside = pd.read_csv(said["quarantine"])
    assert aside["row"].tolist() == [3, 4]
    assert aside["text"].tolist() == ["caf\\udce9", "a,b,c"]


def test_without_bad_rows_there_is_no_quarantine_file(options: parser.PredictOptions) -> None:
    options.input[0].write_text("text\nfine\n")
    assert "quarantine" not in predict.predict(options)
    assert not list(options.output.parent.glob("*quarantine*"))


@pytest.mark.parametrize("change", [{"text_column": "stars"}, {"skip_bad": False}, {"data_format": "lines"}])
def test_a_resumed_call_that_would_read_other_texts_is_refused(
    options: parser.PredictOptions, change: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(predict, "score", killed)
        with pytest.raises(KeyboardInterrupt):
            predict.predict(options)
    again = dataclasses.replace(options, resume=True, settings=options.settings.replace(change))
    with pytest.raises(errors.InputError, match=f"another {next(iter(change))}"):
        predict.predict(again)


def test_shards_set_the_same_rows_aside_and_their_merge_is_the_one_output(options: parser.PredictOptions) -> None:
    """Three rows in chunks of two: the second shard has the last of them."""
    predict.predict(options)
    folder = options.output.parent
    parts = [folder / "part-1.jsonl", folder / "part-2.csv"]
    rows = [
        predict.predict(dataclasses.replace(options, output=part, shard=(number, 2)))["rows"]
        for number, part in enumerate(parts, start=1)
    ]
    assert rows == [2, 1]
    step = steps.Predict(predict=predict.predict, merge=predict.merge)
    merged = dataclasses.replace(options, output=folder / "joined.csv", input=parts, merge=True)
    said = predicting.merge(step, merged)
    assert (said["rows"], said["shards"], said["quarantined_rows"]) == (3, 2, 2)
    assert merged.output.read_bytes() == options.output.read_bytes()
    assert (folder / "joined.quarantine.csv").read_bytes() == (folder / "out.quarantine.csv").read_bytes()
    (folder / "part-1.quarantine.csv").unlink()
    with pytest.raises(errors.InputError, match=r"part-1.jsonl: .*part-1.quarantine.csv"):
        predicting.merge(step, dataclasses.replace(merged, overwrite=True))


ORDERS = pd.DataFrame({"order": ["007", "=1+1", None, "x,\ny"], "text": ["a", "bb", "ccc", "dd"], "n": [1, -2, 3, 4]})


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
@pytest.mark.parametrize("into", [".csv", ".jsonl", ".parquet"])
def test_columns_that_are_kept_stand_beside_the_row_that_they_came_with(
    options: parser.PredictOptions, suffix: str, into: str
) -> None:
    """Their cells, as text: numbers with leading zeros, formulas, line breaks and empty cells, in chunks of two."""
    path, output = options.output.with_name(f"orders{suffix}"), options.output.with_suffix(into)
    write: dict[str, Any] = {
        ".csv": lambda: ORDERS.to_csv(path, index=False),
        ".jsonl": lambda: ORDERS.to_json(path, orient="records", lines=True),
        ".parquet": lambda: ORDERS.to_parquet(path),
    }
    write[suffix]()
    asked = dataclasses.replace(options, input=[path], output=output, keep_columns=("n", "order"))
    assert predict.predict(asked)["rows"] == 4
    read: dict[str, Any] = {
        ".csv": lambda: pd.read_csv(output, dtype=str),
        ".jsonl": lambda: pd.DataFrame(map(json.loads, output.read_text().splitlines())),
        ".parquet": lambda: pd.read_parquet(output),
    }
    found = read[into]()
    assert list(found)[-3:] == ["score_positive", "n", "order"]
    assert found["score_positive"].astype(float).tolist() == [0.01, 0.02, 0.03, 0.02]
    assert found["n"].tolist() == ["1", "-2", "3", "4"]
    # A spreadsheet must not take a text of a csv for a formula.
    formula = "'=1+1" if into == ".csv" else "=1+1"
    assert found["order"].fillna("").replace("None", "").tolist() == ["007", formula, "", "x,\ny"]


def test_kept_columns_are_those_of_one_call_resumed_or_in_shards(
    options: parser.PredictOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = options.output.with_name("orders.csv")
    ORDERS.to_csv(path, index=False)
    whole = dataclasses.replace(options, input=[path], keep_columns=("order",))
    predict.predict(whole)
    scored = predict.score

    def second_killed(chunk: pd.DataFrame, *rest: Any) -> pd.DataFrame:
        if len(chunk) and chunk["text"].iloc[0] == "ccc":
            raise KeyboardInterrupt
        return scored(chunk, *rest)

    broken = dataclasses.replace(whole, output=path.with_name("resumed.csv"))
    with monkeypatch.context() as patched:
        patched.setattr(predict, "score", second_killed)
        with pytest.raises(KeyboardInterrupt):
            predict.predict(broken)
    with pytest.raises(errors.InputError, match="another keep_columns"):
        predict.predict(dataclasses.replace(broken, resume=True, keep_columns=("n",)))
    assert predict.predict(dataclasses.replace(broken, resume=True))["resumed_rows"] == 2
    assert broken.output.read_bytes() == whole.output.read_bytes()
    parts = [path.with_name(f"part-{number}.csv") for number in (1, 2)]
    for number, part in enumerate(parts, start=1):
        predict.predict(dataclasses.replace(whole, output=part, shard=(number, 2)))
    step = steps.Predict(predict=predict.predict, merge=predict.merge)
    merged = dataclasses.replace(whole, output=path.with_name("joined.csv"), input=parts, merge=True)
    predicting.merge(step, merged)
    assert merged.output.read_bytes() == whole.output.read_bytes()


def test_columns_that_cannot_be_kept_are_refused_before_anything_is_scored(options: parser.PredictOptions) -> None:
    folder = options.output.parent
    (folder / "a.csv").write_text("text,city\nfine,Bern\n")
    (folder / "b.csv").write_text("text,town\nfine,Bern\n")
    (folder / "c.txt").write_text("fine\nmore\n")
    (folder / "d.csv").write_text("text,decision\nfine,Bern\n")
    for names, asked, message in [
        (("a.csv", "b.csv"), ("all",), "all: .*b.csv: expected the columns of .*a.csv.*differs in city, town"),
        (("a.csv", "b.csv"), ("city",), "b.csv: expected one column 'city'"),
        (("c.txt",), ("city",), "c.txt: expected a table. Received: inputs that have no columns"),
        (("d.csv",), ("decision",), "Received: 'decision'; leave it out"),
    ]:
        given = [folder / name for name in names]
        with pytest.raises(errors.InputError, match=message):
            predict.predict(dataclasses.replace(options, input=given, keep_columns=asked))
        assert not options.output.exists()
