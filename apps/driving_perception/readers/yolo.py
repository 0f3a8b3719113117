"""YOLO: ``labels/*.txt`` with class number and box in fractions, beside or mirrored to ``images``; names in a file.

Official parts are those that ``data.yaml`` names (folders, lists, lists of these), or lists beside it (``train.txt``,
``val.txt``, ``test.txt``), or folders of the parts' names. An image without a label file has no boxes where the format
says so: in a part, below ``images``, or in a folder of which other images have labels. Others are left out.
"""

import pathlib
from collections.abc import Iterable, Sequence

from apps.driving_perception.readers import entries, source_files, yolo_files
from shared import errors

_TEXT = ".txt"


def recognise(files: source_files.SourceFiles) -> bool:
    """Tell by a file of names and a label file."""
    file = _names_file(files)
    return file is not None and bool(_labels(files) or (files.is_file and yolo_files.read_description(file).parts))


def read(files: source_files.SourceFiles) -> entries.Source:
    """Read a folder of images and label files, or the YAML file that names them.

    Raises:
        errors.InputError: There is no file of class names, it cannot be read, or an image is in two parts.
    """
    file = _names_file(files)
    if file is None:
        raise errors.InputError(
            f"{files.path}: expected class names in one of {', '.join(yolo_files.NAMES)}. Received: none"
        )
    said = yolo_files.read_description(file)
    finder = _Finder(files, said)
    listed, notes, told = finder.listed()
    parts = source_files.settle(listed, where=str(file)) if listed else None
    pictures = list(dict.fromkeys([*files.pictures(), *(parts.of if parts else ())]))
    labels = {path: beside for path in pictures if (beside := _labels_of(path))}
    used = [path for path in pictures if (path in parts.of if parts else _belongs(path, files, labels))]
    lines = yolo_files.read_labels(
        {path: labels[path][0] for path in used if len(labels.get(path, [])) == 1},
        said.names,
        keypoint_numbers=said.keypoint_numbers,
    )
    listed_images = [_entry(path, files, labels.get(path, []), lines.things.get(path, ()), parts) for path in used]
    held = {label for each in labels.values() for label in each}
    strays = [
        entries.Entry(files.below(label), label, str(label), problem="no image of this name")
        for label in _labels(files)
        if label not in held
    ]
    bare = sum(path not in labels for path in used)
    named = source_files.counted(parts, where=file.name) if parts else ""
    apart = source_files.left_out(pictures, parts, where=file.name) if parts else ""
    empty = f"{bare:,} images have no label file: they count as images without boxes" if bare else ""
    return entries.Source(
        name=files.folder.resolve().name,
        entries=[*listed_images, *strays, *(parts.strays if parts else ())],
        vocabulary=tuple(said.names.values()),
        notes=[note for note in (named, apart, empty, *notes, *said.notes, *lines.notes) if note],
        told=frozenset((file, *told, *held, *(pictures if apart else ()))),
    )


def _names_file(files: source_files.SourceFiles) -> pathlib.Path | None:
    """Return the file of names; one part of a set that is given alone has it in the folder above."""
    found = yolo_files.find(files.folder, files)
    if found is None and not files.is_file and files.folder.resolve().name.lower() in entries.PARTS:
        above = files.folder.resolve().parent
        return next((above / name for name in yolo_files.NAMES if (above / name).is_file()), None)
    return found


def _labels(files: source_files.SourceFiles) -> list[pathlib.Path]:
    """Return what must be label files: texts below ``labels`` or in a part's folder, and those beside their image."""
    beside = {(path.parent, entries.stem(path)) for path in files.pictures()}
    found = []
    for path in files.files:
        if path.suffix.lower() == _TEXT and path.name not in yolo_files.NAMES:
            above = {name.lower() for name in path.relative_to(files.folder).parts[:-1]}
            inside = "labels" in above or (above & entries.PARTS.keys() and "images" not in above)
            if (inside and not path.name.lower().startswith("readme")) or (path.parent, path.stem) in beside:
                found.append(path)
    return found


def _labels_of(path: pathlib.Path) -> list[pathlib.Path]:
    """Return the label files of an image: the mirrored one and the one beside it."""
    name = f"{entries.stem(path)}{_TEXT}"
    places = [i for i, part in enumerate(path.parts[:-1]) if part == "images"]
    mirrored = [pathlib.Path(*path.parts[:i], "labels", *path.parts[i + 1 : -1], name) for i in places[-1:]]
    return [file for file in dict.fromkeys([*mirrored, path.parent / name]) if file.is_file()]


def _belongs(
    path: pathlib.Path, files: source_files.SourceFiles, labels: dict[pathlib.Path, list[pathlib.Path]]
) -> bool:
    """Tell whether an image is of the set: labelled, below ``images``, or beside images that are labelled."""
    above = path.relative_to(files.folder).parts[:-1]
    return path in labels or "images" in above or any(other.parent == path.parent for other in labels)


