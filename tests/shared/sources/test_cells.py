"""Numbers and truth values as people write them: against formatted numbers, and columns that do not agree."""

import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.sources import cells

AMOUNTS = st.lists(st.integers(-10_000_000, 10_000_000).map(lambda cents: cents / 100), min_size=2, max_size=9)


def american(value: float) -> str:
    return f"{value:,.2f}"


def european(value: float) -> str:
    return f"{value:,.2f}".replace(",", " ").replace(".", ",").replace(" ", ".")


def swiss(value: float) -> str:
    return f"{value:,.2f}".replace(",", "'")


@given(
    AMOUNTS,
    st.sampled_from([american, european, swiss, lambda value: f"€ {value:.2f}", lambda value: f"${value:,.2f}"]),
)
def test_amounts_in_one_way_of_writing_are_read(values: list[float], write: object) -> None:
    texts = [write(value) for value in [*values, 1234.5, -5678.25]]  # type: ignore[operator]
    found = cells.numbers(texts)
    assert found.wrong.size == 0
    np.testing.assert_allclose(found.values, [*values, 1234.5, -5678.25])


@pytest.mark.parametrize(
    ("texts", "wrong"),
    [
        (["12.50", "1,234.50", "3"], [1]),  # one cell in a way of its own is a slip
        (["1,234", "2,345", "5"], [0, 1]),  # thousands or fractions: not told
        (["1,234.50", "2,000.00", "3000.00"], [2]),
        (["12,5", "13,5", "14.5"], [2]),
        (["$1", "€2", "$3"], [1]),
        (["1_000", "2"], [0]),
        (["abc", "1", ""], [0]),
    ],
)
def test_cells_that_do_not_agree_with_the_others_are_wrong(texts: list[str], wrong: list[int]) -> None:
    found = cells.numbers(texts)
    assert found.wrong.tolist() == wrong
    assert all(math.isnan(found.values[place]) for place in wrong if not texts[place].startswith("€"))


def test_an_option_settles_what_a_comma_is() -> None:
    texts = ["1,234", "2,345", "5"]
    assert cells.numbers(texts, decimal="point").values.tolist() == [1234, 2345, 5]
    assert cells.numbers(texts, decimal="comma").values.tolist() == [1.234, 2.345, 5]


def test_words_for_nothing_are_no_numbers_and_not_wrong() -> None:
    found = cells.numbers(["NA", "null", None, float("nan"), "1"])
    assert np.isnan(found.values[:4]).all()
    assert found.wrong.size == 0


def test_truth_is_read_in_every_usual_spelling() -> None:
    assert [cells.truth(cell) for cell in ("Y", "n", "t", "F", "YES", "no", True, False, 1, 0.0, "2", "")] == [
        *(True, False) * 5,
        None,
        None,
    ]


@given(AMOUNTS, st.sampled_from([american, european, swiss, lambda value: f"{value:,.2f} EUR"]))
def test_the_shapes_of_cells_tell_the_convention_that_the_cells_do(values: list[float], write: object) -> None:
    texts = [write(value) for value in [*values, 1234.5, -5678.25]]  # type: ignore[operator]
    shapes = [re.sub("[1-9]", "1", text) for text in texts]
    found = cells.convention({shape: shapes.count(shape) for shape in shapes})
    assert found.decimal == ("comma" if write is european else "point")
    assert found.currency == ("EUR" if "EUR" in texts[0] else "")
    assert found.expected == cells.numbers(texts).expected


def test_a_group_of_thousands_does_not_begin_with_a_zero() -> None:
    assert cells.numbers(["0.754", "-0.123"], decimal="comma").values.tolist() == [0.754, -0.123]
    assert cells.numbers(["0,754", "0,123"]).values.tolist() == [0.754, 0.123]
