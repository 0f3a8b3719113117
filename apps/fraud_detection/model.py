"""The networks: raw numbers, names and histories of cards in, logits of genuine and fraud out.

All scaling is inside, learnt from training rows. Each network reads some of ``numbers`` (batch, columns) float32, NaN
for missing, ``categories`` (batch, columns) int32 and ``sequence`` (batch, length, channels) float32, see ``inputs``.
"""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from scipy import special

from apps.fraud_detection import config, layers
from apps.fraud_detection import decision as decision_rule
from apps.fraud_detection.inputs import CHANNELS, Inputs
from apps.fraud_detection.inputs import FILE as INPUTS_FILE
from apps.fraud_detection.transactions import CLASS_NAMES
from shared import errors, files
from shared.models import averaging, building, rnn, sequences, tabular

CLASSES = len(CLASS_NAMES)
READS = {
    "dense": ("numbers", "categories"),
    "distilled": ("numbers", "categories"),
    "sequence": ("numbers", "categories", "sequence"),
    "autoencoder": ("numbers",),
    "gan": ("numbers",),
}
# From here on a training part is large: larger batches, fewer passes, less dropout.
MANY_ROWS = 20_000
# Bins are many weights; without histories, whose thresholds they find, it takes this many frauds to set them.
FRAUDS_FOR_BINS = 1_000
# Scored at once.
BATCH_ROWS = 8_192


def networks(settings: config.Config, inputs: Inputs) -> tuple[str, ...]:
    """Return the networks that are trained.

    Without a payer there are no sequences to read; what boosted trees teach is worth it where labels are few.

    Raises:
        errors.InputError: Only a network that reads sequences was asked for.
    """
    fits = {"sequence": inputs.sequence_length > 0, "distilled": few_labels(inputs) or settings.model == "distilled"}
    found = tuple(name for name in settings.networks if fits.get(config.kind(name), True))
    if not found:
        raise errors.InputError(
            "model: expected a payer (the schema's first entity) for a sequence network. Received: data without one"
        )
    return found


def reads(network: str, inputs: Inputs) -> tuple[str, ...]:
    """Return the arrays that a network reads of these inputs."""
    absent = {"categories": not inputs.vocabularies, "sequence": not inputs.sequence_length}
    return tuple(name for name in READS[config.kind(network)] if not absent.get(name, False))


def build(network: str, inputs: Inputs, settings: config.Config, numbers: npt.NDArray[np.float32]) -> keras.Model:
    """Build a classifier, ``dense``, ``distilled`` or ``sequence``.

    Args:
        network: Its name.
        inputs: Which columns there are.
        settings: Sizes.
        numbers: (n, columns) of the training part, for the scaling.

    Returns:
        An uncompiled model from {array name: tensor} to ``logits`` (batch, 2).
    """
    tensors = keras_inputs(inputs, reads(network, inputs))
    # Imitating trees takes their thresholds, and has no labels to learn by heart.
    imitates = config.kind(network) == "distilled"
    parts = _encoded(tensors["numbers"], numbers, "both" if imitates else encoding(settings, inputs))
    if "categories" in tensors:
        sizes = {name: len(words) + 1 for name, words in inputs.vocabularies.items()}
        parts.append(tabular.embed(tensors["categories"], sizes))
    if "sequence" in tensors:
        parts.append(_read_sequence(tensors["sequence"], settings))
    joined = keras.layers.Concatenate(name="joined")(parts) if len(parts) > 1 else parts[0]
    hidden = building.hidden(
        joined,
        units=settings.hidden_units,
        activation="relu",
        dropout_rate=0.0 if imitates else dropout_rate(settings, len(numbers)),
    )
    return keras.Model(wanted(tensors), building.logits(hidden, classes=CLASSES), name=layer_name(network))


def layer_name(network: str) -> str:
    """Return the name of a network inside the whole model, where an input may be called as it is.

    >>> layer_name("sequence")
    'sequence_network'
    """
    return f"{network}_network"


def keras_inputs(inputs: Inputs, names: tuple[str, ...]) -> dict[str, Any]:
    """Return the input tensors of these arrays."""
    shapes = {
        "numbers": ((len(inputs.numbers),), "float32"),
        "categories": ((len(inputs.vocabularies),), "int32"),
        "sequence": ((inputs.sequence_length, len(CHANNELS)), "float32"),
    }
    return {name: keras.Input(shapes[name][0], dtype=shapes[name][1], name=name) for name in names}


def few_labels(inputs: Inputs) -> bool:
    """Return whether there are too few frauds to learn thresholds of columns from, and no histories."""
    return not inputs.history and inputs.frauds < FRAUDS_FOR_BINS


def encoding(settings: config.Config, inputs: Inputs) -> str:
    """Return how numbers are read: standard, piecewise or both."""
    if settings.encoding != "auto":
        return settings.encoding
    return "standard" if few_labels(inputs) else "both"


def dropout_rate(settings: config.Config, rows: int) -> float:
    """Return the dropout of the hidden layers."""
    if settings.dropout_rate is not None:
        return settings.dropout_rate
    return 0.2 if rows >= MANY_ROWS else 0.4


def wanted(tensors: Mapping[str, Any]) -> Any:
    """Return tensors as a model takes them: a mapping, or the only one as it is."""
    return dict(tensors) if len(tensors) > 1 else next(iter(tensors.values()))


def _encoded(tensor: Any, numbers: npt.NDArray[np.float32], encoding: str) -> list[Any]:
    parts = []
    if encoding in ("standard", "both"):
        parts.append(tabular.Standardize(*tabular.standard_scale(numbers), name="standardized")(tensor))
    if encoding in ("piecewise", "both"):
        parts.append(tabular.PiecewiseLinear(tabular.quantile_edges(numbers), name="piecewise")(tensor))
    return parts


