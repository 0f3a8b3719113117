"""Heat maps of the run's own network, which places of an image raise the score of a class, and their checks.

A map has to change with the weights, and of images whose findings are marked it has to point at these.
"""

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import keras
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from apps.medical_imaging import config, decision, evaluation_inputs
from apps.medical_imaging import run as loaded_run
from shared.explain import grad_cam, gradients, sanity_checks
from shared.models import efficientnet

Floats: TypeAlias = npt.NDArray[np.float32]
Squares: TypeAlias = npt.NDArray[np.uint8]
Ints: TypeAlias = npt.NDArray[np.int64]

# Each step is a gradient of the whole network: 64 take seconds for a large one.
_GRADIENT_STEPS, _MOST_GRADIENT_STEPS, _GRADIENT_TOLERANCE = 32, 64, 0.1
# Contributions of single pixels are as noisy as the image; a spread of a fiftieth of the side shows where they gather.
_BLUR = 0.02
GRADIENTS = "Integrated gradients"
# Each share of shuffled weights predicts every image again; more images hardly move the mean.
MOST_RANDOMISED = 32
Boxes: TypeAlias = Sequence[npt.NDArray[np.floating[Any]] | None] | npt.NDArray[np.object_]
Maps: TypeAlias = Callable[[keras.Model], Floats]


def networks_of(run: loaded_run.Run) -> list[keras.Model]:
    """Return the networks inside the model that predicts: each sees one view of the image, as it is."""
    found = {id(layer): layer for layer in run.model.layers if isinstance(layer, keras.Model)}
    return list(found.values())


@dataclasses.dataclass(frozen=True, kw_only=True)
class Method:
    """How a network's activations become a map.

    Attributes:
        name: As the report calls it.
        layer_path: The layer looked at.
        by_place: Whether features weigh by place; see ``grad_cam.maps``.
    """

    name: str
    layer_path: str
    by_place: bool = False


def activation_method(settings: config.Config) -> Method:
    """Return what shows where this network looks.

    EfficientNet-Lite0's last features see the whole of a small image at every place and show little of where: on
    validation phantoms of 128 pixels their highest place lay in an opacity in 0.08 of the images, which is chance;
    one stage of half the stride, weighed by place, reached 0.63.
    """
    if settings.model == "cnn":
        return Method(name="Grad-CAM", layer_path=f"cnn/stage_{len(settings.cnn_filters)}_relu")
    if settings.backbone == config.LITE:
        return Method(name="Grad-CAM by place (LayerCAM)", layer_path="stage_5_block_3_sum", by_place=True)
    return Method(name="Grad-CAM", layer_path=efficientnet.FEATURES_LAYER)


def grad_cam_maps(
    network: keras.Model, settings: config.Config, squares: Squares, targets: Ints, *, several: bool
) -> Floats:
    """Return (n, size, size) in [0, 1] by ``activation_method``.

    Args:
        network: One that ``networks_of`` returns, or a copy with other weights.
        settings: Of the run.
        squares: (n, size, size, channels).
        targets: (n,) classes or findings to explain.
        several: Whether an image may have several findings, each with a logit of its own.
    """
    found = np.zeros(squares.shape[:3], np.float32)
    method = activation_method(settings)
    for target in np.unique(targets):
        rows = targets == target
        model, column = _one_question(network, int(target), several=several)
        found[rows] = grad_cam.maps(
            model,
            squares[rows].astype(np.float32),
            layer_path=method.layer_path,
            by_place=method.by_place,
            targets=np.full(rows.sum(), column),
        )
    return found


def gradient_maps(network: keras.Model, square: Squares, target: int, *, several: bool) -> tuple[Floats, float]:
    """Return (1, size, size) in [0, 1] by integrated gradients from a black image, and the part that they miss.

    Contributions for the class are blurred; those against it are left out.

    Args:
        network: One that ``networks_of`` returns, or a copy with other weights.
        square: (size, size, channels).
        target: Class or finding to explain.
        several: Whether an image may have several findings, each with a logit of its own.
    """
    model, column = _one_question(network, target, several=several)
    found = gradients.integrated_gradients(
        model,
        square[None].astype(np.float32),
        layer_name=None,
        targets=np.array([column]),
        tolerance=_GRADIENT_TOLERANCE,
        steps=_GRADIENT_STEPS,
        maximum_steps=_MOST_GRADIENT_STEPS,
    )
    spread = np.maximum(ndimage.gaussian_filter(found.values[0].sum(axis=-1), _BLUR * len(square)), 0)
    return (spread / max(float(spread.max()), 1e-12))[None].astype(np.float32), float(found.completeness_error[0])


def ninth(heat: Floats) -> tuple[int, int]:
    """Return row and column, each 0 to 2, of the ninth of the picture in which the highest place lies."""
    row, column = np.unravel_index(int(heat.argmax()), heat.shape)
    return 3 * int(row) // heat.shape[0], 3 * int(column) // heat.shape[1]


def with_ninth_covered(square: Squares) -> Squares:
    """Return (9, size, size, channels): the image with one ninth each, row by row, filled with its mean grey value."""
    covered = np.repeat(square[np.newaxis], 9, axis=0)
    edges = [round(side * len(square) / 3) for side in range(4)]
    for number in range(9):
        row, column = divmod(number, 3)
        inside = np.s_[edges[row] : edges[row + 1], edges[column] : edges[column + 1]]
        covered[number][inside] = np.round(square.mean(axis=(0, 1)))
    return covered


