"""A training step of each builder on JAX or PyTorch beside an equal network in plain PyTorch, on one GPU.

Needs Keras with JAX or PyTorch, not TensorFlow. In bfloat16; Adam; both sides take each batch from the host's memory.
The plain side runs in a process of its own, in turns with ours. Equal means: as many trainable weights, compared before
anything is timed; PyTorch's second bias of an LSTM is not counted, and its padding of strides is symmetric.

    KERAS_BACKEND=jax python -m benchmarks.gpu_step              # under 8 minutes on one GPU
    KERAS_BACKEND=torch python -m benchmarks.gpu_step --smallest # a minute on a CPU: that it runs, not how fast

"Of the peak" is the arithmetic of our step (three times that of the layers' products forwards) per second, as a part
of what one large bfloat16 matrix product reaches in the same run. The GAN's step needs TensorFlow, and the detector's
loss is the app's: neither is timed here.
"""

import dataclasses
import importlib.util
import os
import pathlib
import statistics
import sys
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from benchmarks import peers

ROUNDS, STEPS, CLASSES = 7, 20, 10
MATRIX = 8192
PEAK = "peak"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Case:
    """One network and its batch: ``shape`` of a row without the batch, and the sizes of its layers."""

    kind: str
    rows: int
    shape: tuple[int, ...]
    units: tuple[int, ...] = ()

    def batch(self) -> tuple[np.ndarray, np.ndarray]:
        """Return (rows, *shape) float32 and (rows,) labels."""
        generator = np.random.default_rng(0)
        inputs = generator.normal(size=(self.rows, *self.shape)).astype(np.float32)
        return inputs, generator.integers(0, CLASSES, self.rows)


CASES = {
    "dense": Case(kind="dense", rows=8192, shape=(256,), units=(1024, 1024)),
    "CNN, 64 pixels": Case(kind="cnn", rows=512, shape=(64, 64, 1), units=(32, 64, 128)),
    "CNN, 224 pixels": Case(kind="cnn", rows=128, shape=(224, 224, 1), units=(32, 64, 128)),
    "EfficientNet-Lite0": Case(kind="lite0", rows=128, shape=(224, 224, 3)),
    "GRU": Case(kind="gru", rows=256, shape=(100, 64), units=(128,)),
    "LSTM": Case(kind="lstm", rows=256, shape=(100, 64), units=(128,)),
}
SMALLEST = {
    "dense": Case(kind="dense", rows=32, shape=(16,), units=(32,)),
    "CNN, 64 pixels": Case(kind="cnn", rows=4, shape=(64, 64, 1), units=(4, 8)),
    "EfficientNet-Lite0": Case(kind="lite0", rows=2, shape=(64, 64, 3)),
    "GRU": Case(kind="gru", rows=4, shape=(8, 4), units=(8,)),
    "LSTM": Case(kind="lstm", rows=4, shape=(8, 4), units=(8,)),
}


def main() -> None:
    cases, smallest = (SMALLEST, True) if "smallest" in os.environ.get("GPU_STEP", "") else (CASES, False)
    rounds, steps, matrix = (1, 2, 256) if smallest else (ROUNDS, STEPS, MATRIX)
    if "--peer" in sys.argv:
        peers.serve(Plain(cases, steps=steps, matrix=matrix))
        return
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    import keras

    if keras.backend.backend() not in ("jax", "torch"):
        raise SystemExit(f"KERAS_BACKEND: expected jax or torch. Received: {keras.backend.backend()}")
    keras.config.set_dtype_policy("mixed_bfloat16")
    python = pathlib.Path(sys.executable) if importlib.util.find_spec("torch") else peers.PYTHON
    with peers.started("benchmarks.gpu_step", python) as torch:
        if torch is None:
            raise SystemExit(peers.how_to("torch==2.13.0 numpy"))
        peak = 2 * matrix**3 / min(torch.seconds(PEAK) for _ in range(rounds + 2))
        print(f"Keras on {keras.backend.backend()} beside plain PyTorch, bfloat16, Adam; median of {rounds} rounds of")
        print(f"{steps} steps; a matrix product of {matrix} reaches {peak / 1e12:.1f} TFLOP/s")
        print(f"{'network':20} {'batch':>6} {'ours/s':>10} {'PyTorch/s':>10} {'ratio':>6} {'of the peak':>12}")
        for name, case in cases.items():
            compare(name, case, torch=torch, rounds=rounds, steps=steps, peak=peak)


def compare(name: str, case: Case, *, torch: Any, rounds: int, steps: int, peak: float) -> None:
    """Time a network of ours and the plain one in turns, and print a line."""
    network = build(case)
    step, weights = keras_steps(network, case, steps), sum(int(np.prod(x.shape)) for x in network.trainable_weights)
    times = [(peers.timed(step), torch.seconds(f"{name}/{weights}")) for _ in range(rounds + 1)][1:]
    ours, theirs = (steps * case.rows / statistics.median(each) for each in zip(*times, strict=True))
    share = ours * 3 * products(network) / peak
    print(f"{name:20} {case.rows:6} {ours:10.1f} {theirs:10.1f} {ours / theirs:6.2f} {share:12.1%}", flush=True)


