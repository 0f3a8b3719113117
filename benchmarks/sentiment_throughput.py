"""Training throughput of the text CNN and the recurrent network beside the same networks in PyTorch, in one run.

PyTorch runs in a process and an environment of its own (``benchmarks.peers``); without it only the Keras side is
measured, and it says so. ``python -m benchmarks.sentiment_throughput``
"""

import os
import statistics
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks import peers

VOCABULARY, EMBEDDING, LENGTH, BATCH, STEPS = 30_000, 64, 256, 64, 12
UNITS, FILTERS, WINDOWS = 64, 100, (3, 4, 5)


def main() -> None:
    generator = np.random.default_rng(0)
    tokens = generator.integers(2, VOCABULARY, (BATCH, LENGTH), dtype=np.int32)
    labels = generator.integers(0, 2, BATCH)
    if "--peer" in sys.argv:
        peers.serve(torch_steps(tokens, labels))
        return
    with peers.started("benchmarks.sentiment_throughput", peers.PYTHON) as torch:
        steps = keras_steps(tokens, labels)
        print(
            f"texts of {LENGTH} tokens, batch {BATCH}, Adam, float32, {os.cpu_count()} cores; median of {STEPS} steps"
        )
        for name, step in steps.items():
            ours, theirs = interleaved(name, step, torch)
            line = f"{name:5s} Keras-TensorFlow {BATCH / ours:7.1f} texts/s"
            if theirs:
                line += f"   PyTorch {BATCH / theirs:7.1f} texts/s   ratio {theirs / ours:.2f}"
            print(line)
    if torch is None:
        print(peers.how_to("torch==2.13.0 numpy"))


def interleaved(name: str, step: Callable[[], object], torch: peers.Peer | None) -> tuple[float, float | None]:
    """Time both in turns, so that a busy moment of the machine meets both."""
    ours, theirs = [], []
    for _ in range(STEPS + 2):
        ours.append(peers.timed(step))
        if torch:
            theirs.append(torch.seconds(name))
    return statistics.median(ours[2:]), statistics.median(theirs[2:]) if theirs else None


def keras_steps(tokens: np.ndarray, labels: np.ndarray) -> dict[str, Callable[[], object]]:
    from shared.training import runtime

    runtime.quiet_logs()
    import keras

    from shared.models import cnn, losses, rnn, sequences

    embedding = sequences.TokenEmbedding(vocabulary_size=VOCABULARY, embedding_size=EMBEDDING)
    networks = {
        "cnn": cnn.build_text_cnn(tokens=embedding, classes=2, windows=WINDOWS, filters=FILTERS, dropout_rate=0.0),
        "lstm": rnn.build_text_rnn(
            tokens=embedding, classes=2, recurrence=rnn.Recurrence(units=(UNITS,), pooling="max")
        ),
    }
    steps: dict[str, Callable[[], object]] = {}
    for name, network in networks.items():
        network.compile(keras.optimizers.Adam(), losses.by_name("cross_entropy", classes=2), jit_compile=False)
        steps[name] = lambda network=network: network.train_on_batch(tokens, labels)  # type: ignore[misc]
    return steps


def torch_steps(tokens: np.ndarray, labels: np.ndarray) -> dict[str, Callable[[], object]]:
    import torch

    class Cnn(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = torch.nn.Embedding(VOCABULARY, EMBEDDING, padding_idx=0)
            self.windows = torch.nn.ModuleList(
                torch.nn.Conv1d(EMBEDDING, FILTERS, width, padding="same") for width in WINDOWS
            )
            self.logits = torch.nn.Linear(FILTERS * len(WINDOWS), 2)

        def forward(self, ids: Any) -> Any:
            x = self.embedding(ids).transpose(1, 2)
            return self.logits(torch.cat([torch.relu(window(x)).amax(2) for window in self.windows], 1))

    class Lstm(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = torch.nn.Embedding(VOCABULARY, EMBEDDING, padding_idx=0)
            self.recurrent = torch.nn.LSTM(EMBEDDING, UNITS, batch_first=True, bidirectional=True)
            self.logits = torch.nn.Linear(2 * UNITS, 2)

        def forward(self, ids: Any) -> Any:
            return self.logits(self.recurrent(self.embedding(ids))[0].amax(1))

    ids, targets = torch.as_tensor(tokens, dtype=torch.long), torch.as_tensor(labels)

    def stepper(network: Any) -> Callable[[], object]:
        optimizer = torch.optim.Adam(network.parameters())

        def step() -> float:
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(network(ids), targets)
            loss.backward()
            optimizer.step()
            return float(loss.detach())

        return step

    return {"cnn": stepper(Cnn()), "lstm": stepper(Lstm())}


if __name__ == "__main__":
    main()
