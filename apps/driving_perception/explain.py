"""Where the score of each box comes from, and why an object was missed; each sentence is checked on the model."""

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from apps.driving_perception import boxes as box
from apps.driving_perception import drawing, frames, preprocessing, saliency
from apps.driving_perception import run as loaded_run
from shared import errors, files, parser
from shared.report import blocks, document

MOST_EXPLAINED = 4
CANDIDATES = 8
# From these overlaps with the true box on a box fits it, or is near it at all.
FITS, NEAR = 0.5, 0.1
_PICTURE_PIXELS = 560


class Predicted(NamedTuple):
    """One predicted box: its place and class among the network's outputs, and its score."""

    place: int
    label: int
    score: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(parser.ExplainOptions):
    """What ``explain`` is asked for.

    Attributes:
        missed: Left, top, right and bottom of an object that should have been found [pixels].
    """

    missed: Sequence[float] | None = None


def explain_file(run: loaded_run.Run, options: Options) -> dict[str, Any]:
    """Explain one image file and write the page; return what the user is told.

    Args:
        run: The finished run.
        options: What to explain, and where to write it.

    Raises:
        errors.InputError: The input is no image, or the corners are no box in it.
    """
    seen, found, decision = look(run, pathlib.Path(options.input))
    explained = [
        saliency.explain(run.model, run.settings, seen, each.place, each.label, seed=options.seed)
        for each in found[:MOST_EXPLAINED]
    ]
    sections = [_overview(run, seen, found), _where(run, seen, found, explained)]
    told: dict[str, Any] = {
        "boxes": [_told(run, seen, each) for each in found],
        "decision": decision,
        "checks_passed": [each.shuffled.passed for each in explained],
        "greyed_checks_passed": [each.agrees for each in explained],
    }
    if options.missed is not None:
        truth = _corners(options.missed, seen)
        near = candidates(seen, truth)
        sections.append(_why_missed(run, seen, truth, near, found))
        told["near_the_missed"] = [_told(run, seen, each) for each in near[:CANDIDATES]]
        told["why_missed"] = reason(run, seen, truth, near, found)
    page = document.Report(
        title="Why these boxes?",
        subtitle=f"{seen.name}; LayerCAM (Jiang et al. 2021) of the place that each box comes from",
        answer=_summary(run, found, decision),
        sections=sections,
    )
    files.write_text(options.output, document.render(page))
    return told


def look(run: loaded_run.Run, path: pathlib.Path) -> tuple[saliency.Seen, list[Predicted], str]:
    """Return one image with the network's output for every place, its predicted boxes, best first, and the decision.

    Boxes and decision are those of ``predict``: the same file through the same graph.

    Raises:
        errors.InputError: There is no such file, or it is no image.
    """
    if not path.is_file():
        raise errors.InputError(f"{path}: expected one image file to explain. Received: no file")
    content = path.read_bytes()
    image = frames.decode(content, name=str(path))
    encoded = tf.constant([frames.as_file(content)], tf.string)
    canvas, geometry, valid = preprocessing.decode(encoded, image_size=run.settings.image_size)
    if not bool(valid[0]):
        raise errors.InputError(f"{path}: expected an image that can be decoded. Received: another file")
    pixels = canvas.numpy().astype(np.float32)
    places = keras.ops.convert_to_numpy(run.model(pixels, training=False))[0]
    seen = saliency.Seen(
        name=path.name, image=image, canvas=pixels, geometry=geometry[0].numpy().astype(np.int64), places=places
    )
    outputs = run.predict([content])
    found = [
        _place_of(seen, outputs["boxes"][0, row], int(outputs["classes"][0, row]), float(outputs["scores"][0, row]))
        for row in range(int(outputs["count"][0]))
    ]
    return seen, found, str(outputs["decision"][0])


def _place_of(seen: saliency.Seen, xyxy: npt.NDArray[np.float32], label: int, score: float) -> Predicted:
    """Return the place that a box of the graph comes from: the one with its score and its corners."""
    distance = 1000 * np.abs(seen.scores[:, label] - score) + np.abs(seen.xyxy - xyxy).max(axis=1)
    return Predicted(int(np.argmin(distance)), label, score)


