"""Why the model predicts what it predicts: the page or the picture of an image's heat maps and their checks.

A map is shown with whether it changes with the weights. A score is said to come from a place only where it falls when
that place is covered.
"""

import dataclasses
import io
import math
import pathlib
from typing import Any

import matplotlib
import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont

from apps.medical_imaging import data, decision, heat_maps
from apps.medical_imaging import run as loaded_run
from shared import errors, files, parser
from shared.explain import sanity_checks
from shared.report import blocks, document

PICTURES = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}
PICTURE_PIXELS = 448
_LINE_PIXELS, _GAP_PIXELS = 24, 8
_LIMITS = (
    "The colours show what raised this model's score, not what is ill: a score may rest on a tube, a letter or the "
    "edge of the picture. Not a medical device."
)
_SYNTHETIC = "The model was trained on synthetic images; what it predicts for a patient's image means nothing."


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Explanation:
    """Why one image got its label.

    Attributes:
        name: Of the image.
        square: (size, size, channels) uint8, as the network reads it.
        label: The predicted class, the findings called present, or ``No Finding``.
        decision: The label, or ``abstain``.
        explained: The class or finding that the maps explain.
        scores: Calibrated probability of each class or finding, by name.
        maps: One per method.
        covered: (9,) the score of ``explained`` with each ninth of the image covered, row by row.
        synthetic: Whether the model was trained on synthetic images.
    """

    name: str
    square: heat_maps.Squares
    label: str
    decision: str
    explained: str
    scores: dict[str, float]
    maps: tuple[heat_maps.HeatMap, ...]
    covered: tuple[float, ...]
    synthetic: bool = False


def explain_file(run: loaded_run.Run, options: parser.ExplainOptions) -> dict[str, Any]:
    """Explain one image file and write the picture (``.png``, ``.jpg``) or the page; return what is printed.

    Raises:
        errors.InputError: The input is not one image.
    """
    name = files.printable(pathlib.Path(options.input).name)
    explanation = explain(run, read_square(run, options.input), name=name, seed=options.seed)
    write(explanation, options.output)
    return summary(explanation)


def read_square(run: loaded_run.Run, argument: str) -> heat_maps.Squares:
    """Read one image as the network does, (size, size, channels).

    Raises:
        errors.InputError: There is no such file, it holds several images, or it cannot be decoded.
    """
    items = [item for _, chunk in data.iterate_images([pathlib.Path(argument)], chunk_rows=2) for item in chunk]
    if len(items) != 1:
        raise errors.InputError(f"{argument}: expected one image to explain. Received: {len(items)}")
    squares, valid = run.squares(items)
    if not valid[0]:
        raise errors.InputError(f"{argument}: expected an image that can be decoded. Received: one that cannot")
    square: heat_maps.Squares = squares[0]
    return square


def explain(run: loaded_run.Run, square: heat_maps.Squares, *, name: str = "image", seed: int = 0) -> Explanation:
    """Explain the prediction of one image (size, size, channels): what ``heat_maps.targets_of`` names."""
    predicted = decision.predictions(run.rule, run.logits(square[np.newaxis]), np.ones(1, bool))
    names, targets = run.rule.class_names, heat_maps.targets_of(run, predicted["scores"])
    covered = run.rule.scores(run.logits(heat_maps.with_ninth_covered(square)))[:, targets[0]]
    maps = (
        heat_maps.by_grad_cam(run, square, targets, seed=seed),
        heat_maps.by_gradients(run, square, targets, seed=seed),
    )
    return Explanation(
        name=name,
        square=square,
        label=str(predicted["labels"][0]),
        decision=str(predicted["decision"][0]),
        explained=names[targets[0]],
        scores=dict(zip(names, predicted["scores"][0].tolist(), strict=True)),
        maps=maps,
        covered=tuple(covered.tolist()),
        synthetic="chest-phantoms" in run.settings.data,
    )