def _entry(
    path: pathlib.Path,
    files: source_files.SourceFiles,
    labels: Sequence[pathlib.Path],
    things: Sequence[entries.LabelledBox],
    parts: source_files.Parts | None,
) -> entries.Entry:
    part = parts.of[path] if parts else source_files.part_of_folders(path, inside=files.folder)
    problem = entries.twice(labels, "label files for one image")
    file = labels[0] if labels and not problem else path
    return entries.Entry(files.below(path), path, str(file), () if problem else things, part=part, problem=problem)


class _Finder:
    """The images that a description's parts mean."""

    def __init__(self, files: source_files.SourceFiles, said: yolo_files.Description) -> None:
        self._files, self._said = files, said
        self._known = frozenset(files.files)
        self._ends: dict[str, list[pathlib.Path]] = {}
        for path in files.pictures():
            self._ends.setdefault(path.name, []).append(path)

    def listed(self) -> tuple[list[source_files.Listed], list[str], list[pathlib.Path]]:
        """Return the images of all parts, notes, and the lists that were read.

        A part of a set whose file of names lies above it is read without the other parts.
        """
        folder, file = self._files.folder, self._said.file
        if file.parent not in (folder, folder / "labels") and not self._files.is_file:
            return [], [], []
        if not self._said.parts:
            usual = [path for path in self._files.direct(folder, _TEXT) if path.stem.lower() in entries.PARTS]
            return source_files.by_list(usual, self.image, folder=folder), [], usual
        found: list[source_files.Listed] = []
        notes: list[str] = []
        read: list[pathlib.Path] = []
        for part, values in self._said.parts.items():
            for value in values:
                target = self.target(value)
                if target is None and part != "test":
                    raise errors.InputError(
                        f"{file}: expected a folder or list of images that exists for {part}. Received: {value!r}"
                    )
                if target is None:
                    notes.append(f"{file.name} names {value!r} for {part}, which is not there: no image is in it")
                elif target.is_dir():
                    where = f"{file.name}, {value}"
                    found += [source_files.Listed(part, where, path.name, path) for path in self._inside(target)]
                elif target.suffix.lower() == _TEXT:
                    read.append(target)
                    found += self._lines(target, part)
                else:
                    found.append(source_files.Listed(part, file.name, value, target))
        return found, notes, read

    def _lines(self, file: pathlib.Path, part: str) -> list[source_files.Listed]:
        lines = enumerate(source_files.text(file).splitlines(), start=1)
        return [
            source_files.Listed(part, f"{file.name}, line {number}", line.strip(), self.image(line.strip(), file))
            for number, line in lines
            if line.strip()
        ]

    def _inside(self, folder: pathlib.Path) -> list[pathlib.Path]:
        return self._files.pictures(folder) or self._files.around(folder).pictures()

    def target(self, value: str) -> pathlib.Path | None:
        """Return the folder or list that a part means: below the root that is said, the file or the folder."""
        above, folder = self._said.file.parent, self._files.folder
        roots = [above / self._said.root, folder / self._said.root, above, folder]
        # Exports of Roboflow begin with ../ and mean their own folder.
        for spelled in (value, value.removeprefix("../").removeprefix("./")):
            for root in roots:
                path = root / spelled
                if path.exists():
                    return source_files.plain(path)
        return self._tail(value)

    def _tail(self, value: str) -> pathlib.Path | None:
        """Return what a path of another machine ends in here: the longest end that exists."""
        parts = pathlib.PurePosixPath(value.replace("\\", "/")).parts
        # "images" alone is in every set: what stands before it says which images.
        ends = [parts[i:] for i in range(1, len(parts)) if len(parts) - i > 1 or source_files.part_of_name(parts[i])]
        candidates = (self._files.folder.joinpath(*end) for end in ends)
        return next((path for path in candidates if path.exists()), None)

    def image(self, value: str, file: pathlib.Path) -> pathlib.Path | None:
        """Return the image that a line of a list means: beside the list, below a root, or by its longest end."""
        above = self._said.file.parent
        for root in (file.parent, above / self._said.root, self._files.folder, above):
            path = source_files.plain(root / value)
            if path in self._known or path.is_file():
                return path
        ends = pathlib.PurePosixPath(value.replace("\\", "/")).parts
        alike = [(_common(path.parts, ends), path) for path in self._ends.get(ends[-1] if ends else "", [])]
        best = max((count for count, _ in alike), default=0)
        found = [path for count, path in alike if count == best]
        return found[0] if len(found) == 1 else None


def _common(path: Sequence[str], ends: Sequence[str]) -> int:
    """Count the last parts that two paths have in common."""
    pairs: Iterable[tuple[str, str]] = zip(reversed(path), reversed(ends), strict=False)
    count = 0
    for one, other in pairs:
        if one != other:
            break
        count += 1
    return count
