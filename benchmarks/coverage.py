"""How often intervals hold the true value: simulated data sets of known truth, few units, rare classes, clusters.

``python -m benchmarks.coverage`` prints the table of docs/intervals.md, and with ``--page`` writes it: beside the
suite's intervals, plain percentiles of the same resamples (the calibration error's reflected), which is what the suite
had before. 95 % is claimed; of 1,000 data sets chance alone moves a share by 0.014 to either side. Each kind is kept in
``coverage.json`` when it is done: a run that was ended goes on with the next.
"""

import argparse
import collections
import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from scipy import stats

from benchmarks import coverage_data, coverage_page
from shared.evaluation import arrays, ends, intervals, resampling, summaries, weighted

# Data sets that are joined for the true values, or averaged where a number depends on how many units there are.
TRUTH_SETS, MANY_ROWS = 2000, 10_000


@dataclasses.dataclass(eq=False)
class Tally:
    """How often one number's intervals held its true value."""

    truth: float
    exact: float | None = None
    held: list[bool] = dataclasses.field(default_factory=list)
    before: list[bool] = dataclasses.field(default_factory=list)
    widths: list[float] = dataclasses.field(default_factory=list)
    refused: int = 0
    methods: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)

    def add(self, found: intervals.Interval | None, percentiles: tuple[float, float]) -> None:
        """Count one data set."""
        if found is None:
            self.refused += 1
            return
        room = 1e-12  # an end of exactly 0 or 1
        self.held.append(found.low - room <= self.truth <= found.high + room)
        self.before.append(percentiles[0] - room <= self.truth <= percentiles[1] + room)
        self.widths.append(found.high - found.low)
        self.methods[found.method.partition(" (")[0]] += 1

    def row(self, number: str) -> coverage_page.Row:
        """Return the row of the table."""
        return {
            "number": number,
            "truth": self.truth,
            "sets": len(self.held),
            "percentiles": float(np.mean(self.before)),
            "suite": float(np.mean(self.held)),
            "width": float(np.mean(self.widths)),
            "exact": self.exact,
            "refused": self.refused,
            "method": self.methods.most_common(1)[0][0],
        }


def percentiles(resampled: resampling.Resampled, name: str) -> tuple[float, float]:
    """Return the ends that the suite had before: percentiles, reflected for a calibration error."""
    values = resampled.samples[name][np.isfinite(resampled.samples[name])]
    low, high = np.quantile(values, [0.025, 0.975]).tolist() if len(values) else (0.0, 0.0)
    value = resampled.values[name]
    reflected = name == "ece" and name not in resampled.differences
    return (min(value, max(0.0, 2 * value - high)), max(value, 2 * value - low)) if reflected else (low, high)


def classifier(
    population: coverage_data.Population, *, sets: int, resamples: int, first_seed: int = 0
) -> dict[str, Tally]:
    """Return the tallies of one model's metrics, and of its differences to another model."""
    random = np.random.default_rng(1)
    labels, first, second, _ = (np.concatenate(each) for each in zip(*_many(population, random), strict=True))
    truth = {name: metric(labels, first) for name, metric in population.metrics.items()}
    tallies = {name: Tally(value) for name, value in truth.items()}
    if "accuracy" in tallies and population.cluster == 1:
        tallies["accuracy"].exact = exact_coverage(truth["accuracy"], population.rows)
    compared = {name: metric for name, metric in population.metrics.items() if name in coverage_data.COMPARED}
    for name, metric in compared.items():
        tallies[f"{name}, difference"] = Tally(truth[name] - metric(labels, second))
    for seed in range(first_seed, first_seed + sets):
        y_true, scores, other, units = population.draw(np.random.default_rng([seed, 2]))
        common: dict[str, Any] = {"units": units, "resamples": resamples, "seed": seed}
        with limited(population.limits):
            model = summaries.resampled(y_true, scores, metrics=population.metrics, **common)
            paired = model.minus(summaries.resampled(y_true, other, metrics=compared, **common))
        found = summaries.with_closed_forms(model.intervals(), y_true, scores, predicted=None, units=units)
        differences = paired.intervals()
        for name in truth:
            tallies[name].add(found.get(name), percentiles(model, name))
        for name in compared:
            tallies[f"{name}, difference"].add(differences.get(name), percentiles(paired, name))
    return tallies


