"""Histories by partition are those of all rows in memory, bit for bit, however the work is cut."""

import json
import os
import pathlib
import signal
import subprocess
import tempfile
import time
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.fraud_detection import __main__ as fraud
from apps.fraud_detection import config, features, histories, inputs, partitions, simulator
from apps.fraud_detection.readers import parts, sources
from shared import cli, errors, machine

# Numbers and text, one of which is a number with a zero before it; None is nobody.
NAMES = st.sampled_from([None, "1", "2", "17", "01", "anna", "-1"])
ROWS = st.lists(
    st.tuples(st.integers(0, 1_500), NAMES, NAMES, st.integers(0, 50_000), st.sampled_from([None, 0, 1])),
    min_size=1,
    max_size=60,
)


def make_table(rows: list[tuple[int, Any, Any, int, Any]]) -> pd.DataFrame:
    """(hours, customer, terminal, cents, label), in any order of time, and with many of one instant."""
    hours, customer, terminal, cents, label = zip(*rows, strict=True)
    return pd.DataFrame(
        {
            "TRANSACTION_ID": np.arange(len(rows)),
            "TX_DATETIME": (np.datetime64("2018-04-01", "s") + np.array(hours) * np.timedelta64(3_600, "s")),
            "CUSTOMER_ID": customer,
            "TERMINAL_ID": terminal,
            "TX_AMOUNT": np.array(cents) / 100,
            "TX_FRAUD": pd.array(label, "Int64"),
        }
    )


def in_memory(paths: list[str]) -> dict[str, bytes]:
    """Return feature -> bits in the order of the ids, as one process has them that reads everything at once."""
    booked = sources.load(paths, labelled=False)
    found = inputs.compute_history(booked, booked.schema)
    return {name: values[np.argsort(booked.ids)].tobytes() for name, values in found.items()}


def written(folder: pathlib.Path) -> pd.DataFrame:
    return pd.concat([pd.read_parquet(path) for path in sorted(folder.glob("*.parquet"))], ignore_index=True)


def as_bits(table: pd.DataFrame) -> dict[str, bytes]:
    names = [name for name in table if name not in ("file", "row", "TRANSACTION_ID")]
    assert {str(table[name].dtype) for name in names} == {"float32"}
    order = np.argsort(table["TRANSACTION_ID"].to_numpy())
    return {str(name): table[name].to_numpy()[order].tobytes() for name in names}


def settings_of(paths: list[str]) -> config.Config:
    return config.Config.default().replace({"data": tuple(paths)})


@settings(max_examples=25, deadline=None)
@given(rows=ROWS, cut=st.integers(0, 60), chunk=st.integers(1, 20), slice_rows=st.integers(1, 20))
def test_histories_by_partition_are_those_of_all_rows_together(
    rows: list[tuple[int, Any, Any, int, Any]], cut: int, chunk: int, slice_rows: int
) -> None:
    table = make_table(rows)
    with tempfile.TemporaryDirectory() as scratch, pytest.MonkeyPatch.context() as patch:
        # Pieces, files of the output and slices of time of a few rows each.
        patch.setattr(parts, "CHUNK_ROWS", chunk)
        patch.setattr(partitions, "PART_ROWS", 2 * chunk)
        patch.setattr(histories, "_most_rows", lambda *_: slice_rows)
        patch.setattr(histories, "PARTITIONS_PER_WORKER", 2)
        halves = [each for each in (table[:cut], table[cut:]) if len(each)]
        paths = [str(pathlib.Path(scratch) / f"{number}.csv") for number in range(len(halves))]
        for half, path in zip(halves, paths, strict=True):
            half.to_csv(path, index=False)
        output = pathlib.Path(scratch) / "found"
        done = histories.write(settings_of(paths), output)
        found = written(output)
        assert done["rows"] == len(table)
        assert found["TRANSACTION_ID"].tolist() == table["TRANSACTION_ID"].tolist()
        assert found["row"].tolist() == [row for half in halves for row in range(1, len(half) + 1)]
        assert as_bits(found) == in_memory(paths)


