"""Why a transaction is ranked where it is: a page with its reasons, what would have passed, and a check of them."""

import dataclasses
import os
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import special

from apps.fraud_detection import data, inputs, preprocessing, reasons, wording
from apps.fraud_detection import run as loaded_run
from apps.fraud_detection.readers import sources
from apps.fraud_detection.transactions import Transactions, concatenate
from shared import errors, files, parser
from shared.report import blocks, document
from shared.sources import columns

MOST_ROWS = 20


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Explanation:
    """Why one transaction is ranked so.

    Attributes:
        identity: Of the transaction.
        score: Its calibrated probability of fraud.
        decision: ``fraud`` or ``genuine``.
        threshold: Probability from which it is the former.
        typical_score: Probability of the typical genuine transaction, from which contributions are counted.
        names: Of all reasons.
        contributions: (reasons,) what each adds to the log-odds.
        in_words: (reasons,) each reason.
        strongest: The reasons that raise the probability, in words, the strongest first.
        without: (reasons,) the probability if that reason's inputs were typical, the check of ``contributions``.
        passing: Smaller amounts that would not be alerted; None where that does not apply.
        row: What the transaction is described by.
    """

    identity: str
    score: float
    decision: str
    threshold: float
    typical_score: float
    names: tuple[str, ...]
    contributions: npt.NDArray[np.float64]
    in_words: list[str]
    strongest: list[str]
    without: npt.NDArray[np.float64]
    passing: reasons.Passing | None
    row: wording.Row

    @property
    def not_attributed(self) -> float:
        """The part of the change of the log-odds that is in no reason: what was rounded."""
        change = special.logit(self.score) - special.logit(self.typical_score)
        return float(change - self.contributions.sum()) if np.isfinite(change) else 0.0


def explain_input(run: loaded_run.Run, options: parser.ExplainOptions) -> dict[str, Any]:
    """Explain one transaction, write the page, and return what the user is told; see ``find``."""
    found, row = find(run, options.input)
    explanation = explain(run, found, row)
    files.write_text(options.output, document.render(report(run.inputs, explanation)))
    return summary(explanation)


def find(run: loaded_run.Run, given: str) -> tuple[Transactions, int]:
    """Return transactions and the row to explain.

    Args:
        run: The finished run.
        given: ``FILE`` for its last row, ``FILE:ID`` for one of its rows, both compared with the rows before; or the
            ``ID`` of a transaction of the run's own data.

    Raises:
        errors.InputError: There is no such file or transaction.
    """
    path, identity = _file_and_id(given)
    if path:
        parts = list(sources.iterate([path], run.inputs.schema, chunk_rows=1_000_000))
        found = concatenate(parts)
        return found, row_of(found, identity) if identity else len(found) - 1
    found = data.load(run.settings)
    return found, row_of(found, given)


def _file_and_id(given: str) -> tuple[str, str]:
    """Return the file that ``given`` names and the id behind its colon, "" for none; both may hold colons themselves.

    >>> _file_and_id("no such file:17")
    ('', 'no such file:17')
    """
    ends = [len(given), *(place for place in range(len(given) - 1, 0, -1) if given[place] == ":")]
    return next(((given[:end], given[end + 1 :]) for end in ends if os.path.exists(given[:end])), ("", given))


def row_of(found: Transactions, identity: str) -> int:
    """Return the row of the transaction that is called ``identity``.

    Raises:
        errors.InputError: None is.
    """
    wanted = columns.as_text(columns.identities(pd.Series([identity])))[0]
    rows = np.flatnonzero(np.isin(columns.as_text(found.ids), [identity, wanted]))
    if not len(rows):
        raise errors.InputError(
            f"{identity}: expected a file, a file and an id as FILE:ID, or the id of a transaction of the run's own "
            f"data. Received: neither a file nor an id of {found.name or 'the data'}"
        )
    return int(rows[0])


