"""Any text may be the name of a column; tensors have names of ASCII letters, each once."""

import dataclasses
import keyword
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.fraud_detection import inputs, tensor_names
from apps.fraud_detection.transactions import Transactions

ODD = st.sampled_from(
    ["class", "3ds", "Größe", "金额", "_x", "risk-a", "risk_a", "risk a", "Risk_A", "risk_a_2", "", "__"]
)


@given(columns=st.lists(st.one_of(ODD, st.text(max_size=5)), max_size=12))
def test_tensor_names_are_valid_and_differ_whatever_their_case(columns: list[str]) -> None:
    names = tensor_names.valid(columns)
    assert len({name.lower() for name in names}) == len(columns)
    for name in names:
        assert re.fullmatch("[A-Za-z][A-Za-z0-9_]*", name)
        assert not keyword.iskeyword(name)


@pytest.mark.parametrize("name", ["TX_AMOUNT", "V1", "customer_count_1d", "sequence", "a__b_"])
def test_a_name_that_a_tensor_can_have_is_kept_whatever_stands_before_it(name: str) -> None:
    before = name.replace("_", "-") if "_" in name else f"{name}!"
    assert tensor_names.valid([before, name])[1] == name


def with_columns(booked: Transactions, *, numeric: tuple[str, ...], categorical: tuple[str, ...] = ()) -> Transactions:
    rng = np.random.default_rng(0)
    return dataclasses.replace(
        booked,
        numeric={name: rng.normal(size=len(booked)).astype(np.float32) for name in numeric},
        categorical={name: rng.choice(["a", "b"], len(booked)).astype(object) for name in categorical},
        schema=dataclasses.replace(booked.schema, numeric=numeric, categorical=categorical),
    )


def test_columns_named_as_ours_are_tensors_and_drift_columns_of_their_own(booked: Transactions) -> None:
    ours = ("score", "hour", "sequence", "customer_count_1d")
    found = inputs.learn(with_columns(booked, numeric=ours, categorical=("amount",)), np.arange(500), sequence_length=3)
    names = tensor_names.of_inputs(found)
    assert len(set(names.values())) == len(names)
    assert {names[tensor_names.Source("number", name)] for name in ours if name != "sequence"} == {
        "score",
        "hour",
        "customer_count_1d",
    }
    history = tensor_names.Source("history", "customer_count_1d")
    assert tensor_names.originals(found)[names[history]] == "customer_count_1d"
    drift = [name for kind in tensor_names.of_drift(found).values() for name in kind]
    assert len(set(drift)) == len(drift) == len(found.numbers) + 1 + len(inputs.CHANNELS)
    assert "score" not in drift
    assert {"hour", "computed:hour", "amount", "computed:amount", "score_2"} <= set(drift)


def test_words_of_tensorflows_own_functions_are_no_tensor_names() -> None:
    assert tensor_names.valid(["self", "args", "Amount", "amount"]) == ["self_", "args_", "Amount", "amount_2"]
