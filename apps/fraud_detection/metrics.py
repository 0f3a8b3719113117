"""The metrics of fraud detection as statistics over resampled cards: each the mean over the folds.

A statistic maps draws (k, cards), how often each card was drawn, to (k,) values, as in ``shared.evaluation``. Rows
weigh what they stand for in the population. No TensorFlow here.
"""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from apps.fraud_detection import decision as decision_rule
from shared.evaluation import arrays, classification, ends, summaries, weighted

Bools: TypeAlias = npt.NDArray[np.bool_]
Floats: TypeAlias = npt.NDArray[np.float64]
Ints: TypeAlias = npt.NDArray[np.int64]
Objects: TypeAlias = npt.NDArray[np.object_]

HEADLINE = ("average_precision", "auroc", "card_precision_at_100")
# Ranges other than [0, 1].
BOUNDS: Mapping[str, ends.Range] = {
    "brier": ends.SQUARED,
    "log_loss": ends.POSITIVE,
    "alerts_per_day": ends.POSITIVE,
    "net_savings_per_day": ends.UNBOUNDED,
}
FALSE_POSITIVE_RATES = (0.001, 0.005, 0.01, 0.05)
CARDS = 100
# Of a day's ranking so many rows are looked at for each alert of the budget: resampled cards repeat, or are absent.
_REACH = 10


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rows:
    """Labelled transactions, fold after fold, in each oldest first.

    Attributes:
        ids: (n,) identity of each transaction.
        folds: (n,) int64 fold, from 0, whose model scored the row; all 0 without prequential folds.
        days: (n,) int64 day, rising within a fold.
        day_names: Day -> how it is written, such as "2018-08-08" or "day 3".
        amounts: (n,) float64 in the currency.
        labels: (n,) int64, 1 fraud and 0 genuine.
        payers: (n,) int64 the card (customer, account) of each row.
        has_payer: Whether ``payers`` are cards; otherwise every row is its own and nothing is counted by card.
        weights: (n,) float64, transactions of the population that the row stands for.
        columns: What the networks read -> (n,) float64, or object of str, for the drift of inputs.
        reference_columns: The same columns of the validation part, each (m,).
        reference_scores: (m,) calibrated fraud probabilities of the validation part.
        groups: (n,) str group for predictive equality; None where there is none.
        scenarios: (n,) str kind of fraud; None where it is not known.
    """

    ids: npt.NDArray[Any]
    folds: Ints
    days: Ints
    day_names: Mapping[int, str]
    amounts: Floats
    labels: Ints
    payers: Ints
    has_payer: bool
    weights: Floats
    columns: Mapping[str, npt.NDArray[Any]]
    reference_columns: Mapping[str, npt.NDArray[Any]]
    reference_scores: Floats
    groups: Objects | None = None
    scenarios: Objects | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def several_cards(self) -> bool:
        """Whether there are cards to resample and to count by."""
        return self.has_payer and bool((self.payers != self.payers[:1]).any())


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Scored:
    """Rows of one fold with one model's scores.

    Attributes:
        labels: (n,) int64.
        scores: (n,) float64.
        days: (n,) int64.
        amounts: (n,) float64.
        weights: (n,) float64.
        units: The card of each row, numbered over all folds.
        alerted: (n,) whether the score reaches the frozen threshold.
    """

    labels: Ints
    scores: Floats
    days: Ints
    amounts: Floats
    weights: Floats
    units: arrays.Units
    alerted: Bools

    def statistic(self, metric: weighted.Metric) -> weighted.Statistic:
        """Return a metric of ``shared.evaluation`` on these rows."""
        return metric.statistic(self.labels, self.scores, units=self.units, sample_weight=self.weights)

    def totals(self, *columns: Floats) -> Callable[[arrays.Floats], arrays.Floats]:
        """Return ``drawn -> (k, columns)`` weighted sums."""
        rows = weighted.Rows(self.labels, self.scores, self.weights, self.units)
        return rows.totals(np.stack([np.asarray(column, np.float64) for column in columns], axis=1))


