"""Which part every image goes to: whole patients with their duplicates; official parts and the user's lists kept."""

import csv
import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared import errors, splits
from shared.splits import parts

UNIT_NAME = "patient with near-duplicate images"
METHOD = "whole patients with their near duplicates, stratified by class, shuffled by a keyed hash of their content"
# A row of an official part whose patient or picture is also in a part to its left is left out.
_PRECEDENCE = ("test", "validation", "train")
# An official validation part below this share of train (Kermany: 16 of 5,232) chooses nothing reliably.
_SMALLEST_VALIDATION = 0.02
# A finding that fewer patients have is not what the parts are balanced by.
_SMALLEST_STRATUM = 10


@dataclasses.dataclass(frozen=True, kw_only=True)
class Groups:
    """What must stay together among n images.

    Attributes:
        unit: (n,) int64 split units, named by content.
        official: (n,) str official part, ``""`` where there is none.
        left_out: (n,) bool: the patient, or the same picture, is also in another official part.
        notes: What a reader of the report should know.
    """

    unit: NDArray[np.int64]
    official: NDArray[np.str_]
    left_out: NDArray[np.bool_]
    notes: tuple[str, ...]


def group(
    patients: NDArray[np.object_], near: NDArray[Any], official: NDArray[np.str_], hashes: NDArray[np.uint64]
) -> Groups:
    """Join patients with the duplicates of their images, and find what official parts share.

    Args:
        patients: (n,) ids.
        near: (n,) groups of duplicates, any values.
        official: (n,) official part, ``""`` where there is none.
        hashes: (n,) uint64 content hashes, that units are named by.
    """
    official, notes = settle_official(official)
    _, people = np.unique(patients.astype(str), return_inverse=True)
    left_out = _in_a_part_before(people, official) | _in_a_part_before(near, official)
    alone = -1 - np.arange(len(people))
    unit = splits.merge_units(np.where(left_out, alone, people), np.where(left_out, alone, near))
    if left_out.any():
        rows = int(left_out.sum())
        notes = (*notes, f"{rows} images are left out: their patient, or the same picture, is in another official part")
    return Groups(unit=splits.name_units(unit, hashes), official=official, left_out=left_out, notes=notes)


def settle_official(parts: NDArray[np.str_]) -> tuple[NDArray[np.str_], tuple[str, ...]]:
    """Decide which official parts count: all do where something is held out; train alone does not.

    A single held-out part is the test part, whatever its name. A validation part of a handful is added to train.
    """
    counts = {name: int((parts == name).sum()) for name in splits.PARTS}
    if not sum(counts.values()):
        return parts, ()
    if counts["train"] == sum(counts.values()):
        note = "the source names one official part only, train: validation and test are drawn at random"
        return np.full_like(parts, splits.LEFT_OUT), (note,)
    if not counts["train"]:
        held = " and ".join(name for name in splits.PARTS if counts[name])
        return parts, (f"the source names images of {held} and none of train: those never train, the others do",)
    if not counts["test"]:
        note = "the official validation part is held out as the test part; validation is carved from train"
        return np.where(parts == "validation", "test", parts), (note,)
    if not counts["validation"]:
        return parts, ("official train and test parts kept; validation is carved from train",)
    if counts["validation"] < _SMALLEST_VALIDATION * counts["train"]:
        few = counts["validation"]
        note = f"the official validation part has {few} images only: it joins train, and validation is carved from both"
        return np.where(parts == "validation", "train", parts), (note,)
    return parts, ("official train, validation and test parts kept",)


def assign(
    groups: Groups,
    strata: NDArray[np.int64],
    *,
    fractions: Sequence[float],
    seed: int,
    class_names: Sequence[str],
) -> NDArray[np.str_]:
    """Give every image its part: the official one where there is one, by ``splits.assign`` elsewhere.

    An official train part without an official validation part gives up units for validation, in the ratio that
    ``fractions`` say. Images of other sources are shared out as if alone.
    """
    part = np.full(strata.size, splits.LEFT_OUT, dtype="<U10")
    official = np.where(groups.left_out, splits.LEFT_OUT, groups.official)
    held_out = [name for name in ("validation", "test") if (official == name).any()]
    kept = np.isin(official, held_out)
    part[kept] = official[kept]
    bound = np.isin(groups.unit, groups.unit[official != ""]) & ~groups.left_out
    within = (fractions[0] / (fractions[0] + fractions[1]), fractions[1] / (fractions[0] + fractions[1]), 0.0)
    if "validation" in held_out:
        within = (1.0, 0.0, 0.0)
    # Beside an official test part none is drawn from other images, where these are all that there is to train on.
    alone = tuple(fractions) if (official == "train").any() or not kept.any() else within
    for rows, shares in ((bound & ~kept, within), (~bound & ~groups.left_out, alone)):
        if rows.any():
            part[rows] = splits.assign(
                groups.unit[rows], strata[rows], fractions=shares, seed=seed, class_names=class_names
            )
    return part


