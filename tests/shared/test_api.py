"""What surrounds and carries the Python API's calls, without TensorFlow."""

import contextlib
import copy
import errno
import logging
import pathlib
import pickle
import subprocess
import sys
import webbrowser
from typing import Any

import numpy as np
import pandas as pd
import PIL.Image
import pytest

from apps import __main__ as command
from apps import api, estimators
from apps.sentiment import config
from shared import cli, errors, files, launch, progress, verbs
from shared.api import calls, models, results, runs, tables
from shared.training import process_state
from tests import helpers


@pytest.fixture(autouse=True)
def no_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    """What Keras and TensorFlow keep is tested where they are."""
    monkeypatch.setattr(process_state, "kept", contextlib.nullcontext)


def test_importing_fieldnets_is_quick_and_imports_nothing_heavy() -> None:
    program = (
        "import fieldnets, sys\n"
        "heavy = {'tensorflow', 'keras', 'numpy', 'pandas', 'sklearn', 'rich'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "assert fieldnets.train.__name__ == 'train' and issubclass(fieldnets.InputError, fieldnets.FieldnetsError)\n"
        "assert not {'tensorflow', 'keras'} & set(sys.modules)\n"
        "assert set(fieldnets.__all__) <= set(dir(fieldnets))\n"
        "for name in fieldnets.__all__: getattr(fieldnets, name)\n"
        "assert 'tensorflow' not in sys.modules\n"
        "assert not hasattr(fieldnets, 'nothing')"
    )
    subprocess.run([sys.executable, "-c", program], cwd="/", env={**helpers.ENVIRONMENT}, check=True)


def test_apps_are_those_of_the_command_line_with_dashes_or_underscores() -> None:
    assert set(api.NAMES) == set(command.APPS)
    assert api.find("fraud_detection") is api.find("fraud-detection")
    with pytest.raises(errors.InputError, match=r"Received: 'sentimental'. Did you mean 'sentiment'\?"):
        api.find("sentimental")


def test_settings_are_the_presets_changed_by_names_and_a_wrong_name_is_refused_with_the_one_that_was_meant(
    tmp_path: pathlib.Path,
) -> None:
    found = api.settings_of("sentiment", preset="smoke", members="cnn", cnn_windows=[3, 5], data=tmp_path)
    expected = config.Config.smoke().replace({"members": ("cnn",), "cnn_windows": (3, 5), "data": (str(tmp_path),)})
    assert found == expected.to_json()
    with pytest.raises(errors.InputError, match="Did you mean 'epochs'"):
        api.train("sentiment", preset="smoke", epoch=3)
    with pytest.raises(errors.InputError, match="preset: expected one of smoke, quick, default"):
        api.settings_of("sentiment", preset="fast")


def test_a_metric_is_a_number_with_an_interval_and_stays_one_in_copies() -> None:
    metric = results.Metric({"value": 0.9, "low": 0.8, "high": 0.95, "confidence": 0.9, "method": "Wilson"})
    for each in (metric, copy.deepcopy(metric), pickle.loads(pickle.dumps(metric))):
        assert (each, each + 0, each.low, each.high, each.confidence, each.method) == (
            0.9,
            0.9,
            0.8,
            0.95,
            0.9,
            "Wilson",
        )
        assert f"{each:.3f} {each}" == "0.900 0.9 (0.8 to 0.95)"


def test_a_report_is_metrics_json_and_its_page_in_a_frame(tmp_path: pathlib.Path) -> None:
    interval = {"value": 0.5, "low": 0.25, "high": 0.75}
    content = {"metrics": {"accuracy": interval}, "baselines": {"prior": {"accuracy": interval}}, "slices": [1]}
    files.write_json(tmp_path / "metrics.json", content)
    (tmp_path / "report.html").write_text('<p title="a">5 < 6 & "x"</p>')
    report = results.Report(tmp_path)
    assert report.metrics["accuracy"] == 0.5
    assert report.baselines["prior"]["accuracy"].high == 0.75
    assert (report["slices"], len(report), dict(report) == content) == ([1], 3, True)
    assert report.to_frame().to_numpy().tolist() == [[0.5, 0.25, 0.75]] * 2
    shown = report._repr_html_()
    assert 'srcdoc="&lt;p title=&quot;a&quot;&gt;5 &lt; 6 &amp; &quot;x&quot;&lt;/p&gt;"' in shown
    # A page of a report may run its own scripts, and reach nothing of the notebook.
    assert 'sandbox="allow-scripts"' in shown
    assert report.save(tmp_path / "copy.html").read_text() == (tmp_path / "report.html").read_text()
    with pytest.raises(errors.InputError, match=r"metrics\.json"):
        results.Report(tmp_path / "nothing")


