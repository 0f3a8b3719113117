"""Two processes on JAX train the model that one would; what they trained is exported from TensorFlow."""

import json
import pathlib
import subprocess
import sys
from importlib import util
from typing import Any

import numpy as np
import pytest

from shared import launch
from tests import helpers

pytestmark = pytest.mark.tensorflow

WORKER = pathlib.Path(__file__).with_name("train_together.py")
EVEN, UNEVEN = ("normalized", "10"), ("ragged", "13")


@pytest.fixture(autouse=True)
def on_jax(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes that a test starts run Keras on JAX; this one does not."""
    if util.find_spec("jax") is None:
        pytest.skip("jax is not installed")
    monkeypatch.setenv("KERAS_BACKEND", "jax")


def command(folder: pathlib.Path, kind: str, batch_size: str, *, killed_after: int = -1) -> list[str]:
    return [sys.executable, str(WORKER), str(folder), str(killed_after), kind, batch_size]


def weights(folder: pathlib.Path, rank: int) -> list[np.ndarray]:
    with np.load(folder / f"weights-{rank}.npz") as content:
        return [content[name] for name in content.files]


def alone(folder: pathlib.Path, kind: str, batch_size: str) -> dict[str, Any]:
    environment = {**helpers.ENVIRONMENT, "KERAS_BACKEND": "jax"}
    finished = subprocess.run(
        command(folder, kind, batch_size), env=environment, capture_output=True, text=True, timeout=600
    )
    assert finished.returncode == 0, finished.stderr
    return dict(json.loads(finished.stdout))


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "batch_size"), [EVEN, UNEVEN])
def test_two_jax_processes_train_the_weights_of_one(kind: str, batch_size: str, tmp_path: pathlib.Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    single = alone(one, kind, batch_size)
    together = launch.train(command(two, kind, batch_size), workers=2)
    for first, second, expected in zip(weights(two, 0), weights(two, 1), weights(one, 0), strict=True):
        assert first.tobytes() == second.tobytes()
        np.testing.assert_allclose(first, expected, rtol=0, atol=1e-6)
    for row, expected in zip(together["history"], single["history"], strict=True):
        assert row["validation_loss"] == pytest.approx(expected["validation_loss"], abs=1e-6)


@pytest.mark.slow
def test_a_killed_jax_process_costs_at_most_an_epoch(tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    whole.mkdir()
    killed.mkdir()
    launch.train(command(whole, *EVEN), workers=2)
    result = launch.train(command(killed, *EVEN, killed_after=1), workers=2)
    assert result["resumed_from"] >= 1, "epochs before the one in which a process died"
    assert "worker 1 was ended by SIGKILL" in caplog.text
    for rank in range(2):
        for resumed, expected in zip(weights(killed, rank), weights(whole, 0), strict=True):
            assert resumed.tobytes() == expected.tobytes()


@pytest.mark.slow
def test_batch_normalization_over_filled_up_jax_batches_is_refused(
    tmp_path: pathlib.Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        launch.train(command(tmp_path, "normalized", "13"), workers=2, restarts=0)
    assert "expected batches that 2 devices share equally" in capfd.readouterr().err


@pytest.mark.slow
def test_weights_from_jax_processes_are_exported_from_tensorflow_with_parity(tmp_path: pathlib.Path) -> None:
    launch.train(command(tmp_path, *EVEN), workers=2)
    rows = np.random.default_rng(7).normal(size=(40, 6)).astype(np.float32)
    dense, normalization, logits = (slice(0, 1), slice(1, 5), slice(5, 7))
    found = weights(tmp_path, 0)
    hidden = rows @ found[dense][0]
    gamma, beta, mean, variance = found[normalization]
    hidden = np.maximum((hidden - mean) / np.sqrt(variance + 1e-3) * gamma + beta, 0)
    kernel, bias = found[logits]
    expected = hidden @ kernel + bias
    finished = subprocess.run(
        [sys.executable, "-c", EXPORT, str(tmp_path)],
        input=json.dumps({"rows": rows.tolist(), "logits": expected.tolist()}),
        env={**helpers.ENVIRONMENT, "KERAS_BACKEND": "tensorflow"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert finished.returncode == 0, finished.stderr
    assert json.loads(finished.stdout.splitlines()[-1])["logits"] <= 1e-5


# The bundle is replayed in a clean process: `write` raises where it does not give the logits that JAX's weights give.
EXPORT = """
import json, pathlib, sys
import numpy as np
from shared.training import runtime
runtime.quiet_logs()
import keras
import tensorflow as tf
from shared.bundle import export

folder, told = pathlib.Path(sys.argv[1]), json.loads(sys.stdin.read())
network = keras.saving.load_model(folder / "model-0.keras", compile=False)
rows, logits = (np.array(told[name], np.float32) for name in ("rows", "logits"))
answer = export.Endpoint(
    function=lambda inputs: {"logits": network(inputs["x"], training=False)},
    inputs={"x": tf.TensorSpec([None, 6], tf.float32, "x")},
)
golden = export.Golden(inputs={"x": rows}, outputs={"logits": logits})
exported = export.write(
    network, {"serving_default": answer}, golden, repository=folder / "bundles", name="jax", extras={}
)
print(json.dumps({"logits": float(exported.parity["logits"])}))
"""


def test_a_share_is_as_wide_as_the_batch_and_counts_each_row_once() -> None:
    from shared.training import batches, datasets

    rows = [np.arange(1, length + 1, dtype=np.int32) for length in (1, 5, 2)]
    source = datasets.Arrays(inputs={"tokens": datasets.Ragged.from_rows(rows)}, labels=np.arange(3))
    plan = datasets.Ragged(values=np.arange(3), row_splits=np.array([0, 3]))
    shares = [datasets.Share(first=first, replicas=1, of=2) for first in range(2)]
    taken = [batches._Batches(source, plan=lambda _epoch: plan, share=each)[0] for each in shares]
    assert [inputs.shape for inputs, _, _ in taken] == [(2, 5), (2, 5)]
    counted = np.zeros(3)
    for _, labels, weights in taken:
        np.add.at(counted, labels, weights)
    np.testing.assert_allclose(counted / 4, np.full(3, 1 / 3), rtol=1e-6, err_msg="means over four rows")
