"""Every row checked: what a source gave is either usable, with a class name, or bad, with a reason."""

import collections
import dataclasses
import hashlib
import pathlib
import tarfile
import zipfile
import zlib
from collections.abc import Iterable, Sequence

from apps.sentiment.readers import labels, quarantine, reading, sources
from shared import errors

_SHOWN = 5
_HIDDEN = "-1"
_UNREADABLE = (
    OSError,
    EOFError,
    UnicodeError,
    zlib.error,
    zipfile.BadZipFile,
    tarfile.TarError,
    RuntimeError,
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Batch:
    """What one source gave.

    Attributes:
        name: The source.
        sha256: Of its file, or of its sorted rows where it is a folder.
        notes: On how it was read.
        items: Usable rows in file order; ``row.label`` is the class name, or None without labels.
        bad: The other rows.
        ordinal: Whether its labels are ratings.
    """

    name: str
    sha256: str
    notes: tuple[str, ...]
    items: list[sources.Item]
    bad: list[quarantine.BadRow]
    ordinal: bool


def read(spec: str, *, options: reading.Options, data_format: str, class_names: Sequence[str] | None) -> Batch:
    """Read a whole source and check each row.

    Raises:
        errors.InputError: The source cannot be read, or its labels make no sense together.
    """
    items: list[sources.Item] = []
    bad: list[quarantine.BadRow] = []
    try:
        with sources.opened(spec, options=options, data_format=data_format) as source:
            for item in source.items:
                fault = problem(item.row, labelled=options.labelled)
                if fault:
                    bad.append(bad_row(item, fault))
                else:
                    items.append(item)
    except _UNREADABLE as error:
        if isinstance(error, errors.InputError):
            raise
        raise errors.InputError(f"{spec}: expected a file that can be read to its end. Received: {error}") from None
    items, hidden = _without_hidden_labels(items) if options.labelled else (items, ())
    understood = _understand(source.name, items, options, class_names)
    notes = (*source.notes, *hidden, *([f"{source.name}: {understood.note}"] if understood.note else []))
    expected = class_names or labels.order(set(understood.names.values()))
    named, unknown = _name_classes(items, understood, expected) if options.labelled else (items, [])
    return Batch(
        name=source.name,
        sha256=source.sha256 or _fingerprint(items),
        notes=notes,
        items=named,
        bad=bad + unknown,
        ordinal=understood.ordinal,
    )


def problem(row: reading.Row, *, labelled: bool) -> str:
    """Say why a row cannot be used; nothing for a row that can.

    >>> problem(reading.Row(7, "  ", "1"), labelled=True)
    'empty text'
    """
    if row.problem:
        return row.problem
    if not row.text or row.text.isspace():
        return "empty text"
    if labelled and (row.label is None or not row.label.strip()):
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


def conflicts(items: Iterable[sources.Item]) -> list[quarantine.BadRow]:
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
        advice = " --skip-bad sets such rows aside." if kept else " No row is left to use."
        raise errors.InputError(
            f"{len(bad)} of {len(bad) + kept} rows cannot be used.{advice} Expected in each row a text "
            f"in UTF-8 and a known label. Received: {shown}{more}"
        )
    if not kept:
        raise errors.InputError("Expected at least one row with a text. Received: none")
    if bad and path is not None:
        with quarantine.opened() as aside:
            for fault in bad:
                aside.add(fault)
            aside.write(path)


def bad_row(item: sources.Item, reason: str) -> quarantine.BadRow:
    """Return a row with the reason why it cannot be used."""
    return quarantine.BadRow(item.file, item.row.number, reason, item.row.text or "")


def _without_hidden_labels(items: list[sources.Item]) -> tuple[list[sources.Item], tuple[str, ...]]:
    """Drop the files in which every label is -1: so Hugging Face writes a test part whose labels are not given away.

    Returns:
        The other items, and notes on what was dropped.
    """
    known = {item.file for item in items if labels.clean(item.row.label or "") != _HIDDEN}
    hidden = dict.fromkeys(item.file for item in items if item.file not in known)
    if not known:
        return items, ()
    notes = tuple(f"{file}: left out, every label is {_HIDDEN}" for file in hidden)
    return [item for item in items if item.file in known], notes


def _understand(
    name: str, items: Sequence[sources.Item], options: reading.Options, class_names: Sequence[str] | None
) -> labels.Reading:
    if not options.labelled or not items:
        return labels.Reading(names={})
    counts = collections.Counter(labels.clean(item.row.label or "") for item in items)
    if set(counts) == {_HIDDEN}:
        raise errors.InputError(f"{name}: expected labels. Received: {_HIDDEN} in every row, which says nothing")
    try:
        return labels.read(counts, class_names=class_names)
    except errors.InputError as error:
        raise errors.InputError(f"{name}: {error}") from None


def _name_classes(
    items: Sequence[sources.Item], understood: labels.Reading, expected: Sequence[str]
) -> tuple[list[sources.Item], list[quarantine.BadRow]]:
    """Put class names in place of labels."""
    named, unknown = [], []
    for item in items:
        name = understood.names.get(labels.clean(item.row.label or ""))
        if name is None:
            unknown.append(bad_row(item, f"unknown label {item.row.label!r} (expected {', '.join(expected)})"))
        else:
            named.append(item._replace(row=item.row._replace(label=name)))
    return named, unknown


def _fingerprint(items: Sequence[sources.Item]) -> str:
    rows = sorted(f"{item.row.label}\t{item.row.text}".encode() for item in items)
    return hashlib.sha256(b"\0".join(rows)).hexdigest()
