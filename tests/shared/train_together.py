"""What a process of `tests/shared/test_workers.py` does: train a small network, alone or with others.

Arguments: see ``parsed``. The launcher adds ``--json`` and ``--resume``, which this process does anyway.
"""

import argparse
import contextlib
import json
import os
import pathlib
import signal
from collections.abc import Mapping

import numpy as np

from shared import launch
from shared.training import cluster, runtime

runtime.quiet_logs()

import keras  # noqa: E402

from shared.evaluation import calibration  # noqa: E402
from shared.training import callbacks, datasets  # noqa: E402
from shared.training import fit as fitting  # noqa: E402

COUNT, EPOCHS, WORDS = 173, 3, 20


def main() -> None:
    """Train; the weights go into the folder, what the training said to standard output."""
    asked = parsed()
    folder: pathlib.Path = asked.folder
    if launch.is_helper():
        launch.end_with_parent()
    here = cluster.from_environment()
    rank = here.rank if here else 0
    if rank == 1 and asked.killed_after >= 0:
        kill_after(asked.killed_after, folder / "killed", victim=os.getppid() if asked.kill_parent else os.getpid())
    runtime.configure(seed=1)
    with runtime.strategy("auto").scope() if runtime.on_tensorflow() else contextlib.nullcontext():
        network = NETWORKS[asked.kind]()
        result = train(network, ROWS[asked.kind](), folder / str(rank), batch_size=asked.batch_size)
    np.savez(folder / f"weights-{rank}.npz", *[keras.ops.convert_to_numpy(each) for each in network.variables])
    network.save(folder / f"model-{rank}.keras")
    print(json.dumps({"resumed_from": result.resumed_from, "history": result.history}))


def parsed() -> argparse.Namespace:
    """Return the arguments."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=pathlib.Path, help="of each process's checkpoint")
    parser.add_argument("killed_after", type=int, help="epoch after which the second process is killed; -1: never")
    parser.add_argument("kind", nargs="?", choices=NETWORKS, default="normalized")
    # No two processes share 13 rows equally.
    parser.add_argument("batch_size", nargs="?", type=int, default=13)
    parser.add_argument("--kill-parent", action="store_true", help="the actor whose child the process is, instead")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--resume", action="store_true")
    return parser.parse_args()


def normalized() -> keras.Model:
    """Return a network with what differs between replicas: batch normalization."""
    given = keras.Input((6,), name="x")
    hidden = keras.layers.BatchNormalization()(keras.layers.Dense(8, use_bias=False)(given))
    return keras.Model(given, keras.layers.Dense(2)(keras.layers.ReLU()(hidden)))


def ragged() -> keras.Model:
    """Return a network that reads words."""
    given = keras.Input((None,), dtype="int32", name="tokens")
    embedded = keras.layers.Embedding(WORDS, 6, mask_zero=True)(given)
    return keras.Model(given, keras.layers.Dense(2)(keras.layers.GlobalAveragePooling1D()(embedded)))


def weighted_rows() -> datasets.Arrays:
    """Return rows of numbers that count differently."""
    generator = np.random.default_rng(0)
    return datasets.Arrays(
        inputs={"x": generator.normal(size=(COUNT, 6)).astype(np.float32)},
        labels=generator.integers(0, 2, COUNT),
        weights=generator.uniform(0.5, 2.0, COUNT).astype(np.float32),
    )


def texts() -> datasets.Arrays:
    """Return rows of 1 to 9 words."""
    generator = np.random.default_rng(0)
    rows = [generator.integers(1, WORDS, length).astype(np.int32) for length in generator.integers(1, 10, COUNT)]
    return datasets.Arrays(inputs={"tokens": datasets.Ragged.from_rows(rows)}, labels=generator.integers(0, 2, COUNT))


NETWORKS = {"normalized": normalized, "ragged": ragged}
ROWS = {"normalized": weighted_rows, "ragged": texts}


def train(network: keras.Model, rows: datasets.Arrays, folder: pathlib.Path, *, batch_size: int) -> fitting.FitResult:
    """Train on the first 130 rows."""
    return fitting.fit(
        network,
        rows.take(np.arange(130)),
        rows.take(np.arange(130, COUNT)),
        settings=fitting.FitSettings(
            epochs=EPOCHS, batch_size=batch_size, optimizer="sgd", learning_rate=0.1, patience=0
        ),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        monitor=calibration.calibrated_log_likelihood,
        outputs=fitting.Outputs(checkpoints=folder, history=folder / "history.csv", logs=folder / "logs"),
    )


def kill_after(epoch: int, once: pathlib.Path, *, victim: int) -> None:
    """Let a process end at once, a single time, when the epoch is complete."""
    complete = callbacks.EpochEnd.on_epoch_end

    def die(self: callbacks.EpochEnd, number: int, logs: Mapping[str, float] | None = None) -> None:
        complete(self, number, logs)
        if number == epoch and not once.exists():
            once.touch()
            os.kill(victim, signal.SIGKILL)

    callbacks.EpochEnd.on_epoch_end = die  # type: ignore[method-assign,assignment]


if __name__ == "__main__":
    main()