def read_file(path: pathlib.Path, *, names: NDArray[np.object_], patients: NDArray[np.object_]) -> NDArray[np.str_]:
    """Read the user's parts: a csv of ``id`` (image or patient) or ``row``, and ``part``.

    Raises:
        errors.InputError: The file cannot be read, or names what is not in the data.
    """
    people = np.unique(patients.astype(str))
    listed = _listed(path)
    if listed and set(listed) <= set(people.tolist()) and not set(listed) <= set(names.tolist()):
        by_patient = parts.read_csv(path, rows=len(people), identities=people.tolist())
        return by_patient[np.searchsorted(people, patients.astype(str))]
    return parts.read_csv(path, rows=len(names), identities=names.tolist() if listed else None)


def refuse_crossing(part: NDArray[np.str_], group: NDArray[Any], names: NDArray[np.object_], *, what: str) -> None:
    """Raise ``errors.GateError`` when a group has rows in two parts; the first few are named by ``names``."""
    found: dict[Any, dict[str, str]] = {}
    for key, name, where in zip(group.tolist(), names.tolist(), part.tolist(), strict=True):
        if where != splits.LEFT_OUT:
            found.setdefault(key, {}).setdefault(where, str(name))
    crossing = [places for places in found.values() if len(places) > 1]
    if crossing:
        shown = "; ".join(" and ".join(f"{name} in {where}" for where, name in some.items()) for some in crossing[:5])
        raise errors.GateError(f"{what}: expected in one part only. Received: {len(crossing)} in several: {shown}")


def require_train(
    part: NDArray[np.str_],
    labels: NDArray[np.float32],
    class_names: Sequence[str],
    *,
    where: str,
    left_out: NDArray[np.bool_],
) -> None:
    """Raise ``errors.InputError`` where there is nothing to train on, or no image of a class that is in another part.

    Args:
        part: (n,) part of each image.
        labels: (n, k) one-hot, where ``class_names`` are given.
        class_names: k classes; none where an image may have several findings.
        where: What is to blame, for the message.
        left_out: (n,) bool: images that may not be used because of another official part.
    """
    train = part == "train"
    used = part != splits.LEFT_OUT
    held = [name for place, name in enumerate(class_names) if (labels[used, place] == 1).any()]
    missing = [name for name in held if not (labels[train, class_names.index(name)] == 1).any()]
    if train.any() and not missing:
        return
    why = f"; {int(left_out.sum())} images share a patient or a picture with another official part"
    raise errors.InputError(
        f"{where}: expected images{' of every class' if train.any() else ''} in train. "
        f"Received: none{' of ' + ', '.join(missing) if train.any() else ''}{why if left_out.any() else ''}"
    )


def strata(labels: NDArray[np.float32], units: NDArray[np.int64], *, task: str) -> NDArray[np.int64]:
    """Return (n,) what the parts are balanced by: the class, or the rarest finding that the image has.

    Findings that fewer than ten units have do not count; ``k`` stands for none.
    """
    if task == "single_label":
        return np.asarray(labels.argmax(axis=1), dtype=np.int64)
    found = np.full(len(labels), labels.shape[1], dtype=np.int64)
    holders = [np.unique(units[labels[:, place] == 1]).size for place in range(labels.shape[1])]
    # The most frequent first: rarer ones overwrite it.
    for place in np.argsort(holders)[::-1]:
        if holders[place] >= _SMALLEST_STRATUM:
            found[labels[:, place] == 1] = place
    return found


def describe_near(near: NDArray[np.int64], split: splits.Split, *, distance: int) -> dict[str, object]:
    """Count the groups of near duplicates, and the parts they are in beyond one each."""
    sizes = np.unique(near, return_counts=True)[1]
    used = split.part != splits.LEFT_OUT
    pairs = set(zip(near[used].tolist(), split.part[used].tolist(), strict=True))
    return {
        "near_duplicate_distance_bits": distance,
        "duplicate_groups": int((sizes > 1).sum()),
        "rows_in_duplicate_groups": int(sizes[sizes > 1].sum()),
        "duplicate_groups_in_two_parts": len(pairs) - len({number for number, _ in pairs}),
    }


def count_findings(
    certificate: dict[str, Any], split: splits.Split, labels: NDArray[np.float32], names: Sequence[str]
) -> None:
    """Put the number of images with each finding into the certificate, where an image may have several."""
    for part, counts in certificate["counts"].items():
        positives = (labels[split.rows(part)] == 1).sum(axis=0)
        counts["classes"] = {name: int(count) for name, count in zip(names, positives, strict=True)}


def _in_a_part_before(group: NDArray[Any], official: NDArray[np.str_]) -> NDArray[np.bool_]:
    """Mark rows whose group also has rows of an official part with precedence; test rows are never marked."""
    marked = np.zeros(len(group), dtype=bool)
    for position, name in enumerate(_PRECEDENCE[:-1]):
        protected = group[(official == name) & ~marked]
        marked |= np.isin(group, protected) & ~np.isin(official, _PRECEDENCE[: position + 1])
    return marked


def _listed(path: pathlib.Path) -> list[str]:
    """Return the ids of a split file; nothing where it numbers rows, or cannot be read: that is reported later."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream)
            if "row" in (reader.fieldnames or []):
                return []
            return [record.get("id") or "" for record in reader]
    except (OSError, UnicodeDecodeError, csv.Error):
        return []
