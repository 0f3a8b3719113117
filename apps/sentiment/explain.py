"""Which words made the model answer so: integrated gradients of every network, added up per token."""

import dataclasses
import pathlib
import warnings

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from apps.sentiment import attribution, batches
from apps.sentiment import run as loaded_run
from shared import errors, files
from shared.explain import deletion, integrated_gradients
from shared.report import blocks, document


@dataclasses.dataclass(frozen=True, kw_only=True)
class Explanation:
    """Why one text got its label.

    Attributes:
        tokens: (n,) str as the model sees them.
        values: (n,) contribution of each token to the log-odds of the label; the networks' contributions, averaged
            as their logits are.
        label: The label explained.
        scores: (classes,) calibrated probabilities.
        decision: The label, or ``abstain``.
        deletion: The check that removing the top tokens moves the score more than removing random ones.
    """

    tokens: npt.NDArray[np.object_]
    values: npt.NDArray[np.float64]
    label: str
    scores: npt.NDArray[np.float64]
    decision: str
    deletion: deletion.DeletionCheck | None


def explain(run: loaded_run.Run, string: str, *, seed: int = 0) -> Explanation:
    """Explain the label of one text.

    Raises:
        errors.InputError: The text holds no token.
    """
    tokens = batches.tokens_of(string)
    if len(tokens) == 0:
        raise errors.InputError(f"INPUT: expected a text with at least one word. Received: {string!r}")
    logits = run.logits(np.array([string], object))
    scores = run.decision.scores(logits)
    target = int(run.decision.predicted(scores)[0])
    values = contributions(run, tokens, target=target)
    return Explanation(
        tokens=tokens,
        values=values,
        label=run.decision.class_names[target],
        scores=scores[0],
        decision=str(run.decision.decisions(scores)[0]),
        deletion=check(run, tokens, values, logits, target=target, seed=seed) if len(tokens) > 1 else None,
    )


def read_input(argument: str) -> str:
    """Return the text to explain: the argument itself, or the content of the text file that it names.

    Raises:
        errors.InputError: The file does not exist or is not UTF-8 text.
    """
    path = pathlib.Path(argument)
    if path.suffix != ".txt":
        return argument
    if not path.is_file():
        if len(argument.split()) > 1:
            return argument
        raise errors.InputError(f"INPUT: expected a text, or a .txt file that exists. Received: {argument!r}")
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise errors.InputError(f"{path}: expected UTF-8 text. Received: {error}") from None


def summary(explanation: Explanation) -> dict[str, object]:
    """Return the answer and its strongest words for the command line."""
    order = np.argsort(-np.abs(explanation.values), kind="stable")[:10]
    return {
        "label": explanation.label,
        "decision": explanation.decision,
        "strongest_words": {explanation.tokens[i]: round(float(explanation.values[i]), 4) for i in order},
    }


def contributions(run: loaded_run.Run, tokens: npt.NDArray[np.object_], *, target: int) -> npt.NDArray[np.float64]:
    """Return (n,) what each token adds to the calibrated log-odds of class ``target``."""

    def attribute(name: str, ids: tf.Tensor) -> tf.Tensor:
        with warnings.catch_warnings():
            # A short text is one recurrent step; Keras takes attention over one step for a mistake.
            warnings.filterwarnings("ignore", message="You are using a softmax over axis")
            found = integrated_gradients.attribute(
                run.model.get_layer(name), ids.numpy()[np.newaxis], targets=np.array([target], np.int64)
            )
        return tf.constant(found.values[0])

    values = attribution.of_tokens(run, tf.constant(tokens.tolist(), tf.string), attribute)
    return np.asarray(values, np.float64)


def check(
    run: loaded_run.Run,
    tokens: npt.NDArray[np.object_],
    values: npt.NDArray[np.float64],
    logits: npt.NDArray[np.float32],
    *,
    target: int,
    seed: int,
) -> deletion.DeletionCheck:
    """Remove the top tokens, and random ones, and score the texts that are left with the whole model."""
    numbers = np.arange(1, len(tokens) + 1)[None]

    def compute_logits(rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        strings = [" ".join(tokens[row[row > 0] - 1]) for row in rows]
        return run.logits(np.array(strings, object)).astype(np.float64) / run.decision.temperature

    targets = np.array([target])
    score = deletion.log_odds(logits.astype(np.float64) / run.decision.temperature, targets)
    found = integrated_gradients.Attribution(
        values=values[None], targets=targets, score=score, baseline_score=np.zeros(1), steps=np.zeros(1, np.int64)
    )
    return deletion.check(compute_logits, numbers, found, seed=seed)


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
        caption=f"The strongest tokens; positive speaks for {explanation.label}.",
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
        document.Section("Words", "Each token is tinted by what it adds to the answer.", [highlighted, strongest]),
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
    words = explanation.tokens[np.argsort(-explanation.values, kind="stable")[:3]]
    abstains = explanation.decision != explanation.label
    verdict = "The model abstains; most probable is" if abstains else "The model answers"
    return f"{verdict} {explanation.label}, most of all because of “{'”, “'.join(dict.fromkeys(words))}”."


def _deletion_in_words(explanation: Explanation) -> tuple[str, list[blocks.Block]]:
    lead = "Removing the words that an explanation names must move the score more than removing random ones."
    found = explanation.deletion
    if found is None:
        return lead, [blocks.Text("A text of one token has nothing to compare with.")]
    top, random = float(found.top[0]), float(found.random[0])
    verdict = "The check passes." if top > random else "The check FAILS: do not trust the tints above."
    return lead, [
        blocks.Text(
            f"{verdict} Without its top tenth of tokens the log-odds fall by {top:.2f}; without as many random "
            f"tokens by {random:.2f} on average of ten draws.",
            tone="good" if top > random else "bad",
        )
    ]
