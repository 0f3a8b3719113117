import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as sklearn_metrics

from shared.evaluation import arrays, bootstrap, classification, intervals, resampling


def clustered(*, units, rows_per_unit, seed, effect=1.0):
    """Scores and labels that agree within a unit: (y_true, y_score, unit)."""
    generator = np.random.default_rng(seed)
    unit = np.repeat(np.arange(units), rows_per_unit)
    y_true = np.repeat(generator.integers(0, 2, units), rows_per_unit)
    shared_part = np.repeat(generator.normal(size=units), rows_per_unit)
    return y_true, shared_part + effect * y_true + 0.3 * generator.normal(size=len(unit)), unit


def slow_bootstrap(metric, y_true, y_score, unit, *, resamples, seed):
    """The bootstrap as a textbook writes it: draw units, gather their rows, call scikit-learn."""
    generator = np.random.default_rng(seed)
    names = np.unique(unit)
    values = []
    for _ in range(resamples):
        drawn = names[generator.integers(len(names), size=len(names))]
        rows = np.concatenate([np.flatnonzero(unit == name) for name in drawn])
        values.append(metric(y_true[rows], y_score[rows]))
    return np.array(values)


def resampled(metric, y_true, y_score, unit, *, resamples, seed):
    """The values behind an interval."""
    grouping = arrays.units_of(unit, rows=len(unit))
    statistic = metric.statistic(y_true, y_score, units=grouping)
    return resampling.distribution([statistic], grouping, resamples=resamples, seed=seed)[0]


@pytest.mark.parametrize(
    ("metric", "reference"),
    [
        (classification.auroc, sklearn_metrics.roc_auc_score),
        (classification.average_precision, sklearn_metrics.average_precision_score),
        (classification.accuracy, lambda y, s: sklearn_metrics.accuracy_score(y, s > 0.5)),
        (classification.mcc, lambda y, s: sklearn_metrics.matthews_corrcoef(y, s > 0.5)),
    ],
)
def test_the_bootstrap_equals_a_loop_that_gathers_the_rows_of_drawn_units(metric, reference):
    y_true, y_score, unit = clustered(units=40, rows_per_unit=3, seed=3)
    y_score = np.round(y_score, 1)  # ties
    values = slow_bootstrap(reference, y_true, y_score, unit, resamples=120, seed=11)
    found = bootstrap.interval(metric, y_true, y_score, units=unit, resamples=120, seed=11)
    assert resampled(metric, y_true, y_score, unit, resamples=120, seed=11) == pytest.approx(values, abs=1e-12)
    assert found.value == pytest.approx(reference(y_true, y_score), abs=1e-12)


def test_any_function_can_be_bootstrapped_and_gives_the_same_as_the_fast_route():
    y_true, y_score, unit = clustered(units=30, rows_per_unit=2, seed=1)
    fast = bootstrap.interval(classification.auroc, y_true, y_score, units=unit, resamples=150)
    slow = bootstrap.interval(sklearn_metrics.roc_auc_score, y_true, y_score, units=unit, resamples=150)
    assert [slow.value, slow.low, slow.high] == pytest.approx([fast.value, fast.low, fast.high], abs=1e-12)


def test_the_paired_difference_equals_the_difference_on_each_resample():
    y_true, y_score, unit = clustered(units=40, rows_per_unit=2, seed=5)
    other = y_score + np.random.default_rng(0).normal(size=len(y_score))
    arguments = {"resamples": 150, "seed": 4}
    ours, theirs = (
        slow_bootstrap(sklearn_metrics.roc_auc_score, y_true, s, unit, **arguments) for s in (y_score, other)
    )
    found = bootstrap.paired_difference(classification.auroc, y_true, y_score, other, units=unit, **arguments)
    differences = [resampled(classification.auroc, y_true, score, unit, **arguments) for score in (y_score, other)]
    assert differences[0] - differences[1] == pytest.approx(ours - theirs)
    # The interval is symmetric, and reaches at least as many standard errors as a normal one.
    assert (found.low + found.high) / 2 == pytest.approx(found.value)
    assert (found.high - found.low) / 2 >= 1.95 * (ours - theirs).std(ddof=1)
    assert found.method == "paired bootstrap by unit, Student's t"


