"""What runs a bundle's network: TensorFlow, or a faster engine that ``export --format`` wrote beside it.

An engine runs the network only. The bundle's signature ``preprocess`` makes the network's inputs of raw ones, and
``answer`` makes the outputs of the signature that the engine serves, so an engine sees and says what the bundle does.

Rows of many lengths or sizes in one batch each run with those of their own, so that no time goes into padding.
"""

import dataclasses
import pathlib
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent import futures
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from shared import errors, files, machine
from shared.bundle import engine_files, formats
from shared.bundle import reading as bundle

FOLDER = f"{bundle.EXTRA}/engines"
TENSORFLOW = "tensorflow"
AUTO = "auto"
PREPROCESS, ANSWER = "preprocess", "answer"
ROWS_TIMED = 16
_TIMES = 4

Arrays: TypeAlias = engine_files.Arrays
Run: TypeAlias = engine_files.Run
# Fewer rows than this are as fast together as in halves.
LARGE_GROUP = 8


@dataclasses.dataclass(frozen=True, kw_only=True)
class Engine:
    """An engine: its name, the signature it serves, and how it answers."""

    name: str
    signature: str
    run: Run


def open_engine(loaded: bundle.Bundle, wanted: str = AUTO) -> Engine:
    """Return the engine of that name.

    Args:
        loaded: The bundle.
        wanted: ``tensorflow``, an engine of the bundle, or ``auto``: the fastest on this machine of all that are there,
            8-bit ones included where the bundle was exported with them.

    Raises:
        errors.InputError: The bundle does not hold the engine, or its package is not installed.
    """
    if wanted == AUTO:
        return _fastest(loaded)
    if wanted == TENSORFLOW:
        return _tensorflow(loaded)
    written = listed(loaded.path)
    if wanted not in written:
        flags = f"--format {formats.kind(wanted)}{' --int8' if wanted.endswith(formats.INT8) else ''}"
        raise errors.InputError(
            f"{loaded.path}: expected the engine {wanted}, which `export {flags}` writes. Received: a bundle with "
            f"{', '.join([TENSORFLOW, *written])}"
        )
    formats.require(formats.kind(wanted), formats.RUN_WITH, f"--engine {wanted}")
    return _of_bundle(loaded, wanted, written[wanted])


@dataclasses.dataclass(frozen=True, kw_only=True)
class WithEngine(bundle.Bundle):
    """A bundle whose engine answers the signature that it serves."""

    engine: Engine

    def run(
        self, inputs: Mapping[str, npt.ArrayLike], *, signature: str = "serving_default"
    ) -> dict[str, npt.NDArray[Any]]:
        """Run a signature on a batch; see ``bundle.Bundle.run``."""
        if signature == self.engine.signature:
            return self.engine.run({name: np.asarray(values) for name, values in inputs.items()})
        return super().run(inputs, signature=signature)


def load(path: pathlib.Path, wanted: str | None) -> WithEngine:
    """Check a bundle's manifest and load it with an engine (None: TensorFlow); see ``bundle.load``, ``open_engine``."""
    return with_engine(bundle.load(path), wanted or TENSORFLOW)


def with_engine(loaded: bundle.Bundle, wanted: str = AUTO) -> WithEngine:
    """Return the bundle with the engine of that name; see ``open_engine``."""
    return WithEngine(**vars(loaded), engine=open_engine(loaded, wanted))


def listed(folder: pathlib.Path) -> dict[str, dict[str, Any]]:
    """Return what ``engine.json`` says of each engine of a version folder: name -> content, fastest first."""
    found = {path.parent.name: files.read_json(path) for path in (folder / FOLDER).glob("*/engine.json")}
    return dict(sorted(found.items(), key=lambda item: (item[1]["milliseconds"]["engine"], item[0])))


def joined(loaded: bundle.Bundle, network: Run, signature: str = ANSWER) -> Run:
    """Return the way from raw inputs to the answers of a signature with another network inside."""

    def run(inputs: Arrays) -> dict[str, npt.NDArray[Any]]:
        ready = prepare(loaded, inputs)
        return answer(loaded, network(ready), ready, signature)

    return run


def prepare(loaded: bundle.Bundle, inputs: Arrays) -> dict[str, npt.NDArray[Any]]:
    """Return the network's inputs, and what the answer needs beside its outputs."""
    return loaded.run(inputs, signature=PREPROCESS)


def answer(loaded: bundle.Bundle, found: Arrays, ready: Arrays, signature: str = ANSWER) -> dict[str, npt.NDArray[Any]]:
    """Return what a signature says for the network's outputs and what ``prepare`` returned."""
    given = {name: found[name] if name in found else ready[name] for name in loaded.inputs(signature)}
    return loaded.run(given, signature=signature)


def load_network(folder: pathlib.Path, name: str, about: Mapping[str, Any]) -> Run:
    """Return a written network as a function of its inputs by name; extra arrays are not read.

    Args:
        folder: The engine's own folder.
        name: The engine.
        about: Its ``inputs`` and ``outputs``, names in the network's order, which inputs are ``padded``, and what says
            the ``sizes`` of images.
    """
    kind, inputs = formats.kind(name), list(about["inputs"])
    cores = machine.usable_cores()
    # A recurrent step is too small to be shared among cores: each gets rows of its own, where the engine allows it.
    workers = cores if about["padded"] and kind == "onnx" else 1
    network = engine_files.opened(
        folder / formats.FILES[kind], kind, inputs=inputs, outputs=list(about["outputs"]), threads=cores // workers
    )
    sized = by_size(network, inputs, about["sizes"])
    return by_length(sized, list(about["padded"]), workers=workers)


