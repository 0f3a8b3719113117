"""From small files to checked transactions: formats, guesses, bad cells, order, streams, unions, weights."""

import dataclasses
import decimal
import gzip
import json
import os
import pathlib
import pickle
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest

from apps.fraud_detection import schema as schemas
from apps.fraud_detection import simulator, transactions
from apps.fraud_detection.readers import checking, formats, inference, parts, sources, times
from shared import errors
from shared.sources import columns, tables

WORLD = simulator.World(customers=40, terminals=60, days=12)
UNKNOWN = transactions.UNKNOWN


@pytest.fixture(scope="module")
def payments() -> pd.DataFrame:
    return simulator.simulate(WORLD)


def write(path: pathlib.Path, table: pd.DataFrame) -> str:
    if path.suffix == ".parquet":
        table.to_parquet(path)
    else:
        table.to_csv(path, index=False)
    return str(path)


def shop(**changes: Any) -> pd.DataFrame:
    """A table of one's own: six rows, one an hour."""
    table = {
        "booked_at": [f"2024-03-01 {hour:02d}:00:00" for hour in range(6)],
        "amount": [10.0, 20.5, 3.25, 8.0, 99.99, 7.0],
        "card_id": ["C1", "C2", "C1", "C3", "C2", "C1"],
        "shop_id": [7, 8, 7, 9, 9, 8],
        "distance_km": [0.5, 1.5, 0.1, 2.0, 900.0, 0.2],
        "channel": ["web", "pos", "pos", "web", "web", "pos"],
        "is_fraud": [0, 0, 0, 0, 1, 0],
        "tx_id": [11, 12, 13, 14, 15, 16],
    }
    return pd.DataFrame({name: values for name, values in {**table, **changes}.items() if values is not None})


SHOP = schemas.Schema(
    time="booked_at",
    amount="amount",
    entities={"card": "card_id", "merchant": "shop_id"},
    numeric=("distance_km",),
    categorical=("channel",),
    label="is_fraud",
    id="tx_id",
)


def refusal(path: pathlib.Path, table: pd.DataFrame, schema: schemas.Schema = SHOP, **options: Any) -> str:
    """What ``load`` says of a table."""
    spec = write(path, table)
    with pytest.raises(errors.InputError) as caught:
        sources.load([spec], schema=schema, **options)
    message = str(caught.value)
    assert "Received: " in message
    return message


def same(one: transactions.Transactions, other: transactions.Transactions) -> None:
    """Compare every value, and every type but that of the schema."""
    assert one.calendar == other.calendar
    for name in ("ids", "time", "amount", "labels", "weights", "groups", "scenarios"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    for name in ("entities", "numeric", "categorical"):
        assert list(getattr(one, name)) == list(getattr(other, name))
        for key, values in getattr(one, name).items():
            np.testing.assert_array_equal(values, getattr(other, name)[key])
            assert values.dtype == getattr(other, name)[key].dtype


# Known formats


def test_the_simulator_gives_what_its_table_says(payments: pd.DataFrame) -> None:
    found = sources.load(["card-simulator"], world=WORLD)
    assert found.name == "card-simulator"
    assert found.calendar
    np.testing.assert_array_equal(found.ids, payments["TRANSACTION_ID"])
    np.testing.assert_array_equal(found.time.view("datetime64[us]"), payments["TX_DATETIME"].to_numpy())
    np.testing.assert_array_equal(found.amount, payments["TX_AMOUNT"])
    np.testing.assert_array_equal(found.entities["customer"], payments["CUSTOMER_ID"])
    np.testing.assert_array_equal(found.labels, payments["TX_FRAUD"])
    assert found.scenarios is not None
    assert set(found.scenarios[found.labels == 0]) == {"none"}
    assert set(found.scenarios[found.labels == 1]) <= set(simulator.SCENARIOS[1:])
    assert found.groups is not None
    assert set(found.groups) <= set(simulator.REGIONS)


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.tsv", "a.parquet"])
def test_a_table_of_any_kind_gives_the_same_as_the_simulator(
    tmp_path: pathlib.Path, payments: pd.DataFrame, name: str
) -> None:
    if name == "a.tsv":
        payments.to_csv(tmp_path / name, index=False, sep="\t")
    else:
        write(tmp_path / name, payments)
    found = sources.load([str(tmp_path / name)])
    simulated = sources.load(["card-simulator"], world=WORLD)
    same(found, simulated)
    assert found.sha256 == simulated.sha256
    assert found.name == name


def test_the_handbook_may_lack_scenarios_and_regions(tmp_path: pathlib.Path, payments: pd.DataFrame) -> None:
    names = ["TX_DATETIME", "CUSTOMER_ID", "TERMINAL_ID", "TX_AMOUNT", "TX_FRAUD"]
    found = sources.load([write(tmp_path / "a.csv", payments[names])])
    assert (found.groups, found.scenarios, found.schema.id) == (None, None, None)
    np.testing.assert_array_equal(found.ids, np.arange(1, len(payments) + 1))


def ulb() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    parts = {f"V{number}": rng.normal(size=4) for number in range(1, 29)}
    return pd.DataFrame(
        {"Time": [0.0, 1.0, 1.0, 7.5], **parts, "Amount": [1.0, 2.0, 3.0, 4.0], "Class": ["'0'", "'0'", "'1'", "'0'"]}
    )


def test_ulb_counts_seconds_and_names_nobody(tmp_path: pathlib.Path) -> None:
    found = sources.load([write(tmp_path / "creditcard.csv", ulb())])
    np.testing.assert_array_equal(found.time, [0, 1_000_000, 1_000_000, 7_500_000])
    np.testing.assert_array_equal(found.labels, [0, 0, 1, 0])
    np.testing.assert_array_equal(found.payers, [0, 1, 2, 3])
    assert not found.calendar
    assert len(found.numeric) == 28
    assert found.schema.label_delay_days == 0
    assert "no card is named" in found.notes[0]


def paysim() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "step": [1, 1, 2],
            "type": ["PAYMENT", "TRANSFER", "CASH_OUT"],
            "amount": [9839.64, 181.0, 181.0],
            "nameOrig": ["C1231006815", "C1305486145", "C840083671"],
            "oldbalanceOrg": [170136.0, 181.0, 181.0],
            "newbalanceOrig": [160296.36, 0.0, 0.0],
            "nameDest": ["M1979787155", "C553264065", "C38997010"],
            "oldbalanceDest": [0.0, 0.0, 21182.0],
            "newbalanceDest": [0.0, 0.0, 0.0],
            "isFraud": [0, 1, 1],
            "isFlaggedFraud": [0, 0, 0],
        }
    )


