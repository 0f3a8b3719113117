"""Several sources together: one meaning of labels, what they repeat or contradict, and the roles of all columns."""

import dataclasses
from collections.abc import Mapping, Sequence

from apps.sentiment.readers import checking, codes, labels, quarantine
from shared import errors


def understood(
    batches: Sequence[checking.Batch],
    *,
    stated: str | None,
    class_names: Sequence[str] | None,
    code: labels.Code | None,
) -> tuple[list[checking.Batch], labels.Code]:
    """Put class names in place of labels, by one code for all sources."""
    known = labels.stated(stated) if stated is not None else code
    batches = checking.without_hidden_labels(batches, known=known.names if known else ())
    seen = checking.seen(batches)
    if class_names is None:
        code = code or codes.fit(seen, stated=stated)
    elif stated is not None:
        code = codes.stated_within(stated, class_names)
    elif code is None:
        code = codes.guessed(seen, class_names)
    else:
        code = codes.within(code, seen, class_names=class_names)
    expected = class_names or labels.order(set(code.names.values()))
    return [checking.name_classes(batch, code, expected=expected) for batch in batches], code


def conflicts(batches: Sequence[checking.Batch]) -> dict[tuple[str, int], quarantine.BadRow]:
    """Return the rows whose text also occurs with another label, by file and number."""
    found = checking.conflicts([item for batch in batches for item in batch.items])
    return {(fault.file, fault.row): fault for fault in found}


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
