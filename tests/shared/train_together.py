"""What a process of `tests/shared/test_workers.py` does: train a small network, alone or with others.

Arguments: a folder for each process's checkpoint; the epoch after which the second process is killed (-1: never).
"""

import json
import os
import pathlib
import signal
import sys
from collections.abc import Mapping

import numpy as np

from shared.training import cluster, runtime

runtime.quiet_logs()

import keras  # noqa: E402

from shared.evaluation import calibration  # noqa: E402
from shared.training import callbacks, datasets  # noqa: E402
from shared.training import fit as fitting  # noqa: E402

ROWS, EPOCHS = 173, 3


def main() -> None:
    """Train; the weights go into the folder, what the training said to standard output."""
    folder, killed_after = pathlib.Path(sys.argv[1]), int(sys.argv[2])
    here = cluster.from_environment()
    rank = here.rank if here else 0
    if rank == 1 and killed_after >= 0:
        kill_after(killed_after, folder / "killed")
    runtime.configure(seed=1)
    with runtime.strategy("auto").scope():
        network = build()
        result = train(network, folder / str(rank))
    np.savez(folder / f"weights-{rank}.npz", *[keras.ops.convert_to_numpy(each) for each in network.variables])
    print(json.dumps({"resumed_from": result.resumed_from, "history": result.history}))


def build() -> keras.Model:
    """Return a network with what differs between replicas: batch normalization."""
    given = keras.Input((6,), name="x")
    hidden = keras.layers.BatchNormalization()(keras.layers.Dense(8, use_bias=False)(given))
    return keras.Model(given, keras.layers.Dense(2)(keras.layers.ReLU()(hidden)))


def train(network: keras.Model, folder: pathlib.Path) -> fitting.FitResult:
    """Train on batches of 12 or 13 rows: two replicas get different numbers of them."""
    generator = np.random.default_rng(0)
    rows = datasets.Arrays(
        inputs={"x": generator.normal(size=(ROWS, 6)).astype(np.float32)},
        labels=generator.integers(0, 2, ROWS),
        weights=generator.uniform(0.5, 2.0, ROWS).astype(np.float32),
    )
    return fitting.fit(
        network,
        rows.take(np.arange(130)),
        rows.take(np.arange(130, ROWS)),
        settings=fitting.FitSettings(epochs=EPOCHS, batch_size=13, optimizer="sgd", learning_rate=0.1, patience=0),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        monitor=calibration.calibrated_log_likelihood,
        outputs=fitting.Outputs(checkpoints=folder, history=folder / "history.csv", logs=folder / "logs"),
    )


def kill_after(epoch: int, once: pathlib.Path) -> None:
    """Let this process end at once, a single time, when the epoch is complete."""
    complete = callbacks.EpochEnd.on_epoch_end

    def die(self: callbacks.EpochEnd, number: int, logs: Mapping[str, float] | None = None) -> None:
        complete(self, number, logs)
        if number == epoch and not once.exists():
            once.touch()
            os.kill(os.getpid(), signal.SIGKILL)

    callbacks.EpochEnd.on_epoch_end = die  # type: ignore[method-assign,assignment]


if __name__ == "__main__":
    main()
