"""Intervals hold the true value as often as they say, where units are few: simulated, seeded, bounded.

``python -m benchmarks.coverage`` is the whole of it; docs/intervals.md has its table.
"""

import dataclasses
import math

import numpy as np
import pytest

from benchmarks import coverage, coverage_data, coverage_page
from shared.evaluation import (
    arrays,
    bootstrap,
    classification,
    ends,
    few_hits,
    intervals,
    miscalibration,
    resampling,
    simulated_outcomes,
    summaries,
    weighted,
)

SETS = 150
# Three standard errors of a share of 0.95 in so many data sets below it.
LEAST = 0.95 - 3 * math.sqrt(0.95 * 0.05 / SETS)
POPULATIONS = {population.name: population for population in coverage_data.POPULATIONS}
SOME = ("accuracy", "f1_macro", "average_precision", "ece", "sensitivity")


def tallies(name, *, metrics):
    population = dataclasses.replace(POPULATIONS[name], metrics=metrics)
    return coverage.classifier(population, sets=SETS, resamples=200)


@pytest.mark.parametrize("name", ["15 + 180 rows, AUROC near 1", "20 + 20 rows, AUROC near 1"])
def test_auroc_is_held_with_few_positives_and_near_1_where_percentiles_lose_it(name):
    found = tallies(name, metrics=coverage_data.RANKING)["auroc"]
    assert np.mean(found.held) >= LEAST
    # The planted method: plain percentiles of the same resamples would not pass.
    assert np.mean(found.before) < LEAST - 0.03
    assert min(found.widths) > 0


@pytest.mark.parametrize("name", ["32 rows, accuracy 0.9", "20 units of 1 to 9 rows"])
def test_other_metrics_and_differences_are_held_with_few_rows_or_units(name):
    found = tallies(name, metrics={metric: coverage_data.METRICS[metric] for metric in SOME})
    for number, tally in found.items():
        assert np.mean(tally.held) >= LEAST, number
        assert min(tally.widths) > 0, number
    assert np.mean(found["ece"].before) < LEAST
    assert np.mean(found["average_precision"].before) < LEAST


def test_metrics_of_a_class_with_hardly_a_hit_are_held():
    names = ("balanced_accuracy", "f1_macro", "mcc", "brier", "ece")
    found = tallies("100 rows, 10 % positive", metrics={name: coverage_data.METRICS[name] for name in names})
    for number, tally in found.items():
        assert np.mean(tally.held) >= LEAST, number
    # In most data sets some class has fewer hits than ten: resamples alone would not hold them.
    assert found["f1_macro"].methods[few_hits.METHOD] > SETS / 3


def test_shares_of_twenty_units_of_unequal_size_are_held():
    names = ("accuracy", "sensitivity", "specificity", "precision")
    found = tallies("20 units of 1 to 9 rows", metrics={name: coverage_data.METRICS[name] for name in names})
    assert np.mean([held for tally in found.values() for held in tally.held]) >= 0.93


def test_groups_of_units_and_fewer_resamples_hold_as_often():
    # The same in smaller: 120 units in 40 groups.
    metrics = {name: coverage_data.METRICS[name] for name in ("brier", "ece")}
    like = POPULATIONS["300 units in 100 groups, 200 resamples"]
    population = dataclasses.replace(like, rows=120, limits=(40, 0), metrics=metrics)
    for number, tally in coverage.classifier(population, sets=100, resamples=210).items():
        assert np.mean(tally.held) >= LEAST, number
        assert "in 40 groups, 200 resamples" in next(iter(tally.methods)), number
    assert resampling.MOST_UNITS == 50_000


def test_differences_of_models_that_are_alike_are_not_held_always():
    found = tallies("100 rows, ties", metrics={name: coverage_data.METRICS[name] for name in ("brier", "ece")})
    for number in ("brier, difference", "ece, difference"):
        assert LEAST <= np.mean(found[number].held) < 0.99, number


def test_a_metric_of_few_hits_moves_as_wilsons_interval_of_the_class():
    truth, units = np.array([0] * 90 + [1] * 10), arrays.units_of(None, rows=100)
    none = weighted.one_hot(np.zeros(100, int), classes=2)
    found = few_hits.interval(classification.balanced_accuracy, truth, none, units=units, confidence=0.95)
    assert found is not None
    # The mean of two recalls: 0 of 10 and 90 of 90, each half of the change, squares added where both go one way.
    up, down = intervals.wilson(0, 10).high / 2, (1 - intervals.wilson(90, 90).low) / 2
    assert (found.low, found.high) == pytest.approx((0.5 - down, 0.5 + up))
    right = weighted.one_hot(truth, classes=2)
    assert few_hits.interval(classification.mcc, truth, right, units=units, confidence=0.95) is None