def test_the_paired_difference_changes_sign_when_the_models_change_places():
    y_true, y_score, _ = clustered(units=50, rows_per_unit=1, seed=6)
    other = y_score[::-1].copy()
    forth = bootstrap.paired_difference(classification.auroc, y_true, y_score, other, resamples=200)
    back = bootstrap.paired_difference(classification.auroc, y_true, other, y_score, resamples=200)
    assert [forth.value, forth.low, forth.high] == pytest.approx([-back.value, -back.high, -back.low])


def test_pairing_narrows_the_difference_of_two_models_that_err_alike():
    y_true, y_score, _ = clustered(units=200, rows_per_unit=1, seed=8)
    other = y_score + 0.1 * np.random.default_rng(1).normal(size=len(y_score))
    paired = bootstrap.paired_difference(classification.auroc, y_true, y_score, other, resamples=300)
    single = bootstrap.interval(classification.auroc, y_true, y_score, resamples=300)
    assert paired.high - paired.low < (single.high - single.low) / 3


def test_copies_of_rows_within_a_unit_leave_the_interval_as_it_was():
    y_true, y_score, _ = clustered(units=60, rows_per_unit=1, seed=2)
    unit = np.arange(60)
    once = bootstrap.interval(classification.auroc, y_true, y_score, units=unit, resamples=200)
    thrice = bootstrap.interval(
        classification.auroc,
        np.repeat(y_true, 3),
        np.repeat(y_score, 3),
        units=np.repeat(unit, 3),
        resamples=200,
    )
    assert [thrice.low, thrice.high] == pytest.approx([once.low, once.high], abs=1e-12)


def test_ignoring_units_planted_here_would_make_the_interval_falsely_narrow():
    y_true, y_score, unit = clustered(units=40, rows_per_unit=10, seed=9)
    by_unit = bootstrap.interval(classification.auroc, y_true, y_score, units=unit, resamples=300)
    by_row = bootstrap.interval(classification.auroc, y_true, y_score, resamples=300)
    assert by_unit.high - by_unit.low > 2 * (by_row.high - by_row.low)
    assert [found.method.split(",")[0] for found in (by_unit, by_row)] == ["bootstrap by unit", "bootstrap by row"]


def test_unit_names_and_the_order_of_rows_within_units_do_not_matter():
    y_true, y_score, unit = clustered(units=30, rows_per_unit=4, seed=12)
    order = np.random.default_rng(0).permutation(len(unit))
    named = np.array([f"patient {u:03d}" for u in unit])
    plain = bootstrap.interval(classification.auroc, y_true, y_score, units=unit, resamples=100)
    mixed = bootstrap.interval(classification.auroc, y_true[order], y_score[order], units=named[order], resamples=100)
    assert [mixed.low, mixed.high] == pytest.approx([plain.low, plain.high], abs=1e-12)


def test_the_resamples_do_not_depend_on_the_block_size():
    wide = np.concatenate(list(resampling.draws(7, resamples=50, block=50, seed=3)))
    narrow = np.concatenate(list(resampling.draws(7, resamples=50, block=3, seed=3)))
    assert np.array_equal(wide, narrow)


def test_units_are_drawn_with_the_mean_and_variance_of_a_multinomial():
    drawn = np.concatenate(list(resampling.draws(20, resamples=20_000, block=1000, seed=0)))
    assert (drawn.sum(axis=1) == 20).all()
    assert drawn.mean(axis=0) == pytest.approx(np.ones(20), abs=0.04)
    assert drawn.var(axis=0).mean() == pytest.approx(1 - 1 / 20, abs=0.02)


def test_many_resamples_of_many_rows_stay_below_a_hundred_megabytes():
    y_true, y_score, _ = clustered(units=20_000, rows_per_unit=1, seed=0)
    tracemalloc.start()
    bootstrap.interval(classification.auroc, y_true, y_score, resamples=50)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100e6


