"""Faster engines inside a bundle: each is written only if it answers as the SavedModel beside it does."""

import dataclasses
import logging
import pathlib
import tempfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from shared import errors, files
from shared.bundle import engine_files, engines, formats, network_graphs
from shared.bundle import reading as bundle

log = logging.getLogger("fieldnets")

# What scores of a float engine may differ by.
TOLERANCE = 1e-4
# What an 8-bit engine, or one of an app whose answers have no tolerance, may lose of what the app is measured by, on
# validation.
MOST_LOST = 0.005
CALIBRATION_ROWS = 200
_BATCH_ROWS = 32
# A score is a sigmoid or softmax of outputs, at most a quarter as steep.
_STEP = 4 * TOLERANCE

Metric = Callable[[Mapping[str, npt.NDArray[Any]]], float]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Core:
    """The part of an app that other engines run, and what they are compared on.

    Attributes:
        network: What lies between the bundle's signatures ``preprocess`` and ``answer``: a functional model with named
            inputs and a mapping of outputs (batch, ...) float32.
        names: The engines to write, such as ``onnx-int8``.
        validation: Raw inputs of validation rows.
        training: Raw inputs of training rows, for the ranges of 8-bit numbers.
        metric: How good the answers for ``validation`` are by the app's own labels, higher is better.
        signature: Which signature ``preprocess``, network and ``answer`` amount to.
        metric_signature: Which signature's outputs ``metric`` is given, where that is another: then ``preprocess``,
            network and ``answer_<metric_signature>`` amount to it.
        exact: Whether answers of a float engine must be the SavedModel's up to ``TOLERANCE``. Where the last digit of a
            score decides which of two boxes stays, they need not: the engine is measured as an 8-bit one is.
        padded: Inputs (batch, length) whose rows end in zeros that change nothing; first the one that costs most.
        sizes: What ``preprocess`` says (batch, 2) of the heights and widths of images in larger rows; "": nothing.
        usage: What who runs the network without the bundle must know, for ``engine.json``.
    """

    network: keras.Model
    names: Sequence[str]
    validation: engines.Arrays
    training: engines.Arrays
    metric: Metric
    signature: str = "serving_default"
    metric_signature: str = ""
    exact: bool = True
    padded: Sequence[str] = ()
    sizes: str = ""
    usage: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def write_all(folder: pathlib.Path, core: Core, golden: engines.Arrays) -> None:
    """Write the engines of ``core`` into a bundle that has no manifest yet.

    Args:
        folder: The version folder with the SavedModel.
        core: What to write.
        golden: Golden raw inputs.

    Raises:
        errors.GateError: An engine answers otherwise than the SavedModel; the message has the numbers.
        errors.InputError: An engine cannot run such a network.
    """
    if not core.names:
        return
    loaded = bundle.Bundle(path=folder, name=folder.name, version=0, loaded=tf.saved_model.load(str(folder)))
    samples = _samples(loaded, core) if any(name.endswith(formats.INT8) for name in core.names) else []
    expected = _answers(lambda signature: lambda rows: loaded.run(rows, signature=signature), core, golden)
    for name in core.names:
        _write(loaded, core, name, golden, expected, samples)


def _answers(
    run: Callable[[str], engines.Run], core: Core, golden: engines.Arrays
) -> dict[str, dict[str, npt.NDArray[Any]]]:
    """Return what signatures say of ``golden`` and ``validation``, and, as ``metric``, what the metric is given."""
    found = {
        "golden": _run_all(run(core.signature), golden),
        "validation": _run_all(run(core.signature), core.validation),
    }
    measured = _run_all(run(core.metric_signature), core.validation) if core.metric_signature else found["validation"]
    return {**found, "metric": measured}


def _write(
    loaded: bundle.Bundle,
    core: Core,
    name: str,
    golden: engines.Arrays,
    expected: Mapping[str, engines.Arrays],
    samples: Sequence[engines.Arrays],
) -> None:
    target = loaded.path / engines.FOLDER / name
    target.parent.mkdir(parents=True, exist_ok=True)
    about: dict[str, Any] = {
        "engine": name,
        "signature": core.signature,
        "inputs": network_graphs.input_names(core.network),
        "outputs": network_graphs.output_names(core.network),
        "padded": list(core.padded),
        "sizes": core.sizes,
        "settings": dict(formats.SETTINGS[formats.kind(name)]),
    }
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".engine-") as scratch:
        unfinished = pathlib.Path(scratch) / name
        unfinished.mkdir()
        engine_files.convert(core.network, unfinished, name, samples)
        network = engines.load_network(unfinished, name, about)
        about |= compare(loaded, network, core, golden, expected)
        check(name, about)
        files.write_json(unfinished / "engine.json", {**about, **core.usage})
        unfinished.rename(target)
    times = about["milliseconds"]
    log.info("engine %s: %.1f ms, SavedModel %.1f ms", name, times["engine"], times["tensorflow"])


