"""Requests of several clients in one batch: nothing is mixed up, lost, or waits for nothing."""

import concurrent.futures
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.serving import batching, refusals

FAR = 60.0


class Model:
    """Doubles numbers; remembers its batches; stops where the gate is closed."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self, signature: str, inputs: batching.Arrays) -> dict[str, Any]:
        self.gate.wait(FAR)
        values = inputs["x"]
        self.batches.append(len(values))
        if (values < 0).any():
            raise refusals.Refusal("negative")
        return {"y": 2 * values, "signature": np.array([signature] * len(values), object)}


@pytest.fixture
def model() -> Model:
    return Model()


@pytest.fixture
def batcher(model: Model) -> Iterator[batching.Batcher]:
    made = batching.Batcher(model, batch_rows=8, queue_rows=20, wait_seconds=0.05)
    yield made
    model.gate.set()
    made.close()


def ask(batcher: batching.Batcher, *values: float, signature: str = "a", seconds: float = FAR) -> Any:
    return batcher.submit(signature, {"x": np.array(values)}, deadline=time.monotonic() + seconds)


def hold(batcher: batching.Batcher, model: Model) -> Any:
    """Keep the thread busy with one request, so that what comes next waits together."""
    model.gate.clear()
    first = ask(batcher, 0.0)
    while batcher.waiting_rows:
        time.sleep(0.001)
    return first


def test_each_request_gets_its_own_rows(batcher: batching.Batcher, model: Model) -> None:
    first = hold(batcher, model)
    futures = [ask(batcher, value, value + 0.5) for value in (1.0, 2.0, 3.0)]
    model.gate.set()
    assert [future.result(FAR)["y"].tolist() for future in futures] == [[2, 3], [4, 5], [6, 7]]
    assert first.result(FAR)["y"].tolist() == [0]
    assert model.batches == [1, 4, 2]


def test_half_of_what_is_under_way_is_joined_so_that_the_other_half_can_be_read(
    batcher: batching.Batcher, model: Model
) -> None:
    hold(batcher, model)
    futures = [ask(batcher, float(value)) for value in range(8)]
    model.gate.set()
    assert [future.result(FAR)["y"][0] for future in futures] == [2 * value for value in range(8)]
    assert model.batches == [1, 5, 3]


def test_requests_of_other_signatures_or_shapes_are_not_joined(batcher: batching.Batcher, model: Model) -> None:
    hold(batcher, model)
    futures = [ask(batcher, 1.0), ask(batcher, 1.0, signature="b"), ask(batcher, 1.0, signature="b")]
    wide = batcher.submit("b", {"x": np.ones((1, 3))}, deadline=time.monotonic() + FAR)
    model.gate.set()
    assert [future.result(FAR)["signature"][0] for future in futures] == ["a", "b", "b"]
    assert wide.result(FAR)["y"].shape == (1, 3)
    assert model.batches == [1, 1, 2, 1]


def test_a_batch_holds_no_more_rows_than_allowed_but_a_larger_request_is_answered(
    batcher: batching.Batcher, model: Model
) -> None:
    hold(batcher, model)
    futures = [ask(batcher, *range(3)) for _ in range(3)] + [ask(batcher, *range(10))]
    model.gate.set()
    assert [len(future.result(FAR)["y"]) for future in futures] == [3, 3, 3, 10]
    assert model.batches == [1, 6, 3, 8, 2]


def test_a_request_that_is_larger_than_a_batch_is_overtaken(batcher: batching.Batcher, model: Model) -> None:
    hold(batcher, model)
    large = ask(batcher, *range(18))
    small = [ask(batcher, 100.0), ask(batcher, 101.0)]
    finished: list[str] = []
    large.add_done_callback(lambda _: finished.append("large"))
    for future in small:
        future.add_done_callback(lambda _: finished.append("small"))
    model.gate.set()
    assert large.result(FAR)["y"].tolist() == [2.0 * value for value in range(18)]
    assert finished == ["small", "small", "large"]
    # Eight rows of the large one, the small ones, the rest of the large one.
    assert model.batches == [1, 8, 2, 8, 2]


def test_long_texts_are_cut_before_a_batch_is_full_of_rows() -> None:
    sizes: list[int] = []

    def run(_signature: str, inputs: batching.Arrays) -> dict[str, Any]:
        sizes.append(len(inputs["text"]))
        return {"length": np.array([len(text) for text in inputs["text"]])}

    lengths = [100, 200_000, 200_000, 200_000, 600_000, 5, 5]
    texts = np.array([b"x" * length for length in lengths], object)
    batcher = batching.Batcher(run, batch_rows=8, queue_rows=20, wait_seconds=0.0)
    found = batcher.submit("a", {"text": texts}, deadline=time.monotonic() + FAR).result(FAR)
    batcher.close()
    assert found["length"].tolist() == lengths
    assert sizes == [3, 1, 1, 2]


def test_pieces_of_free_size_are_filled_up_as_a_whole_batch_is() -> None:
    def run(_signature: str, inputs: batching.Arrays) -> dict[str, Any]:
        words = [text.split() for text in inputs["text"]]
        most = max(map(len, words))
        filled = [each + [""] * (most - len(each)) for each in words]
        counts = [[1.0] * len(each) + [0.0] * (most - len(each)) for each in words]
        return {"words": np.array(filled, object).reshape(len(words), most), "counts": np.array(counts)}

    texts = np.array(["a", "b c", "d e f g", "h"], object)
    batcher = batching.Batcher(run, batch_rows=2, queue_rows=20, wait_seconds=0.0)
    cut = batcher.submit("a", {"text": texts}, deadline=time.monotonic() + FAR, alone=True).result(FAR)
    batcher.close()
    whole = run("a", {"text": texts})
    assert {name: values.tolist() for name, values in cut.items()} == {
        name: values.tolist() for name, values in whole.items()
    }


def test_of_a_large_request_that_nobody_waits_for_no_further_piece_is_computed(model: Model) -> None:
    batcher = batching.Batcher(model, batch_rows=2, queue_rows=100, wait_seconds=0.0)
    model.gate.clear()
    large = ask(batcher, *range(50))
    while batcher.waiting_rows != 48:
        time.sleep(0.001)
    assert large.cancel()
    assert batcher.waiting_rows == 0
    model.gate.set()
    assert ask(batcher, 3.0).result(FAR)["y"].tolist() == [6]
    late = ask(batcher, *range(50), seconds=0.0)
    with pytest.raises(refusals.DeadlineError):
        late.result(FAR)
    assert ask(batcher, 4.0).result(FAR)["y"].tolist() == [8]
    assert batcher.waiting_rows == 0
    assert model.batches == [2, 1, 1]
    batcher.close()


def test_a_fault_in_a_later_piece_fails_the_request_and_no_other(batcher: batching.Batcher, model: Model) -> None:
    hold(batcher, model)
    bad, good = ask(batcher, *range(9), -1.0, *range(6)), ask(batcher, 1.0)
    model.gate.set()
    with pytest.raises(refusals.Refusal, match="negative"):
        bad.result(FAR)
    assert good.result(FAR)["y"].tolist() == [2]
    assert batcher.waiting_rows == 0


def test_a_fault_falls_on_the_request_that_has_it(batcher: batching.Batcher, model: Model) -> None:
    hold(batcher, model)
    good, bad, other = ask(batcher, 1.0), ask(batcher, -1.0), ask(batcher, 3.0)
    model.gate.set()
    assert good.result(FAR)["y"].tolist() == [2]
    assert other.result(FAR)["y"].tolist() == [6]
    with pytest.raises(refusals.Refusal, match="negative"):
        bad.result(FAR)


def test_a_full_queue_refuses_and_recovers(batcher: batching.Batcher, model: Model) -> None:
    hold(batcher, model)
    futures = [ask(batcher, *range(5)) for _ in range(4)]
    with pytest.raises(refusals.BusyError, match="at most 20 rows"):
        ask(batcher, 1.0)
    model.gate.set()
    concurrent.futures.wait(futures, FAR)
    assert ask(batcher, 1.0).result(FAR)["y"].tolist() == [2]


def test_what_nobody_waits_for_is_not_computed(batcher: batching.Batcher, model: Model) -> None:
    hold(batcher, model)
    late, given_up = ask(batcher, 1.0, seconds=0.01), ask(batcher, 2.0)
    given_up.cancel()
    time.sleep(0.03)
    model.gate.set()
    with pytest.raises(refusals.DeadlineError):
        late.result(FAR)
    assert ask(batcher, 3.0).result(FAR)["y"].tolist() == [6]
    assert model.batches == [1, 1]


def test_closing_answers_what_was_accepted_and_refuses_the_rest(model: Model) -> None:
    batcher = batching.Batcher(model, batch_rows=2, queue_rows=20, wait_seconds=1.0)
    hold(batcher, model)
    futures = [ask(batcher, float(value)) for value in range(6)]
    closing = threading.Thread(target=batcher.close)
    closing.start()
    time.sleep(0.02)
    with pytest.raises(refusals.UnavailableError):
        ask(batcher, 1.0)
    model.gate.set()
    closing.join(FAR)
    assert [future.result(0)["y"].tolist() for future in futures] == [[2.0 * value] for value in range(6)]


def test_a_single_client_does_not_wait_for_others(model: Model) -> None:
    batcher = batching.Batcher(model, batch_rows=8, queue_rows=20, wait_seconds=30.0)
    for value in range(5):
        assert ask(batcher, float(value)).result(5.0)["y"].tolist() == [2.0 * value]
    batcher.close()


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 9), st.sampled_from("ab")), min_size=1, max_size=30))
def test_whatever_comes_each_gets_what_it_asked_for(requests: list[tuple[int, str]]) -> None:
    batcher = batching.Batcher(Model(), batch_rows=7, queue_rows=1000, wait_seconds=0.001)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        given_rows = [np.arange(rows) + 100.0 * index for index, (rows, _) in enumerate(requests)]
        futures = list(
            pool.map(lambda pair: ask(batcher, *pair[0], signature=pair[1][1]), zip(given_rows, requests, strict=True))
        )
        for rows, (_, signature), future in zip(given_rows, requests, futures, strict=True):
            outputs = future.result(FAR)
            assert outputs["y"].tolist() == (2 * rows).tolist()
            assert set(outputs["signature"]) == {signature}
    batcher.close()


def test_whoever_leaves_while_others_are_waited_for_does_not_end_the_batcher(model: Model) -> None:
    batcher = batching.Batcher(model, batch_rows=8, queue_rows=20, wait_seconds=0.2)
    # Two rows were joined the last time: the next request waits for another.
    ask(batcher, 1.0, 2.0).result(FAR)
    left = ask(batcher, 3.0)
    time.sleep(0.05)
    assert left.cancel()
    time.sleep(0.3)
    assert ask(batcher, 4.0).result(FAR)["y"].tolist() == [8]
    assert batcher.close(FAR)


def test_the_row_that_is_waited_for_ends_the_wait(model: Model) -> None:
    batcher = batching.Batcher(model, batch_rows=8, queue_rows=20, wait_seconds=FAR)
    ask(batcher, 1.0, 2.0).result(FAR)
    futures = [ask(batcher, value) for value in (3.0, 4.0)]
    assert [future.result(FAR / 4)["y"].tolist() for future in futures[:1]] == [[6]]
    assert batcher.close(FAR)
    assert futures[1].result(0)["y"].tolist() == [8]