@pytest.mark.parametrize("fault", ["ties in another order", "slices of time without what came before"])
def test_a_fault_in_the_cutting_would_be_seen(
    fault: str, town: list[str], tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = pd.read_parquet(town[0])
    table["TX_DATETIME"] = table["TX_DATETIME"].dt.floor("D")
    table.to_parquet(town[0])
    records = partitions._records
    monkeypatch.setattr(histories, "_most_rows", lambda *_: 200)
    if fault == "ties in another order":
        monkeypatch.setattr(partitions, "_records", lambda *given: records(*given)[::-1])
    else:
        monkeypatch.setattr(features, "needed_days", lambda _delay: 1.0)
    histories.write(settings_of(town[:1]), tmp_path / "found")
    monkeypatch.undo()
    assert as_bits(written(tmp_path / "found")) != in_memory(town[:1])


@pytest.fixture
def town(tmp_path: pathlib.Path) -> list[str]:
    """Files of a simulated town, the later one first, and within a file in no order."""
    table = simulator.simulate(simulator.World(customers=60, terminals=90, days=60))
    table = table.drop(columns=["TX_FRAUD_SCENARIO"])
    table["CUSTOMER_ID"] = table["CUSTOMER_ID"].where(table["TRANSACTION_ID"] % 11 != 0).astype("Int64")
    half = len(table) // 2
    paths = [tmp_path / "later.parquet", tmp_path / "earlier.parquet"]
    for path, rows in zip(paths, (table[half:], table[:half]), strict=True):
        rows.sample(frac=1, random_state=0).to_parquet(path, index=False)
    return [str(path) for path in paths]


@pytest.mark.parametrize("workers", [1, 2])
def test_several_processes_write_what_one_has_in_memory(
    workers: int, town: list[str], tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "found"
    words = ["histories", "--data", *town, "--output", str(output), "--workers", str(workers), "--json", "--quiet"]
    assert fraud.main(words) == 0
    result = json.loads(capsys.readouterr().out)
    found = written(output)
    assert as_bits(found) == in_memory(town)
    assert result["rows"] == len(found)
    assert result["partitions"] == 2 * max(histories.PARTITIONS_PER_WORKER * workers, 1)
    nobody = sum(int(pd.read_parquet(path)["CUSTOMER_ID"].isna().sum()) for path in town)
    assert f"customer in CUSTOMER_ID, terminal in TERMINAL_ID; {nobody:,} name no customer" in result["notes"][0]
    assert not list(tmp_path.glob("*.partial"))


def test_what_was_computed_before_a_kill_is_not_computed_again(
    town: list[str], tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output, compute, calls = tmp_path / "found", partitions.compute, []

    def killed(*given: Any, **named: Any) -> None:
        calls.append(given)
        if len(calls) == 4:
            raise KeyboardInterrupt
        compute(*given, **named)

    monkeypatch.setattr(partitions, "compute", killed)
    with pytest.raises(KeyboardInterrupt):
        histories.write(settings_of(town), output)
    assert not output.exists()
    done = histories.write(settings_of(town), output, resume=True)
    assert done["resumed_partitions"] == 3
    assert len(calls) == 4 + done["partitions"] - 3
    assert as_bits(written(output)) == in_memory(town)


def test_a_call_that_is_killed_outright_leaves_no_process_and_can_be_resumed(tmp_path: pathlib.Path) -> None:
    """SIGKILL, after which no code of ours runs in the parent."""
    path, output = tmp_path / "many.parquet", tmp_path / "found"
    simulator.write(simulator.World(customers=400, terminals=800, days=60), path)
    words = ["histories", "--data", str(path), "--output", str(output), "--workers", "2"]
    command = [*machine.python_command("apps.fraud_detection"), *words]
    started = subprocess.Popen(command, env=machine.python_environment(), stderr=subprocess.DEVNULL)
    partial = tmp_path / "found.partial"
    deadline = time.monotonic() + 60
    while not list(partial.glob("entity-*/*.histories")) and started.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    workers = pathlib.Path(f"/proc/{started.pid}/task/{started.pid}/children").read_text().split()
    os.kill(started.pid, signal.SIGKILL)
    started.wait()
    while any(is_alive(pid) for pid in workers) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not [pid for pid in workers if is_alive(pid)]
    assert not output.exists()
    done = histories.write(settings_of([str(path)]), output, resume=True)
    assert done["resumed_partitions"] > 0
    assert as_bits(written(output)) == in_memory([str(path)])


def is_alive(pid: str) -> bool:
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_other_data_are_not_gone_on_with(
    town: list[str], tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(partitions, "compute", killed)
        with pytest.raises(KeyboardInterrupt):
            histories.write(settings_of(town), tmp_path / "found")
    with pytest.raises(errors.InputError, match=r"same call of `histories`.*in another order"):
        histories.write(settings_of(town[::-1]), tmp_path / "found", resume=True)
    assert histories.write(settings_of(town[::-1]), tmp_path / "found")["resumed_partitions"] == 0


def test_what_is_not_ours_is_neither_used_nor_deleted(town: list[str], tmp_path: pathlib.Path) -> None:
    (tmp_path / "found.partial").mkdir()
    (tmp_path / "found.partial" / "thesis.doc").write_text("years of work")
    with pytest.raises(errors.InputError, match="expected a place for unfinished work"):
        histories.write(settings_of(town), tmp_path / "found")
    assert (tmp_path / "found.partial" / "thesis.doc").exists()


def test_an_output_that_exists_is_replaced_only_if_asked(town: list[str], tmp_path: pathlib.Path) -> None:
    histories.write(settings_of(town), tmp_path / "found")
    with pytest.raises(errors.InputError, match="--overwrite replaces it"):
        histories.write(settings_of(town), tmp_path / "found")
    histories.write(settings_of(town[:1]), tmp_path / "found", overwrite=True)
    assert as_bits(written(tmp_path / "found")) == in_memory(town[:1])


def test_a_folder_with_something_else_is_never_replaced(town: list[str], tmp_path: pathlib.Path) -> None:
    output = tmp_path / "found"
    output.mkdir()
    (output / "thesis.doc").write_text("years of work")
    link = tmp_path / "link"
    link.symlink_to(output, target_is_directory=True)
    for path in (output, link, output / "thesis.doc"):
        with pytest.raises(errors.InputError, match="--overwrite replaces what `histories` wrote only"):
            histories.write(settings_of(town), path, overwrite=True)
    assert (output / "thesis.doc").read_text() == "years of work"


def test_a_folder_whose_name_is_not_utf_8_can_be_written(town: list[str], tmp_path: pathlib.Path) -> None:
    output = pathlib.Path(os.fsdecode(os.fsencode(tmp_path) + b"/histories-\xff"))
    done = histories.write(settings_of(town[:1]), output)
    assert done["rows"] == len(pd.read_parquet(town[0]))
    assert (output / "histories-00000.parquet").is_file()


def test_a_source_that_names_nobody_has_no_histories(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "bare.csv"
    pd.DataFrame({"time": ["2018-04-01 00:00:00"], "amount": [1.0], "is_fraud": [0]}).to_csv(path, index=False)
    with pytest.raises(errors.InputError, match="expected a column of cards"):
        histories.write(settings_of([str(path)]), tmp_path / "found")


def test_too_little_memory_is_refused_before_anything_is_read(tmp_path: pathlib.Path) -> None:
    with pytest.raises(errors.InputError, match=r"--memory: expected at least \d+MiB for 4 processes. Received: 100"):
        histories.write(settings_of(["nowhere.csv"]), tmp_path / "found", workers=4, memory_bytes=100 << 20)


@pytest.mark.parametrize(("text", "size"), [("2GiB", 2**31), ("512mib", 2**29), ("1TiB", 2**40)])
def test_sizes_are_read(text: str, size: int) -> None:
    assert cli.byte_count(text) == size


@pytest.mark.parametrize("text", ["2", "2GB", "-1GiB", "GiB", "1.5GiB", "0MiB"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(Exception, match="expected a size"):
        cli.byte_count(text)


@settings(max_examples=50, deadline=None)
@given(values=st.lists(st.one_of(st.integers(0, 2**63 - 1).map(str), st.text(max_size=6)), min_size=1))
def test_a_number_has_one_key_whatever_column_it_stands_in(values: list[str]) -> None:
    name, text = partitions.keys(np.array(values, object))
    same = {(a, b): value for a, b, value in zip(name.tolist(), text.tolist(), values, strict=True)}
    assert len(same) == len(set(values))
    whole = np.array(
        [int(value) for value in values if value.isascii() and value.isdecimal() and str(int(value)) == value]
    )
    expected = partitions.keys(whole.astype(np.int64))
    assert set(zip(*(each.tolist() for each in expected), strict=True)) <= set(same)


def test_names_are_spread_evenly() -> None:
    name = np.arange(100_000)
    counts = np.bincount(partitions.numbers(name, np.zeros(len(name), np.int64), 16), minlength=16)
    assert counts.min() > 0.9 * counts.mean()


def test_the_history_of_nobody_is_that_of_a_code_below_0() -> None:
    names = [name.removeprefix("card_") for name in features.names(["card"])]
    found = dict(zip(names, partitions.of_nobody(names).tolist(), strict=True))
    assert {name for name, value in found.items() if value == 1.0} == {"amount_ratio", "maximum_ratio"}
    assert sum(found.values()) == 2.0
