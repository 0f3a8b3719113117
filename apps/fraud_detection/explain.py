"""Why a transaction is ranked where it is: a page with its reasons, what would have passed, and a check of them."""

import dataclasses
import pathlib
from typing import Any

import numpy as np
import numpy.typing as npt

from apps.fraud_detection import inputs, prepare, reasons, wording
from apps.fraud_detection import run as loaded_run
from apps.fraud_detection.readers import sources
from apps.fraud_detection.transactions import Transactions, concatenate
from shared import errors, files
from shared.report import blocks, document

MOST_ROWS = 20


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Explanation:
    """Why one transaction is ranked so.

    Attributes:
        identity: Of the transaction.
        score: Its calibrated probability of fraud.
        decision: ``fraud`` or ``genuine``.
        threshold: Probability from which it is the former.
        names: Of all reasons.
        contributions: (reasons,) what each adds to the log-odds.
        said: The reasons that speak for fraud, in words, the strongest first.
        without: (reasons,) the probability if that reason's columns were typical, the check of ``contributions``.
        passing_amount: Largest smaller amount that would not be alerted; None where that does not apply.
        numbers: (columns,) what the networks read.
    """

    identity: str
    score: float
    decision: str
    threshold: float
    names: tuple[str, ...]
    contributions: npt.NDArray[np.float64]
    said: list[str]
    without: npt.NDArray[np.float64]
    passing_amount: float | None
    numbers: npt.NDArray[np.float32]


def find(run: loaded_run.Run, given: str) -> tuple[Transactions, int]:
    """Return transactions and the row to explain.

    Args:
        run: The finished run.
        given: ``FILE`` for its last row, ``FILE:ID`` for one of its rows, both compared with the rows before; or the
            ``ID`` of a transaction of the run's own data.

    Raises:
        errors.InputError: There is no such file or transaction.
    """
    path, _, identity = given.rpartition(":")
    if pathlib.Path(given).exists():
        path, identity = given, ""
    if path and pathlib.Path(path).exists():
        parts = list(sources.iterate([path], run.inputs.schema, chunk_rows=1_000_000))
        found = concatenate(parts)
        return found, row_of(found, identity) if identity else len(found) - 1
    found = prepare.load_source(run.settings)
    return found, row_of(found, given)


def row_of(found: Transactions, identity: str) -> int:
    """Return the row of the transaction that is called ``identity``.

    Raises:
        errors.InputError: None is.
    """
    rows = np.flatnonzero(found.ids.astype(str) == identity)
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
    arrays = inputs.arrays(scorer.inputs, found, history, np.array([row]))
    why = reasons.find(scorer, arrays)
    score = scorer.scores(arrays)
    return Explanation(
        identity=str(found.ids[row]),
        score=float(score[0]),
        decision=str(scorer.decision_rule.decisions(score)[0]),
        threshold=scorer.decision_rule.threshold,
        names=why.names,
        contributions=why.contributions[0],
        said=why.said(scorer.inputs, arrays["numbers"])[0],
        without=scores_without(scorer, arrays),
        passing_amount=reasons.passing_amount(scorer, arrays, 0),
        numbers=arrays["numbers"][0],
    )


def scores_without(scorer: loaded_run.Scorer, arrays: dict[str, npt.NDArray[Any]]) -> npt.NDArray[np.float64]:
    """Return (reasons,) the probability of one transaction with each reason's columns set to the typical ones."""
    groups = wording.families(scorer.inputs).values()
    copies = {name: np.repeat(values, len(groups), axis=0) for name, values in arrays.items()}
    typical = np.asarray(scorer.inputs.typical, np.float32)
    for copy, columns in zip(copies["numbers"], groups, strict=True):
        copy[list(columns)] = typical[list(columns)]
    return scorer.scores(copies)


def write(run: loaded_run.Run, explanation: Explanation, output: pathlib.Path) -> None:
    """Write the page."""
    files.write_text(output, document.render(report(run.inputs, explanation)))


def report(found: inputs.Inputs, explanation: Explanation) -> document.Report:
    """Return the page: the decision, its reasons in words and numbers, and what the networks read."""
    order = np.argsort(-np.abs(explanation.contributions), kind="stable")[:MOST_ROWS]
    table = blocks.Table(
        columns=("Reason", "In words", "Adds to the log-odds", "Probability if this were typical"),
        rows=[
            (
                explanation.names[index],
                wording.say(explanation.names[index], found, explanation.numbers),
                float(explanation.contributions[index]),
                f"{explanation.without[index]:.4f}",
            )
            for index in order
        ],
        caption="Positive speaks for fraud. The last column asks the model again, without the reason: where it falls, "
        "the reason is true of the model.",
        align="llrr",
        signed=True,
    )
    read = {name: _shown(value) for name, value in zip(found.numbers, explanation.numbers.tolist(), strict=True)}
    return document.Report(
        title=f"Why transaction {explanation.identity}?",
        subtitle="Integrated gradients from the typical genuine transaction (Sundararajan et al. 2017)",
        answer=answer(explanation, found.schema.currency),
        headline=[
            blocks.Tile("Probability of fraud", explanation.score),
            blocks.Tile("Alerted from", explanation.threshold),
        ],
        sections=[
            document.Section("Reasons", "", [table]),
            document.Section("What the model reads", "", [blocks.facts("Numbers of this transaction", read)]),
        ],
    )


def answer(explanation: Explanation, currency: str) -> str:
    """Say it in two or three sentences."""
    verdict = "It is alerted" if explanation.decision == "fraud" else "It is not alerted"
    why = f": {'; '.join(explanation.said)}." if explanation.said else ": nothing about it speaks for fraud."
    amount = explanation.passing_amount
    passing = f" It would pass below {amount:.2f} {currency}".rstrip() + "." if amount is not None else ""
    return f"{verdict}{why}{passing}"


def summary(explanation: Explanation) -> dict[str, Any]:
    """Return what the command line prints."""
    return {
        "transaction": explanation.identity,
        "score": explanation.score,
        "decision": explanation.decision,
        "reasons": explanation.said,
        "passing_amount": explanation.passing_amount,
    }


def _shown(value: float) -> str:
    return "missing" if np.isnan(value) else f"{value:.6g}"
