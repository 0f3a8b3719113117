"""The common body of the verbs, with a toy app whose data set has three rows, one of them bad."""

import contextlib
import dataclasses
import json
import pathlib
import types
from typing import Any

import pandas as pd
import pytest

from shared import config, errors, files, resuming, steps, verbs
from shared.bundle import reading
from shared.training import runtime


@dataclasses.dataclass(frozen=True, kw_only=True)
class Toy(config.Config):
    data: tuple[str, ...] = config.setting(("built-in",), "source")
    skip_bad: bool = config.setting(False, "set bad rows aside")
    decided: bool = config.setting(False, "what only training decides")
    default = smoke = quick = classmethod(lambda cls: cls())


@dataclasses.dataclass(frozen=True)
class Opened:
    folder: files.RunFolder
    settings: Toy


def open_run(path: pathlib.Path) -> Opened:
    folder = files.RunFolder.open(path)
    return Opened(folder, config.load(Toy, folder.config))


def load(settings: Toy, *, quarantine: pathlib.Path | None = None) -> Any:
    """Return a dataset; its bad row is listed where ``quarantine`` says."""
    if settings.data == ("missing",):
        raise errors.InputError("missing: expected a source. Received: none")
    if not settings.skip_bad:
        raise errors.InputError("row 2: expected a text. Received: none")
    if quarantine is not None:
        files.write_text(quarantine, "row\n2\n")
    return types.SimpleNamespace(columns={"a": "text"}, notes=["said of the data"], quarantined=1)


def evaluation(run: Any, dataset: Any, split: Any, part: Any, *, seed: int, output: pathlib.Path) -> Any:
    del run, split, output
    assert part.dataset is not dataset or part.name == "test"
    return types.SimpleNamespace(metrics={"metrics": {"seed": seed, "part": part.name}, "baselines": {"prior": {}}})


def refuse(settings: Toy) -> None:
    if settings.decided:
        raise errors.InputError("--decided: expected with train only. Received: True")


def app(log: list[Any] | None = None) -> steps.App:
    told: list[Any] = [] if log is None else log

    def part_of(_run: Any, *given: Any, quarantine: pathlib.Path | None = None) -> Any:
        settings, name = given[-2:]
        return types.SimpleNamespace(dataset=load(settings, quarantine=quarantine), name=name)

    def split_rows(_dataset: Any, _settings: Toy) -> tuple[str, dict[str, Any]]:
        checks = {"notes": ["said of the data", "of the split"]}
        facts = {"unit": "row", "method": "as it stands", "rows": 2, "overlap": {}}
        return "split", {**facts, "checks": checks, "counts": {"train": {"rows": 2}}}

    def train(dataset: Any, split: str, settings: Toy, folder: files.RunFolder) -> dict[str, Any]:
        assert (dataset.quarantined, split) == (1, "split")
        told.append((settings, folder.path, sorted(path.name for path in folder.path.iterdir())))
        return {"rows": 3, "validation": {"accuracy": 0.5}}

    return steps.App(
        name="toy",
        description="A toy.",
        config=Toy,
        data_fields=("data", "skip_bad", "decided"),
        data=lambda: steps.Data(
            locate=lambda settings: load(settings.replace({"skip_bad": True})),
            load=load,
            split=split_rows,
            describe=lambda _dataset: "three rows",
            table=lambda _dataset, _split: pd.DataFrame({"id": [1, 3], "text": ["secret", "words"]}),
            inspect=lambda _dataset, _split, **_seed: None,
            not_in_csv=("text",),
            write=lambda _dataset, table, options: [f"{len(table)} rows {options.write.is_dir()}"],
        ),
        run=lambda: steps.Run(
            open_run=open_run,
            own_data=lambda run, quarantine=None: (
                load(run.settings.replace({"skip_bad": True}), quarantine=quarantine),
                "split",
            ),
            own_part=lambda _run, dataset, _split, name: types.SimpleNamespace(dataset=dataset, name=name),
            other_part=part_of,
        ),
        train=lambda: steps.Train(load=load, describe=lambda _dataset: "three rows", split=split_rows, train=train),
        evaluate=lambda: steps.Evaluate(
            evaluate=evaluation, rows=lambda *_: pytest.fail("not asked"), given=lambda *_: pytest.fail("not asked")
        ),
        explain=lambda: pytest.fail("not asked"),
        predict=lambda: pytest.fail("not asked"),
        export=lambda: pytest.fail("not asked"),
        monitor=lambda: steps.Monitor(
            load=lambda settings, _bundle, quarantine: load(settings, quarantine=quarantine),
            describe=lambda _dataset: "three rows",
            monitor=lambda _bundle, _dataset, output: {"drift": False, "written": output is not None},
        ),
        tune=lambda: steps.Tune(metric="accuracy", suggest=lambda trial, _settings: {"seed": 10 + trial.number}),
        page_suffixes=(".html",),
        refuse=refuse,
    )