def test_simulated_calibration_errors_are_those_of_outcomes_that_come_true_as_often_as_said():
    random = np.random.default_rng(5)
    probability, bins = random.random(400), np.repeat([0, 1, 2], [390, 9, 1])
    one = np.ones(400)
    rows = simulated_outcomes.Binned(
        probability=probability,
        outcome=(random.random(400) < probability).astype(float),
        bin=bins,
        weight=one,
        units=arrays.units_of(None, rows=400),
    )
    found = rows.calibration_errors(4000, 1)
    drawn = (random.random((4000, 400)) < probability) - probability
    direct = sum(np.abs(drawn[:, bins == b].sum(axis=1)) for b in range(3)) / 400
    assert found.shape == (len(weighted.FACTORS), 4000)
    assert np.quantile(found[0], [0.5, 0.95]) == pytest.approx(np.quantile(direct, [0.5, 0.95]), rel=0.05)
    # Ten copies of a row by one unit: their sum varies as ten times one row, and not as the root of ten times.
    copies = dataclasses.replace(rows, units=arrays.Units(np.repeat(np.arange(40), 10), 40))
    again = dataclasses.replace(
        copies, probability=np.full(400, 0.5), outcome=np.repeat(random.integers(0, 2, 40), 10).astype(float)
    )
    assert again.calibration_errors(2000, 1)[0].mean() == pytest.approx(
        math.sqrt(10)
        * dataclasses.replace(again, units=arrays.units_of(None, rows=400)).calibration_errors(2000, 1)[0].mean(),
        rel=0.1,
    )


def test_the_page_shows_the_results_and_marks_what_is_outside_of_the_goal(tmp_path, monkeypatch):
    monkeypatch.setattr(coverage_page, "FILE", tmp_path / "coverage.json")
    monkeypatch.setattr(coverage_page, "PAGE", tmp_path / "page.md")
    coverage_page.PAGE.write_text(f"before\n{coverage_page.BEGIN}\nold\n{coverage_page.END}\nafter\n")
    tally = coverage.Tally(0.5, exact=0.96)
    for held in (True, True, False):
        tally.add(intervals.Interval(0.5, 0.4 if held else 0.6, 0.7), (0.4, 0.6))
    assert not coverage_page.has("few")
    coverage_page.keep("few", [tally.row("accuracy")])
    coverage_page.write()
    written = coverage_page.PAGE.read_text()
    assert "| few | accuracy | 0.500 | 3 | 1.000 | **0.667** (0.960) |" in written
    # Three data sets say nothing: they are shown, and not counted.
    assert "No number has 100 data sets yet." in written
    many = [{**tally.row(name), "sets": 100, "suite": suite} for name, suite in (("auroc", 0.95), ("brier", 0.9))]
    coverage_page.keep("many", many)
    assert coverage_page.summary().startswith("1 of 2 numbers are held in 0.93 to 0.97 of their data sets, 1 in fewer")
    assert "1 numbers of fewer than 100 data sets are not counted" in coverage_page.summary()
    assert written.startswith("before\n")
    assert written.endswith("after\n")
    assert "\nold\n" not in written


def test_the_page_of_intervals_has_the_newest_results():
    assert "\n".join(coverage_page.table()) in coverage_page.PAGE.read_text(encoding="utf-8")


def test_card_precision_of_few_cards_is_held():
    found = coverage.tallied("card", lambda random: coverage_data.cards(random, count=60), sets=SETS, resamples=100)[
        "card"
    ]
    assert np.mean(found.held) >= LEAST


@pytest.mark.parametrize("hits", [0, 29])
def test_a_share_of_none_or_of_all_has_a_width(hits):
    y_true = np.array([1] * 29 + [0] * 40)
    score = np.where(np.arange(69) < hits, 0.9, 0.2)
    metrics = {"sensitivity": classification.sensitivity, "accuracy": classification.accuracy}
    found = summaries.summarize(y_true, score, metrics=metrics, resamples=50)
    assert found["sensitivity"] == intervals.wilson(hits, 29)
    assert found["sensitivity"].high - found["sensitivity"].low > 0.1


def test_no_interval_of_equal_scores_perfect_scores_or_ties_has_no_width():
    y_true = np.array([0, 1] * 15)
    noisy = np.random.default_rng(0).random(30)
    for score in (np.full(30, 0.3), np.where(y_true == 1, 0.9, 0.1), np.round(noisy, 1), y_true.astype(float)):
        found = summaries.summarize(y_true, score, resamples=60)
        assert all(each.low < each.high and each.low <= each.value <= each.high for each in found.values())
        bounded = [each for name, each in found.items() if name not in ("mcc", "brier", "log_loss")]
        assert all(each.low >= 0 and each.high <= 1 for each in bounded)


