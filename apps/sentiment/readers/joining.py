"""Several sources together: one meaning of labels, what they repeat or contradict, and the roles of all columns."""

import collections
import dataclasses
from collections.abc import Iterable, Mapping, Sequence

from apps.sentiment import dataset
from apps.sentiment.readers import checking, codes, labels
from shared import errors
from shared.sources import quarantine


def understood(
    batches: Sequence[checking.Batch],
    *,
    stated: str | None,
    class_names: Sequence[str] | None,
    code: dataset.Code | None,
) -> tuple[list[checking.Batch], dataset.Code]:
    """Put class names in place of labels, by one code for all sources."""
    known = labels.stated(stated) if stated is not None else code
    batches = _without_hidden_labels(batches, known=known.names if known else ())
    seen = _seen(batches)
    if class_names is None:
        code = code or codes.fit(seen, stated=stated)
    elif stated is not None:
        code = codes.stated_within(stated, class_names)
    elif code is None:
        code = codes.guessed(seen, class_names)
    else:
        code = codes.within(code, seen, class_names=class_names)
    expected = class_names or labels.order(set(code.names.values()))
    return [_name_classes(batch, code, expected=expected) for batch in batches], code


def conflicts(batches: Sequence[checking.Batch]) -> dict[tuple[str, int], quarantine.BadRow]:
    """Return the rows whose text also occurs with another label, by file and number."""
    items = [item for batch in batches for item in batch.items]
    names = collections.defaultdict(set)
    for item in items:
        names[item.row.text].add(item.row.label)
    reason = "this text also occurs with another label"
    return {
        (item.file, item.row.number): checking.bad_row(item, reason) for item in items if len(names[item.row.text]) > 1
    }


def contradictions(contradictory: Mapping[tuple[str, int], object], batches: Sequence[checking.Batch]) -> str:
    """Say how many rows contradict others, and which sources they are in."""
    held = {batch.name: sum((item.file, item.row.number) in contradictory for item in batch.items) for batch in batches}
    where = ", ".join(f"{count:,} in {name}" for name, count in held.items() if count)
    return (
        f"{len(contradictory)} rows hold a text that also occurs with another label; they stay together"
        f"{f' ({where})' if len(batches) > 1 else ''}"
    )


def repeats(batches: Sequence[checking.Batch]) -> list[str]:
    """Note sources with the same content, whose texts count twice."""
    named: dict[str, list[str]] = {}
    for batch in batches:
        named.setdefault(batch.sha256, []).append(batch.name)
    return [
        f"{' and '.join(names)} hold the same, which is read {len(names)} times"
        for names in named.values()
        if len(names) > 1
    ]


def without(batch: checking.Batch, dropped: Mapping[tuple[str, int], object]) -> checking.Batch:
    """Return a source without some rows, given by file and number."""
    kept = [item for item in batch.items if (item.file, item.row.number) not in dropped]
    return dataclasses.replace(batch, items=kept)


def class_names(batches: Sequence[checking.Batch]) -> tuple[str, ...]:
    """Return the classes of all sources in canonical order."""
    names = labels.order({item.row.label or "" for batch in batches for item in batch.items})
    if len(names) < 2:
        raise errors.InputError(f"Expected texts of at least two classes. Received: one class, {names[0]!r}")
    return names


def roles(batches: Sequence[checking.Batch]) -> dict[str, str]:
    """Return what each column is; where files differ, in which of them."""
    found: dict[str, dict[str, list[str]]] = {}
    for batch in batches:
        for file, columns in batch.columns.items():
            for column, role in columns.items():
                found.setdefault(column, {}).setdefault(role, []).append(file)
    return {
        column: next(iter(roles))
        if len(roles) == 1
        else "; ".join(
            f"{role} (in {files[0]}{f' and {len(files) - 1} more' if files[1:] else ''})"
            for role, files in roles.items()
        )
        for column, roles in found.items()
    }


def _seen(batches: Sequence[checking.Batch]) -> list[codes.Seen]:
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


def _name_classes(batch: checking.Batch, code: dataset.Code, *, expected: Sequence[str]) -> checking.Batch:
    """Put class names in place of labels; rows with labels of no class are bad."""
    items, unknown = [], []
    for item in batch.items:
        name = code.names.get(labels.clean(item.row.label or ""))
        if name is None:
            unknown.append(checking.bad_row(item, f"unknown label {item.row.label!r} (expected {', '.join(expected)})"))
        else:
            items.append(item._replace(row=item.row._replace(label=name)))
    return dataclasses.replace(batch, items=items, bad=[*batch.bad, *unknown])


def _without_hidden_labels(batches: Sequence[checking.Batch], *, known: Iterable[str] = ()) -> list[checking.Batch]:
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


def _dropped(batch: checking.Batch, files: set[str], others: set[str]) -> checking.Batch:
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
