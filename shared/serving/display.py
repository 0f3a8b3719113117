"""``display.json``: what a page says of a model that it knows nothing else about."""

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Any, Literal

from shared import files

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

    def to_json(self, metrics: pathlib.Path) -> dict[str, Any]:
        """Return the file's content.

        Args:
            metrics: The run's ``metrics.json``; it need not exist.

        Raises:
            errors.InputError: It exists and is no JSON object.
        """
        return {
            **vars(self),
            "class_names": list(self.class_names),
            "reason_names": list(self.reason_names),
            "headline": headline(metrics),
        }


def headline(metrics: pathlib.Path) -> dict[str, Any] | None:
    """Return the first metric of a ``metrics.json`` with its interval and the rows that it was measured on.

    Returns:
        ``metric``, ``value``, ``low``, ``high`` and ``n``; None where the run was not evaluated.

    Raises:
        errors.InputError: The file is no JSON object.
    """
    if not metrics.exists():
        return None
    document = files.read_json(metrics)
    name, interval = next(iter(document["metrics"].items()))
    return {"metric": name, **{key: interval[key] for key in ("value", "low", "high")}, "n": document["data"]["n"]}
