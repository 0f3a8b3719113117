"""One meaning of labels for all sources of a run: settled when it is trained, and held to afterwards."""

import collections
import contextlib
import dataclasses
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from apps.sentiment import dataset
from apps.sentiment.readers import labels
from shared import errors

UNRECORDED = "the run records no label code: it was trained by an earlier version, and labels are read by what they are"
_SCALE = 5
_SHOWN = 8


class Seen(NamedTuple):
    """The labels of one source in columns of one kind.

    Attributes:
        source: Its name.
        kind: What the column's name says, as ``labels.kind_of`` returns it.
        column: The column's name; "" where labels stand in no column.
        counts: Rows of each cleaned label.
        first: Where each label stands first.
    """

    source: str
    kind: str
    column: str
    counts: Mapping[str, int]
    first: Mapping[str, str]

    @property
    def where(self) -> str:
        """The source, and its column where there is one."""
        return f"{self.source}, column {self.column!r}" if self.column else self.source


def fit(seen: Sequence[Seen], *, stated: str | None = None) -> dataset.Code:
    """Settle what labels mean, over all sources together: a source may hold some of a code's labels only.

    Args:
        seen: The labels of every source.
        stated: What ``--label-code`` says.

    Raises:
        errors.InputError: They fit two codes, or make no sense together.
    """
    kinds = tuple(dict.fromkeys(each.kind for each in seen))
    if stated is not None:
        return dataclasses.replace(labels.stated(stated), kinds=kinds)
    if len({label for each in seen for label in each.counts}) == 1:
        # One class: that is refused later, where it has a name.
        return labels.first_fitting(seen[0].counts, labels.SENTIMENTS)
    return _fitted(seen, kinds)


def _fitted(seen: Sequence[Seen], kinds: tuple[str, ...]) -> dataset.Code:
    together = _together(seen)
    found = [_read(group) for group in together]
    if len({code.ordinal for code in found}) > 1:
        held = ", ".join(
            f"{each.where} ({'ratings' if code.ordinal else 'classes'})"
            for group, code in zip(together, found, strict=True)
            for each in group
        )
        raise errors.InputError(f"Expected sources that all have ratings or all have classes. Received: {held}")
    names: dict[str, str] = {}
    for group, code in zip(together, found, strict=True):
        # Words mean what they say; only numbers can mean two things.
        two = [
            label
            for each in group
            for label in each.counts
            if code.names.get(label) != names.get(label, code.names.get(label))
        ]
        if two:
            raise labels.AmbiguousError(
                f"{' and '.join(each.where for each in seen)}: expected labels that mean the same in all sources. "
                f"Received: {two[0]!r} = {names[two[0]]} in one and {code.names[two[0]]} in another. "
                "--label-code says which"
            )
        names = {**code.names, **names}
    return dataset.Code(
        names=names,
        ordinal=any(code.ordinal for code in found),
        kinds=kinds,
        note="; ".join(dict.fromkeys(code.note for code in found if code.note)) + _scales(seen, found),
    )


def within(code: dataset.Code, seen: Sequence[Seen], *, class_names: Sequence[str]) -> dataset.Code:
    """Read the labels of other data as a run's code says.

    Where the run was trained on words, numbers are read by what they are alone.

    Args:
        code: The run's own.
        seen: The labels of every source of the other data.
        class_names: The classes of the run.

    Raises:
        errors.InputError: Labels fit no class of the run, or fit two codes.
    """
    by_name = {labels.clean(name): name for name in class_names}
    names = {**labels.WORDS, **by_name, **code.names}
    numbered = any(_is_coded(label) for label in code.names)
    if not numbered and (numbers := [each for each in seen if all(map(_is_coded, each.counts))]):
        names |= {label: name for each in [_fitted(numbers, ())] for label, name in each.names.items()}
    for each in seen:
        _refuse_strangers(each, names, code, class_names)
    used = sorted({label for each in seen for label in each.counts if names.get(label, label) != label})
    note = f"labels read as the run's: {', '.join(f'{label} = {names[label]}' for label in used)}" if used else ""
    known = {label: name for label, name in names.items() if name in class_names}
    return dataclasses.replace(code, names=known, note=note)


def guessed(seen: Sequence[Seen], class_names: Sequence[str]) -> dataset.Code:
    """Read labels as a run's classes where the run, of an earlier version, records no code."""
    counts: collections.Counter[str] = collections.Counter()
    for each in seen:
        counts.update(each.counts)
    code = labels.first_fitting(counts, class_names)
    return dataclasses.replace(
        code,
        ordinal=all(map(labels.is_number, class_names)),
        kinds=tuple(each.kind for each in seen),
        note=f"{UNRECORDED}; {code.note}" if code.note else UNRECORDED,
    )