def build(case: Case) -> Any:
    """Return the suite's network, uncompiled."""
    from shared.models import cnn, dense, efficientnet, rnn

    if case.kind == "dense":
        return dense.build_dense(input_shape=case.shape, classes=CLASSES, hidden_units=case.units)
    if case.kind == "cnn":
        return cnn.build_cnn(input_shape=case.shape, classes=CLASSES, stages=cnn.Stages(filters=case.units))
    if case.kind == "lite0":
        return efficientnet.build_efficientnet_lite(
            input_shape=case.shape, classes=CLASSES, dropout_rate=0.0, drop_connect_rate=0.0
        )
    recurrence = rnn.Recurrence(cell=case.kind, units=case.units, pooling="max")
    return rnn.build_rnn(input_shape=case.shape, classes=CLASSES, recurrence=recurrence)


def keras_steps(network: Any, case: Case, steps: int) -> Callable[[], object]:
    """Return a function that trains for some steps."""
    import keras

    inputs, labels = case.batch()

    class Repeated(keras.utils.PyDataset):  # type: ignore[misc]
        def __len__(self) -> int:
            return steps

        def __getitem__(self, step: int) -> Any:
            return inputs, labels

    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    network.compile(keras.optimizers.Adam(1e-3), loss)
    batches = Repeated()
    return lambda: network.fit(batches, epochs=1, shuffle=False, verbose=0)


def products(network: Any) -> float:
    """Return the operations of the layers' products for one row, forwards: two for each weight and place."""
    return float(sum(_products(layer) for layer in network.layers))


def _products(layer: Any) -> float:
    import keras

    weights = sum(np.prod(each.shape) for each in layer.trainable_weights if len(each.shape) > 1)
    if isinstance(layer, keras.layers.BatchNormalization):
        return 0.0
    places = np.prod(layer.output.shape[1:-1]) if len(layer.output.shape) > 2 else 1
    return 2.0 * float(weights) * float(places)


class Plain(dict[str, Callable[[], object]]):
    """The plain side's steps, made when they are first asked for: one network at a time is in the GPU's memory."""

    def __init__(self, cases: Mapping[str, Case], *, steps: int, matrix: int) -> None:
        super().__init__()
        self._cases, self._steps, self._matrix = cases, steps, matrix

    def __missing__(self, asked: str) -> Callable[[], object]:
        """Return the step for ``PEAK`` or for ``name/weights``, and forget the one before."""
        self.clear()
        name, _, weights = asked.partition("/")
        self[asked] = step = (
            matrix_product(self._matrix)
            if name == PEAK
            else plain_step(self._cases[name], self._steps, weights=int(weights))
        )
        return step


def matrix_product(size: int) -> Callable[[], object]:
    """Return a function that multiplies two square bfloat16 matrices."""
    import torch

    device = _device()
    a, b = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in range(2))

    def multiply() -> None:
        torch.matmul(a, b)
        _wait()

    return multiply


def plain_step(case: Case, steps: int, *, weights: int) -> Callable[[], object]:
    """Return a function that trains the plain network, which must have so many weights, for some steps."""
    import torch

    from benchmarks.rivals import plain_torch

    device = _device()
    network = plain(case).to(device)
    if plain_torch.weights(network) != weights:
        raise SystemExit(f"{case}: expected {weights} weights. Received: {plain_torch.weights(network)}")
    inputs, labels = (torch.from_numpy(each) for each in case.batch())
    if len(case.shape) == 3:
        network = network.to(memory_format=torch.channels_last)
        inputs = inputs.permute(0, 3, 1, 2)
    if device == "cuda":
        inputs, labels = inputs.pin_memory(), labels.pin_memory()
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)
    # On a CPU: oneDNN has an LSTM of bfloat16 for some processors only.
    with_onednn = case.kind != "lstm"

    def run() -> None:
        for _ in range(steps):
            x, y = inputs.to(device, non_blocking=True), labels.to(device, non_blocking=True)
            with torch.autocast(device, dtype=torch.bfloat16), torch.backends.mkldnn.flags(enabled=with_onednn):
                loss = torch.nn.functional.cross_entropy(network(x).float(), y)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
        _wait()

    return run


def _device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _wait() -> None:
    import torch

    if torch.cuda.is_available():
        torch.cuda.synchronize()


def plain(case: Case) -> Any:
    """Return the equal network in plain PyTorch."""
    from benchmarks.rivals import plain_torch

    if case.kind == "dense":
        return plain_torch.dense(case.shape[0], case.units, CLASSES)
    if case.kind == "cnn":
        return plain_torch.cnn(case.shape[-1], case.units, CLASSES)
    if case.kind == "lite0":
        return plain_torch.lite0(case.shape[-1], CLASSES)
    return plain_torch.recurrent(case.kind, case.shape[-1], case.units[0], CLASSES)


if __name__ == "__main__":
    if "--smallest" in sys.argv:
        os.environ["GPU_STEP"] = "smallest"
    main()
