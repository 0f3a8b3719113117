"""Every row checked: what a source gave is either usable, with a class name, or bad, with a reason."""

import collections
import dataclasses
import hashlib
import json
import pathlib
from collections.abc import Iterable, Mapping, Sequence

from apps.sentiment.readers import codes, labels, quarantine, reading, sources
from shared import errors
from shared.sources import cells

_SHOWN = 5


@dataclasses.dataclass(frozen=True, kw_only=True)
class Batch:
    """What one source gave.

    Attributes:
        name: The source.
        sha256: Of its file, or of its sorted rows where it is a folder.
        notes: On how it was read.
        items: Usable rows in file order; ``row.label`` is a label until ``name_classes`` puts the class name there.
        bad: The other rows.
        columns: Of each file that is a table, what its columns are, in words.
        label_columns: Of each file that is a table, the column of labels.
    """

    name: str
    sha256: str
    notes: tuple[str, ...]
    items: list[reading.Item]
    bad: list[quarantine.BadRow]
    columns: Mapping[str, Mapping[str, str]]
    label_columns: Mapping[str, str]


def read_all(specs: Sequence[str], *, options: reading.Options, data_format: str) -> list[Batch]:
    """Read sources whole and check each row, but for what its label means; no two files get one name.

    Raises:
        errors.InputError: A source cannot be read, or two are the same.
    """
    names = sources.distinct_names(specs)
    folders = sum(sources.holds_files(spec) for spec in specs)
    return [
        read(spec, options=options, data_format=data_format, name=name, prefixed=folders > 1)
        for spec, name in zip(specs, names, strict=True)
    ]


def read(spec: str, *, options: reading.Options, data_format: str, name: str, prefixed: bool = False) -> Batch:
    """Read a whole source and check each row, but for what its label means.

    Raises:
        errors.InputError: The source cannot be read.
    """
    items: list[reading.Item] = []
    bad: list[quarantine.BadRow] = []
    with sources.opened(spec, options=options, data_format=data_format, name=name, prefixed=prefixed) as source:
        for item in source.items:
            fault = problem(item.row, labelled=options.labelled)
            if fault:
                bad.append(bad_row(item, fault))
            else:
                items.append(item)
    columns = {file: dict(found.roles) for file, found in source.columns.items()}
    parts = {file: found.part for file, found in source.columns.items() if found.part is not None}
    items, without = _parted(items, parts, columns)
    return Batch(
        name=source.name,
        sha256=source.sha256 or _fingerprint(items),
        notes=source.notes,
        items=items,
        bad=[*bad, *without],
        columns=columns,
        label_columns={file: found.label or "" for file, found in source.columns.items()},
    )


def problem(row: reading.Row, *, labelled: bool) -> str:
    """Say why a row cannot be used; nothing for a row that can.

    >>> problem(reading.Row(7, "  ", "1"), labelled=True), problem(reading.Row(7, "NA", "1"), labelled=True)
    ('empty text', '')
    """
    if row.problem:
        return row.problem
    if not row.text or row.text.isspace():
        return "empty text"
    if labelled and cells.is_nothing(row.label):
        return "missing label"
    return encoding_problem(row.text)