def test_paysim_is_read_without_the_balances(tmp_path: pathlib.Path) -> None:
    found = sources.load([write(tmp_path / "paysim.csv", paysim())])
    np.testing.assert_array_equal(found.time, np.array([1, 1, 2]) * 3_600_000_000)
    assert found.schema.payer == "customer"
    assert list(found.entities) == ["customer", "recipient"]
    assert (list(found.numeric), list(found.categorical)) == ([], ["type"])
    notes = " ".join(found.notes)
    assert "its authors demand" in notes
    assert "columns not read: oldbalanceOrg" in notes


def ieee(folder: pathlib.Path, *, part: str = "train") -> pathlib.Path:
    folder.mkdir(exist_ok=True)
    table = pd.DataFrame(
        {
            "TransactionID": [2987000, 2987001, 2987002],
            "isFraud": [0, 1, 0],
            "TransactionDT": [86400, 86401, 86469],
            "TransactionAmt": [68.5, 29.0, 59.0],
            "ProductCD": ["W", "C", "W"],
            "card1": [13926, 2755, 13926],
            "card2": [None, 404.0, None],
            "card4": ["visa", "mastercard", "visa"],
            "addr1": [315.0, None, 315.0],
            "C1": [1.0, 1.0, None],
            "V339": [None, 0.5, 1.0],
            "M1": ["T", None, "F"],
        }
    )
    identity = pd.DataFrame(
        {"TransactionID": [2987001], "id_01": [-5.0], "id_12": ["NotFound"], "DeviceType": ["mobile"]}
    )
    if part == "test":
        table, identity = (
            table.drop(columns="isFraud"),
            identity.rename(columns=lambda name: name.replace("id_", "id-")),
        )
    write(folder / f"{part}_transaction.csv", table)
    write(folder / f"{part}_identity.csv", identity)
    return folder


def test_ieee_cis_joins_identities_and_makes_a_card_of_its_fields(tmp_path: pathlib.Path) -> None:
    found = sources.load([str(ieee(tmp_path / "ieee"))])
    np.testing.assert_array_equal(
        found.entities["card"], ["13926||visa|315", "2755|404|mastercard|", "13926||visa|315"]
    )
    np.testing.assert_array_equal(found.categorical["card2"], ["", "404", ""])
    np.testing.assert_array_equal(found.categorical["DeviceType"], ["", "mobile", ""])
    np.testing.assert_array_equal(found.numeric["id_01"], np.array([np.nan, -5, np.nan], np.float32))
    assert list(found.numeric) == ["C1", "V339", "id_01"]
    assert found.schema.currency == "USD"
    np.testing.assert_array_equal(found.ids, [2987000, 2987001, 2987002])


def test_ieee_cis_test_files_fit_the_schema_of_a_run(tmp_path: pathlib.Path) -> None:
    run = sources.load([str(ieee(tmp_path / "ieee"))])
    later = ieee(tmp_path / "later", part="test")
    found = sources.load([str(later)], schema=run.schema, labelled=False)
    same(found, dataclasses.replace(run, labels=np.full(3, UNKNOWN)))
    assert found.notes[0] == "not in the data: isFraud (label)"
    streamed = list(sources.iterate([str(later)], run.schema, chunk_rows=2))
    same(transactions.concatenate(streamed), found)


def test_a_transaction_file_without_identities_is_read_alone(tmp_path: pathlib.Path) -> None:
    folder = ieee(tmp_path / "ieee")
    (folder / "train_identity.csv").unlink()
    assert list(sources.load([str(folder)]).numeric) == ["C1", "V339"]
    alone = sources.load([str(folder / "train_transaction.csv")])
    assert "DeviceType" not in alone.categorical


def baf() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "fraud_bool": [0, 1, 0],
            "income": [0.3, 0.8, 0.1],
            "prev_address_months_count": [-1, 12, -1],
            "intended_balcon_amount": [-0.7, 30.5, -1.1],
            "credit_risk_score": [-5, 200, 10],
            "customer_age": [40, 60, 50],
            "proposed_credit_limit": [500.0, 1500.0, 200.0],
            "payment_type": ["AA", "AB", "AC"],
            "employment_status": ["CA", "CA", "CB"],
            "housing_status": ["BA", "BA", "BC"],
            "source": ["INTERNET"] * 3,
            "device_os": ["linux", "other", "windows"],
            "month": [0, 0, 3],
        }
    )


