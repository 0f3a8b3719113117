"""When a score becomes an alert: the threshold, frozen on validation data. No TensorFlow here."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from apps.fraud_detection import config
from apps.fraud_detection.transactions import CLASS_NAMES
from shared import decision_rule, errors
from shared.evaluation import thresholds

Floats = npt.NDArray[np.float64]
BUDGET, COST = "budget", "cost"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Verdict(decision_rule.Rule):
    """How a probability of fraud becomes a decision.

    Attributes:
        class_names: ``genuine`` and ``fraud``.
        threshold: Probability from which a transaction is alerted.
        rule: The rule that chose it.
        alerts_per_day: The budget.
        investigation_cost: Of one alert, in the currency of the data.
        recovered_share: Share of a fraud's amount that an alert saves.
        fitted_on: The validation rows: how many, their frauds, days and digest.
    """

    class_names: tuple[str, ...] = CLASS_NAMES
    threshold: float
    rule: str
    alerts_per_day: int
    investigation_cost: float
    recovered_share: float
    fitted_on: Mapping[str, Any]

    def decisions(self, scores: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.object_]:
        """Return ``fraud`` or ``genuine`` for each probability (n,)."""
        return np.array(self.class_names, object)[(scores >= self.threshold).astype(np.int64)]


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


def fit(rows: Validation, settings: config.Config) -> Verdict:
    """Choose the threshold by the settings' rule.

    Raises:
        errors.InputError: The rule is unknown, or no threshold follows it.
    """
    rule = settings.threshold_rule
    try:
        value = {BUDGET: _by_budget, COST: _by_cost}.get(rule, _by_rule)(rows, settings)
    except ValueError as error:
        raise errors.InputError(f"threshold_rule: {error}") from error
    return Verdict(
        threshold=value,
        rule=f"budget of {settings.alerts_per_day} alerts a day" if rule == BUDGET else rule,
        alerts_per_day=settings.alerts_per_day,
        investigation_cost=settings.investigation_cost,
        recovered_share=settings.recovered_share,
        fitted_on={
            "part": "validation",
            "rows": len(rows.labels),
            "frauds": int(rows.labels.sum()),
            "days": round(rows.days, 3),
            "sha256": rows.sha256,
        },
    )


def _by_budget(rows: Validation, settings: config.Config) -> float:
    """Return the threshold that as many validation transactions a day reach as can be looked at."""
    order = np.argsort(-rows.scores, kind="stable")
    alerts = np.cumsum(rows.weights[order]) / rows.days
    within = int(np.searchsorted(alerts, settings.alerts_per_day, side="right"))
    ranked = rows.scores[order]
    if within == 0:
        return float(np.nextafter(ranked[0], np.inf))
    return _between(ranked[within], ranked[within - 1]) if within < len(ranked) else 0.0


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
        return float(np.nextafter(ranked[0], np.inf))
    return _between(ranked[best + 1], ranked[best]) if best + 1 < len(ranked) else 0.0


def _by_rule(rows: Validation, settings: config.Config) -> float:
    if not np.allclose(rows.weights, 1.0):
        raise ValueError(f"expected {BUDGET} or {COST} where rows are weighted. Received: {settings.threshold_rule!r}")
    return thresholds.select(settings.threshold_rule, rows.labels, rows.scores).value


def _between(low: float, high: float) -> float:
    middle = low + (high - low) / 2
    return float(middle if low < middle <= high else high)
