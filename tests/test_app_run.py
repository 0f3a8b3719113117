"""One whole run of every app through its real command line: each verb, and the files of DESIGN section 4.

An app's ``tests/<app>/samples.py`` says what to feed it with: ``READ_FLAGS``, ``usual()``, ``unusual()``
and ``explain_input()``. TensorFlow runs in the child processes, but for questions to the bundle.
"""

import importlib
import json
import pathlib
import re
import signal
import subprocess
import sys
import time
import types
import urllib.request
from typing import Any

import numpy as np
import pandas as pd
import pytest

from shared import config, files
from shared.bundle import reading as bundle
from tests import golden, helpers

pytestmark = pytest.mark.tensorflow


@pytest.fixture(scope="module", params=helpers.APPS)
def app(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def module(app: str) -> str:
    return f"apps.{app}"


@pytest.fixture(scope="module")
def samples(app: str) -> types.ModuleType:
    return helpers.samples_of(app)


@pytest.fixture(scope="module")
def folder(app: str, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    return tmp_path_factory.mktemp(app)


@pytest.fixture(scope="module")
def normalised(
    module: str, samples: types.ModuleType, folder: pathlib.Path, command_line: helpers.CommandLine
) -> pathlib.Path:
    """What ``data --write`` wrote."""
    flags = getattr(samples, "DATA_FLAGS", ())
    assert command_line.run(module, "data", *flags, "--write", folder / "normalised", "--json").json
    return folder / "normalised"


@pytest.fixture(scope="module")
def run(app: str, shared_runs: pathlib.Path) -> files.RunFolder:
    """What ``train --preset smoke`` wrote."""
    return helpers.smoke_run(app, shared_runs)


@pytest.fixture(scope="module")
def evaluated(module: str, run: files.RunFolder, command_line: helpers.CommandLine) -> helpers.Finished:
    return command_line.run(module, "evaluate", "--run-dir", run.path, "--json")


@pytest.fixture(scope="module")
def evaluation(evaluated: helpers.Finished, run: files.RunFolder) -> pathlib.Path:
    assert evaluated.json["report"] == str(run.evaluation / "report.html")
    return run.evaluation


@pytest.fixture(scope="module")
def bundle_path(
    module: str,
    run: files.RunFolder,
    evaluation: pathlib.Path,
    folder: pathlib.Path,
    command_line: helpers.CommandLine,
) -> pathlib.Path:
    assert evaluation.is_dir()
    # Relative, as a person types it: the process that checks the bundle runs elsewhere.
    flags = ("--run-dir", run.path, "--output-dir", pathlib.Path(folder.name, "bundles"), "--json")
    written: str = command_line.run(module, "export", *flags).json["bundle"]
    return command_line.folder / written


@pytest.fixture(scope="module")
def usual(samples: types.ModuleType, normalised: pathlib.Path, folder: pathlib.Path) -> pathlib.Path:
    path: pathlib.Path = samples.usual(normalised, folder)
    return path


def test_data_writes_a_certificate_without_overlap(normalised: pathlib.Path) -> None:
    certificate = files.read_json(normalised / "split.json")
    assert certificate["unit"]
    assert set(certificate["overlap"].values()) == {0}
    assert set(certificate["counts"]) == {"train", "validation", "test"}


def test_a_source_that_is_not_there_exits_2_and_is_named(module: str, command_line: helpers.CommandLine) -> None:
    finished = command_line.run(module, "data", "--data", "/no/such/file.csv", code=2)
    assert "/no/such/file.csv" in finished.stderr
    assert "Traceback" not in finished.stderr


def test_train_leaves_the_files_of_the_run_folder(run: files.RunFolder, app: str) -> None:
    for path in (run.split, run.environment, run.history, run.model, run.decision):
        assert path.is_file(), path
    assert run.checkpoints.is_dir()
    assert any(run.logs.rglob("events.out.tfevents*"))
    app_config = helpers.config_of(app)
    assert app_config.from_json(files.read_json(run.config)) == app_config.smoke()
    environment = files.read_json(run.environment)
    assert environment["seed"] == 0
    assert {"python", "packages", "devices", "git_commit"} <= set(environment)
    assert [path for path in run.path.rglob("*") if path.name.startswith(".")] == []


def test_a_run_is_not_trained_over_by_accident(
    module: str, run: files.RunFolder, command_line: helpers.CommandLine
) -> None:
    before = files.sha256(run.model)
    finished = command_line.run(module, "train", "--preset", "smoke", "--run-dir", run.path, code=2)
    assert "--resume" in finished.stderr
    assert "--overwrite" in finished.stderr
    assert "Traceback" not in finished.stderr
    assert files.sha256(run.model) == before


def check_intervals(metrics: dict[str, dict[str, Any]]) -> None:
    for name, interval in metrics.items():
        assert re.fullmatch(r"[a-z][a-z0-9_.]*", name)
        assert interval["low"] <= interval["value"] <= interval["high"], name
        assert interval.get("confidence", 0.95) == 0.95


def test_every_number_of_metrics_json_has_an_interval_and_a_baseline(
    evaluated: helpers.Finished, evaluation: pathlib.Path, app: str
) -> None:
    document = files.read_json(evaluation / "metrics.json")
    fields = "app run data metrics baselines operating_points slices calibration notes"
    assert set(fields.split()) <= set(document)
    assert document["app"] == app
    assert {"source", "split", "n", "unit", "n_units", "sha256"} <= set(document["data"])
    assert document["data"]["split"] == "test"
    assert 0 < document["data"]["n_units"] <= document["data"]["n"]
    check_intervals(document["metrics"])
    assert all("by unit" in interval["method"] for interval in document["metrics"].values())
    assert document["baselines"]
    for metrics in document["baselines"].values():
        assert set(metrics) & set(document["metrics"])
        check_intervals(metrics)
    assert evaluated.json["metrics"] == document["metrics"]


def test_the_report_is_one_file_that_opens_offline(evaluation: pathlib.Path) -> None:
    text = (evaluation / "report.html").read_text("utf-8")
    assert text.lower().startswith("<!doctype html>")
    assert not re.search(r"""<(?:script|link|img|iframe)[^>]+(?:src|href)=(?!["']?(?:data:|#))""", text)
    assert not re.search(r"@import|url\((?!['\"]?(?:data:|#))", text)


def test_there_is_one_prediction_for_each_row_measured(evaluation: pathlib.Path) -> None:
    table = pd.read_parquet(evaluation / "predictions.parquet")
    assert len(table) == files.read_json(evaluation / "metrics.json")["data"]["n"]


@pytest.mark.slow_but_of("sentiment")
def test_another_models_predictions_are_judged_beside_the_run_itself(
    module: str,
    app: str,
    run: files.RunFolder,
    evaluation: pathlib.Path,
    folder: pathlib.Path,
    command_line: helpers.CommandLine,
) -> None:
    rows = folder / "rows.csv"
    command_line.run(module, "evaluate", "--run-dir", run.path, "--write-rows", rows, "--json")
    listed = pd.read_csv(rows)
    random = np.random.default_rng(0)
    if app == "driving_perception":
        path = folder / "by_chance.json"
        boxes = {"category_id": 1, "bbox": [100, 100, 50, 50]}
        found = [{"image_id": int(number), "score": random.random(), **boxes} for number in listed["image_id"]]
        path.write_text(json.dumps(found))
    else:
        path = folder / "by_chance.csv"
        listed.assign(score=random.random(len(listed))).to_csv(path, index=False)
    command_line.run(
        module, "evaluate", "--run-dir", run.path, "--predictions", path, "--output-dir", folder / "others", "--json"
    )
    judged = files.read_json(folder / "others" / "evaluation_by_chance" / "metrics.json")
    own = files.read_json(evaluation / "metrics.json")
    assert judged["run"] == f"by_chance beside run {run.path.name}"
    assert judged["baselines"].pop("run_model") == own["metrics"]
    assert judged["baselines"] == own["baselines"]
    assert judged["differences"]["run_model"]
    assert "model" not in judged


def test_explain_writes_its_file(
    module: str,
    run: files.RunFolder,
    samples: types.ModuleType,
    usual: pathlib.Path,
    folder: pathlib.Path,
    command_line: helpers.CommandLine,
) -> None:
    flags = ("--run-dir", run.path, samples.explain_input(usual), "--output", folder / "why.html", "--json")
    assert command_line.run(module, "explain", *flags).json
    assert (folder / "why.html").stat().st_size > 500


def test_the_bundle_has_the_files_of_the_contract(bundle_path: pathlib.Path, app: str) -> None:
    assert (bundle_path.parent.name, bundle_path.name) == (app, "1")
    assert (bundle_path / "saved_model.pb").is_file()
    names = ("golden.json", "decision.json", "display.json", "drift_reference.json", "model_card.md", "manifest.json")
    found = {path.name for path in (bundle_path / "assets.extra").iterdir()}
    assert {"tf_serving_warmup_requests", *names} <= found


def test_a_page_is_told_what_the_model_is_how_good_and_what_not_for(
    evaluation: pathlib.Path, bundle_path: pathlib.Path
) -> None:
    shown, decision = (
        files.read_json(bundle_path / "assets.extra" / f"{name}.json") for name in ("display", "decision")
    )
    assert shown["input"] in ("image", "text", "columns")
    assert shown["class_names"] == decision["class_names"]
    assert shown["threshold"] == decision["threshold"]
    assert shown["reason_names"] == decision.get("reasons", [])
    assert all(shown[name] for name in ("title", "threshold_rule", "not_for"))
    assert isinstance(shown["synthetic"], bool)
    metrics = files.read_json(evaluation / "metrics.json")
    first = next(iter(metrics["metrics"]))
    assert shown["headline"]["metric"] == first
    assert shown["headline"]["value"] == metrics["metrics"][first]["value"]
    assert shown["headline"]["n"] == metrics["data"]["n"]


@pytest.fixture(scope="module")
def asked(bundle_path: pathlib.Path) -> tuple[bundle.Bundle, dict[str, Any]]:
    """The bundle, and its golden inputs."""
    loaded = bundle.load(bundle_path)
    golden_inputs = loaded.extra("golden.json")["inputs"]
    return loaded, {name: bundle.decode(values) for name, values in golden_inputs.items()}


def test_the_signature_drift_gives_the_columns_of_the_reference(asked: tuple[bundle.Bundle, dict[str, Any]]) -> None:
    loaded, inputs = asked
    assert loaded.inputs("drift") == loaded.inputs()
    columns, reference = loaded.run(inputs, signature="drift"), loaded.extra("drift_reference.json")
    assert set(columns) == set(reference)
    rows = len(next(iter(inputs.values())))
    for name, known in reference.items():
        assert columns[name].shape == (rows,), name
        if known["kind"] == "numeric":
            assert columns[name].dtype.kind == "f", name
            assert np.isfinite(columns[name]).all(), name
        else:
            assert {type(value) for value in columns[name]} == {str}, name
    said = loaded.run(inputs)
    if "scores" in said and "labels" in said and said["labels"].ndim == 1:
        assert columns["score"] == pytest.approx(said["scores"][:, -1], abs=1e-5)
        assert columns["label"].tolist() == said["labels"].tolist()
    elif "scores" in said:
        assert columns["score"] == pytest.approx(said["scores"].max(axis=1), abs=1e-5)
    else:
        assert columns["score"] == pytest.approx(said["score"], abs=1e-5)


def test_the_signature_explain_says_why_of_every_input_however_awkward(
    asked: tuple[bundle.Bundle, dict[str, Any]],
) -> None:
    loaded, inputs = asked
    if "explain" not in loaded.signatures:
        pytest.skip("the answers explain themselves")
    assert loaded.inputs("explain") == loaded.inputs()
    why = loaded.run(inputs, signature="explain")
    assert why["label"].tolist() == loaded.run(inputs)["labels"].tolist()
    (values,) = (why[name] for name in ("heat", "attributions") if name in why)
    assert len(values) == len(why["label"])
    assert values.dtype == np.float32
    assert np.isfinite(values).all()
    if "heat" in why:
        assert values.ndim == 3
        assert values.min() >= 0
        assert values.max() <= 1
        assert not values[why["label"] == "invalid"].any()
    else:
        assert why["tokens"].shape == values.shape
        assert not values[why["tokens"] == ""].any()


def test_the_run_and_its_bundle_predict_alike(
    module: str,
    run: files.RunFolder,
    bundle_path: pathlib.Path,
    usual: pathlib.Path,
    samples: types.ModuleType,
    command_line: helpers.CommandLine,
) -> None:
    outputs = [usual.with_name("run.csv"), usual.with_name("bundle.parquet")]
    for flags, output in zip((("--run-dir", run.path), ("--model-dir", bundle_path)), outputs, strict=True):
        command_line.run(module, "predict", *flags, usual, *samples.READ_FLAGS, "--output", output, "--json")
    first, second = pd.read_csv(outputs[0]), pd.read_parquet(outputs[1])
    assert list(first.columns) == list(second.columns)
    assert len(first) == len(second) > 0
    for column in map(str, first):
        if column.startswith("score"):
            assert first[column].tolist() == pytest.approx(second[column].tolist(), abs=1e-5)
        else:
            # An empty cell of a csv file is an empty text or no number in parquet.
            one, other = (each[column].astype(object) for each in (first, second))
            assert one.where(one.notna(), "").tolist() == other.where(other.notna(), "").tolist()


@pytest.mark.slow_but_of("fraud_detection")
def test_two_shards_and_their_merge_are_the_output_of_one_call(
    module: str,
    run: files.RunFolder,
    usual: pathlib.Path,
    samples: types.ModuleType,
    command_line: helpers.CommandLine,
) -> None:
    def predict(name: str, *more: str) -> pathlib.Path:
        output = usual.with_name(name)
        flags = ("--run-dir", run.path, "--chunk-rows", "16", *samples.READ_FLAGS, *more)
        command_line.run(module, "predict", *flags, usual, "--output", output)
        return output

    whole = predict("whole.csv")
    parts = [predict("part-1.parquet", "--shard", "1/2"), predict("part-2.csv", "--shard", "2/2")]
    merged = usual.with_name("merged.csv")
    said = command_line.run(module, "predict", "--merge", *parts, "--output", merged, "--json").json
    assert merged.read_bytes() == whole.read_bytes()
    assert (said["shards"], said["rows"]) == (2, len(pd.read_csv(whole)))
    again = ("--merge", parts[1], "--output", merged, "--overwrite")
    assert "shard 1 of 2" in command_line.run(module, "predict", *again, code=2).stderr


def test_monitor_is_quiet_about_the_same_source_and_exits_3_on_another(
    module: str,
    bundle_path: pathlib.Path,
    usual: pathlib.Path,
    samples: types.ModuleType,
    command_line: helpers.CommandLine,
) -> None:
    flags = ("--model-dir", bundle_path, *samples.READ_FLAGS, "--json", "--data")
    command_line.run(module, "monitor", *flags, usual, code=0)
    drifted = command_line.run(module, "monitor", *flags, samples.unusual(usual.parent), code=3)
    assert drifted.json["drifted"]
    assert "Traceback" not in drifted.stderr


@pytest.mark.parametrize(
    "verb", ["data", pytest.param("evaluate", marks=pytest.mark.slow_but_of("driving_perception"))]
)
def test_skip_bad_lists_what_it_sets_aside(
    verb: str,
    module: str,
    samples: types.ModuleType,
    normalised: pathlib.Path,
    run: files.RunFolder,
    tmp_path: pathlib.Path,
    command_line: helpers.CommandLine,
) -> None:
    if not hasattr(samples, "with_bad"):
        pytest.skip("every transaction counts: none is set aside")
    source = ("--data", samples.with_bad(normalised, tmp_path), "--skip-bad", "--output-dir", tmp_path / "out")
    of_run = ("--run-dir", run.path) if verb == "evaluate" else ()
    said = command_line.run(module, verb, *of_run, *source, "--json").json
    assert (said["quarantined_rows"], said["quarantine"]) == (1, str(tmp_path / "out" / "quarantine.csv"))
    assert len(pd.read_csv(said["quarantine"])) == 1


@pytest.mark.slow_but_of("medical_imaging")
def test_tune_writes_a_config_file_that_train_accepts(
    module: str, app: str, folder: pathlib.Path, command_line: helpers.CommandLine
) -> None:
    flags = ("--preset", "smoke", "--trials", 1, "--output-dir", folder / "tune", "--json")
    best = pathlib.Path(command_line.run(module, "tune", *flags).json["config"])
    assert isinstance(config.load(helpers.config_of(app), best), helpers.config_of(app))


def test_the_server_answers_what_the_golden_file_says_in_each_protocol_and_stops_when_asked(
    module: str, bundle_path: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    golden = files.read_json(bundle_path / "assets.extra" / "golden.json")
    inputs = {name: values[:8] for name, values in golden["inputs"].items()}
    name = bundle_path.parent.name
    with helpers.serving(module, bundle_path, tmp_path / "log") as (server, address):
        outputs = _ask(f"{address}/v1/models/{name}:predict", {"inputs": inputs})["outputs"]
        about = _ask(f"{address}/v2/models/{name}")
        tensors = [_tensor(spec, inputs[spec["name"]]) for spec in about["inputs"]]
        body = {"inputs": tensors, "outputs": [{"name": "decision"}]}
        inferred = _ask(f"{address}/v2/models/{name}/infer", body)["outputs"][0]
        (model,) = _ask(f"{address}/ui/models")["models"]
        drift = _ask(f"{address}/ui/models/{name}/drift")
        with urllib.request.urlopen(f"{address}/", timeout=60) as reply:
            assert b"<html" in reply.read()
        server.send_signal(signal.SIGTERM)
        assert server.wait(timeout=60) == 0
    assert outputs["decision"] == golden["outputs"]["decision"][:8]
    assert (inferred["datatype"], inferred["data"]) == ("BYTES", golden["outputs"]["decision"][:8])
    assert (model["name"], model["version"], model["drift"]) == (name, 1, True)
    assert drift["served"] == 16
    assert "Traceback" not in (tmp_path / "log").read_text()


@pytest.mark.browser
def test_the_page_answers_an_upload_and_says_what_is_wrong_with_a_bad_file(
    module: str,
    bundle_path: pathlib.Path,
    usual: pathlib.Path,
    samples: types.ModuleType,
    tmp_path: pathlib.Path,
    open_page: Any,
) -> None:
    upload = _upload(bundle_path, samples.explain_input(usual), tmp_path)
    bad = tmp_path / f"bad{upload.suffix}"
    bad.write_bytes(bytes(range(128, 256)))
    with helpers.serving(module, bundle_path, tmp_path / "log") as (_, address):
        page = open_page(address)
        files_of_page = page.locator("input[type=file]").first
        files_of_page.set_input_files(upload)
        page.locator(".decision, .work tbody tr").first.wait_for()
        assert page.get_by_role("alert").filter(has_text=re.compile(r"\w")).count() == 0
        files_of_page.set_input_files(bad)
        page.get_by_role("alert").filter(has_text=bad.name).wait_for()


def _upload(bundle_path: pathlib.Path, sample: str, folder: pathlib.Path) -> pathlib.Path:
    """Return a file that a user of the app has at hand: an image, texts, or rows of columns."""
    inputs = files.read_json(bundle_path / "assets.extra" / "golden.json")["inputs"]
    if set(inputs) == {"image_bytes"}:
        return pathlib.Path(sample)
    path = folder / ("texts.txt" if set(inputs) == {"text"} else "rows.jsonl")
    rows = [dict(zip(inputs, row, strict=True)) for row in zip(*inputs.values(), strict=True)]
    path.write_text(f"{sample}\nAwful." if path.suffix == ".txt" else "\n".join(map(json.dumps, rows[-3:])))
    return path


def _ask(url: str, body: Any = None) -> Any:
    request = urllib.request.Request(url, None if body is None else json.dumps(body).encode())
    with urllib.request.urlopen(request, timeout=60) as reply:
        return json.load(reply)


def _tensor(spec: dict[str, Any], values: list[Any]) -> dict[str, Any]:
    """Return rows as a tensor of the Open Inference Protocol; bytes as base64."""
    encoded = isinstance(values[0], dict)
    return {
        "name": spec["name"],
        "shape": list(np.shape([value["b64"] for value in values] if encoded else values)),
        "datatype": spec["datatype"],
        "data": [value["b64"] for value in values] if encoded else values,
        "parameters": {"content_type": "base64"} if encoded else {},
    }


@pytest.mark.parametrize("verb", ["evaluate", "export", "explain"])
def test_a_run_that_is_not_there_exits_2_without_traceback(
    module: str,
    verb: str,
    tmp_path: pathlib.Path,
    command_line: helpers.CommandLine,
) -> None:
    more: dict[str, tuple[object, ...]] = {
        "evaluate": (),
        "export": ("--output-dir", tmp_path / "bundles"),
        "explain": ("anything", "--output", tmp_path / "why.html"),
    }
    finished = command_line.run(module, verb, "--run-dir", tmp_path / "missing", *more[verb], code=2)
    assert "missing" in finished.stderr
    assert "Traceback" not in finished.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_training_killed_three_times_ends_with_the_weights_of_one_that_was_not(
    module: str, app: str, run: files.RunFolder, tmp_path: pathlib.Path, command_line: helpers.CommandLine
) -> None:
    import keras

    killed = files.RunFolder(tmp_path / "killed")
    flags = ["train", "--preset", "smoke", "--run-dir", str(killed.path), "--resume"]
    most = len(list(run.checkpoints.rglob("*.npz")))
    for checkpoints in (0, min(1, most), min(2, most)):
        with subprocess.Popen([sys.executable, "-m", module, *flags], env=helpers.ENVIRONMENT) as child:
            # Hidden files count: the kill may come while a checkpoint is being written.
            while child.poll() is None and not (
                killed.config.exists() and len(list(killed.checkpoints.rglob("*.npz"))) >= checkpoints
            ):
                time.sleep(0.01)
            child.kill()
        assert child.returncode == -signal.SIGKILL
    command_line.run(module, *flags)
    importlib.import_module(f"apps.{app}.model")
    first, second = (keras.models.load_model(each.model, compile=False).get_weights() for each in (run, killed))
    assert [weights.tobytes() for weights in first] == [weights.tobytes() for weights in second]
    assert first


def test_the_first_losses_and_the_report_are_the_golden_ones(
    app: str, run: files.RunFolder, evaluation: pathlib.Path
) -> None:
    assert evaluation.is_dir()
    expected, found = files.read_json(golden.path(app)), golden.measure(run)
    assert found.keys() == expected.keys()
    for group, numbers in expected.items():
        assert found[group] == pytest.approx(numbers, rel=golden.RELATIVE_TOLERANCE), group