@pytest.mark.parametrize("name", ["Base.csv", "Base.parquet"])
def test_baf_tells_missing_numbers_and_groups_by_age(tmp_path: pathlib.Path, name: str) -> None:
    found = sources.load([write(tmp_path / name, baf())])
    nan = np.nan
    np.testing.assert_array_equal(found.numeric["prev_address_months_count"], np.array([nan, 12, nan], np.float32))
    np.testing.assert_array_equal(found.numeric["intended_balcon_amount"], np.array([nan, 30.5, nan], np.float32))
    np.testing.assert_array_equal(found.numeric["credit_risk_score"], np.array([-5, 200, 10], np.float32))
    assert found.groups is not None
    assert list(found.groups) == ["age <= 50", "age > 50", "age <= 50"]
    assert "customer_age" not in found.schema.columns
    assert found.time[2] == round(3 * 30.4375 * 86_400 * 1e6)
    np.testing.assert_array_equal(found.amount, [500, 1500, 200])


def test_a_format_that_is_named_must_have_its_columns(tmp_path: pathlib.Path) -> None:
    path = write(tmp_path / "a.csv", paysim().drop(columns="nameDest"))
    with pytest.raises(
        errors.InputError, match=r"a\.csv: expected the columns of paysim.*without nameDest; it has step"
    ):
        sources.load([path], reading=sources.Reading(data_format="paysim"))
    with pytest.raises(errors.InputError, match=r"auto, card-simulator, .*table\. Received: 'excel'"):
        sources.load([path], reading=sources.Reading(data_format="excel"))


def test_a_table_that_is_almost_of_a_known_format_is_not_guessed(
    payments: pd.DataFrame, tmp_path: pathlib.Path
) -> None:
    path = write(tmp_path / "a.csv", payments.drop(columns=["TX_AMOUNT"]))
    with pytest.raises(errors.InputError, match=r"expected the columns of handbook.*without TX_AMOUNT.*--data-format"):
        sources.load([path])
    assert sources.load([path], reading=sources.Reading(data_format="table")).schema.amount is None


@pytest.mark.parametrize("name", list(formats.KNOWN))
def test_every_known_format_recognises_itself_and_no_other(name: str) -> None:
    assert formats.recognise(formats.KNOWN[name].identifying) == name
    assert formats.recognise(formats.KNOWN[name].schema.columns + formats.KNOWN[name].identifying) == name


# Tables of one's own


def test_the_columns_of_a_table_are_recognised_by_their_names(tmp_path: pathlib.Path) -> None:
    found = sources.load([write(tmp_path / "shop.csv", shop())])
    assert found.schema == dataclasses.replace(SHOP, numeric=("distance_km",))
    assert found.calendar
    assert found.time[1] - found.time[0] == 3_600_000_000
    assert found.entities["card"].tolist() == ["C1", "C2", "C1", "C3", "C2", "C1"]
    assert found.entities["merchant"].dtype == np.int64
    assert "time booked_at (datetime), amount amount, card card_id" in found.notes[0]


def test_another_table_of_another_taste_is_recognised() -> None:
    count = 100
    table = pd.DataFrame(
        {
            "": range(count),
            "trans_date_trans_time": pd.date_range("2020-01-01", periods=count, freq="h").astype(str),
            "cc_num": [4_000 + number % 7 for number in range(count)],
            "merchant": [f"shop {number % 30}" for number in range(count)],
            "category": ["food", "fuel"] * 50,
            "amt": np.arange(count) + 0.5,
            "gender": ["F", "M"] * 50,
            "street": [f"street {number}" for number in range(count)],
            "lat": np.linspace(0, 1, count),
            "dob": ["1970-01-01"] * count,
            "trans_num": [f"{number:08x}" for number in range(count)],
            "unix_time": 1_577_836_800 + 3_600 * np.arange(count),
            "is_fraud": [0] * 99 + [1],
        }
    )
    found = inference.infer(table)
    assert found == schemas.Schema(
        time="trans_date_trans_time",
        amount="amt",
        entities={"card": "cc_num", "merchant": "merchant"},
        numeric=("lat",),
        categorical=("category", "gender", "dob"),
        label="is_fraud",
        id="trans_num",
    )


@pytest.mark.parametrize(
    ("name", "unit"), [("seconds", "seconds"), ("step", "hours"), ("TimeDay", "days"), ("time", "seconds")]
)
def test_a_column_of_counts_has_a_unit_by_its_name(name: str, unit: str) -> None:
    found = inference.infer(pd.DataFrame({"time_" + name: [0, 5, 9], "amount": [1.0, 2.0, 3.0]}))
    assert (found.time_unit, found.label, found.entities) == (unit, None, {})


def test_a_card_of_two_kinds_is_no_card_and_a_type_of_device_no_device() -> None:
    table = shop(card=["visa", "amex"] * 3, device_type=["tv", "phone"] * 3, card_id=None)
    many = pd.concat([table] * 20, ignore_index=True)
    found = inference.infer(many)
    assert found.entities == {"merchant": "shop_id"}
    assert found.categorical == ("channel", "card", "device_type")
    assert found.id is None


def test_without_a_time_the_message_shows_how_to_name_columns() -> None:
    with pytest.raises(errors.InputError) as caught:
        inference.infer(pd.DataFrame({"colour": ["red", "blue"], "euros": [1.0, 2.0]}), where="a.csv")
    message = str(caught.value)
    assert message.startswith("a.csv: expected columns")
    assert "--schema FILE" in message
    assert message.endswith("Received: colour, euros (not recognised: time, amount, label)")
    schemas.Schema.from_json(json.loads(inference.EXAMPLE))


