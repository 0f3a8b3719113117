"""What the input pipeline and bit-for-bit determinism cost, as ratios measured in one run.

Run ``python -m benchmarks.input_pipeline`` in the repository's root; it takes some three minutes on two
cores. The facts in `shared.training.datasets`, `shared.training.runtime` and `shared.training.fit` come from here.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np
import rich.console
import rich.table

from shared.training import runtime

runtime.quiet_logs()

import keras  # noqa: E402
import tensorflow as tf  # noqa: E402

from shared.training import batches as batching  # noqa: E402
from shared.training import datasets  # noqa: E402

ROWS, FEATURES, BATCH_SIZE = 20_480, 30, 64
TEXTS, VOCABULARY = 2_000, 20_000
EPOCHS, REPEATS = 3, 3

Times = dict[str, list[float]]  # case -> [seconds, processor seconds]
Ratio = tuple[str, list[float], list[float]]  # name, case, what it is compared with


def tabular() -> datasets.Arrays:
    generator = np.random.default_rng(0)
    return datasets.Arrays(
        inputs={"columns": generator.normal(size=(ROWS, FEATURES)).astype(np.float32)},
        labels=generator.integers(0, 2, ROWS),
    )


def texts() -> datasets.Arrays:
    """Token ids as long as film reviews' sentences: 5 to 100, log-normal."""
    generator = np.random.default_rng(0)
    lengths = np.clip(generator.lognormal(3.0, 0.6, TEXTS), 5, 100).astype(int)
    rows = [generator.integers(1, VOCABULARY, length, dtype=np.int32) for length in lengths]
    return datasets.Arrays(inputs={"tokens": datasets.Ragged.from_rows(rows)}, labels=generator.integers(0, 2, TEXTS))


def dense_model() -> keras.Model:
    columns = keras.Input((FEATURES,), name="columns")
    hidden = keras.layers.Dense(64, activation="relu")(columns)
    return keras.Model(columns, keras.layers.Dense(2, name="logits")(hidden))


def text_model(kind: str) -> keras.Model:
    tokens = keras.Input((None,), dtype="int32", name="tokens")
    embedded = keras.layers.Dropout(0.3)(keras.layers.Embedding(VOCABULARY, 64)(tokens))
    if kind == "lstm":
        hidden = keras.layers.Bidirectional(keras.layers.LSTM(32))(embedded)
    else:
        convolved = keras.layers.Conv1D(64, 5, padding="same", activation="relu")(embedded)
        hidden = keras.layers.GlobalMaxPooling1D()(convolved)
    return keras.Model(tokens, keras.layers.Dense(2, name="logits")(hidden))


def compiled(model: keras.Model, *, steps_per_execution: int = 1) -> keras.Model:
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer="adam", loss=loss, steps_per_execution=steps_per_execution, jit_compile=False)
    return model


def ours(model: keras.Model, source: datasets.Arrays, *, bucket_by_length: bool = True) -> Callable[[], object]:
    """Return a function that trains through our pipeline."""
    batches = batching.training(
        source, batch_size=BATCH_SIZE, seed=0, first_epoch=0, epochs=EPOCHS, bucket_by_length=bucket_by_length
    )
    steps = datasets.steps(len(source), batch_size=BATCH_SIZE)
    return lambda: model.fit(batches, epochs=EPOCHS, steps_per_epoch=steps, verbose=0, shuffle=False)


def row_by_row(model: keras.Model, source: datasets.Arrays) -> Callable[[], object]:
    """Return a function that trains through the pipeline of most tutorials."""
    rows = tf.data.Dataset.from_tensor_slices((source.inputs["columns"], source.labels))
    batches = rows.shuffle(len(source)).batch(BATCH_SIZE).prefetch(tf.data.AUTOTUNE)
    return lambda: model.fit(batches, epochs=EPOCHS, verbose=0, shuffle=False)


def arrays(model: keras.Model, source: datasets.Arrays) -> Callable[[], object]:
    """Return a function that trains on the arrays themselves."""
    return lambda: model.fit(source.inputs["columns"], source.labels, batch_size=BATCH_SIZE, epochs=EPOCHS, verbose=0)


def seconds(cases: dict[str, Callable[[], object]]) -> Times:
    """Time the cases in turns, so that a busy moment meets all of them; the fastest turn counts."""
    for case in cases.values():
        case()
    turns = [{name: _timed(case) for name, case in cases.items()} for _ in range(REPEATS)]
    return _fastest(turns)


def _timed(case: Callable[[], object]) -> list[float]:
    wall, processor = time.perf_counter(), time.process_time()
    case()
    return [time.perf_counter() - wall, time.process_time() - processor]


def _fastest(turns: list[Times]) -> Times:
    return {name: np.min([turn[name] for turn in turns], axis=0).tolist() for name in turns[0]}


def text_seconds(*, deterministic: bool) -> Times:
    runtime.configure(seed=0, deterministic=deterministic)
    return seconds({kind: ours(compiled(text_model(kind)), texts()) for kind in ("lstm", "cnn")})


def determinism() -> list[Ratio]:
    """Time the text models in processes of their own: determinism cannot be switched off again."""
    turns: dict[bool, list[Times]] = {False: [], True: []}
    for deterministic in (False, True, False, True):
        command = [sys.executable, "-m", "benchmarks.input_pipeline", "--texts", str(deterministic)]
        turns[deterministic].append(json.loads(subprocess.check_output(command, text=True)))
    slow, fast = _fastest(turns[True]), _fastest(turns[False])
    return [(f"{kind}: deterministic / not", slow[kind], fast[kind]) for kind in slow]


def pipeline() -> list[Ratio]:
    runtime.configure(seed=0)
    table, sentences = tabular(), texts()
    dense = seconds(
        {
            "ours": ours(compiled(dense_model()), table),
            "row by row": row_by_row(compiled(dense_model()), table),
            "arrays": arrays(compiled(dense_model()), table),
            "executions": ours(compiled(dense_model(), steps_per_execution=8), table),
        }
    )
    lstm = seconds(
        {
            "bucketed": ours(compiled(text_model("lstm")), sentences),
            "mixed": ours(compiled(text_model("lstm")), sentences, bucket_by_length=False),
        }
    )
    return [
        ("dense: row by row / ours", dense["row by row"], dense["ours"]),
        ("dense: NumPy arrays / ours", dense["arrays"], dense["ours"]),
        ("dense: 8 steps per execution / 1", dense["executions"], dense["ours"]),
        ("lstm: batches of any length / of similar length", lstm["mixed"], lstm["bucketed"]),
    ]


def main() -> None:
    if sys.argv[1:2] == ["--texts"]:
        sys.stdout.write(json.dumps(text_seconds(deterministic=sys.argv[2] == "True")))
        return
    table = rich.table.Table("training", "time", "processor time", title="Input pipeline: ratios")
    for name, (wall, processor), (wall_base, processor_base) in determinism() + pipeline():
        table.add_row(name, f"{wall / wall_base:.2f}", f"{processor / processor_base:.2f}")
    rich.console.Console().print(table)


if __name__ == "__main__":
    main()
