"""Every verb on a table of one's own, and on cards without names."""

import json
import pathlib
import shlex

import numpy as np
import pandas as pd
import pytest

from apps.fraud_detection import __main__, simulator
from shared import files

pytestmark = pytest.mark.tensorflow

SCHEMA = {
    "time": "when",
    "amount": "value",
    "currency": "USD",
    "entities": {"card": "card no", "shop": "shop"},
    "numeric": ["age of account"],
    "categorical": ["channel"],
    "label": "is_fraud",
    "id": "txn",
    "group": "sex",
    "label_delay_days": 5,
}


def own_table(folder: pathlib.Path) -> pathlib.Path:
    """Write a table with names, missing numbers, spaces in columns, and labels in words."""
    table = simulator.simulate(simulator.World(customers=130, terminals=260, days=60, seed=12))
    rng = np.random.default_rng(0)
    fraud = table["TX_FRAUD"].to_numpy() == 1
    size = len(table)
    content = pd.DataFrame(
        {
            "txn": [f"T{number:06d}" for number in range(size)],
            "when": table["TX_DATETIME"].dt.strftime("%Y-%m-%dT%H:%M:%S"),
            "value": table["TX_AMOUNT"],
            "card no": [f"c{card}" for card in table["CUSTOMER_ID"]],
            "shop": [f"s{shop}" for shop in table["TERMINAL_ID"]],
            "channel": np.where(fraud, "web", rng.choice(["web", "pos", ""], size, p=[0.2, 0.7, 0.1])),
            "age of account": np.where(rng.random(size) < 0.1, np.nan, rng.exponential(3, size)),
            "is_fraud": np.where(fraud, "fraud", "genuine"),
            "sex": rng.choice(["f", "m"], size),
        }
    )
    content.to_parquet(folder / "own.parquet", index=False)
    (folder / "schema.json").write_text(json.dumps(SCHEMA))
    return folder / "own.parquet"


def cards_without_names(folder: pathlib.Path, size: int = 1_000) -> pathlib.Path:
    """Write a table shaped like ULB's, in which frauds lie apart in two columns."""
    rng = np.random.default_rng(1)
    labels = (rng.random(size) < 0.08).astype(int)
    table = pd.DataFrame({"Time": np.sort(rng.integers(0, 100_000, size))})
    for number in range(1, 29):
        table[f"V{number}"] = np.round(rng.normal(size=size) + 2 * labels * (number in (3, 14)), 6)
    table["Amount"] = np.round(rng.lognormal(3, 1, size), 2)
    table["Class"] = labels
    table.to_csv(folder / "ulb.csv.gz", index=False)
    return folder / "ulb.csv.gz"


def verb(*arguments: object, code: int = 0) -> None:
    assert __main__.main([*map(str, arguments), "--quiet"]) == code


