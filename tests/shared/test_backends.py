"""Every builder keeps the same contract on each Keras backend that is installed, each in its own process."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable
from importlib import util
from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.tensorflow

BUILDERS = (
    "dense", "bag_linear", "bag_deep", "cnn_image", "cnn_signal_residual", "text_cnn", "rnn_attention",
    "rnn_simple_last", "text_rnn_lstm", "text_rnn_gru_downsampled",
)  # fmt: skip
OTHERS = ("losses", "integrated_gradients", "interrupted_training")
BACKENDS = ("tensorflow", "jax", "torch")


@pytest.fixture(scope="module", params=BACKENDS)
def outcomes(request: pytest.FixtureRequest, environment: dict[str, str]) -> dict[str, str]:
    """What the contract said about each builder: "" or the traceback."""
    if util.find_spec(request.param) is None:
        pytest.skip(f"the Keras backend {request.param} is not installed")
    finished = subprocess.run(
        [sys.executable, __file__],
        env={**environment, "KERAS_BACKEND": request.param},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    report = json.loads(finished.stdout.splitlines()[-1])
    assert report.pop("backend") == request.param
    assert isinstance(report, dict)
    return report


def test_each_builder_is_held_to_the_contract(outcomes: dict[str, str]) -> None:
    assert set(outcomes) == {*BUILDERS, *OTHERS}


@pytest.mark.parametrize("name", [*BUILDERS, *OTHERS])
def test_contract_is_kept(outcomes: dict[str, str], name: str) -> None:
    assert outcomes[name] == "", outcomes[name]


def build(name: str) -> Any:
    from shared.models import cnn, dense, rnn, sequences

    tokens = sequences.TokenEmbedding(vocabulary_size=20, embedding_size=6)
    simple = rnn.Recurrence(cell="simple", units=(5, 4), bidirectional=False, pooling="last")
    merged = rnn.Recurrence(cell="gru", units=(4,), pooling="max", downsampling=3)
    small = cnn.Stages(filters=(4, 6))
    residual = cnn.Stages(filters=(4, 6), residual=True, normalization="layer", activation="gelu")
    table = dense.BagTable(buckets=20, scale=np.linspace(0.5, 2, 20))
    builders: dict[str, Callable[[], Any]] = {
        "dense": lambda: dense.build_dense(input_shape=(7,), classes=3, hidden_units=(8,), normalization="batch"),
        "bag_linear": lambda: dense.build_bag(table=table, classes=2),
        "bag_deep": lambda: dense.build_bag(
            table=dense.BagTable(buckets=20, size=4, pooling="sqrtn"), classes=3, hidden_units=(8,)
        ),
        "cnn_image": lambda: cnn.build_cnn(input_shape=(8, 8, 1), classes=3, stages=small),
        "cnn_signal_residual": lambda: cnn.build_cnn(input_shape=(None, 3), classes=2, stages=residual),
        "text_cnn": lambda: cnn.build_text_cnn(
            tokens=tokens, classes=3, windows=(2, 3), filters=5, pooling="max_mean", dropout_rate=0.0
        ),
        "rnn_attention": lambda: rnn.build_rnn(input_shape=(None, 3), classes=3, recurrence=rnn.Recurrence(units=(4,))),
        "rnn_simple_last": lambda: rnn.build_rnn(input_shape=(None, 3), classes=2, recurrence=simple),
        "text_rnn_lstm": lambda: rnn.build_text_rnn(
            tokens=tokens, classes=2, recurrence=rnn.Recurrence(units=(4,), pooling="mean")
        ),
        "text_rnn_gru_downsampled": lambda: rnn.build_text_rnn(tokens=tokens, classes=3, recurrence=merged),
    }
    assert set(builders) == set(BUILDERS)
    return builders[name]()


def check_builder(name: str) -> None:
    import keras

    keras.utils.set_random_seed(3)
    model = build(name)
    inputs, classes = example(model), model.outputs[0].shape[-1]
    first = logits_of(model, inputs)

    assert not getattr(model, "compiled", False)
    assert model.output_names == ["logits"]
    assert first.shape == (6, classes)
    assert first.dtype == np.float32
    assert np.isfinite(first).all()
    assert [layer.name for layer in model.layers] == [layer.name for layer in build(name).layers]
    np.testing.assert_array_equal(logits_of(model, inputs), first)
    if name.startswith(("bag", "text", "rnn")):
        check_padding(model, inputs)
    check_training(model, inputs, classes)
    check_saving(model, inputs)
    check_mixed_precision(name, inputs)


def example(model: Any) -> np.ndarray:
    """Six rows for the model; sequences have different lengths, and the last is empty."""
    generator = np.random.default_rng(0)
    shape = tuple(7 if size is None else size for size in model.inputs[0].shape[1:])
    if model.inputs[0].dtype == "int32":
        rows: np.ndarray = generator.integers(1, 20, (6, *shape)).astype("int32")
    else:
        rows = generator.normal(size=(6, *shape)).astype("float32")
    if model.inputs[0].shape[1] is None:
        for row, length in enumerate((7, 5, 4, 2, 1, 0)):
            rows[row, length:] = 0
    return rows


def logits_of(model: Any, inputs: np.ndarray) -> np.ndarray:
    import keras

    return np.asarray(keras.ops.convert_to_numpy(model(keras.ops.convert_to_tensor(inputs), training=False)))


def check_padding(model: Any, inputs: np.ndarray) -> None:
    """Neither more padding nor a row's neighbours in the batch change its logits."""
    wanted = logits_of(model, inputs)
    longer = np.pad(inputs, [(0, 0), (0, 4), *[(0, 0)] * (inputs.ndim - 2)])
    np.testing.assert_allclose(logits_of(model, longer), wanted, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(logits_of(model, inputs[2:3, :4]), wanted[2:3], rtol=1e-5, atol=1e-6)


def check_training(model: Any, inputs: np.ndarray, classes: int) -> None:
    import keras

    from shared.models import losses

    labels = np.arange(6) % classes
    model.compile(keras.optimizers.Adam(0.03), losses.by_name("cross_entropy", classes=classes))
    history = model.fit(inputs, labels, batch_size=6, epochs=6, shuffle=False, verbose=0).history["loss"]
    assert history[-1] < history[0]


def check_saving(model: Any, inputs: np.ndarray) -> None:
    import keras

    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "model.keras")
        model.save(path)
        loaded = keras.saving.load_model(path)
    np.testing.assert_array_equal(logits_of(loaded, inputs), logits_of(model, inputs))
    assert [layer.name for layer in loaded.layers] == [layer.name for layer in model.layers]


