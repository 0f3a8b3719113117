"""``fieldnets compare``: rows that meet, labels that must agree, clusters, and differences by another derivation."""

import json
import pathlib
from typing import Any

import numpy as np
import pandas as pd
import pytest

from apps import __main__ as fieldnets
from apps.fraud_detection import comparing as fraud
from apps.medical_imaging import comparing as medical
from apps.sentiment import comparing as sentiment
from shared import errors, files
from shared.evaluation import bootstrap, classification, summaries
from shared.runs import comparing, page

RANDOM = np.random.default_rng(5)
ROWS = 120


def a_table(*, rows: int = ROWS, noise: float = 0.0, units: int = 30) -> pd.DataFrame:
    """Return what the sentiment app writes of texts whose scores are better the less noise there is."""
    truth = np.arange(rows) % 2
    random = np.random.default_rng(int(100 * noise))
    score = np.clip(0.5 + (truth - 0.5) * 0.5 + random.normal(0, 0.1 + noise, rows), 0.01, 0.99)
    names = np.array(["negative", "positive"], object)
    return pd.DataFrame(
        {
            "text_sha256": [f"{row:064x}" for row in range(rows)],
            "unit": np.arange(rows) % units,
            "label": names[truth],
            "predicted": names[(score >= 0.5).astype(int)],
            "score_negative": 1 - score,
            "score_positive": score,
        }
    )


def a_run(path: pathlib.Path, table: pd.DataFrame, *, app: str = "sentiment", **settings: Any) -> files.RunFolder:
    run = files.RunFolder(path)
    files.write_json(run.config, {"data": ["d"], "epochs": 3, **settings})
    files.write_json(run.environment, {"packages": {"keras": "3.15"}})
    files.write_json(run.decision, {"class_names": ["negative", "positive"]})
    run.model.write_bytes(b"weights")
    run.history.write_text("network,epoch,validation_loss\na,1,0.5\na,2,0.4\nb,1,0.6\nb,2,0.3\n")
    data = {"split": "test", "n": len(table), "unit": "group of texts"}
    document = {"app": app, "data": data, "metrics": {"accuracy": {}}, "baselines": {}}
    files.write_json(run.evaluation / "metrics.json", document)
    table.to_parquet(run.evaluation / "predictions.parquet", index=False)
    return run


def opened(path: pathlib.Path, table: pd.DataFrame, **settings: Any) -> comparing.Tested:
    run = a_run(path, table, **settings)
    return comparing.open_tested(run.path, name=path.name, app=sentiment.COMPARISON)


def compared(tmp_path: pathlib.Path, *tables: pd.DataFrame) -> page.Comparison:
    runs = [opened(tmp_path / name, table) for name, table in zip("abc", tables, strict=False)]
    return page.compare(runs, sentiment.COMPARISON)


def test_the_differences_are_those_of_the_paired_bootstrap_whatever_the_order_of_the_rows(
    tmp_path: pathlib.Path,
) -> None:
    good, poor = a_table(), a_table(noise=0.4)
    shuffled = poor.sample(frac=1, random_state=3)
    found = compared(tmp_path, good, shuffled).pairs[0]
    expected = bootstrap.paired_difference(
        classification.auroc,
        (good["label"] == "positive").to_numpy(int),
        poor["score_positive"],
        good["score_positive"],
        units=good["unit"],
    )
    ours = found.difference["auroc"]
    assert (ours.value, ours.low, ours.high) == pytest.approx((expected.value, expected.low, expected.high), abs=1e-9)
    for name, run in (("first", good), ("second", poor)):
        accuracy = getattr(found, name)["accuracy"].value
        assert accuracy == pytest.approx((run["label"] == run["predicted"]).mean())


def test_a_run_differs_in_nothing_from_itself(tmp_path: pathlib.Path) -> None:
    found = compared(tmp_path, a_table(noise=0.3), a_table(noise=0.3))
    assert {each.value for each in found.pairs[0].difference.values()} == {0.0}
    assert page.settings(found.met.runs) == {}
    assert "no clear difference" in page.answer(found)


def test_only_common_rows_are_compared_and_the_rest_is_told(tmp_path: pathlib.Path) -> None:
    whole = a_table(noise=0.2)
    found = compared(tmp_path, whole, whole.iloc[30:], whole.iloc[:90])
    assert (len(found.met.clusters), found.met.units) == (60, 30)
    assert sum("60 (" in note for note in found.met.notes) == 3
    assert [list(each.table["text_sha256"]) for each in found.met.runs] == [list(whole["text_sha256"][30:90])] * 3


