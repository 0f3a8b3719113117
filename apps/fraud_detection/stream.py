"""Files of any length, block after block, each with the history it needs: bounded memory. No TensorFlow here."""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import numpy.typing as npt

from apps.fraud_detection import features, inputs, schema
from apps.fraud_detection.transactions import Transactions, concatenate

# A block is a third of the history before it, which is computed again with each: memory against time.
SMALLEST_BLOCK, BLOCK_SHARE = 50_000, 1 / 3


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


def blocks(parts: Iterable[Transactions], found: inputs.Inputs) -> Iterator[Block]:
    """Join parts, each later than the one before, to blocks whose history is whole.

    Args:
        parts: Transactions in order of time.
        found: What the model reads, which says how far it looks back.
    """
    needed = round(inputs.needed_days(found) * features.DAY)
    tail: Transactions | None = None
    waiting: list[Transactions] = []
    for part in parts:
        waiting.append(part)
        if sum(map(len, waiting)) >= max(SMALLEST_BLOCK, 0 if tail is None else BLOCK_SHARE * len(tail)):
            block = _block(tail, waiting, found.schema)
            yield block
            tail, waiting = _tail(block.transactions, needed), []
            # Before the next is made: two at once would be twice the memory.
            del block
    if waiting:
        yield _block(tail, waiting, found.schema)


def _block(tail: Transactions | None, waiting: list[Transactions], found: schema.Schema) -> Block:
    joined = concatenate([*([] if tail is None else [tail]), *waiting])
    return Block(
        transactions=joined,
        history=inputs.compute_history(joined, found),
        first=0 if tail is None else len(tail),
    )


def _tail(transactions: Transactions, needed: int) -> Transactions:
    """Return the transactions that later ones may be compared with."""
    first = int(np.searchsorted(transactions.time, transactions.time[-1] - needed, side="left"))
    return transactions.take(np.arange(first, len(transactions)))