def compare(
    loaded: bundle.Bundle,
    network: engines.Run,
    core: Core,
    golden: engines.Arrays,
    expected: Mapping[str, engines.Arrays],
) -> dict[str, Any]:
    """Look at golden and validation rows with the bundle's own network and with another.

    Args:
        loaded: The bundle.
        network: The other network.
        core: What it is compared on.
        golden: Golden raw inputs.
        expected: What the SavedModel says of ``golden`` and ``validation``, and what of it is for the ``metric``.

    Returns:
        ``parity``, empty where the app is not exact: for ``golden`` and ``validation`` the largest difference of a
        number, and how many rows have another text although their scores are clear; ``accuracy`` and ``milliseconds``
        (for some golden rows, from raw input to answer) of ``tensorflow`` and ``engine``; ``agreement``, the share of
        validation rows with the same texts.
    """

    def run(signature: str) -> engines.Run:
        named = engines.ANSWER if signature == core.signature else f"{engines.ANSWER}_{signature}"
        return engines.joined(loaded, network, named)

    received = _answers(run, core, golden)
    raw = {"golden": golden, "validation": core.validation} if core.exact else {}
    parity = {}
    for part, rows in raw.items():
        changed = ~_same_texts(expected[part], received[part])
        sure = _run_all(lambda some: {"clear": clear(loaded, network, some)}, rows)["clear"]
        difference = _largest_difference(expected[part], received[part])
        parity[part] = {"difference": difference, "rows_changed": int((changed & sure).sum()), "rows": len(sure)}
    plain = lambda rows: loaded.run(rows, signature=core.signature)  # noqa: E731
    return {
        "parity": parity,
        "agreement": float(_same_texts(expected["validation"], received["validation"]).mean()),
        "accuracy": {"tensorflow": core.metric(expected["metric"]), "engine": core.metric(received["metric"])},
        "milliseconds": engines.milliseconds({"tensorflow": plain, "engine": run(core.signature)}, golden),
        "rows_timed": engines.ROWS_TIMED,
    }


def check(name: str, about: dict[str, Any]) -> None:
    """Compare with the tolerance, which is added to ``about``.

    Raises:
        errors.GateError: The engine differs by more, or loses too much.
    """
    if name.endswith(formats.INT8) or not about["parity"]:
        about["tolerance"] = MOST_LOST
        before, after = about["accuracy"]["tensorflow"], about["accuracy"]["engine"]
        if not before - after <= MOST_LOST:
            raise errors.GateError(
                f"engine {name}: expected to lose at most {MOST_LOST} on validation. Received: {after:.4f} instead of "
                f"{before:.4f}"
            )
        return
    about["tolerance"] = TOLERANCE
    for part, found in about["parity"].items():
        if not found["difference"] <= TOLERANCE or found["rows_changed"]:
            raise errors.GateError(
                f"engine {name}: expected outputs within {TOLERANCE} of the SavedModel's and the same decisions on "
                f"{part} rows. Received: a difference of {found['difference']:.3g}, and {found['rows_changed']} of "
                f"{found['rows']} rows with another decision"
            )


def _samples(loaded: bundle.Bundle, core: Core) -> list[engines.Arrays]:
    """Return batches of the network's inputs for training rows."""
    names = network_graphs.input_names(core.network)
    batches = _batches({name: values[:CALIBRATION_ROWS] for name, values in core.training.items()})
    ready = [engines.prepare(loaded, rows) for rows in batches]
    if core.sizes:
        return [images for found in ready for _, images in engines.of_one_size(found, names, core.sizes)]
    return [{name: found[name] for name in names} for found in ready]


def _run_all(run: Callable[[engines.Arrays], engines.Arrays], inputs: engines.Arrays) -> dict[str, npt.NDArray[Any]]:
    found = [run(rows) for rows in _batches(inputs)]
    return {name: np.concatenate([each[name] for each in found]) for name in found[0]}


def _batches(inputs: engines.Arrays) -> list[engines.Arrays]:
    rows = len(next(iter(inputs.values())))
    starts = range(0, rows, _BATCH_ROWS)
    return [{name: values[start : start + _BATCH_ROWS] for name, values in inputs.items()} for start in starts]


def clear(loaded: bundle.Bundle, network: engines.Run, inputs: engines.Arrays) -> npt.NDArray[np.bool_]:
    """Return (n,) whether the texts stay when one of the network's outputs moves as far as the tolerance allows."""
    ready = engines.prepare(loaded, inputs)
    found = network(ready)
    said = engines.answer(loaded, found, ready)
    sure = np.ones(len(next(iter(said.values()))), bool)
    for name, values in found.items():
        for column in range(values.shape[-1]):
            for step in (-_STEP, _STEP):
                moved = values.copy()
                moved[..., column] += step
                sure &= _same_texts(said, engines.answer(loaded, {**found, name: moved}, ready))
    return sure


def _same_texts(expected: engines.Arrays, received: engines.Arrays) -> npt.NDArray[np.bool_]:
    rows = len(next(iter(expected.values())))
    same = np.ones(rows, bool)
    for name, values in expected.items():
        if values.dtype in (object, bool):
            same &= (values == received[name]).reshape(rows, -1).all(axis=1)
    return same


def _largest_difference(expected: engines.Arrays, received: engines.Arrays) -> float:
    numbers = [name for name, values in expected.items() if values.dtype not in (object, bool)]
    differences = [np.abs(expected[name] - received[name]).max(initial=0.0) for name in numbers]
    # Not max(): it would lose a NaN.
    return float(np.max(differences, initial=0.0))
