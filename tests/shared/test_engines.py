"""Engines in a bundle: converted networks answer as Keras does; one that answers otherwise is not written."""

import pathlib
from typing import Any

import numpy as np
import pandas as pd
import pytest

from shared import errors, files, machine
from shared.bundle import engines, formats
from shared.bundle import reading as bundle
from tests import helpers
from tests.shared import servers

pytestmark = pytest.mark.tensorflow

if machine.missing(("onnx", "tf2onnx", "onnxruntime", "openvino", "ai_edge_litert")):
    pytest.skip("the extra `engines` is not installed", allow_module_level=True)

import keras  # noqa: E402
import tensorflow as tf  # noqa: E402

from shared import decision as decisions  # noqa: E402
from shared.bundle import engine_export, engine_files, export, network_graphs  # noqa: E402
from shared.models import cnn, dense, rnn, sequences, tabular  # noqa: E402

ROWS = (1, 3, 17)
CLASSES = ("negative", "positive")


def named(network: keras.Model) -> keras.Model:
    return keras.Model(network.input, {"logits": network.output}, name="network")


def lively(network: keras.Model) -> keras.Model:
    """Give every weight, biases included, a value that shows when it is read in another order."""
    generator = np.random.default_rng(1)
    network.set_weights([generator.normal(0, 0.3, weight.shape) for weight in network.get_weights()])
    return network


def text_network(**options: Any) -> keras.Model:
    tokens = sequences.TokenEmbedding(vocabulary_size=50, embedding_size=6)
    recurrence = rnn.Recurrence(**{"units": (5,), **options})
    return named(lively(rnn.build_text_rnn(tokens=tokens, classes=2, recurrence=recurrence)))


def texts(rows: int) -> dict[str, Any]:
    """Rows of other lengths, the second empty; padding at the end."""
    generator = np.random.default_rng(rows)
    tokens = generator.integers(1, 50, (rows, 9), dtype=np.int32)
    lengths = generator.integers(1, 10, rows)
    lengths[1:2] = 0
    return {"tokens": np.where(np.arange(9) < lengths[:, np.newaxis], tokens, 0).astype(np.int32)}


def images(rows: int) -> dict[str, Any]:
    return {"image": np.random.default_rng(rows).random((rows, 8, 8, 1), np.float32)}


def image_network() -> keras.Model:
    stages = cnn.Stages(filters=(4, 8), residual=True)
    network = cnn.build_cnn(input_shape=(8, 8, 1), classes=2, stages=stages)
    generator = np.random.default_rng(2)
    # Variances are above 0.
    network.set_weights([np.abs(generator.normal(0, 0.3, weight.shape)) for weight in network.get_weights()])
    return named(network)


def dense_network() -> keras.Model:
    return named(lively(dense.build_dense(input_shape=(4,), classes=2, hidden_units=(8,))))


def features(rows: int) -> dict[str, Any]:
    return {"features": np.random.default_rng(rows).normal(size=(rows, 4)).astype(np.float32)}


def converted(network: keras.Model, folder: pathlib.Path, name: str, **options: Any) -> engines.Run:
    engine_files.convert(network, folder, name, **options)
    about = {
        "inputs": network_graphs.input_names(network),
        "outputs": network_graphs.output_names(network),
        "padded": ["tokens"] if "tokens" in network_graphs.input_names(network) else [],
        "sizes": "",
    }
    return engines.load_network(folder, name, about)


