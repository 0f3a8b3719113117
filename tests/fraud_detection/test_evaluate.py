"""An evaluation says what it must, and says so when it cannot."""

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest

from apps.fraud_detection import decision as decision_rule
from apps.fraud_detection import evaluate, metrics, report, results
from shared import errors
from shared.report import document, sections


def first_line(found: document.Evaluation) -> str:
    line = found.report.status
    assert line is not None
    return f"{line.state}: {line.sentence}"


def make_rows(size: int = 1_500, *, fraud: float = 0.1) -> metrics.Rows:
    rng = np.random.default_rng(0)
    folds = np.repeat([0, 1], size // 2)
    labels = (rng.random(size) < fraud).astype(np.int64)
    return metrics.Rows(
        ids=np.arange(size),
        folds=folds,
        days=np.sort(rng.integers(0, 7, (2, size // 2)), axis=1).ravel() + 7 * folds,
        day_names={day: f"2018-08-{day + 1:02d}" for day in range(14)},
        amounts=np.round(rng.lognormal(3, 1, size), 2),
        labels=labels,
        payers=rng.integers(0, 200, size),
        has_payer=True,
        weights=np.ones(size),
        columns={"amount": rng.normal(1, 1, size), "hour": rng.normal(size=size)},
        reference_columns={"amount": rng.normal(size=500), "hour": rng.normal(size=500)},
        reference_scores=rng.random(500),
        groups=np.array(["north", "south"], object)[rng.integers(0, 2, size)],
        scenarios=np.where(labels == 1, np.array(["large", "stolen"], object)[rng.integers(0, 2, size)], "none"),
    )


def make_run(rows: metrics.Rows, *, knows: float = 0.5) -> results.Predictions:
    rng = np.random.default_rng(1)
    scores = np.clip(knows * rows.labels + (1 - knows) * rng.random(len(rows)), 0, 1)
    return results.Predictions(
        run="run",
        scores=scores,
        thresholds=np.full(len(rows), 0.5),
        rule="budget of 20 alerts a day",
        costs=decision_rule.Costs(investigation=5, recovered_share=0.8, alerts_per_day=20, currency="EUR"),
        members={"dense": scores, "sequence": rng.random(len(rows))},
        imbalance={"none": scores, "smote": rng.random(len(rows))},
        synthetic={"real": scores, "synthetic": rng.random(len(rows)), "real and synthetic": scores},
        memorisation={"copies": 0.0, "closeness": 0.51},
        history=pd.DataFrame(
            {
                "network": "dense",
                "epoch": [1, 2],
                "loss": [0.2, 0.1],
                "validation_loss": [0.2, 0.15],
                "validation_metric": [-0.2, -0.1],
            }
        ),
    )


DATA = sections.Data(source="made up", split="test", unit="card", sha256="0" * 64, protocol="Two weeks.")


def evaluated(rows: metrics.Rows, run: results.Predictions) -> document.Evaluation:
    rng = np.random.default_rng(2)
    others = {"logistic": 0.2 * run.scores + 0.8 * rng.random(len(rows)), "xgboost": rng.random(len(rows))}
    every = {**others, "rule": others["logistic"]}
    return report.evaluation(evaluate.evaluate(rows, DATA, run, baseline_scores=every, resamples=100))


@pytest.fixture(scope="module")
def result() -> document.Evaluation:
    rows = make_rows()
    return evaluated(rows, make_run(rows))


def test_the_document_holds_the_metrics_of_the_field(result: document.Evaluation) -> None:
    found = json.loads(json.dumps(result.metrics))
    assert next(iter(found["metrics"])) == "average_precision"
    expected = {
        "auroc",
        "card_precision_at_100",
        "recall_at_fpr_0.001",
        "recall_at_fpr_0.05",
        "precision_in_budget",
        "recall_in_budget",
        "value_recall_in_budget",
        "net_savings_per_day",
        "alerts_per_day",
        "brier",
        "ece",
    }
    assert expected <= set(found["metrics"])
    assert "brier" not in found["baselines"]["rule"]
    assert found["prevalence"] == pytest.approx(0.1, abs=0.03)
    folds = found["prequential"]["folds"]
    assert found["prequential"]["summary"]["model"]["auroc"]["mean"] == pytest.approx(
        np.mean([fold["model"]["auroc"] for fold in folds])
    )
    assert sum(day["frauds"] for day in found["by_day"]) == make_rows().labels.sum()
    assert {row["column"]: row["large"] for row in found["drift"]}["amount"]


def test_categories_are_among_the_inputs_that_may_have_moved() -> None:
    rows = make_rows()
    size = len(rows)
    before = np.repeat(np.array(["web", "pos"], object), 250)
    columns = {
        "channel": np.repeat(np.array(["web", "<other>", ""], object), size // 3),
        "kept": np.tile(np.array(["web", "pos"], object), size // 2),
        "score": np.full(size, "", object),
    }
    moved = dataclasses.replace(
        rows,
        columns={**rows.columns, **columns},
        reference_columns={**rows.reference_columns, "channel": before, "kept": before, "score": before},
    )
    found = evaluated(moved, make_run(moved))
    drift = {row["column"]: row for row in found.metrics["drift"]}
    assert list(drift) == ["amount", "hour", "channel", "kept", "score", "computed:score"]
    # By hand: shares of web, pos, any other name and none, half a row added to each count.
    p, q = (np.array(counts) + 0.5 for counts in ([250, 250, 0, 0], [size / 3, 0, size / 3, size / 3]))
    p, q = p / p.sum(), q / q.sum()
    assert drift["channel"]["psi"] == pytest.approx(((q - p) * np.log(q / p)).sum())
    assert [drift[name]["large"] for name in ("channel", "kept", "score")] == [True, False, True]
    assert "Names that the networks do not know" in document.render(found.report)


def test_what_chance_gives_in_few_rows_has_not_moved() -> None:
    rng = np.random.default_rng(3)
    rows = make_rows()
    names = np.array([f"shop {number}" for number in range(40)], object)
    few = {"shop": names[rng.integers(0, 40, 60)]}
    many = dataclasses.replace(
        rows,
        columns={**rows.columns, "shop": names[rng.integers(0, 40, len(rows))]},
        reference_columns={**rows.reference_columns, **few},
    )
    (row,) = (row for row in evaluated(many, make_run(many)).metrics["drift"] if row["column"] == "shop")
    assert row["psi"] > evaluate.PSI_ACT
    assert not row["large"]


def test_the_report_says_first_what_the_budget_catches_and_whether_trees_do_as_well(
    result: document.Evaluation,
) -> None:
    answer = result.report.answer
    assert answer.startswith("Looking at the 20 most suspicious transactions of each day finds")
    assert first_line(result).startswith("Better: the model beats XGBoost")
    assert "where chance has" in answer
    page = document.render(result.report)
    for title in (
        "Week by week",
        "The alert budget",
        "What it saves",
        "Who gets false alarms",
        "Synthetic transactions",
    ):
        assert title in page


def test_a_model_that_is_worse_is_called_worse() -> None:
    rows = make_rows()
    run = dataclasses.replace(make_run(rows), scores=np.random.default_rng(5).random(len(rows)))
    trees = make_run(rows).scores
    result = evaluate.evaluate(rows, DATA, run, baseline_scores={"xgboost": trees}, resamples=100)
    assert first_line(report.evaluation(result)).startswith("Worse: XGBoost is clearly better")


def test_predictions_hold_one_row_per_transaction_with_its_fold_and_decision(result: document.Evaluation) -> None:
    table = result.predictions
    assert len(table) == 1_500
    assert {"id", "fold", "day", "score", "decision", "xgboost_score", "scenario", "group"} <= set(table.columns)
    assert ((table["score"] >= 0.5) == (table["decision"] == "fraud")).all()


def test_rows_without_cards_groups_or_kinds_are_evaluated_and_noted() -> None:
    rows = dataclasses.replace(
        make_rows(), has_payer=False, payers=np.arange(1_500), groups=None, scenarios=None, folds=np.zeros(1_500, int)
    )
    run = dataclasses.replace(make_run(rows), members={}, imbalance={}, synthetic={})
    result = evaluated(rows, run)
    assert "card_precision_at_100" not in result.metrics["metrics"]
    assert any("name no cards" in note for note in result.metrics["notes"])
    assert "Who gets false alarms" not in document.render(result.report)


def test_weighted_rows_are_noted_and_change_the_prevalence() -> None:
    rows = make_rows()
    rows = dataclasses.replace(rows, weights=np.where(rows.labels == 1, 1.0, 14.6))
    result = evaluated(rows, make_run(rows))
    assert result.metrics["prevalence"] < 0.02
    assert any("Rows are weighted" in note for note in result.metrics["notes"])


def test_a_fold_without_fraud_leaves_out_what_has_no_value_there() -> None:
    rows = make_rows()
    rows = dataclasses.replace(rows, labels=np.where(rows.folds == 1, 0, rows.labels))
    result = evaluated(rows, make_run(rows))
    assert "average_precision" not in result.metrics["metrics"]
    assert "precision_in_budget" in result.metrics["metrics"]
    assert any(note.startswith("model: average_precision: not defined") for note in result.metrics["notes"])
    assert result.report.answer.startswith("A fold without frauds has nothing to be caught.")


@pytest.mark.parametrize(("label", "name"), [(0, "genuine"), (1, "fraud")])
def test_transactions_of_one_class_are_said_to_be_so_and_compared_with_nothing(label: int, name: str) -> None:
    rows = dataclasses.replace(make_rows(), labels=np.full(1_500, label))
    found = evaluated(rows, make_run(rows))
    assert first_line(found).startswith(f"Cannot be told: All 1,500 transactions are of one class, {name}:")
    assert found.metrics["notes"][0].startswith("All 1,500 transactions are of one class")
    assert not any(found.metrics.get("differences", {}).values())


def test_transactions_of_one_card_are_resampled_one_by_one_and_no_model_is_called_better() -> None:
    rows = dataclasses.replace(make_rows(), payers=np.full(1_500, 7))
    found = evaluated(rows, make_run(rows))
    assert first_line(found).startswith("Cannot be told: All transactions are of one card:")
    assert "card_precision_at_100" not in found.metrics["metrics"]
    alone = dataclasses.replace(rows, payers=np.arange(1_500), has_payer=False)
    again = evaluated(alone, make_run(alone)).metrics["metrics"]
    assert found.metrics["metrics"]["auroc"] == again["auroc"]


def test_equal_scores_are_said_to_rank_nothing() -> None:
    rows = make_rows()
    found = evaluated(rows, dataclasses.replace(make_run(rows), scores=np.full(1_500, 0.3)))
    assert first_line(found).startswith("Cannot be told: All 1,500 scores are equal: the model ranks nothing here")
    assert "of the frauds" not in found.report.answer


def test_a_score_that_is_no_number_is_named_and_so_is_a_single_transaction() -> None:
    rows = make_rows()
    run = make_run(rows)
    scores = np.where(np.arange(1_500) == 3, np.nan, run.scores)
    with pytest.raises(
        errors.InputError, match=r"finite score of the model .* Received: nan for 1 of 1,500, the first"
    ):
        evaluated(rows, dataclasses.replace(run, scores=scores))
    short = {
        name: getattr(rows, name)[:1] for name in ("ids", "folds", "days", "amounts", "labels", "payers", "weights")
    }
    one = dataclasses.replace(rows, **short, columns={}, groups=None, scenarios=None)
    with pytest.raises(errors.InputError, match="at least two labelled transactions"):
        evaluated(one, make_run(one))


@pytest.mark.filterwarnings("error")
def test_two_cards_of_which_one_has_all_frauds_are_too_few_and_no_warning_is_shown() -> None:
    rows = dataclasses.replace(make_rows(), payers=(np.arange(1_500) > 1_490).astype(int))
    answer = evaluated(rows, make_run(rows)).report.answer
    assert answer.startswith("There are too few cards with frauds to say how many are caught.")