def test_outside_of_a_notebook_a_page_is_opened_in_the_browser(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    monkeypatch.setattr(results, "_in_notebook", lambda: False)
    results.Page(b"<p>why</p>", ".html").show()
    path = pathlib.Path(opened[0].removeprefix("file://"))
    assert path.read_text() == "<p>why</p>"
    path.unlink()


@pytest.mark.parametrize("given", [["a", "b"], ("a", "b"), pd.Series(["a", "b"]), np.array(["a", "b"], object)])
def test_texts_become_a_table_in_their_order(given: Any, tmp_path: pathlib.Path) -> None:
    made = tables.as_files(given, "texts", tmp_path, text_column="review")
    assert pd.read_parquet(made.paths[0])["review"].tolist() == ["a", "b"]
    assert made.index is not None
    assert list(made.index) == [0, 1]


def test_paths_are_read_as_they_are_and_rows_may_be_mappings(tmp_path: pathlib.Path) -> None:
    for takes, given in (("texts", pathlib.Path("a.csv")), ("images", "a.png"), ("rows", ["a.csv"])):
        made = tables.as_files(given, takes, tmp_path)  # type: ignore[arg-type]
        assert (len(made.paths), made.index) == (1, None)
    made = tables.as_files([{"amount": 1.5}, {"amount": 2.0}], "rows", tmp_path)
    assert pd.read_parquet(made.paths[0])["amount"].tolist() == [1.5, 2.0]
    for takes, wrong in (("texts", [3]), ("rows", [3]), ("images", [np.zeros(3)]), ("texts", [])):
        with pytest.raises(errors.InputError, match="data: "):
            tables.as_files(wrong, takes, tmp_path)  # type: ignore[arg-type]


def test_arrays_become_pictures_of_the_same_pixels(tmp_path: pathlib.Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 5, 7, 3), np.uint8)
    made = tables.as_files(pixels, "images", tmp_path)
    assert [
        np.array_equal(np.asarray(PIL.Image.open(path)), each) for path, each in zip(made.paths, pixels, strict=True)
    ]
    assert len(tables.as_files(pixels[0, :, :, 0], "images", tmp_path).paths) == 1


def test_predictions_come_back_under_the_index_of_what_was_given(tmp_path: pathlib.Path) -> None:
    output = tmp_path / "out.parquet"
    # Row 2 was set aside, and the rest came in another order.
    pd.DataFrame({"file": "t", "row": [3, 1], "label": ["c", "a"]}).to_parquet(output)
    given = tables.Given(paths=(tmp_path / "t",), index=pd.Index([10, 20, 30]))
    found = tables.predictions(output, given)
    assert found["label"].tolist()[0::2] == ["a", "c"]
    assert found["label"].isna().tolist() == [False, True, False]
    assert list(found.columns) == ["label"]
    files_given = tables.Given(paths=(tmp_path / "t",))
    assert list(tables.predictions(output, files_given).columns) == ["file", "row", "label"]


def test_probabilities_are_the_columns_of_scores_or_the_score_of_fraud_and_its_rest() -> None:
    names, found = tables.probabilities(pd.DataFrame({"label": ["a"], "score_a": [0.7], "score_b": [0.3]}))
    assert (names, found.tolist()) == (("a", "b"), [[0.7, 0.3]])
    names, found = tables.probabilities(pd.DataFrame({"score": [0.25]}))
    assert (names, found.tolist()) == (("genuine", "fraud"), [[0.75, 0.25]])
    with pytest.raises(errors.InputError, match="predict_proba"):
        tables.probabilities(pd.DataFrame({"boxes": ["[]"]}))