def candidates(seen: saliency.Seen, truth: npt.NDArray[np.floating]) -> list[Predicted]:
    """Return the places whose boxes overlap a true box by more than ``NEAR``, best score first."""
    overlap = _overlaps(seen, truth)
    best = np.where(overlap > NEAR, seen.scores.max(axis=1), -1.0)
    order = [int(place) for place in np.argsort(-best, kind="stable") if best[place] >= 0]
    return [Predicted(place, int(seen.scores[place].argmax()), float(best[place])) for place in order]


def _overlaps(seen: saliency.Seen, truth: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """Return (n,) the overlap of every place's box with a true one."""
    return box.iou(seen.xyxy, truth[np.newaxis].astype(np.float32))[:, 0]


def reason(
    run: loaded_run.Run,
    seen: saliency.Seen,
    truth: npt.NDArray[np.floating],
    near: list[Predicted],
    found: list[Predicted],
) -> str:
    """Return the sentence that says what kept an object from being predicted.

    Args:
        run: The finished run.
        seen: The image.
        truth: (4,) the true box in pixels.
        near: From ``candidates``.
        found: The predicted boxes.
    """
    overlap, names, limit = _overlaps(seen, truth), run.rule.class_names, run.rule.threshold
    hits = [each for each in found if overlap[each.place] >= FITS]
    if hits:
        hit = hits[0]
        return f"Found: {names[hit.label]} is predicted there with {hit.score:.2f}; if that is wrong, it is the class."
    badly = [each for each in found if overlap[each.place] > NEAR]
    beside = ""
    if badly:
        each = badly[0]
        part = float(overlap[each.place])
        beside = (
            f" {names[each.label]} is predicted beside it with {each.score:.2f}, but its box overlaps the true one by "
            f"{part:.2f} only."
        )
    fitting = next((each for each in near if overlap[each.place] >= FITS), None)
    if fitting is None and not near:
        return f"Nothing comes near: no place gives a box that overlaps it by more than {NEAR}."
    if fitting is None:
        return f"Badly placed: no place gives a box that overlaps it by {FITS} or more.{beside}"
    name = names[fitting.label]
    if fitting.score < limit:
        return (
            f"Too unsure: the surest box that fits scores {fitting.score:.3f} as {name}, below the threshold of "
            f"{limit:.3f}.{beside}"
        )
    why = _why_dropped(run, seen, fitting, found)
    return f"Suppressed: a box that fits scores {fitting.score:.3f} as {name}, but {why}.{beside}"


def _why_dropped(run: loaded_run.Run, seen: saliency.Seen, lost: Predicted, found: list[Predicted]) -> str:
    """Say why a box that scores enough is not predicted: a better one overlaps it, or there are too many."""
    same = [each for each in found if each.label == lost.label]
    overlap = box.iou(seen.xyxy[[lost.place]], seen.xyxy[[each.place for each in same]])[0]
    limit = run.settings.suppression_overlap
    if len(same) and overlap.max() > limit:
        better = same[int(overlap.argmax())]
        return (
            f"overlaps a better one of its class ({better.score:.3f}) by {overlap.max():.2f}, more than the "
            f"{limit:g} up to which both stay"
        )
    return f"other boxes score more: at most {run.settings.most_detections} are predicted for one image"


def _overview(run: loaded_run.Run, seen: saliency.Seen, found: list[Predicted]) -> document.Section:
    drawn = _draw(run, seen, seen.image, found, region=run.region)
    picture = blocks.Picture(source=drawing.picture_source(drawn, 2 * _PICTURE_PIXELS), alt="The image with its boxes")
    return document.Section(
        "Predictions", "Boxes from the threshold on, and the own way.", [blocks.Pictures("", [picture], wide=True)]
    )


def _draw(
    run: loaded_run.Run, seen: saliency.Seen, image: npt.NDArray[np.uint8], found: list[Predicted], **options: Any
) -> npt.NDArray[np.uint8]:
    places, labels = (np.array([each[i] for each in found], np.int64) for i in (0, 1))
    scores = np.array([each.score for each in found], np.float32)
    return drawing.annotate(image, seen.xyxy[places], labels, scores, run.rule.class_names, **options)


def _where(
    run: loaded_run.Run, seen: saliency.Seen, found: list[Predicted], explained: list[saliency.Explanation]
) -> document.Section:
    pictures = []
    for each, why in zip(found, explained, strict=False):
        facts: dict[str, blocks.Cell] = {
            "box": run.rule.class_names[each.label],
            "score": round(each.score, 3),
            "score without the brightest tenth": round(why.without_brightest, 3),
            "score without the darkest tenth": round(why.without_darkest, 3),
            "grid": f"{int(seen.places[each.place, -1])} pixels a place",
            "weight check": "passes" if why.shuffled.passed else "FAILS: do not trust this map",
            "greyed check": "passes" if why.agrees else "FAILS: the score does not need what this map shows",
        }
        drawn = _draw(run, seen, saliency.overlay(seen, why.heat), [each])
        source = drawing.picture_source(drawn, _PICTURE_PIXELS)
        pictures.append(blocks.Picture(source=source, alt="Where a score comes from", facts=facts))
    lead = (
        "Where the score of each box comes from, the surest boxes first. One check shuffles the weights (Adebayo et "
        "al. 2018): a map that stays shows the image, not what the network learned. The other asks the network again "
        "with the brightest and with the darkest tenth around the box greyed: the brightest must cost more."
    )
    caption = "From dark (nothing) to yellow (most)." if pictures else "No box reaches the threshold."
    return document.Section(
        "Where", lead, [blocks.Pictures(caption, pictures, wide=True)] if pictures else [blocks.Text(caption)]
    )


def _why_missed(
    run: loaded_run.Run,
    seen: saliency.Seen,
    truth: npt.NDArray[np.floating],
    near: list[Predicted],
    found: list[Predicted],
) -> document.Section:
    names, overlap = run.rule.class_names, _overlaps(seen, truth)
    table = blocks.Table(
        columns=("Class", "Score", "Overlap with the true box", "Grid"),
        rows=[
            (names[each.label], each.score, float(overlap[each.place]), f"{int(seen.places[each.place, -1])} pixels")
            for each in near[:CANDIDATES]
        ],
        caption=f"The surest of the network's boxes that overlap the true box by more than {NEAR}; predicted is what "
        f"scores {run.rule.threshold:.3f} or more and overlaps no better box of its class by more than "
        f"{run.settings.suppression_overlap:g}.",
    )
    drawn = _draw(run, seen, seen.image, near[:1], truth=(truth[np.newaxis], np.zeros(1, np.int64)))
    crop = drawing.picture_source(drawing.cropped(drawn, truth), _PICTURE_PIXELS)
    picture = blocks.Picture(source=crop, alt="The missed object and the surest candidate")
    said = reason(run, seen, truth, near, found)
    return document.Section("Why missed?", said, [blocks.Pictures("Dashed: the true box.", [picture]), table])


def _told(run: loaded_run.Run, seen: saliency.Seen, each: Predicted) -> dict[str, Any]:
    return {
        "class": run.rule.class_names[each.label],
        "score": round(each.score, 4),
        "xyxy": [round(float(value), 1) for value in seen.xyxy[each.place]],
    }


def _summary(run: loaded_run.Run, found: list[Predicted], decision: str) -> str:
    if not found:
        return f"Nothing scores {run.rule.threshold:.3f} or more: no box is predicted. Decision: {decision}."
    counts = {name: sum(each.label == i for each in found) for i, name in enumerate(run.rule.class_names)}
    listed = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
    return f"Predicted: {listed}. Decision: {decision}."


def _corners(given: Sequence[float], seen: saliency.Seen) -> npt.NDArray[np.float64]:
    corners = np.array(given, np.float64)
    height, width = seen.image.shape[:2]
    if not (0 <= corners[0] < corners[2] <= width and 0 <= corners[1] < corners[3] <= height):
        raise errors.InputError(
            f"--missed: expected left, top, right, bottom inside the image of {width} x {height} pixels. "
            f"Received: {given}"
        )
    return corners
