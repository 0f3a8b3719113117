"""Features look back only, are what the plain definition says, and are the same online."""

import dataclasses
from collections.abc import Callable

import numba
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.fraud_detection import features, inputs
from apps.fraud_detection.transactions import Transactions
from shared import compiling

DELAY = 7.0


def make_books(rows: list[tuple[int, int, int, int]]) -> features.Books:
    """(hours, amount, customer, label) in any order."""
    ranked = sorted(rows, key=lambda row: row[0])
    hours, amount, customer, label = np.array(ranked, np.int64).reshape(-1, 4).T
    return features.Books(
        time=hours * 3_600 * features.MICROSECONDS,
        amount=amount * features.AMOUNT_SCALE // 100,
        entities={"customer": customer},
        label=label,
    )


def by_loops(books: features.Books, row: int, delay_days: float) -> dict[str, float]:
    """Every feature of a row, from the definition, one comparison at a time."""
    codes, now = books.entities["customer"], books.time[row]
    own = [i for i in range(row + 1) if codes[i] == codes[row]]
    found: dict[str, float] = {}
    delay = int(delay_days * features.DAY)
    for days in features.WINDOW_DAYS:
        window = [i for i in own if books.time[i] > now - days * features.DAY]
        found[f"count_{days}d"] = len(window)
        found[f"mean_amount_{days}d"] = np.mean([books.amount[i] for i in window]) / features.AMOUNT_SCALE
        old = [i for i in own[:-1] if now - delay - days * features.DAY < books.time[i] <= now - delay]
        judged = [books.label[i] for i in old if books.label[i] != features.UNKNOWN]
        found[f"risk_{days}d"] = np.mean(judged) if judged else 0.0
        found[f"judged_{days}d"] = len(judged)
    earlier = [i for i in own[:-1] if books.time[i] > now - 30 * features.DAY]
    amount = books.amount[row] / features.AMOUNT_SCALE
    usual = np.mean([books.amount[i] for i in earlier]) / features.AMOUNT_SCALE if earlier else 0.0
    largest = max((books.amount[i] for i in earlier), default=0) / features.AMOUNT_SCALE
    gap = now - books.time[earlier[-1]] if earlier else 30 * features.DAY
    found |= {"usual_amount": usual, "hours_since_last": gap / 3_600 / features.MICROSECONDS}
    found["amount_ratio"] = amount / usual if usual > 0 else 1.0
    found["maximum_ratio"] = amount / largest if largest > 0 else 1.0
    return found


ROWS = st.lists(
    st.tuples(st.integers(0, 1_200), st.integers(0, 50_000), st.integers(0, 3), st.integers(-1, 1)),
    min_size=1,
    max_size=40,
)


@settings(max_examples=60, deadline=None)
@given(rows=ROWS, delay_days=st.sampled_from([0.0, 1.0, DELAY]))
def test_features_are_what_the_definition_says(rows: list[tuple[int, int, int, int]], delay_days: float) -> None:
    books = make_books(rows)
    found = features.compute(books, label_delay_days=delay_days)
    for row in range(len(books)):
        for name, value in by_loops(books, row, delay_days).items():
            if f"customer_{name}" in found:
                assert found[f"customer_{name}"][row] == pytest.approx(value, rel=1e-5), name


@settings(max_examples=60, deadline=None)
@given(rows=ROWS, cut=st.integers(1, 40), data=st.data())
def test_whatever_comes_later_changes_nothing(
    rows: list[tuple[int, int, int, int]], cut: int, data: st.DataObject
) -> None:
    books = make_books(rows)
    kept = min(cut, len(books))
    later = data.draw(st.permutations(range(kept, len(books))))
    order = np.array([*range(kept), *later], np.int64)
    changed = dataclasses.replace(
        books,
        amount=books.amount[order],
        label=np.concatenate([books.label[:kept], 1 - np.maximum(books.label[order[kept:]], 0)]),
        entities={"customer": books.entities["customer"][order]},
    )
    first = features.compute(books, label_delay_days=DELAY)
    second = features.compute(changed, label_delay_days=DELAY)
    short = features.compute(take(books, np.arange(kept)), label_delay_days=DELAY)
    for name, values in first.items():
        assert np.array_equal(values[:kept], second[name][:kept]), name
        assert np.array_equal(values[:kept], short[name]), name