def check_equal(network: keras.Model, run: engines.Run, inputs: Any) -> None:
    for rows in ROWS:
        given = inputs(rows)
        expected = network(network_graphs.given(network, given), training=False)["logits"]
        np.testing.assert_allclose(run(given)["logits"], expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("engine", ["onnx", "openvino"])
@pytest.mark.parametrize(
    "options",
    [
        {"cell": "lstm"},
        {"cell": "gru", "units": (5, 4)},
        {"cell": "simple", "bidirectional": False},
        {"cell": "lstm", "bidirectional": False, "pooling": "last"},
        {"cell": "gru", "pooling": "last"},
        {"cell": "lstm", "downsampling": 4, "pooling": "max"},
    ],
    ids=str,
)
def test_a_recurrent_network_says_the_same(options: dict[str, Any], engine: str, tmp_path: pathlib.Path) -> None:
    network = text_network(**options)
    check_equal(network, converted(network, tmp_path, engine), texts)


def test_a_recurrent_network_has_no_loop_left(tmp_path: pathlib.Path) -> None:
    import onnx

    engine_files.convert(text_network(), tmp_path, "onnx")
    kinds = {node.op_type for node in onnx.load(str(tmp_path / "network.onnx")).graph.node}
    assert "LSTM" in kinds
    assert "Loop" not in kinds


@pytest.mark.parametrize("engine", formats.FILES)
@pytest.mark.parametrize(("build", "inputs"), [(image_network, images), (dense_network, features)])
def test_other_networks_say_the_same(build: Any, inputs: Any, engine: str, tmp_path: pathlib.Path) -> None:
    network = build()
    check_equal(network, converted(network, tmp_path, engine), inputs)


def test_8_bits_leave_the_first_operation_and_the_last_before_each_output_in_floats(tmp_path: pathlib.Path) -> None:
    import onnx

    given = keras.Input((8, 8, 1), name="image")
    middle = given
    for name in ("first", "second", "third"):
        middle = keras.layers.Conv2D(4, 3, activation="silu", padding="same", name=name)(middle)
    outputs = {name: keras.layers.Conv2D(2, 1, name=name)(middle) for name in ("logits", "sides")}
    engine_files.convert(lively(keras.Model(given, outputs)), tmp_path, "onnx-int8", samples=[images(16)])
    graph = onnx.load(str(tmp_path / formats.FILES["onnx"])).graph
    made_by = {name: node.op_type for node in graph.node for name in node.output}
    floats = [
        node.name for node in graph.node if node.op_type == "Conv" and made_by.get(node.input[1]) != "DequantizeLinear"
    ]
    assert sorted(name.split("/")[-2].removesuffix("_1") for name in floats) == ["first", "logits", "sides"]


@pytest.mark.parametrize("engine", formats.FILES)
def test_8_bits_come_near(engine: str, tmp_path: pathlib.Path) -> None:
    network = image_network()
    run = converted(network, tmp_path, engine + formats.INT8, samples=[images(16), images(8)])
    expected = network(images(17)["image"], training=False)["logits"].numpy()
    found = run(images(17))["logits"]
    assert np.abs(found - expected).max() < 0.1 * np.ptp(expected)
    assert np.abs(found - expected).max() > 1e-6


def test_missing_numbers_stay_missing(tmp_path: pathlib.Path) -> None:
    numbers = keras.Input((4,), name="features")
    encoded = [
        tabular.PiecewiseLinear([[-1.0, 0.0, 1.0]] * 4, name="piecewise")(numbers),
        tabular.Standardize([0.5] * 4, [2.0] * 4, name="standardized")(numbers),
    ]
    network = keras.Model(numbers, {"logits": keras.layers.Concatenate()(encoded)})

    def missing(rows: int) -> dict[str, Any]:
        found = features(rows)
        found["features"][0, 1:3] = np.nan
        return found

    for engine in ("onnx", "openvino"):
        check_equal(network, converted(network, tmp_path, engine), missing)


def test_litert_refuses_recurrent_layers(tmp_path: pathlib.Path) -> None:
    with pytest.raises(errors.InputError, match=r"without recurrent layers.*Received: recurrent_1_both_ways"):
        engine_files.convert(text_network(), tmp_path, "litert")


def test_converting_leaves_the_network_as_it_was(tmp_path: pathlib.Path) -> None:
    network = text_network()
    before = network(texts(3)["tokens"], training=False)["logits"].numpy()
    engine_files.convert(network, tmp_path, "onnx")
    assert network.get_layer("mask").input is not None
    np.testing.assert_array_equal(network(texts(3)["tokens"], training=False)["logits"], before)


def written(
    repository: pathlib.Path,
    core_network: Any = None,
    names: tuple[str, ...] = ("onnx", "openvino"),
    *,
    exact: bool = True,
) -> Any:
    """Export a bundle of the dense network; the core may be another one: a planted fault."""
    network = dense_network()
    decision = decisions.Decision(
        class_names=CLASSES,
        temperature=1.0,
        threshold=None,
        rule="most probable class",
        alpha=0.1,
        quantile=0.35,
        fitted_on={"split": "validation"},
    )
    plain = keras.Model(network.input, network.output["logits"])
    decided, classify = export.classifier(export.given_logits, decision), export.classifier(plain, decision)
    raw = {"column": tf.TensorSpec([None, 4], tf.float32, "column")}
    logits = {"logits": tf.TensorSpec([None, 2], tf.float32, "logits")}
    inputs = {"column": features(40)["features"].astype(np.float64)}
    scores = decision.scores(plain.predict(inputs["column"] / 2, verbose=0))
    outputs = {"scores": scores, "labels": np.array(CLASSES, object)[decision.predicted(scores)]}
    return export.write(
        plain,
        {
            "serving_default": export.Endpoint(function=lambda given: classify(given["column"] / 2), inputs=raw),
            "preprocess": export.Endpoint(function=lambda given: {"features": given["column"] / 2}, inputs=raw),
            "answer": export.Endpoint(function=lambda given: decided(given["logits"]), inputs=logits),
        },
        export.Golden(inputs=inputs, outputs=outputs),
        repository=repository,
        name="engines",
        extras={"decision.json": decision.to_json(), "drift_reference.json": {}, "model_card.md": "# engines"},
        core=engine_export.Core(
            network=core_network or network,
            names=names,
            validation=inputs,
            training=inputs,
            metric=lambda found: float((found["labels"] == outputs["labels"]).mean()),
            exact=exact,
        ),
    )


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> bundle.Bundle:
    return bundle.load(written(tmp_path_factory.mktemp("repository")).path)


def test_engine_json_says_what_was_compared(loaded: bundle.Bundle) -> None:
    about = engines.listed(loaded.path)["onnx"]
    assert about["parity"]["golden"]["difference"] <= about["tolerance"] == engine_export.TOLERANCE
    assert about["parity"]["validation"] | {"difference": 0} == {"difference": 0, "rows_changed": 0, "rows": 40}
    assert about["accuracy"] == {"tensorflow": 1.0, "engine": 1.0}
    assert set(about["milliseconds"]) == {"tensorflow", "engine"}
    manifest = files.read_json(loaded.path / bundle.MANIFEST)["files"]
    assert f"{engines.FOLDER}/onnx/network.onnx" in manifest


def test_engine_json_names_what_a_runtime_must_be_told_for_the_same_answers(loaded: bundle.Bundle) -> None:
    import openvino

    folder = loaded.path / engines.FOLDER / "openvino"
    settings = engines.listed(loaded.path)["openvino"]["settings"]
    network = openvino.Core().compile_model(str(folder / "network.xml"), "CPU", settings)
    assert settings["INFERENCE_PRECISION_HINT"] == "f32"
    assert network.get_property("INFERENCE_PRECISION_HINT").to_string() == "f32"


@pytest.mark.parametrize("name", ["tensorflow", "onnx", "openvino", "auto"])
def test_every_engine_of_a_bundle_answers_as_the_saved_model(loaded: bundle.Bundle, name: str) -> None:
    engine = engines.open_engine(loaded, name)
    assert engine.name == name or name == "auto"
    for rows in ROWS:
        inputs = {"column": features(rows)["features"]}
        expected, found = loaded.run(inputs, signature=engine.signature), engine.run(inputs)
        assert set(found) == set(expected)
        np.testing.assert_allclose(found["scores"], expected["scores"], atol=1e-5)
        assert found["decision"].tolist() == expected["decision"].tolist()


@pytest.mark.parametrize("name", ["onnx", "openvino"])
def test_the_server_answers_by_the_engine_that_it_is_told(loaded: bundle.Bundle, name: str) -> None:
    rows = features(5)["features"]
    expected = loaded.run({"column": rows})
    with servers.serving(loaded.path, engine=name) as client:
        answers = client.post("/v1/models/engines:predict", json={"inputs": {"column": rows.tolist()}}).json()
        (model,) = client.get("/ui/models").json()["models"]
    assert model["engine"] == name
    np.testing.assert_allclose(answers["outputs"]["scores"], expected["scores"], atol=1e-5)
    assert answers["outputs"]["decision"] == expected["decision"].tolist()


def test_auto_takes_the_fastest_now(loaded: bundle.Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    for fastest in ("tensorflow", "openvino", "onnx"):
        times = {name: 1.0 if name == fastest else 2.0 for name in ("tensorflow", "onnx", "openvino")}
        monkeypatch.setattr(engines, "milliseconds", lambda _runs, _inputs, times=times: times)
        assert engines.open_engine(loaded).name == fastest


def test_auto_is_tensorflow_where_no_package_is_installed(
    loaded: bundle.Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "missing", list)
    assert engines.open_engine(loaded).name == "tensorflow"


def test_an_engine_whose_package_is_missing_says_what_to_install(
    loaded: bundle.Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "missing", list)
    with pytest.raises(errors.InputError, match=r"--engine onnx: .*fieldnets\[engines\].*Received: no onnxruntime"):
        engines.open_engine(loaded, "onnx")


def test_an_engine_that_was_not_written_says_how_to_write_it(loaded: bundle.Bundle) -> None:
    with pytest.raises(errors.InputError, match=r"`export --format litert --int8` writes\. Received: .* with tensorf"):
        engines.open_engine(loaded, "litert-int8")


def test_an_engine_with_other_weights_is_not_written(tmp_path: pathlib.Path) -> None:
    faulty = dense_network()
    faulty.set_weights([weight + 0.01 for weight in faulty.get_weights()])
    with pytest.raises(errors.GateError, match=r"engine onnx: expected outputs within 0\.0001"):
        written(tmp_path, faulty)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_8_bits_that_answer_worse_are_not_written(tmp_path: pathlib.Path) -> None:
    faulty = dense_network()
    faulty.set_weights([-weight for weight in faulty.get_weights()])
    with pytest.raises(errors.GateError, match=r"engine onnx-int8: expected to lose at most 0\.005"):
        written(tmp_path, faulty, ("onnx-int8",))


def test_where_answers_have_no_tolerance_a_float_engine_is_judged_by_what_it_loses(tmp_path: pathlib.Path) -> None:
    about = engines.listed(written(tmp_path / "right", exact=False).path)["onnx"]
    assert about["parity"] == {}
    assert about["tolerance"] == engine_export.MOST_LOST
    faulty = dense_network()
    faulty.set_weights([-weight for weight in faulty.get_weights()])
    with pytest.raises(errors.GateError, match=r"engine onnx: expected to lose at most 0\.005"):
        written(tmp_path / "faulty", faulty, exact=False)


def test_another_decision_counts() -> None:
    about: dict[str, Any] = {"parity": {"golden": {"difference": 1e-6, "rows_changed": 1, "rows": 40}}}
    with pytest.raises(errors.GateError, match="1 of 40 rows with another decision"):
        engine_export.check("onnx", about)


def test_a_row_is_clear_where_its_decision_does_not_hang_on_the_last_digits(loaded: bundle.Bundle) -> None:
    logits = np.array([[0.0, 0.0001], [0.0, 2.0]], np.float32)
    clear = engine_export.clear(loaded, lambda _: {"logits": logits}, {"column": np.zeros((2, 4))})
    assert clear.tolist() == [False, True]


def test_images_of_many_sizes_get_the_same_answers_in_their_order() -> None:
    def look(given: Any) -> dict[str, Any]:
        return {"doubled": 2 * given["image"][:, ::2]}

    generator = np.random.default_rng(0)
    sizes = generator.choice([2, 4, 6], (20, 2))
    images = np.zeros((20, 6, 6, 1))
    for image, (height, width) in zip(images, sizes, strict=True):
        image[:height, :width] = generator.random((height, width, 1))
    seen = images.copy()
    for row, (height, width) in enumerate(sizes):
        seen[row, height:], seen[row, :, width:] = -1, -1
    found = engines.by_size(look, ["image"], "sizes")({"image": seen, "sizes": sizes})
    np.testing.assert_array_equal(found["doubled"], 2 * images[:, ::2])


def test_rows_of_many_lengths_get_the_same_answers_in_their_order() -> None:
    seen: list[tuple[int, ...]] = []

    def total(given: Any) -> dict[str, Any]:
        seen.append(given["tokens"].shape)
        return {"total": given["tokens"].sum(axis=1)}

    tokens = np.tril(np.ones((40, 40), np.int32))
    found = engines.by_length(total, ["tokens"], workers=2)({"tokens": tokens, "other": np.arange(40)})
    assert found["total"].tolist() == list(range(1, 41))
    assert sum(rows for rows, _ in seen) == 40
    assert sum(rows * length for rows, length in seen) < 0.8 * tokens.size


def test_8_bits_of_nothing_are_refused() -> None:
    with pytest.raises(errors.InputError, match="--int8: expected an engine in --format"):
        formats.chosen(["saved-model"], int8=True)
    assert formats.chosen(["openvino", "saved-model"], int8=True) == ("openvino", "openvino-int8")


def test_medical_imaging_exports_engines_that_answer_as_predict_does(
    command_line: helpers.CommandLine, shared_runs: pathlib.Path
) -> None:
    module, run = "apps.medical_imaging", helpers.smoke_run("medical_imaging", shared_runs).path
    export_run = ("export", "--run-dir", run, "--output-dir", command_line.folder / "models")
    said = command_line.run(module, *export_run, "--format", "onnx,litert", "--json").json
    loaded = bundle.load(pathlib.Path(said["bundle"]))
    assert set(engines.listed(loaded.path)) == {"onnx", "litert"}
    golden = loaded.extra("golden.json")
    inputs = {name: bundle.decode(values) for name, values in golden["inputs"].items()}
    for name in ("onnx", "litert"):
        found = engines.open_engine(loaded, name).run(inputs)
        assert found["decision"].tolist() == golden["outputs"]["decision"]
        np.testing.assert_allclose(found["scores"], golden["outputs"]["scores"], atol=1e-5)
    refused = command_line.run(module, *export_run, "--format", "onnx,pickle", code=2)
    assert "invalid choice: 'pickle'" in refused.stderr
    refused = command_line.run(
        module, "predict", "--run-dir", run, run, "--output", "o.csv", "--engine", "onnx", code=2
    )
    assert "--engine onnx: expected --model-dir. Received: --run-dir" in refused.stderr


@pytest.mark.slow
def test_driving_perception_exports_engines_that_find_what_the_saved_model_finds(
    command_line: helpers.CommandLine, shared_runs: pathlib.Path
) -> None:
    module, run = "apps.driving_perception", helpers.smoke_run("driving_perception", shared_runs).path
    export_run = ("export", "--run-dir", run, "--output-dir", command_line.folder / "models")
    said = command_line.run(module, *export_run, "--format", "onnx,litert", "--json").json
    loaded = bundle.load(pathlib.Path(said["bundle"]))
    golden = loaded.extra("golden.json")
    inputs = {name: bundle.decode(values) for name, values in golden["inputs"].items()}
    for name, about in engines.listed(loaded.path).items():
        found = engines.open_engine(loaded, name).run(inputs)
        assert found["decision"].tolist() == golden["outputs"]["decision"]
        np.testing.assert_allclose(found["scores"], golden["outputs"]["scores"], atol=1e-4)
        assert about["accuracy"]["tensorflow"] > 0
        assert len(about["grids"]["factors"]) == len(about["grids"]["strides"])
    pictures = command_line.folder / "pictures"
    pictures.mkdir()
    for number, content in enumerate(inputs["image_bytes"]):
        (pictures / f"{number:02d}.jpg").write_bytes(content)
    outputs = {}
    for name in ("tensorflow", "litert"):
        output = command_line.folder / f"{name}.csv"
        ask = ("predict", "--model-dir", loaded.path, pictures, "--output", output, "--engine", name)
        command_line.run(module, *ask)
        outputs[name] = pd.read_csv(output)
    assert outputs["litert"]["decision"].tolist() == golden["outputs"]["decision"]
    assert outputs["litert"]["decision"].tolist() == outputs["tensorflow"]["decision"].tolist()
    # Their last digits differ, which the rounded numbers of the files do not show.
    asked = engines.load(loaded.path, "litert")
    assert not np.array_equal(asked.run(inputs)["scores"], loaded.run(inputs)["scores"])
