"""The behavioural suite: what a sentiment model should be able to do, tested by texts made for it.

A model with a good accuracy on held-out reviews may still read "not bad" as bad or prefer some names to others. Each
row holds how often the model failed, with an interval, and shows failures that a person can read. No TensorFlow here.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from apps.sentiment import lexicon
from apps.sentiment.checklist import capabilities, people
from shared.evaluation import intervals
from shared.report import blocks, document, figures

Floats: TypeAlias = npt.NDArray[np.float64]
Score: TypeAlias = Callable[[list[str]], npt.NDArray[Any]]

TOLERANCE = 0.1
EXAMPLES = 3
# Rows of which the report shows failed cases.
MOST_EXAMPLES = 8


@dataclasses.dataclass(frozen=True, kw_only=True)
class Example:
    """One failed case.

    Attributes:
        text: The text.
        changed: The text after the change; None for minimum functionality.
        scores: Positivity in [0, 1] of ``text``, and of ``changed`` where there is one.
        predicted: Class names predicted, in the same order.
    """

    text: str
    changed: str | None
    scores: tuple[float, ...]
    predicted: tuple[str, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """How one capability fared.

    Attributes:
        kind: "minimum functionality", "invariance" or "direction".
        capability: The ability, in a word or two.
        description: What the texts are and what is expected.
        n: Cases.
        failures: Failed cases.
        flips: Cases whose change altered the predicted class; 0 for minimum functionality.
        failure_rate: Wilson's interval of ``failures / n``.
        examples: The failures furthest from what was expected.
    """

    kind: capabilities.Kind
    capability: str
    description: str
    n: int
    failures: int
    flips: int
    failure_rate: intervals.Interval
    examples: tuple[Example, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class BehaviourReport:
    """The suite's result; ``rows`` and ``gaps`` are empty, and ``notes`` say why, where it does not apply."""

    rows: tuple[Row, ...] = ()
    gaps: tuple[people.Gap, ...] = ()
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return a mapping of JSON values and intervals."""
        return {
            "tests": [dataclasses.asdict(row) | {"failure_rate": row.failure_rate} for row in self.rows],
            "gaps": [dataclasses.asdict(gap) | {"difference": gap.difference} for gap in self.gaps],
            "tolerance": TOLERANCE,
            "notes": list(self.notes),
        }


def run(score: Score, class_names: Sequence[str], *, seed: int) -> BehaviourReport:
    """Score every text of the suite once, in one call, and count the failed cases.

    Args:
        score: Texts (n,) -> calibrated probabilities (n, classes).
        class_names: One name per class; their polarity is read by ``lexicon.polarity``.
        seed: Chooses the texts.
    """
    polarity = lexicon.polarity(class_names)
    if polarity is None:
        names = ", ".join(class_names)
        reason = f"The behavioural suite needs classes from negative to positive. Received: {names}"
        return BehaviourReport(notes=(reason,))
    suite = capabilities.suite(seed=seed, neutral_class=bool((polarity == 0).any()))
    persons = people.texts(seed=seed)
    texts = [text for test in suite for case in test.cases for text in (case.text, case.changed)]
    predictions = _predict(score, [*texts, *persons.ravel()], polarity=polarity, class_names=class_names)
    places = predictions.rows(persons.ravel().tolist()).reshape(persons.shape)
    return BehaviourReport(
        rows=tuple(_row(test, predictions) for test in suite),
        gaps=people.gaps(predictions.positivity[places], seed=seed),
    )


@dataclasses.dataclass(frozen=True)
class _Predictions:
    """What the model predicts for each text: its place, and the sentiment and name of the predicted class."""

    place: Mapping[str, int]
    positivity: Floats
    sign: npt.NDArray[np.int64]
    name: npt.NDArray[np.object_]

    def rows(self, texts: Sequence[str]) -> npt.NDArray[np.int64]:
        return np.array([self.place[text] for text in texts], np.int64)


def _predict(score: Score, texts: Sequence[str], *, polarity: Floats, class_names: Sequence[str]) -> _Predictions:
    distinct = list(dict.fromkeys(texts))
    scores = np.asarray(score(distinct), np.float64)
    expected = (len(distinct), len(class_names))
    if scores.shape != expected:
        raise ValueError(f"score: expected shape {expected}. Received: {scores.shape}")
    predicted = scores.argmax(axis=1)
    return _Predictions(
        place={text: row for row, text in enumerate(distinct)},
        positivity=positivity(scores, polarity),
        sign=np.sign(polarity[predicted]).astype(np.int64),
        name=np.array(class_names, object)[predicted],
    )


def positivity(scores: npt.NDArray[Any], polarity: Floats) -> Floats:
    """Return the expected place between the most negative class (0) and the most positive one (1).

    For two classes this is the probability of the positive one, whichever column that is.

    >>> positivity(np.array([[0.2, 0.3, 0.5]]), np.array([-1.0, 0.0, 1.0]))
    array([0.65])
    """
    return np.asarray((scores @ polarity + 1.0) / 2.0, np.float64)


def _row(test: capabilities.Capability, predictions: _Predictions) -> Row:
    before = predictions.rows([case.text for case in test.cases])
    after = predictions.rows([case.changed for case in test.cases])
    flipped = predictions.name[before] != predictions.name[after]
    distance = _distance(test, predictions, before=before, after=after)
    failed = np.flatnonzero(distance > 0)
    worst = failed[np.argsort(-distance[failed], kind="stable")][:EXAMPLES]
    return Row(
        kind=test.kind,
        capability=test.name,
        description=test.description,
        n=len(test.cases),
        failures=len(failed),
        flips=int(flipped.sum()),
        failure_rate=intervals.wilson(len(failed), len(test.cases)),
        examples=tuple(_example(test.cases[place], predictions) for place in worst),
    )


def _distance(
    test: capabilities.Capability,
    predictions: _Predictions,
    *,
    before: npt.NDArray[np.int64],
    after: npt.NDArray[np.int64],
) -> Floats:
    """Return how far each case is from what was expected: above 0 for a failure, 0 for a pass."""
    expected = np.array([case.direction for case in test.cases])
    change = predictions.positivity[after] - predictions.positivity[before]
    if test.kind == "minimum functionality":
        sign = predictions.sign[before]
        failed = sign * expected < 0 if test.neutral_passes else sign != expected
        return np.where(failed, np.abs(predictions.positivity[before] - (expected + 1) / 2) + 1e-9, 0.0)
    if test.kind == "invariance":
        failed = (predictions.name[before] != predictions.name[after]) | (np.abs(change) > TOLERANCE)
        return np.where(failed, np.abs(change) + 1e-9, 0.0)
    against = -change * expected
    return np.where(against > TOLERANCE, against, 0.0)


def _example(case: capabilities.Case, predictions: _Predictions) -> Example:
    texts = [case.text] if case.changed == case.text else [case.text, case.changed]
    places = predictions.rows(texts)
    return Example(
        text=case.text,
        changed=texts[1] if len(texts) == 2 else None,
        scores=tuple(float(value) for value in predictions.positivity[places].round(4)),
        predicted=tuple(str(name) for name in predictions.name[places]),
    )


def section(report: BehaviourReport) -> document.Section:
    """Show what the model can and cannot do, and whether the person in a sentence matters."""
    title = "What it understands"
    if not report.rows:
        reasons = [blocks.Text(note) for note in report.notes]
        return document.Section(title, "The behavioural suite does not apply.", reasons)
    failing = sorted((row for row in report.rows if row.examples), key=lambda row: -row.failure_rate.value)
    lead = (
        "Simple texts in the manner of CheckList. A case fails when its prediction is wrong (minimum "
        "functionality), when a change without sentiment alters the prediction or moves the score by more "
        f"than {TOLERANCE:g} (invariance), or when a change with sentiment moves it the other way "
        "(direction)."
    )
    return document.Section(
        title,
        lead,
        [
            _failure_figure(report),
            _behaviour_table(report),
            *(_examples(row) for row in failing[:MOST_EXAMPLES]),
            people.table(report.gaps),
        ],
    )


def _failure_figure(report: BehaviourReport) -> blocks.Figure:
    rates = {row.capability: row.failure_rate for row in report.rows}
    return blocks.Figure(
        svg=figures.bars(rates, axis_label="Failure rate"),
        caption="Share of failed cases per capability, with its interval.",
        alt="Failure rates: " + "; ".join(f"{name} {100 * rate.value:.0f} %" for name, rate in rates.items()),
    )


def _behaviour_table(report: BehaviourReport) -> blocks.Table:
    return blocks.Table(
        columns=("Kind", "Capability", "What is tested", "Cases", "Failed", "Failure rate"),
        rows=[
            (row.kind, row.capability, row.description, row.n, row.failures, row.failure_rate) for row in report.rows
        ],
        caption="The behavioural suite; texts are made from templates, not taken from the data.",
        align="lllrrr",
    )


def _examples(row: Row) -> blocks.Details:
    quotes = [
        blocks.Quote(
            text=example.text if example.changed is None else f"{example.text}\n→ {example.changed}",
            facts={
                "Predicted": " → ".join(example.predicted),
                "Positivity": " → ".join(f"{score:.2f}" for score in example.scores),
            },
            tone="bad",
        )
        for example in row.examples
    ]
    return blocks.Details(f"{row.capability}: {row.failures} of {row.n} failed, such as …", quotes)
