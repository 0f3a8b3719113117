"""Intervals hold the true value as often as they say, where units are few: simulated, seeded, bounded.

``python -m benchmarks.coverage`` is the whole of it; docs/intervals.md has its table.
"""

import dataclasses
import math

import numpy as np
import pytest

from benchmarks import coverage
from shared.evaluation import arrays, bootstrap, classification, ends, intervals, miscalibration, resampling, summaries

SETS = 150
# Three standard errors of a share of 0.95 in so many data sets below it.
LEAST = 0.95 - 3 * math.sqrt(0.95 * 0.05 / SETS)
POPULATIONS = {population.name: population for population in coverage.POPULATIONS}
SOME = ("accuracy", "f1_macro", "average_precision", "ece", "sensitivity")


def tallies(name, *, metrics):
    population = dataclasses.replace(POPULATIONS[name], metrics=metrics)
    return coverage.classifier(population, sets=SETS, resamples=200)


@pytest.mark.parametrize("name", ["15 + 180 rows, AUROC near 1", "20 + 20 rows, AUROC near 1"])
def test_auroc_is_held_with_few_positives_and_near_1_where_percentiles_lose_it(name):
    found = tallies(name, metrics=coverage.RANKING)["auroc"]
    assert np.mean(found.held) >= LEAST
    # The planted method: plain percentiles of the same resamples would not pass.
    assert np.mean(found.before) < LEAST - 0.03
    assert min(found.widths) > 0


@pytest.mark.parametrize("name", ["32 rows, accuracy 0.9", "20 units of 1 to 9 rows"])
def test_other_metrics_and_differences_are_held_with_few_rows_or_units(name):
    found = tallies(name, metrics={metric: coverage.METRICS[metric] for metric in SOME})
    for number, tally in found.items():
        assert np.mean(tally.held) >= LEAST, number
        assert min(tally.widths) > 0, number
    assert np.mean(found["ece"].before) < LEAST
    assert np.mean(found["average_precision"].before) < LEAST


def test_card_precision_of_few_cards_is_held():
    found = coverage.tallied("card", lambda random: coverage.cards(random, count=60), sets=SETS, resamples=100)["card"]
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
