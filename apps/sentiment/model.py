"""The networks, and the whole model: raw text -> features -> networks -> average of calibrated logits."""

import dataclasses
import pathlib
import typing
from collections.abc import Mapping

import keras
import numpy as np
import numpy.typing as npt

from apps.sentiment import config, text
from shared.models import averaging, cnn, dense, rnn, sequences
from shared.training import datasets
from shared.training import fit as fitting

# What each network reads: a feature of ``text.TextFeatures``.
READS = {"ngram": "ngrams", "cnn": "tokens", "lstm": "tokens"}
# The name of the input that takes a feature.
INPUTS = {"ngrams": "ids", "tokens": "tokens"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a network is trained where the config leaves it open: what was best on validation."""

    optimizer: str
    learning_rate: float
    batch_size: int
    warmup_fraction: float = 0.0
    averaged: bool = False


# On a small corpus the epochs that are enough for a large one are too few steps.
MINIMUM_STEPS = 400
# Below this many training texts recurrent networks of different seeds disagree enough to be worth averaging.
SMALL_CORPUS_ROWS = 15_000
SMALL_CORPUS_COPIES = 3
# Median tokens from which recurrent steps are worth joining: on sentences it cost accuracy, on reviews it saves time.
LONG_TEXT_TOKENS = 50

# How much a character n-gram counts beside a word n-gram that tells the classes apart as well. Of 0.25 to 1 the
# largest that costs reviews no AUROC on held-out training texts; sentences gain 0.01.
CHARACTER_SCALE = 0.35

# The n-grams' gradients are spread over a million weights, each a thousandth of a network's.
RECIPES = {
    "ngram": Recipe(optimizer="momentum", learning_rate=40.0, batch_size=256),
    "cnn": Recipe(optimizer="adam", learning_rate=0.002, batch_size=64, warmup_fraction=0.06, averaged=True),
    "lstm": Recipe(optimizer="adam", learning_rate=0.002, batch_size=64, warmup_fraction=0.06, averaged=True),
}


def build(
    name: str,
    settings: config.Config,
    *,
    classes: int,
    train: datasets.Arrays,
    vectors: npt.NDArray[np.float32] | None = None,
) -> keras.Model:
    """Build one network, not yet trained: (batch, length) int32 to ``logits`` (batch, classes) float32.

    Args:
        name: One of ``Config.networks``.
        settings: Sizes and dropout rates.
        classes: Number of classes.
        train: The training part, for the n-grams' naive-Bayes weights.
        vectors: (vocabulary, embedding size) that the token networks start from.

    Raises:
        ValueError: A token network without vectors.
    """
    if kind(name) == "ngram":
        return build_ngram(settings, train, classes=classes)
    if vectors is None:
        raise ValueError(f"Expected vectors for {name}. Received: None")
    long = float(np.median(train.lengths if train.lengths is not None else 0)) >= LONG_TEXT_TOKENS
    network = build_token_network(
        kind(name), settings, vocabulary_size=len(vectors), classes=classes, downsampling=4 if long else 1
    )
    network.get_layer("embedding").set_weights([vectors])
    return network


def build_token_network(
    name: str, settings: config.Config, *, vocabulary_size: int, classes: int, downsampling: int
) -> keras.Model:
    """Build the convolutional or the recurrent network, its word vectors not set yet.

    Args:
        name: ``cnn`` or ``lstm``.
        settings: Sizes and dropout rates.
        vocabulary_size: Number of token ids, padding and unknown included.
        classes: Number of classes.
        downsampling: Tokens joined into one recurrent step, where the config leaves it open.
    """
    tokens = sequences.TokenEmbedding(
        vocabulary_size=vocabulary_size,
        embedding_size=settings.embedding_size,
        dropout_rate=settings.embedding_dropout_rate,
    )
    if name == "cnn":
        return cnn.build_text_cnn(
            tokens=tokens,
            classes=classes,
            windows=settings.cnn_windows,
            filters=settings.cnn_filters,
            pooling="max_mean",
            dropout_rate=settings.dropout_rate,
        )
    recurrence = rnn.Recurrence(
        cell=typing.cast(rnn.Cell, settings.rnn_cell),
        units=(settings.rnn_units,),
        downsampling=settings.rnn_downsampling or downsampling,
    )
    return rnn.build_text_rnn(tokens=tokens, classes=classes, recurrence=recurrence, dropout_rate=settings.dropout_rate)


def build_ngram(settings: config.Config, train: datasets.Arrays, *, classes: int) -> keras.Model:
    """Build NB-SVM as a network: a linear bag whose read-out is fixed, starting from the classes' shares."""
    network = dense.build_bag(table=ngram_table(settings, train, classes=classes), classes=classes)
    shares = np.bincount(train.labels, minlength=classes) + 1.0
    read_out = network.get_layer("logits")
    read_out.bias.assign(np.log(shares / shares.sum()))
    read_out.trainable = False
    return network


def fit_settings(name: str, settings: config.Config, *, rows: int) -> fitting.FitSettings:
    """Return how one network is trained on ``rows`` texts: its own values where the config leaves them open."""
    recipe = RECIPES[kind(name)]
    batch_size = settings.batch_size or recipe.batch_size
    enough = -(-MINIMUM_STEPS // datasets.steps(rows, batch_size=batch_size))
    return fitting.FitSettings(
        epochs=settings.epochs or max(getattr(settings, f"{kind(name)}_epochs"), enough),
        batch_size=batch_size,
        optimizer=settings.optimizer or recipe.optimizer,
        learning_rate=settings.learning_rate or recipe.learning_rate,
        schedule=settings.schedule,
        warmup_fraction=recipe.warmup_fraction,
        weight_decay=settings.weight_decay,
        ema_momentum=settings.ema_momentum if recipe.averaged else None,
        patience=settings.patience,
        seed=seed(name, settings),
    )


def resolve(settings: config.Config, *, rows: int) -> config.Config:
    """Return ``settings`` with ``rnn_copies`` decided for ``rows`` training texts where it is left open."""
    copies = SMALL_CORPUS_COPIES if rows < SMALL_CORPUS_ROWS else 1
    return dataclasses.replace(settings, rnn_copies=settings.rnn_copies or copies)


def kind(name: str) -> str:
    """Return which of ``config.MEMBERS`` a network is.

    >>> kind("lstm_2")
    'lstm'
    """
    return name.partition("_")[0]


def seed(name: str, settings: config.Config) -> int:
    """Return the seed of a network's weights, order and dropout: its own for every copy."""
    return fitting.seed_of_copy(settings.seed, int(name.partition("_")[2] or 1))


def feature(name: str) -> str:
    """Return the feature of ``text.TextFeatures`` that a network reads."""
    return READS[kind(name)]


def ngram_table(settings: config.Config, train: datasets.Arrays, *, classes: int) -> dense.BagTable:
    """Return the n-grams' table, scaled by how much each n-gram tells the classes apart.

    For two classes this is NB-SVM (Wang and Manning 2012): one trained weight per n-gram times its naive-Bayes
    log-count ratio. For more, each n-gram has a weight per class, times the spread of its log-count ratios.
    """
    characters, opinions = settings.ngram_buckets + 1, 2 * settings.ngram_buckets + 1
    buckets = opinions + (text.OPINION_BUCKETS if settings.lexicon else 0)
    ratios = log_count_ratios(train, buckets=buckets, classes=classes)
    ratios[characters:opinions] *= CHARACTER_SCALE
    if classes == 2:
        return dense.BagTable(buckets=buckets, size=1, pooling="l2", scale=ratios[:, 1] - ratios[:, 0])
    return dense.BagTable(buckets=buckets, size=classes, pooling="l2", scale=np.ptp(ratios, axis=1))


def log_count_ratios(train: datasets.Arrays, *, buckets: int, classes: int) -> npt.NDArray[np.float32]:
    """Return (buckets, classes): the logarithm of each n-gram's share among a class's texts, one text added each.

    Wang and Manning 2012, "Baselines and Bigrams", equation 4; an n-gram counts once per text. Row 0 (padding) is 0.
    """
    ngrams = train.inputs[INPUTS["ngrams"]]
    if not isinstance(ngrams, datasets.Ragged):
        raise TypeError(f"Expected ragged n-grams. Received: {type(ngrams).__name__}")
    labels = np.repeat(train.labels, ngrams.lengths)
    counts = np.ones((buckets, classes), np.float32)
    np.add.at(counts, (ngrams.values, labels), 1)
    ratios: npt.NDArray[np.float32] = np.log(counts / counts.sum(axis=0))
    ratios[0] = 0
    return ratios


def load(path: pathlib.Path) -> keras.Model:
    """Load a saved model; whoever calls this has the layers that it is made of registered."""
    return keras.models.load_model(path, compile=False)


def assemble(
    features: text.TextFeatures, networks: Mapping[str, keras.Model], voices: Mapping[str, averaging.Voice]
) -> keras.Model:
    """Join trained networks to the whole model: ``text`` (batch,) string to ``logits`` (batch, classes) float32."""
    inputs = keras.Input((), dtype="string", name="text")
    read = features(inputs)
    logits = [network(read[feature(name)]) for name, network in networks.items()]
    average = averaging.average(networks, voices)
    return keras.Model({"text": inputs}, average(logits), name="sentiment")
