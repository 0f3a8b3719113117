"""Tables as other people's programs write them: what is read, what is refused with its row, and what is noted."""

import bz2
import contextlib
import dataclasses
import datetime
import decimal
import gzip
import logging
import lzma
import os
import pathlib
import re
import uuid
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest

from apps.fraud_detection import __main__, config, data, feedback, folds, schema, transactions
from apps.fraud_detection.readers import formats, inference, parts, schema_choice, sources
from apps.fraud_detection.readers import names as column_names
from shared import errors
from shared.sources import columns, tables

ROWS = 60
Reading = sources.Reading


def table(**changes: Any) -> pd.DataFrame:
    """Sixty rows of five days, twelve a day, every tenth a fraud."""
    rng = np.random.default_rng(0)
    start = np.datetime64("2023-02-10T08:30:15", "s")
    content = {
        "transaction_id": [f"t{row}" for row in range(ROWS)],
        "timestamp": (start + np.arange(ROWS) * np.timedelta64(2, "h")).astype(str),
        "card_id": [f"c{row % 7}" for row in range(ROWS)],
        "merchant_id": [f"m{row % 11}" for row in range(ROWS)],
        "amount": np.round(rng.uniform(1, 400, ROWS), 2),
        "country": ["FR", "DE", "NA"] * (ROWS // 3),
        "risk": np.round(rng.normal(size=ROWS), 3),
        "is_fraud": [int(row % 10 == 0) for row in range(ROWS)],
    }
    return pd.DataFrame({name: values for name, values in {**content, **changes}.items() if values is not None})


def write(path: pathlib.Path, content: pd.DataFrame, **options: Any) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        content.to_parquet(path)
    else:
        content.to_csv(path, index=False, **options)
    return str(path)


def load(path: str | pathlib.Path, **reading: Any) -> transactions.Transactions:
    return sources.load([str(path)], reading=Reading(**reading))


def refusal(path: str | pathlib.Path, **reading: Any) -> str:
    with pytest.raises(errors.InputError) as caught:
        load(path, **reading)
    return str(caught.value)


def changed(name: str, row: int, value: Any) -> pd.DataFrame:
    """The table with one cell (row from 1) in a way of its own."""
    found = table()
    found[name] = found[name].astype(object)
    found.loc[row - 1, name] = value
    return found


def same_rows(one: transactions.Transactions, other: transactions.Transactions) -> None:
    np.testing.assert_array_equal(one.time, other.time)
    np.testing.assert_allclose(one.amount, other.amount)
    np.testing.assert_array_equal(one.labels, other.labels)
    np.testing.assert_array_equal(one.payers, other.payers)
    assert {name: values.tolist() for name, values in one.categorical.items()} == {
        name: values.tolist() for name, values in other.categorical.items()
    }


# Roles go by name


@pytest.mark.parametrize(
    ("name", "value", "decoy", "expected"),
    [
        ("amount", "1,234.50", {"total_fee": 0.35}, "an amount"),
        ("amount", "12,50", {"total_fee": 0.35}, "an amount"),
        ("amount", "$12.50", {"price": 1.0}, "an amount"),
        ("amount", "?", {"value": 1.0}, "an amount"),
        ("amount", "abc", {}, "an amount"),
        ("is_fraud", "pending", {"class": [0, 1] * 30}, "a label"),
        ("is_fraud", "2", {"chargeback": [0, 1] * 30}, "a label"),
        ("timestamp", "2023-02-30 10:00:00", {"settled_at": "2023-03-01 10:00:00"}, "a time such as"),
        ("timestamp", "unknown", {"date": "2023-03-01"}, "a time such as"),
        ("risk", "?", {}, "a number"),
    ],
)
def test_a_cell_that_fails_its_columns_role_is_refused_and_no_other_column_takes_the_role(
    tmp_path: pathlib.Path, name: str, value: str, decoy: dict[str, Any], expected: str
) -> None:
    path = write(tmp_path / "a.csv", changed(name, 31, value).assign(**decoy))
    message = refusal(path)
    assert message.startswith(f"{path}: row 31, column {name!r}: expected {expected}")
    assert f"Received: {value!r} (--" in message


@pytest.mark.parametrize(
    ("name", "decoy", "role"),
    [("amount", "total_fee", "amount"), ("is_fraud", "chargeback", "label"), ("timestamp", "settled_at", "time")],
)
def test_no_other_column_takes_a_role_from_one_that_holds_records_or_that_a_file_lacks(
    tmp_path: pathlib.Path, name: str, decoy: str, role: str
) -> None:
    whole = table()
    content = whole.assign(**{decoy: whole[name]})
    records: dict[str, Any] = {name: [{"value": value} for value in content[name]]}
    nested = content.assign(**records)
    path = write(tmp_path / "nested.parquet", nested)
    assert refusal(path).startswith(f"{path}: column {name!r}: expected one {role} a row. Received: lists or records")
    kept = load(path, **{role: decoy}).schema
    assert getattr(kept, role) == decoy
    folder = tmp_path / "parts"
    write(folder / "a.csv", content[:30])
    write(folder / "b.csv", content[30:].drop(columns=name))
    assert refusal(folder).startswith(f"{folder / 'b.csv'}: expected the column {name!r} ({role}), as {folder}")


def test_a_feature_that_a_file_lacks_is_told_with_the_file(tmp_path: pathlib.Path) -> None:
    write(tmp_path / "a.csv", table()[:30].assign(transaction_amount=1.0))
    write(tmp_path / "b.csv", table()[30:].drop(columns="risk"))
    found = load(tmp_path)
    told = dict(found.roles)
    # Of two amounts the one that all files have is meant: no fault.
    assert (found.schema.amount, told["risk"]) == ("amount", f"not read: {tmp_path / 'b.csv'} has no such column")


def test_negative_amounts_are_read_as_accounting_and_sap_write_them(tmp_path: pathlib.Path) -> None:
    plain = table()["amount"].where(np.arange(ROWS) % 9 != 0, -table()["amount"])
    for form in ("({:.2f})", "{:.2f}-"):
        written = [form.format(-value) if value < 0 else f"{value:.2f}" for value in plain]
        np.testing.assert_allclose(load(write(tmp_path / "a.csv", table(amount=written))).amount, plain)
    one = ["(12.50)" if row == 4 else "12.50" for row in range(ROWS)]
    assert "row 5, column 'amount'" in refusal(write(tmp_path / "a.csv", table(amount=one)))
    marks = ["2-" if row % 3 else "2" for row in range(ROWS)]
    assert load(write(tmp_path / "a.csv", table(mark=marks))).schema.categorical == ("country", "mark")


def test_points_that_must_be_thousands_are_not_read_as_fractions(tmp_path: pathlib.Path) -> None:
    values = [row * 137 + 5 for row in range(ROWS)]
    path = write(tmp_path / "a.csv", table(amount=[f"{value:,}".replace(",", ".") for value in values]))
    assert refusal(path).startswith(f"{path}: row 9, column 'amount': expected an amount whose point is stated")
    np.testing.assert_array_equal(load(path, decimal="comma").amount, values)
    assert load(path, decimal="point").amount.max() == 964
    # Fractions of three digits: one of them ends in a zero, or whole ones have their zeros.
    for fractions in ([f"{value / 1000 + 1:g}" for value in values], [f"{value / 10 + 1:.3f}" for value in values]):
        found = load(write(tmp_path / "b.csv", table(amount=fractions)))
        np.testing.assert_allclose(found.amount, [float(each) for each in fractions])


def test_null_of_databases_is_nothing_among_numbers_and_labels_and_a_name_among_names(tmp_path: pathlib.Path) -> None:
    content = table(risk=[r"\N" if row == 3 else "0.5" for row in range(ROWS)]).astype({"is_fraud": object})
    content.loc[4, "is_fraud"] = r"\N"
    content.loc[5, "country"] = r"\N"
    found = load(write(tmp_path / "a.tsv", content, sep="\t"))
    assert np.flatnonzero(np.isnan(found.numeric["risk"])).tolist() == [3]
    assert np.flatnonzero(found.labels == transactions.UNKNOWN).tolist() == [4]
    assert found.categorical["country"][5] == r"\N"


def test_a_column_without_a_name_is_told(tmp_path: pathlib.Path) -> None:
    table().to_csv(tmp_path / "a.csv")
    assert "columns not read: (no name)" in load(tmp_path / "a.csv").notes


@pytest.mark.parametrize(("value", "is_category"), [("?", False), ("-", False), ("3+", True)])
def test_a_mark_among_few_numbers_is_no_category_but_a_word_is(
    tmp_path: pathlib.Path, value: str, is_category: bool
) -> None:
    path = write(tmp_path / "a.csv", table(visits=[value, *[str(row % 4) for row in range(1, ROWS)]]))
    if is_category:
        assert "visits" in load(path).categorical
    else:
        assert f"row 1, column 'visits': expected a number. Received: {value!r}" in refusal(path)


def test_a_bad_cell_far_behind_the_sample_has_its_row(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema_choice, "_SAMPLE_ROWS", 20)
    monkeypatch.setattr(parts, "CHUNK_ROWS", 16)
    for name in ("amount", "risk"):
        assert f"row 55, column {name!r}" in refusal(write(tmp_path / "a.csv", changed(name, 55, "?")))


@pytest.mark.parametrize("words", [("Y", "N"), ("t", "f"), ("yes", "no"), ("True", "False"), ("1.0", "0.0")])
def test_yes_and_no_are_labels_in_every_spelling(tmp_path: pathlib.Path, words: tuple[str, str]) -> None:
    content = table()
    spelt = content.assign(is_fraud=np.where(content["is_fraud"] == 1, *words), chargeback=0)
    found = load(write(tmp_path / "a.csv", spelt))
    np.testing.assert_array_equal(found.labels, content["is_fraud"])
    assert (found.schema.label, "chargeback" in found.numeric) == ("is_fraud", False)
    assert dict(found.roles)["chargeback"].startswith("not read: its name is about frauds")


def test_f_beside_n_could_be_a_fraud_and_is_refused(tmp_path: pathlib.Path) -> None:
    spelt = ["f", "n", "f", *["n"] * (ROWS - 3)]
    assert "row 1, column 'is_fraud': expected a clear label" in refusal(
        write(tmp_path / "a.csv", table(is_fraud=spelt))
    )


def european(value: float) -> str:
    return f"{value:,.2f}".translate(str.maketrans(",.", ".,"))


@pytest.mark.parametrize(
    ("spell", "written", "note"),
    [
        (lambda value: f"${value:,.2f}", "point $", "in $"),
        (lambda value: f"{value:,.2f}", "point", "thousands separators"),
        (european, "comma", "decimal commas"),
        (lambda value: f"{european(value)} €", "comma €", "decimal commas, in €"),
        (lambda value: f"EUR {value:.2f}", "point EUR", "in EUR"),
    ],
)
@pytest.mark.parametrize("kind", [".csv", ".parquet"])
def test_numbers_that_all_rows_write_alike_are_read_and_told(
    tmp_path: pathlib.Path, spell: Callable[[float], str], written: str, note: str, kind: str
) -> None:
    content = table()
    content["amount"] *= 10
    plain = load(write(tmp_path / "plain.csv", content))
    spelt = content.assign(amount=[spell(value) for value in content["amount"]])
    found = load(write(tmp_path / f"a{kind}", spelt, **({"sep": ";"} if kind == ".csv" else {})))
    same_rows(found, plain)
    assert found.schema.decimal == {"amount": written}
    assert any(note in each for each in found.notes)
    # A run's schema reads later rows by the same convention, piece by piece, and refuses others.
    later = write(tmp_path / "later.csv", spelt.drop(columns="is_fraud"), sep=";")
    pieces = list(sources.iterate([later], found.schema, chunk_rows=7))
    np.testing.assert_allclose(transactions.concatenate(pieces).amount, plain.amount)
    slip = spelt.assign(amount=["1/2", *spelt["amount"][1:]])
    with pytest.raises(errors.InputError, match=r"row 1, column 'amount'.*Received: '1/2'"):
        list(sources.iterate([write(tmp_path / "slip.csv", slip, sep=";")], found.schema))


def test_a_convention_is_decided_over_all_rows_and_files(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema_choice, "_SAMPLE_ROWS", 10)
    content = table()
    spelt = content.assign(amount=[f"{value:,.2f}" for value in content["amount"].where(content.index < 50, 5000.5)])
    write(tmp_path / "a" / "1.csv", spelt[:30])
    write(tmp_path / "a" / "2.csv", spelt[30:])
    assert load(tmp_path / "a").amount[-1] == 5000.5
    mixed = spelt.assign(amount=[*spelt["amount"][:-1], "1.234,50"])
    assert "row 60, column 'amount'" in refusal(write(tmp_path / "b.csv", mixed))


def test_what_cells_alone_do_not_settle_an_option_does(tmp_path: pathlib.Path) -> None:
    spelt = [f"{1 + row},{100 + row}" for row in range(ROWS)]
    path = write(tmp_path / "a.csv", table(amount=spelt))
    assert "--decimal" in refusal(path)
    np.testing.assert_allclose(load(path, decimal="comma").amount[:2], [1.1, 2.101])
    np.testing.assert_allclose(load(path, decimal="point").amount[:2], [1100, 2101])
    plain = load(write(tmp_path / "b.csv", table())).schema
    (streamed,) = sources.iterate([path], plain, reading=Reading(decimal="comma"))
    np.testing.assert_allclose(streamed.amount[:2], [1.1, 2.101])


def test_columns_can_be_named_on_the_command_line(tmp_path: pathlib.Path) -> None:
    content = table(chargeback=[int(row % 6 == 0) for row in range(ROWS)], fee=1.5, settled="2023-03-01")
    path = write(tmp_path / "a.csv", content)
    found = load(path, label="chargeback", amount="fee", time="settled")
    assert (found.schema.label, found.schema.amount, found.schema.time) == ("chargeback", "fee", "settled")
    assert found.labels.sum() == 10
    assert "is_fraud" not in found.numeric
    assert "without nothing; it has" in refusal(path, label="nothing")


def test_data_tells_the_role_of_every_column(tmp_path: pathlib.Path) -> None:
    content = table(street=[f"street {row}" for row in range(ROWS)], booking_date="2023-05-01", fraud_type="x")
    roles = dict(load(write(tmp_path / "a.csv", content.reset_index())).roles)
    assert roles == {
        "index": "not read: it numbers the rows",
        "transaction_id": "id",
        "timestamp": "time (datetime)",
        "card_id": "card",
        "merchant_id": "merchant",
        "amount": "amount",
        "country": "feature: category",
        "risk": "feature: number",
        "is_fraud": "label",
        "street": roles["street"],
        "booking_date": "not read: another time",
        "fraud_type": "not read: its name is about frauds, which could give the label away",
    }
    assert roles["street"].startswith("not read: empty, or too many different names")


def test_names_that_may_mean_something_else_are_no_reason_to_refuse() -> None:
    content = table(
        first_time_customer=["yes", "no"] * 30, amount_band=["low", "high"] * 30, merchant_class=["x", "y"] * 30
    )
    found = inference.infer(content)
    assert (found.time, found.amount, found.label) == ("timestamp", "amount", "is_fraud")
    assert {"first_time_customer", "amount_band", "merchant_class"} <= set(found.categorical)


# Keys


@pytest.mark.parametrize("digits", [7, 10, 16, 19])
@pytest.mark.parametrize("kind", [".csv", ".parquet"])
def test_the_size_of_an_id_costs_nothing(tmp_path: pathlib.Path, digits: int, kind: str) -> None:
    cards = [10 ** (digits - 1) + 13 * (row % 7) for row in range(ROWS)]
    found = load(write(tmp_path / f"a{kind}", table(card_id=cards)))
    named = load(write(tmp_path / "b.csv", table(card_id=[f"x{card}" for card in cards])))
    assert found.payers.max() == 6
    for rows in (found, named):
        blocked = folds.compromised(rows, np.arange(ROWS), since=int(rows.days[0]), delay=1)
        for row in range(ROWS):
            known = [row % 7 == fraud % 7 and rows.days[fraud] < rows.days[row] - 1 for fraud in range(0, ROWS, 10)]
            assert blocked[row] == any(known)
    books, other = found.books().entities["card"], named.books().entities["card"]
    assert len(np.unique(np.stack([books, other]), axis=1).T) == 7


def test_ids_above_what_numbers_hold_stay_names_and_cut_ones_are_told(tmp_path: pathlib.Path) -> None:
    huge = pd.array([2**64 - 1 - row % 7 for row in range(ROWS)], dtype="uint64")
    assert load(write(tmp_path / "a.parquet", table(card_id=huge))).entities["card"][0] == str(2**64 - 1)
    cut = load(write(tmp_path / "b.csv", table(card_id=["4.53958E+15"] * ROWS)))
    assert any("card_id is written as '4.53958E+15', as a spreadsheet does" in note for note in cut.notes)
    floats = load(write(tmp_path / "c.parquet", table(card_id=[4.0e18 + 1024 * row for row in range(ROWS)])))
    assert any("kept as numbers with a point" in note for note in floats.notes)


def test_codes_are_dense_in_the_order_of_the_values() -> None:
    assert transactions.codes(np.array([10**18, -1, 5, 10**18])).tolist() == [1, -1, 0, 1]
    assert transactions.codes(np.array([7, 5])).tolist() == [1, 0]


def test_one_file_given_twice_is_refused_by_whatever_name(tmp_path: pathlib.Path) -> None:
    path = pathlib.Path(write(tmp_path / "d" / "a.csv", table()))
    os.symlink(path, tmp_path / "link.csv")
    for specs in ([path, path], [path, tmp_path / "link.csv"], [tmp_path / "d", path]):
        with pytest.raises(errors.InputError, match="Expected each file once"):
            sources.load(list(map(str, specs)))
    with pytest.raises(errors.InputError, match="card-simulator twice"):
        sources.load(["card-simulator", "card-simulator"])


def test_copies_and_rows_that_come_again_are_told_where_no_id_does(tmp_path: pathlib.Path) -> None:
    content = table(transaction_id=None)
    one = write(tmp_path / "x" / "a.csv", content)
    copy = write(tmp_path / "y" / "a.parquet", content)
    with pytest.raises(errors.InputError, match=r"a\.parquet: expected rows of its own.*x/a\.csv"):
        sources.load([one, copy])
    half = write(tmp_path / "y" / "a.csv", content[40:])
    found = sources.load([one, half])
    assert found.name == f"{one} + {half}"
    assert f"{half}: 20 of 20 rows stand in a file before it, too; all are kept" in found.notes


def test_an_id_that_comes_twice_is_an_error_and_no_feature(tmp_path: pathlib.Path) -> None:
    path = write(tmp_path / "a.csv", changed("transaction_id", 31, "t5"))
    assert "row 31, column 'transaction_id': expected an id that occurs once. Received: t5" in refusal(path)


def ieee(folder: pathlib.Path, keys: list[Any], *, names: Callable[[str], str] = str) -> pathlib.Path:
    rng = np.random.default_rng(0)
    content = pd.DataFrame(
        {
            "TransactionID": range(100, 100 + ROWS),
            "isFraud": [int(row % 10 == 0) for row in range(ROWS)],
            "TransactionDT": range(86_400, 86_400 + ROWS),
            "TransactionAmt": rng.uniform(1, 9, ROWS),
            "ProductCD": "W",
            "card1": [row % 7 for row in range(ROWS)],
        }
    )
    identity = pd.DataFrame({"TransactionID": keys, "id_01": range(len(keys)), "DeviceType": "mobile"})
    write(folder / "train_transaction.csv", content.rename(columns=names))
    write(folder / "train_identity.csv", identity.rename(columns=names))
    return folder


@pytest.mark.parametrize("keys", [[103, 107], [103.0, 107.0], ["103", "107"], ["103.0", "107.0"]])
def test_identities_meet_their_transactions_however_ids_are_written(tmp_path: pathlib.Path, keys: list[Any]) -> None:
    found = load(ieee(tmp_path / "i", keys))
    assert np.flatnonzero(np.isfinite(found.numeric["id_01"])).tolist() == [3, 7]
    assert found.numeric["id_01"][[3, 7]].tolist() == [0, 1]
    assert any("2 of 2 identities belong to a transaction; 58 of 60" in note for note in found.notes)


def test_identities_of_nobody_or_of_one_id_twice_are_refused(tmp_path: pathlib.Path) -> None:
    assert "none of whose TransactionID is one of its 60" in refusal(ieee(tmp_path / "a", [1, 2]))
    message = refusal(ieee(tmp_path / "b", [103, 105, 103.0]))
    assert "train_identity.csv: row 3, column 'TransactionID'" in message
    assert "which also stands in row 1" in message


# Known formats by any spelling


def snake(name: str) -> str:
    return "_".join(column_names.words(name)) if not name[-1].isdigit() else name.lower()


@pytest.mark.parametrize("spell", [str.upper, snake, lambda name: f"{name} "])
def test_paysim_is_recognised_and_its_leaking_columns_are_never_features(
    tmp_path: pathlib.Path, spell: Callable[[str], str]
) -> None:
    rng = np.random.default_rng(0)
    content = pd.DataFrame(
        {
            "step": range(1, ROWS + 1),
            "type": "TRANSFER",
            "amount": rng.uniform(1, 9, ROWS),
            "nameOrig": [f"C{row % 7}" for row in range(ROWS)],
            "oldbalanceOrg": 1.0,
            "newbalanceOrig": 2.0,
            "nameDest": [f"M{row % 9}" for row in range(ROWS)],
            "oldbalanceDest": 3.0,
            "newbalanceDest": 4.0,
            "isFraud": [int(row % 10 == 0) for row in range(ROWS)],
            "isFlaggedFraud": 0,
        }
    )
    plain = load(write(tmp_path / "plain.csv", content))
    renamed = content.rename(columns=spell)
    found = load(write(tmp_path / "a.csv", renamed))
    assert found.schema == plain.schema
    same_rows(found, plain)
    roles = dict(found.roles)
    assert list(roles) == list(renamed.columns)
    assert sum("not read: it gives the label away" in role for role in roles.values()) == 5
    # A run reads both spellings, and a message names the column as the file does.
    bad = renamed.assign(**{renamed.columns[2]: ["x", *["1"] * (ROWS - 1)]})
    with pytest.raises(errors.InputError, match=f"row 1, column '{renamed.columns[2]}'"):
        list(sources.iterate([write(tmp_path / "b.csv", bad)], plain.schema))
    own = load(write(tmp_path / "c.csv", renamed.drop(columns=renamed.columns[3])), data_format="table")
    assert not set(own.numeric) & set(renamed.columns[[4, 5, 7, 8, 10]])


@pytest.mark.parametrize("name", list(formats.KNOWN))
@pytest.mark.parametrize("spell", [str.upper, str.lower, lambda name: name.replace("_", "-"), lambda name: f" {name}"])
def test_every_known_format_is_recognised_in_other_spellings(name: str, spell: Callable[[str], str]) -> None:
    own = [spell(column) for column in formats.KNOWN[name].identifying]
    assert formats.recognise(own) == name
    meant = formats.aliases(name, own)
    assert all(column in own or meant[column] == spell(column) for column in formats.KNOWN[name].identifying)


# Encodings, packing, quotation marks


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_unicode_of_every_kind_is_read(tmp_path: pathlib.Path, encoding: str) -> None:
    content = table(merchant_id=[f"Café {row % 11}" for row in range(ROWS)])
    plain = load(write(tmp_path / "plain.csv", content))
    same_rows(load(write(tmp_path / "a.csv", content, encoding=encoding)), plain)


def test_other_encodings_are_told_with_line_and_bytes(tmp_path: pathlib.Path) -> None:
    content = table(merchant_id=["m", "m", *["Café"] * (ROWS - 2)])
    message = refusal(write(tmp_path / "a.csv", content, encoding="cp1252"))
    assert "a.csv: line 4, byte " in message
    assert "Caf\\xe9" in message
    assert "cp1252" in message


def packed(path: pathlib.Path, content: bytes) -> None:
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("inner.csv", content)
    elif path.suffix == ".zst":
        with pa.output_stream(str(path), compression="zstd") as stream:
            stream.write(content)
    else:
        path.write_bytes({".gz": gzip, ".bz2": bz2, ".xz": lzma}[path.suffix].compress(content))


@pytest.mark.parametrize("suffix", [each for each in tables.PACKED_SUFFIXES if each])
def test_packed_tables_are_read_and_broken_ones_refused(tmp_path: pathlib.Path, suffix: str) -> None:
    content = table().to_csv(index=False).encode()
    (tmp_path / "a.csv").write_bytes(content)
    packed(tmp_path / f"b.csv{suffix}", content)
    same_rows(load(tmp_path / f"b.csv{suffix}"), load(tmp_path / "a.csv"))
    whole = (tmp_path / f"b.csv{suffix}").read_bytes()
    (tmp_path / f"c.csv{suffix}").write_bytes(whole[: len(whole) // 2])
    said = refusal(tmp_path / f"c.csv{suffix}")
    assert re.search("expected a (csv|packed) file that can be read to its end", said)


def test_a_zip_of_several_files_is_refused_by_their_names(tmp_path: pathlib.Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.csv.zip", "w") as archive:
        archive.writestr("one.csv", "a\n1\n")
        archive.writestr("two.csv", "a\n1\n")
    assert "expected a zip of one table" in refusal(tmp_path / "a.csv.zip")


def test_a_quoted_header_with_delimiters_in_it_is_read(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "a.csv"
    content = table().rename(columns={"risk": "risk; a, b, c, d, e, f, g"})
    content.to_csv(path, index=False, sep=";", quoting=1)
    assert list(load(path).numeric) == ["risk; a, b, c, d, e, f, g"]


@pytest.mark.parametrize("cells", [('"m 5', '"m 6'), ('"m" 5', "m6"), ('"m 5', "m6")])
def test_a_mark_that_is_not_closed_is_refused_with_its_row_whoever_reads(
    tmp_path: pathlib.Path, cells: tuple[str, str]
) -> None:
    whole = load(write(tmp_path / "whole.csv", table()))
    lines = (tmp_path / "whole.csv").read_text().splitlines()
    for row, cell in zip((50, 51), cells, strict=True):
        lines[row] = lines[row].replace(f",m{(row - 1) % 11},", f",{cell},")
    (tmp_path / "a.csv").write_text("\n".join(lines))
    assert "a.csv: row 50, line 51: expected quotation marks that are closed" in refusal(tmp_path / "a.csv")
    with pytest.raises(errors.InputError, match="row 50, line 51"):
        list(sources.iterate([str(tmp_path / "a.csv")], whole.schema, chunk_rows=9))


def test_as_many_rows_come_out_as_are_counted(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.csv", table(merchant_id=["a\nb", 'say "no"', *["m"] * (ROWS - 2)]))
    assert load(path).entities["merchant"][:2].tolist() == ["a\nb", 'say "no"']
    monkeypatch.setattr(tables, "_count", lambda *_: ROWS + 1)
    assert "expected 61 rows, as many as records. Received: 60" in refusal(path)


# Names and nothing


@pytest.mark.parametrize("word", ["NA", "null", "None", "nan", "N/A", "NULL"])
def test_a_word_for_nothing_is_a_name_among_names_in_csv_as_in_parquet(tmp_path: pathlib.Path, word: str) -> None:
    content = table(country=[word, "FR", None] * 20, card_id=[word, "c1", "c2"] * 20)
    found = [load(write(tmp_path / name, content)) for name in ("a.csv", "a.parquet")]
    for each in found:
        assert each.categorical["country"].tolist() == [word, "FR", ""] * 20
        assert set(each.entities["card"]) == {word, "c1", "c2"}
    assert found[0].sha256 == found[1].sha256


@pytest.mark.parametrize("word", ["NA", "null", " NaN ", "#N/A", ""])
def test_a_word_for_nothing_is_nothing_among_numbers_and_labels(tmp_path: pathlib.Path, word: str) -> None:
    content = changed("risk", 7, word)
    content["is_fraud"] = content["is_fraud"].astype(object)
    content.loc[8, "is_fraud"] = word
    found = load(write(tmp_path / "a.csv", content))
    assert np.flatnonzero(np.isnan(found.numeric["risk"])).tolist() == [6]
    assert np.flatnonzero(found.labels == transactions.UNKNOWN).tolist() == [8]
    for name in ("amount", "timestamp"):
        assert f"row 3, column {name!r}" in refusal(write(tmp_path / "b.csv", changed(name, 3, word)))


# Dates


def spelt_times(form: str) -> list[str]:
    return pd.to_datetime(table()["timestamp"]).dt.strftime(form).tolist()


@pytest.mark.parametrize(
    ("form", "written"),
    [
        ("%d/%m/%Y %H:%M:%S", "day-first"),
        ("%d.%m.%Y %H:%M:%S", "day-first"),
        ("%m/%d/%Y %I:%M:%S %p", "month-first"),
        ("%Y/%m/%d %H:%M:%S", "auto"),
        ("%Y%m%d%H%M%S", "yyyymmdd"),
    ],
)
def test_calendar_times_are_read_by_the_one_rule_that_all_rows_show(
    tmp_path: pathlib.Path, form: str, written: str
) -> None:
    plain = load(write(tmp_path / "plain.csv", table()))
    path = write(tmp_path / "a.csv", table(timestamp=spelt_times(form)))
    found = load(path)
    np.testing.assert_array_equal(found.time, plain.time)
    assert found.schema.time_format == written
    pieces = list(sources.iterate([path], found.schema, chunk_rows=5))
    np.testing.assert_array_equal(transactions.concatenate(pieces).time, plain.time)


def test_the_rows_that_tell_the_day_may_stand_behind_the_sample(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema_choice, "_SAMPLE_ROWS", 10)
    path = write(tmp_path / "a.csv", table(timestamp=spelt_times("%d/%m/%Y %H:%M:%S")))
    assert load(path).schema.time_format == "day-first"
    slip = spelt_times("%d/%m/%Y %H:%M:%S")
    slip[-1] = "02/28/2023 10:00:00"
    message = refusal(write(tmp_path / "b.csv", table(timestamp=slip)))
    assert "row 60, column 'timestamp': expected a time such as 31/12/2018 13:05:00, the day first" in message


def test_dates_that_do_not_tell_the_day_need_an_option(tmp_path: pathlib.Path) -> None:
    spelt = [f"0{1 + row // 12}/02/2023 {row % 12:02d}:00" for row in range(ROWS)]
    path = write(tmp_path / "a.csv", table(timestamp=spelt))
    message = refusal(path)
    assert "column 'timestamp': expected dates of which one shows the day and the month (--time-format" in message
    assert "Received: '01/02/2023 00:00'" in message
    assert data.describe(load(path, time_format="day-first")).count("2023-02-05 11:00:00")
    assert data.describe(load(path, time_format="month-first")).count("2023-05-02 11:00:00")


@pytest.mark.parametrize("kind", [".csv", ".parquet"])
def test_dates_as_digits_and_days_of_spreadsheets_are_no_seconds(tmp_path: pathlib.Path, kind: str) -> None:
    days = pd.to_datetime(table()["timestamp"])
    digits = days.dt.strftime("%Y%m%d").astype(int)
    serials = (days - pd.Timestamp("1899-12-30")) / pd.Timedelta(days=1)
    found = load(write(tmp_path / f"a{kind}", table(timestamp=None, date=digits)))
    np.testing.assert_array_equal(found.time.view("M8[us]"), days.dt.normalize().to_numpy())
    found = load(write(tmp_path / f"b{kind}", table(timestamp=None, date=serials)))
    np.testing.assert_array_equal(found.time.view("M8[us]"), days.to_numpy())
    assert any("times are read as excel" in note for note in found.notes)
    wrong = digits.where(digits.index != 20, 20230230)
    assert "row 21, column 'date'" in refusal(write(tmp_path / f"c{kind}", table(timestamp=None, date=wrong)))


def test_numbers_in_a_column_of_dates_that_are_none_are_refused(tmp_path: pathlib.Path) -> None:
    path = write(tmp_path / "a.csv", table(timestamp=range(ROWS)))
    assert "row 1, column 'timestamp': expected a calendar time" in refusal(path)
    assert load(path, time_format="hours").time[-1] == 59 * 3_600_000_000
    unclear = write(tmp_path / "b.csv", table(timestamp=None, time=range(40_000, 40_000 + ROWS)))
    assert "row 1, column 'time': expected a time of a stated unit" in refusal(unclear)
    assert data.describe(load(unclear, time_format="excel")).count("2009-07-06 00:00:00")


@pytest.mark.parametrize("form", ["%H:%M:%S", "%I:%M:%S %p", "%H%M%S"])
@pytest.mark.parametrize("day", ["%Y-%m-%d", "%d/%m/%Y", "%Y%m%d"])
def test_a_date_and_its_time_of_day_in_two_columns_are_one(tmp_path: pathlib.Path, form: str, day: str) -> None:
    plain = load(write(tmp_path / "plain.csv", table()))
    path = write(tmp_path / "a.csv", table(timestamp=None, date=spelt_times(day), time=spelt_times(form)))
    found = load(path)
    np.testing.assert_array_equal(found.time, plain.time)
    assert found.schema.clock == "time"
    assert dict(found.roles)["time"] == "time of day"
    slip = [*spelt_times(form)[:-1], "noon"]
    bad = write(tmp_path / "b.csv", table(timestamp=None, date=spelt_times(day), time=slip))
    if form != "%H%M%S":
        assert "row 60, column 'time': expected a time of day such as 13:05:00. Received: 'noon'" in refusal(bad)


@pytest.mark.parametrize(("form", "option"), [("%d/%m/%Y", "day-first"), ("%Y-%m-%d", "auto"), ("%Y%m%d", "yyyymmdd")])
@pytest.mark.parametrize("column", ["date", None])
def test_an_option_about_the_date_keeps_the_time_of_day(
    tmp_path: pathlib.Path, form: str, option: str, column: str | None
) -> None:
    plain = load(write(tmp_path / "plain.csv", table()))
    path = write(tmp_path / "a.csv", table(timestamp=None, date=spelt_times(form), time=spelt_times("%H:%M:%S")))
    found = load(path, time=column, time_format=option)
    np.testing.assert_array_equal(found.time, plain.time)
    # A run's settings and its schema say the same again.
    reading = Reading(time=column, time_format=option)
    again = sources.load([path], reading=reading, schema=found.schema)
    np.testing.assert_array_equal(again.time, plain.time)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_times_of_day_as_numbers_may_have_lost_their_zeros(tmp_path: pathlib.Path, suffix: str) -> None:
    whole = pd.to_datetime(pd.Series(table()["timestamp"])) - pd.Timedelta(hours=8)
    plain = load(write(tmp_path / "plain.csv", table(timestamp=whole.astype(str))))
    numbers = whole.dt.strftime("%H%M%S").astype(int)
    assert numbers.min() < 10_000 < numbers.max()
    path = write(tmp_path / f"a{suffix}", table(timestamp=None, date=whole.dt.strftime("%Y-%m-%d"), time=numbers))
    np.testing.assert_array_equal(load(path).time, plain.time)


@pytest.mark.parametrize("form", ["%Y-%m-%d %H:%M:%S UTC", "%Y-%m-%d %H:%M:%S.000000 UTC", "%Y/%m/%d %H:%M:%S GMT"])
def test_times_with_the_zone_in_words_as_databases_export_them_are_read(tmp_path: pathlib.Path, form: str) -> None:
    plain = load(write(tmp_path / "plain.csv", table()))
    found = load(write(tmp_path / "a.csv", table(timestamp=spelt_times(form))))
    np.testing.assert_array_equal(found.time, plain.time)
    other = spelt_times(form.replace("UTC", "CET").replace("GMT", "CET"))
    assert "row 1, column 'timestamp'" in refusal(write(tmp_path / "b.csv", table(timestamp=other)))


def test_times_of_day_in_types_of_parquet_join_their_dates(tmp_path: pathlib.Path) -> None:
    plain = load(write(tmp_path / "plain.csv", table()))
    whole = pd.to_datetime(table()["timestamp"])
    for kind in (pa.time32("s"), pa.time32("ms"), pa.time64("us"), pa.time64("ns")):
        content = pa.Table.from_pandas(table(timestamp=None), preserve_index=False)
        content = content.append_column("date", pa.array(whole.dt.date, pa.date32()))
        content = content.append_column("time", pa.array(whole.dt.time, pa.time64("us")).cast(kind))
        pyarrow.parquet.write_table(content, tmp_path / "a.parquet")
        np.testing.assert_array_equal(load(tmp_path / "a.parquet").time, plain.time)


def test_a_time_of_day_without_a_date_or_in_unclear_numbers_is_refused(tmp_path: pathlib.Path) -> None:
    alone = write(tmp_path / "a.csv", table(timestamp=None, time=spelt_times("%H:%M:%S")))
    assert "row 1, column 'time': expected a date beside the time of day" in refusal(alone)
    unclear = write(tmp_path / "b.csv", table(timestamp=None, date=spelt_times("%Y-%m-%d"), time=range(ROWS)))
    assert "column 'time': expected a time of day such as 13:05:00 beside a column of days" in refusal(unclear)
    assert load(unclear, time="date").schema.clock is None


def test_first_and_last_instant_are_said_with_date_and_time(tmp_path: pathlib.Path) -> None:
    found = load(write(tmp_path / "a.csv", table()))
    assert "2023-02-10 08:30:15 to 2023-02-15 06:30:15" in data.describe(found)


# Types of Parquet


def test_every_type_of_parquet_is_read_or_left_out_with_a_reason(tmp_path: pathlib.Path) -> None:
    count = range(ROWS)
    few = [f"n{row % 3}" for row in count]
    arrays = {
        "binary": pa.array([name.encode() for name in few], pa.binary()),
        "bytes": pa.array([bytes([255, row % 3]) for row in count], pa.large_binary()),
        "fixed": pa.array([uuid.UUID(int=row % 3).bytes for row in count], pa.binary(16)),
        "words": pa.array(few).dictionary_encode(),
        "large": pa.array(few, pa.large_string()),
        "view": pa.array(few, pa.string_view()),
        "money": pa.array([decimal.Decimal(row) / 100 for row in count], pa.decimal128(12, 2)),
        "wide": pa.array([decimal.Decimal(row) for row in count], pa.decimal256(50, 0)),
        "day32": pa.array([datetime.date(2020, 1, 1 + row % 3) for row in count], pa.date32()),
        "day64": pa.array([datetime.date(2020, 1, 1 + row % 3) for row in count], pa.date64()),
        "clock32": pa.array([row % 3 for row in count], pa.time32("s")),
        "clock64": pa.array([row % 3 for row in count], pa.time64("ns")),
        "lasted": pa.array([row * 1_500 for row in count], pa.duration("ms")),
        "unsigned": pa.array([2**64 - 1 - row for row in count], pa.uint64()),
        "half": pa.array(np.arange(ROWS, dtype=np.float16)),
        "truth": pa.array([None if row % 5 == 0 else row % 2 == 0 for row in count]),
        "empty": pa.nulls(ROWS),
        "list": pa.array([[row] for row in count]),
        "record": pa.array([{"a": row} for row in count]),
        "map": pa.array([[("a", row)] for row in count], pa.map_(pa.string(), pa.int64())),
    }
    content = pa.Table.from_pandas(table(), preserve_index=False)
    for name, values in arrays.items():
        content = content.append_column(name, values)
    pyarrow.parquet.write_table(content, tmp_path / "a.parquet")
    found = load(tmp_path / "a.parquet")
    roles = dict(found.roles)
    for name in ("binary", "bytes", "fixed", "words", "large", "view", "truth"):
        assert roles[name] == "feature: category", name
    for name in ("money", "wide", "lasted", "unsigned", "half"):
        assert roles[name] == "feature: number", name
    for name in ("list", "record", "map"):
        assert roles[name] == "not read: it holds lists or records", name
    assert roles["empty"].startswith("not read: empty")
    assert found.categorical["binary"].tolist() == few
    assert found.categorical["bytes"][:3].tolist() == ["0xff00", "0xff01", "0xff02"]
    assert found.numeric["lasted"][1] == 1.5
    # In every role that a column can be given.
    for name in arrays:
        named = dataclasses.replace(found.schema, numeric=(), categorical=(), amount=None, id=None)
        for role in ({"categorical": (name,)}, {"numeric": (name,)}, {"entities": {"card": name}}, {"amount": name}):
            with contextlib.suppress(errors.InputError):
                sources.load([str(tmp_path / "a.parquet")], schema=dataclasses.replace(named, **role))


def test_an_array_is_read_by_its_storage_and_bytes_say_the_same_in_any_company() -> None:
    column = pd.Series(pd.arrays.ArrowExtensionArray(pa.array([b"abc\0\0", b"\xff", None])))
    assert columns.text(column).tolist() == ["abc", "0xff", ""]


# Folders and parts


def test_files_that_are_not_read_are_counted_and_folders_are_read_through(tmp_path: pathlib.Path) -> None:
    content = table()
    write(tmp_path / "d" / "day=1" / "a.csv", content[:30])
    write(tmp_path / "d" / "day=2" / "a.csv", content[30:])
    for name in ("notes.txt", "meta.json", "sheet.xlsx", "more.json", "README"):
        (tmp_path / "d" / name).write_text("x")
    found = load(tmp_path / "d")
    assert len(found) == ROWS
    assert any("5 files not read: .json x2, .txt x1, .xlsx x1, no suffix x1" in note for note in found.notes)


def test_links_are_followed_and_those_that_lead_out_only_when_asked(tmp_path: pathlib.Path) -> None:
    write(tmp_path / "d" / "a.csv", table()[:30])
    elsewhere = write(tmp_path / "elsewhere" / "b.csv", table()[30:])
    os.symlink(elsewhere, tmp_path / "d" / "b.csv")
    assert "--follow-links" in refusal(tmp_path / "d")
    found = load(tmp_path / "d", follow_links=True)
    assert len(found) == ROWS
    assert any("links followed out of the folder" in note for note in found.notes)


def test_files_named_for_parts_are_told_from_the_parts_in_time(tmp_path: pathlib.Path) -> None:
    one = write(tmp_path / "s" / "fraudTrain.csv", table()[:40])
    other = write(tmp_path / "s" / "fraudTest.csv", table()[40:])
    for specs in ([one, other], [str(tmp_path / "s")]):
        notes = sources.load(specs).notes
        assert any("named for parts (train: fraudTrain.csv; test: fraudTest.csv)" in note for note in notes)
    folder = ieee(tmp_path / "i", [103])
    write(folder / "test_transaction.csv", pd.read_csv(folder / "train_transaction.csv").drop(columns="isFraud"))
    assert any("1 files not read: .csv x1 (test_transaction.csv)" in note for note in load(folder).notes)


# What is certified


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("amount", 1.23),
        ("timestamp", "2023-02-10 08:30:16"),
        ("card_id", "c99"),
        ("merchant_id", "m99"),
        ("risk", 9.5),
        ("country", "XX"),
        ("is_fraud", 0),
        ("weight", 7.0),
        ("sex", "x"),
        ("transaction_id", "other"),
    ],
)
def test_the_sha256_changes_with_any_cell_that_is_read(tmp_path: pathlib.Path, name: str, value: Any) -> None:
    content = table(weight=1.0, sex=["f", "m"] * 30).astype(object)
    names = inference.infer(table())
    names = dataclasses.replace(names, weight="weight", group="sex")

    def sha256(rows: pd.DataFrame) -> str:
        return sources.load([write(tmp_path / "a.csv", rows)], schema=names).sha256

    before = sha256(content)
    assert sha256(content) == before
    content.loc[0, name] = value
    assert sha256(content) != before


def test_a_run_refuses_data_of_which_a_feature_has_changed(tmp_path: pathlib.Path) -> None:
    found = load(write(tmp_path / "a.csv", table()))
    other = load(write(tmp_path / "a.csv", changed("risk", 4, 9.5)))
    data.refuse_changed(found.sha256, found)
    data.refuse_changed(None, found)
    # What runs recorded before.
    data.refuse_changed(transactions.digest(found.content_hashes()), found)
    with pytest.raises(errors.GateError, match="a cell that the training read has changed"):
        data.refuse_changed(found.sha256, other)


# The command line


def call(capsys: pytest.CaptureFixture[str], *arguments: object, code: int = 0) -> str:
    assert __main__.main([*map(str, arguments)]) == code
    shown = capsys.readouterr()
    return shown.out if code == 0 else shown.err


def long(**changes: Any) -> pd.DataFrame:
    """Ten copies of the table, one after the other."""
    whole = pd.concat([table(**changes)] * 10, ignore_index=True)
    start = np.datetime64("2023-02-10T08:30:15", "s")
    whole["timestamp"] = (start + np.arange(len(whole)) * np.timedelta64(2, "h")).astype(str)
    whole["transaction_id"] = range(len(whole))
    return whole


def test_data_shows_columns_label_and_instants_and_writes_what_can_be_read_again(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = long()
    moments = pd.to_datetime(whole.pop("timestamp"))
    whole = whole.assign(date=moments.dt.strftime("%d/%m/%Y"), time=moments.dt.strftime("%H:%M:%S"))
    whole["amount"] = [european(value) for value in whole["amount"]]
    path = write(tmp_path / "a.csv", whole, sep=";")
    said = call(capsys, "data", "--data", path, "--write", tmp_path / "w")
    assert "2023-02-10 08:30:15 to 2023-04-01 06:30:15" in said
    assert "label: is_fraud" in said
    assert "  card_id: card\n" in said
    assert "  time: time of day\n" in said
    again = sources.load([str(tmp_path / "w")], schema_path=tmp_path / "w" / "schema.json")
    first = load(path)
    same_rows(again, first)
    assert schema.Schema.load(tmp_path / "w" / "schema.json").clock is None
    call(
        capsys,
        "data",
        "--data",
        tmp_path / "w",
        "--schema",
        tmp_path / "w" / "schema.json",
        "--output-dir",
        tmp_path / "o",
    )


def test_data_writes_over_no_file_of_a_folder_that_it_reads(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "d" / "split.csv", long())
    before = (tmp_path / "d" / "split.csv").read_bytes()
    said = call(capsys, "data", "--data", tmp_path / "d", "--output-dir", tmp_path / "d", "--overwrite", code=2)
    assert "none of the inputs" in said
    assert (tmp_path / "d" / "split.csv").read_bytes() == before


def test_old_settings_and_schemas_still_load() -> None:
    content = config.Config.smoke().to_json()
    for name in ("time_column", "amount_column", "label_column", "time_format", "decimal", "follow_links"):
        del content[name]
    assert config.Config.from_json(content) == config.Config.smoke()
    old = inference.infer(table()).to_json()
    for name in ("clock", "time_format", "decimal"):
        del old[name]
    assert schema.Schema.from_json(old) == inference.infer(table())


@pytest.mark.parametrize("content", [{"decimal": {"a": "colon"}}, {"time_format": "roman"}])
def test_a_schema_of_unknown_conventions_is_refused(content: dict[str, Any]) -> None:
    with pytest.raises(errors.InputError, match=r"schema: expected .*Received: '(colon|roman)'"):
        schema.Schema.from_json({"time": "t", **content})


def test_what_streams_leave_out_is_logged(tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = ieee(tmp_path / "i", [103])
    (folder / "notes.txt").write_text("x")
    run = load(folder).schema
    logging.getLogger("fieldnets").propagate = True
    with caplog.at_level(logging.INFO, "fieldnets"):
        list(sources.iterate([str(folder)], run))
    assert "1 files not read: .txt x1" in caplog.text
    assert "1 of 1 identities belong to a transaction" in caplog.text


# Verdicts, and rows of a later day


def recorded(folder: pathlib.Path, ids: list[Any], kind: str) -> None:
    path = pathlib.Path(write(folder / f"verdicts{kind}", pd.DataFrame({"TransactionId": ids, "verdict": ["Y", "N"]})))
    feedback.record(folder, path, id_column="transaction_id", label_column="is_fraud")


@pytest.mark.parametrize("kind", [".csv", ".parquet"])
@pytest.mark.parametrize("ids", [[5, 7], [5.0, 7.0], ["5", "7"], ["5.0", "7.0"]])
def test_verdicts_meet_their_transactions_however_ids_are_written(
    tmp_path: pathlib.Path, ids: list[Any], kind: str
) -> None:
    found = load(write(tmp_path / "a.csv", table(transaction_id=range(ROWS), is_fraud=None, label=[0, 1] * 30)))
    recorded(tmp_path, ids, kind)
    judged, counts = feedback.apply(tmp_path, found)
    assert counts == {"verdicts": 2, "verdicts_not_in_the_data": 0}
    assert judged.labels[[5, 7]].tolist() == [1, 0]
    recorded(tmp_path, [ids[0], type(ids[0])(1_000)], kind)
    assert feedback.apply(tmp_path, found)[1] == {"verdicts": 2, "verdicts_not_in_the_data": 1}


def test_of_two_columns_of_verdicts_none_is_taken_by_chance(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "verdicts.csv"
    path.write_text("id,Is_Fraud,isFraud\n7,1,0\n")
    with pytest.raises(errors.InputError, match=r"expected one column of a verdict\. Received: Is_Fraud, isFraud"):
        feedback.read(path, id_column="id", label_column="is_fraud")
    assert feedback.read(path, id_column="id", label_column="isFraud")["label"].tolist() == [0]


def test_verdicts_that_meet_nothing_are_an_error(tmp_path: pathlib.Path) -> None:
    found = load(write(tmp_path / "a.csv", table()))
    assert feedback.apply(tmp_path, found)[1] == {"verdicts": 0, "verdicts_not_in_the_data": 0}
    recorded(tmp_path, [5, 7], ".csv")
    with pytest.raises(errors.InputError, match=r"Received: none; a verdict is on '5', the first transaction is t0"):
        feedback.apply(tmp_path, found)


def test_verdicts_kept_by_earlier_calls_are_read_as_ids_are(tmp_path: pathlib.Path) -> None:
    now = datetime.datetime.now(datetime.UTC)
    kept = pd.DataFrame({"id": ["5.0", "5", "7"], "label": [0, 1, 0], "recorded_at": now})
    kept.to_parquet(tmp_path / feedback.NAME)
    assert feedback.load(tmp_path)[["id", "label"]].to_numpy().tolist() == [["5", 1], ["7", 0]]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (
            "id,verdict\n5,1\n5.0,0\n",
            "row 2: expected each transaction once. Received: 5 again, which also stands in row 1",
        ),
        ("id,verdict\n,1\n", "row 1, column 'id': expected an id. Received: nothing"),
        ('id,verdict\n1,"fraud\n2,fraud\n', "row 1, line 2: expected quotation marks that are closed"),
    ],
)
def test_verdicts_that_cannot_be_trusted_are_refused(tmp_path: pathlib.Path, content: str, complaint: str) -> None:
    (tmp_path / "v.csv").write_text(content)
    with pytest.raises(errors.InputError) as caught:
        feedback.read(tmp_path / "v.csv", id_column=None, label_column=None)
    assert complaint in str(caught.value)


def test_label_words_that_a_run_does_not_know_are_refused(tmp_path: pathlib.Path) -> None:
    run = load(write(tmp_path / "a.csv", table())).schema
    later = write(tmp_path / "b.csv", changed("is_fraud", 9, "suspicious"))
    with pytest.raises(errors.InputError, match=r"row 9, column 'is_fraud'.*Received: 'suspicious' \(--label-column"):
        sources.load([later], schema=run, labelled=False)
    renamed = write(tmp_path / "c.csv", table().rename(columns={"is_fraud": "truth"}))
    found = sources.load([renamed], schema=run, reading=Reading(label="truth"))
    assert found.labels.sum() == 6
