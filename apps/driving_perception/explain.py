"""What each box was seen by, with the check that the map means something; and why an object was missed."""

import argparse
import dataclasses
import pathlib
from typing import Any, TypeAlias

import cv2
import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from apps.driving_perception import boxes as box
from apps.driving_perception import drawing, frames, model, predictions, preprocessing, report_pictures
from apps.driving_perception import run as loaded_run
from shared import errors, files
from shared.explain import cutting, gradients, randomization
from shared.report import blocks, document

MOST_EXPLAINED = 4
CANDIDATES = 8
_PICTURE_PIXELS = 560

Map: TypeAlias = npt.NDArray[np.float32]


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Seen:
    """One image on its canvas, and what the network says of every place.

    Attributes:
        name: Of the image.
        image: (height, width, 3) uint8 of the original.
        canvas: (1, canvas height, canvas width, 3) float32.
        geometry: (6,) as in ``preprocessing``.
        places: (n, classes + 7) float32.
    """

    name: str
    image: npt.NDArray[np.uint8]
    canvas: Map
    geometry: npt.NDArray[np.int64]
    places: Map

    @property
    def scores(self) -> Map:
        """(n, classes) in [0, 1]."""
        return np.asarray(1 / (1 + np.exp(-self.places[:, :-7])), np.float32)

    @property
    def xyxy(self) -> Map:
        """(n, 4) boxes in pixels of the original."""
        filled, original = self.geometry[preprocessing.FILLED], self.geometry[preprocessing.ORIGINAL]
        factor = np.tile((original / filled)[::-1], 2)
        cut = box.clip(self.places[:, -7:-3], width=float(filled[1]), height=float(filled[0]))
        return np.asarray(cut * factor, np.float32)


def explain_file(run: loaded_run.Run, arguments: argparse.Namespace) -> dict[str, Any]:
    """Explain one image file and write the page; return what the user is told.

    Args:
        run: The finished run.
        arguments: ``input``, ``output``, ``seed``, and ``missed``: corners of an object that should have been found.

    Raises:
        errors.InputError: The input is no image, or the corners are no box in it.
    """
    seen = look(run, pathlib.Path(arguments.input))
    chosen = answered(run, seen)
    maps = [_map_of(run, seen, place, label, seed=arguments.seed) for place, label in chosen[:MOST_EXPLAINED]]
    sections = [_overview(run, seen, chosen), _where(run, seen, chosen, maps)]
    told: dict[str, Any] = {
        "boxes": [_told(run, seen, place, label) for place, label in chosen],
        "checks_passed": [check.passed for _, check in maps],
    }
    if arguments.missed is not None:
        truth = _corners(arguments.missed, seen)
        near = candidates(seen, truth)
        sections.append(_why_missed(run, seen, truth, near))
        told["near_the_missed"] = [_told(run, seen, place, label) for place, label in near]
    page = document.Report(
        title="Why these boxes?",
        subtitle=f"{seen.name}; LayerCAM (Jiang et al. 2021) of the place that each box comes from",
        answer=_answer(run, chosen),
        sections=sections,
    )
    files.write_text(arguments.output, document.render(page))
    return {**told, "output": str(arguments.output)}


def look(run: loaded_run.Run, path: pathlib.Path) -> Seen:
    """Read one image as the network does, and ask it about every place.

    Raises:
        errors.InputError: There is no such file, or it is no image.
    """
    if not path.is_file():
        raise errors.InputError(f"{path}: expected one image file to explain. Received: no file")
    image = frames.decode(path.read_bytes(), name=str(path))
    pixels = tf.image.convert_image_dtype(image, tf.float32)
    canvas, geometry = preprocessing.place(pixels, image_size=run.settings.image_size)
    inputs = canvas.numpy()[np.newaxis].astype(np.float32)
    places = keras.ops.convert_to_numpy(run.model(inputs, training=False))[0]
    return Seen(name=path.name, image=image, canvas=inputs, geometry=geometry.numpy().astype(np.int64), places=places)


def answered(run: loaded_run.Run, seen: Seen) -> list[tuple[int, int]]:
    """Return the place and label of each box that is answered, best first."""
    sizes = seen.geometry[np.newaxis, preprocessing.FILLED].astype(np.float32)
    settings = run.settings
    found = predictions.boxes(
        seen.places[np.newaxis], sizes, most=settings.most_detections, overlap=settings.suppression_overlap
    )
    scores, label, count = (found[name].numpy()[0] for name in ("scores", "classes", "count"))
    kept = [row for row in range(int(count)) if scores[row] >= run.operating.threshold]
    # A box is its place's: the score of no other place is the same to the last digit.
    return [(int(np.argmin(np.abs(seen.scores[:, label[row]] - scores[row]))), int(label[row])) for row in kept]