def check_mixed_precision(name: str, inputs: np.ndarray) -> None:
    import keras

    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        logits = logits_of(build(name), inputs)
    finally:
        keras.config.set_dtype_policy("float32")
    assert logits.dtype == np.float32
    assert np.isfinite(logits).all()


def check_losses() -> None:
    from shared.models import losses

    logits = np.log(np.array([[0.7, 0.2, 0.1], [0.25, 0.25, 0.5]], dtype="float32"))
    labels = np.array([0, 1])
    got = {name: float(losses.by_name(name, classes=3)(labels, logits)) for name in ("cross_entropy", "focal", "mse")}
    assert got["cross_entropy"] == pytest.approx(-(np.log(0.7) + np.log(0.25)) / 2, rel=1e-5)
    assert got["focal"] == pytest.approx(-(0.09 * np.log(0.7) + 0.5625 * np.log(0.25)) / 2, rel=1e-5)
    assert got["mse"] == pytest.approx((0.09 + 0.04 + 0.01 + 0.0625 + 0.5625 + 0.25) / 6, rel=1e-5)


def check_integrated_gradients() -> None:
    from shared.explain import gradients

    model = build("text_cnn")
    found = gradients.integrated_gradients(model, example(model)[:2])
    assert found.values.shape == (2, 7)
    assert (found.completeness_error < 0.02).all()
    assert (found.values[1, 5:] == 0).all()


class StoppedError(Exception):
    """Stands for whatever ends a process."""


def check_interrupted_training() -> None:
    """A training that stops after two epochs and goes on ends in the weights of one that did not stop."""
    with tempfile.TemporaryDirectory() as folder:
        whole = trained(pathlib.Path(folder, "whole"), stops_after=None)
        with pytest.raises(StoppedError):
            trained(pathlib.Path(folder, "parts"), stops_after=2)
        resumed = trained(pathlib.Path(folder, "parts"), stops_after=None)
    for expected, received in zip(whole.get_weights(), resumed.get_weights(), strict=True):
        np.testing.assert_array_equal(received, expected)


def trained(folder: pathlib.Path, *, stops_after: int | None) -> Any:
    """Train on ragged rows with the average of the weights, and stop where the monitor is called once too often."""
    import keras

    from shared.models import losses, rnn, sequences
    from shared.training import datasets
    from shared.training import fit as fitting

    keras.utils.set_random_seed(5)
    generator = np.random.default_rng(2)
    rows = [generator.integers(1, 20, length).astype(np.int32) for length in generator.integers(1, 9, 40)]
    labels = np.array([int(row[0] > 9) for row in rows])
    source = datasets.Arrays(inputs={"tokens": datasets.Ragged.from_rows(rows)}, labels=labels)
    calls = iter(range(10 if stops_after is None else stops_after))

    def monitor(labels: np.ndarray, logits: np.ndarray) -> float:
        if next(calls, None) is None:
            raise StoppedError
        return float(np.mean(np.argmax(logits, axis=1) == labels))

    model = rnn.build_text_rnn(
        tokens=sequences.TokenEmbedding(vocabulary_size=20, embedding_size=6),
        classes=2,
        recurrence=rnn.Recurrence(units=(4,)),
    )
    outputs = fitting.Outputs(checkpoints=folder, history=folder / "history.csv", logs=folder / "logs", progress=False)
    settings = fitting.FitSettings(epochs=4, batch_size=8, patience=0, ema_momentum=0.9)
    loss = losses.by_name("cross_entropy", classes=2)
    fitting.fit(model, source, source, settings=settings, loss=loss, monitor=monitor, outputs=outputs)
    return model


def report() -> dict[str, str]:
    """Return {check: "" or traceback} for the backend that Keras runs on."""
    checks: dict[str, Callable[[], None]] = {
        **{name: lambda name=name: check_builder(name) for name in BUILDERS},  # type: ignore[misc]
        "losses": check_losses,
        "integrated_gradients": check_integrated_gradients,
        "interrupted_training": check_interrupted_training,
    }
    found: dict[str, str] = {}
    for name, check in checks.items():
        try:
            check()
            found[name] = ""
        except Exception:
            found[name] = traceback.format_exc()
    return found


if __name__ == "__main__":
    print(json.dumps({"backend": os.environ["KERAS_BACKEND"], **report()}))
