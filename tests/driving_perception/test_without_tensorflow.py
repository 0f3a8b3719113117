"""The detector is built, compiled and trained on another Keras backend where TensorFlow cannot be imported."""

import subprocess
import sys
from importlib import util

import pytest

pytestmark = pytest.mark.tensorflow

SCRIPT = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "tensorflow":
            raise ModuleNotFoundError("No module named 'tensorflow'", name="tensorflow")

sys.meta_path.insert(0, Absent())
import numpy as np
from apps.driving_perception import config, losses, model

network = model.build(config.Config.smoke(), classes=2)
network.compile(optimizer="sgd", loss=losses.DetectionLoss())
rows = np.zeros((2, 1, losses.CLASS_COLUMNS + 2), np.float32)
rows[:, 0, : losses.CLASS_COLUMNS + 1] = (10, 10, 60, 60, losses.OBJECT, 1)
images = np.random.default_rng(0).random((2, 64, 64, 3)).astype("float32") * 255
history = network.fit(images, rows, epochs=1, verbose=0).history
assert np.isfinite(history["loss"]).all(), history
assert "tensorflow" not in sys.modules
"""


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_the_detector_learns_without_tensorflow(backend: str, environment: dict[str, str]) -> None:
    if util.find_spec(backend) is None:
        pytest.skip(f"the Keras backend {backend} is not installed")
    finished = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env={**environment, "KERAS_BACKEND": backend},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