def test_resamples_with_one_class_only_are_left_out_and_counted():
    y_true, y_score = np.array([0] * 4 + [1] * 4), np.arange(8.0)
    found = bootstrap.interval(classification.auroc, y_true, y_score, resamples=2000)
    undefined = int(found.method.split("(")[1].split(" of")[0])
    assert undefined / 2000 == pytest.approx(2 * 0.5**8, abs=0.006)  # 8 draws, all of one class


def test_an_interval_is_refused_when_too_few_units_carry_a_class():
    y_true, y_score = np.array([1] + [0] * 99), np.arange(100.0)
    with pytest.raises(ValueError, match=r"at least 90% of the resamples\. Received: 6\d%"):
        bootstrap.interval(classification.auroc, y_true, y_score)


def test_a_single_unit_has_no_interval():
    with pytest.raises(ValueError, match=r"at least two units to resample\. Received: 1"):
        bootstrap.interval(classification.accuracy, [0, 1], [0.2, 0.7], units=["a", "a"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"y_true": [0, 2]}, r"class ids 0 to 1\. Received: \[2\]"),
        ({"y_true": [0.5, 1]}, r"whole class ids"),
        ({"y_score": [0.1]}, r"expected 2 rows, as in y_true\. Received: shape \(1,\)"),
        ({"y_score": [0.1, math.nan]}, r"finite numbers\. Received: nan in row 1"),
        ({"units": [1]}, r"units: expected 2 rows"),
        ({"units": [[1], [2]]}, r"one id per row"),
        ({"confidence": 95}, r"confidence: expected a number above 0 and below 1\. Received: 95"),
        ({"resamples": 0}, r"resamples: expected a whole number of at least 1\. Received: 0"),
    ],
)
def test_malformed_arguments_are_named_with_what_was_received(arguments, message):
    fine = {"y_true": [0, 1], "y_score": [0.1, 0.2]}
    with pytest.raises(ValueError, match=message):
        bootstrap.interval(classification.accuracy, **(fine | arguments))


@pytest.mark.parametrize("numbers", [(math.nan, 0, 1), (0, math.inf, 1), (0.5, 0.6, 0.4)])
def test_what_is_no_interval_cannot_be_made(numbers):
    with pytest.raises(ValueError, match="finite low <= high"):
        intervals.Interval(*numbers)


def test_an_interval_survives_json():
    found = intervals.wilson(3, 10)
    assert intervals.Interval.from_json(found.to_json()) == found


@given(st.integers(1, 400).flatmap(lambda total: st.tuples(st.integers(0, total), st.just(total))))
def test_wilson_equals_the_inverted_score_test_of_scipy(counts):
    successes, total = counts
    found = intervals.wilson(successes, total)
    expected = stats.binomtest(successes, total).proportion_ci(method="wilson")
    assert [found.low, found.high] == pytest.approx([expected.low, expected.high], abs=1e-12)


@pytest.mark.parametrize(("successes", "total"), [(1, 0), (-1, 3), (4, 3), (math.nan, 3)])
def test_wilson_refuses_impossible_counts(successes, total):
    with pytest.raises(ValueError, match="expected 0 <= successes <= total"):
        intervals.wilson(successes, total)


def test_a_proportion_of_copied_rows_is_as_uncertain_as_that_of_the_originals():
    hits = np.random.default_rng(0).random(200) < 0.3
    once = intervals.wilson(int(hits.sum()), 200)
    copied = intervals.proportion(np.repeat(hits, 5), units=np.repeat(np.arange(200), 5))
    # 200 / 199 and Student's t: the variance between units is estimated, that of independent rows is not.
    assert copied.high - copied.low == pytest.approx((once.high - once.low) * 1.9720 / 1.9600, rel=0.005)


