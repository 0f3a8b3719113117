"""The work queue of a day: the most suspicious transactions within the budget, with reasons."""

import dataclasses
import datetime
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from apps.fraud_detection import (
    config,
    data,
    explain,
    features,
    feedback,
    folds,
    inputs,
    model,
    preprocessing,
    reasons,
    schema,
    wording,
)
from apps.fraud_detection import run as loaded_run
from apps.fraud_detection.transactions import Transactions
from shared import errors, files, printing, published
from shared.report import blocks, document

WRITTEN = ("queue.csv", "queue.parquet", "queue.html")
# Columns that we add to those of the source; ``transaction_id`` only where the source has no ids.
OWN = (
    "rank",
    "row",
    "transaction_id",
    "score",
    "alerted",
    "expected_loss",
    *(f"reason_{number}" for number in range(1, wording.REASONS + 1)),
    "passing_amount",
    "passing_low",
    "passing_high",
)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Queue:
    """A day's alerts.

    Attributes:
        day: How the day is written.
        table: One row per alert: ``OWN`` and between them the source's columns, ``source_columns`` as they are called.
        transactions: How many the day had.
        schema: What the columns of the source mean.
        source_columns: Column of the source -> its name in the table, which no column of ours has.
    """

    day: str
    table: pd.DataFrame
    transactions: int
    schema: schema.Schema
    source_columns: Mapping[str, str]


def is_day(text: str) -> bool:
    """Return whether ``text`` is a date, as 2018-08-10."""
    try:
        datetime.date.fromisoformat(text)
    except ValueError:
        return False
    return True


def queue(
    run: loaded_run.Run, settings: config.Config, *, day: str | None, budget: int | None, rank_by: str = "score"
) -> Queue:
    """Rank a day's transactions, each compared with those before it.

    Args:
        run: The finished run.
        settings: Which source holds the day, and the days before.
        day: Of the source; None: its last.
        budget: Most alerts; None: the run's own budget.
        rank_by: ``score``, or ``expected_loss``, which is the score times the amount.

    Raises:
        errors.InputError: The source has no such day, or no amounts to rank by.
    """
    found = data.load(settings, trained_on=run.inputs.schema, labelled=False)
    data.tell(found)
    rows = rows_of_day(found, day)
    if rank_by == "expected_loss" and found.schema.amount is None:
        raise errors.InputError(f"{found.name}: expected amounts, to rank by expected_loss. Received: data without any")
    scorer = run.newest
    # Of the past only what features look at: a day is ranked in seconds, whatever the length of the file.
    needed = inputs.needed_days(scorer.inputs) * features.DAY
    first = int(np.searchsorted(found.time, found.time[rows[0]] - needed))
    recent, rows = found.take(np.arange(first, rows[-1] + 1)), rows - first
    history = inputs.compute_history(recent, scorer.inputs.schema)
    scores = scorer.scores(preprocessing.arrays(scorer.inputs, recent, history, rows))
    value = scores * np.nan_to_num(recent.amount[rows]) if rank_by == "expected_loss" else scores
    chosen = np.argsort(-value, kind="stable")[: budget or scorer.decision_rule.alerts_per_day]
    arrays = preprocessing.arrays(scorer.inputs, recent, history, rows[chosen])
    return Queue(
        day=folds.day_name(int(recent.days[rows[0]]), calendar=recent.calendar),
        table=_table(scorer, recent, rows[chosen], scores[chosen], arrays),
        transactions=len(rows),
        schema=recent.schema,
        source_columns=_source_columns(recent.schema),
    )


def rows_of_day(found: Transactions, day: str | None) -> npt.NDArray[np.int64]:
    """Return the rows of a day.

    Raises:
        errors.InputError: There are none.
    """
    if day is None:
        return np.flatnonzero(found.days == found.days[-1])
    names = {folds.day_name(int(each), calendar=found.calendar): int(each) for each in np.unique(found.days)}
    if day not in names:
        first, last = next(iter(names)), list(names)[-1]
        raise errors.InputError(f"{found.name}: expected a day from {first} to {last}. Received: {day}")
    return np.flatnonzero(found.days == names[day])


