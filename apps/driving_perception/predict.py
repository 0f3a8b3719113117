"""Look at images, folders and videos in bounded memory: write boxes, decisions, tracks, and annotated pictures."""

import argparse
import collections
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
import pyarrow.parquet

from apps.driving_perception import drawing, frames, prediction_tables
from apps.driving_perception import run as loaded_run
from apps.driving_perception.readers import image_files
from apps.driving_perception.tracking import lane, stream, tracker, video
from shared import batch, cli, errors, files, progress
from shared.bundle import engines

Answer: TypeAlias = Callable[[Sequence[stream.Item]], dict[str, npt.NDArray[Any]]]
CHUNK_ROWS = 16
_ROWS_READ = 256


def predict(arguments: argparse.Namespace) -> cli.Result:
    """Look at every picture of the inputs, with a run or with a bundle.

    Raises:
        errors.InputError: An input cannot be read, or the output exists.
    """
    found = stream.find(
        arguments.input,
        follow_links=getattr(arguments, "follow_links", False),
        frames_per_second=arguments.frames_per_second,
    )
    _refuse_output_over_input(arguments, found.files)
    answer, class_names, region, identity = _open(arguments)
    chunk_rows = min(arguments.chunk_rows, CHUNK_ROWS)
    inputs = {str(path): path.stat().st_size for path in found.files}
    turned: collections.Counter[bool] = collections.Counter()

    def look(chunk: pd.DataFrame) -> pd.DataFrame:
        turned.update(_is_turned(item) for item in chunk["image"])
        return score(chunk, answer, class_names)

    started = time.monotonic()
    with progress.rows("images looked at", arguments.input) as advance:
        result = batch.predict(
            (
                _with_items(*chunk)
                for chunk in stream.iterate(
                    found.files, chunk_rows=chunk_rows, frames_per_second=arguments.frames_per_second
                )
            ),
            look,
            output=arguments.output,
            plan={
                "inputs": inputs,
                "chunk_rows": chunk_rows,
                "frames_per_second": arguments.frames_per_second,
                **identity,
            },
            resume=arguments.resume,
            overwrite=arguments.overwrite,
            on_rows=advance,
            finish=tracker.Follower(class_names, region).follow,
        )
    seconds = time.monotonic() - started
    written: dict[str, Any] = {
        "output": str(arguments.output),
        "rows": result.rows,
        "resumed_rows": result.resumed_rows,
    }
    written["images_per_second"] = round((result.rows - result.resumed_rows) / max(seconds, 1e-9), 1)
    if turned[True]:
        found.notes.append(f"{turned[True]:,} images are turned by Exif: they were looked at as they are stored")
    return written | _more(arguments, found.files, class_names, region) | {"notes": found.notes}


def _refuse_output_over_input(arguments: argparse.Namespace, found: Sequence[pathlib.Path]) -> None:
    """Refuse to write over an image or video that is read, or beside it what the next call would read.

    Raises:
        errors.InputError: An output is an input, or pictures would be written into a folder of inputs.
    """
    for output in filter(None, (arguments.output, arguments.coco, arguments.boxes)):
        files.refuse_output_over_input(output, found)
    folder = arguments.annotated
    if folder is not None and any(folder.resolve() == path.parent.resolve() for path in found):
        raise errors.InputError(
            f"--annotated {folder}: expected a folder for pictures that holds no input. Received: one that does"
        )


def _more(
    arguments: argparse.Namespace,
    found: Sequence[pathlib.Path],
    class_names: tuple[str, ...],
    region: lane.Region,
) -> dict[str, str]:
    """Write what was asked for besides the output, from the output itself."""
    written = {}
    if arguments.coco is not None:
        prediction_tables.write_coco(arguments.coco, list(written_rows(arguments.output)), class_names)
        written["coco"] = str(arguments.coco)
    if arguments.boxes is not None:
        with files.atomic(arguments.boxes) as temporary:
            for number, table in enumerate(written_rows(arguments.output)):
                prediction_tables.per_box(table).to_csv(temporary, mode="a", header=number == 0, index=False)
        written["boxes"] = str(arguments.boxes)
    if arguments.annotated is not None:
        written["annotated"] = annotate(
            found,
            written_rows(arguments.output),
            class_names,
            region,
            arguments.annotated,
            frames_per_second=arguments.frames_per_second,
        )
    return written


def written_rows(output: pathlib.Path) -> Iterator[pd.DataFrame]:
    """Read the rows of an output file back, some hundred at a time."""
    if output.suffix == ".parquet":
        with pyarrow.parquet.ParquetFile(output) as file:
            for batch_of_rows in file.iter_batches(_ROWS_READ):
                yield batch_of_rows.to_pandas()
        return
    read = pd.read_csv if output.suffix == ".csv" else functools.partial(pd.read_json, lines=True)
    with read(output, chunksize=_ROWS_READ) as reader:
        for table in reader:
            yield table.assign(clip=table["clip"].fillna("").astype(str))


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
    pictures = (
        (row, item)
        for row, item in zip(rows, _items(inputs, frames_per_second), strict=True)
        if row["decision"] != lane.INVALID
    )
    for number, (name, group) in enumerate(itertools.groupby(pictures, key=lambda pair: str(pair[0]["file"]))):
        source = pathlib.Path(name)
        drawn = (
            _drawn({str(key): value for key, value in row.items()}, item, class_names, region) for row, item in group
        )
        if source.suffix.lower() in video.SUFFIXES:
            with video.Writer(
                folder / f"{number:05d}-{source.stem}.mp4", frames_per_second=video.rate(source)
            ) as writer:
                for picture in drawn:
                    writer.write(picture)
        else:
            _save(next(drawn), folder / f"{number:05d}-{source.stem}.jpg")
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


def _open(arguments: argparse.Namespace) -> tuple[Answer, tuple[str, ...], lane.Region, dict[str, str]]:
    """Return how to answer pictures, the classes, the own way, and what identifies the model to a resumed call."""
    if arguments.model_dir is not None:
        loaded = engines.load(arguments.model_dir, arguments.engine)
        said = loaded.extra("decision.json")

        def ask(items: Sequence[stream.Item]) -> dict[str, npt.NDArray[Any]]:
            column = np.empty(len(items), object)
            column[:] = [loaded_run.as_file(item) for item in items]
            return loaded.run({"image_bytes": column})

        names = tuple(said["class_names"])
        return ask, names, lane.Region(**said["region"]), {"model": str(loaded.path), "engine": loaded.engine.name}
    run = loaded_run.open_run(arguments.run_dir)
    region = lane.Region.of(run.settings)
    return run.predict, run.rule.class_names, region, {"model": files.sha256(run.folder.model)}