def test_a_perfect_score_is_as_unsure_as_the_rarer_class_has_units():
    y_true = np.array([1] * 6 + [0] * 60)
    units = np.r_[[0, 0, 1, 1, 2, 2], np.arange(10, 70)]
    grouping = arrays.units_of(units, rows=66)
    assert resampling.carriers_of(y_true, grouping) == 3
    score = np.where(y_true == 1, 0.9, 0.1)
    few = summaries.summarize(y_true, score, units=units, metrics={"auroc": classification.auroc}, resamples=500)
    many = summaries.summarize(y_true, score, metrics={"auroc": classification.auroc}, resamples=500)
    assert few["auroc"].low < many["auroc"].low < 1 == few["auroc"].high


def spread(influences, *, value, bounds=ends.UNIT, **more):
    """A statistic that is a mean: what each unit adds to it, as the jackknife sees it."""
    count = len(influences)
    left_out = value - (influences - influences.mean()) / (count - 1)
    samples = value + influences.std() / math.sqrt(count) * np.random.default_rng(0).normal(size=1000)
    return ends.Spread(value=value, samples=samples, left_out=left_out, bounds=bounds, carriers=count, **more)


def test_a_share_of_independent_rows_gets_wilsons_interval_from_its_resamples_too():
    hits = np.repeat([1.0, 0.0], [600, 400])
    low, high, method = ends.found(spread(hits, value=0.6), confidence=0.95)
    exact = intervals.wilson(600, 1000)
    assert (low, high) == pytest.approx((exact.low, exact.high), abs=0.003)
    assert method == ends.WILSON


def test_degrees_of_freedom_are_few_where_few_units_matter():
    normal = spread(np.random.default_rng(1).normal(size=400), value=0.5)
    rare = spread(np.repeat([1.0, 0.0], [5, 395]), value=0.0125)
    # A normal influence has a kurtosis of 3: 2 n / 2 = n. Five of 400: 1 / (0.0125 * 0.9875) - 3 is its kurtosis.
    kurtosis = 1 / (0.0125 * 0.9875) - 3
    assert normal.student(0.95) == pytest.approx(intervals.student(399, 0.95), abs=0.01)
    assert rare.student(0.95) == pytest.approx(intervals.student(2 * 400 / (kurtosis - 1), 0.95), abs=0.01)


def test_a_mean_of_skewed_losses_reaches_further_up_than_down():
    losses = np.random.default_rng(2).exponential(size=60)
    low, high, method = ends.found(spread(losses, value=1.0, bounds=ends.POSITIVE), confidence=0.95)
    assert method == ends.SKEWED
    assert high - 1 > 1.3 * (1 - low) > 0


def test_a_difference_is_symmetric_and_stays_within_what_is_possible():
    wide = spread(np.random.default_rng(3).normal(size=4), value=0.9, difference=True)
    assert ends.found(wide, confidence=0.95)[1:] == (1.0, ends.STUDENT)
    narrow = spread(np.random.default_rng(3).normal(size=400), value=0.1, difference=True)
    low, high, _ = ends.found(narrow, confidence=0.95)
    assert (low + high) / 2 == pytest.approx(0.1)


def test_what_never_varies_and_has_no_upper_bound_has_no_interval_but_a_note():
    found = summaries.summarize([0, 1] * 10, np.full(20, 0.5), resamples=30)
    assert "log_loss" not in found
    assert any(note.startswith("log_loss: expected resamples that differ") for note in found.notes)


def test_the_calibration_error_of_calibrated_scores_may_be_0_and_that_of_others_may_not():
    random = np.random.default_rng(4)
    score = random.random(800)
    y_true = (random.random(800) < score).astype(int)
    assert bootstrap.interval(miscalibration.ece, y_true, score, resamples=200).low == 0
    shifted = np.clip(score + 0.25, 0, 1)
    found = bootstrap.interval(miscalibration.ece, y_true, shifted, resamples=200)
    assert 0.1 < found.low < found.value < found.high
    assert found.method == "bootstrap by row, test inversion"


def test_leaving_out_units_covers_each_of_them_once_in_blocks_of_any_size():
    for units, resamples in ((7, 100), (1000, 300)):
        narrow, wide = (
            np.concatenate(list(resampling.omissions(units, resamples=resamples, block=size))) for size in (3, 500)
        )
        assert np.array_equal(narrow, wide)
        assert np.array_equal((1 - narrow).sum(axis=0), np.ones(units))