def test_equal_texts_meet_one_to_one(tmp_path: pathlib.Path) -> None:
    table = a_table()
    table.loc[1::2, "text_sha256"] = table["text_sha256"][::2].to_list()
    table = table.assign(label="negative")
    first, second = opened(tmp_path / "a", table), opened(tmp_path / "b", table.iloc[:-1])
    met = comparing.meet([first, second])
    assert len(met.clusters) == ROWS - 1
    np.testing.assert_array_equal(met.runs[0].table["score_positive"], table["score_positive"][:-1])


def test_tests_that_share_nothing_and_labels_that_disagree_are_refused(tmp_path: pathlib.Path) -> None:
    table = a_table()
    other = table.assign(text_sha256="x" + table["text_sha256"])
    with pytest.raises(errors.InputError, match=r"tested on the same rows\. Received: none"):
        compared(tmp_path, table, other)
    turned = table.copy()
    turned.loc[[4, 7], "label"] = ["positive", "negative"]
    with pytest.raises(errors.InputError, match=rf"2 of 120 common rows, the first of them {4:064x}"):
        compared(tmp_path, table, turned)
    with pytest.raises(errors.InputError, match="at least 2 common units"):
        compared(tmp_path, table.assign(unit=1), table.assign(unit=1))
    with pytest.raises(errors.InputError, match="expected the classes of a"):
        compared(tmp_path, table, table.assign(score_neutral=0.0))


def test_what_either_run_holds_together_is_resampled_together(tmp_path: pathlib.Path) -> None:
    table = a_table(rows=6, units=6)
    found = compared(tmp_path, table.assign(unit=[0, 0, 1, 2, 3, 4]), table.assign(unit=[0, 1, 1, 2, 3, 4]))
    assert found.met.clusters.tolist() == [0, 0, 0, 1, 2, 3]
    assert any("in different ways" in note for note in found.met.notes)


def test_clusters_widen_the_interval(tmp_path: pathlib.Path) -> None:
    one, other = a_table(noise=0.1, units=ROWS), a_table(noise=0.4, units=ROWS)
    repeated = [
        pd.concat([each.assign(text_sha256=each["text_sha256"] + copy) for copy in "xyz"]) for each in (one, other)
    ]
    width = {}
    for name, tables in (("clustered", repeated), ("alone", [each.assign(unit=range(3 * ROWS)) for each in repeated])):
        difference = compared(tmp_path / name, *tables).pairs[0].difference["accuracy"]
        width[name] = difference.high - difference.low
    assert width["clustered"] / width["alone"] == pytest.approx(3**0.5, rel=0.15)


def test_an_older_evaluation_and_one_of_other_weights_are_refused(tmp_path: pathlib.Path) -> None:
    run = a_run(tmp_path / "a", a_table().drop(columns="unit"))
    tested = comparing.open_tested(run.path, name="a", app=sentiment.COMPARISON)
    with pytest.raises(errors.InputError, match="expected predictions with the columns unit"):
        comparing.meet([tested, tested])
    document = files.read_json(run.evaluation / "metrics.json")
    files.write_json(run.evaluation / "metrics.json", {**document, "model": {"weights_sha256": "0" * 64}})
    with pytest.raises(errors.InputError, match="of the weights that are there now"):
        comparing.open_tested(run.path, name="a", app=sentiment.COMPARISON)