def test_without_labels_training_is_refused_and_prediction_is_not(tmp_path: pathlib.Path) -> None:
    path = write(tmp_path / "a.csv", shop(is_fraud=None))
    with pytest.raises(errors.InputError, match=r"expected a column of labels.*--schema FILE"):
        sources.load([path])
    assert set(sources.load([path], labelled=False).labels) == {UNKNOWN}


def test_a_schema_file_names_the_columns(tmp_path: pathlib.Path) -> None:
    schema = {"time": "when", "amount": "euros", "entities": {"account": "who"}, "label": "bad"}
    (tmp_path / "schema.json").write_text(json.dumps(schema))
    table = pd.DataFrame(
        {"when": ["2024-01-01", "2024-01-02"], "euros": [1, 2], "who": ["x", "y"], "bad": ["no", "yes"]}
    )
    found = sources.load([write(tmp_path / "a.csv", table)], schema_path=tmp_path / "schema.json")
    np.testing.assert_array_equal(found.labels, [0, 1])
    assert found.payers.tolist() == [0, 1]


# Cells that cannot be used


@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        (
            {"amount": ["10", "20", "12 EUR", "1", "2", "3"]},
            "row 3, column 'amount': expected an amount. Received: '12 EUR'",
        ),
        (
            {"amount": [1, 2, 3, None, 5, 6]},
            "row 4, column 'amount': expected an amount up to 1e+11. Received: nothing",
        ),
        (
            {"amount": [1, -np.inf, 3, 4, 5, 6]},
            "row 2, column 'amount': expected an amount that is finite. Received: -inf",
        ),
        ({"amount": [1, 2, 3, 4, 5, 6e11]}, "row 6, column 'amount': expected an amount up to 1e+11"),
        (
            {"distance_km": ["1", "far", "", "1", "1", "1"]},
            "row 2, column 'distance_km': expected a number. Received: 'far'",
        ),
        ({"distance_km": [1, 2, np.inf, 4, 5, 6]}, "row 3, column 'distance_km': expected a number that is finite"),
        ({"distance_km": [1, 2, 3, 4, 1e39, 6]}, "row 5, column 'distance_km': expected a number below 3.4e38"),
        (
            {"is_fraud": ["0", "1", "maybe", "0", "0", "0"]},
            "row 3, column 'is_fraud': expected a label (fraud: 1, true",
        ),
        ({"is_fraud": [0, 1, 0, 0, 0, 2]}, "row 6, column 'is_fraud': expected a label (fraud: 1, true"),
        (
            {"tx_id": [1, 2, 3, 2, 5, 6]},
            "row 4, column 'tx_id': expected an id that occurs once. Received: 2, which also",
        ),
        ({"tx_id": [1, 2, None, 4, 5, 6]}, "row 3, column 'tx_id': expected an id. Received: nothing"),
    ],
)
def test_a_bad_cell_is_named_with_file_row_and_column(
    tmp_path: pathlib.Path, name: str, changes: dict[str, Any], complaint: str
) -> None:
    message = refusal(tmp_path / name, shop(**changes))
    assert message.startswith(f"{tmp_path / name}: {complaint}")


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        (None, "a time such as 2018-04-30 13:05:00. Received: nothing"),
        ("yesterday", "a time such as 2018-04-30 13:05:00. Received: 'yesterday'"),
        ("01/04/2024 10:00", "a time such as 2018-04-30 13:05:00. Received: '01/04/2024 10:00'"),
        ("2999-01-01", "a time from 1970 to tomorrow. Received: '2999-01-01T00:00:00.000000'"),
        ("1900-01-01", "a time from 1970 to tomorrow. Received: '1900-01-01T00:00:00.000000'"),
    ],
)
def test_a_bad_time_is_named_with_file_row_and_column(tmp_path: pathlib.Path, value: Any, complaint: str) -> None:
    booked = shop()["booked_at"].tolist()
    booked[4] = value
    message = refusal(tmp_path / "a.csv", shop(booked_at=booked))
    advice = "(--time-format says how times are written, --time-column names another column)"
    assert message == f"{tmp_path / 'a.csv'}: row 5, column 'booked_at': expected {complaint} {advice}"


@pytest.mark.parametrize("value", ["", "late", "-3", "4e12"])
def test_a_bad_count_of_hours_is_named(tmp_path: pathlib.Path, value: str) -> None:
    schema = dataclasses.replace(SHOP, time_unit="hours")
    message = refusal(tmp_path / "a.csv", shop(booked_at=["0", "1", value, "3", "4", "5"]), schema)
    assert "a.csv: row 3, column 'booked_at': expected a time in hours" in message


def test_a_bad_cell_of_a_later_piece_has_the_row_of_the_file(
    tmp_path: pathlib.Path, payments: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "CHUNK_ROWS", 50)
    table = payments.astype({"TX_AMOUNT": object})
    table.loc[123, "TX_AMOUNT"] = "x"
    with pytest.raises(errors.InputError, match=r"a\.csv: row 124, column 'TX_AMOUNT': .*Received: 'x'"):
        sources.load([write(tmp_path / "a.csv", table)])


def test_missing_columns_are_listed_beside_what_the_file_has(tmp_path: pathlib.Path) -> None:
    message = refusal(tmp_path / "a.csv", shop(amount=None, channel=None))
    assert "Received: a table without amount, channel; it has booked_at, card_id" in message


