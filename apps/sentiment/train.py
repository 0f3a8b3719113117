"""From reviews and their split to a run folder: vectorise, train each network, calibrate, freeze the decision."""

import dataclasses
import functools
import logging
import typing
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import pandas as pd
import tensorflow as tf

from apps.sentiment import config, corpus, dataset, encoding, lexicon, model, preprocessing, static_vectors
from shared import decision as decisions
from shared import files, splits
from shared.evaluation import calibration
from shared.models import averaging, encoder_weights, losses
from shared.training import datasets
from shared.training import fit as fitting

log = logging.getLogger("fieldnets")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Part:
    """The texts of one part, vectorised."""

    features: Mapping[str, datasets.Ragged]
    labels: npt.NDArray[np.int64]

    def arrays(self, network: str) -> datasets.Arrays:
        """Return what one network reads, under its input's name."""
        feature = model.feature(network)
        return datasets.Arrays(inputs={model.INPUTS[feature]: self.features[feature]}, labels=self.labels)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Job:
    """What the networks of one run have in common.

    Attributes:
        parts: The vectorised training and validation part.
        classes: Number of classes.
        vectors: Word vectors that the token networks start from; None where no network reads words.
        encoder: What the encoder starts from; None where no network is one.
        targets: (n, classes) what the other networks learn of the training part; None: the labels.
        settings: The run's configuration.
        folder: The run's folder.
    """

    parts: Mapping[str, Part]
    classes: int
    vectors: npt.NDArray[np.float32] | None
    encoder: encoder_weights.Pretrained | None
    targets: npt.NDArray[np.float32] | None
    settings: config.Config
    folder: files.RunFolder


