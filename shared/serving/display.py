"""``display.json``: what a page says of a model that it knows nothing else about."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Literal

FILE = "display.json"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Display:
    """What a page shows beside the answers of a model.

    Attributes:
        title: The model's name for people.
        input: What the question is: one image, one text, or a row of columns.
        threshold: Score from which the last class, or a box, is answered; None where no one number decides.
        threshold_rule: How it was chosen, in words.
        class_names: What the scores or the boxes are of.
        not_for: The limit of use, one sentence.
        synthetic: Whether training saw simulated data only.
        reason_names: What the indices in ``reasons`` mean, where the model gives reasons.
    """

    title: str
    input: Literal["image", "text", "columns"]
    threshold: float | None
    threshold_rule: str
    class_names: Sequence[str]
    not_for: str
    synthetic: bool
    reason_names: Sequence[str] = ()

    def to_json(self, metrics: Mapping[str, Any] | None) -> dict[str, Any]:
        """Return the file's content; ``metrics`` is what ``shared.report.metrics.of_run`` returns."""
        return {
            **vars(self),
            "class_names": list(self.class_names),
            "reason_names": list(self.reason_names),
            "headline": headline(metrics),
        }


def headline(document: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return the first metric of a metrics document with its interval and the number of rows that it is of.

    Returns:
        ``metric``, ``value``, ``low``, ``high`` and ``n``; None where there are no figures of this model.
    """
    if document is None:
        return None
    name, interval = next(iter(document["metrics"].items()))
    return {"metric": name, **{key: interval[key] for key in ("value", "low", "high")}, "n": document["data"]["n"]}
