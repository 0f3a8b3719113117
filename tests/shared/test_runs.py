"""``fieldnets runs``: what it tells of whole, begun and damaged run folders, in the terminal, as JSON and as a page."""

import json
import pathlib
import shutil
from typing import Any

import pytest

from apps import __main__ as fieldnets
from apps.sentiment import config
from shared import errors, files
from shared.runs import folders, index
from tests import helpers

CONFIGS = {app: helpers.config_of(app) for app in helpers.APPS}
HEADLINE = {"value": 0.8, "low": 0.7, "high": 0.9, "confidence": 0.95, "method": "Wilson"}


def metrics(**changes: Any) -> dict[str, Any]:
    weak, strong = ({**HEADLINE, "value": value} for value in (0.5, 0.75))
    return {
        **{"app": "sentiment", "run": "run", "data": {"split": "test", "own": True}, "notes": []},
        **{"metrics": {"accuracy": HEADLINE}, "baselines": {"a": {"accuracy": weak}, "b": {"accuracy": strong}}},
        **changes,
    }


def a_run(path: pathlib.Path, *, document: dict[str, Any] | None = None, **changes: Any) -> files.RunFolder:
    """Make the folder of a run that was trained, and evaluated where there is a document."""
    run = files.RunFolder(path)
    files.write_json(run.config, config.Config.quick().replace(changes).to_json())
    files.write_json(run.split, helpers.a_certificate())
    files.write_json(run.environment, {"python": "3.11"})
    run.model.write_bytes(b"weights")
    files.write_json(run.decision, {})
    run.write_manifest()
    files.write_json(run.usage, {"began": "2026-11-30T22:15:00+00:00", "seconds": 75.2})
    if document is not None:
        files.write_json(run.evaluation / "metrics.json", document)
        files.write_text(run.evaluation / "report.html", "<p>report")
    return run


def read(run: files.RunFolder) -> folders.Run:
    return folders.read(run.path, configs=CONFIGS)


def test_an_evaluated_run_tells_its_figures_beside_the_best_baseline(tmp_path: pathlib.Path) -> None:
    found = read(a_run(tmp_path / "one", document=metrics(), data=("d/reviews.csv",), seed=5))
    assert (found.app, found.preset, found.changed, found.state) == ("sentiment", "quick", (), "evaluated")
    assert index.row(found) == {
        **{"app": "sentiment", "run": "one", "when": "2026-11-30 22:15", "preset": "quick", "data": "reviews.csv"},
        **{"metric": "accuracy", "model": "0.800 (0.700–0.900)", "best baseline": "b 0.750", "took": "1 min 15 s"},
        **{"size": index.size(found.size_bytes), "state": "evaluated"},
    }
    written = sum(path.stat().st_size for path in (tmp_path / "one").rglob("*") if path.is_file())
    assert found.size_bytes == written


def test_of_an_error_the_lowest_baseline_is_the_best(tmp_path: pathlib.Path) -> None:
    values = {"a": {"log_loss": {**HEADLINE, "value": 0.2}}, "b": {"log_loss": {**HEADLINE, "value": 0.3}}}
    found = read(a_run(tmp_path / "one", document=metrics(metrics={"log_loss": HEADLINE}, baselines=values)))
    assert found.baseline == "a"


@pytest.mark.parametrize("app", helpers.APPS)
@pytest.mark.parametrize("preset", ["smoke", "quick", "default"])
def test_the_settings_alone_tell_app_and_preset(app: str, preset: str, tmp_path: pathlib.Path) -> None:
    run = a_run(tmp_path / "one")
    changed = CONFIGS[app].presets()[preset]().replace({"seed": 3, "data": ("elsewhere",)})
    files.write_json(run.config, changed.to_json())
    run.write_manifest()
    found = read(run)
    assert (found.app, found.preset, found.changed) == (app, preset, ())
    assert found.condition == ("trained; smoke: not for use" if preset == "smoke" else "trained")


def test_what_differs_from_the_preset_is_counted(tmp_path: pathlib.Path) -> None:
    found = read(a_run(tmp_path / "one", epochs=7, patience=9))
    assert found.changed == ("epochs", "patience")
    assert index.row(found)["preset"] == "quick, 2 changed"