def explain(run: loaded_run.Run, found: Transactions, row: int) -> Explanation:
    """Explain one transaction, compared with those before it."""
    scorer = run.newest
    history = inputs.compute_history(found, scorer.inputs.schema)
    arrays = preprocessing.arrays(scorer.inputs, found, history, np.array([row]))
    why = reasons.find(scorer, arrays)
    (described,) = reasons.rows(scorer.inputs, arrays, found, np.array([row]))
    usual = {name: values[np.newaxis] for name, values in inputs.typical_arrays(scorer.inputs).items()}
    score = scorer.scores(arrays)
    return Explanation(
        identity=str(found.ids[row]),
        score=float(score[0]),
        decision=str(scorer.decision_rule.decisions(score)[0]),
        threshold=scorer.decision_rule.threshold,
        typical_score=float(scorer.scores({name: usual[name] for name in arrays})[0]),
        names=why.names,
        contributions=why.contributions[0],
        in_words=[wording.say(name, scorer.inputs, described) for name in why.names],
        strongest=why.in_words(scorer.inputs, [described])[0],
        without=reasons.scores_without(scorer, arrays),
        passing=reasons.passing_amounts(scorer, arrays, 0),
        row=described,
    )


def report(found: inputs.Inputs, explanation: Explanation) -> document.Report:
    """Return the page: the decision, its reasons in words and numbers, and what the networks read."""
    order = np.argsort(-np.abs(explanation.contributions), kind="stable")
    shown = [
        (
            explanation.names[index],
            explanation.in_words[index],
            float(explanation.contributions[index]),
            f"{explanation.without[index]:.4f}",
        )
        for index in order[:MOST_ROWS]
    ]
    rest = float(explanation.contributions[order[MOST_ROWS:]].sum())
    others = [(f"{len(order) - MOST_ROWS} weaker reasons", "", rest, "")] if len(order) > MOST_ROWS else []
    table = blocks.Table(
        columns=("Reason", "In words", "Adds to the log-odds", "Probability if this were typical"),
        rows=[*shown, *others, ("not attributed", "rounding", explanation.not_attributed, "")],
        caption=f"What is added leads from the typical genuine transaction, whose probability is "
        f"{explanation.typical_score:.4f}, to this one. The last column is the model's probability without the reason.",
        align="llrr",
        signed=True,
    )
    read = {name: _shown(value) for name, value in zip(found.shown, explanation.row.numbers.tolist(), strict=True)}
    read |= {name: value or "missing" for name, value in explanation.row.names.items()}
    return document.Report(
        title=f"Why transaction {explanation.identity}?",
        subtitle="Shapley values from the typical genuine transaction (Castro et al. 2009, Mitchell et al. 2022)",
        answer=answer(explanation, found.schema.currency),
        headline=[
            blocks.Tile("Probability of fraud", explanation.score),
            blocks.Tile("Alerted from", explanation.threshold),
        ],
        sections=[
            document.Section("Reasons", "", [table]),
            document.Section("What the model reads", "", [blocks.facts("Columns of this transaction", read)]),
        ],
    )


def answer(explanation: Explanation, currency: str) -> str:
    """Return the explanation in two or three sentences."""
    decision = "It is alerted" if explanation.decision == "fraud" else "It is not alerted"
    why = "; ".join(explanation.strongest) or "no reason raises the probability"
    passing = f" It would pass {between(explanation.passing, currency)}." if explanation.passing else ""
    return f"{decision}: {why}.{passing}"


def between(passing: reasons.Passing, currency: str) -> str:
    """Return a range of amounts in words."""
    return f"between {passing.low:,.2f} and {passing.high:,.2f} {currency}".rstrip()


def summary(explanation: Explanation) -> dict[str, Any]:
    """Return what the command line prints."""
    passing = explanation.passing
    return {
        "transaction": explanation.identity,
        "score": explanation.score,
        "decision": explanation.decision,
        "reasons": explanation.strongest,
        "typical_score": explanation.typical_score,
        "contributions": dict(zip(explanation.names, explanation.contributions.tolist(), strict=True)),
        "not_attributed": explanation.not_attributed,
        "passing_amounts": [passing.low, passing.high] if passing else None,
        "passing_amount": passing.high if passing and passing.every else None,
    }


def _shown(value: float) -> str:
    return "missing" if np.isnan(value) else f"{value:.6g}"
