"""Why the model predicts what it predicts: heat maps, and the checks that they mean something.

A map is checked twice: it has to change with the weights, and covering the place that it names has to change the score.
"""

import dataclasses
import pathlib
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import keras
import numpy as np
import numpy.typing as npt

from apps.medical_imaging import data, decision, evaluation_inputs, explanation_page, heat_maps
from apps.medical_imaging import run as loaded_run
from apps.medical_imaging.readers import interface
from shared import errors, parser
from shared.explain import grad_cam, sanity_checks

GRADIENTS = "Integrated gradients"
# Each share of shuffled weights predicts every image again; more images hardly move the mean.
MOST_RANDOMISED = 32
Boxes: TypeAlias = Sequence[npt.NDArray[np.floating[Any]] | None] | npt.NDArray[np.object_]
Maps: TypeAlias = Callable[[keras.Model], heat_maps.Floats]


def explain_file(run: loaded_run.Run, options: parser.ExplainOptions) -> dict[str, Any]:
    """Explain one image file and write the picture (``.png``, ``.jpg``) or the page; return what is printed.

    Raises:
        errors.InputError: The input is not one image.
    """
    name = interface.name_of(pathlib.Path(options.input).name)
    explanation = explain(run, read_square(run, options.input), name=name, seed=options.seed)
    explanation_page.write(explanation, options.output)
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


def explain(
    run: loaded_run.Run, square: heat_maps.Squares, *, name: str = "image", seed: int = 0
) -> explanation_page.Explanation:
    """Explain the prediction of one image (size, size, channels): the class or finding that ``targets_of`` names."""
    predicted = decision.predictions(run.rule, run.logits(square[np.newaxis]), np.ones(1, bool))
    names, targets = run.rule.class_names, targets_of(run, predicted["scores"])
    covered = run.rule.scores(run.logits(heat_maps.with_ninth_covered(square)))[:, targets[0]]
    maps = (_by_grad_cam(run, square, targets, seed=seed), _by_gradients(run, square, targets, seed=seed))
    return explanation_page.Explanation(
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


def targets_of(run: loaded_run.Run, scores: decision.Scores) -> heat_maps.Ints:
    """Return (n,) the predicted class, or of several findings the one to explain, for scores (n, k)."""
    return (
        run.rule.explained(scores) if isinstance(run.rule, decision.MultiLabelDecision) else run.rule.predicted(scores)
    )


def summary(explanation: explanation_page.Explanation) -> dict[str, Any]:
    """Return the prediction, the places that raise its score and whether that can be trusted, for the command line."""
    return {
        "label": explanation.label,
        "decision": explanation.decision,
        "explained": explanation.explained,
        "scores": {name: round(score, 4) for name, score in explanation.scores.items()},
        "places": {found.method: heat_maps.place(found.heat) for found in explanation.maps},
        "checks_passed": {found.method: found.check.passed for found in explanation.maps},
    }


def checks(
    run: loaded_run.Run,
    squares: heat_maps.Squares,
    boxes: Boxes,
    *,
    most: int,
    seed: int,
    patients: npt.NDArray[np.object_] | None = None,
) -> list[evaluation_inputs.ExplanationCheck]:
    """Check the activation maps of many images: do they depend on the weights, and do they point at the findings?

    Args:
        run: The finished run.
        squares: (n, size, size, channels).
        boxes: n arrays (m, 4) of where the findings are, in fractions of width and height; None where unknown.
        most: Images explained at most, drawn by ``seed``; where there are boxes, of the images that have one.
        seed: Of the draw and of the shuffled weights.
        patients: (n,), each of which then counts once in the interval of the pointing game.

    Returns:
        One entry; none for no images.
    """
    if not len(squares):
        return []
    marked = np.array([found is not None and len(found) > 0 for found in boxes], bool)
    candidates = np.flatnonzero(marked) if marked.any() else np.arange(len(squares))
    rows = np.sort(np.random.default_rng(seed).permutation(candidates)[:most])
    targets = targets_of(run, run.rule.scores(run.logits(squares[rows])))
    if marked.any() and run.task == "single_label" and len(run.rule.class_names) == 2:
        targets = np.ones_like(targets)  # The boxes are of the last class, whatever the model predicts.
    maps = _mean_over_networks(run, _grad_cam(run, squares[rows], targets))
    some = rows[:MOST_RANDOMISED]
    check = _randomise(run, squares[some], _grad_cam(run, squares[some], targets[: len(some)]), seed=seed)
    found = evaluation_inputs.ExplanationCheck(
        method=heat_maps.activation_method(run.settings).name,
        images=len(rows),
        randomised=explanation_page.stages(check),
    )
    if not marked.any():
        return [found]
    units = None if patients is None else patients[rows]
    game = grad_cam.pointing_game(maps, [boxes[row] for row in rows], units=units)
    return [dataclasses.replace(found, pointing=game.rate, chance=game.chance)]


def _by_grad_cam(
    run: loaded_run.Run, square: heat_maps.Squares, targets: heat_maps.Ints, *, seed: int
) -> explanation_page.HeatMap:
    maps = _grad_cam(run, square[np.newaxis], targets)
    check = _randomise(run, square[np.newaxis], maps, seed=seed)
    return explanation_page.HeatMap(
        method=heat_maps.activation_method(run.settings).name, heat=_mean_over_networks(run, maps)[0], check=check
    )


def _by_gradients(
    run: loaded_run.Run, square: heat_maps.Squares, targets: heat_maps.Ints, *, seed: int
) -> explanation_page.HeatMap:
    several, target = run.task == "multi_label", int(targets[0])

    def maps(network: keras.Model) -> heat_maps.Floats:
        return heat_maps.gradient_maps(network, square, target, several=several)[0]

    found = [
        heat_maps.gradient_maps(network, square, target, several=several) for network in heat_maps.networks_of(run)
    ]
    mean = np.mean([each for each, _ in found], axis=0)[0]
    # One share only: every map takes some dozens of gradients.
    check = _randomise(run, square[np.newaxis], maps, seed=seed, shares=(1.0,))
    return explanation_page.HeatMap(method=GRADIENTS, heat=mean, check=check, missed=max(part for _, part in found))


def _mean_over_networks(run: loaded_run.Run, maps: Maps) -> heat_maps.Floats:
    return np.asarray(np.mean([maps(network) for network in heat_maps.networks_of(run)], axis=0), np.float32)


def _grad_cam(run: loaded_run.Run, squares: heat_maps.Squares, targets: heat_maps.Ints) -> Maps:
    several = run.task == "multi_label"
    return lambda network: heat_maps.grad_cam_maps(network, run.settings, squares, targets, several=several)


def _randomise(
    run: loaded_run.Run,
    squares: heat_maps.Squares,
    maps: Maps,
    *,
    seed: int,
    shares: Sequence[float] = (0.25, 0.5, 0.75, 1.0),
) -> sanity_checks.RandomizationCheck:
    """Shuffle the weights of the first network; the others are built alike."""
    images = squares.astype(np.float32)
    return sanity_checks.randomization(heat_maps.networks_of(run)[0], images, maps, shares=shares, seed=seed)
