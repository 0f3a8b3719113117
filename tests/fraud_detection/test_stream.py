"""Files read in pieces have the features of files read whole."""

import numpy as np
import pytest

from apps.fraud_detection import inputs, stream
from apps.fraud_detection.transactions import Transactions


@pytest.mark.parametrize("rows", [97, 1_000, 10**9])
def test_blocks_have_the_features_of_the_whole(
    rows: int, booked: Transactions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "SMALLEST_BLOCK", 500)
    pieces = [booked.take(np.arange(start, min(start + rows, len(booked)))) for start in range(0, len(booked), rows)]
    whole = inputs.compute_history(booked, booked.schema)
    found = inputs.learn(booked, np.arange(len(booked)), sequence_length=5)
    sequences = inputs.sequences(found, booked, whole, slice(None))
    place = 0
    for block in stream.blocks(pieces, found):
        new = len(block.transactions) - block.first
        assert np.array_equal(block.transactions.ids[block.first :], booked.ids[place : place + new])
        for name, values in whole.items():
            assert np.array_equal(block.history[name][block.first :], values[place : place + new]), name
        fresh = np.arange(block.first, len(block.transactions))
        mine = inputs.sequences(found, block.transactions, block.history, fresh)
        assert np.array_equal(mine, sequences[place : place + new])
        place += new
    assert place == len(booked)