def candidates(seen: Seen, truth: npt.NDArray[np.floating]) -> list[tuple[int, int]]:
    """Return the places whose boxes overlap a true box at all, best score first, at most ``CANDIDATES``."""
    overlap = box.iou(seen.xyxy, truth[np.newaxis].astype(np.float32))[:, 0]
    best = np.where(overlap > 0.1, seen.scores.max(axis=1), -1.0)
    order = np.argsort(-best, kind="stable")[:CANDIDATES]
    return [(int(place), int(seen.scores[place].argmax())) for place in order if best[place] >= 0]


def _map_of(
    run: loaded_run.Run, seen: Seen, place: int, label: int, *, seed: int
) -> tuple[Map, randomization.RandomizationCheck]:
    """Return where the score of one place comes from, (height, width) of the canvas in [0, 1], and its check."""
    window = _window(seen, place)

    def maps(network: keras.Model) -> Map:
        return layer_cam(network, seen.canvas, layer=model.finest_layer(run.settings), place=place, label=label)

    def inside(network: keras.Model) -> Map:
        return maps(network)[window][np.newaxis]

    check = randomization.check(run.model, seen.canvas, inside, shares=(0.5, 1.0), seed=seed)
    return maps(run.model), check


def _window(seen: Seen, place: int) -> tuple[slice, slice]:
    """Return the rows and columns of the canvas that hold a place's box and half as much around it.

    Far from its place no map has anything, whatever the weights: there, maps would be alike.
    """
    height, width = seen.canvas.shape[1:3]
    corners = seen.places[place, -7:-3]
    margin = np.maximum((corners[2:] - corners[:2]) / 4, seen.places[place, -1])
    left, top = np.maximum(corners[:2] - margin, 0).astype(int)
    right, bottom = np.ceil(np.minimum(corners[2:] + margin, (width, height))).astype(int)
    return slice(top, max(bottom, top + 2)), slice(left, max(right, left + 2))


def layer_cam(network: keras.Model, canvas: Map, *, layer: str, place: int, label: int) -> Map:
    """Return how strongly each place of a layer's features speaks for one score, in the size of the canvas.

    Features weigh by their own gradient where that is positive (Jiang et al. 2021, equations 5 and 6).

    Args:
        network: As ``model.build`` returns it.
        canvas: (1, height, width, 3).
        layer: Of rows and columns of features.
        place: Row of the network's output.
        label: Class.

    Returns:
        (height, width) float32 in [0, 1]; 0 everywhere where nothing speaks for it.
    """
    head, tail = cutting.cut(network, layer)
    inputs = keras.ops.convert_to_tensor(canvas)
    features = np.asarray(keras.ops.convert_to_numpy(head(inputs, training=False)), np.float32)
    _, gradient = gradients.value_and_gradient(
        lambda varied: tail([inputs, varied], training=False)[:, place, label], features
    )
    coarse = np.maximum((np.maximum(gradient, 0) * features).sum(axis=-1), 0)[0]
    fine = cv2.resize(coarse, canvas.shape[2:0:-1], interpolation=cv2.INTER_LINEAR)
    return np.asarray(fine / max(float(fine.max()), 1e-12), np.float32)


def _overview(run: loaded_run.Run, seen: Seen, chosen: list[tuple[int, int]]) -> document.Section:
    places = np.array([place for place, _ in chosen], np.int64)
    labels = np.array([label for _, label in chosen], np.int64)
    drawn = drawing.annotate(
        seen.image,
        seen.xyxy[places],
        labels,
        seen.scores[places, labels],
        run.operating.class_names,
        region=run.rule.region,
    )
    picture = blocks.Picture(source=report_pictures.source(drawn, 2 * _PICTURE_PIXELS), alt="The image with its boxes")
    return document.Section(
        "What was answered",
        "Boxes from the threshold on, and the own way.",
        [blocks.Pictures("", [picture], wide=True)],
    )


def _where(
    run: loaded_run.Run,
    seen: Seen,
    chosen: list[tuple[int, int]],
    maps: list[tuple[Map, randomization.RandomizationCheck]],
) -> document.Section:
    pictures = []
    for (place, label), (heat, check) in zip(chosen, maps, strict=False):
        drawn = drawing.annotate(
            _overlay(seen, heat),
            seen.xyxy[[place]],
            np.array([label]),
            seen.scores[[place], label],
            run.operating.class_names,
        )
        facts: dict[str, blocks.Cell] = {
            "box": run.operating.class_names[label],
            "score": round(float(seen.scores[place, label]), 3),
            "grid": f"{int(seen.places[place, -1])} pixels a place",
            "weight check": "passes" if check.passed else "FAILS: do not trust this map",
        }
        pictures.append(
            blocks.Picture(
                source=report_pictures.source(drawn, _PICTURE_PIXELS), alt="Where a score comes from", facts=facts
            )
        )
    lead = (
        "Where the score of each box comes from, the surest boxes first. The check shuffles the weights (Adebayo et "
        "al. 2018): a map that stays shows the image, not what the network learned."
    )
    caption = "From dark (nothing) to yellow (most)." if pictures else "No box scores enough to be answered."
    return document.Section(
        "Where", lead, [blocks.Pictures(caption, pictures, wide=True)] if pictures else [blocks.Text(caption)]
    )


