"""Files of any length, block after block, each with the history it needs: bounded memory. No TensorFlow here."""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import numpy.typing as npt

from apps.fraud_detection import features, inputs, schema
from apps.fraud_detection.transactions import Transactions, concatenate

# A block is a third of the history before it, which is sorted again with each: memory against time.
SMALLEST_BLOCK, BLOCK_SHARE = 100_000, 1 / 3


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Block:
    """Some transactions after the history that they are compared with.

    Attributes:
        transactions: History and new transactions.
        history: Feature -> (n,) float32 of all of them.
        first: The first new transaction; those before it have been yielded already.
    """

    transactions: Transactions
    history: Mapping[str, npt.NDArray[np.float32]]
    first: int

    def latest(self, time: int) -> "Block":
        """Return the transactions from ``time`` on, none of them new."""
        rows = np.arange(np.searchsorted(self.transactions.time, time, side="left"), len(self.transactions))
        history = {name: values[rows] for name, values in self.history.items()}
        return Block(transactions=self.transactions.take(rows), history=history, first=len(rows))


def blocks(parts: Iterable[Transactions], found: inputs.Inputs) -> Iterator[Block]:
    """Join parts, each later than the one before, to blocks whose history is whole.

    Args:
        parts: Transactions in order of time.
        found: What the model reads, and so how far it looks back.
    """
    names = found.schema
    looks_back = max(features.needed_days(names.label_delay_days), inputs.SEQUENCE_DAYS) if names.entities else 0
    needed = round(looks_back * features.DAY)
    before: Block | None = None
    waiting: list[Transactions] = []
    for part in parts:
        waiting.append(part)
        if sum(map(len, waiting)) >= max(SMALLEST_BLOCK, 0 if before is None else BLOCK_SHARE * before.first):
            block = _block(before, waiting, names)
            yield block
            before, waiting = block.latest(int(block.transactions.time[-1]) - needed), []
            # Before the next is made: two at once would be twice the memory.
            del block
    if waiting:
        yield _block(before, waiting, names)


def _block(before: Block | None, waiting: list[Transactions], found: schema.Schema) -> Block:
    """Compute the features of the new transactions; those of the ones before are known."""
    if before is None:
        joined = concatenate(waiting)
        return Block(transactions=joined, history=inputs.compute_history(joined, found), first=0)
    joined = concatenate([before.transactions, *waiting])
    fresh = inputs.compute_history(joined, found, first=before.first)
    history = {name: np.concatenate([before.history[name], values]) for name, values in fresh.items()}
    return Block(transactions=joined, history=history, first=before.first)
