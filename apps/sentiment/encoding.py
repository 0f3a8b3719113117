"""A pretrained encoder in a run: read, its frozen blocks computed once and kept on disk, the others fine-tuned."""

import logging
import pathlib
from collections.abc import Callable

import keras
import numpy as np

from apps.sentiment import config, model
from shared import config as shared_config
from shared import errors, files
from shared.models import encoder, encoder_weights
from shared.training import datasets

log = logging.getLogger("fieldnets")

# Word pieces in a batch of the frozen blocks.
BATCH_PIECES = 8192
# What is recorded of the encoder in a run's folder.
RECORD = "encoder.json"

# Trains a network on rows, and chooses its weights on others.
Learn = Callable[[keras.Model, datasets.Arrays, datasets.Arrays], None]


def read(settings: config.Config) -> encoder_weights.Pretrained | None:
    """Return the encoder that the run's networks or word vectors start from; None where none of them does.

    Raises:
        errors.InputError: It is not to be had, or is smaller than the settings ask for.
    """
    kinds = {model.kind(name) for name in settings.networks}
    vectors = settings.encoder_vectors and kinds & {"cnn", "lstm"}
    if "encoder" not in kinds and not settings.teacher and not vectors:
        return None
    if shared_config.is_preset(settings.encoder):
        from shared.models import encoder_presets

        found = encoder_presets.read_preset(settings.encoder)
    else:
        found = encoder_weights.read(settings.encoder)
    wanted = {
        "encoder_length": (settings.encoder_length, found.sizes.positions),
        "encoder_frozen_blocks": (settings.encoder_frozen_blocks, found.sizes.blocks),
    }
    for name, (value, most) in wanted.items():
        if value > most:
            raise errors.InputError(f"{name}: expected at most {most}, what {found.name} has. Received: {value}")
    return found


def record(found: encoder_weights.Pretrained, folder: files.RunFolder) -> None:
    """Write down where the encoder came from."""
    files.write_json(folder.path / RECORD, {"encoder": found.name, "origin": found.origin})


def origin(folder: files.RunFolder) -> str | None:
    """Return where the run's encoder came from, in words; None where no network is one."""
    path = folder.path / RECORD
    return str(files.read_json(path)["origin"]) if path.exists() else None


def layer_rates(found: encoder_weights.Pretrained, settings: config.Config) -> dict[str, float]:
    """Return what the learning rate is multiplied by in each block, the last before the classifier's own."""
    blocks, decay = found.sizes.blocks, settings.encoder_rate_decay
    return {encoder.block_name(number): decay ** (blocks - number) for number in range(1, blocks + 1)}


def fine_tune(
    network: keras.Model,
    train: datasets.Arrays,
    validation: datasets.Arrays,
    *,
    frozen_blocks: int,
    folder: pathlib.Path,
    learn: Learn,
) -> None:
    """Train the blocks of ``network`` that are not frozen, in place, on the activations of those that are.

    Args:
        network: From ``model.build_pretrained``.
        train: Input ``pieces``, ragged.
        validation: The same.
        frozen_blocks: First blocks that stay as they are.
        folder: Where the activations lie meanwhile: 2 bytes for each of a block's numbers for each piece.
        learn: Trains what it is given.
    """
    lower, upper = encoder.split(network, frozen_blocks=frozen_blocks)
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"activations_{part}.f16" for part in ("train", "validation")]
    try:
        stored = [activations(lower, part, path) for part, path in zip((train, validation), paths, strict=True)]
        learn(upper, *stored)
    finally:
        for path in paths:
            path.unlink(missing_ok=True)


def activations(lower: keras.Model, part: datasets.Arrays, path: pathlib.Path) -> datasets.Arrays:
    """Compute the frozen blocks once for every row, and keep what they come to in a file as float16.

    Args:
        lower: ``pieces`` (batch, length) int32 to (batch, length, width).
        part: Input ``pieces``, ragged.
        path: The file; it is replaced.

    Returns:
        Input ``activations``, ragged, (total, width) float16 on disk; the labels are those of ``part``.
    """
    (pieces,) = part.inputs.values()
    if not isinstance(pieces, datasets.Ragged):
        raise TypeError(f"Expected ragged rows. Received: {type(pieces).__name__}")
    shape = (len(pieces.values), lower.output.shape[-1])
    log.info("computing the frozen blocks of %d texts once, %.1f GB", len(part), 2 * shape[0] * shape[1] / 1e9)
    written = np.memmap(path, np.float16, mode="w+", shape=shape)
    for rows in batches(pieces.lengths):
        batch = pieces.take(rows)
        found = np.asarray(lower.predict_on_batch(batch.padded()), np.float16)
        for row, values in zip(rows, found, strict=True):
            start, end = pieces.row_splits[row : row + 2]
            written[start:end] = values[: end - start]
    written.flush()
    kept = datasets.Ragged(values=np.memmap(path, np.float16, mode="r", shape=shape), row_splits=pieces.row_splits)
    return datasets.Arrays(inputs={"activations": kept}, labels=part.labels)


def batches(lengths: np.ndarray) -> list[np.ndarray]:
    """Return row numbers in batches of similar length and at most ``BATCH_PIECES`` padded pieces, or of one row.

    >>> [batch.tolist() for batch in batches(np.array([5000, 3, 4000]))]
    [[1, 2], [0]]
    """
    found: list[list[int]] = [[]]
    for row in np.argsort(lengths, kind="stable").tolist():
        if found[-1] and (len(found[-1]) + 1) * lengths[row] > BATCH_PIECES:
            found.append([])
        found[-1].append(row)
    return [np.array(batch) for batch in found]