def _why_missed(
    run: loaded_run.Run, seen: Seen, truth: npt.NDArray[np.floating], near: list[tuple[int, int]]
) -> document.Section:
    names, overlap = run.operating.class_names, box.iou(seen.xyxy, truth[np.newaxis].astype(np.float32))[:, 0]
    rows = [
        (names[label], float(seen.scores[place, label]), float(overlap[place]), f"{int(seen.places[place, -1])} pixels")
        for place, label in near
    ]
    table = blocks.Table(
        columns=("Class", "Score", "Overlap with the true box", "Grid"),
        rows=rows,
        caption=f"The surest candidates that touch the true box; answered is what scores "
        f"{run.operating.threshold:.3f} or more.",
    )
    places = np.array([place for place, _ in near[:1]], np.int64)
    labels = np.array([label for _, label in near[:1]], np.int64)
    drawn = drawing.annotate(
        seen.image,
        seen.xyxy[places],
        labels,
        seen.scores[places, labels],
        names,
        truth=(truth[np.newaxis], np.zeros(1, np.int64)),
    )
    crop = report_pictures.source(report_pictures.cropped(drawn, truth), _PICTURE_PIXELS)
    picture = blocks.Picture(source=crop, alt="The missed object and the surest candidate")
    return document.Section(
        "Why missed?", _reason(run, seen, near, overlap), [blocks.Pictures("Dashed: the true box.", [picture]), table]
    )


def _reason(run: loaded_run.Run, seen: Seen, near: list[tuple[int, int]], overlap: Map) -> str:
    """Say in a sentence what kept the best candidate from being the answer."""
    if not near:
        return "Nothing comes near: no place gives a box that touches it."
    place, label = near[0]
    score, name = float(seen.scores[place, label]), run.operating.class_names[label]
    if score < run.operating.threshold:
        limit = run.operating.threshold
        return f"Too unsure: the surest candidate says {name} with {score:.3f}, below the threshold of {limit:.3f}."
    if overlap[place] < 0.5:
        part = float(overlap[place])
        return (
            f"Badly placed: {name} is answered with {score:.2f}, but its box overlaps the true one by {part:.2f} only."
        )
    return f"Found: {name} is answered there with {score:.2f}; if that is wrong, it is the class."


def _overlay(seen: Seen, heat: Map) -> npt.NDArray[np.uint8]:
    filled = seen.geometry[preprocessing.FILLED]
    height, width = seen.image.shape[:2]
    fine = cv2.resize(heat[: filled[0], : filled[1]], (width, height), interpolation=cv2.INTER_LINEAR)
    colours = cv2.applyColorMap(np.round(fine * 255).astype(np.uint8), cv2.COLORMAP_INFERNO)[..., ::-1]
    share = 0.65 * fine[..., np.newaxis]
    return np.asarray(seen.image * (1 - share) * 0.8 + colours * share, np.uint8)


def _told(run: loaded_run.Run, seen: Seen, place: int, label: int) -> dict[str, Any]:
    return {
        "class": run.operating.class_names[label],
        "score": round(float(seen.scores[place, label]), 4),
        "xyxy": [round(float(value), 1) for value in seen.xyxy[place]],
    }


def _answer(run: loaded_run.Run, chosen: list[tuple[int, int]]) -> str:
    if not chosen:
        return f"Nothing scores {run.operating.threshold:.3f} or more: no box is answered."
    counts = {name: sum(label == i for _, label in chosen) for i, name in enumerate(run.operating.class_names)}
    return "Answered: " + ", ".join(f"{count} {name}" for name, count in counts.items() if count) + "."


def _corners(given: list[float], seen: Seen) -> npt.NDArray[np.float64]:
    corners = np.array(given, np.float64)
    height, width = seen.image.shape[:2]
    if not (0 <= corners[0] < corners[2] <= width and 0 <= corners[1] < corners[3] <= height):
        raise errors.InputError(
            f"--missed: expected left, top, right, bottom inside the image of {width} x {height} pixels. "
            f"Received: {given}"
        )
    return corners
