"""Tables, texts and images of a program as files that the verbs read, and what they write as tables again.

So a program's data meet the same checks as files do, and its predictions are the command line's, bit for bit.
"""

import dataclasses
import os
import pathlib
from collections.abc import Iterable
from typing import Any, Literal, TypeAlias

import numpy as np
import pandas as pd
import PIL.Image
import pyarrow

from shared import errors, files

Takes: TypeAlias = Literal["texts", "rows", "images"]
# Columns that hold the paths of images, where nobody names one.
PATHS = ("path", "image", "image_path", "file", "filename")
# Of an output: where a row stood. Of data that were in memory it is the place of a file that is gone.
PLACE = ("file", "row")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Given:
    """What a verb reads in place of what was given.

    Attributes:
        paths: Files and folders.
        index: Names of the rows, where they came from memory; None where files were given.
    """

    paths: tuple[pathlib.Path, ...]
    index: pd.Index | None = None


def as_files(data: Any, takes: Takes, folder: pathlib.Path, *, text_column: str | None = None) -> Given:
    """Return files of what is to be predicted; what is in memory is written into ``folder``.

    Args:
        data: A DataFrame; for texts also a list, Series or array of them, or one; for rows also a list of mappings; for
            images paths, or arrays (height, width) or (height, width, 3) uint8. A path, or several, is read as the
            command line does; for texts it must be a ``pathlib.Path``, since a string is a text.
        takes: What one input of the model is.
        folder: Where to write.
        text_column: How to call the column of texts; None: ``text``.

    Raises:
        errors.InputError: It is nothing of these.
    """
    several = list(data) if isinstance(data, list | tuple | pd.Series | np.ndarray) else [data]
    index = data.index if isinstance(data, pd.DataFrame | pd.Series) else pd.RangeIndex(len(several))
    if not len(index):
        raise errors.InputError("data: expected at least one input. Received: none")
    if isinstance(data, pd.DataFrame):
        return _of_frame(data, takes, folder)
    if all(isinstance(each, os.PathLike) for each in several):
        return Given(paths=tuple(map(pathlib.Path, several)))
    if takes == "texts" and all(isinstance(each, str) for each in several):
        return Given(paths=(write(pd.DataFrame({text_column or "text": several}), folder),), index=index)
    if takes == "rows" and all(isinstance(each, dict) for each in several):
        return Given(paths=(write(pd.DataFrame(several), folder),), index=index)
    if takes != "texts" and all(isinstance(each, str) for each in several):
        return Given(paths=tuple(map(pathlib.Path, several)))
    if takes == "images":
        images = [data] if isinstance(data, np.ndarray) and data.ndim == 2 else several
        return Given(paths=tuple(_pictures(images, folder)), index=pd.RangeIndex(len(images)))
    expected = {"texts": "texts, a DataFrame of them or paths", "rows": "a DataFrame, mappings or paths"}[takes]
    raise errors.InputError(f"data: expected {expected}. Received: {type(several[0]).__name__}")


def _of_frame(table: pd.DataFrame, takes: Takes, folder: pathlib.Path) -> Given:
    if takes != "images":
        return Given(paths=(write(table, folder),), index=table.index)
    name = next((each for each in PATHS if each in table), None)
    if name is None:
        raise errors.InputError(
            f"data: expected a column of image paths, called {', '.join(PATHS)}. Received: {', '.join(map(str, table))}"
        )
    return Given(paths=tuple(pathlib.Path(str(each)) for each in table[name]), index=table.index)


def _pictures(images: Iterable[Any], folder: pathlib.Path) -> Iterable[pathlib.Path]:
    for number, image in enumerate(images):
        pixels = np.asarray(image)
        if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3):
            raise errors.InputError(
                f"data: image {number}: expected a path, or (height, width) or (height, width, 3) uint8. Received: "
                f"{pixels.shape} {pixels.dtype}"
            )
        path = folder / f"image-{number:08d}.png"
        PIL.Image.fromarray(pixels[:, :, 0] if pixels.shape[2:] == (1,) else pixels).save(path)
        yield path


def write(table: pd.DataFrame, folder: pathlib.Path, *, name: str = "table") -> pathlib.Path:
    """Write a table as Parquet into a folder, without its index, and return the file.

    Raises:
        errors.InputError: A column holds values of several types.
    """
    path = folder / f"{name}.parquet"
    folder.mkdir(parents=True, exist_ok=True)
    named = table.set_axis([str(each) for each in table.columns], axis="columns")
    try:
        with files.atomic(path) as temporary:
            named.to_parquet(temporary, index=False)
    except (pyarrow.ArrowException, TypeError, ValueError) as error:
        raise errors.InputError(f"data: expected columns of one type each. Received: {error}") from None
    return path


def predictions(output: pathlib.Path, given: Given) -> pd.DataFrame:
    """Return what ``predict`` wrote, with the index of what was given where that was in memory.

    A text or an image that gave no row has an empty one; rows keep their order.
    """
    table = pd.read_parquet(output)
    if given.index is None:
        return table
    if len(given.paths) == 1 and "row" in table:
        place = table["row"].to_numpy() - 1
    else:
        places = {files.printable(path): number for number, path in enumerate(given.paths)}
        whole = len(table) == len(given.index)
        place = np.arange(len(table)) if whole else np.array([places[each] for each in table["file"]])
    kept = table.drop(columns=[name for name in PLACE if name in table]).set_axis(given.index[place], axis="index")
    return kept.reindex(given.index) if len(kept) != len(given.index) and given.index.is_unique else kept


def probabilities(table: pd.DataFrame) -> tuple[tuple[str, ...], Any]:
    """Return classes and (n, classes) float64 probabilities of what ``predict`` returned.

    Raises:
        errors.InputError: The app's predictions are none of classes, such as boxes.
    """
    names = tuple(str(name).removeprefix("score_") for name in table if str(name).startswith("score_"))
    if names:
        return names, table[[f"score_{name}" for name in names]].to_numpy(np.float64)
    if "score" in table and table["score"].dtype.kind == "f":
        of_fraud = table["score"].to_numpy(np.float64)
        return ("genuine", "fraud"), np.column_stack([1 - of_fraud, of_fraud])
    raise errors.InputError("predict_proba: expected an app that predicts one class of each input. Received: another")


def training_source(data: Any, beside: pathlib.Path) -> dict[str, Any]:
    """Return the setting ``data`` for what was given to ``train``; tables are kept beside the run, which needs them.

    Args:
        data: A path or the name of a built-in source, a DataFrame, or a list of these; None: the preset's.
        beside: The run folder.
    """
    if data is None:
        return {}
    given = data if isinstance(data, list | tuple) else [data]
    folder = files.beside(beside, ".data")
    many = len(given) > 1
    return {
        "data": [
            str(write(each, folder, name=f"table-{number}" if many else "table"))
            if isinstance(each, pd.DataFrame)
            else os.fspath(each)
            for number, each in enumerate(given, start=1)
        ]
    }