def test_an_unfinished_run_and_figures_of_other_weights_are_told_apart(tmp_path: pathlib.Path) -> None:
    stale = a_run(tmp_path / "stale", document=metrics(model={"weights_sha256": "0" * 64}))
    assert read(stale).state == "evaluated, with other weights than are there now"
    fresh = a_run(tmp_path / "fresh", document=metrics(model={"weights_sha256": files.sha256(stale.model)}))
    assert read(fresh).state == "evaluated"
    fresh.model.unlink()
    assert read(fresh).state == "unfinished"


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda run: run.config.unlink(), "config.json"),
        (lambda run: run.config.write_text("{"), "config.json"),
        (lambda run: run.config.write_text("[]"), "config.json"),
        (lambda run: (run.evaluation / "metrics.json").write_text("{}"), "'metrics'"),
        (lambda run: (run.evaluation / "metrics.json").write_text('{"metrics": []}'), ""),
        (lambda run: run.manifest.write_text('{"files": {"gone.json": ""}}'), "gone.json: expected the file"),
        (lambda run: run.manifest.write_text("{}"), "'files'"),
        (lambda run: run.usage.write_text('{"began": "noon", "seconds": 1}'), "noon"),
    ],
)
def test_a_damaged_run_is_named_and_ends_nothing(tmp_path: pathlib.Path, damage: Any, reason: str) -> None:
    run = a_run(tmp_path / "broken", document=metrics())
    damage(run)
    found = read(run)
    assert found.state.startswith("damaged: ")
    assert reason in found.state
    assert index.row(found)["run"] == "broken"


def test_runs_are_found_at_any_depth_and_not_within_runs_bundles_or_hidden_folders(tmp_path: pathlib.Path) -> None:
    for place in ("b/deep/run", "a", ".hidden/run"):
        a_run(tmp_path / place)
    shutil.copytree(tmp_path / "a", tmp_path / "a" / "challenger")
    files.write_json(tmp_path / "data" / "split.json", {})
    files.write_json(tmp_path / "bundle" / "1" / "config.json", {})
    assert [path.relative_to(tmp_path).as_posix() for path in folders.find(tmp_path)] == ["a", "b/deep/run"]
    with pytest.raises(errors.InputError, match="expected a folder of runs"):
        list(folders.find(tmp_path / "none"))


def test_the_command_prints_a_table_or_json_and_writes_the_page(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a_run(tmp_path / "runs" / "good", document=metrics())
    a_run(tmp_path / "runs" / "bad").config.write_text("{")
    assert fieldnets.main(["runs", str(tmp_path / "runs")]) == 0
    assert "damaged" in capsys.readouterr().out
    assert fieldnets.main(["runs", str(tmp_path / "runs"), "--json", "--output", str(tmp_path / "list.html")]) == 0
    said = json.loads(capsys.readouterr().out)
    assert [each["name"] for each in said["runs"]] == ["bad", "good"]
    assert said["runs"][1]["value"] == HEADLINE
    assert 'href="runs/good/evaluation/report.html"' in (tmp_path / "list.html").read_text()
    assert fieldnets.main(["runs", str(tmp_path / "list.html")]) == 2


def test_a_page_of_somebody_else_is_not_replaced_and_one_of_ours_is(tmp_path: pathlib.Path) -> None:
    found = [read(a_run(tmp_path / "a", document=metrics()))]
    page = tmp_path / "index.html"
    for _ in range(2):
        index.write(found, page, searched=tmp_path)
    page.write_text("<p>my own")
    with pytest.raises(errors.InputError, match="another file"):
        index.write(found, page, searched=tmp_path)
    assert page.read_text() == "<p>my own"


def test_names_are_escaped_on_the_page_and_in_its_links(tmp_path: pathlib.Path) -> None:
    found = [read(a_run(tmp_path / "<b>a&b #1", document=metrics()))]
    page = index.render(found, tmp_path, searched=tmp_path)
    assert "&lt;b&gt;a&amp;b #1" in page
    assert 'href="%3Cb%3Ea%26b%20%231/evaluation/report.html"' in page


@pytest.mark.browser
def test_the_page_sorts_by_numbers_and_leaves_missing_ones_last(open_page: Any, tmp_path: pathlib.Path) -> None:
    for name, value in (("x", 0.9), ("y", 0.1), ("z", 0.75)):
        a_run(tmp_path / name, document=metrics(metrics={"accuracy": {**HEADLINE, "value": value}}))
    a_run(tmp_path / "none")
    found = [folders.read(path, configs=CONFIGS) for path in folders.find(tmp_path)]
    index.write(found, tmp_path / "index.html", searched=tmp_path)
    page = open_page((tmp_path / "index.html").as_uri(), viewport={"width": 1400, "height": 700})
    names = page.locator("tbody td.run")
    for order in (["x", "z", "y", "none"], ["y", "z", "x", "none"]):
        page.get_by_role("button", name="model").click()
        assert names.all_inner_texts() == order
