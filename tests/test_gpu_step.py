"""The benchmark of training steps runs, in its smallest form, on what backends are installed beside PyTorch."""

import importlib.util
import os
import pathlib
import subprocess
import sys

import pytest

from benchmarks import peers
from tests import helpers

pytestmark = [pytest.mark.tensorflow, pytest.mark.slow]


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_each_step_is_timed_beside_an_equal_network(backend: str) -> None:
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"the Keras backend {backend} is not installed")
    if importlib.util.find_spec("torch") is None and not (helpers.ROOT / peers.PYTHON).is_file():
        pytest.skip(f"no PyTorch, neither here nor in {peers.PYTHON}")
    finished = subprocess.run(
        [sys.executable, "-m", "benchmarks.gpu_step", "--smallest"],
        env={**os.environ, "KERAS_BACKEND": backend},
        cwd=pathlib.Path(helpers.ROOT),
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert finished.returncode == 0, finished.stderr
    lines = finished.stdout.splitlines()
    assert [line[:20].strip() for line in lines[3:]] == ["dense", "CNN, 64 pixels", "EfficientNet-Lite0", "GRU", "LSTM"]
    for line in lines[3:]:
        batch, ours, theirs = (float(word) for word in line[20:].split()[:3])
        assert min(batch, ours, theirs) > 0