@pytest.fixture
def told(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs the toy's command line in a folder of its own and returns the result that it prints."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(runtime, "configure", lambda **_settings: None)
    monkeypatch.setattr(runtime, "describe", lambda seed: {"seed": seed})
    monkeypatch.setattr(
        runtime, "strategy", lambda name: types.SimpleNamespace(scope=lambda: contextlib.nullcontext(name))
    )
    (tmp_path / "run").mkdir()
    for name in ("config.json", "decision.json", "model.keras"):
        (tmp_path / "run" / name).write_text("{}")

    def run(*words: str, code: int = 0, log: list[Any] | None = None) -> Any:
        assert verbs.main(app(log), [*words, "--json", "--quiet"]) == code
        said = capsys.readouterr()
        return json.loads(said.out) if code == 0 else said.err

    return run


def test_data_writes_split_and_quarantine_and_says_so(told: Any, tmp_path: pathlib.Path) -> None:
    said = told("data", "--skip-bad", "--output-dir", "out", "--write", "copy")
    assert said["notes"] == ["said of the data", "of the split", "2 rows True"]
    assert (said["columns"], said["quarantined_rows"]) == ({"a": "text"}, 1)
    assert (tmp_path / said["quarantine"]).read_text() == "row\n2\n"
    assert (tmp_path / "out" / "split.csv").read_text() == "id\n1\n3\n"
    assert "row 2" in told("data", "--output-dir", "out", "--overwrite", code=2)


def test_a_look_at_data_without_a_folder_is_replaced_by_the_next_and_a_named_one_is_not(told: Any) -> None:
    for _ in range(2):
        assert told("data", "--skip-bad")["certificate"] == "runs/toy-data/split.json"
    told("data", "--skip-bad", "--output-dir", "out")
    assert "--overwrite replaces it" in told("data", "--skip-bad", "--output-dir", "out", code=2)


@pytest.mark.parametrize(
    ("flags", "part"),
    [
        ((), "test"),
        (("--data", "new", "--skip-bad"), "all"),
        (("--data", "new", "--skip-bad", "--split", "test"), "test"),
    ],
)
def test_evaluate_lists_what_it_sets_aside_of_own_and_of_other_data(
    told: Any, tmp_path: pathlib.Path, flags: list[str], part: str
) -> None:
    said = told("evaluate", "--run-dir", "run", "--output-dir", "out", "--seed", "5", *flags)
    assert said["metrics"] == {"seed": 5, "part": part}
    assert said["baseline prior"] == {}
    assert (said["quarantined_rows"], said["quarantine"]) == (1, "out/quarantine.csv")
    assert (tmp_path / "out" / "quarantine.csv").is_file()


@pytest.mark.parametrize("folder", ["out", None])
def test_monitor_lists_what_it_sets_aside_with_and_without_a_folder_for_the_report(
    told: Any, tmp_path: pathlib.Path, folder: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "find", pathlib.Path)
    monkeypatch.setattr(reading, "load", str)
    said = told("monitor", "--model-dir", "m", "--skip-bad", *(["--output-dir", folder] if folder else []))
    assert said["quarantine"] == f"{folder or 'runs/toy-monitor'}/quarantine.csv"
    assert (tmp_path / said["quarantine"]).is_file()
    assert (said["notes"], said["quarantined_rows"]) == (["said of the data"], 1)


def test_a_source_that_is_not_there_takes_no_run_away(told: Any, tmp_path: pathlib.Path) -> None:
    log: list[Any] = []
    told("train", "--data", "missing", "--run-dir", "run", "--overwrite", code=2, log=log)
    assert (tmp_path / "run" / "config.json").exists()
    assert not log
    assert told("train", "--run-dir", "run", "--overwrite", "--seed", "7", "--skip-bad", log=log)["rows"] == 3
    ((settings, folder, written),) = log
    assert (settings, folder) == (Toy(seed=7, skip_bad=True), pathlib.Path("run"))
    assert written == [".lock", "config.json", "environment.json", "quarantine.csv", "split.json"]
    assert "config.json" in files.read_json(folder / "manifest.json")["files"]
    assert files.read_json(tmp_path / "run" / "environment.json") == {"seed": 7}


def test_a_training_whose_data_cannot_be_read_leaves_no_folder(told: Any, tmp_path: pathlib.Path) -> None:
    assert "row 2: expected a text" in told("train", "--run-dir", "new", code=2)
    assert not (tmp_path / "new").exists()


def test_each_trial_of_tune_is_trained_as_train_trains(told: Any) -> None:
    log: list[Any] = []
    told("tune", "--skip-bad", "--trials", "1", "--output-dir", "search", log=log)
    ((settings, folder, written),) = log
    assert (settings.seed, folder) == (10, pathlib.Path("search/trial-000"))
    assert written == ["config.json", "environment.json", "quarantine.csv", "split.json"]
    assert "config.json" in files.read_json(folder / "manifest.json")["files"]


def test_flags_that_a_finished_run_decides_are_refused_before_anything_is_read(told: Any) -> None:
    for verb in (
        ("evaluate", "--run-dir", "gone"),
        ("monitor", "--model-dir", "gone"),
        ("predict", "a.csv", "--output", "b.csv", "--run-dir", "gone"),
    ):
        assert "--decided: expected with train only" in told(*verb, "--decided", code=2)


def test_an_explanation_must_be_named_as_the_page_that_it_is(told: Any) -> None:
    said = told("explain", "fine film", "--run-dir", "run", "--output", "why.png", code=2)
    assert "--output: expected a name that ends in .html. Received: why.png" in said


def test_a_second_training_in_one_run_folder_is_refused_while_the_first_runs(told: Any, tmp_path: pathlib.Path) -> None:
    log: list[Any] = []
    with resuming.locked(tmp_path / "new", what="`train` into one run folder"):
        for option in ((), ("--resume",), ("--overwrite",)):
            said = told("train", "--skip-bad", "--run-dir", "new", *option, code=2, log=log)
            assert "expected `train` into one run folder by one process at a time" in said
    assert not log
    assert told("train", "--skip-bad", "--run-dir", "new", log=log)["rows"] == 3


def test_a_run_that_is_trained_again_has_no_manifest_until_that_is_done(told: Any, tmp_path: pathlib.Path) -> None:
    told("train", "--skip-bad", "--run-dir", "new")
    manifest = tmp_path / "new" / "manifest.json"
    manifest.write_text("{")
    assert "quarantine.csv" not in told("train", "--skip-bad", "--run-dir", "new", "--resume")
    assert set(files.read_json(manifest)["files"]) == {"config.json", "environment.json", "split.json"}


def test_evaluate_of_a_run_whose_data_have_moved_names_the_flag_and_takes_their_new_place(
    told: Any, tmp_path: pathlib.Path
) -> None:
    (tmp_path / "run" / "config.json").write_text('{"data": ["missing"]}')
    said = told("evaluate", "--run-dir", "run", code=2)
    assert "missing" in said
    assert "--data names their new place" in said
    # Whole, it would be the part "all" of other data.
    assert told("evaluate", "--run-dir", "run", "--data", "elsewhere")["metrics"]["part"] == "test"


def test_a_run_keeps_the_absolute_path_of_its_data(told: Any, tmp_path: pathlib.Path) -> None:
    (tmp_path / "rows.csv").write_text("x")
    for data, kept in (
        ("rows.csv", str(tmp_path / "rows.csv")),
        ("built-in", "built-in"),
        ("a-public-set", "a-public-set"),
    ):
        told("train", "--run-dir", "new", "--skip-bad", "--data", data, "--overwrite")
        assert files.read_json(tmp_path / "new" / "config.json")["data"] == [kept]
