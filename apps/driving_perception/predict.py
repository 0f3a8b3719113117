"""Look at images, folders and videos in bounded memory: write boxes, decisions, tracks, and annotated pictures."""

import collections
import dataclasses
import functools
import itertools
import json
import pathlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd
import PIL.Image

from apps.driving_perception import drawing, frames, lane, prediction_tables
from apps.driving_perception import run as loaded_run
from apps.driving_perception.readers import image_files
from apps.driving_perception.tracking import stream, tracker, video
from shared import cli, errors, files, parser, predicting, printing, resuming, shards
from shared.bundle import engines
from shared.sources import kept, tables

Answer: TypeAlias = Callable[[Sequence[stream.Item]], dict[str, npt.NDArray[Any]]]
CHUNK_ROWS = 16
_ROWS_READ = 256


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(parser.PredictOptions):
    """What ``predict`` is asked for.

    Attributes:
        frames_per_second: Rate of the clips that folders of images are; None: each image for itself.
        annotated: Folder for pictures and videos with their boxes.
        coco: File for the boxes as COCO results.
        boxes: File for a table with a row for each box.
    """

    frames_per_second: float | None = None
    annotated: pathlib.Path | None = None
    coco: pathlib.Path | None = None
    boxes: pathlib.Path | None = None


def predict(options: Options) -> cli.Result:
    """Look at every picture of the inputs, with a run or with a bundle.

    Raises:
        errors.InputError: An input cannot be read, the output exists, a shard is to write more than its output, or
            columns are to be kept, which pictures do not have.
    """
    if options.keep_columns:
        kept.in_all({}, where=str(options.input[0]))
    if options.shard:
        _refuse_beside(options, ("annotated", "coco", "boxes"), "--shard")
    found = stream.find(
        options.input, follow_links=options.settings.follow_links, frames_per_second=options.frames_per_second
    )
    _refuse_output_over_input(options, found.files)
    answer, class_names, region, identity = _open(options)
    chunk_rows = min(options.chunk_rows, CHUNK_ROWS)
    turned: collections.Counter[bool] = collections.Counter()

    def look(chunk: pd.DataFrame) -> pd.DataFrame:
        turned.update(_is_turned(item) for item in chunk["image"])
        return score(chunk, answer, class_names)

    started = time.monotonic()
    how: dict[str, Any] = {"chunk_rows": chunk_rows, "frames_per_second": options.frames_per_second}
    written = predicting.score_in_chunks(
        options,
        (_with_items(*chunk) for chunk in stream.iterate(found.files, **how)),
        look,
        what="images looked at",
        plan={"inputs": resuming.inputs(found.files), **how, **identity},
        finish=tracker.Follower(class_names, region).follow,
        told=lambda: {"class_names": class_names, "region": dataclasses.asdict(region)},
    )
    seconds = time.monotonic() - started
    written["images_per_second"] = round((written["rows"] - written["resumed_rows"]) / max(seconds, 1e-9), 1)
    if turned[True]:
        found.notes.append(f"{turned[True]:,} images are turned by Exif: they were looked at as they are stored")
    return written | _more(options, found.files, class_names, region) | {"notes": found.notes}


def _refuse_beside(options: Options, names: Sequence[str], flag: str) -> None:
    for name in names:
        if getattr(options, name) is not None:
            raise errors.InputError(f"--{name}: expected without {flag}. Received: both")


def merge(options: Options, parts: Sequence[shards.Part]) -> tuple[Callable[..., Any], Callable[[], dict[str, str]]]:
    """Return how tracks are found over the rows of all shards, and how COCO results and boxes are written.

    Raises:
        errors.InputError: Pictures are to be written, which are not read again, or an output is a shard's.
    """
    _refuse_beside(options, ("annotated",), "--merge")
    _refuse_output_over_input(options, options.input)
    told = parts[0].manifest["told"]
    names, region = tuple(told["class_names"]), lane.Region(**told["region"])
    return tracker.Follower(names, region).follow, lambda: _more(options, (), names, region)


def _refuse_output_over_input(options: Options, found: Sequence[pathlib.Path]) -> None:
    """Refuse to write over an image or video that is read, or beside it what the next call would read.

    Raises:
        errors.InputError: An output is an input, or pictures would be written into a folder of inputs.
    """
    for output in filter(None, (options.output, options.coco, options.boxes)):
        files.refuse_output_over_input(output, found)
    folder = options.annotated
    if folder is not None and any(folder.resolve() == path.parent.resolve() for path in found):
        raise errors.InputError(
            f"--annotated {folder}: expected a folder for pictures that holds no input. Received: one that does"
        )


def _more(
    options: Options,
    found: Sequence[pathlib.Path],
    class_names: tuple[str, ...],
    region: lane.Region,
) -> dict[str, str]:
    """Write what was asked for besides the output, from the output itself."""
    written = {}
    if options.coco is not None:
        prediction_tables.write_coco(options.coco, list(written_rows(options.output)), class_names)
        written["coco"] = str(options.coco)
    if options.boxes is not None:
        with files.atomic(options.boxes) as temporary:
            for number, table in enumerate(written_rows(options.output)):
                boxes = printing.inert_table(prediction_tables.per_box(table))
                boxes.to_csv(temporary, mode="a", header=number == 0, index=False)
        written["boxes"] = str(options.boxes)
    if options.annotated is not None:
        written["annotated"] = annotate(
            found,
            written_rows(options.output),
            class_names,
            region,
            options.annotated,
            frames_per_second=options.frames_per_second,
        )
    return written