def test_a_call_raises_errors_of_ours_and_never_ends_the_process() -> None:
    for raised, kind in (
        (errors.GateError("gate"), errors.GateError),
        (launch.EndedError(2), errors.InputError),
        (launch.EndedError(1), errors.FieldnetsError),
        (launch.EndedError(130), KeyboardInterrupt),
        (PermissionError(errno.EACCES, "denied", "there"), errors.InputError),
        (OSError(errno.ENOSPC, "No space left on device"), errors.InputError),
        (ZeroDivisionError(), ZeroDivisionError),
    ):
        with pytest.raises(kind), calls.call():
            raise raised


def test_a_call_draws_bars_where_it_was_asked_to_and_changes_neither_log_nor_folder(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = (pathlib.Path.cwd(), list(logging.getLogger("fieldnets").handlers), progress.is_shown())
    for shown in (True, False):
        with calls.call(shown=shown):
            assert progress.is_shown() is shown
    assert (pathlib.Path.cwd(), list(logging.getLogger("fieldnets").handlers), progress.is_shown()) == before


def test_a_run_that_is_there_is_refused_before_its_table_is_replaced(tmp_path: pathlib.Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").write_text("{}")
    with pytest.raises(errors.InputError, match="in use"):
        api.train("sentiment", pd.DataFrame({"text": ["a"], "label": ["b"]}), run_dir=tmp_path / "run")
    assert not (tmp_path / "run.data").exists()
    with pytest.raises(errors.InputError, match="one of them at most"):
        api.train("sentiment", resume=True, overwrite=True)


def test_processes_that_train_together_are_told_the_same_settings(tmp_path: pathlib.Path) -> None:
    app = api.find("sentiment")
    settings = app.config.smoke().replace({"epochs": 2, "members": ("cnn",), "text_column": "review"})
    how = runs.Training(workers=2, resume=True)
    words = runs._command_line(settings, how, tmp_path / "run", tmp_path)
    told = verbs.build_parser(app).parse_args(words)
    assert cli.resolve_config(app.config, told) == settings
    assert (told.run_dir, told.resume, told.overwrite, told.quiet) == (tmp_path / "run", True, False, True)


def test_no_run_and_no_bundle_is_an_error_that_says_what_was_expected(tmp_path: pathlib.Path) -> None:
    with pytest.raises(errors.InputError, match="train --run-dir"):
        api.open_run(tmp_path)
    with pytest.raises(errors.InputError, match="expected a bundle that `export` wrote"):
        api.load(tmp_path)
    with pytest.raises(errors.InputError, match="expected a bundle of sentiment"):
        models.app_of("faces", ("sentiment",))


@pytest.mark.parametrize("name", api.NAMES)
def test_a_run_is_known_by_its_settings(name: str, tmp_path: pathlib.Path) -> None:
    for file, content in (("decision.json", {}), ("model.keras", {}), ("config.json", api.settings_of(name))):
        files.write_json(tmp_path / file, content)
    assert api.open_run(tmp_path).app == name
    # An earlier version had other settings, too.
    files.write_json(tmp_path / "config.json", {**api.settings_of(name), "gone": 1})
    assert (api.open_run(tmp_path).app, api.open_run(tmp_path).settings["gone"]) == (name, 1)
    files.write_json(tmp_path / "config.json", {"data": ["x"], "temperature": 1, "beams": 3})
    with pytest.raises(errors.InputError, match="expected the settings of medical-imaging"):
        api.open_run(tmp_path)


def test_options_of_a_call_that_nobody_knows_are_refused() -> None:
    with pytest.raises(errors.InputError, match="Did you mean 'text_column'"):
        runs.predict(api.find("sentiment"), ["a"], {"text_colum": "review"}, run_dir=pathlib.Path("run"))


@pytest.mark.parametrize(
    "estimator", [estimators.SentimentClassifier, estimators.FraudClassifier, estimators.MedicalImageClassifier]
)
def test_an_estimator_is_made_of_its_parameters_and_refuses_what_is_no_problem_of_classes(estimator: Any) -> None:
    from sklearn import base, exceptions

    made = estimator(preset="smoke", settings={"epochs": 1}, random_state=3)
    again = base.clone(made)
    assert again.get_params() == made.get_params()
    assert again.set_params(preset="quick").preset == "quick"
    inputs = pd.DataFrame({"text": ["a", "b"]})
    with pytest.raises(errors.InputError, match="at least two classes"):
        made.fit(inputs, [1, 1])
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        made.fit(inputs, [1])
    with pytest.raises(exceptions.NotFittedError):
        made.predict(inputs)
    assert base.is_classifier(made)
