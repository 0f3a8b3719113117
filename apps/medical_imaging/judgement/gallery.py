"""The report's pictures of confident errors, with one answer per image. No TensorFlow here."""

import numpy as np
import pandas as pd

from apps.medical_imaging.judgement import evidence
from apps.medical_imaging.judgement import judge as judges
from shared.report import blocks, document, formatting

MOST_ERRORS = 8
TITLE = "Its most confident errors"


def section(rows: evidence.Rows, judge: judges.Judge) -> document.Section:
    """Show the wrong answers that the model was surest of, missed findings first."""
    shown: list[blocks.Block] = [
        _grid(rows, judge, number, caption) for number, caption in _kinds(judge) if _wrong(judge, number).size
    ]
    lead = "Wrong answers, the surest first. Some may be labels that a radiologist would dispute."
    return document.Section(TITLE, lead if shown else "It made no errors.", shown)


def _kinds(judge: judges.Judge) -> list[tuple[int | None, str]]:
    """Return true class and caption of each grid; None: every class together."""
    if not judge.binary:
        return [(None, "Answered as another class.")]
    negative, positive = judge.class_names
    return [
        (1, f"Missed: {positive}, answered as {negative}."),
        (0, f"False alarms: {negative}, answered as {positive}."),
    ]


def _wrong(judge: judges.Judge, number: int | None) -> evidence.Ints:
    """Return the wrong rows of a true class, the surest first."""
    wrong = np.flatnonzero(~judge.correct & ((judge.labels == number) if number is not None else judge.everything))
    sureness = judge.scores[wrong, judge.predicted[wrong]]
    return wrong[np.argsort(-sureness, kind="stable")]


def _grid(rows: evidence.Rows, judge: judges.Judge, number: int | None, caption: str) -> blocks.Block:
    wrong = _wrong(judge, number)
    chosen = wrong[:MOST_ERRORS]
    counted = f"{caption} {len(chosen)} of {len(wrong)}." if len(wrong) > len(chosen) else caption
    sources = [rows.thumbnail(int(row)) if rows.thumbnail else None for row in chosen]
    if None in sources:
        return _table(rows, judge, chosen, counted)
    return blocks.Pictures(
        counted,
        [
            blocks.Picture(source=source, alt=f"Image {rows.names[row]}", facts=_facts(rows, judge, int(row)))
            for row, source in zip(chosen, sources, strict=True)
            if source is not None
        ],
    )


def _facts(rows: evidence.Rows, judge: judges.Judge, row: int) -> dict[str, blocks.Cell]:
    """Return what is known of an image."""
    values = rows.attributes.iloc[row].to_dict() if len(rows.attributes.columns) else {}
    known = {name: value for name, value in values.items() if not pd.isna(value)}
    return {
        "Is": judge.class_names[judge.labels[row]],
        "Answered": judge.class_names[judge.predicted[row]],
        "Score of the answer": float(judge.scores[row, judge.predicted[row]]),
        "Patient": str(rows.patients[row]),
        "Image": str(rows.names[row]),
        **{str(name).replace("_", " ").capitalize(): _cell(value) for name, value in known.items()},
    }


def _cell(value: object) -> blocks.Cell:
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    return formatting.number(value, digits=1) if isinstance(value, float) else str(value)


def _table(rows: evidence.Rows, judge: judges.Judge, chosen: evidence.Ints, caption: str) -> blocks.Table:
    return blocks.Table(
        columns=("Image", "Patient", "Is", "Answered", "Score of the answer"),
        rows=[
            tuple(
                _facts(rows, judge, int(row))[name]
                for name in ("Image", "Patient", "Is", "Answered", "Score of the answer")
            )
            for row in chosen
        ],
        caption=caption,
        align="llllr",
    )
