"""What a fraud desk does with a run: queue, reasons, verdicts, update."""

import dataclasses
import json
import pathlib
from typing import Any

import numpy as np
import pandas as pd
import pytest

from apps.fraud_detection import __main__, config, data, folds, inputs, learned, typical, wording
from shared import files

pytestmark = pytest.mark.tensorflow

FLAGS = ("--customers", "400", "--terminals", "800", "--days", "90")


def call(capsys: pytest.CaptureFixture[str], *arguments: object, code: int = 0) -> dict[str, Any]:
    """Run a verb in this process and return what it says as JSON."""
    assert __main__.main([*map(str, arguments), "--json"]) == code
    said = capsys.readouterr()
    return dict(json.loads(said.out)) if code in (0, 3) else {"error": said.err}


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    path = tmp_path_factory.mktemp("fraud") / "run"
    flags = ("--preset", "smoke", "--epochs", "4", "--run-dir", str(path), "--quiet", *FLAGS)
    assert __main__.main(["train", *flags]) == 0
    return path


@pytest.fixture(scope="module")
def run(run_dir: pathlib.Path) -> Any:
    from apps.fraud_detection import run as loaded_run

    return loaded_run.open_run(run_dir)


@pytest.fixture(scope="module")
def own(run: Any) -> data.Prepared:
    return data.prepare_again(run.settings, run.folder)


def test_the_queue_of_a_day_is_the_days_highest_scores(
    run_dir: pathlib.Path, run: Any, own: data.Prepared, capsys: pytest.CaptureFixture[str]
) -> None:
    said = call(capsys, "alerts", "--run-dir", run_dir, "--data", "2018-06-20", "--budget", "15")
    queue = pd.read_csv(said["queue"])
    assert (said["alerts"], len(queue)) == (15, 15)
    rows = np.flatnonzero(own.transactions.days == np.datetime64("2018-06-20", "D").astype(int))
    assert said["transactions"] == len(rows)
    scores = run.newest.scores(inputs.arrays(run.inputs, own.transactions, own.history, rows))
    best = own.transactions.ids[rows[np.argsort(-scores, kind="stable")[:15]]]
    assert queue["TRANSACTION_ID"].tolist() == best.tolist()
    assert queue["score"].tolist() == pytest.approx(sorted(scores, reverse=True)[:15])
    assert queue["reason_1"].str.len().min() > 5
    folder = pathlib.Path(said["queue"]).parent
    assert len(pd.read_parquet(folder / "queue.parquet")) == 15
    assert "Alerts of 2018-06-20" in (folder / "queue.html").read_text("utf-8")


