"""The line a report begins with: whether the model is worth having beside a plain baseline, in one of a few states."""

import dataclasses
from collections.abc import Mapping

from shared.evaluation import intervals
from shared.report import blocks, formatting

BETTER, NOT_SHOWN, USE_BASELINE, WORSE = "Better", "Not shown better", "Use the baseline instead", "Worse"
UNKNOWN = "Cannot be told"
_TONES: Mapping[str, blocks.Tone] = {
    BETTER: "good",
    NOT_SHOWN: "caution",
    USE_BASELINE: "bad",
    WORSE: "bad",
    UNKNOWN: "caution",
}

Groups = Mapping[str, Mapping[str, intervals.Interval]]


@dataclasses.dataclass(frozen=True)
class Status:
    """The state, one of the five above, and the sentence behind it."""

    state: str
    sentence: str

    @property
    def tone(self) -> blocks.Tone:
        """How the page sets the line off."""
        return _TONES[self.state]


def state(difference: intervals.Interval, *, lower_is_better: bool = False) -> str:
    """Return the state that a paired difference, model minus baseline, puts the model in.

    A model that is not clearly better and has not even the better value is not worth its cost: the baseline is
    plainer. It is "worse" only where the interval leaves 0 out.

    >>> state(intervals.Interval(0.02, 0.01, 0.03)), state(intervals.Interval(0.02, -0.01, 0.05))
    ('Better', 'Not shown better')
    >>> state(intervals.Interval(-0.01, -0.04, 0.02)), state(intervals.Interval(-0.03, -0.05, -0.01))
    ('Use the baseline instead', 'Worse')
    """
    shown = formatting.direction(difference, lower_is_better=lower_is_better)
    if shown != "no clear difference":
        return BETTER if shown == "better" else WORSE
    gained = -difference.value if lower_is_better else difference.value
    return NOT_SHOWN if gained > 0 else USE_BASELINE


def against(
    metrics: Mapping[str, intervals.Interval],
    rival: Mapping[str, intervals.Interval],
    difference: intervals.Interval | None,
    *,
    metric: str,
    label: str,
) -> Status:
    """Compare the model with the baseline to beat by one metric.

    Args:
        metrics: The model's.
        rival: The baseline's.
        difference: Model minus baseline, resampled together; None where it cannot be computed.
        metric: The metric's name.
        label: What a reader calls the baseline.
    """
    name = formatting.metric_name(metric)
    if difference is None or metric not in metrics or metric not in rival:
        return Status(UNKNOWN, f"whether the model is better than {label}: these data cannot show it.")
    gained = formatting.with_bounds(difference, signed=True)
    values = f"{name} {formatting.value(metrics[metric])} against {formatting.value(rival[metric])}"
    found = state(difference, lower_is_better=metric in formatting.LOWER_IS_BETTER)
    return Status(found, f"{_IN_WORDS[found].format(label=label)}: {values}, difference {gained}.")


_IN_WORDS = {
    BETTER: "the model beats {label}",
    NOT_SHOWN: "the model has the higher value than {label}, by no more than chance may give",
    USE_BASELINE: "{label} does as well here",
    WORSE: "{label} is clearly better than the model",
}