def summary(explanation: Explanation) -> dict[str, Any]:
    """Return the prediction, the places that raise its score and whether that can be trusted, for the command line."""
    return {
        "label": explanation.label,
        "decision": explanation.decision,
        "explained": explanation.explained,
        "scores": {name: round(score, 4) for name, score in explanation.scores.items()},
        "places": {found.method: heat_maps.place(found.heat) for found in explanation.maps},
        "checks_passed": {found.method: found.check.passed for found in explanation.maps},
    }


def write(explanation: Explanation, output: pathlib.Path) -> None:
    """Write a picture where the name ends in ``.png``, ``.jpg`` or ``.jpeg``, else a page."""
    kind = PICTURES.get(output.suffix.lower())
    if kind is None:
        files.write_text(output, document.render(page(explanation)))
        return
    with files.atomic(output) as temporary:
        picture(explanation).save(temporary, kind)


def page(explanation: Explanation) -> document.Report:
    """Return the page: the prediction, the maps, and their heat_maps.checks."""
    limits = f"{_SYNTHETIC} {_LIMITS}" if explanation.synthetic else _LIMITS
    sections = [
        document.Section(
            "Where", f"What raises the score of {explanation.explained} in this image.", [_pictures(explanation)]
        ),
        document.Section("Is the explanation true?", *_checks_in_words(explanation)),
        document.Section("What it does not show", limits, []),
    ]
    return document.Report(
        title="Why this prediction?",
        subtitle="Grad-CAM (Selvaraju et al. 2017; by place: Jiang et al. 2021), integrated gradients "
        "(Sundararajan et al. 2017)",
        answer=_prediction(explanation),
        headline=[blocks.Tile(f"Probability of {name}", score) for name, score in explanation.scores.items()],
        sections=sections,
    )