def _many(population: coverage_data.Population, random: coverage_data.Random) -> Iterator[tuple[Any, ...]]:
    sets = TRUTH_SETS if population.rows < MANY_ROWS else 50
    return (population.draw(random) for _ in range(sets))


@contextlib.contextmanager
def limited(limits: tuple[int, int] | None) -> Iterator[None]:
    """Resample in groups, and fewer times, as the suite does with more units and rows than are simulated here."""
    usual = resampling.MOST_UNITS, resampling.MOST_CELLS
    resampling.MOST_UNITS, resampling.MOST_CELLS = limits or usual
    try:
        yield
    finally:
        resampling.MOST_UNITS, resampling.MOST_CELLS = usual


def exact_coverage(share: float, rows: int) -> float:
    """Return how often Wilson's interval of a share of so many independent rows holds it: no chance is left in it.

    >>> round(exact_coverage(0.5, 10), 4)  # 2 to 8 hits of 10
    0.9785
    """
    hits = np.arange(rows + 1)
    held = [one.low <= share <= one.high for one in (intervals.wilson(each, rows) for each in hits.tolist())]
    return float(stats.binom.pmf(hits, rows, share)[held].sum())


def tallied(
    name: str,
    draw: Callable[[coverage_data.Random], tuple[weighted.Statistic, int]],
    *,
    sets: int,
    resamples: int,
    first_seed: int = 0,
) -> dict[str, Tally]:
    """Return the tally of one statistic of units; its true value is its mean over data sets of that size."""
    random = np.random.default_rng(3)
    values = []
    for _ in range(TRUTH_SETS):
        statistic, units = draw(random)
        values.append(float(statistic(np.ones((1, units)))[0]))
    tally = Tally(float(np.mean(values)))
    for seed in range(first_seed, first_seed + sets):
        statistic, units = draw(np.random.default_rng([seed, 4]))
        grouping = arrays.Units(np.arange(units), units)
        found = resampling.Resampled.of({name: statistic}, grouping, resamples=resamples, seed=seed)
        found = dataclasses.replace(found, bounds={name: ends.UNIT})
        tally.add(found.intervals().get(name), percentiles(found, name))
    return {name: tally}


def kinds(*, sets: int, resamples: int, first_seed: int = 0) -> dict[str, Callable[[], dict[str, Tally]]]:
    """Return what simulates each kind of data sets, by its name."""
    found: dict[str, Callable[[], dict[str, Tally]]] = {}
    common: dict[str, Any] = {"resamples": resamples, "first_seed": first_seed}
    for each in coverage_data.POPULATIONS:
        found[each.name] = functools.partial(classifier, each, sets=min(sets, each.most_sets), **common)
    for count in (25, 80):
        draw = functools.partial(coverage_data.detections, count=count)
        found[f"{count} images"] = functools.partial(tallied, "map", draw, sets=min(sets, 200), **common)
    for count in (60, 300):
        draw = functools.partial(coverage_data.cards, count=count)
        found[f"{count} cards"] = functools.partial(tallied, "card precision", draw, sets=sets, **common)
    return found


def main() -> None:
    """Simulate what is not in the file of results yet, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", type=int, default=1000, help="data sets of each kind, fewer of slow ones")
    parser.add_argument("--resamples", type=int, default=300, help="of each bootstrap")
    parser.add_argument("--first-seed", type=int, default=0, help="of the data sets: those of another run are others")
    parser.add_argument("--only", default="", help="kinds whose name has this in it")
    parser.add_argument("--anew", action="store_true", help="also what the file of results has")
    parser.add_argument("--page", action="store_true", help="write the table of docs/intervals.md")
    chosen = parser.parse_args()
    wanted = kinds(sets=chosen.sets, resamples=chosen.resamples, first_seed=chosen.first_seed)
    for name, simulate in wanted.items():
        if chosen.only in name and (chosen.anew or not coverage_page.has(name)):
            coverage_page.keep(name, [tally.row(number) for number, tally in simulate().items()])
    if chosen.page:
        coverage_page.write()
    print("\n".join(coverage_page.table(only=chosen.only)))


if __name__ == "__main__":
    main()