@pytest.mark.parametrize(
    ("label", "counts"), [(0, "6 genuine, 0 fraud"), (1, "0 genuine, 6 fraud"), (None, "0 genuine, 0")]
)
def test_labels_of_one_class_are_refused_when_labels_are_demanded(
    tmp_path: pathlib.Path, label: int | None, counts: str
) -> None:
    table = shop(is_fraud=[label] * 6)
    message = refusal(tmp_path / "a.csv", table)
    assert f"in column 'is_fraud'. Received: {counts}" in message
    assert len(sources.load([str(tmp_path / "a.csv")], schema=SHOP, labelled=False)) == 6


def test_a_table_without_rows_is_refused(tmp_path: pathlib.Path) -> None:
    assert refusal(tmp_path / "a.csv", shop()[:0]).endswith("expected at least one transaction. Received: no rows")
    with pytest.raises(errors.InputError, match=r"a\.csv: expected at least one transaction"):
        sources.load([str(tmp_path / "a.csv")])
    with pytest.raises(errors.InputError, match=r"a\.csv: expected at least one transaction"):
        list(sources.iterate([str(tmp_path / "a.csv")], SHOP))
    (tmp_path / "b.csv").write_text("")
    with pytest.raises(errors.InputError, match=r"b\.csv: expected a table with a header and rows. Received: an empty"):
        sources.load([str(tmp_path / "b.csv")])


@pytest.mark.parametrize("bad", [0, -1, None, np.inf])
def test_weights_must_be_above_zero(tmp_path: pathlib.Path, bad: float | None) -> None:
    table = shop(weight=[1.0, 2.0, 3.0, bad, 1.0, 1.0])
    message = refusal(tmp_path / "a.csv", table, reading=sources.Reading(weight="weight"))
    assert "a.csv: row 4, column 'weight': expected a weight above 0" in message


