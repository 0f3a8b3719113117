"""Train in a process that a test may kill: ``python fit_in_child.py FOLDER [mirrored]``.

The network has everything that keeps a state: Dropout's seeds, BatchNorm's statistics, Adam's slots, a
schedule, an average of the weights. Its embedding makes the checkpoint 12 MB: long enough to write to be hit.
"""

import pathlib
import sys

from shared.training import runtime

runtime.quiet_logs()

import keras  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

from shared.training import datasets  # noqa: E402
from shared.training import fit as fitting  # noqa: E402

WORDS, CLASSES = 20_000, 2


def examples(rows: int, *, seed: int) -> datasets.Arrays:
    """Texts of 1 to 30 words; those of one class have more small numbers."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, CLASSES, rows)
    texts = [
        (1 + (WORDS - 1) * generator.random(generator.integers(1, 31)) ** (1 + label)).astype(np.int32)
        for label in labels
    ]
    return datasets.Arrays(inputs={"tokens": datasets.Ragged.from_rows(texts)}, labels=labels)


def network() -> keras.Model:
    tokens = keras.Input((None,), dtype="int32", name="tokens")
    hidden = keras.layers.Embedding(WORDS, 32, name="embedding")(tokens)
    hidden = keras.layers.Dropout(0.3, name="dropout")(hidden)
    hidden = keras.layers.GlobalAveragePooling1D(name="mean")(hidden)
    hidden = keras.layers.BatchNormalization(name="normalization")(hidden)
    return keras.Model(tokens, keras.layers.Dense(CLASSES, name="logits")(hidden))


def accuracy(labels: np.ndarray, logits: np.ndarray) -> float:
    return float(np.mean(np.argmax(logits, axis=1) == labels))


def main() -> None:
    folder, strategy = pathlib.Path(sys.argv[1]), (sys.argv[2:] or ["none"])[0]
    if strategy == "mirrored":
        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    runtime.configure(seed=3)
    with runtime.strategy(strategy).scope():
        model = network()
    result = fitting.fit(
        model,
        examples(301, seed=1),
        examples(101, seed=2),
        settings=fitting.FitSettings(
            epochs=12, batch_size=32, schedule="cosine", warmup_fraction=0.1, patience=0, ema_momentum=0.9
        ),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        monitor=accuracy,
        outputs=fitting.Outputs(
            checkpoints=folder / "checkpoints", history=folder / "history.csv", logs=folder / "logs"
        ),
    )
    np.savez(folder / "weights.npz", *model.get_weights())
    sys.stdout.write(f"{model.distribute_strategy.num_replicas_in_sync} {result.resumed_from}\n")


if __name__ == "__main__":
    main()
