"""Score image files, folders, tables and DICOM in bounded memory: write scores, label and decision."""

import dataclasses
import functools
import io
import logging
import pathlib
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd
import PIL.Image

from apps.medical_imaging import data, preprocessing, readers
from apps.medical_imaging.readers import dicom, images, sources
from shared import cli, files, parser, predicting, resuming
from shared.bundle import engines
from shared.bundle import reading as bundle
from shared.serving import foreign

log = logging.getLogger("fieldnets")

Item: TypeAlias = bytes | npt.NDArray[np.float32]
Answer: TypeAlias = Callable[[Sequence[Item]], dict[str, npt.NDArray[Any]]]
CHUNK_ROWS = 64
_PREVIEW_PIXELS = 768


def predict(options: parser.PredictOptions) -> cli.Result:
    """Score every image of the inputs, with a run or with a bundle.

    Raises:
        errors.InputError: An input cannot be read, or the output exists.
    """
    reading = data.reading_options(options.settings, labelled=False)
    listed = [sources.listed(path, reading) for path in options.input]
    _refuse_output_over_tables(options.output, listed)
    notes = [f"{source.name}: {note}" for source in listed for note in source.notes]
    for note in notes:
        log.warning("%s", note)
    answer, class_names, identity, bits = _open(options)
    dark = [
        images.note_on_bits(source.name, images.bits_used([each.item for each in source.entries]), bits=bits)
        for source in listed
    ]
    for note in filter(None, dark):
        log.warning("%s", note)
    notes += filter(None, dark)
    rows = min(options.chunk_rows, CHUNK_ROWS)
    how = dataclasses.asdict(reading)
    result = predicting.score_in_chunks(
        options,
        # Images are read when they are scored: those of other shards, and those that are scored already, are not.
        (with_items(*chunk) for chunk in sources.unread(listed, chunk_rows=rows, keep=options.keep_columns)),
        lambda chunk: score(with_items(chunk, [sources.pixels(each) for each in chunk["image"]]), answer, class_names),
        what="images scored",
        plan={"inputs": resuming.inputs(_files(options.input, listed)), **how, "chunk_rows": rows, **identity},
    )
    return {**result, "notes": notes}


def _files(given: Sequence[pathlib.Path], listed: Sequence[readers.Source]) -> list[pathlib.Path]:
    """Return every file that is read, once for each time: given ones, tables of folders, images that a table names."""
    found: list[pathlib.Path] = []
    for path, source in zip(given, listed, strict=True):
        named = [each for entry in source.entries for each in (entry.file, entry.item)]
        paths = [pathlib.Path(each) for each in (path, *named) if isinstance(each, str | pathlib.Path)]
        found += dict.fromkeys(each for each in paths if each.is_file())
    return found


def _refuse_output_over_tables(output: pathlib.Path, listed: Sequence[readers.Source]) -> None:
    """Refuse an output that is a table which was found in a folder that is read."""
    tables = {pathlib.Path(entry.file) for source in listed for entry in source.entries}
    files.refuse_output_over_input(output, sorted(tables))


def with_items(frame: pd.DataFrame, items: Sequence[Item] | Sequence[readers.Entry]) -> pd.DataFrame:
    """Put images, read or not, beside their file and row, as column ``image``."""
    return frame.assign(image=pd.Series(list(items), index=frame.index, dtype=object))


def score(chunk: pd.DataFrame, answer: Answer, class_names: tuple[str, ...]) -> pd.DataFrame:
    """Return one output row per image: file, row, label, decision and ``score_<class>``."""
    said = answer(chunk["image"].tolist())
    columns: dict[str, Any] = {"file": chunk["file"], "row": chunk["row"]}
    columns |= {"label": said["labels"].astype(str), "decision": said["decision"].astype(str)}
    columns |= {f"score_{name}": said["scores"][:, index] for index, name in enumerate(class_names)}
    return pd.DataFrame(columns)


def ask(loaded: bundle.Bundle, items: Sequence[Item]) -> dict[str, npt.NDArray[Any]]:
    """Ask a bundle about encoded files together, and about arrays, whose sizes differ, one by one.

    Args:
        loaded: The bundle.
        items: Files, or (height, width, channels) float32 in [0, 1].
    """
    answers: dict[int, dict[str, npt.NDArray[Any]]] = {}
    bits = grey_bits(loaded)
    channels = loaded.inputs("image")["image"].shape[-1]
    encoded = []
    for row, item in enumerate(items):
        if isinstance(item, bytes):
            encoded.append((row, item))
        elif item.shape[-1] != channels:
            encoded.append((row, preprocessing.encode(item, bits=bits)))
        else:
            answers[row] = loaded.run({"image": item[np.newaxis].astype(np.float32)}, signature="image")
    for start in range(0, len(encoded), CHUNK_ROWS):
        rows, given = zip(*encoded[start : start + CHUNK_ROWS], strict=True)
        column = np.empty(len(given), object)
        column[:] = given
        said = loaded.run({"image_bytes": column})
        answers |= {row: {name: values[i : i + 1] for name, values in said.items()} for i, row in enumerate(rows)}
    return {name: np.concatenate([answers[row][name] for row in range(len(items))]) for name in answers[0]}


def dicom_image(loaded: bundle.Bundle, content: bytes, most_pixels: int) -> foreign.Image:
    """Read a DICOM file for a bundle's page: a PNG of the grey values that the bundle decodes, and one to look at.

    Raises:
        errors.InputError: It is no DICOM file that can be decoded, or has too many pixels.
    """
    dicom.refuse_large(content, most_pixels)
    values = dicom.decode(content)
    seen = PIL.Image.open(io.BytesIO(preprocessing.encode(values)))
    seen.thumbnail((_PREVIEW_PIXELS, _PREVIEW_PIXELS))
    stream = io.BytesIO()
    seen.save(stream, "PNG")
    return foreign.Image(file=preprocessing.encode(values, bits=grey_bits(loaded)), preview=stream.getvalue())


def grey_bits(loaded: bundle.Bundle) -> int:
    """Return how many bits of files of 16 bits a bundle reads; one of before it was kept reads all."""
    if not (loaded.path / bundle.EXTRA / preprocessing.FILE).is_file():
        return preprocessing.DEEPEST
    return int(loaded.extra(preprocessing.FILE)["grey_bits"])


def _open(options: parser.PredictOptions) -> tuple[Answer, tuple[str, ...], dict[str, str], int]:
    """Return how to answer images, the classes, what identifies the model to a resumed call, and the bits it reads."""
    if options.model_dir is not None:
        loaded = options.model(functools.partial(engines.load, options.model_dir, options.engine))
        names = tuple(loaded.extra("decision.json")["class_names"])
        identity = {"model": loaded.digest, "engine": loaded.engine.name}
        return lambda items: ask(loaded, items), names, identity, grey_bits(loaded)
    from apps.medical_imaging import run as loaded_run

    run = options.model(lambda: loaded_run.open_run(options.run_dir))
    return run.predictions, run.rule.class_names, {"model": resuming.run_digest(run.folder.path)}, run.grey_bits
