"""The Python API with its libraries: the command line's results, a process left as it was, and docs/python_api.md."""

import inspect
import io
import json
import os
import pathlib
import re
import subprocess
import sys
import textwrap
import zipfile
from collections.abc import Callable
from typing import Any

import pytest

from tests import helpers

pytestmark = pytest.mark.tensorflow

PAGE = (helpers.ROOT / "docs" / "python_api.md").read_text("utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)
REVIEWS = """
rows = [(f"{number}: {words}", label) for number in range(60)
        for words, label in ((f"a lovely film, warm and clever {number % 7}", "positive"),
                             (f"a dull mess, slow and silly {number % 5}", "negative"))]
pandas.DataFrame(rows, columns=["text", "label"]).to_csv("reviews.csv", index=False)
"""


def told(function: Callable[..., Any], folder: pathlib.Path, *given: object) -> Any:
    """Return what a function of this file returns in a process of its own, where fieldnets is imported as users do."""
    source = textwrap.dedent(inspect.getsource(function))
    call = f"{function.__name__}(*{[str(each) for each in given]!r})"
    program = f"import json, os, pathlib, sys\nfrom typing import Any\n{source}\nprint('\\n' + json.dumps({call}))"
    printed = _printed_by(program, folder)
    lines = printed.splitlines()
    # Nothing is printed but what this program prints itself.
    assert lines[:-1] == [""], printed
    return json.loads(lines[-1])


def _printed_by(program: str, folder: pathlib.Path) -> str:
    finished = subprocess.run(
        [sys.executable, "-c", program],
        cwd=folder,
        env=helpers.ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


def asked_of(run_dir: str) -> Any:
    import logging
    import random
    import signal

    import keras
    import numpy as np
    import pandas as pd
    import tensorflow as tf
    from tensorflow.python.framework import config

    import fieldnets

    def state() -> list[Any]:
        drawn = [
            random.random(),
            float(np.random.rand()),
            float(tf.random.uniform(())),
            float(keras.random.uniform(())),
        ]
        loggers = [
            (list(each.handlers), each.level) for each in map(logging.getLogger, ("", "fieldnets", "tensorflow"))
        ]
        policy, fixed = keras.config.dtype_policy().name, config.is_op_determinism_enabled()
        signals = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
        return [
            drawn,
            str(loggers),
            policy,
            fixed,
            str(signals),
            dict(os.environ),
            os.getcwd(),
            keras.layers.Dense(1).name,
        ]

    def seeded() -> None:
        keras.utils.set_random_seed(5)
        keras.config.set_dtype_policy("mixed_bfloat16")
        keras.backend.clear_session()

    seeded()
    expected = state()
    seeded()
    run = fieldnets.open(run_dir)
    texts = ["Not bad at all.", "A waste of an evening."]
    table = run.predict(pd.DataFrame({"text": texts}, index=[7, 3]))
    listed, of_file = run.predict(texts), run.predict(pathlib.Path("given.csv"))
    found = state()
    assert found == expected, (found, expected)
    scores = ["score_negative", "score_positive"]
    assert (listed[scores].to_numpy() == table[scores].to_numpy()).all()
    assert np.array_equal(run.predict_proba(texts), listed[scores].to_numpy())
    explanation = run.explain("The plot is thin, but I loved it.")
    return [list(table.index), of_file["score_positive"].tolist(), run.app, run.classes, explanation.summary["label"]]


def test_a_run_of_the_command_line_is_opened_and_predicts_what_the_command_line_does(
    shared_runs: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    run = helpers.smoke_run("sentiment", shared_runs)
    (tmp_path / "given.csv").write_text("text\nNot bad at all.\nA waste of an evening.\n")
    index, scores, app, classes, label = told(asked_of, tmp_path, run.path)
    assert (index, app, classes) == ([7, 3], "sentiment", ["negative", "positive"])
    assert label in classes
    words = ("predict", "--run-dir", run.path, "given.csv", "--output", "out.jsonl")
    helpers.CommandLine(tmp_path).run("apps.sentiment", *words)
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert scores == [line["score_positive"] for line in lines]


def judged(run_dir: str, output_dir: str) -> Any:
    import fieldnets

    run = fieldnets.open(run_dir)
    rows = run.rows_to_score()
    scored = rows.assign(score=[len(text) % 10 / 10 for text in rows["text"]])
    report = run.evaluate_predictions(scored.sample(frac=1, random_state=1), name="lengths", output_dir=output_dir)
    return [list(rows.columns), sorted(set(rows["part"])), report["run"], sorted(report.baselines)]


def test_another_model_is_judged_by_a_table_of_its_scores(shared_runs: pathlib.Path, tmp_path: pathlib.Path) -> None:
    run = helpers.smoke_run("sentiment", shared_runs)
    columns, parts, name, baselines = told(judged, tmp_path, run.path, tmp_path)
    assert (columns, parts) == (["file", "row", "text", "part"], ["test", "validation"])
    assert name == f"lengths beside run {run.path.name}"
    assert "run_model" in baselines
    assert (tmp_path / "evaluation_lengths" / "report.html").exists()


def trained(app: str) -> Any:
    import random

    import keras
    import numpy as np
    from tensorflow.python.framework import config

    import fieldnets

    def state() -> list[Any]:
        drawn = [
            random.getstate(),
            np.random.get_state(legacy=False)["state"]["key"].tolist(),
            keras.config.dtype_policy().name,
        ]
        return [*drawn, config.is_op_determinism_enabled(), dict(os.environ), os.getcwd()]

    keras.utils.set_random_seed(99)
    keras.config.set_dtype_policy("mixed_bfloat16")
    # A process that has built something before trains the same weights.
    keras.Sequential([keras.layers.Dense(3)]).build((None, 2))
    before = state()
    run = fieldnets.train(app, preset="smoke", run_dir="mine")
    report = run.evaluate()
    assert state() == before
    assert keras.layers.Dense(1).name == "dense_1"
    return {name: [float(each), each.low, each.high] for name, each in report.metrics.items()}


def weights(path: pathlib.Path) -> dict[str, bytes]:
    """Return the bytes of every array of a saved model; the archive around them holds the time of day."""
    h5py = pytest.importorskip("h5py")
    found: dict[str, bytes] = {}
    with zipfile.ZipFile(path) as archive, h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as stored:
        stored.visititems(
            lambda name, each: found.update({name: each[()].tobytes()}) if isinstance(each, h5py.Dataset) else None
        )
    return found


@pytest.mark.slow
@pytest.mark.parametrize("app", helpers.APPS)
def test_a_run_is_the_command_lines_bit_for_bit(app: str, shared_runs: pathlib.Path, tmp_path: pathlib.Path) -> None:
    run = helpers.smoke_run(app, shared_runs)
    found = told(trained, tmp_path, app)
    for name in ("decision.json", "split.json", "history.csv", "config.json"):
        assert (tmp_path / "mine" / name).read_bytes() == (run.path / name).read_bytes(), name
    expected = weights(run.path / "model.keras")
    assert expected
    assert weights(tmp_path / "mine" / "model.keras") == expected
    helpers.CommandLine(tmp_path).run(
        f"apps.{app}", "evaluate", "--run-dir", run.path, "--output-dir", tmp_path / "out"
    )
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())["metrics"]
    assert found == {name: [each[end] for end in ("value", "low", "high")] for name, each in metrics.items()}


def exported(run_dir: str) -> Any:
    import fieldnets

    run = fieldnets.open(run_dir)
    bundle = run.export("bundles")
    model = fieldnets.load(bundle)
    texts = ["Not bad at all.", "A waste of an evening."]
    difference = abs(model.predict_proba(texts) - run.predict_proba(texts)).max()
    assert "# " in model.card
    return [model.name, model.version, model.classes, float(difference), max(bundle.parity.values())]


@pytest.mark.slow
def test_a_bundle_is_exported_and_loaded(shared_runs: pathlib.Path, tmp_path: pathlib.Path) -> None:
    name, version, classes, difference, _ = told(exported, tmp_path, helpers.smoke_run("sentiment", shared_runs).path)
    assert (name, version, classes) == ("sentiment", 1, ["negative", "positive"])
    assert difference < 1e-5


@pytest.mark.slow
def test_every_snippet_of_the_page_is_run(tmp_path: pathlib.Path) -> None:
    assert len(BLOCKS) >= 6
    program = "\n".join([f"import pandas\n{REVIEWS}", *BLOCKS]).replace('"quick"', '"smoke"')
    program = program.replace("report.show()", "assert report._repr_html_()")
    assert "Did you mean 'epochs'" in _printed_by(program, tmp_path)
    assert (tmp_path / "why.html").exists()


def estimated(app: str) -> Any:
    import pickle

    import numpy as np
    import pandas as pd
    from sklearn import base, model_selection, pipeline, preprocessing

    import fieldnets

    if app == "sentiment":
        texts = [f"{words} {number}" for number in range(60) for words in ("a lovely warm film", "a dull silly mess")]
        labels = np.array(["good", "bad"] * 60)
        made, more = fieldnets.SentimentClassifier(preset="smoke"), {"cv": 2}
        chained = pipeline.make_pipeline(preprocessing.FunctionTransformer(), made)
        found = model_selection.cross_validate(chained, texts, labels, **more)
        fitted = base.clone(made).fit(texts, labels)
        again = pickle.loads(pickle.dumps(fitted))
        assert (again.predict_proba(texts) == fitted.predict_proba(texts)).all()
        assert fitted.classes_.tolist() == ["bad", "good"]
        return [found["test_score"].tolist(), fitted.score(texts, labels)]
    if app == "fraud_detection":
        from fieldnets.apps.fraud_detection import simulator

        table = simulator.simulate(simulator.World(customers=500, terminals=1_000, days=100))
        frauds = table["TX_FRAUD"].to_numpy()
        rows = table.drop(columns=["TX_FRAUD", "TX_FRAUD_SCENARIO"])
        made = fieldnets.FraudClassifier(preset="smoke")
        found = model_selection.cross_validate(
            made, rows, frauds, cv=model_selection.TimeSeriesSplit(2), scoring="roc_auc", error_score="raise"
        )
        return [found["test_score"].tolist()]
    from PIL import Image

    pixels, paths, kinds = np.random.default_rng(0), [], []
    for number in range(80):
        label = ("dark", "light")[number % 2]
        image = pixels.integers(0, 120, (48, 48)) + 120 * (number % 2)
        paths.append(f"{number}.png")
        Image.fromarray(image.astype(np.uint8)).save(paths[-1])
        kinds.append(label)
    patients = [f"p{number // 2}" for number in range(80)]
    made = fieldnets.MedicalImageClassifier(preset="smoke").fit(paths, kinds, groups=patients)
    return [made.predict(pd.Series(paths)).tolist() == kinds, made.classes_.tolist()]


@pytest.mark.slow
@pytest.mark.parametrize("app", ["sentiment", "fraud_detection", "medical_imaging"])
def test_an_estimator_works_with_scikit_learn(app: str, tmp_path: pathlib.Path) -> None:
    found = told(estimated, tmp_path, app)
    if app == "sentiment":
        assert min(*found[0], found[1]) > 0.9
    elif app == "fraud_detection":
        assert min(found[0]) > 0.5
    else:
        assert found[1] == ["dark", "light"]
