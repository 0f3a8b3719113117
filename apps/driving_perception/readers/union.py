"""Checked images of several sources as one collection."""

import dataclasses
import hashlib
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from apps.driving_perception import boxes as box
from apps.driving_perception import classes, frames
from apps.driving_perception.readers import checking, entries
from shared import files


def class_names(
    sources: Sequence[entries.Source],
    checked: Sequence[Sequence[checking.Checked]],
    meanings: Mapping[str, classes.Meaning],
) -> tuple[str, ...]:
    """Return the classes that some source labels and that some box has, in the usual order."""
    labelled = [label for source in sources for label in vocabulary(source, meanings)]
    present = {
        label
        for images in checked
        for image in images
        for label, kind in zip(image.labels, image.kinds, strict=True)
        if label and kind == box.OBJECT
    }
    return classes.ordered(label for label in labelled if label in present)


def vocabulary(source: entries.Source, meanings: Mapping[str, classes.Meaning]) -> list[str]:
    """Return our names of the classes that a source labels."""
    found = (meanings.get(classes.plain(name)) for name in source.vocabulary)
    return [meaning.label for meaning in found if meaning and meaning.label and meaning.kind == box.OBJECT]


def assemble(
    sources: Sequence[entries.Source],
    checked: Sequence[Sequence[checking.Checked]],
    names: tuple[str, ...],
    meanings: Mapping[str, classes.Meaning],
    *,
    bad: int,
    notes: Sequence[str],
) -> frames.Frames:
    """Join the usable images of all sources.

    Args:
        sources: What the readers gave.
        checked: The usable images of each.
        names: The classes.
        meanings: Of the sources' names.
        bad: Number of boxes and images set aside.
        notes: What readers and checks said.
    """
    images = [image for each in checked for image in each]
    number = np.repeat(np.arange(len(sources)), [len(each) for each in checked])
    boxes, dropped = _boxes(images, names)
    hashes, titles = np.array([image.digest for image in images], np.uint64), _titles(sources)
    copies = len(hashes) - len(np.unique(hashes))
    known = [
        _known(image, sources[source], names, meanings) for image, source in zip(images, number.tolist(), strict=True)
    ]
    found = frames.Frames(
        images=frames.Images(
            names=_unique(images, number, titles),
            items=_objects([image.entry.item for image in images]),
            sizes=np.array([image.size for image in images], np.int64).reshape(-1, 2),
            content_hashes=hashes,
        ),
        boxes=boxes,
        class_names=names,
        known_classes=np.array(known, bool).reshape(len(images), len(names)),
        sequences=_objects(
            [
                files.printable(_sequence(image, titles[source]))
                for image, source in zip(images, number.tolist(), strict=True)
            ]
        ),
        numbers=np.array([image.entry.number for image in images], np.int64),
        seconds=np.array([image.entry.seconds for image in images], np.float64),
        time_of_day=_objects([image.entry.time_of_day for image in images]),
        weather=_objects([image.entry.weather for image in images]),
        fixed_parts=np.array([image.entry.part for image in images], dtype="<U10"),
        sources=number.astype(np.int64),
        source_names=tuple(map(files.printable, titles)),
        sha256="",
        notes=tuple(_notes(notes, bad=bad, dropped=dropped, copies=copies)),
        quarantined=bad,
        synthetic=any(source.synthetic for source in sources),
        columns=_columns(sources, titles),
    )
    return dataclasses.replace(found, sha256=fingerprint(found))


def fingerprint(collection: frames.Frames) -> str:
    """Return the SHA-256 of all that training and the split read of images and labels, whatever their order."""
    boxes, hashes = collection.boxes, collection.images.content_hashes
    rows = np.concatenate([boxes.xyxy.round(2).astype(np.float64), np.stack([boxes.label, boxes.kind], axis=1)], axis=1)
    lines = sorted(f"{hashes[image]} {row.tolist()}" for image, row in zip(boxes.image, rows, strict=True))
    said = sorted(filter(None, (_said(collection, row) for row in range(len(collection)))))
    text = "\n".join([*sorted(map(str, hashes.tolist())), *lines, *said, *collection.class_names])
    return hashlib.sha256(text.encode("utf-8", errors="backslashreplace")).hexdigest()


def _said(collection: frames.Frames, row: int) -> str:
    """Return what is said of an image besides its boxes, as one line; "" where nothing is."""
    unknown = [collection.class_names[i] for i in np.flatnonzero(~collection.known_classes[row])]
    said = {
        "part": str(collection.fixed_parts[row]),
        "sequence": str(collection.sequences[row]),
        "number": "" if collection.numbers[row] == box.UNKNOWN else str(collection.numbers[row]),
        "not labelled for": ", ".join(unknown),
    }
    given = "; ".join(f"{name} {value}" for name, value in said.items() if value)
    return f"{collection.images.content_hashes[row]}: {given}" if given else ""


