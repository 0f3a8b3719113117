"""When a score becomes an alert: the threshold, frozen on validation data. No TensorFlow here."""

import dataclasses
import logging
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from apps.fraud_detection import config, features
from apps.fraud_detection.transactions import CLASS_NAMES, Transactions, digest
from shared import decision_rule as rules
from shared import errors, stored
from shared.evaluation import thresholds

Floats = npt.NDArray[np.float64]
BUDGET, COST = "budget", "cost"
# A threshold above all scores is this far above them: batches of other sizes change the last bits of a score.
ABOVE = 1e-5

log = logging.getLogger("fieldnets")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Costs:
    """What decisions cost, in the currency.

    Attributes:
        investigation: Of one alert.
        recovered_share: Share of a fraud's amount that an alert saves, in [0, 1].
        alerts_per_day: The budget.
        currency: Such as "EUR"; may be empty.
    """

    investigation: float
    recovered_share: float
    alerts_per_day: int
    currency: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class DecisionRule(rules.Rule):
    """How a probability of fraud becomes a decision.

    Attributes:
        class_names: ``genuine`` and ``fraud``.
        threshold: Probability from which a transaction is alerted.
        rule: The rule that chose it.
        alerts_per_day: The budget.
        investigation_cost: Of one alert, in the currency of the data.
        recovered_share: Share of a fraud's amount that an alert saves.
        fitted_on: The validation rows: how many, their frauds, days, digest, and alerts a day at the threshold.
    """

    class_names: stored.SomeNames = CLASS_NAMES
    threshold: stored.Threshold
    rule: stored.Text
    alerts_per_day: stored.Count
    investigation_cost: stored.NotNegative
    recovered_share: stored.Share
    fitted_on: Mapping[str, Any]

    def decisions(self, scores: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.object_]:
        """Return ``fraud`` or ``genuine`` for each probability (n,)."""
        return np.array(self.class_names, object)[(scores >= self.threshold).astype(np.int64)]

    def costs(self, currency: str) -> Costs:
        """Return the cost matrix and the budget, of amounts in a currency."""
        return Costs(
            investigation=self.investigation_cost,
            recovered_share=self.recovered_share,
            alerts_per_day=self.alerts_per_day,
            currency=currency,
        )


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Validation:
    """What a threshold is chosen on.

    Attributes:
        scores: (n,) calibrated probabilities of fraud.
        labels: (n,) int64.
        amounts: (n,) float64.
        weights: (n,) float64, transactions of the population behind each row.
        days: Number of days that the rows cover.
        sha256: Digest of the rows.
    """

    scores: Floats
    labels: npt.NDArray[np.int64]
    amounts: Floats
    weights: Floats
    days: float
    sha256: str


def freeze(
    transactions: Transactions, rows: npt.NDArray[np.int64], scores: Floats, settings: config.Config
) -> DecisionRule:
    """Choose the threshold on validation rows, which have these scores (n,)."""
    validation = Validation(
        scores=scores,
        labels=transactions.labels[rows],
        amounts=transactions.amount[rows],
        weights=transactions.weights[rows],
        days=covered_days(transactions.time[rows]),
        sha256=digest(transactions.content_hashes()[rows]),
    )
    return fit(validation, settings)


def covered_days(instants: npt.NDArray[np.int64]) -> float:
    """Return how many days (n,) rising instants in microseconds cover: whole days, or a part of a single one."""
    day = features.DAY
    whole = int(instants[-1] // day - instants[0] // day) + 1
    return float(whole) if whole > 2 else max(float(instants[-1] - instants[0]) / day, 1 / 24)


def fit(rows: Validation, settings: config.Config) -> DecisionRule:
    """Choose the threshold by the settings' rule.

    Raises:
        errors.InputError: The rule is unknown, or no threshold follows it.
    """
    rule = settings.threshold_rule
    try:
        value = {BUDGET: _by_budget, COST: _by_cost}.get(rule, _by_rule)(rows, settings)
    except ValueError as error:
        raise errors.InputError(f"threshold_rule: {error}") from error
    reached = float(rows.weights[rows.scores >= value].sum() / rows.days)
    return DecisionRule(
        threshold=value,
        rule=_budget_in_words(rows, value, reached, settings) if rule == BUDGET else rule,
        alerts_per_day=settings.alerts_per_day,
        investigation_cost=settings.investigation_cost,
        recovered_share=settings.recovered_share,
        fitted_on={
            "part": "validation",
            "rows": len(rows.labels),
            "frauds": int(rows.labels.sum()),
            "days": round(rows.days, 3),
            "sha256": rows.sha256,
            "alerts_per_day": round(reached, 3),
        },
    )


def _by_budget(rows: Validation, settings: config.Config) -> float:
    """Return the lowest threshold that no more validation transactions a day reach than can be looked at.

    Transactions of one score are alerted together or not at all.
    """
    order = np.argsort(-rows.scores, kind="stable")
    alerts = np.cumsum(rows.weights[order]) / rows.days
    ranked = rows.scores[order]
    within = int(np.searchsorted(alerts, settings.alerts_per_day, side="right"))
    if within == len(ranked):
        return 0.0
    within = int((ranked > ranked[within]).sum())
    return _between(ranked[within], ranked[within - 1]) if within else float(ranked[0] + ABOVE)


def _budget_in_words(rows: Validation, value: float, reached: float, settings: config.Config) -> str:
    """Return the rule in words, and what it reaches where equal scores leave a part of the budget unused."""
    words = f"budget of {settings.alerts_per_day} alerts a day"
    below = rows.scores[rows.scores < value]
    tied = rows.weights[rows.scores == below.max()] if len(below) else below
    if len(tied) < 2 or reached + tied.min() / rows.days > settings.alerts_per_day:
        return words
    words += f", {reached:.3g} reached on validation: the next {len(tied):,} transactions have one score"
    log.warning("%s", words)
    return words


def _by_cost(rows: Validation, settings: config.Config) -> float:
    """Return the threshold of the largest net savings on validation.

    An alert costs an investigation; one on a fraud saves a share of its amount: example-dependent costs, Correa
    Bahnsen et al. 2013, "Cost Sensitive Credit Card Fraud Detection Using Bayes Minimum Risk".
    """
    order = np.argsort(-rows.scores, kind="stable")
    gain = rows.labels * rows.amounts * settings.recovered_share - settings.investigation_cost
    savings = np.cumsum((gain * rows.weights)[order])
    ranked = rows.scores[order]
    last_of_ties = np.append(np.diff(ranked) != 0, True)
    best = int(np.argmax(np.where(last_of_ties, savings, -np.inf)))
    if savings[best] <= 0:
        return float(ranked[0] + ABOVE)
    return _between(ranked[best + 1], ranked[best]) if best + 1 < len(ranked) else 0.0


def _by_rule(rows: Validation, settings: config.Config) -> float:
    if not np.allclose(rows.weights, 1.0):
        raise ValueError(f"expected {BUDGET} or {COST} where rows are weighted. Received: {settings.threshold_rule!r}")
    return thresholds.select(settings.threshold_rule, rows.labels, rows.scores).value


def _between(low: float, high: float) -> float:
    middle = low + (high - low) / 2
    return float(middle if low < middle <= high else high)