def test_the_command_writes_a_page_and_a_document_and_says_the_answer(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a_run(tmp_path / "a" / "run", a_table())
    a_run(tmp_path / "b" / "run", a_table(noise=0.5), epochs=9)
    words = ["compare", str(tmp_path / "a" / "run"), str(tmp_path / "b" / "run"), "--output-dir", str(tmp_path / "out")]
    assert fieldnets.main([*words, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["answer"].startswith("b/run against a/run: worse; Accuracy −")
    document = files.read_json(tmp_path / "out" / "comparison.json")
    assert document["settings"] == {"epochs": {"a/run": 3, "b/run": 9}}
    assert document["test"]["rows"] == ROWS
    assert said["b/run minus a/run"] == document["differences"]["b/run"]
    shown = (tmp_path / "out" / "comparison.html").read_text()
    assert shown.count("<svg") == 5  # the forest, a curve for each of two networks, ROC, precision and recall


@pytest.mark.parametrize("change", ["one", "app", "evaluation", "twice"])
def test_what_cannot_be_compared_exits_2_and_writes_nothing(
    change: str, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = a_run(tmp_path / "a", a_table())
    second = a_run(tmp_path / "b", a_table(), app="fraud_detection" if change == "app" else "sentiment")
    if change == "evaluation":
        (second.evaluation / "metrics.json").unlink()
    runs = {"one": [first], "twice": [first, first]}.get(change, [first, second])
    words = [str(each.path) for each in runs]
    assert fieldnets.main(["compare", *words, "--output-dir", str(tmp_path / "out")]) == 2
    said = {
        "one": "at least two runs",
        "app": "runs of one app",
        "evaluation": "an evaluated run",
        "twice": "that differ",
    }
    assert said[change] in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_findings_of_radiographs_are_compared_where_their_labels_are_known(tmp_path: pathlib.Path) -> None:
    truth = RANDOM.integers(0, 2, (80, 2)).astype(float)
    truth[::9, 1] = np.nan
    found = []
    for name, noise in (("a", 0.2), ("b", 0.9)):
        scores = np.clip(np.nan_to_num(truth) * 0.6 + 0.2 + RANDOM.normal(0, noise, truth.shape), 0.01, 0.99)
        columns = {
            f"{kind}_{finding}": values[:, place]
            for kind, values in (("label", truth), ("score", scores), ("present", scores >= 0.5))
            for place, finding in enumerate(("effusion", "mass"))
        }
        people = [f"p{row // 2}" for row in range(80)]
        table = pd.DataFrame({"image": [f"{row}.png" for row in range(80)], "patient": people, **columns})
        run = a_run(tmp_path / name, table, app="medical_imaging")
        found.append(comparing.open_tested(run.path, name=name, app=medical.COMPARISON))
    both = page.compare(found, medical.COMPARISON).pairs[0]
    by_hand = [
        np.mean(
            [
                classification.auroc(truth[known, place], each.table[f"score_{finding}"][known])
                for place, finding in enumerate(("effusion", "mass"))
                for known in [~np.isnan(truth[:, place])]
            ]
        )
        for each in found
    ]
    assert both.difference["auroc"].value == pytest.approx(by_hand[1] - by_hand[0])
    assert both.difference["auroc"].high < 0


def test_transactions_meet_within_their_fold_and_are_compared_by_one_budget(tmp_path: pathlib.Path) -> None:
    rows, found = 400, []
    frauds = np.arange(rows) % 8 == 0
    for name, noise in (("a", 0.05), ("b", 0.6)):
        score = np.clip(0.1 + 0.6 * frauds + RANDOM.normal(0, noise, rows), 0, 1)
        table = pd.DataFrame(
            {
                **{"id": np.arange(rows), "fold": 1 + np.arange(rows) // 200, "payer": np.arange(rows) % 60},
                **{"day": [f"day {row // 40}" for row in range(rows)], "amount": 10.0, "weight": 1.0},
                **{"label": np.where(frauds, "fraud", "genuine"), "score": score, "threshold": 0.5},
            }
        )
        run = a_run(tmp_path / name, table, app="fraud_detection")
        costs = {"investigation_cost": 5.0, "recovered_share": 0.8, "alerts_per_day": 4 if name == "a" else 40}
        files.write_json(run.decision, costs)
        found.append(comparing.open_tested(run.path, name=name, app=fraud.COMPARISON))
    both = page.compare(found, fraud.COMPARISON).pairs[0]
    by_hand = [
        np.mean(
            [
                classification.average_precision((part["label"] == "fraud").to_numpy(int), part["score"])
                for _, part in each.table.groupby("fold")
            ]
        )
        for each in found
    ]
    assert both.difference["average_precision"].value == pytest.approx(by_hand[1] - by_hand[0])
    assert both.first["recall_in_budget"].value <= 4 / 5


@pytest.mark.parametrize("unit", ["number", "name"])
def test_values_and_intervals_of_the_first_run_are_those_of_its_report(tmp_path: pathlib.Path, unit: str) -> None:
    table = a_table(noise=0.3)
    if unit == "name":
        table["unit"] = [f"u{each}" for each in table["unit"]]
    runs = [opened(tmp_path / name, table, resamples=150) for name in "ab"]
    found = page.compare(runs, sentiment.COMPARISON).pairs[0].first
    report = summaries.summarize(
        (table["label"] == "positive").to_numpy(int),
        table[["score_negative", "score_positive"]].to_numpy(),
        units=np.unique(table["unit"], return_inverse=True)[1],
        resamples=150,
    )
    assert dict(found) == dict(report)