def _boxes(images: Sequence[checking.Checked], names: tuple[str, ...]) -> tuple[box.Boxes, int]:
    """Return all boxes, and how many were of a class that is not to be found."""
    rows = [
        (number, thing, label, kind)
        for number, image in enumerate(images)
        for thing, label, kind in zip(image.things, image.labels, image.kinds, strict=True)
    ]
    kept = [row for row in rows if row[2] is None or row[2] in names]
    things = [thing for _, thing, _, _ in kept]
    boxes = box.Boxes.build(
        image=[number for number, *_ in kept],
        xyxy=[thing.xyxy for thing in things],
        label=[box.ANY_CLASS if label is None else names.index(label) for _, _, label, _ in kept],
        kind=[kind for *_, kind in kept],
        occlusion=[thing.occlusion for thing in things],
        truncation=[thing.truncation for thing in things],
        distance=[thing.distance for thing in things],
        track=[thing.track for thing in things],
    )
    return boxes, len(rows) - len(kept)


def _known(
    image: checking.Checked, source: entries.Source, names: tuple[str, ...], meanings: Mapping[str, classes.Meaning]
) -> list[bool]:
    given = image.entry.known
    labelled = set(vocabulary(source, meanings) if given is None else given)
    return [name in labelled for name in names]


def _titles(sources: Sequence[entries.Source]) -> list[str]:
    """Return the sources' names, numbered where two have the same."""
    names = [source.name for source in sources]
    titles = [f"{name}-{i + 1}" if names.count(name) > 1 else name for i, name in enumerate(names)]
    # A folder may be called road-2 beside two that are called road.
    return titles if len(set(titles)) == len(titles) else [f"{name}-{i + 1}" for i, name in enumerate(titles)]


def _columns(sources: Sequence[entries.Source], titles: Sequence[str]) -> dict[str, str]:
    """Return what the columns of tables are taken for; with several sources, with the source's name before."""
    return {
        (f"{title}: {column}" if len(sources) > 1 else column): role
        for source, title in zip(sources, titles, strict=True)
        for column, role in source.columns.items()
    }


def _sequence(image: checking.Checked, title: str) -> str:
    """Return the sequence's name, with its source's, so that two sources' do not meet."""
    return f"{title}/{image.entry.sequence}" if image.entry.sequence else ""


def _unique(
    images: Sequence[checking.Checked], number: NDArray[np.int64], titles: Sequence[str]
) -> NDArray[np.object_]:
    """Return the images' names; with several sources, with the source's name before."""
    names = [image.entry.name for image in images]
    if len(titles) > 1:
        names = [
            (pathlib.PurePosixPath(titles[source]) / name).as_posix()
            for name, source in zip(names, number, strict=True)
        ]
    return _objects(list(map(files.printable, names)))


def _notes(given: Sequence[str], *, bad: int, dropped: int, copies: int) -> list[str]:
    notes = [*given]
    if copies:
        notes.append(f"{copies:,} images hold the same content as another one, under a name of their own")
    if dropped:
        notes.append(f"{dropped:,} boxes are of classes that are not to be found here: they do not count")
    if bad:
        notes.append(f"{bad:,} boxes or images could not be used and were set aside")
    return notes


def _objects(values: Sequence[object]) -> NDArray[np.object_]:
    found = np.empty(len(values), object)
    found[:] = values
    return found


def renamed(collection: frames.Frames, names: tuple[str, ...]) -> frames.Frames:
    """Return a collection with a trained model's classes: boxes of others do not count, and are noted.

    >>> from apps.driving_perception import simulator
    >>> renamed(simulator.render(sequences=1, frames=1, seed=0), ("person", "car")).class_names
    ('person', 'car')
    """
    place = {name: number for number, name in enumerate(names)}
    new = np.array([place.get(name, -2) for name in collection.class_names], np.int64)
    label = np.where(collection.boxes.label < 0, box.ANY_CLASS, new[collection.boxes.label])
    kept = label != -2
    boxes = dataclasses.replace(collection.boxes, label=label).take(kept)
    known = np.zeros((len(collection), len(names)), bool)
    for old, number in enumerate(new):
        if number >= 0:
            known[:, number] = collection.known_classes[:, old]
    gone = int((~kept).sum())
    note = [f"{gone:,} boxes are of classes that the model does not know: they do not count"] if gone else []
    return dataclasses.replace(
        collection, boxes=boxes, class_names=names, known_classes=known, notes=(*collection.notes, *note)
    )