def statistics(
    rows: Rows,
    scores: Floats,
    *,
    thresholds: Floats | None,
    costs: decision_rule.Costs,
    units: arrays.Units,
    calibrated: bool,
) -> dict[str, weighted.Statistic]:
    """Return every metric of one model, by name, average precision first: each the mean over the folds.

    Args:
        rows: The transactions.
        scores: (n,) of the model.
        thresholds: (n,) the frozen threshold of each row's fold; None for models that have none.
        costs: The cost matrix and the budget.
        units: The card of each row.
        calibrated: Whether the scores are probabilities.
    """
    found: dict[str, list[weighted.Statistic]] = {}
    for part in fold_parts(rows, scores, thresholds, units):
        for name, statistic in ranking(part, costs, cards=rows.several_cards):
            found.setdefault(name, []).append(statistic)
        for name, statistic in _at_threshold(part, costs) if thresholds is not None else ():
            found.setdefault(name, []).append(statistic)
        for name in ("brier", "log_loss", "ece") if calibrated else ():
            found.setdefault(name, []).append(part.statistic(summaries.METRICS[name]))
    return {name: weighted.mean_of(parts) for name, parts in found.items()}


def fold_parts(rows: Rows, scores: Floats, thresholds: Floats | None, units: arrays.Units) -> list[Scored]:
    """Return the rows of each fold with their scores."""
    return [
        Scored(
            labels=rows.labels[inside],
            scores=scores[inside],
            days=rows.days[inside],
            amounts=rows.amounts[inside],
            weights=rows.weights[inside],
            units=arrays.Units(units.code[inside], units.count, units.given),
            alerted=np.zeros(int(inside.sum()), bool) if thresholds is None else scores[inside] >= thresholds[inside],
        )
        for inside in (rows.folds == fold for fold in np.unique(rows.folds))
    ]


def ranking(part: Scored, costs: decision_rule.Costs, *, cards: bool) -> Iterator[tuple[str, weighted.Statistic]]:
    """Yield the metrics of a fold that need no threshold; ``cards`` says whether cards are known."""
    yield "average_precision", part.statistic(classification.average_precision)
    yield "auroc", part.statistic(classification.auroc)
    if cards:
        yield f"card_precision_at_{CARDS}", card_precision(part, cards=CARDS)
    for rate in FALSE_POSITIVE_RATES:
        yield f"recall_at_fpr_{rate:g}", recall_at_fpr(part, rate)
    yield from Budget(part, costs.alerts_per_day).statistics()


def recall_at_fpr(part: Scored, rate: float) -> weighted.Statistic:
    """Return the largest recall of a threshold whose false positive rate is at most ``rate``."""
    order = np.argsort(-part.scores, kind="stable")
    code, weight, fraud = part.units.code[order], part.weights[order], part.labels[order] == 1
    ranked = part.scores[order]
    ends = np.flatnonzero(np.append(np.diff(ranked) != 0, True))

    def value(drawn: arrays.Floats) -> arrays.Floats:
        drawn_weight = drawn.take(code, axis=1) * weight
        genuine = np.cumsum(np.where(fraud, 0.0, drawn_weight), axis=1)
        caught = np.cumsum(np.where(fraud, drawn_weight, 0.0), axis=1)
        allowed = (genuine[:, ends] <= rate * genuine[:, -1:] + 1e-9).sum(axis=1)
        reached = np.take_along_axis(caught, ends[np.maximum(allowed - 1, 0)][:, np.newaxis], axis=1)[:, 0]
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(np.where(allowed > 0, reached, 0.0) / caught[:, -1])

    return value


def card_precision(part: Scored, *, cards: int) -> weighted.Statistic:
    """Return the share of compromised cards among the ``cards`` most suspicious of each day, mean over the days.

    A card's score is the highest of its day, and it is compromised if one of its transactions of the day is a fraud.
    Of equal scores the earlier transaction's card comes first. Cards found are not looked at again (Le Borgne et al.
    2022, chapter "Precision top-k metrics").
    """
    days = [_cards_of_day(part, day) for day in np.unique(part.days)]

    def value(drawn: arrays.Floats) -> arrays.Floats:
        found = np.zeros(drawn.shape, bool)
        total = np.zeros(len(drawn))
        for card, fraud in days:
            copies = np.where(found[:, card], 0.0, drawn[:, card])
            before = np.cumsum(copies, axis=1) - copies
            seen = np.clip(cards - before, 0.0, copies)
            total += (seen * fraud).sum(axis=1) / cards
            found[:, card] |= (seen > 0) & fraud
        return total / len(days)

    return value