def test_pickles_are_refused_with_the_reason_and_a_way_out(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "2018-04-01.pkl"
    path.write_bytes(pickle.dumps({"a": 1}))
    for spec in (path, tmp_path):
        with pytest.raises(
            errors.InputError, match=r"2018-04-01\.pkl: .*can run code.*to_parquet\('2018-04-01\.parquet'\)"
        ):
            sources.load([str(spec)])


def test_a_row_with_too_few_cells_is_named(tmp_path: pathlib.Path) -> None:
    (tmp_path / "a.csv").write_text("time,amount,is_fraud\n2024-01-01,1,0\n2024-01-02,2\n")
    with pytest.raises(
        errors.InputError, match=r"a\.csv: expected a csv file .*Received: row 2: Expected 3 columns, got 2"
    ):
        sources.load([str(tmp_path / "a.csv")])


@pytest.mark.parametrize("name", ["a.csv.gz", "a.parquet", "a.csv"])
def test_a_broken_file_is_refused(tmp_path: pathlib.Path, name: str) -> None:
    content = (
        gzip.compress(shop().to_csv(index=False).encode())[:60]
        if name == "a.csv.gz"
        else b"time,\xff\xfe\n1,2\n\xff,3\n"
    )
    (tmp_path / name).write_bytes(content)
    with pytest.raises(errors.InputError, match=rf"{name}: .*expected (a \w+ file that can be read|text in UTF-8)"):
        sources.load([str(tmp_path / name)])


def test_two_columns_of_one_name_are_refused(tmp_path: pathlib.Path) -> None:
    (tmp_path / "a.csv").write_text("time,amount,amount\n1,2,3\n")
    with pytest.raises(errors.InputError, match=r"a name for each column. Received twice: amount"):
        sources.load([str(tmp_path / "a.csv")])


def test_what_is_no_table_is_refused(tmp_path: pathlib.Path) -> None:
    (tmp_path / "a.xlsx").write_text("x")
    with pytest.raises(errors.InputError, match=r"a\.xlsx: expected a table \(\.csv"):
        sources.load([str(tmp_path / "a.xlsx")])
    with pytest.raises(errors.InputError, match=r"expected a folder with tables .*Received: a\.xlsx"):
        sources.load([str(tmp_path)])
    with pytest.raises(errors.InputError, match="at least one source"):
        sources.load([])


def test_a_source_that_is_not_there_is_named() -> None:
    with pytest.raises(
        errors.InputError, match=r"'card-simulator', a public set \(creditcard, .*Received: 'nowhere\.csv'"
    ):
        sources.locate("nowhere.csv")
    assert sources.locate("card-simulator") is None


# What cells may look like


@pytest.mark.parametrize(
    "written",
    [
        ["2024-03-01 12:00:00", "2024-03-01 12:00:01"],
        ["2024-03-01T12:00:00Z", "2024-03-01T12:00:01Z"],
        ["2024-03-01T14:00:00+02:00", "2024-03-01T12:00:01+00:00"],
        ["2024-03-01T14:00:00+02:00", "2024-03-01T12:00:01"],
        [1_709_294_400, 1_709_294_401],
        [1_709_294_400_000, 1_709_294_401_000],
        ["1709294400000000", "1709294401000000"],
        pd.to_datetime(["2024-03-01 12:00:00", "2024-03-01 12:00:01"]),
        pd.to_datetime(["2024-03-01 13:00:00", "2024-03-01 13:00:01"]).tz_localize("Europe/Paris"),
    ],
)
def test_times_are_read_in_utc_however_they_are_written(written: Any) -> None:
    found = times.parse(pd.Series(written), columns.Place("a.csv", "time"), unit="datetime")
    np.testing.assert_array_equal(
        found.view("datetime64[us]"), np.array(["2024-03-01T12:00:00", "2024-03-01T12:00:01"], "M8[us]")
    )


def test_days_without_a_clock_are_midnights() -> None:
    for written in (["2024-03-01"], [pd.Timestamp("2024-03-01").date()]):
        found = times.parse(pd.Series(written), columns.Place("", ""), unit="datetime")
        assert found[0] == np.datetime64("2024-03-01", "us").astype(int)


@pytest.mark.parametrize("small", ["20240301", 0, 45_000.5])
def test_a_number_that_is_no_count_since_1970_is_refused(small: Any) -> None:
    with pytest.raises(errors.InputError, match=r"row 1, column 't': .*or seconds since 1970"):
        times.parse(pd.Series([small]), columns.Place("a", "t"), unit="datetime")


@pytest.mark.parametrize(
    ("written", "meaning"),
    [
        ([1, 0, 1], [1, 0, 1]),
        ([1.0, None, 0.0], [1, UNKNOWN, 0]),
        ([True, False, True], [1, 0, 1]),
        (["Fraud", "genuine", " "], [1, 0, UNKNOWN]),
        (["YES", "no", None], [1, 0, UNKNOWN]),
        (["fraud", "legit", "1.0"], [1, 0, 1]),
        (pd.Categorical(["true", "false", "true"]), [1, 0, 1]),
    ],
)
def test_labels_are_read_however_they_are_written(written: Any, meaning: list[int]) -> None:
    np.testing.assert_array_equal(checking.labels(pd.Series(written), columns.Place("", "")), meaning)


def test_spaces_around_numbers_and_semicolons_between_them_are_fine(tmp_path: pathlib.Path) -> None:
    lines = ["time;amount;is_fraud", "2024-01-01; 1.5;0", "2024-01-02;+2 ;1"]
    (tmp_path / "a.csv").write_text("\ufeff" + "\n".join(lines), encoding="utf-8")
    np.testing.assert_array_equal(sources.load([str(tmp_path / "a.csv")]).amount, [1.5, 2])


def test_a_line_break_within_quotes_is_part_of_a_cell(tmp_path: pathlib.Path) -> None:
    path = write(tmp_path / "a.csv", shop(channel=["web\nor not", "a,b", 'a "b"', "web", "web", "pos"]))
    found = sources.load([path], schema=SHOP)
    assert found.categorical["channel"].tolist() == ["web\nor not", "a,b", 'a "b"', "web", "web", "pos"]


def test_types_of_parquet_that_csv_has_not_are_read(tmp_path: pathlib.Path) -> None:
    table = pa.table(
        {
            "time": pa.array([1_600_000_000_123_456_789, 1_600_000_001_000_000_000], pa.timestamp("ns", "Asia/Tokyo")),
            "amount": pa.array([decimal.Decimal("1.25"), decimal.Decimal("3.50")]),
            "card_id": pa.array(["a", "b"], pa.large_string()),
            "merchant_id": pa.array(["x", "y"]).dictionary_encode(),
            "channel": pa.array(["p", "q"], pa.string_view()),
            "abroad": pa.array([True, None]),
            "items": pa.array([[1], [2, 3]]),
            "is_fraud": pa.array([True, False]),
        }
    )
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    found = sources.load([str(tmp_path / "a.parquet")])
    assert found.time.tolist() == [1_600_000_000_123_456, 1_600_000_001_000_000]
    assert found.amount.tolist() == [1.25, 3.5]
    assert {role: values.tolist() for role, values in found.entities.items()} == {
        "card": ["a", "b"],
        "merchant": ["x", "y"],
    }
    assert {name: values.tolist() for name, values in found.categorical.items()} == {
        "channel": ["p", "q"],
        "abroad": ["True", ""],
    }
    assert found.labels.tolist() == [1, 0]


def test_missing_features_stay_missing(tmp_path: pathlib.Path) -> None:
    table = shop(distance_km=[1, None, 3, 4, 5, 6], channel=["web", None, "", "web", "web", "pos"])
    for name in ("a.csv", "a.parquet"):
        found = sources.load([write(tmp_path / name, table)], schema=SHOP)
        assert np.isnan(found.numeric["distance_km"]).tolist() == [False, True, False, False, False, False]
        assert found.categorical["channel"].tolist() == ["web", "", "", "web", "web", "pos"]


# Order, unions, weights, a run's schema


def test_unsorted_rows_are_sorted_stably_and_counted(tmp_path: pathlib.Path) -> None:
    hours = [3, 1, 1, 5, 4, 5]
    table = shop(booked_at=[f"2024-03-01 {hour:02d}:00:00" for hour in hours])
    found = sources.load([write(tmp_path / "a.csv", table)])
    assert found.ids.tolist() == [12, 13, 11, 15, 14, 16]
    assert found.entities["card"].tolist() == ["C2", "C1", "C1", "C2", "C3", "C1"]
    assert "a.csv: 3 of 6 rows stood after a later one: sorted by booked_at" in found.notes


def test_parts_of_a_folder_are_joined_in_the_order_of_their_names(
    tmp_path: pathlib.Path, payments: pd.DataFrame
) -> None:
    for number, rows in enumerate(np.array_split(np.arange(len(payments)), 3)):
        write(tmp_path / f"part-{number}.parquet", payments.iloc[rows])
    (tmp_path / ".hidden.parquet").write_text("x")
    found = sources.load([str(tmp_path)])
    same(found, sources.load(["card-simulator"], world=WORLD))
    assert not any("sorted" in note for note in found.notes)


def test_a_folder_of_csv_and_parquet_is_refused(tmp_path: pathlib.Path) -> None:
    write(tmp_path / "a.csv", shop())
    write(tmp_path / "a.parquet", shop())
    with pytest.raises(errors.InputError, match="parts of one kind"):
        sources.load([str(tmp_path)])


def test_several_sources_are_one_in_order_of_time(tmp_path: pathlib.Path) -> None:
    table = shop()
    one, other = write(tmp_path / "a.csv", table[::2]), write(tmp_path / "b.csv", table[1::2])
    found = sources.load([other, one], schema=SHOP, labelled=False)
    whole = sources.load([write(tmp_path / "c.csv", table)], schema=SHOP)
    same(found, whole)
    assert found.sha256 == whole.sha256
    assert (found.name, found.notes) == ("b.csv + a.csv", ())


def test_names_that_are_numbers_in_one_source_and_text_in_another_are_text(tmp_path: pathlib.Path) -> None:
    one = write(tmp_path / "a.csv", shop(card_id=[1, 2, None, 1, 2, 1]))
    other = write(tmp_path / "b.csv", shop(tx_id=["x1", "x2", "x3", "x4", "x5", "x6"]))
    found = sources.load([one, other], schema=SHOP)
    assert set(found.entities["card"]) == {"1", "2", "", "C1", "C2", "C3"}
    assert set(found.ids[:2]) == {"11", "x1"}
    assert found.entities["merchant"].dtype == np.int64


def test_an_id_of_two_sources_is_refused_with_both_places(tmp_path: pathlib.Path) -> None:
    one = write(tmp_path / "a.csv", shop())
    other = write(tmp_path / "b.csv", shop(tx_id=[21, 22, 23, 24, 13, 26]))
    with pytest.raises(
        errors.InputError, match=r"b\.csv: row 5, column 'tx_id'.*13, which also stands in .*a\.csv: row 3$"
    ):
        sources.load([one, other])


def test_sources_of_two_formats_are_refused(tmp_path: pathlib.Path) -> None:
    one, other = write(tmp_path / "a.csv", paysim()), write(tmp_path / "b.csv", shop())
    with pytest.raises(errors.InputError, match=r"b\.csv: expected the columns of paysim"):
        sources.load([one, other])


def test_rows_without_ids_are_numbered_over_all_files(tmp_path: pathlib.Path) -> None:
    table = shop(tx_id=None)
    paths = [write(tmp_path / "a.csv", table[:4]), write(tmp_path / "b.csv", table[4:])]
    schema = dataclasses.replace(SHOP, id=None)
    assert sources.load(paths, schema=schema).ids.tolist() == [1, 2, 3, 4, 5, 6]
    assert [chunk.ids.tolist() for chunk in sources.iterate(paths, schema, chunk_rows=3)] == [[1, 2, 3], [4], [5, 6]]


def test_weights_come_from_a_number_or_a_column(tmp_path: pathlib.Path) -> None:
    path = write(tmp_path / "a.csv", shop(weight=[1, 2, 3, 4, 5, 6], is_fraud=[0, 0, None, 0, 1, 0]))
    np.testing.assert_array_equal(sources.load([path], normal_weight=14.5).weights, [14.5, 14.5, 14.5, 14.5, 1, 14.5])
    found = sources.load([path], reading=sources.Reading(weight="weight"))
    np.testing.assert_array_equal(found.weights, [1, 2, 3, 4, 5, 6])
    assert (found.schema.weight, "weight" in found.numeric) == ("weight", False)
    with pytest.raises(errors.InputError, match="not both"):
        sources.load([path], normal_weight=2.0, reading=sources.Reading(weight="weight"))
    with pytest.raises(errors.InputError, match=r"above 0\. Received: 0"):
        sources.load([path], normal_weight=0)
    with pytest.raises(errors.InputError, match=r"a table without count; it has"):
        sources.load([path], reading=sources.Reading(weight="count"))


def test_the_delay_of_labels_can_be_set(tmp_path: pathlib.Path) -> None:
    path = write(tmp_path / "a.csv", shop())
    assert sources.load([path], reading=sources.Reading(label_delay_days=3)).schema.label_delay_days == 3


def test_the_schema_of_a_run_forgives_what_only_training_needs(tmp_path: pathlib.Path, payments: pd.DataFrame) -> None:
    run = sources.load(["card-simulator"], world=WORLD)
    bare = payments.drop(columns=["TX_FRAUD", "TX_FRAUD_SCENARIO", "CUSTOMER_REGION"])
    found = sources.load([write(tmp_path / "a.csv", bare)], schema=run.schema, labelled=False)
    assert set(found.labels) == {UNKNOWN}
    assert (found.groups, found.scenarios, found.schema.label) == (None, None, None)
    assert "TX_FRAUD (label), CUSTOMER_REGION (group), TX_FRAUD_SCENARIO (scenario)" in found.notes[0]
    with pytest.raises(errors.InputError, match=r"expected genuine transactions and frauds in a column of labels"):
        sources.load([str(tmp_path / "a.csv")], schema=run.schema)


# Streams


@pytest.mark.parametrize("name", ["a.csv", "a.parquet", "a.csv.gz"])
def test_a_stream_gives_what_a_whole_load_gives(tmp_path: pathlib.Path, payments: pd.DataFrame, name: str) -> None:
    path = write(tmp_path / name, payments)
    whole = sources.load([path])
    parts = list(sources.iterate([path], whole.schema, chunk_rows=100))
    assert [len(part) for part in parts[:-1]] == [100] * (len(parts) - 1)
    same(transactions.concatenate(parts), whole)


def test_a_stream_of_the_simulator_is_its_days() -> None:
    whole = sources.load(["card-simulator"], world=simulator.World(customers=5, days=183))
    fitting = formats.known("card-simulator", simulator.COLUMNS, where="")
    assert whole.schema == fitting
    first = next(sources.iterate(["card-simulator"], fitting))
    assert set(first.days) == {17_622}


def test_a_stream_refuses_a_row_that_is_older_than_the_one_before(tmp_path: pathlib.Path) -> None:
    booked = shop()["booked_at"].tolist()
    booked[3] = "2024-03-01 00:30:00"
    path = write(tmp_path / "a.csv", shop(booked_at=booked))
    for rows in (3, 6):
        with pytest.raises(
            errors.InputError, match=r"a\.csv: row 4, column 'booked_at': .*sort the rows.*2024-03-01T00:30"
        ):
            list(sources.iterate([path], SHOP, chunk_rows=rows))
    paths = [write(tmp_path / "c.csv", shop()[3:]), write(tmp_path / "d.csv", shop()[:3])]
    with pytest.raises(errors.InputError, match=r"d\.csv: row 1, column 'booked_at'"):
        list(sources.iterate(paths, SHOP))


@pytest.mark.parametrize("rows", [2, 3, 6])
def test_a_stream_refuses_an_id_that_comes_again_soon(tmp_path: pathlib.Path, rows: int) -> None:
    path = write(tmp_path / "a.csv", shop(tx_id=[1, 2, 3, 3, 5, 6]))
    with pytest.raises(errors.InputError, match=r"a\.csv: row 4, column 'tx_id'.*Received: 3.*a\.csv: row 3$"):
        list(sources.iterate([path], SHOP, chunk_rows=rows))


def test_a_stream_keeps_the_type_of_names(tmp_path: pathlib.Path) -> None:
    path = write(tmp_path / "a.csv", shop(card_id=["C1", "2", "3", "4", "5", "6"], shop_id=[1, 2, None, None, 5, 6]))
    found = transactions.concatenate(list(sources.iterate([path], SHOP, chunk_rows=2)))
    assert found.entities["card"].tolist() == ["C1", "2", "3", "4", "5", "6"]
    assert found.entities["merchant"].tolist() == [1, 2, -1, -1, 5, 6]
    path = write(tmp_path / "b.csv", shop(card_id=["1", "2", "3", "C4", "5", "6"]))
    with pytest.raises(errors.InputError, match=r"b\.csv: row 4, column 'card_id': .*in one type.*Received: 'C4'"):
        list(sources.iterate([path], SHOP, chunk_rows=3))


def test_a_stream_needs_no_labels(tmp_path: pathlib.Path) -> None:
    path = write(tmp_path / "a.csv", shop(is_fraud=None, tx_id=None))
    found = transactions.concatenate(list(sources.iterate([path], SHOP, chunk_rows=4)))
    assert set(found.labels) == {UNKNOWN}
    assert found.ids.tolist() == [1, 2, 3, 4, 5, 6]
    with pytest.raises(errors.InputError, match=r"a table without channel"):
        list(sources.iterate([write(tmp_path / "b.csv", shop(channel=None))], SHOP))


def test_a_history_keeps_its_labels_before_rows_without(tmp_path: pathlib.Path) -> None:
    earlier = write(tmp_path / "a.csv", shop()[:3].assign(is_fraud=[0, 1, 0], region="north"))
    later = write(tmp_path / "b.csv", shop(is_fraud=None)[3:])
    schema = dataclasses.replace(SHOP, group="region")
    streamed = transactions.concatenate(list(sources.iterate([earlier, later], schema)))
    loaded = sources.load([earlier, later], schema=schema, labelled=False)
    for found in (streamed, loaded):
        assert found.labels.tolist() == [0, 1, 0, UNKNOWN, UNKNOWN, UNKNOWN]
        assert found.groups is not None
        assert found.groups.tolist() == ["north"] * 3 + [""] * 3
        assert found.ids.tolist() == [11, 12, 13, 14, 15, 16]


def test_tables_come_whole_or_in_pieces(tmp_path: pathlib.Path, payments: pd.DataFrame) -> None:
    path = pathlib.Path(write(tmp_path / "a.parquet", payments))
    assert tables.columns(path) == simulator.COLUMNS
    assert tables.read(path, ["TX_AMOUNT"])["TX_AMOUNT"].tolist() == payments["TX_AMOUNT"].tolist()
    assert [len(frame) for frame in tables.chunks(path, 300)][:1] == [300]
    empty = pathlib.Path(write(tmp_path / "b.csv", payments[:0]))
    assert tables.read(empty).columns.tolist() == list(simulator.COLUMNS)


@pytest.mark.realdata
@pytest.mark.skipif("FIELDNETS_REAL_DATA" not in os.environ, reason="needs FIELDNETS_REAL_DATA")
def test_the_real_sample_of_ulb_is_read() -> None:
    path = pathlib.Path(os.environ["FIELDNETS_REAL_DATA"]) / "fraud" / "creditcard_early.csv.gz"
    found = sources.load([str(path)], normal_weight=14.611)
    assert (len(found), int(found.labels.sum())) == (11_915, 342)
    assert 0.0015 < found.labels @ found.weights / found.weights.sum() < 0.0025
