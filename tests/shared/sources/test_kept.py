"""What --keep-columns names is carried as it stands in the input, or refused before anything is scored."""

import argparse

import pandas as pd
import pytest

from shared import cli, errors
from shared.sources import kept


@pytest.mark.parametrize("text", ["", "a,,b", "a,b,a", " , "])
def test_names_are_given_each_once(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="each once, or all"):
        cli.column_names(text)


def test_a_column_that_a_table_lacks_is_named_with_the_one_that_was_meant() -> None:
    with pytest.raises(errors.InputError, match=r"a.csv: expected one column 'custmer'.*Did you mean 'customer'\?"):
        kept.chosen(("custmer",), ["text", "customer"], where="a.csv")


def test_all_are_the_columns_of_the_table_in_their_order() -> None:
    assert kept.chosen(("all",), ["b", "a"], where="a.csv") == ("b", "a")


def test_tables_that_keep_other_columns_are_refused_with_what_differs() -> None:
    assert kept.in_all({"a.csv": ("x", "y"), "b.csv": ("y", "x")}, where="in") == ("x", "y")
    with pytest.raises(errors.InputError, match=r"all: b.csv: expected the columns of a.csv.*differs in y, z"):
        kept.in_all({"a.csv": ("x", "y"), "b.csv": ("x", "z")}, where="in")


def test_a_column_that_the_output_has_itself_is_refused_and_not_replaced() -> None:
    chunk = kept.beside(pd.DataFrame({"row": [1, 2]}, index=[5, 6]), ["score", "city"], [["a", "b"], ["c", ""]])
    score = kept.carried(lambda rows: pd.DataFrame({"row": rows["row"].to_numpy(), "score": [0.1, 0.2]}))
    with pytest.raises(errors.InputError, match=r"row, score.*Received: 'score'; leave it out"):
        score(chunk)
    table = score(chunk.drop(columns="kept:score"))
    assert list(table) == ["row", "score", "city"]
    assert table["city"].fillna("missing").tolist() == ["c", "missing"]
