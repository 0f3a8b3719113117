"""What the verbs leave behind when their input is bad."""

import pathlib

import pytest

from apps.medical_imaging import __main__


def test_overwriting_with_a_source_that_is_not_there_keeps_the_old_run(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.keras").write_text("hours of work")
    assert __main__.main(["train", "--data", "typo", "--run-dir", str(tmp_path), "--overwrite"]) == 2
    assert "typo: expected a folder or file that exists" in capsys.readouterr().err
    assert (tmp_path / "model.keras").read_text() == "hours of work"


@pytest.mark.tensorflow
def test_training_on_bad_images_leaves_no_run_folder_in_the_way_of_the_next_try(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a", "b"):
        (tmp_path / "images" / name).mkdir(parents=True)
        (tmp_path / "images" / name / "1.png").write_text("no picture")
    source, run = str(tmp_path / "images"), tmp_path / "run"
    for _ in range(2):
        assert __main__.main(["train", "--preset", "smoke", "--data", source, "--run-dir", str(run)]) == 2
        assert "1.png" in capsys.readouterr().err
    assert not run.exists()