def picture(explanation: Explanation) -> PIL.Image.Image:
    """Return the image and its maps side by side, with the prediction and the outcome of the heat_maps.checks below."""
    parts = [
        overlay(explanation.square),
        *(overlay(explanation.square, one.heat) for one in explanation.maps),
    ]
    lines = [
        f"{explanation.name}: {_prediction(explanation)}",
        "From left to right: the image as the network reads it; " + "; ".join(one.method for one in explanation.maps),
        *(f"{one.method}: {_check_in_words(one)}" for one in explanation.maps),
        *([_SYNTHETIC] if explanation.synthetic else []),
        _LIMITS,
    ]
    side = PICTURE_PIXELS
    width = len(parts) * (side + _GAP_PIXELS) - _GAP_PIXELS
    canvas = PIL.Image.new("RGB", (width, side + (len(lines) + 1) * _LINE_PIXELS), "white")
    for number, part in enumerate(parts):
        canvas.paste(part, (number * (side + _GAP_PIXELS), 0))
    draw, font = PIL.ImageDraw.Draw(canvas), PIL.ImageFont.load_default(14)
    for number, line in enumerate(lines):
        draw.text((_GAP_PIXELS, side + _LINE_PIXELS // 2 + number * _LINE_PIXELS), line, fill="black", font=font)
    return canvas


def _prediction(explanation: Explanation) -> str:
    """Say what is predicted, the score that the maps explain, and the place it comes from, where that is true."""
    abstains = explanation.decision != explanation.label
    start = "The model abstains; it would predict" if abstains else "The model predicts"
    sentence = f"{start} {explanation.label} ({explanation.explained}: {explanation.scores[explanation.explained]:.2f})"
    believed = [one for one in explanation.maps if one.outcome == "passes"]
    if not believed:
        return f"{sentence}; no explanation of it passed its check."
    return f"{sentence}. {_reason(explanation, believed[0])}"


def _reason(explanation: Explanation, shown: heat_maps.HeatMap) -> str:
    """Say what covering the map's strongest place does to the score, and if it comes from there."""
    row, column = heat_maps.ninth(shown.heat)
    before, after = explanation.scores[explanation.explained], explanation.covered[3 * row + column]
    place, name = heat_maps.place(shown.heat), explanation.explained
    change = f"with that covered it goes from {before:.2f} to {after:.2f}"
    if not round(before, 2) > round(after, 2):
        return f"{shown.method} is strongest at {place}, but the score of {name} does not come from there: {change}."
    lowest = [score for score in explanation.covered if score <= after]
    share = "most of all" if len(lowest) == 1 else "in part"
    return f"By {shown.method} the score of {name} comes {share} from {place}: {change}."


def _pictures(explanation: Explanation) -> blocks.Pictures:
    plain = blocks.Picture(
        source=_data_address(overlay(explanation.square)), alt="The image", facts={"Image": "as read"}
    )
    maps = [
        blocks.Picture(
            source=_data_address(overlay(explanation.square, one.heat)),
            alt=f"{one.method}: the score of {explanation.explained} is raised most at {heat_maps.place(one.heat)}",
            facts={one.method: heat_maps.place(one.heat), "Weight check": one.outcome},
        )
        for one in explanation.maps
    ]
    caption = "The image as the network reads it, and what raises the score: from violet (some) to yellow (most)."
    return blocks.Pictures(caption, [plain, *maps])


def _checks_in_words(explanation: Explanation) -> tuple[str, list[blocks.Block]]:
    lead = (
        "A map that stays when the weights are shuffled shows the image, not what the network learned "
        "(Adebayo et al. 2018)."
    )
    outcomes: list[blocks.Block] = [
        blocks.Text(f"{one.method}: {_check_in_words(one)}", tone="good" if one.outcome == "passes" else "bad")
        for one in explanation.maps
    ]
    rows = [
        (one.method, stage, mean) for one in explanation.maps for stage, mean in heat_maps.stages(one.check).items()
    ]
    table = blocks.Table(
        columns=("Method", "Shuffled", "Rank correlation with the true map"),
        rows=[(method, stage, None if math.isnan(mean) else mean) for method, stage, mean in rows],
        caption="How alike the map is when weights are shuffled, from the logits down; 1 is the same map, 0 another.",
        signed=True,
    )
    return lead, [*outcomes, table]


def _check_in_words(one: heat_maps.HeatMap) -> str:
    sentence = {
        "passes": "the check passes.",
        "FAILS": "the check FAILS: do not trust this map.",
        "names nothing": "nothing in the image raises the score; there is no map to trust.",
    }[one.outcome]
    if one.outcome == "names nothing":
        return sentence
    sentence += f" With all weights shuffled the rank correlation with the map is {one.check.means[-1]:+.2f}"
    sentence += f" (at most {sanity_checks.RANDOMIZATION_LIMIT} either way)."
    return (
        sentence
        if one.missed is None
        else f"{sentence} The contributions miss {one.missed:.0%} of the change of the score."
    )


def _data_address(image: PIL.Image.Image) -> str:
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return blocks.data_address(stream.getvalue(), kind="png")


def beside(square: heat_maps.Squares, heat: heat_maps.Floats, *, side: int) -> PIL.Image.Image:
    """Return the image as the network reads it, and to the right of it the same under the heat, each ``side`` wide."""
    canvas = PIL.Image.new("RGB", (2 * side, side))
    canvas.paste(overlay(square).resize((side, side)), (0, 0))
    canvas.paste(overlay(square, heat).resize((side, side)), (side, 0))
    return canvas


def overlay(square: heat_maps.Squares, heat: heat_maps.Floats | None = None) -> PIL.Image.Image:
    """Return the image as the network reads it, enlarged, with the heat over it where it is more than nothing.

    Args:
        square: (size, size, channels).
        heat: (size, size) in [0, 1].
    """
    base = PIL.Image.fromarray(square[..., 0] if square.shape[-1] == 1 else square).convert("RGB")
    base = base.resize((PICTURE_PIXELS, PICTURE_PIXELS), PIL.Image.Resampling.BICUBIC)
    if heat is None:
        return base
    enlarged = PIL.Image.fromarray(np.asarray(heat, np.float32)).resize(base.size, PIL.Image.Resampling.BILINEAR)
    strength = np.clip(np.asarray(enlarged), 0, 1)
    # The colours rise in lightness alone, so that grey print and colour-blind eyes keep the order.
    colours = PIL.Image.fromarray((matplotlib.colormaps["plasma"](strength)[..., :3] * 255).astype(np.uint8))
    return PIL.Image.composite(colours, base, PIL.Image.fromarray((strength * 0.6 * 255).astype(np.uint8)))