def milliseconds(runs: Mapping[str, Run], inputs: Arrays) -> dict[str, float]:
    """Return each function's best time on the last ``ROWS_TIMED`` rows, taken in turns; the first rows are odd ones."""
    some = {name: values[-ROWS_TIMED:] for name, values in inputs.items()}
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(_TIMES + 1):
        for name, run in runs.items():
            started = time.perf_counter()
            run(some)
            seconds[name].append(time.perf_counter() - started)
    # The first of each pays for tracing.
    return {name: 1000 * min(times[1:]) for name, times in seconds.items()}


def _fastest(loaded: bundle.Bundle) -> Engine:
    written = {
        name: about
        for name, about in listed(loaded.path).items()
        if not machine.missing(formats.RUN_WITH[formats.kind(name)])
    }
    if not written:
        return _tensorflow(loaded)
    golden = {name: bundle.decode(values) for name, values in loaded.extra("golden.json")["inputs"].items()}
    signature = next(iter(written.values()))["signature"]
    engines = {name: _of_bundle(loaded, name, about) for name, about in written.items()}
    plain = lambda inputs: loaded.run(inputs, signature=signature)  # noqa: E731
    times = milliseconds({**{name: engine.run for name, engine in engines.items()}, TENSORFLOW: plain}, golden)
    best = min(times, key=lambda name: times[name])
    return engines[best] if best in engines else _tensorflow(loaded)


def _tensorflow(loaded: bundle.Bundle) -> Engine:
    return Engine(name=TENSORFLOW, signature="serving_default", run=loaded.run)


def _of_bundle(loaded: bundle.Bundle, name: str, about: Mapping[str, Any]) -> Engine:
    network = load_network(loaded.path / FOLDER / name, name, about)
    return Engine(name=name, signature=about["signature"], run=joined(loaded, network))


def by_length(network: Run, padded: Sequence[str], *, workers: int) -> Run:
    """Return a network that is asked for rows of about the same length at a time.

    Args:
        network: Its answers do not depend on padding.
        padded: Inputs (batch, length) that end in zeros; rows are sorted by the length of the first.
        workers: Threads that may ask it at the same time.
    """
    if not padded:
        return network
    pool = futures.ThreadPoolExecutor(workers)

    def ask(given: Arrays, rows: npt.NDArray[np.int64]) -> dict[str, npt.NDArray[Any]]:
        return network(dict(_taken(given, rows, padded)))

    def run(given: Arrays) -> dict[str, npt.NDArray[Any]]:
        order = groups(lengths(given[padded[0]]), workers=workers)
        each = map if len(order) == 1 else pool.map
        found = list(each(lambda rows: ask(given, rows), order))
        back = np.argsort(np.concatenate(order), kind="stable")
        return {name: np.concatenate([part[name] for part in found])[back] for name in found[0]}

    return run


def by_size(network: Run, images: Sequence[str], sizes: str) -> Run:
    """Return a network that is asked for images of one size at a time, without what fills their rows up.

    Args:
        network: From inputs (batch, height, width, channels) to outputs (batch, h, w, channels).
        images: Its inputs; each image is in the upper left corner of its row.
        sizes: The array (batch, 2) of the images' heights and widths; "": they fill their rows.
    """
    if not sizes:
        return network

    def run(given: Arrays) -> dict[str, npt.NDArray[Any]]:
        parts = list(of_one_size(given, images, sizes))
        found = [network(part) for _, part in parts]
        back = np.argsort(np.concatenate([rows for rows, _ in parts]), kind="stable")
        return {name: _filled_up([part[name] for part in found])[back] for name in found[0]}

    return run


def of_one_size(given: Arrays, images: Sequence[str], sizes: str) -> Iterator[tuple[npt.NDArray[np.int64], Arrays]]:
    """Yield rows whose images have one size, and those images; see ``by_size``."""
    found, which = np.unique(given[sizes], axis=0, return_inverse=True)
    for number, (height, width) in enumerate(found):
        rows = np.flatnonzero(which.ravel() == number)
        yield rows, {name: given[name][rows, :height, :width] for name in images}


def _filled_up(parts: Sequence[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    """Return (n, h, w, channels) parts below each other, with zeros up to the largest h and w."""
    height, width = (max(part.shape[axis] for part in parts) for axis in (1, 2))
    rooms = [((0, 0), (0, height - part.shape[1]), (0, width - part.shape[2]), (0, 0)) for part in parts]
    return np.concatenate([np.pad(part, room) for part, room in zip(parts, rooms, strict=True)])


def lengths(values: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Return (batch,) where the zeros at the end of each row begin, at least 1.

    >>> lengths(np.array([[3, 0, 2, 0], [0, 0, 0, 0]])).tolist()
    [3, 1]
    """
    return np.asarray(np.where(values != 0, np.arange(1, values.shape[1] + 1), 1).max(axis=1), np.int64)


def groups(found: npt.NDArray[np.int64], *, workers: int = 1) -> list[npt.NDArray[np.int64]]:
    """Return row numbers, together where lengths lie between the same powers of two; the longest first.

    Args:
        found: (batch,) lengths.
        workers: Into how many parts a group of at least ``LARGE_GROUP`` rows is cut.

    >>> [rows.tolist() for rows in groups(np.array([5, 100, 7, 120]))]
    [[1, 3], [0, 2]]
    """
    power = np.frexp(found)[1]
    alike = [np.flatnonzero(power == each) for each in np.unique(power)[::-1]]
    return [part for rows in alike for part in np.array_split(rows, workers if len(rows) >= LARGE_GROUP else 1)]


def _taken(given: Arrays, rows: npt.NDArray[np.int64], padded: Sequence[str]) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    for name, values in given.items():
        some = values[rows]
        yield name, some[:, : lengths(some).max()] if name in padded else some
