"""Which reviews must stay together in a split, and which part they go to.

The split unit joins exact duplicates, near duplicates, reviews of one film where films are known, and
otherwise blocks of neighbouring rows where neighbours are about one film. Parts that the publisher fixed are
kept.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from apps.sentiment.grouping import neighbours, words
from shared import errors, splits

UNIT_NAME = "group of near-duplicate, neighbouring or same-film texts"

# A row of the same text or film as a row of an official part to the left of its own is left out.
_PRECEDENCE = ("test", "validation", "train")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Groups:
    """What must stay together among n reviews.

    Attributes:
        unit: (n,) int64 split units, named by content.
        near: (n,) int64 groups of exact and near duplicates, left-out rows included.
        official: (n,) str official part, ``""`` where there is none.
        left_out: (n,) bool, rows that repeat a row of another official part, or are about one of its films.
        checks: What was found, for the certificate.
    """

    unit: NDArray[np.int64]
    near: NDArray[np.int64]
    official: NDArray[np.str_]
    left_out: NDArray[np.bool_]
    checks: dict[str, object]

    @property
    def notes(self) -> list[str]:
        """What a reader of the report should know."""
        rows = int(self.left_out.sum())
        return [f"{rows} rows are left out: they repeat texts or films of another official part"] if rows else []


def group(
    texts: Sequence[str],
    *,
    sources: NDArray[np.object_],
    films: NDArray[np.int64],
    official: NDArray[np.str_],
    content_hashes: NDArray[np.uint64],
    block_rows: int,
    near_duplicate_threshold: float,
) -> Groups:
    """Find all that must stay together.

    Args:
        texts: (n,) texts in file order.
        sources: (n,) source of each row; blocks do not span two.
        films: (n,) number of the film, -1 where unknown.
        official: (n,) official part, ``""`` where there is none.
        content_hashes: (n,) uint64.
        block_rows: Aimed number of neighbouring rows in a block, 0 for none.
        near_duplicate_threshold: Jaccard similarity of word pairs.
    """
    found = words.find_duplicates(texts, threshold=near_duplicate_threshold)
    alone = -1 - np.arange(len(texts), dtype=np.int64)
    film = np.where(films < 0, alone, films)
    repeats = _repeats_of_other_parts(found.near, official)
    left_out = repeats | _repeats_of_other_parts(film, official)
    runs = _runs(sources, official, unknown=films < 0)
    block, related = neighbours.find(texts, runs, block_rows=block_rows)
    unit = splits.merge_units(*(np.where(left_out, alone, together) for together in (found.near, block, film)))
    checks = {
        **_describe_duplicates(found, near_duplicate_threshold),
        "left_out_duplicates_across_official_parts": int(repeats.sum()),
        "left_out_films_across_official_parts": int((left_out & ~repeats).sum()),
        "films": int(np.unique(films[films >= 0]).size),
        "neighbouring_rows": [dataclasses.asdict(run) for run in related],
        "largest_unit_rows": int(np.unique(unit, return_counts=True)[1].max(initial=0)),
    }
    return Groups(
        unit=splits.name_units(unit, content_hashes),
        near=found.near,
        official=official,
        left_out=left_out,
        checks=checks,
    )


def assign(
    groups: Groups,
    labels: NDArray[np.int64],
    *,
    fractions: Sequence[float],
    seed: int,
    class_names: Sequence[str],
) -> NDArray[np.str_]:
    """Give every row its part: the official one where there is one, by ``splits.assign`` elsewhere.

    An official train part without an official validation part gives up units for validation, in the ratio
    that ``fractions`` say. Rows of other sources are shared out as if alone.
    """
    part = np.full(labels.size, splits.LEFT_OUT, dtype="<U10")
    official = np.where(groups.left_out, splits.LEFT_OUT, groups.official)
    held_out = set(np.unique(official)) & {"validation", "test"}
    bound = np.isin(groups.unit, groups.unit[official != ""]) & ~groups.left_out
    within = (fractions[0] / (fractions[0] + fractions[1]), fractions[1] / (fractions[0] + fractions[1]), 0.0)
    if "validation" in held_out:
        within = (1.0, 0.0, 0.0)
    for name in held_out:
        part[official == name] = name
    for rows, shares in (
        (np.flatnonzero(bound & ~np.isin(official, list(held_out))), within),
        (np.flatnonzero(~bound & ~groups.left_out), tuple(fractions)),
    ):
        if rows.size:
            part[rows] = splits.assign(
                groups.unit[rows], labels[rows], fractions=shares, seed=seed, class_names=class_names
            )
    return part


def settle_official(parts: NDArray[np.str_]) -> tuple[NDArray[np.str_], tuple[str, ...]]:
    """Decide which official parts count: those held out do, where anything is left to train on.

    A single held-out part is the test part, whatever its name: what is reported is then comparable with what
    others report on it, and validation is carved from train. Beside held-out parts without a train part, texts of no
    part are the train part: no text of a test part may train.
    """
    present = set(np.unique(parts).tolist())
    held_out = present & {"validation", "test"}
    if not held_out or ("train" not in present and len(held_out) == 1 and splits.LEFT_OUT not in present):
        note = f"all texts are of the official {' '.join(held_out)} part: as it is alone, it is read as any texts"
        return np.full_like(parts, splits.LEFT_OUT), (note,) if held_out else ()
    notes: tuple[str, ...] = ()
    if "train" not in present and splits.LEFT_OUT in present:
        parts = np.where(parts == splits.LEFT_OUT, "train", parts)
        notes = ("texts of no official part are the train part, since none is called so",)
    if held_out == {"validation"}:
        note = "the official dev part is held out as the test part; validation is carved from train"
        return np.where(parts == "validation", "test", parts), (*notes, note)
    if held_out == {"test"}:
        return parts, (*notes, "official train and test parts kept; validation is carved from train")
    kept = "official train, validation and test parts kept" if (parts == "train").any() else ""
    return parts, (*notes, *filter(None, [kept]))


def require_train(official: NDArray[np.str_]) -> None:
    """Refuse official parts of which none can be trained on.

    Raises:
        errors.InputError: Parts are held out, and all texts are of these.
    """
    if set(np.unique(official).tolist()) == {"test", "validation"}:
        raise errors.InputError(
            "Expected an official train part, or texts of no part, beside the official validation and test part, which "
            "are not trained on. Received: texts of these two only"
        )


def _repeats_of_other_parts(together: NDArray[np.int64], official: NDArray[np.str_]) -> NDArray[np.bool_]:
    """Mark rows that belong together with a row of an official part with precedence; test rows are never left out."""
    left_out = np.zeros(together.size, dtype=bool)
    for position, name in enumerate(_PRECEDENCE[:-1]):
        protected = together[(official == name) & ~left_out]
        left_out |= np.isin(together, protected) & ~np.isin(official, _PRECEDENCE[: position + 1])
    return left_out


def _runs(
    sources: NDArray[np.object_], official: NDArray[np.str_], *, unknown: NDArray[np.bool_]
) -> list[tuple[str, NDArray[np.int64]]]:
    """Return name and rows, in file order, of each source and official part, without rows of known films."""
    names = np.array([f"{source} {part}".strip() for source, part in zip(sources, official, strict=True)], dtype=object)
    return [(str(name), np.flatnonzero((names == name) & unknown)) for name in np.unique(names[unknown])]


def _describe_duplicates(found: words.Duplicates, threshold: float) -> dict[str, object]:
    exact, near = (np.unique(groups, return_counts=True)[1] for groups in (found.exact, found.near))
    return {
        "exact_duplicate_groups": int((exact > 1).sum()),
        "exact_duplicate_rows": int((exact - 1).sum()),
        "near_duplicate_pairs": len(found.pairs),
        "near_duplicate_threshold": threshold,
        "near_duplicate_similarity": "Jaccard of word pairs, every pair verified",
        "duplicate_groups": int((near > 1).sum()),
        "rows_in_duplicate_groups": int(near[near > 1].sum()),
    }