def take(books: features.Books, rows: np.ndarray) -> features.Books:
    return features.Books(
        time=books.time[rows],
        amount=books.amount[rows],
        entities={role: codes[rows] for role, codes in books.entities.items()},
        label=books.label[rows],
    )


def test_a_verdict_counts_only_once_its_delay_is_over() -> None:
    day = 24
    books = make_books([(0, 100, 0, 1), (6 * day, 100, 0, 0), (7 * day, 100, 0, 0), (8 * day - 1, 100, 0, 0)])
    risk = features.compute(books, label_delay_days=DELAY)["customer_risk_1d"]
    assert risk.tolist() == [0, 0, 1, 1]


def test_a_transactions_own_label_is_never_known_to_it_even_where_nothing_is_delayed() -> None:
    books = make_books([(0, 100, 0, 1), (0, 100, 0, 0), (5, 100, 0, 1)])
    risk = features.compute(books, label_delay_days=0)["customer_risk_1d"]
    assert risk.tolist() == [0, 1, 0.5]


def test_where_nothing_can_be_kept_it_is_compiled_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def njit(**options: bool) -> Callable[[Callable[..., int]], Callable[..., int]]:
        asked.append(options)
        if options.get("cache"):
            raise RuntimeError("cannot cache function: no locator available")
        return lambda function: function

    def plain() -> None: ...

    monkeypatch.setattr(numba, "njit", njit)
    assert compiling.compiled(plain) is plain
    assert asked == [{"cache": True, "nogil": True}, {"nogil": True}]


def test_windows_and_means_are_those_of_pandas(booked: Transactions) -> None:
    found = features.compute(booked.books(), label_delay_days=DELAY)
    table = pd.DataFrame(
        {
            "time": booked.time.astype("datetime64[us]"),
            "amount": booked.amount,
            "terminal": booked.entities["terminal"],
            "one": 1.0,
            "fraud": (booked.labels == 1).astype(float),
        }
    )
    for days in features.WINDOW_DAYS:
        rolled = table.set_index("time").groupby("terminal")[["amount", "one", "fraud"]]
        order = table.sort_values(["terminal", "time"], kind="stable").index
        mean = rolled.rolling(f"{days}D").mean()["amount"].to_numpy()
        count = rolled.rolling(f"{days}D").sum()["one"].to_numpy()
        assert found[f"terminal_mean_amount_{days}d"][order] == pytest.approx(mean, rel=1e-4)
        assert found[f"terminal_count_{days}d"][order] == pytest.approx(count)


def test_who_is_not_known_has_no_history() -> None:
    books = make_books([(0, 100, 0, 1), (1, 200, 0, 1)])
    nobody = dataclasses.replace(books, entities={"customer": np.array([-1, -1])})
    found = features.compute(nobody, label_delay_days=0)
    assert all(set(values.tolist()) <= {0.0, 1.0} for values in found.values())
    assert found["customer_count_1d"].tolist() == [0, 0]


def test_codes_beyond_32_bits_are_told_apart() -> None:
    books = make_books([(0, 100, 0, 0), (1, 100, 1, 0), (2, 100, 0, 0)])
    wide = dataclasses.replace(books, entities={"customer": np.array([5, 5 + 2**33, 5])})
    assert features.compute(wide, label_delay_days=0)["customer_count_30d"].tolist() == [1, 1, 2]


def test_the_payers_own_risk_is_no_feature(booked: Transactions) -> None:
    names = inputs.history_names(booked.schema)
    assert "terminal_risk_7d" in names
    assert not [name for name in names if name.startswith(("customer_risk", "customer_judged"))]
