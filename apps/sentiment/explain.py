"""Which words led the model to its prediction: integrated gradients of every network, added up per token."""

import dataclasses
import logging
import os
import pathlib
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from apps.sentiment import attribution, corpus
from apps.sentiment import run as loaded_run
from apps.sentiment.readers import checking
from shared import errors, files, parser
from shared.explain import gradients, sanity_checks
from shared.report import blocks, document
from shared.sources import delimited

log = logging.getLogger("fieldnets")

# Words that the opening sentence names, out of how many it tests by removing them.
MOST_NAMED, CANDIDATES = 3, 10
# What can be no text where it stands alone: the name of a file.
FILE_SUFFIXES = (".txt", ".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".parquet", ".gz", ".zip")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Explanation:
    """Why one text got its label.

    Attributes:
        tokens: (n,) str as the model sees them.
        values: (n,) contribution of each token to the log-odds of the label; the networks' contributions, averaged
            as their logits are.
        label: The label explained.
        scores: (classes,) calibrated probabilities.
        probability: That of the label.
        decision: The label, or ``abstain``.
        supporting: Words that add to the label's log-odds and without which, all occurrences removed, the model gives
            the label a lower probability; the strongest first.
        without: The label's probability when all of ``supporting`` are removed; its own where there are none.
        deletion: The check that removing the top tokens moves the score more than removing random ones.
    """

    tokens: npt.NDArray[np.object_]
    values: npt.NDArray[np.float64]
    label: str
    scores: npt.NDArray[np.float64]
    probability: float
    decision: str
    supporting: tuple[str, ...]
    without: float
    deletion: sanity_checks.DeletionCheck | None

    @property
    def words(self) -> dict[str, float]:
        """What each word adds to the log-odds of the label, all its occurrences together, the strongest first."""
        names, place = np.unique(self.tokens.astype(str), return_inverse=True)
        totals = np.bincount(place, weights=self.values)
        return {str(names[i]): float(totals[i]) for i in np.argsort(-np.abs(totals), kind="stable")}


def explain(run: loaded_run.Run, string: str, *, seed: int = 0) -> Explanation:
    """Explain the label of one text.

    Raises:
        errors.InputError: The text holds no token.
    """
    tokens = corpus.tokens_of(string)
    if len(tokens) == 0:
        raise errors.InputError(f"INPUT: expected a text with at least one word. Received: {string!r}")
    logits = run.logits(np.array([string], object))
    scores = run.decision.scores(logits)
    target = int(run.decision.predicted(scores)[0])
    values = attribution.contributions(run, tokens, target=target)
    found = Explanation(
        tokens=tokens,
        values=values,
        label=run.decision.class_names[target],
        scores=scores[0],
        probability=float(scores[0, target]),
        decision=str(run.decision.decisions(scores)[0]),
        supporting=(),
        without=float(scores[0, target]),
        deletion=check(run, tokens, values, logits, target=target, seed=seed) if len(tokens) > 1 else None,
    )
    return _with_support(run, found, target=target)


def _with_support(run: loaded_run.Run, found: Explanation, *, target: int) -> Explanation:
    """Add the words that support the label, each confirmed by the model's prediction without it, and without all."""

    def lower(groups: list[list[str]]) -> list[tuple[list[str], float]]:
        scores = _scores_without(run, found, groups, target) if groups else []
        pairs = zip(groups, scores, strict=True)
        return [(group, score) for group, score in pairs if round(score, 3) < round(found.probability, 3)]

    candidates = [word for word, value in found.words.items() if value > 0][:CANDIDATES]
    confirmed = [group[0] for group, _ in lower([[word] for word in candidates])][:MOST_NAMED]
    # Words that each lower the probability need not do so together.
    together = lower([confirmed[:count] for count in range(len(confirmed), 0, -1)])
    if not together:
        return found
    group, score = together[0]
    return dataclasses.replace(found, supporting=tuple(group), without=score)


def _scores_without(
    run: loaded_run.Run, found: Explanation, removed: Sequence[Collection[str]], target: int
) -> list[float]:
    """Return the probabilities of class ``target`` that the model gives the text without each group of words."""
    texts = [" ".join(token for token in found.tokens if token not in words) for words in removed]
    return [float(score) for score in run.scores(np.array(texts, object))[:, target]]


def explain_input(run: loaded_run.Run, options: parser.ExplainOptions) -> dict[str, Any]:
    """Explain one text, or the text of a file, write the page, and return what the user is told."""
    text = read_input(options.input)
    explanation = explain(run, text, seed=options.seed)
    write(run, text, explanation, options.output)
    return summary(explanation)


def read_input(argument: str) -> str:
    """Return the text to explain: the argument itself, or the content of the text file that it names.

    Raises:
        errors.InputError: It names a folder, a file that does not exist or holds no single text, or is not UTF-8.
    """
    path, shown = pathlib.Path(argument), files.printable(argument)
    if os.path.isfile(argument) and path.suffix.lower() in ("", ".txt"):
        log.info("explaining the text in the file %s", path)
        content, where = path.read_bytes(), argument
        text = content.decode(delimited.encoding_of(content), errors="surrogateescape")
    elif os.path.exists(argument):
        what = (
            "a folder" if path.is_dir() else "a file that is no .txt (to explain one of its rows, give the row's text)"
        )
        raise errors.InputError(f"INPUT: expected a text, or a .txt file of one text. Received: {shown!r}, {what}")
    elif path.suffix.lower() in FILE_SUFFIXES and len(argument.split()) == 1:
        raise errors.InputError(f"INPUT: expected a text, or a .txt file that exists. Received: {shown!r}")
    else:
        text, where = argument, "INPUT"
    problem = checking.encoding_problem(text)
    if problem:
        raise errors.InputError(f"{files.printable(where)}: expected UTF-8 text. Received: {problem}")
    return text


def summary(explanation: Explanation) -> dict[str, object]:
    """Return the prediction and its strongest words for the command line."""
    return {
        "label": explanation.label,
        "decision": explanation.decision,
        "strongest_words": {word: round(value, 4) for word, value in list(explanation.words.items())[:10]},
    }


def check(
    run: loaded_run.Run,
    tokens: npt.NDArray[np.object_],
    values: npt.NDArray[np.float64],
    logits: npt.NDArray[np.float32],
    *,
    target: int,
    seed: int,
) -> sanity_checks.DeletionCheck:
    """Remove the top tokens, and random ones, and score the texts that are left with the whole model."""
    numbers = np.arange(1, len(tokens) + 1)[None]

    def compute_logits(rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        strings = [" ".join(tokens[row[row > 0] - 1]) for row in rows]
        return run.logits(np.array(strings, object)).astype(np.float64) / run.decision.temperature

    targets = np.array([target])
    score = sanity_checks.log_odds(logits.astype(np.float64) / run.decision.temperature, targets)
    found = gradients.Attribution(
        values=values[None], targets=targets, score=score, baseline_score=np.zeros(1), steps=np.zeros(1, np.int64)
    )
    return sanity_checks.deletion(compute_logits, numbers, found, seed=seed)


def write(run: loaded_run.Run, string: str, explanation: Explanation, output: pathlib.Path) -> None:
    """Write the explanation as a page."""
    files.write_text(output, document.render(report(run, string, explanation)))


def report(run: loaded_run.Run, string: str, explanation: Explanation) -> document.Report:
    """Return the page: the label, the highlighted text, its strongest words, and the deletion check."""
    names = run.decision.class_names
    rest = " or ".join(name for name in names if name != explanation.label)
    order = np.argsort(-np.abs(explanation.values), kind="stable")[:15]
    strongest = blocks.Table(
        columns=("Token", "Position", "Contribution to the log-odds"),
        rows=[(explanation.tokens[i], str(i + 1), float(explanation.values[i])) for i in order],
        caption=f"The strongest tokens; positive supports {explanation.label}.",
        signed=True,
    )
    weighted = zip(explanation.tokens, explanation.values.tolist(), strict=True)
    highlighted = blocks.Highlight(
        # The spaces apart, so that only words are tinted.
        tokens=[pair for token, value in weighted for pair in ((token, value), (" ", 0.0))],
        caption="The text as the model reads it.",
        toward=explanation.label,
        against=rest,
    )
    sections = [
        document.Section(
            "Words", "Each token is tinted by what it adds to the log-odds of the label.", [highlighted, strongest]
        ),
        document.Section("Is the explanation true?", *_deletion_in_words(explanation)),
        document.Section("The text as given", "", [blocks.Quote(text=string)]),
    ]
    scores = zip(names, explanation.scores.tolist(), strict=True)
    tiles = [blocks.Tile(f"Probability of {name}", score) for name, score in scores]
    return document.Report(
        title="Why this sentiment?",
        subtitle="Integrated gradients (Sundararajan et al. 2017)",
        answer=_answer(explanation),
        headline=tiles,
        sections=sections,
    )


def _answer(explanation: Explanation) -> str:
    """Say what was predicted, and which words support it, as the model's other predictions confirm."""
    found, label = explanation, explanation.label
    abstains = found.decision != label
    lead = f"The model abstains; most probable is {label}" if abstains else f"The model predicts {label}"
    if found.supporting:
        words = ", ".join(f"“{word}”" for word in found.supporting)
        return (
            f"{lead}, mostly because of {words}: without {'it' if len(found.supporting) == 1 else 'them'} the "
            f"probability of {label} would be {found.without:.3f} instead of {found.probability:.3f}."
        )
    if max(found.values) > 0:
        return f"{lead}; no word that supports it would by its absence make it noticeably less probable."
    return f"{lead}, though no word supports it."


def _deletion_in_words(explanation: Explanation) -> tuple[str, list[blocks.Block]]:
    lead = "Removing the words that an explanation names must lower the score more than removing random ones."
    found = explanation.deletion
    if found is None:
        return lead, [blocks.Text("A text of one token has nothing to compare with.")]
    top, random = float(found.top[0]), float(found.random[0])
    passed = "The check passes." if top > random else "The check FAILS: do not trust the tints above."
    return lead, [
        blocks.Text(
            f"{passed} Without the tenth of the tokens that supports {explanation.label} most, its log-odds "
            f"{_moved(top)}; without as many random tokens they {_moved(random)} on average of ten draws.",
            tone="good" if top > random else "bad",
        )
    ]


def _moved(fall: float) -> str:
    """Say how log-odds change.

    >>> _moved(0.5), _moved(-0.25)
    ('fall by 0.50', 'rise by 0.25')
    """
    return f"{'fall' if fall >= 0 else 'rise'} by {abs(fall):.2f}"