def place(heat: Floats) -> str:
    """Name the ninth of the picture the highest place lies.

    >>> place(np.eye(9, dtype=np.float32)[::-1] * np.arange(9))
    'the upper right of the picture'
    """
    row, column = ninth(heat)
    down, across = ("upper", "middle", "lower")[row], ("left", "centre", "right")[column]
    return f"the {down} {across} of the picture" if (down, across) != ("middle", "centre") else "its centre"


def _one_question(network: keras.Model, target: int, *, several: bool) -> tuple[Any, int]:
    """Return a model and the column whose log-odds are explained: a finding's logit is a log-odds against nothing."""
    if not several:
        return network, target
    kernel = np.zeros((network.output_shape[-1], 2), np.float32)
    kernel[target, 1] = 1.0
    either = keras.layers.Dense(2, use_bias=False, dtype="float32", name="either")
    model = keras.Model(network.inputs[0], either(network.outputs[0]), name="one_question")
    either.set_weights([kernel])
    return model, 1


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class HeatMap:
    """One method's map and its check.

    Attributes:
        method: Its name.
        heat: (size, size) float32 in [0, 1]: what raises the score.
        check: How alike the map is after the weights were shuffled.
        missed: Of integrated gradients: part of the change that the contributions do not add up to.
    """

    method: str
    heat: Floats
    check: sanity_checks.RandomizationCheck
    missed: float | None = None

    @property
    def outcome(self) -> str:
        """Whether the map depends on what the network learned: passes, FAILS, or names nothing."""
        if math.isnan(self.check.means[-1]):
            return "names nothing"
        return "passes" if self.check.passed else "FAILS"


def targets_of(run: loaded_run.Run, scores: decision.Scores) -> Ints:
    """Return (n,) the predicted class, or of several findings the one to explain, for scores (n, k)."""
    return (
        run.rule.explained(scores) if isinstance(run.rule, decision.MultiLabelDecision) else run.rule.predicted(scores)
    )


def checks(
    run: loaded_run.Run,
    squares: Squares,
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
        method=activation_method(run.settings).name,
        images=len(rows),
        randomised=stages(check),
        passed=check.passed,
    )
    if not marked.any():
        return [found]
    units = None if patients is None else patients[rows]
    game = grad_cam.pointing_game(maps, [boxes[row] for row in rows], units=units)
    return [dataclasses.replace(found, pointing=game.rate, chance=game.chance)]


def stages(check: sanity_checks.RandomizationCheck) -> dict[str, float]:
    """Name the mean rank correlation of each share of shuffled weights."""
    pairs = zip(check.shares, check.means, strict=True)
    return {"all weights" if share == 1 else f"last {share:.0%} of the weights": mean for share, mean in pairs}


def by_grad_cam(run: loaded_run.Run, square: Squares, targets: Ints, *, seed: int) -> HeatMap:
    """Return the checked activation map of one image (size, size, channels) for the target (1,)."""
    maps = _grad_cam(run, square[np.newaxis], targets)
    check = _randomise(run, square[np.newaxis], maps, seed=seed)
    return HeatMap(method=activation_method(run.settings).name, heat=_mean_over_networks(run, maps)[0], check=check)


def predicted_class(run: loaded_run.Run, squares: Squares) -> Floats:
    """Return (n, size, size) in [0, 1]: what raises the score of the predicted class, by ``activation_method``."""
    targets = targets_of(run, run.rule.scores(run.logits(squares)))
    return _mean_over_networks(run, _grad_cam(run, squares, targets))


def by_gradients(run: loaded_run.Run, square: Squares, targets: Ints, *, seed: int) -> HeatMap:
    """Return the checked integrated gradients of one image (size, size, channels) for the target (1,)."""
    several, target = run.task == "multi_label", int(targets[0])

    def maps(network: keras.Model) -> Floats:
        return gradient_maps(network, square, target, several=several)[0]

    found = [gradient_maps(network, square, target, several=several) for network in networks_of(run)]
    mean = np.mean([each for each, _ in found], axis=0)[0]
    # One share only: every map takes some dozens of gradients.
    check = _randomise(run, square[np.newaxis], maps, seed=seed, shares=(1.0,))
    return HeatMap(method=GRADIENTS, heat=mean, check=check, missed=max(part for _, part in found))


def _mean_over_networks(run: loaded_run.Run, maps: Maps) -> Floats:
    return np.asarray(np.mean([maps(network) for network in networks_of(run)], axis=0), np.float32)


def _grad_cam(run: loaded_run.Run, squares: Squares, targets: Ints) -> Maps:
    several = run.task == "multi_label"
    return lambda network: grad_cam_maps(network, run.settings, squares, targets, several=several)


def _randomise(
    run: loaded_run.Run,
    squares: Squares,
    maps: Maps,
    *,
    seed: int,
    shares: Sequence[float] = (0.25, 0.5, 0.75, 1.0),
) -> sanity_checks.RandomizationCheck:
    """Shuffle the weights of the first network; the others are built alike."""
    images = squares.astype(np.float32)
    return sanity_checks.randomization(networks_of(run)[0], images, maps, shares=shares, seed=seed)