# On a small corpus the epochs that are enough for a large one are too few steps, but for what is pretrained.
MINIMUM_STEPS = 400


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a network is trained where the config leaves it open: what was best on validation."""

    optimizer: str
    learning_rate: float
    batch_size: int
    warmup_fraction: float = 0.0
    averaged: bool = False
    gradient_clip_norm: float | None = None
    minimum_steps: int = MINIMUM_STEPS


# The n-grams' gradients are spread over a million weights, each a thousandth of a network's.
RECIPES = {
    "ngram": Recipe(optimizer="momentum", learning_rate=40.0, batch_size=256),
    "cnn": Recipe(optimizer="adam", learning_rate=0.002, batch_size=64, warmup_fraction=0.06, averaged=True),
    "lstm": Recipe(optimizer="adam", learning_rate=0.002, batch_size=64, warmup_fraction=0.06, averaged=True),
    "encoder": Recipe(
        optimizer="adam",
        learning_rate=1e-4,
        batch_size=32,
        warmup_fraction=0.1,
        gradient_clip_norm=1.0,
        minimum_steps=1,
    ),
}


def train(
    reviews: dataset.Reviews, split: splits.Split, settings: config.Config, folder: files.RunFolder
) -> dict[str, Any]:
    """Train on the parts of ``split``, within what ``shared.verbs.train_into`` does the same for all apps.

    Returns:
        What the command line prints: run folder, validation metrics, seconds.
    """
    files.write_json(folder.path / dataset.CODE_FILE, reviews.code.to_json())
    settings = model.resolve(settings, rows=len(split.rows("train")))
    files.write_json(folder.config, settings.to_json())

    found = encoding.read(settings)
    if found is not None:
        encoding.record(found, folder)
    encodes = "encoder" in map(model.kind, settings.networks)
    features = build_features(reviews.texts[split.rows("train")], settings, found if encodes else None)
    parts = {name: vectorize(features, reviews, split.rows(name)) for name in ("train", "validation")}
    reads_words = any(model.feature(name) == "tokens" for name in settings.networks)
    job = Job(
        parts=parts,
        classes=len(reviews.class_names),
        vectors=first_vectors(features, parts["train"].features["tokens"], settings, found) if reads_words else None,
        encoder=found,
        targets=None,
        settings=settings,
        folder=folder,
    )
    if settings.teacher:
        job = dataclasses.replace(job, targets=teach(job, {name: reviews.texts[split.rows(name)] for name in parts}))
    networks = {name: fit_network(name, job) for name in settings.networks}
    trained = model.assemble(features, networks, fit_ensemble(networks, parts["validation"]))

    validation = split.rows("validation")
    logits = corpus.predict(trained, reviews.texts[validation])
    decision = decisions.fit(
        logits,
        reviews.labels[validation],
        class_names=reviews.class_names,
        alpha=settings.alpha,
        fitted_on={"split": "validation", "n": len(validation), "data_sha256": reviews.sha256},
    )
    write_history(folder, settings.networks)
    with files.atomic(folder.model) as temporary:
        trained.save(temporary)
    files.write_json(folder.decision, decision.to_json())
    return summary(folder, reviews.labels[validation], decision.scores(logits))


def build_features(
    texts: npt.NDArray[np.object_], settings: config.Config, found: encoder_weights.Pretrained | None = None
) -> preprocessing.TextFeatures:
    """Learn the vocabulary from the training texts and return the layer that all networks read from.

    Args:
        texts: (n,) str, the training part.
        settings: The run's configuration.
        found: The encoder whose word pieces are read as well; None where no network is one.
    """
    vocabulary = corpus.build_vocabulary(texts, size=settings.vocabulary_size, minimum_texts=settings.minimum_texts)
    if settings.lexicon:
        vocabulary += sorted(lexicon.ratings().keys() - set(vocabulary))
    log.info("vocabulary: %d tokens", len(vocabulary))
    return preprocessing.TextFeatures(
        vocabulary=vocabulary,
        sequence_length=settings.sequence_length,
        ngram_orders=settings.ngram_orders if "ngram" in settings.networks else 0,
        character_orders=settings.character_orders,
        buckets=settings.ngram_buckets,
        ngram_tokens=settings.ngram_tokens,
        symbols=lexicon.symbols() if settings.lexicon else {},
        pieces=found.vocabulary if found is not None else (),
        piece_length=settings.encoder_length if found is not None else 0,
    )


def first_vectors(
    features: preprocessing.TextFeatures,
    tokens: datasets.Ragged,
    settings: config.Config,
    found: encoder_weights.Pretrained | None,
) -> npt.NDArray[np.float32]:
    """Return the (tokens, size) vectors that the token networks start from."""
    if found is None or not settings.encoder_vectors:
        return corpus.initial_vectors(features, tokens, settings)
    counts = np.bincount(tokens.values, minlength=len(features.vocabulary) + preprocessing.RESERVED_IDS)
    vectors = static_vectors.distil(found, features.vocabulary, counts=counts, size=settings.embedding_size)
    return corpus.with_ratings(vectors, features, settings)


def vectorize(features: preprocessing.TextFeatures, reviews: dataset.Reviews, rows: npt.NDArray[np.int64]) -> Part:
    """Turn the texts of one part into numbers, once for all epochs and networks."""
    return Part(features=corpus.vectorize(features, reviews.texts[rows]), labels=reviews.labels[rows])


def fit_network(name: str, job: Job) -> keras.Model:
    """Train one network and return it with its best weights."""
    settings, folder = job.settings, job.folder
    # Each network starts from its own seed, whichever were trained before it in this process.
    keras.utils.set_random_seed(seed(name, settings))
    train_part, validation_part = job.parts["train"].arrays(name), job.parts["validation"].arrays(name)
    if job.encoder is not None and model.kind(name) == "encoder":
        network = model.build_pretrained(job.encoder, settings, classes=job.classes)
        encoding.fine_tune(
            network,
            train_part,
            validation_part,
            frozen_blocks=settings.encoder_frozen_blocks,
            folder=folder.checkpoints / name,
            learn=functools.partial(learn, name, job),
        )
        return network
    if model.feature(name) == "tokens" and settings.word_dropout_rate:
        hide = functools.partial(hide_words, rate=settings.word_dropout_rate)
        train_part = dataclasses.replace(train_part, augment=hide)
    network = model.build(name, settings, classes=job.classes, train=rows_of(train_part), vectors=job.vectors)
    if job.targets is not None:
        train_part = dataclasses.replace(train_part, labels=job.targets)
    learn(name, job, network, train_part, validation_part)
    # A copy is not compiled: the optimizer, larger than the network, must not go into the saved model.
    trained = keras.Model.from_config({**network.get_config(), "name": name})
    trained.set_weights(network.get_weights())
    return trained


def teach(job: Job, texts: Mapping[str, npt.NDArray[np.object_]]) -> npt.NDArray[np.float32]:
    """Train the encoder, and return what the other networks learn: its calibrated scores and the labels, mixed.

    Knowledge distillation (Hinton et al. 2015, https://arxiv.org/abs/1503.02531) at the teacher's own temperature.

    Args:
        job: What the networks have in common.
        texts: (n,) str of the parts ``train`` and ``validation``.

    Returns:
        (training texts, classes) float32; each row sums to 1.

    Raises:
        ValueError: The job has no encoder.
    """
    if job.encoder is None:
        raise ValueError("Expected a job with an encoder, which teaches. Received: none")
    settings, found = job.settings, job.encoder
    features = build_features(texts["train"], settings, found)
    rows = {
        name: Part(features=corpus.vectorize(features, texts[name]), labels=part.labels).arrays("encoder")
        for name, part in job.parts.items()
    }
    logits: dict[str, np.ndarray] = {}

    def learn_and_tell(upper: keras.Model, train_part: datasets.Arrays, validation_part: datasets.Arrays) -> None:
        learn("encoder", job, upper, train_part, validation_part)
        logits.update(
            {"train": fitting.predict(upper, train_part), "validation": fitting.predict(upper, validation_part)}
        )

    keras.utils.set_random_seed(seed("encoder", settings))
    encoding.fine_tune(
        model.build_pretrained(found, settings, classes=job.classes),
        rows["train"],
        rows["validation"],
        frozen_blocks=settings.encoder_frozen_blocks,
        folder=job.folder.checkpoints / "encoder",
        learn=learn_and_tell,
    )
    temperature = calibration.fit_temperature(logits["validation"], job.parts["validation"].labels)
    scores = calibration.apply_temperature(logits["train"], temperature)
    hard = np.eye(job.classes)[job.parts["train"].labels]
    return (settings.teacher_share * scores + (1 - settings.teacher_share) * hard).astype(np.float32)


def learn(
    name: str, job: Job, network: keras.Model, train_part: datasets.Arrays, validation_part: datasets.Arrays
) -> None:
    """Train what learns of one network, in place."""
    settings, folder = job.settings, job.folder
    chosen = fit_settings(name, settings, rows=len(train_part))
    if job.encoder is not None and model.kind(name) == "encoder":
        chosen = dataclasses.replace(chosen, layer_rates=encoding.layer_rates(job.encoder, settings))
    result = fitting.fit(
        network,
        train_part,
        validation_part,
        settings=chosen,
        loss=losses.by_name(
            typing.cast(losses.LossName, settings.loss), classes=job.classes, label_smoothing=settings.label_smoothing
        ),
        monitor=calibration.calibrated_log_likelihood,
        outputs=fitting.Outputs(
            checkpoints=folder.checkpoints / name,
            history=folder.checkpoints / name / "history.csv",
            logs=folder.logs / name,
            is_log_loss=True,
        ),
    )
    log.info(
        "%s: calibrated log-loss %.4f in epoch %d, %.0f s", name, -result.best_value, result.best_epoch, result.seconds
    )


def fit_settings(name: str, settings: config.Config, *, rows: int) -> fitting.FitSettings:
    """Return how one network is trained on ``rows`` texts: its own values where the config leaves them open."""
    recipe = RECIPES[model.kind(name)]
    batch_size = settings.batch_size or recipe.batch_size
    enough = -(-recipe.minimum_steps // datasets.steps(rows, batch_size=batch_size))
    return fitting.FitSettings(
        epochs=settings.epochs or max(getattr(settings, f"{model.kind(name)}_epochs"), enough),
        batch_size=batch_size,
        optimizer=settings.optimizer or recipe.optimizer,
        learning_rate=settings.learning_rate or recipe.learning_rate,
        schedule=settings.schedule,
        warmup_fraction=recipe.warmup_fraction,
        weight_decay=settings.weight_decay,
        gradient_clip_norm=recipe.gradient_clip_norm,
        ema_momentum=settings.ema_momentum if recipe.averaged else None,
        patience=settings.patience,
        seed=seed(name, settings),
    )


def seed(name: str, settings: config.Config) -> int:
    """Return the seed of a network's weights, order and dropout: its own for every copy."""
    return fitting.seed_of_copy(settings.seed, int(name.partition("_")[2] or 1))


def rows_of(part: datasets.Arrays) -> model.TrainingTexts:
    """Return what one network reads of the training part, without its name."""
    (rows,) = part.inputs.values()
    if not isinstance(rows, datasets.Ragged):
        raise TypeError(f"Expected ragged rows. Received: {type(rows).__name__}")
    return model.TrainingTexts(values=rows.values, lengths=rows.lengths, labels=part.labels)


def hide_words(inputs: dict[str, Any], labels: Any, seeds: Any, *, rate: float) -> tuple[dict[str, Any], Any]:
    """Replace words by the unknown one at random, so that no single word decides alone.

    Iyyer et al. 2015, "Deep Unordered Composition" (https://aclanthology.org/P15-1162), section 4.

    Args:
        inputs: ``tokens`` (batch, length) int32.
        labels: (batch,) int64.
        seeds: (batch, 2) int64, from (seed, epoch, row).
        rate: Chance of each word.
    """
    tokens = inputs["tokens"]
    chance = tf.random.stateless_uniform(tf.shape(tokens), seed=seeds[0])
    hidden = (chance < rate) & (tokens != preprocessing.PADDING)
    return {"tokens": tf.where(hidden, preprocessing.UNKNOWN, tokens)}, labels


def fit_ensemble(networks: Mapping[str, keras.Model], validation: Part) -> dict[str, averaging.Member]:
    """Return how each network counts in the average, fitted on validation."""
    logits = {name: fitting.predict(network, validation.arrays(name)) for name, network in networks.items()}
    members = averaging.fit(logits, validation.labels)
    log.info("ensemble weights: %s", {name: round(member.weight, 3) for name, member in members.items()})
    return members


def write_history(folder: files.RunFolder, networks: tuple[str, ...]) -> None:
    """Join the networks' histories into one table with a column ``network``."""
    tables = [pd.read_csv(folder.checkpoints / name / "history.csv").assign(network=name) for name in networks]
    joined = pd.concat(tables)
    files.write_text(folder.history, joined[["network", *tables[0].columns.drop("network")]].to_csv(index=False))


def summary(folder: files.RunFolder, labels: npt.NDArray[np.int64], scores: npt.NDArray[np.float64]) -> dict[str, Any]:
    """Return what the command line prints after a training."""
    return {
        "run_dir": str(folder.path),
        "validation": {"accuracy": float(np.mean(scores.argmax(axis=1) == labels)), "n": len(labels)},
        "next": f"sentiment evaluate --run-dir {folder.path}",
    }