def written_rows(output: pathlib.Path) -> Iterator[pd.DataFrame]:
    """Read the rows of an output file back, some hundred at a time."""
    if output.suffix == ".parquet":
        with tables.parquet_file(output) as file:
            for batch_of_rows in file.iter_batches(_ROWS_READ):
                yield batch_of_rows.to_pandas()
        return
    # Names stay as they are: a folder called 007 is no number, and one called NA is not missing.
    texts = {"file": str, "clip": str}
    as_csv = functools.partial(pd.read_csv, dtype=texts, keep_default_na=False, na_values=[""])
    read = as_csv if output.suffix == ".csv" else functools.partial(pd.read_json, lines=True, dtype=texts)
    with read(output, chunksize=_ROWS_READ) as reader:
        for table in reader:
            found = table.assign(clip=table["clip"].fillna("").astype(str))
            named = {name: found[name].map(printing.as_it_was) for name in ("file", "clip")}
            yield found.assign(**named) if output.suffix == ".csv" else found


def score(chunk: pd.DataFrame, answer: Answer, class_names: tuple[str, ...]) -> pd.DataFrame:
    """Return one output row per picture; see ``prediction_tables.rows``."""
    items = chunk["image"].tolist()
    return prediction_tables.rows(
        chunk, answer(items), np.array([_size(item) for item in items], np.int64), class_names
    )


def annotate(
    inputs: Sequence[pathlib.Path],
    tables: Iterable[pd.DataFrame],
    class_names: tuple[str, ...],
    region: lane.Region,
    folder: pathlib.Path,
    *,
    frames_per_second: float | None = None,
) -> str:
    """Write each picture, and each video, again with its boxes; return the folder."""
    rows = (row for table in tables for row in table.to_dict("records"))
    paths = {files.printable(path): path for path in inputs}
    pictures = (
        (row, item)
        for row, item in zip(rows, _items(inputs, frames_per_second), strict=True)
        if row["decision"] != lane.INVALID
    )
    for number, (name, group) in enumerate(itertools.groupby(pictures, key=lambda pair: str(pair[0]["file"]))):
        source = paths[name]
        target = folder / f"{number:05d}"
        drawn = (
            _drawn({str(key): value for key, value in row.items()}, item, class_names, region) for row, item in group
        )
        if source.suffix.lower() in video.SUFFIXES:
            with video.Writer(
                files.beside(target, ".mp4", stem=f"{target.name}-{source.stem}"), frames_per_second=video.rate(source)
            ) as writer:
                for picture in drawn:
                    writer.write(picture)
        else:
            _save(next(drawn), files.beside(target, ".jpg", stem=f"{target.name}-{source.stem}"))
    return str(folder)


def _items(inputs: Sequence[pathlib.Path], frames_per_second: float | None) -> Iterator[stream.Item]:
    for _, chunk in stream.iterate(inputs, chunk_rows=1, frames_per_second=frames_per_second):
        yield from chunk


def _drawn(
    row: dict[str, Any], item: stream.Item, class_names: tuple[str, ...], region: lane.Region
) -> npt.NDArray[np.uint8]:
    boxes = json.loads(str(row["boxes"]))
    image = frames.decode(item, name=str(row["file"])) if isinstance(item, bytes) else item
    return drawing.annotate(
        image,
        np.array([each["xyxy"] for each in boxes], np.float64).reshape(-1, 4),
        np.array([class_names.index(each["class"]) for each in boxes], np.int64),
        np.array([each["score"] for each in boxes], np.float64),
        class_names,
        ids=np.array([each["track"] for each in boxes], np.int64) if row["clip"] else None,
        region=region,
        banner="OBSTACLE AHEAD" if row["decision"] == lane.AHEAD else "",
    )


def _save(picture: npt.NDArray[np.uint8], path: pathlib.Path) -> None:
    with files.atomic(path) as temporary:
        PIL.Image.fromarray(picture).save(temporary, "JPEG", quality=90)


def _with_items(frame: pd.DataFrame, items: Sequence[stream.Item]) -> pd.DataFrame:
    return frame.assign(image=pd.Series(list(items), index=frame.index, dtype=object))


def _size(item: stream.Item) -> tuple[int, int]:
    """Return width and height, (0, 0) for what is no image."""
    if not isinstance(item, bytes):
        return item.shape[1], item.shape[0]
    try:
        with frames.opened(item) as image:
            return frames.size_of(image)
    except frames.UNREADABLE:
        return 0, 0


def _is_turned(item: stream.Item) -> bool:
    """Tell an image file that Exif's orientation turns; frames of videos are upright."""
    if not isinstance(item, bytes):
        return False
    try:
        with frames.opened(item) as image:
            return image_files.orientation_of(image) != 1
    except frames.UNREADABLE:
        return False


def _open(options: Options) -> tuple[Answer, tuple[str, ...], lane.Region, dict[str, str]]:
    """Return how to answer pictures, the classes, the own way, and what identifies the model to a resumed call."""
    if options.model_dir is not None:
        loaded = options.model(functools.partial(engines.load, options.model_dir, options.engine))
        said = loaded.extra("decision.json")

        def ask(items: Sequence[stream.Item]) -> dict[str, npt.NDArray[Any]]:
            column = np.empty(len(items), object)
            column[:] = [frames.as_file(item) for item in items]
            return loaded.run({"image_bytes": column})

        names = tuple(said["class_names"])
        return ask, names, lane.Region(**said["region"]), {"model": loaded.digest, "engine": loaded.engine.name}
    run = options.model(lambda: loaded_run.open_run(options.run_dir))
    region = lane.Region.of(run.settings)
    return run.predict, run.rule.class_names, region, {"model": resuming.run_digest(run.folder.path)}