def stated_within(text: str, class_names: Sequence[str]) -> dataset.Code:
    """Return the code that ``--label-code`` states for data of a run with these classes.

    Raises:
        errors.InputError: It is no such text, or names another class.
    """
    code = labels.stated(text)
    strange = sorted(set(code.names.values()) - set(class_names))
    if strange:
        raise errors.InputError(
            f"--label-code: expected classes of the run ({', '.join(class_names)}). Received: {', '.join(strange)}"
        )
    return code


def _together(seen: Sequence[Seen]) -> list[list[Seen]]:
    """Join sources whose labels may be parts of one code: numbers in columns of one kind, and words."""
    groups = collections.defaultdict(list)
    for each in seen:
        coded = sum(count for label, count in each.counts.items() if _is_coded(label))
        groups[each.kind if 2 * coded > sum(each.counts.values()) else "words"].append(each)
    return list(groups.values())


def _read(group: Sequence[Seen]) -> dataset.Code:
    counts: collections.Counter[str] = collections.Counter()
    for each in group:
        counts.update(each.counts)
    try:
        code = labels.read(counts, kind=group[0].kind)
        _refuse_two_codes(group, code)
        return code
    except errors.InputError as error:
        labels_first = "; ".join(f"{label!r} first in {place}" for label, place in _examples(group))
        raise type(error)(
            f"{' and '.join(each.where for each in group)}: {error} ({labels_first}). --label-column names another "
            "column, --label-code says what labels mean"
        ) from None


def _refuse_two_codes(group: Sequence[Seen], code: dataset.Code) -> None:
    """Refuse sources that make one code together, where each alone would be of another, and none decides."""
    alone = []
    for each in group:
        with contextlib.suppress(errors.InputError):
            alone.append((each, labels.read(each.counts, kind=each.kind)))
    if (
        len(group) < 2
        or any((own.ordinal, own.names) == (code.ordinal, code.names) for _, own in alone)
        or code.ordinal
    ):
        return
    for each, own in alone:
        if any(own.names.get(label) != code.names.get(label) for label in each.counts):
            stated = ",".join(f"{label}={name}" for label, name in code.names.items() if labels.is_number(label))
            raise labels.AmbiguousError(
                f"expected sources whose labels are of one code. Received: {each.where} alone, where {own.note}, and "
                f"all together, where {code.note}. Say which: --label-code={stated}"
            )


def _refuse_strangers(each: Seen, names: Mapping[str, str], code: dataset.Code, class_names: Sequence[str]) -> None:
    classes = ", ".join(class_names)
    rated = each.kind == "stars" or (each.kind == "rating" and not {"0", "-1", "false"} & set(each.counts))
    if rated and not code.ordinal and each.kind not in code.kinds and all(map(_is_coded, each.counts)):
        raise errors.InputError(
            f"{each.where}: expected labels of the run's classes {classes}. Received: a column whose name says "
            f"ratings: {labels.summary(each.counts)}. Say what they mean, for instance "
            f"{_suggested(each.counts, class_names)}"
        )
    if not labels.is_nearly_whole(each.counts, names):
        own = ", ".join(f"{label} = {name}" for label, name in code.names.items() if label != name)
        strangers = {label: count for label, count in each.counts.items() if label not in names}
        shown = "; ".join(f"{label!r} first in {place}" for label, place in _examples([each]) if label in strangers)
        raise errors.InputError(
            f"{each.where}: expected labels of the run's classes {classes}{f', read as {own}' if own else ''}. "
            f"Received: {sum(strangers.values())} of {sum(each.counts.values())} rows with labels that fit none: "
            f"{labels.summary(strangers)} ({shown}). Say what the labels mean, for instance "
            f"{_suggested(each.counts, class_names)}"
        )


def _suggested(counts: Mapping[str, int], class_names: Sequence[str]) -> str:
    ranked = labels.order(set(counts))
    classes = class_names if len(ranked) == len(class_names) else [class_names[0], *[class_names[-1]] * len(ranked)]
    shown = zip(ranked, classes, strict=False)
    return "--label-code=" + ",".join(f"{label}={name}" for label, name in shown)


def _examples(group: Sequence[Seen]) -> list[tuple[str, str]]:
    return [(label, place) for each in group for label, place in each.first.items()][:_SHOWN]


def _scales(seen: Sequence[Seen], found: Sequence[dataset.Code]) -> str:
    """Note ratings of which some sources hold no more than five and others do."""
    if not any(code.ordinal for code in found):
        return ""
    highest = {
        each.where: max((float(label) for label in each.counts if labels.is_number(label)), default=0.0)
        for each in seen
    }
    if len({value > _SCALE for value in highest.values()}) < 2:
        return ""
    held = ", ".join(f"{where} up to {value:g}" for where, value in highest.items())
    return f"; ratings of all sources are read as one scale, though they reach different highest ones: {held}"


def _is_coded(label: str) -> bool:
    return labels.is_number(label) or label in ("true", "false")