def _table(
    scorer: model.Scorer,
    found: Transactions,
    rows: npt.NDArray[np.int64],
    scores: npt.NDArray[np.float64],
    arrays: dict[str, npt.NDArray[Any]],
) -> pd.DataFrame:
    names, called, found_ids = found.schema, _source_columns(found.schema), found.ids[rows]
    described = reasons.rows(scorer.inputs, arrays, found, rows)
    why = reasons.find(scorer, arrays).in_words(scorer.inputs, described)
    columns: dict[str, Any] = {"rank": np.arange(1, len(rows) + 1), called.get(names.id or "", "row"): found_ids}
    if names.id is None:
        columns["transaction_id"] = feedback.identities(found)[rows]
    columns[called[names.time]] = data.times(found)[rows]
    if names.amount is not None:
        columns[called[names.amount]] = found.amount[rows]
    columns |= {called[column]: found.entities[role][rows] for role, column in names.entities.items()}
    columns["score"] = scores
    columns["alerted"] = scores >= scorer.decision_rule.threshold
    columns["expected_loss"] = np.round(scores * np.nan_to_num(found.amount[rows]), 2)
    for number in range(wording.REASONS):
        columns[f"reason_{number + 1}"] = [each[number] if number < len(each) else "" for each in why]
    passing = [reasons.passing_amounts(scorer, arrays, row) for row in range(len(rows))]
    columns["passing_amount"] = [each.high if each and each.every else np.nan for each in passing]
    columns["passing_low"] = [each.low if each else np.nan for each in passing]
    columns["passing_high"] = [each.high if each else np.nan for each in passing]
    return pd.DataFrame(columns)


def _source_columns(names: schema.Schema) -> dict[str, str]:
    """Return what the source's columns are called in the table; one with a name of ours gets ``source_`` before it."""
    given = dict.fromkeys((names.id, names.time, names.amount, *names.entities.values()))
    called: dict[str, str] = {}
    for column in filter(None, given):
        name = column
        while name in (*OWN, *called.values()):
            name = f"source_{name}"
        called[column] = name
    return called


def write(found: Queue, folder: pathlib.Path) -> None:
    """Write ``queue.csv``, ``queue.parquet`` and ``queue.html``: all of them, or after a kill none."""
    with published.folder(folder, listed=False) as into:
        printing.inert_table(found.table).rename(columns=printing.inert).to_csv(into / "queue.csv", index=False)
        found.table.to_parquet(into / "queue.parquet", index=False)
        files.write_text(into / "queue.html", document.render(report(found)))


def report(found: Queue) -> document.Report:
    """Return the queue as a page."""
    table = blocks.Table(
        columns=("Transaction", "Time", "Amount", "Parties", "Score", "Why"),
        rows=[_row(found, row) for row in found.table.to_dict("records")],
        caption="The most suspicious first.",
        align="lrrlrl",
    )
    above = int(found.table["alerted"].sum())
    return document.Report(
        title=f"Alerts of {found.day}",
        subtitle=f"{len(found.table)} of {found.transactions:,} transactions",
        answer=f"{above} of the {len(found.table)} transactions in the queue are above the alert threshold; "
        f"together they are expected to lose {found.table['expected_loss'].sum():,.2f}.",
        headline=[
            blocks.Tile("In the queue", f"{len(found.table)}"),
            blocks.Tile("Expected frauds among them", f"{found.table['score'].sum():.1f}"),
        ],
        sections=[document.Section("Queue", "", [table])],
    )


def _row(found: Queue, row: dict[Any, Any]) -> tuple[blocks.Cell, ...]:
    names = found.schema
    called = found.source_columns
    moment = row[called[names.time]]
    parties = " → ".join(str(row[called[column]]) for column in names.entities.values())
    why = [row[f"reason_{number}"] for number in range(1, wording.REASONS + 1) if row[f"reason_{number}"]]
    if not np.isnan(row["passing_low"]):
        passing = reasons.Passing(low=row["passing_low"], high=row["passing_high"], every=False)
        why.append(f"would pass {explain.between(passing, names.currency)}")
    return (
        f"{row['rank']}. {row[called.get(names.id or '', 'row')]}",
        moment.strftime("%H:%M:%S") if isinstance(moment, pd.Timestamp) else f"{moment:g}",
        "" if names.amount is None else f"{row[called[names.amount]]:,.2f}",
        parties,
        f"{row['score']:.3f}",
        "; ".join(why),
    )