def encoding_problem(text: str) -> str:
    """Say where a text holds no Unicode character: an undecodable byte, or half of a surrogate pair."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        code = ord(text[error.start])
        what = f"byte 0x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else f"lone surrogate U+{code:04X}"
        return f"not valid UTF-8: {what} at character {error.start + 1}"
    return ""


def seen(batches: Sequence[Batch]) -> list[codes.Seen]:
    """Return the labels of every source, apart for columns whose names say different things of them."""
    columns: dict[tuple[str, str], str] = {}
    counts: dict[tuple[str, str], collections.Counter[str]] = collections.defaultdict(collections.Counter)
    first: dict[tuple[str, str], dict[str, str]] = collections.defaultdict(dict)
    for batch in batches:
        for item in batch.items:
            column = batch.label_columns.get(item.file, "")
            key, label = (batch.name, labels.kind_of(column)), labels.clean(item.row.label or "")
            columns.setdefault(key, column)
            counts[key][label] += 1
            if label not in first[key]:
                first[key][label] = f"{item.file}, row {item.row.number}"
    return [codes.Seen(*key, column, counts[key], first[key]) for key, column in columns.items()]


def name_classes(batch: Batch, code: labels.Code, *, expected: Sequence[str]) -> Batch:
    """Put class names in place of labels; rows with labels of no class are bad."""
    items, unknown = [], []
    for item in batch.items:
        name = code.names.get(labels.clean(item.row.label or ""))
        if name is None:
            unknown.append(bad_row(item, f"unknown label {item.row.label!r} (expected {', '.join(expected)})"))
        else:
            items.append(item._replace(row=item.row._replace(label=name)))
    return dataclasses.replace(batch, items=items, bad=[*batch.bad, *unknown])


def without_hidden_labels(batches: Sequence[Batch], *, known: Iterable[str] = ()) -> list[Batch]:
    """Drop the files in which every label is -1: so Hugging Face writes a test part whose labels are not given away.

    Args:
        batches: With labels.
        known: Labels of the run's code: where -1 is one, it hides nothing.

    Raises:
        errors.InputError: -1 may be the label of a class, too, or is all that there is.
    """
    found: dict[tuple[str, str], set[str]] = collections.defaultdict(set)
    for batch in batches:
        for item in batch.items:
            found[batch.name, item.file].add(labels.clean(item.row.label or ""))
    hidden = {key for key, names in found.items() if names == {labels.HIDDEN}}
    others = set().union(*(names for key, names in found.items() if key not in hidden))
    if not hidden or labels.HIDDEN in {*known, *others}:
        return list(batches)
    if not others:
        raise errors.InputError(
            f"{batches[0].name}: expected labels. Received: {labels.HIDDEN} in every row, which says nothing "
            f"(--label-code={labels.HIDDEN}=negative says what it means)"
        )
    return [_dropped(batch, {file for name, file in hidden if name == batch.name}, others) for batch in batches]


def conflicts(items: Iterable[reading.Item]) -> list[quarantine.BadRow]:
    """Return the rows whose text also occurs with another label."""
    names = collections.defaultdict(set)
    for item in items:
        names[item.row.text].add(item.row.label)
    contradictory = {text for text, found in names.items() if len(found) > 1}
    reason = "this text also occurs with another label"
    return [bad_row(item, reason) for item in items if item.row.text in contradictory]


def settle(bad: Sequence[quarantine.BadRow], *, kept: int, skip_bad: bool, path: pathlib.Path | None) -> None:
    """Refuse bad rows with one message, or write them to the quarantine file.

    Raises:
        errors.InputError: There are bad rows and ``skip_bad`` is false, or nothing else is left.
    """
    if bad and not (skip_bad and kept):
        shown = "; ".join(f"{fault.file}, row {fault.row}: {fault.reason}" for fault in bad[:_SHOWN])
        more = f"; and {len(bad) - _SHOWN} more" if len(bad) > _SHOWN else ""
        way_out = " --skip-bad sets such rows aside." if kept else " No row is left to use."
        mends = advice(*(fault.reason for fault in bad))
        raise errors.InputError(
            f"{len(bad)} of {len(bad) + kept} rows cannot be used.{way_out} Expected in each row a text "
            f"in UTF-8 and a known label{mends}. Received: {shown}{more}"
        )
    if not kept:
        raise errors.InputError("Expected at least one row with a text. Received: none")
    if bad and path is not None:
        with quarantine.opened() as aside:
            for fault in bad:
                aside.add(fault)
            aside.write(path)


def bad_row(item: reading.Item, reason: str) -> quarantine.BadRow:
    """Return a row with the reason why it cannot be used."""
    return quarantine.BadRow(item.file, item.row.number, reason, item.row.text or "")


# What mends rows of a kind.
_MENDS = {
    "not valid UTF-8": "iconv -f cp1252 -t utf-8 OLD > NEW makes UTF-8 of what Windows wrote",
    "a quotation mark": "a quotation mark inside a quoted cell is written twice",
    "unknown label": "--label-column names another column, --label-code says what labels mean",
}


def advice(*reasons: str) -> str:
    """Return what mends rows that cannot be used for these reasons, in parentheses."""
    said = [mend for kind, mend in _MENDS.items() if any(reason.startswith(kind) for reason in reasons)]
    return f" ({'; '.join(said)})" if said else ""


def _dropped(batch: Batch, files: set[str], others: set[str]) -> Batch:
    parts = {item.file: item.part for item in batch.items}
    for file in sorted(files):
        if parts[file] != "test" and others <= {"0", "1"}:
            raise errors.InputError(
                f"{file}: expected labels of which it is clear what they mean. Received: {labels.HIDDEN} in every row, "
                f"which could be a class beside {', '.join(sorted(others))}, or say that labels are hidden. Say which: "
                "--label-code=-1=negative,0=neutral,1=positive, or leave the file out"
            )
    notes = tuple(f"{file}: left out, every label is {labels.HIDDEN}" for file in sorted(files))
    kept = [item for item in batch.items if item.file not in files]
    return dataclasses.replace(batch, items=kept, notes=(*batch.notes, *notes))


def _parted(
    items: list[reading.Item], parts: Mapping[str, str], columns: dict[str, dict[str, str]]
) -> tuple[list[reading.Item], list[quarantine.BadRow]]:
    """Take the official part from a column of parts, where its cells name some; say so in ``columns``.

    Returns:
        The items, and the rows whose cell names no part though those of others do.
    """
    named = {item.file for item in items if item.file in parts and item.row.part.strip().casefold() in reading.PARTS}
    for file, column in parts.items():
        if file not in named:
            columns[file][column] = "not read: it names no train, dev or test part"
    kept, bad = [], []
    for item in items:
        cell = "" if cells.is_nothing(item.row.part) else item.row.part.strip().casefold()
        if item.file not in named:
            kept.append(item)
        elif not cell or cell in reading.PARTS:
            kept.append(item._replace(part=reading.PARTS.get(cell, "")))
        else:
            bad.append(
                bad_row(item, f"column {parts[item.file]!r} names no train, dev or test part: {item.row.part!r}")
            )
    return kept, bad


def _fingerprint(items: Sequence[reading.Item]) -> str:
    """Return the SHA-256 of all that training reads of rows, whatever their order."""
    rows = sorted(
        json.dumps([item.row.label, item.row.text, item.row.source, item.part, item.film]).encode() for item in items
    )
    return hashlib.sha256(b"\n".join(rows)).hexdigest()
