"""Scoring files: no row is lost, unreadable ones are set aside, and a resumed call must be the same call."""

import dataclasses
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