def _read_sequence(sequence: Any, settings: config.Config) -> Any:
    """Map (batch, length, channels) to (batch, units), with attention over the steps."""
    mask = sequences.RealSteps(name="mask")(sequence)
    units = settings.sequence_units
    if settings.sequence_network == "cnn":
        convolved = keras.layers.Conv1D(units, 3, padding="same", activation="relu", name="convolved")(sequence)
        return sequences.AttentionPooling(name="pooling")(convolved, mask)
    cell: Any = settings.sequence_network
    return rnn.recur(sequence, mask, rnn.Recurrence(cell=cell, units=(units,), bidirectional=False))


def average(
    inputs: Inputs, networks: Mapping[str, keras.Model], weights: Mapping[str, averaging.Member]
) -> keras.Model:
    """Join trained networks: {array name: tensor} to ``average`` (batch, 2), not yet calibrated for prevalence."""
    names = dict.fromkeys(name for network in networks for name in reads(network, inputs))
    tensors = keras_inputs(inputs, tuple(names))
    logits = [
        network(wanted({name: tensors[name] for name in reads(each, inputs)})) for each, network in networks.items()
    ]
    return keras.Model(wanted(tensors), averaging.average(networks, weights)(logits), name="average")


def calibrated(averaged: keras.Model, *, slope: float, offset: float) -> keras.Model:
    """Return the whole model: {array name: tensor} to ``logits`` (batch, 2), whose softmax is a probability."""
    tensors = {tensor.name: tensor for tensor in averaged.inputs}
    logits = layers.PlattLogits(slope, offset, name="calibrated")(layers.LogOdds(name="log_odds")(averaged.output))
    return keras.Model(wanted(tensors), logits, name="fraud_detection")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scorer:
    """A trained model with its threshold.

    Attributes:
        model: {array name: (batch, ...)} to logits (batch, 2).
        inputs: Which arrays those are.
        decision_rule: The threshold, frozen on validation data.
    """

    model: keras.Model
    inputs: Inputs
    decision_rule: decision_rule.DecisionRule

    def scores(self, arrays: Mapping[str, npt.NDArray[Any]]) -> npt.NDArray[np.float64]:
        """Return (n,) calibrated probabilities of fraud of ``preprocessing.arrays``.

        Raises:
            errors.InputError: One is no number: the model is broken.
        """
        found = probabilities(predict(self.model, arrays))
        broken = int(np.isnan(found).sum())
        if broken:
            raise errors.InputError(
                f"the model: expected a probability for each transaction. Received: NaN for {broken:,} of "
                f"{len(found):,}; train it again"
            )
        return found

    def network_scores(
        self, networks: Sequence[str], arrays: Mapping[str, npt.NDArray[Any]]
    ) -> dict[str, npt.NDArray[np.float64]]:
        """Return the own probabilities (n,) of each of the model's networks, calibrated by its temperature."""
        average: averaging.CalibratedAverage = self.model.get_layer("logits")
        tensors = average.input if isinstance(average.input, list) else [average.input]
        found = {}
        for name, tensor, temperature in zip(networks, tensors, average.temperatures, strict=True):
            alone = keras.Model(self.model.input, tensor)
            found[name] = probabilities(predict(alone, arrays) / temperature)
        return found


def fold_folder(folder: files.RunFolder, number: int) -> pathlib.Path:
    """Return where the model of an older fold is kept; ``number`` counts from 1."""
    return folder.path / "folds" / str(number)


def numbered(folder: pathlib.Path) -> list[pathlib.Path]:
    """Return the folders below one whose names are numbers, in their order; other folders are not ours."""
    found = [each for each in folder.glob("*/") if each.name.isascii() and each.name.isdecimal()]
    return sorted(found, key=lambda each: int(each.name))


def save(scorer: Scorer, path: pathlib.Path) -> None:
    """Write ``model.keras``, ``inputs.json`` and, last, ``decision.json``."""
    with files.atomic(path / "model.keras") as temporary:
        scorer.model.save(temporary)
    files.write_json(path / INPUTS_FILE, scorer.inputs.to_json())
    files.write_json(path / "decision.json", scorer.decision_rule.to_json())


def load(path: pathlib.Path) -> Scorer:
    """Read what ``save`` wrote."""
    decided, columns = path / "decision.json", path / INPUTS_FILE
    found = Inputs.from_json(files.read_json(columns), where=str(columns))
    model = building.load(path / "model.keras", logits=CLASSES)
    shapes = {tensor.name: tuple(tensor.shape[1:]) for tensor in model.inputs}
    wanted_shapes = {name: tuple(each.shape[1:]) for name, each in keras_inputs(found, tuple(shapes)).items()}
    if shapes != wanted_shapes:
        raise errors.InputError(f"{columns}: expected the columns of the model, {shapes}. Received: {wanted_shapes}")
    return Scorer(
        model=model,
        inputs=found,
        decision_rule=decision_rule.DecisionRule.from_json(files.read_json(decided), where=str(decided)),
    )


def predict(network: keras.Model, arrays: Mapping[str, npt.NDArray[Any]]) -> npt.NDArray[np.float32]:
    """Return a model's output for every row of the arrays that it reads."""
    given = {tensor.name: arrays[tensor.name] for tensor in network.inputs}
    return np.asarray(network.predict(wanted(given), batch_size=BATCH_ROWS, verbose=0), np.float32)


def probabilities(logits: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.float64]:
    """Return the probability of fraud (n,) of logits (n, 2)."""
    return np.asarray(special.expit(np.float64(logits[:, 1]) - np.float64(logits[:, 0])), np.float64)
