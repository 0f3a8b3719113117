"""Sources of reviews -> checked texts and labels -> split with certificate.

The rest of the app sees ``Reviews`` only. How files are read is in ``sources``, ``formats`` and
``tables``, which rows are usable in ``checking``, what labels mean in ``labels``, and what must stay together in
``grouping``.
"""

import hashlib
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apps.sentiment import config, dataset, grouping, readers
from apps.sentiment.grouping import words
from apps.sentiment.readers import checking, joining, sources
from shared import errors, files, splits

_METHOD = "whole units, stratified by class, shuffled by a keyed hash of their content"


def locate(settings: config.Config) -> None:
    """Raise ``errors.InputError`` where a source is not there."""
    for spec in settings.data:
        sources.locate(spec)


def load(
    settings: config.Config,
    *,
    class_names: Sequence[str] | None = None,
    code: dataset.Code | None = None,
    labelled: bool = True,
    quarantine: pathlib.Path | None = None,
) -> dataset.Reviews:
    """Read and check all rows of the sources, or ``maximum_rows`` of them, drawn at random.

    Args:
        settings: Which sources, and how to read them.
        class_names: Classes of a trained model: labels must mean these.
        code: What labels mean in its run; without ``class_names`` for the run's own data.
        labelled: Whether labels are needed; without, all labels are ``UNLABELLED``.
        quarantine: Where bad rows are written with ``skip_bad``, as csv of file, row, reason and text.

    Raises:
        errors.InputError: Nothing can be read, a row cannot be used, or there are fewer than two classes.
    """
    specs, skip_bad = settings.data, settings.skip_bad
    if not specs or len(set(specs)) < len(specs):
        raise errors.InputError(f"Expected one or more sources, each once. Received: {specs!r}")
    options = readers.Options(
        text_column=settings.text_column,
        label_column=settings.label_column,
        labelled=labelled,
        follow_links=settings.follow_links,
    )
    batches = checking.read_all(specs, options=options, data_format=settings.data_format)
    if labelled:
        batches, code = joining.understood(batches, stated=settings.label_code, class_names=class_names, code=code)
    else:
        code = dataset.Code(names={})
    contradictory = joining.conflicts(batches) if labelled else {}
    bad = [fault for batch in batches for fault in batch.bad]
    if skip_bad:
        bad += contradictory.values()
        batches = [joining.without(batch, contradictory) for batch in batches]
    checking.settle(bad, kept=sum(len(batch.items) for batch in batches), skip_bad=skip_bad, path=quarantine)
    names = tuple(class_names) if class_names is not None else joining.class_names(batches) if labelled else ()
    notes = [code.note] if code.note else []
    notes += joining.repeats(batches)
    if contradictory and not skip_bad:
        notes.append(joining.contradictions(contradictory, batches))
    if bad:
        notes.append(f"{len(bad)} rows could not be used and were set aside{f': {quarantine}' if quarantine else ''}")
    return _drawn(_assemble(batches, names, code, notes, quarantined=len(bad)), settings)


def _drawn(reviews: dataset.Reviews, settings: config.Config) -> dataset.Reviews:
    """Return ``maximum_rows`` of the reviews, in file order; all where there are no more."""
    count = len(reviews.texts)
    if settings.maximum_rows is None or count <= settings.maximum_rows:
        return reviews
    chosen = np.random.default_rng(settings.seed).choice(count, settings.maximum_rows, replace=False)
    return dataset.take(reviews, np.sort(chosen))


def split(
    reviews: dataset.Reviews, settings: config.Config, *, block_rows: int = 50
) -> tuple[splits.Split, dict[str, Any]]:
    """Split reviews so that no near duplicate and no film crosses parts, and certify it.

    Args:
        reviews: Labelled reviews.
        settings: Shares of the parts, which official parts override, seed, and what counts as a near duplicate.
        block_rows: Aimed size of a block of neighbouring rows, 0 for none.

    Returns:
        The split, and the certificate for ``split.json``.

    Raises:
        errors.InputError: There are too few reviews of a class.
        errors.GateError: The split failed its own check.
    """
    if (reviews.labels == dataset.UNLABELLED).any():
        raise errors.InputError("Expected labelled reviews to split. Received: reviews without labels")
    grouping.require_train(reviews.fixed_parts)
    hashes = content_hashes(reviews)
    groups = group(reviews, block_rows=block_rows, near_duplicate_threshold=settings.near_duplicate_threshold)
    fractions, seed = settings.fractions, settings.seed
    part = grouping.assign(groups, reviews.labels, fractions=fractions, seed=seed, class_names=reviews.class_names)
    splits.refuse_crossing(part, groups.near, what="group of duplicate texts")
    made = splits.Split(part=part, unit=groups.unit, unit_name=grouping.UNIT_NAME, method=_METHOD, seed=seed)
    certificate = splits.certificate(
        made,
        labels=reviews.labels,
        content_hashes=hashes,
        class_names=reviews.class_names,
        checks={
            "data_sha256": reviews.sha256,
            "notes": [*reviews.notes, *groups.notes],
            **groups.checks,
            "duplicate_groups_in_two_parts": 0,
        },
    )
    return made, certificate


def group(reviews: dataset.Reviews, *, block_rows: int = 50, near_duplicate_threshold: float = 0.8) -> grouping.Groups:
    """Find what must stay together in a split, and what the bootstrap resamples as one."""
    return grouping.group(
        reviews.texts.tolist(),
        sources=reviews.sources,
        films=reviews.films,
        official=reviews.fixed_parts,
        content_hashes=content_hashes(reviews),
        block_rows=block_rows,
        near_duplicate_threshold=near_duplicate_threshold,
    )


def content_hashes(reviews: dataset.Reviews) -> NDArray[np.uint64]:
    """Return (n,) the hash of each text's content, as certificates use it."""
    return words.content_hashes(reviews.texts.tolist())


def _assemble(
    batches: Sequence[checking.Batch],
    class_names: tuple[str, ...],
    code: dataset.Code,
    notes: Sequence[str],
    *,
    quarantined: int,
) -> dataset.Reviews:
    items = [item for batch in batches for item in batch.items]
    number = {name: index for index, name in enumerate(class_names)}
    official, official_notes = grouping.settle_official(np.array([item.part for item in items], dtype="<U10"))
    digests = [batch.sha256 for batch in batches]
    return dataset.Reviews(
        texts=_objects([item.row.text for item in items]),
        labels=np.array([number.get(item.row.label or "", dataset.UNLABELLED) for item in items], dtype=np.int64),
        sources=_objects([files.printable(item.row.source or batch.name) for batch in batches for item in batch.items]),
        files=_objects([files.printable(item.file) for item in items]),
        rows=np.array([item.row.number for item in items], dtype=np.int64),
        films=_number_films([item.film for item in items]),
        fixed_parts=official,
        class_names=class_names,
        ordinal=code.ordinal,
        code=code,
        columns=joining.roles(batches),
        name=files.printable("+".join(batch.name for batch in batches)),
        sha256=digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest(),
        notes=(*(note for batch in batches for note in batch.notes), *official_notes, *notes),
        quarantined=quarantined,
    )


def _objects(values: Sequence[object]) -> NDArray[np.object_]:
    """Return (n,) object; np.array would make strings as wide as the longest text, and cut NULs off."""
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


def _number_films(films: Sequence[str]) -> NDArray[np.int64]:
    numbers = {film: index for index, film in enumerate(sorted({film for film in films if film}))}
    return np.array([numbers.get(film, -1) for film in films], dtype=np.int64)
