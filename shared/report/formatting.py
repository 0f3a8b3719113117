"""How numbers, intervals and metric names read on the page: one place, so that every report reads alike."""

import math
import numbers
import re
from collections.abc import Mapping
from typing import Any

from shared.evaluation import intervals

MISSING = "–"
_MINUS = "\N{MINUS SIGN}"

METRIC_NAMES = {
    "auroc": "AUROC",
    "average_precision": "Average precision",
    "balanced_accuracy": "Balanced accuracy",
    "brier": "Brier score",
    "ece": "ECE",
    "f1_macro": "Macro F1",
    "ap": "AP",
    "aurc": "AURC",
    "ar": "AR",
    "d_ece": "D-ECE",
    "false_positives_per_image": "False alarms per image",
    "log_average_miss_rate": "Log-average miss rate",
    "log_loss": "Log loss",
    "map": "mAP",
    "map_50": "mAP@50",
    "map_75": "mAP@75",
    "mcc": "MCC",
    "quadratic_kappa": "Quadratic kappa",
    "off_by_one_accuracy": "Accuracy within one class",
    "n": "n",
    "n_units": "Units",
}
# Metrics of COCO by size of the object, by number of detections or by class.
_FAMILIES = {"map": "mAP", "ap": "AP", "ar": "AR"}
_ABBREVIATIONS = re.compile(r"\b(fpr|tpr|auroc|ece|ap|psi)\b", re.IGNORECASE)
LOWER_IS_BETTER = frozenset(
    {"brier", "ece", "log_loss", "log_average_miss_rate", "failure_rate", "mean_absolute_error"}
)


def metric_name(name: str) -> str:
    """Return the name a reader knows for a metric's snake_case name.

    >>> metric_name("auroc"), metric_name("recall_at_fpr_0.01")
    ('AUROC', 'Recall at FPR 0.01')
    >>> metric_name("map_small"), metric_name("ar_100"), metric_name("ap_50_car")
    ('mAP, small', 'AR@100', 'AP@50, car')
    """
    if name in METRIC_NAMES:
        return METRIC_NAMES[name]
    family, _, rest = name.partition("_")
    if family in _FAMILIES and rest:
        number, _, group = rest.partition("_") if rest[0].isdigit() else ("", "", rest)
        at = f"@{number}" if number else ""
        return _FAMILIES[family] + at + (f", {group.replace('_', ' ')}" if group else "")
    return _ABBREVIATIONS.sub(lambda found: found.group().upper(), name.replace("_", " ").capitalize())


def number(content: object, *, digits: int = 3, signed: bool = False) -> str:
    """Return a number as text: thousands separated, a true minus sign, ``digits`` decimals for a float.

    A missing or undefined number is a dash, never "nan". ``signed`` writes the plus of a difference.

    >>> number(12345), number(-0.5), number(0.021, signed=True), number(None), number(float("nan"))
    ('12,345', '−0.500', '+0.021', '–', '–')
    """
    if isinstance(content, bool) or not isinstance(content, numbers.Real):
        return MISSING if content is None else str(content)
    if isinstance(content, numbers.Integral):
        return _with_sign(f"{int(content):,}", signed=signed and float(content) > 0)
    if not math.isfinite(content):
        return MISSING
    text = f"{float(content):,.{digits}f}"
    # A rounded "-0.000" would suggest a direction that the digits do not show.
    if float(text.replace(",", "")) == 0:
        return text.lstrip("-")
    return _with_sign(text, signed=signed and float(content) > 0)


def _with_sign(text: str, *, signed: bool) -> str:
    return f"+{text}" if signed else text.replace("-", _MINUS)


def value(interval: intervals.Interval, *, digits: int = 3, signed: bool = False) -> str:
    """Return the interval's value as text, with decimals even where it was computed as a whole number.

    >>> value(intervals.Interval(value=1, low=0.9, high=1))
    '1.000'
    """
    return number(float(interval.value), digits=digits, signed=signed)


def bounds(interval: intervals.Interval, *, digits: int = 3, signed: bool = False) -> str:
    """Return the interval's limits; "to" instead of a dash keeps them apart from signs.

    >>> bounds(intervals.Interval(value=0.1, low=0.02, high=0.21))
    '0.020–0.210'
    >>> bounds(intervals.Interval(value=0.1, low=-0.02, high=0.21), signed=True)
    '−0.020 to +0.210'
    """
    low, high = (number(float(limit), digits=digits, signed=signed) for limit in (interval.low, interval.high))
    return f"{low} to {high}" if signed or interval.low < 0 else f"{low}–{high}"


def with_bounds(interval: intervals.Interval, *, digits: int = 3, signed: bool = False) -> str:
    """Return value and limits as one phrase.

    >>> with_bounds(intervals.Interval(value=0.9213, low=0.91, high=0.93))
    '0.921 (95 % CI 0.910–0.930)'
    """
    limits = bounds(interval, digits=digits, signed=signed)
    return f"{value(interval, digits=digits, signed=signed)} ({confidence(interval)} CI {limits})"


def percent(share: intervals.Interval) -> str:
    """Return a share in percent with its interval.

    >>> percent(intervals.Interval(0.9213, 0.91, 0.93))
    '92.1 % (91.0–93.0)'
    """
    return f"{100 * share.value:.1f} % ({100 * share.low:.1f}–{100 * share.high:.1f})"


def slice_name(name: str) -> str:
    """Return a slice's name, ``kind=value``, as words.

    >>> slice_name("device_mark=yes"), slice_name("age=60 to 74 years")
    ('device mark: yes', 'age: 60 to 74 years')
    """
    kind, _, value = name.partition("=")
    return f"{kind.replace('_', ' ')}: {value}"


def confidence(interval: intervals.Interval) -> str:
    """Return the interval's confidence as a percentage.

    >>> confidence(intervals.Interval(value=0.5, low=0.4, high=0.6, confidence=0.9))
    '90 %'
    """
    return f"{100 * interval.confidence:g} %"


def interval_methods(metrics: Mapping[str, Mapping[str, Any]]) -> str:
    """Return how each metric's interval was made; metrics of one method stand together.

    >>> same = {"method": "bootstrap"}
    >>> interval_methods({"auroc": {"method": "DeLong"}, "brier": same, "ece": same})
    'DeLong (AUROC); bootstrap (Brier score, ECE)'
    """
    names: dict[str, list[str]] = {}
    for name, content in metrics.items():
        names.setdefault(str(content["method"]), []).append(metric_name(name))
    return "; ".join(f"{method} ({', '.join(those)})" for method, those in names.items())


def direction(difference: intervals.Interval, *, lower_is_better: bool = False) -> str:
    """Say in words what a paired difference (model minus baseline) shows.

    >>> direction(intervals.Interval(value=0.02, low=0.01, high=0.03))
    'better'
    >>> direction(intervals.Interval(value=0.02, low=-0.01, high=0.05))
    'no clear difference'
    """
    if difference.low <= 0 <= difference.high:
        return "no clear difference"
    return "better" if (difference.high < 0) == lower_is_better else "worse"
