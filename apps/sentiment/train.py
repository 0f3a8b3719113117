"""From a source to a run folder: read, split, vectorise, train each network, calibrate, freeze the decision."""

import dataclasses
import functools
import json
import logging
import typing
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import pandas as pd
import tensorflow as tf

from apps.sentiment import config, data, embeddings, model, opinion, text
from apps.sentiment import run as loaded_run
from apps.sentiment.readers import codes
from shared import decision as decisions
from shared import files
from shared.evaluation import calibration, classification
from shared.models import averaging, losses
from shared.training import datasets, runtime
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
        settings: The run's configuration.
        folder: The run's folder.
    """

    parts: Mapping[str, Part]
    classes: int
    vectors: npt.NDArray[np.float32] | None
    settings: config.Config
    folder: files.RunFolder


def train(settings: config.Config, folder: files.RunFolder) -> dict[str, Any]:
    """Train as ``settings`` say; called again on an interrupted run, go on and end with the same weights.

    Returns:
        What the command line prints: run folder, validation metrics, seconds.
    """
    files.write_json(folder.config, settings.to_json())
    runtime.configure(seed=settings.seed, deterministic=settings.deterministic, precision=settings.precision)
    reviews = data.load(settings, quarantine=folder.path / "quarantine.csv")
    log.info("%s", "\n".join([data.describe(reviews), *reviews.notes]))
    split, certificate = data.split(reviews, settings)
    files.write_json(folder.path / codes.FILE, reviews.code.to_json())
    files.write_json(folder.split, certificate)
    log.info("split: %s", json.dumps(certificate["counts"]))
    settings = model.resolve(settings, rows=len(split.rows("train")))
    files.write_json(folder.config, settings.to_json())

    with runtime.strategy(settings.strategy).scope():
        files.write_json(folder.environment, runtime.describe(seed=settings.seed))
        features = build_features(reviews.texts[split.rows("train")], settings)
        parts = {name: vectorize(features, reviews, split.rows(name)) for name in ("train", "validation")}
        job = Job(
            parts=parts,
            classes=len(reviews.class_names),
            vectors=word_vectors(features, parts["train"], settings),
            settings=settings,
            folder=folder,
        )
        networks = {name: fit_network(name, job) for name in settings.networks}
        trained = model.assemble(features, networks, fit_mixture(networks, parts["validation"]))

    validation = split.rows("validation")
    logits = loaded_run.predict(trained, reviews.texts[validation])
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


def build_features(texts: npt.NDArray[np.object_], settings: config.Config) -> text.TextFeatures:
    """Learn the vocabulary from the training texts and return the layer that all networks read from."""
    vocabulary = text.build_vocabulary(texts, size=settings.vocabulary_size, minimum_texts=settings.minimum_texts)
    if settings.lexicon:
        vocabulary += sorted(opinion.ratings().keys() - set(vocabulary))
    log.info("vocabulary: %d tokens", len(vocabulary))
    return text.TextFeatures(
        vocabulary=vocabulary,
        sequence_length=settings.sequence_length,
        ngram_orders=settings.ngram_orders if "ngram" in settings.networks else 0,
        character_orders=settings.character_orders,
        buckets=settings.ngram_buckets,
        ngram_tokens=settings.ngram_tokens,
        symbols=opinion.symbols() if settings.lexicon else {},
    )


def vectorize(features: text.TextFeatures, reviews: data.Reviews, rows: npt.NDArray[np.int64]) -> Part:
    """Turn the texts of one part into numbers, once for all epochs and networks."""
    return Part(features=text.vectorize(features, reviews.texts[rows]), labels=reviews.labels[rows])


def word_vectors(features: text.TextFeatures, part: Part, settings: config.Config) -> npt.NDArray[np.float32] | None:
    """Return the (tokens, size) vectors that the token networks start from; None where no network reads words.

    They are learnt from the training texts, or random; the last columns are what the lexicon says, also of words that
    no training text holds.
    """
    if not any(model.feature(name) == "tokens" for name in settings.networks):
        return None
    rows = len(features.vocabulary) + text.RESERVED_IDS
    if settings.pretrain_embeddings:
        log.info("learning word vectors from the training texts")
        tokens = part.features["tokens"]
        vectors = embeddings.train(tokens, vocabulary_size=rows, size=settings.embedding_size, seed=settings.seed)
    else:
        vectors = embeddings.random(rows, size=settings.embedding_size, seed=settings.seed)
    if settings.lexicon:
        columns = opinion.columns(features.vocabulary)
        vectors[text.RESERVED_IDS :, -columns.shape[1] :] = columns
    return vectors


def fit_network(name: str, job: Job) -> keras.Model:
    """Train one network and return it with its best weights."""
    settings, folder = job.settings, job.folder
    # Each network starts from its own seed, whichever were trained before it in this process.
    keras.utils.set_random_seed(model.seed(name, settings))
    train_part, validation_part = job.parts["train"].arrays(name), job.parts["validation"].arrays(name)
    if model.feature(name) == "tokens" and settings.word_dropout_rate:
        hide = functools.partial(hide_words, rate=settings.word_dropout_rate)
        train_part = dataclasses.replace(train_part, augment=hide)
    network = model.build(name, settings, classes=job.classes, train=train_part, vectors=job.vectors)
    result = fitting.fit(
        network,
        train_part,
        validation_part,
        settings=model.fit_settings(name, settings, rows=len(train_part)),
        loss=losses.by_name(
            typing.cast(losses.LossName, settings.loss), classes=job.classes, label_smoothing=settings.label_smoothing
        ),
        monitor=calibration.calibrated_log_likelihood,
        outputs=fitting.Outputs(
            checkpoints=folder.checkpoints / name,
            history=folder.checkpoints / name / "history.csv",
            logs=folder.logs / name,
        ),
    )
    log.info(
        "%s: calibrated log-loss %.4f in epoch %d, %.0f s", name, -result.best_value, result.best_epoch, result.seconds
    )
    # A copy is not compiled: the optimizer, larger than the network, must not go into the saved model.
    trained = keras.Model.from_config({**network.get_config(), "name": name})
    trained.set_weights(network.get_weights())
    return trained


def hide_words(inputs: dict[str, Any], labels: Any, seeds: Any, *, rate: float) -> tuple[dict[str, Any], Any]:
    """Replace words by the unknown one at random, so that no single word can carry the answer.

    Iyyer et al. 2015, "Deep Unordered Composition" (https://aclanthology.org/P15-1162), section 4.

    Args:
        inputs: ``tokens`` (batch, length) int32.
        labels: (batch,) int64.
        seeds: (batch, 2) int64, from (seed, epoch, row).
        rate: Chance of each word.
    """
    tokens = inputs["tokens"]
    chance = tf.random.stateless_uniform(tf.shape(tokens), seed=seeds[0])
    hidden = (chance < rate) & (tokens != text.PADDING)
    return {"tokens": tf.where(hidden, text.UNKNOWN, tokens)}, labels


def fit_mixture(networks: Mapping[str, keras.Model], validation: Part) -> dict[str, averaging.Voice]:
    """Return how loud each network speaks in the average, fitted on validation."""
    logits = {name: fitting.predict(network, validation.arrays(name)) for name, network in networks.items()}
    voices = averaging.fit(logits, validation.labels)
    log.info("shares in the average: %s", {name: round(voice.share, 3) for name, voice in voices.items()})
    return voices


def write_history(folder: files.RunFolder, networks: tuple[str, ...]) -> None:
    """Join the networks' histories into one table with a column ``network``."""
    tables = [pd.read_csv(folder.checkpoints / name / "history.csv").assign(network=name) for name in networks]
    joined = pd.concat(tables)
    files.write_text(folder.history, joined[["network", *tables[0].columns.drop("network")]].to_csv(index=False))


def summary(folder: files.RunFolder, labels: npt.NDArray[np.int64], scores: npt.NDArray[np.float64]) -> dict[str, Any]:
    """Return what the command line prints after a training."""
    return {
        "run_dir": str(folder.path),
        "validation": {"accuracy": classification.accuracy(labels, scores), "n": len(labels)},
        "next": f"sentiment evaluate --run-dir {folder.path}",
    }
