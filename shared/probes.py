"""Two measurements with a small text network: does training repeat here, and what does it wait for."""

import dataclasses
import pathlib
import statistics
import tempfile
import time
from collections.abc import Callable

import keras
import numpy as np
import numpy.typing as npt

from shared.models import cnn, losses, sequences
from shared.training import batches as batching
from shared.training import datasets, runtime
from shared.training import fit as fitting

ROWS = 512
BATCH_SIZE = 64
VOCABULARY_SIZE = 5000
TIMED_BATCHES = 8


@dataclasses.dataclass(frozen=True, kw_only=True)
class Timing:
    """Seconds for one batch, each measured without the other."""

    input_seconds: float
    step_seconds: float


def training_repeats(*, rows: int = ROWS) -> bool:
    """Return whether two trainings from one seed give the same weights, bit for bit."""
    runtime.configure(seed=0)
    source = _texts(rows)
    return _trained(source) == _trained(source)


def time_a_batch(*, rows: int = ROWS, batches: int = TIMED_BATCHES) -> Timing:
    """Time the input pipeline alone, and the training step alone on a batch that is there already.

    The step's first call, which traces the graph, is not counted.
    """
    source = _texts(rows)
    stream = iter(batching.training(source, batch_size=BATCH_SIZE, seed=0, first_epoch=0, epochs=1000))
    inputs, labels = next(stream)
    model = _build()
    model.compile(optimizer="adam", loss=losses.by_name("cross_entropy", classes=2))
    model.train_on_batch(inputs, labels)
    return Timing(
        input_seconds=_seconds(lambda: next(stream), times=batches),
        step_seconds=_seconds(lambda: model.train_on_batch(inputs, labels), times=batches),
    )


def _seconds(call: Callable[[], object], *, times: int) -> float:
    """Return the median time of a call: this machine may have other things to do."""
    durations = []
    for _ in range(times):
        started = time.perf_counter()
        call()
        durations.append(time.perf_counter() - started)
    return statistics.median(durations)


def _texts(rows: int) -> datasets.Arrays:
    """Return random token ids, 50 to 200 a row, with random labels."""
    generator = np.random.default_rng(0)
    lengths = generator.integers(50, 201, rows)
    tokens = [generator.integers(1, VOCABULARY_SIZE, length, dtype=np.int32) for length in lengths]
    return datasets.Arrays(inputs={"tokens": datasets.Ragged.from_rows(tokens)}, labels=generator.integers(0, 2, rows))


def _build() -> keras.Model:
    embedding = sequences.TokenEmbedding(vocabulary_size=VOCABULARY_SIZE, embedding_size=32)
    return cnn.build_text_cnn(tokens=embedding, classes=2, windows=(3,), filters=64)


def _trained(source: datasets.Arrays) -> bytes:
    """Train one epoch from a fixed seed and return the weights' bytes."""
    keras.utils.set_random_seed(0)
    model = _build()
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder)
        fitting.fit(
            model,
            source,
            source,
            settings=fitting.FitSettings(epochs=1, batch_size=BATCH_SIZE),
            loss=losses.by_name("cross_entropy", classes=2),
            monitor=_accuracy,
            outputs=fitting.Outputs(checkpoints=path, history=path / "history.csv", logs=path, progress=False),
        )
    return b"".join(weights.tobytes() for weights in model.get_weights())


def _accuracy(labels: npt.NDArray[np.int64], logits: npt.NDArray[np.float32]) -> float:
    return float(np.mean(np.argmax(logits, axis=1) == labels))