def test_a_proportion_of_independent_rows_hardly_notices_units():
    hits = np.random.default_rng(1).random(2000) < 0.3
    plain = intervals.proportion(hits)
    grouped = intervals.proportion(hits, units=np.arange(2000) // 2)
    assert grouped.high - grouped.low == pytest.approx(plain.high - plain.low, rel=0.1)
    assert plain == intervals.wilson(int(hits.sum()), 2000)


def test_a_perfect_proportion_counts_units_and_not_rows():
    found = intervals.proportion(np.ones(100, dtype=bool), units=np.arange(100) // 10)
    assert found.low == intervals.wilson(10, 10).low


def coverage(interval_of, truth, *, repeats):
    found = [interval_of(seed) for seed in range(repeats)]
    return np.mean([interval.low <= truth <= interval.high for interval in found])


@pytest.mark.slow
def test_bootstrap_intervals_hold_the_true_auroc_as_often_as_they_say():
    # Unit effect N(0, 1), row noise 0.3: two scores differ by 1 with variance 2 (1 + 0.09).
    truth = stats.norm.cdf(1 / math.sqrt(2 * 1.09))

    def by_unit(seed):
        y_true, y_score, unit = clustered(units=150, rows_per_unit=4, seed=seed)
        return bootstrap.interval(classification.auroc, y_true, y_score, units=unit, resamples=400)

    def by_row(seed):
        y_true, y_score, _ = clustered(units=150, rows_per_unit=4, seed=seed)
        return bootstrap.interval(classification.auroc, y_true, y_score, resamples=400)

    assert 0.92 <= coverage(by_unit, truth, repeats=400) <= 0.975
    assert coverage(by_row, truth, repeats=200) < 0.8


@pytest.mark.slow
def test_clustered_proportions_hold_the_true_share_as_often_as_they_say():
    def interval_of(seed):
        generator = np.random.default_rng(seed)
        share = generator.beta(2, 8, size=80)
        unit = np.repeat(np.arange(80), 5)
        return intervals.proportion(generator.random(400) < share[unit], units=unit)

    assert 0.93 <= coverage(interval_of, 0.2, repeats=1000) <= 0.975


def test_an_interval_of_groups_of_units_is_that_of_the_units(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    y_true = rng.integers(0, 2, 20_000)
    y_score = rng.normal(size=20_000) + y_true
    one = bootstrap.interval(classification.auroc, y_true, y_score, resamples=400)
    monkeypatch.setattr(resampling, "MOST_UNITS", 2_000)
    pooled = bootstrap.interval(classification.auroc, y_true, y_score, resamples=400)
    assert pooled.method.startswith("bootstrap by row in 2,000 groups")
    assert pooled.value == one.value
    assert pooled.high - pooled.low == pytest.approx(one.high - one.low, rel=0.15)


def test_fewer_resamples_than_asked_are_stated(monkeypatch: pytest.MonkeyPatch) -> None:
    y_true = np.arange(100) % 2
    y_score = np.random.default_rng(0).normal(size=100) + y_true
    monkeypatch.setattr(resampling, "MOST_CELLS", 25_000)
    assert "250 resamples" in bootstrap.interval(classification.auroc, y_true, y_score, resamples=400).method
    assert "resamples" not in bootstrap.interval(classification.auroc, y_true, y_score, resamples=250).method


def test_a_share_of_few_unequal_units_has_the_degrees_of_freedom_that_leaving_each_out_shows():
    units = np.repeat(np.arange(8), [9, 1, 2, 3, 7, 4, 1, 5])
    hits = np.isin(np.arange(32), (0, 1, 2, 3, 4, 5, 15, 27))
    found = intervals.proportion(~hits, units=units)
    change = np.array([32 * (found.value - (~hits)[units != unit].mean()) for unit in range(8)])
    change -= change.mean()
    freedom = 2 / ((change**4).sum() / (change**2).sum() ** 2 - 1 / 8)
    size = 32 * 32 * found.value * (1 - found.value) / (7 / 8 * (change**2).sum())
    # Wilson's ends are those from which the share is just so many of their own standard errors away.
    for end in (found.low, found.high):
        assert abs(found.value - end) / np.sqrt(end * (1 - end) / size) == pytest.approx(stats.t.ppf(0.975, freedom))
