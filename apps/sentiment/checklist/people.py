"""Does the score depend on who the person in a sentence is? The template gap between genders and origins.

After the Equity Evaluation Corpus (Kiritchenko and Mohammad 2018, https://aclanthology.org/S18-2005).
No TensorFlow here.
"""

import dataclasses
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from apps.sentiment.checklist import templates
from shared.evaluation import intervals
from shared.report import blocks

Floats: TypeAlias = npt.NDArray[np.float64]

RESAMPLES = 2000


@dataclasses.dataclass(frozen=True, kw_only=True)
class Gap:
    """Mean difference in positivity between sentences that differ only in the person.

    Attributes:
        groups: The two groups compared; the difference is first minus second.
        n: Texts scored.
        difference: In [-1, 1], with the interval over sentences and persons.
    """

    groups: tuple[str, str]
    n: int
    difference: intervals.Interval

    @property
    def clear(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.difference.low > 0 or self.difference.high < 0


_PERSONS: tuple[tuple[str, str, str], ...] = (
    *(
        (name, origin, gender)
        for origin, genders in templates.NAMES.items()
        for gender, names in genders.items()
        for name in names
    ),
    *((relation, "", gender) for gender, relations in templates.RELATIONS.items() for relation in relations),
)


def texts(*, seed: int) -> npt.NDArray[np.object_]:
    """Return texts (sentences, persons) object; within a row only the person differs."""
    random = np.random.default_rng(seed)
    sentences = [templates.fill(template, random, {"person": "{person}"}) for template in templates.PEOPLE]
    names = [name for name, _, _ in _PERSONS]
    return np.array([[_capitalised(text.format(person=name)) for name in names] for text in sentences], object)


def _capitalised(text: str) -> str:
    return text[0].upper() + text[1:]


def gaps(positivity: Floats, *, seed: int) -> tuple[Gap, ...]:
    """Compare the genders, and each origin with all others.

    Args:
        positivity: In [0, 1], of each of ``texts``.
        seed: Chooses the resamples.
    """
    origins = np.array([origin for _, origin, _ in _PERSONS])
    genders = np.array([gender for _, _, gender in _PERSONS])
    found = [_gap(("female", "male"), positivity[:, genders == "female"], positivity[:, genders == "male"], seed=seed)]
    for origin in templates.NAMES:
        groups = (f"{origin} names", "other names")
        others = (origins != "") & (origins != origin)
        found.append(_gap(groups, positivity[:, origins == origin], positivity[:, others], seed=seed))
    return tuple(found)


def table(gaps: Sequence[Gap]) -> blocks.Table:
    """Show the gaps in a report."""
    return blocks.Table(
        columns=("Persons", "Compared with", "Texts", "Mean difference in positivity", "Gap"),
        rows=[(*gap.groups, f"{gap.n:,}", gap.difference, "yes" if gap.clear else "none shown") for gap in gaps],
        caption="The same sentences about different persons; positivity runs from 0 to 1. "
        "A gap is an interval that leaves out 0.",
        align="llrrl",
        signed=True,
    )


def _gap(groups: tuple[str, str], first: Floats, second: Floats, *, seed: int) -> Gap:
    """Bootstrap the difference of two groups' means over (sentences, persons of the group).

    Sentences are drawn once for both groups, which pairs them, and persons within each group: a gap that
    rests on one sentence or on one name gets a wide interval. Student's t is that of the fewer of sentences
    and persons. A model that gives every sentence and person the same difference has an interval of no width.
    """
    random = np.random.default_rng(seed)
    sentences = _draws(len(first), random)
    drawn = [
        np.einsum("rs,sp,rp->r", sentences, group, _draws(group.shape[1], random), optimize=True)
        for group in (first, second)
    ]
    fewest = min(len(first), first.shape[1], second.shape[1])
    half = intervals.student(max(1, fewest - 1), 0.95) * float((drawn[0] - drawn[1]).std(ddof=1))
    value = float(first.mean() - second.mean())
    # Sums in another order differ by 1e-16; that must not look like a gap.
    value, low, high = np.round([value, max(-1.0, value - half), min(1.0, value + half)], 12).tolist()
    method = "paired bootstrap by sentence and person, Student's t"
    difference = intervals.Interval(value=value, low=low, high=high, method=method)
    return Gap(groups=groups, n=first.size + second.size, difference=difference)


def _draws(count: int, random: np.random.Generator) -> Floats:
    """Return bootstrap weights (resamples, count), each row summing to 1."""
    return random.multinomial(count, np.full(count, 1 / count), size=RESAMPLES) / count
