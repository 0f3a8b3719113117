"""The networks are built by Keras alone: another backend than TensorFlow will do."""

import ast
import os
import subprocess
import sys

import pytest

from tests import helpers

# TensorFlow is there, but whoever imports it fails: so it is where it is not installed.
PROGRAM = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "tensorflow":
            raise ModuleNotFoundError(f"import of {name}")
sys.meta_path.insert(0, Absent())
import numpy as np
from apps.fraud_detection import config, inputs, layers, model, schema
names = ("a", "b", "amount")
found = inputs.Inputs(
    schema=schema.Schema(time="t", amount="v", entities={"card": "c"}, numeric=names[:2], categorical=("kind",)),
    calendar=True, numbers=names, vocabularies={"kind": ("x", "y")}, typical=(0.0, 0.0, 1.0), frauds=30,
    sequence_length=4,
)
numbers = np.random.default_rng(0).normal(size=(200, 3)).astype(np.float32)
settings = config.Config.smoke()
networks = {name: model.build(name, found, settings, numbers) for name in ("dense", "distilled", "sequence")}
arrays = {
    "numbers": numbers[:5],
    "categories": np.zeros((5, 1), np.int32),
    "sequence": np.ones((5, 4, len(inputs.CHANNELS)), np.float32),
}
for name, network in networks.items():
    read = {each: arrays[each] for each in model.reads(name, found)}
    logits = np.asarray(network(model.wanted(read), training=False))
    assert logits.shape == (5, 2) and np.isfinite(logits).all(), name
whole = model.calibrated(networks["sequence"], slope=2.0, offset=1.0)
given = {tensor.name: arrays[tensor.name] for tensor in whole.inputs}
both = np.asarray(whole(model.wanted(given), training=False))
odds = np.asarray(networks["sequence"](model.wanted(given), training=False))
np.testing.assert_allclose(both[:, 1], 2 * (odds[:, 1] - odds[:, 0]) + 1, rtol=1e-5)
import keras
print(keras.backend.backend(), "tensorflow" in sys.modules)
"""


def imported(module: str) -> set[str]:
    """Return the names of the modules, or of what is in them, that a module of ours imports anywhere in its code."""
    path = helpers.ROOT / module.replace(".", "/")
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))) if path.is_file() else ():
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def test_no_module_that_building_networks_reaches_imports_tensorflow() -> None:
    reached: set[str] = set()
    waiting = ["apps.fraud_detection.model", "apps.fraud_detection.layers"]
    while waiting:
        module = waiting.pop()
        if module not in reached:
            reached.add(module)
            assert not any(name.partition(".")[0] == "tensorflow" for name in imported(module)), module
            waiting += [name for name in imported(module) if name.startswith(("apps.", "shared."))]
    assert "shared.models.tabular" in reached
    assert "shared.training.datasets" not in reached


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_networks_are_built_without_tensorflow(backend: str) -> None:
    pytest.importorskip(backend)
    environment = {**os.environ, "KERAS_BACKEND": backend}
    found = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=environment,
        cwd=helpers.ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert found.stdout == f"{backend} False\n", found.stderr[-2_000:]