@pytest.mark.parametrize("kind", ["own", pytest.param("ulb", marks=pytest.mark.slow)])
def test_every_verb_works_on(kind: str, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = own_table(tmp_path) if kind == "own" else cards_without_names(tmp_path)
    source = ("--data", path, *(("--schema", tmp_path / "schema.json") if kind == "own" else ("--normal-weight", 10)))
    run, bundles = tmp_path / "run", tmp_path / "bundles"
    verb("data", *source, "--output-dir", tmp_path / "data")
    assert files.read_json(tmp_path / "data" / "schema.json")["time"] == ("when" if kind == "own" else "Time")
    verb("train", "--preset", "smoke", *source, "--run-dir", run)
    verb("evaluate", "--run-dir", run)
    metrics = files.read_json(run / "evaluation" / "metrics.json")
    assert ("card_precision_at_100" in metrics["metrics"]) == (kind == "own")
    assert bool(metrics["predictive_equality"]) == (kind == "own")
    verb("export", "--run-dir", run, "--output-dir", bundles)
    verb("explain", "--run-dir", run, path, "--output", tmp_path / "why.html")
    for flags, name in ((("--run-dir", run), "run.csv"), (("--model-dir", bundles), "bundle.csv")):
        verb("predict", *flags, path, "--output", tmp_path / name)
    first, second = (pd.read_csv(tmp_path / name) for name in ("run.csv", "bundle.csv"))
    assert first["score"].to_numpy() == pytest.approx(second["score"].to_numpy(), abs=1e-6)
    assert len(first) == len(pd.read_parquet(path) if kind == "own" else pd.read_csv(path))
    verb("alerts", "--run-dir", run, *source, "--budget", 7, "--output-dir", tmp_path / "alerts")
    assert len(pd.read_csv(tmp_path / "alerts" / "queue.csv")) == 7
    __main__.main(["monitor", "--model-dir", str(bundles), *map(str, source), "--quiet"])
    assert "Traceback" not in capsys.readouterr().err


def test_unlabelled_rows_are_scored_and_history_comes_before_them(tmp_path: pathlib.Path) -> None:
    path = own_table(tmp_path)
    run = tmp_path / "run"
    source = ("--data", path, "--schema", tmp_path / "schema.json")
    verb("train", "--preset", "smoke", "--model", "dense", *source, "--run-dir", run)
    table = pd.read_parquet(path)
    early, late = table.iloc[:-500], table.iloc[-500:].drop(columns=["is_fraud", "sex"])
    early.to_parquet(tmp_path / "early.parquet")
    late.to_parquet(tmp_path / "late.parquet")
    verb("predict", "--run-dir", run, path, "--output", tmp_path / "whole.csv")
    flags = ("--history", tmp_path / "early.parquet", tmp_path / "late.parquet")
    verb("predict", "--run-dir", run, *flags, "--output", tmp_path / "late.csv")
    whole, alone = pd.read_csv(tmp_path / "whole.csv"), pd.read_csv(tmp_path / "late.csv")
    assert alone["txn"].tolist() == table["txn"].iloc[-500:].tolist()
    assert alone["score"].to_numpy() == pytest.approx(whole["score"].iloc[-500:].to_numpy(), abs=1e-6)


def test_the_commands_of_the_page_on_large_data_give_the_predictions_of_computed_histories(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = pathlib.Path(__file__).parents[2] / "docs" / "large_data.md"
    lines = [line for line in page.read_text("utf-8").splitlines() if line.startswith("fraud-detection ")]
    assert [line.split()[1] for line in lines] == ["simulate", "histories", "train", "predict"]
    monkeypatch.chdir(tmp_path)
    for line in lines:
        verb(*shlex.split(line)[1:])
    verb("predict", "--run-dir", "run", "payments.parquet", "--output", "computed.parquet")
    assert (tmp_path / "scores.parquet").read_bytes() == (tmp_path / "computed.parquet").read_bytes()


def test_rows_out_of_order_stop_a_prediction_and_leave_nothing(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = cards_without_names(tmp_path)
    verb("train", "--preset", "smoke", "--model", "dense", "--data", path, "--run-dir", tmp_path / "run")
    table = pd.read_csv(path)
    table.iloc[::-1].to_csv(tmp_path / "backwards.csv", index=False)
    verb("predict", "--run-dir", tmp_path / "run", tmp_path / "backwards.csv", "--output", tmp_path / "o.csv", code=2)
    said = capsys.readouterr().err
    assert "backwards.csv: row 2" in said
    assert "sort" in said.lower()
    assert not (tmp_path / "o.csv").exists()


def test_only_a_sequence_network_without_cards_is_refused(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ("--preset", "smoke", "--model", "sequence", "--run-dir", tmp_path / "run")
    verb("train", *flags, "--data", cards_without_names(tmp_path), code=2)
    assert "expected a payer" in capsys.readouterr().err


@pytest.mark.slow
def test_a_gan_is_evaluated_by_what_its_transactions_teach(tmp_path: pathlib.Path) -> None:
    run = tmp_path / "run"
    flags = ("--preset", "smoke", "--model", "gan", "--gan-epochs", 3, "--compare-imbalance")
    verb("train", *flags, "--data", cards_without_names(tmp_path), "--run-dir", run)
    verb("evaluate", "--run-dir", run)
    metrics = files.read_json(run / "evaluation" / "metrics.json")
    assert set(metrics["synthetic"]) == {"real", "synthetic", "real and synthetic"}
    assert {"none", "smote", "class_weight", "undersampling", "oversampling"} == set(metrics["imbalance"])
    assert 0 <= metrics["memorisation"]["copies"] <= 1
    page = (run / "evaluation" / "report.html").read_text("utf-8")
    assert "Methods against imbalance" in page
    assert "Synthetic transactions" in page