def _cards_of_day(part: Scored, day: int) -> tuple[Ints, Bools]:
    """Return the day's cards, the most suspicious first, and which are compromised."""
    inside = np.flatnonzero(part.days == day)
    order = inside[np.argsort(-part.scores[inside], kind="stable")]
    code = part.units.code[order]
    card, first = np.unique(code, return_index=True)
    fraud = np.zeros(part.units.count, bool)
    fraud[code[part.labels[order] == 1]] = True
    ranked = card[np.argsort(first, kind="stable")]
    return ranked, fraud[ranked]


class Budget:
    """What is caught among the ``alerts`` most suspicious transactions of each day; of equal scores the earlier."""

    def __init__(self, part: Scored, alerts: int) -> None:
        """Rank each day."""
        self._alerts = alerts
        self._days = [self._ranked(part, day, alerts) for day in np.unique(part.days)]
        fraud = (part.labels == 1).astype(np.float64)
        self._part = part
        self._totals = part.totals(fraud, fraud * part.amounts)
        self._last: tuple[Any, Any] = (None, None)

    def statistics(self) -> Iterator[tuple[str, weighted.Statistic]]:
        """Yield precision, recall, and recall of money."""
        yield "precision_in_budget", lambda drawn: _share(self._caught(drawn)[0], self._caught(drawn)[2])
        yield "recall_in_budget", lambda drawn: _share(self._caught(drawn)[0], self._totals(drawn)[:, 0])
        yield "value_recall_in_budget", lambda drawn: _share(self._caught(drawn)[1], self._totals(drawn)[:, 1])

    @staticmethod
    def _ranked(part: Scored, day: int, alerts: int) -> Ints:
        inside = np.flatnonzero(part.days == day)
        order = inside[np.argsort(-part.scores[inside], kind="stable")]
        return order[: _REACH * alerts + 200]

    def _caught(self, drawn: arrays.Floats) -> arrays.Floats:
        """Return (3, k): frauds, their money, and all transactions within the budget; kept for the same draws."""
        if self._last[0] is drawn:
            return np.asarray(self._last[1])
        part, found = self._part, np.zeros((3, len(drawn)))
        for order in self._days:
            copies = drawn.take(part.units.code[order], axis=1) * part.weights[order]
            seen = np.clip(self._alerts - (np.cumsum(copies, axis=1) - copies), 0.0, copies)
            fraud = (part.labels[order] == 1).astype(np.float64)
            found += np.stack([(seen * column).sum(axis=1) for column in (fraud, fraud * part.amounts[order], 1.0)])
        self._last = (drawn, found)
        return found


def _at_threshold(part: Scored, costs: decision_rule.Costs) -> Iterator[tuple[str, weighted.Statistic]]:
    """Yield what the frozen threshold does: precision, sensitivity, alerts and net savings a day."""
    fraud, alerted = (part.labels == 1).astype(np.float64), part.alerted.astype(np.float64)
    saved = alerted * (fraud * part.amounts * costs.recovered_share - costs.investigation)
    sums = part.totals(alerted, fraud, alerted * fraud, saved)
    days = len(np.unique(part.days))
    yield "precision", lambda drawn: _share(sums(drawn)[:, 2], sums(drawn)[:, 0])
    yield "sensitivity", lambda drawn: _share(sums(drawn)[:, 2], sums(drawn)[:, 1])
    yield "alerts_per_day", lambda drawn: sums(drawn)[:, 0] / days
    yield "net_savings_per_day", lambda drawn: sums(drawn)[:, 3] / days


def _share(part: arrays.Floats, whole: arrays.Floats) -> arrays.Floats:
    """Return part / whole, NaN where there is nothing to divide by."""
    found: arrays.Floats = np.full(len(part), np.nan)
    np.divide(part, whole, out=found, where=whole > 0)
    return found