def test_a_queue_by_expected_loss_puts_money_first(run_dir: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ("--run-dir", run_dir, "--budget", "10", "--rank-by", "expected_loss")
    queue = pd.read_csv(call(capsys, "alerts", *flags)["queue"])
    assert queue["expected_loss"].is_monotonic_decreasing


def test_a_day_that_the_data_do_not_hold_is_named(run_dir: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = call(capsys, "alerts", "--run-dir", run_dir, "--day", "2031-01-01", code=2)
    assert "expected a day from 2018-04-01 to 2018-06-29. Received: 2031-01-01" in said["error"]


def alerted(run: Any, own: data.Prepared) -> tuple[dict[str, Any], np.ndarray]:
    rows = own.folds[-1].test
    arrays = inputs.arrays(run.inputs, own.transactions, own.history, rows)
    order = np.argsort(-run.newest.scores(arrays), kind="stable")[:20]
    return {name: values[order] for name, values in arrays.items()}, rows[order]


def test_contributions_add_up_to_the_change_of_the_log_odds(run: Any, own: data.Prepared) -> None:
    from apps.fraud_detection import reasons
    from apps.fraud_detection import run as loaded_run

    arrays, _ = alerted(run, own)
    usual = {name: np.stack([values] * 20) for name, values in typical.arrays(run.inputs).items()}
    both = (arrays, {name: usual[name] for name in arrays})
    odds = [(logits := loaded_run.predict(run.newest.model, each))[:, 1] - logits[:, 0] for each in both]
    found = reasons.find(run.newest, arrays)
    assert found.contributions.sum(axis=1) == pytest.approx(odds[0] - odds[1], abs=1e-3)


def test_without_its_first_reason_an_alert_is_less_suspicious(run: Any, own: data.Prepared) -> None:
    from apps.fraud_detection import explain

    arrays, rows = alerted(run, own)
    fell = 0
    for index, row in enumerate(rows[:10]):
        explanation = explain.explain(run, own.transactions, int(row))
        first = int(np.argmax(explanation.contributions))
        fell += explanation.without[first] < explanation.score
        assert explanation.score == pytest.approx(float(run.newest.scores(arrays)[index]), abs=1e-6)
    assert fell >= 8


def test_amounts_inside_the_passing_range_pass_when_the_model_scores_them(run: Any, own: data.Prepared) -> None:
    from apps.fraud_detection import reasons

    arrays, rows = alerted(run, own)
    place, rng, checked = run.inputs.numbers.index(inputs.AMOUNT), np.random.default_rng(0), 0
    for index, row in enumerate(rows):
        passing = reasons.passing_amounts(run.newest, arrays, index)
        if passing is None:
            continue
        checked += 1
        assert 0 < passing.low < passing.high < arrays["numbers"][index, place]
        # As if the file had held the amount: the whole way from the transactions on.
        for amount in (passing.low, passing.high, round(rng.uniform(passing.low, passing.high), 2)):
            until = own.transactions.take(np.arange(row + 1))
            amounts = until.amount.copy()
            amounts[-1] = amount
            other = dataclasses.replace(until, amount=amounts)
            history = inputs.compute_history(other, other.schema)
            read = inputs.arrays(run.inputs, other, history, np.array([row]))
            assert run.newest.scores(read)[0] < run.newest.decision_rule.threshold
        if checked == 6:
            break
    assert checked


def test_another_amount_changes_the_history_as_if_it_had_been_booked(own: data.Prepared, run: Any) -> None:
    row = int(own.folds[-1].test[5])
    until = own.transactions.take(np.arange(row + 1))
    amounts = until.amount.copy()
    amounts[-1] = 77.5
    other = dataclasses.replace(until, amount=amounts)
    read = [
        inputs.numbers(run.inputs, each, inputs.compute_history(each, each.schema), np.array([row]))[0]
        for each in (until, other)
    ]
    assert wording.with_amount(run.inputs, read[0], np.array([77.5]))[0] == pytest.approx(read[1], rel=1e-4, abs=1e-3)


def test_explain_takes_an_id_of_the_runs_own_data_and_names_an_unknown_one(
    run_dir: pathlib.Path, own: data.Prepared, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    identity = own.transactions.ids[own.folds[-1].test[0]]
    said = call(capsys, "explain", "--run-dir", run_dir, identity, "--output", tmp_path / "why.html")
    assert said["transaction"] == str(identity)
    said = call(capsys, "explain", "--run-dir", run_dir, "no-such", "--output", tmp_path / "no.html", code=2)
    assert "no-such: expected a file" in said["error"]


def test_reasons_are_said_in_words(run: Any) -> None:
    found = run.inputs
    row = np.asarray(found.typical, np.float32)
    values = {"amount": 412.0, "customer_usual_amount": 80.0, "customer_amount_ratio": 5.15, "customer_count_1d": 7.0}
    values |= {"customer_maximum_ratio": 2.0, "customer_count_30d": 36.0, "terminal_risk_1d": 0.75, "hour": 3.5}
    for name, value in values.items():
        row[found.numbers.index(f"{inputs.COMPUTED}{name}")] = value
    described = wording.Row(row, {}, typical.arrays(found)["sequence"])
    assert wording.say("amount", found, described) == (
        "amount 412.00 EUR, 5.2 times the customer's usual 80.00 EUR, 2.0 times the largest"
    )
    assert wording.say("frequency", found, described) == "7 transactions of the customer in 24 h, usual 1.2 a day"
    assert wording.say("terminal", found, described).startswith(
        "terminal with 75 % fraud among its transactions of 1 d"
    )
    assert wording.say("time of day", found, described).startswith("at 03:30")


def test_verdicts_are_recorded_and_a_newer_one_counts(
    run_dir: pathlib.Path, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "verdicts.csv"
    path.write_text("TRANSACTION_ID,verdict\n10,fraud\n11,genuine\n")
    assert call(capsys, "feedback", "--run-dir", run_dir, "--labels", path)["on_record"] == 2
    path.write_text("id,label\n11,1\n12,0\n")
    said = call(capsys, "feedback", "--run-dir", run_dir, "--labels", path)
    assert (said["verdicts"], said["changed"], said["on_record"]) == (2, 1, 3)
    (run_dir / "feedback.parquet").unlink()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("id,verdict\n1,fraud\n1,genuine\n", "row 2: expected each transaction once. Received: 1 again"),
        ("id,verdict\n1,perhaps\n", "perhaps"),
        ("id,verdict\n1,\n", "row 1"),
        ("number,verdict\n1,fraud\n", "expected a column of an id named TRANSACTION_ID, id"),
    ],
)
def test_bad_verdicts_are_refused_and_leave_no_record(
    content: str, message: str, run_dir: pathlib.Path, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.csv").write_text(content)
    said = call(capsys, "feedback", "--run-dir", run_dir, "--labels", tmp_path / "bad.csv", code=2)
    assert message in said["error"]
    assert "Traceback" not in said["error"]
    assert not (run_dir / "feedback.parquet").exists()


def test_an_update_on_labels_that_mean_nothing_keeps_the_champion(
    run_dir: pathlib.Path, run: Any, own: data.Prepared, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = data.table(own.transactions)
    newest = own.transactions.days > own.transactions.days[-1] - 40
    table.loc[newest, "TX_FRAUD"] = np.random.default_rng(0).permutation(table.loc[newest, "TX_FRAUD"])
    table.to_parquet(tmp_path / "noise.parquet")
    before = files.sha256(run.folder.model)
    said = call(capsys, "update", "--run-dir", run_dir, "--data", tmp_path / "noise.parquet", code=3)
    assert said["outcome"] == "refused"
    assert said["difference"]["low"] <= 0
    assert files.sha256(run.folder.model) == before
    assert files.read_json(run_dir / "update.json")["outcome"] == "refused"


def test_an_update_learns_a_new_kind_of_fraud_and_replaces_the_champion(
    run_dir: pathlib.Path, own: data.Prepared, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import shutil

    from apps.fraud_detection import update

    copy = tmp_path / "run"
    shutil.copytree(run_dir, copy)
    before = files.sha256(copy / "model.keras")
    files.write_json(copy / "evaluation" / "metrics.json", {"of": "the champion"})
    # From now on everything before six in the morning is a fraud.
    table = data.table(own.transactions)
    table.loc[table["TX_DATETIME"].dt.hour < 6, "TX_FRAUD"] = 1
    table.to_parquet(tmp_path / "new.parquet")
    said = call(capsys, "update", "--run-dir", copy, "--data", tmp_path / "new.parquet")
    assert said["outcome"] == "promoted"
    assert said["difference"]["low"] > 0
    assert said["challenger"]["value"] > said["champion"]["value"]
    assert files.sha256(copy / "model.keras") != before
    assert files.sha256(copy / "champions" / "1" / "model.keras") != files.sha256(copy / "model.keras")
    # The champion's figures are with the champion, and what the challenger learned is known whatever its labels.
    assert not (copy / "evaluation").exists()
    assert files.read_json(copy / "champions" / "1" / "evaluation" / "metrics.json") == {"of": "the champion"}
    seen = learned.among(copy, own.transactions)
    windows = update.cut(own.transactions, config.Config.from_json(files.read_json(copy / "config.json"), where=""))
    assert np.array_equal(np.flatnonzero(seen), np.concatenate([windows.train, windows.calibration]))
    call(capsys, "alerts", "--run-dir", copy, "--budget", "5")


def test_the_windows_of_an_update_do_not_touch(own: data.Prepared) -> None:
    from apps.fraud_detection import update

    settings = config.Config.smoke()
    windows = update.cut(own.transactions, settings)
    days = {name: own.transactions.days[rows] for name, rows in dataclasses.asdict(windows).items()}
    assert days["comparison"].min() - days["calibration"].max() == folds.delay_days(own.transactions) + 1
    assert windows.train.max() < windows.calibration.min()
