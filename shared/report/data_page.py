"""``data.html``: what was understood of a data set, to be read before anything is trained. No TensorFlow."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from shared.evaluation import inspection
from shared.report import blocks, document

FILE, ERRORS_FILE = "data.html", "label_errors.json"
MOST_ERRORS, LEAST_SHARE = 20, 0.01


@dataclasses.dataclass(frozen=True, kw_only=True)
class Understood:
    """What the page shows.

    Attributes:
        title: Of the page, such as "Sentiment: the data".
        source: What was read, in a line.
        roles: Column of the source and its role in words.
        notes: What a reader should know.
        certificate: Content of ``split.json``.
        inspected: The rows that plain models saw; None where there are no labels.
        columns: What `inspection.columns` found of them.
        errors: What `inspection.label_errors` found.
    """

    title: str
    source: str
    roles: Mapping[str, str]
    notes: Sequence[str]
    certificate: Mapping[str, Any]
    inspected: inspection.Inspected | None
    columns: Sequence[inspection.Column]
    errors: Sequence[inspection.LabelError]


def findings(columns: Sequence[inspection.Column], errors: Sequence[inspection.LabelError]) -> list[str]:
    """Return, in sentences, what a person should look at before training."""
    constant = [column.name for column in columns if column.constant]
    found = [
        f"{column.name} alone predicts {column.of_class} (area under the ROC curve {column.alone:.3f} on held-out "
        "units): is it known before the label is?"
        for column in columns
        if column.alone is not None and column.alone >= inspection.SUSPICIOUS
    ]
    if constant:
        found.append(f"{', '.join(constant)}: one value in all rows")
    if errors:
        rows = "1 row has a label" if len(errors) == 1 else f"{len(errors)} rows have labels"
        found.append(f"{rows} that a plain model on held-out units takes for wrong; the surest: {errors[0].name}")
    return found


def render(understood: Understood) -> str:
    """Return the page as HTML; equal content gives equal bytes."""
    found = findings(understood.columns, understood.errors)
    sections = [_source(understood), _parts(understood.certificate), _duplicates(understood.certificate)]
    if understood.inspected is not None:
        sections += [
            _columns(understood.columns, understood.inspected),
            _errors(understood.errors, understood.inspected),
        ]
    answer = "Look at: " + "; ".join(found) + "." if found else "Nothing was found that a person should look at first."
    return document.render(
        document.Report(title=understood.title, subtitle=understood.source, answer=answer, sections=sections)
    )


def errors_json(errors: Sequence[inspection.LabelError]) -> dict[str, Any]:
    """Return the rows whose labels are probably wrong, the surest first, as ``{"rows": [...]}``."""
    names = [field.name for field in dataclasses.fields(inspection.LabelError) if field.name != "row"]
    return {"rows": [{name: getattr(error, name) for name in names} for error in errors]}


def _source(understood: Understood) -> document.Section:
    shown: list[blocks.Block] = []
    if understood.roles:
        shown.append(
            blocks.Table(
                columns=("column", "is read as"),
                rows=list(understood.roles.items()),
                caption="Columns of the source",
                align="ll",
            )
        )
    shown += [blocks.Text(note, tone="caution") for note in understood.notes]
    if not shown:
        shown.append(blocks.Text("The source has no columns, and nothing needs a note."))
    return document.Section("What was read", "The role of every column: a wrong guess is mended by naming it.", shown)


def _parts(certificate: Mapping[str, Any]) -> document.Section:
    counts = {part: _flat(values) for part, values in certificate["counts"].items()}
    names = list(dict.fromkeys(name for part in counts.values() for name in part))
    rows = [(part, *[values.get(name) for name in names]) for part, values in counts.items()]
    table = blocks.Table(columns=("part", *names), rows=rows, caption="Rows of each part")
    facts = {"split unit": certificate["unit"], "how": certificate["method"], "rows": certificate["rows"]}
    return document.Section(
        "Classes and parts",
        "A split unit stands in one part alone.",
        [table, blocks.facts("The split", facts)],
    )


def _flat(values: Mapping[str, Any]) -> dict[str, blocks.Cell]:
    """Return counts with those of classes beside the rest.

    >>> _flat({"rows": 3, "classes": {"no": 1, "yes": 2}})
    {'rows': 3, 'no': 1, 'yes': 2}
    """
    found: dict[str, blocks.Cell] = {}
    for name, value in values.items():
        found |= _flat(value) if isinstance(value, Mapping) else {name: value}
    return found


def _duplicates(certificate: Mapping[str, Any]) -> document.Section:
    checks = {
        name.replace("_", " "): value
        for name, value in {**certificate["checks"], **certificate["overlap"]}.items()
        if isinstance(value, str | int | float) and name != "data_sha256"
    }
    return document.Section(
        "Duplicates and checks",
        "What was looked for in the rows and across the parts.",
        [blocks.facts("Checks of the certificate", checks)],
    )


def _columns(columns: Sequence[inspection.Column], inspected: inspection.Inspected) -> document.Section:
    rows = [
        (
            column.name,
            column.kind,
            column.missing,
            column.distinct,
            f"{column.most[:40]} ({100 * column.most_share:.0f} %)" if column.most_share >= LEAST_SHARE else "",
            column.alone,
            column.of_class if column.alone is not None else "too few rows of a class",
        )
        for column in columns
    ]
    table = blocks.Table(
        columns=("column", "kind", "share missing", "values", "most frequent", "area alone", "for class"),
        rows=rows,
        caption="Columns, those that predict a class best first",
        emphasis=[at for at, column in enumerate(columns) if (column.alone or 0) >= inspection.STRONG],
    )
    text = (
        "Area alone: the area under the ROC curve of a class when nothing but this column is known, with the value's "
        "rate in other split units as score. 0.5 is chance. Near 1 the column may be known only after the label, or "
        "stand for how the data were gathered."
    )
    extra = [blocks.Text(inspected.left_out)] if inspected.left_out else []
    return document.Section(
        "Columns", "What they hold, and what one alone predicts.", [table, blocks.Text(text), *extra]
    )


def _errors(found: Sequence[inspection.LabelError], inspected: inspection.Inspected) -> document.Section:
    lead = (
        "Rows of which a plain model on held-out units is sure that they belong to another class than their label says."
    )
    if not found:
        return document.Section(
            "Probable label errors", lead, [blocks.Text("None was found, or a class has too few rows to say.")]
        )
    errors = [(error, inspected.show(error.row)) for error in found[:MOST_ERRORS]]
    text = (
        "Confident learning (Northcutt et al. 2021) with a logistic regression. It is a list to read, not a list of "
        "errors: hard rows stand in it too, and the plain model may be wrong."
    )
    count = (
        f"{len(found)} rows were found; the surest {len(errors)} are shown, all are in {ERRORS_FILE}."
        if len(errors) < len(found)
        else ""
    )
    pictures = [
        blocks.Picture(source=shown, alt=error.name, facts=_facts(error))
        for error, shown in errors
        if _is_picture(shown)
    ]
    quotes = [
        blocks.Quote(text=shown, facts=_facts(error), tone="caution")
        for error, shown in errors
        if not _is_picture(shown)
    ]
    return document.Section(
        "Probable label errors",
        lead,
        [
            blocks.Text(f"{text} {count}".strip()),
            *([blocks.Pictures("Look at these first", pictures)] if pictures else []),
            *quotes,
        ],
    )


def _is_picture(shown: str) -> bool:
    return shown.startswith("data:image/")


def _facts(error: inspection.LabelError) -> dict[str, blocks.Cell]:
    return {
        "row": error.name,
        "label": error.given,
        "model": error.suggested,
        "probabilities": f"{error.probability_given:.3f}, {error.probability_suggested:.3f}",
    }
