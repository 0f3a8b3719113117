"""What the verbs leave behind when their input is bad."""

import pathlib
import types

import numpy as np
import pytest

from apps.sentiment import __main__, config
from shared import splits
from tests.sentiment import loading

NOT_UTF8 = b"text,label\nfine film,1\nbad film,0\ncaf\xe9,1\n"


def test_overwriting_with_a_source_that_is_not_there_keeps_the_old_run(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.keras").write_text("hours of work")
    assert __main__.main(["train", "--data", "typo.csv", "--run-dir", str(tmp_path), "--overwrite"]) == 2
    assert "Received: 'typo.csv'" in capsys.readouterr().err
    assert (tmp_path / "model.keras").read_text() == "hours of work"


@pytest.mark.tensorflow
def test_training_on_bad_rows_leaves_no_run_folder_in_the_way_of_the_next_try(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.csv").write_bytes(NOT_UTF8)
    arguments = ["train", "--preset", "smoke", "--data", str(tmp_path / "a.csv"), "--run-dir", str(tmp_path / "run")]
    for _ in range(2):
        assert __main__.main(arguments) == 2
        assert "a.csv, row 4: not valid UTF-8" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.tensorflow
def test_evaluate_sets_bad_rows_of_other_data_aside(tmp_path: pathlib.Path) -> None:
    from apps.sentiment import run as loaded_run

    (tmp_path / "a.csv").write_bytes(NOT_UTF8)
    (tmp_path / "own.csv").write_text("text,label\none,1\ntwo,0\n")
    own = loading.load([str(tmp_path / "own.csv")])
    split = splits.Split(part=np.array(["train"] * 2), unit=np.arange(2), unit_name="row", method="", seed=0)
    run = types.SimpleNamespace(decision=types.SimpleNamespace(class_names=("negative", "positive")))
    settings = config.Config(data=(str(tmp_path / "a.csv"),), skip_bad=True)
    part = loaded_run.other_part(run, own, split, settings, "all", quarantine=tmp_path / "bad.csv")  # type: ignore[arg-type]
    assert part.dataset.texts[part.rows].tolist() == ["fine film", "bad film"]
    assert (tmp_path / "bad.csv").read_text().splitlines()[1:] == [
        "a.csv,4,not valid UTF-8: byte 0xe9 at character 4,caf\\udce9"
    ]
