"""The networks, and the whole model: raw text -> features -> networks -> average of calibrated logits.

No TensorFlow here: the networks build and train on any backend of Keras; only the text features need TensorFlow.
"""

import dataclasses
import pathlib
import typing
from collections.abc import Mapping

import keras
import numpy as np
import numpy.typing as npt

from apps.sentiment import config, lexicon
from shared.models import averaging, building, cnn, dense, encoder, encoder_weights, rnn, sequences

# What each network reads: a feature of ``preprocessing.TextFeatures``.
READS = {"ngram": "ngrams", "cnn": "tokens", "lstm": "tokens", "encoder": "pieces"}
# The name of the input that takes a feature.
INPUTS = {"ngrams": "ids", "tokens": "tokens", "pieces": "pieces"}


# Below this many training texts recurrent networks of different seeds disagree enough to be worth averaging.
SMALL_CORPUS_ROWS = 15_000
SMALL_CORPUS_COPIES = 3
# Median tokens from which recurrent steps are worth joining: on sentences it cost accuracy, on reviews it saves time.
LONG_TEXT_TOKENS = 50

# How much a character n-gram counts beside a word n-gram that tells the classes apart as well. Of 0.25 to 1 the
# largest that costs reviews no AUROC on held-out training texts; sentences gain 0.01.
CHARACTER_SCALE = 0.35


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class TrainingTexts:
    """What a network reads of the training part: its starting weights depend on it.

    Attributes:
        values: (total,) int32 ids of all texts, one text after another.
        lengths: (n,) int64 ids of each text.
        labels: (n,) int64.
    """

    values: npt.NDArray[np.int32]
    lengths: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int64]


def build(
    name: str,
    settings: config.Config,
    *,
    classes: int,
    train: TrainingTexts,
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
    long = float(np.median(train.lengths)) >= LONG_TEXT_TOKENS
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


def build_pretrained(found: encoder_weights.Pretrained, settings: config.Config, *, classes: int) -> keras.Model:
    """Build the encoder with its pretrained weights and a classifier that starts from nothing."""
    network = encoder.build_encoder(found.sizes, classes=classes, dropout_rate=settings.encoder_dropout_rate)
    encoder_weights.load(network, found)
    return network


def build_ngram(settings: config.Config, train: TrainingTexts, *, classes: int) -> keras.Model:
    """Build NB-SVM as a network: a linear bag whose read-out is fixed, starting from the classes' frequencies."""
    network = dense.build_bag(table=ngram_table(settings, train, classes=classes), classes=classes)
    shares = np.bincount(train.labels, minlength=classes) + 1.0
    read_out = network.get_layer("logits")
    read_out.bias.assign(np.log(shares / shares.sum()))
    read_out.trainable = False
    return network


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


def feature(name: str) -> str:
    """Return the feature of ``preprocessing.TextFeatures`` that a network reads."""
    return READS[kind(name)]


def ngram_table(settings: config.Config, train: TrainingTexts, *, classes: int) -> dense.BagTable:
    """Return the n-grams' table, scaled by how much each n-gram tells the classes apart.

    For two classes this is NB-SVM (Wang and Manning 2012): one trained weight per n-gram times its naive-Bayes
    log-count ratio. For more, each n-gram has a weight per class, times the spread of its log-count ratios.
    """
    characters, rated = settings.ngram_buckets + 1, 2 * settings.ngram_buckets + 1
    buckets = rated + (lexicon.BUCKETS if settings.lexicon else 0)
    ratios = log_count_ratios(train, buckets=buckets, classes=classes)
    ratios[characters:rated] *= CHARACTER_SCALE
    if classes == 2:
        return dense.BagTable(buckets=buckets, size=1, pooling="l2", scale=ratios[:, 1] - ratios[:, 0])
    return dense.BagTable(buckets=buckets, size=classes, pooling="l2", scale=np.ptp(ratios, axis=1))


def log_count_ratios(train: TrainingTexts, *, buckets: int, classes: int) -> npt.NDArray[np.float32]:
    """Return (buckets, classes): the logarithm of each n-gram's share among a class's texts, one text added each.

    Wang and Manning 2012, "Baselines and Bigrams", equation 4; an n-gram counts once per text. Row 0 (padding) is 0.
    """
    labels = np.repeat(train.labels, train.lengths)
    counts = np.ones((buckets, classes), np.float32)
    np.add.at(counts, (train.values, labels), 1)
    ratios: npt.NDArray[np.float32] = np.log(counts / counts.sum(axis=0))
    ratios[0] = 0
    return ratios


def load(path: pathlib.Path, *, classes: int | None = None) -> keras.Model:
    """Load a saved model; whoever calls this has the layers that it is made of registered."""
    return building.load(path, logits=classes)


def assemble(
    features: keras.layers.Layer, networks: Mapping[str, keras.Model], members: Mapping[str, averaging.Member]
) -> keras.Model:
    """Join trained networks to the whole model: ``text`` (batch,) string to ``logits`` (batch, classes) float32.

    ``features`` is a ``preprocessing.TextFeatures``.
    """
    inputs = keras.Input((), dtype="string", name="text")
    read = features(inputs)
    logits = [network(read[feature(name)]) for name, network in networks.items()]
    average = averaging.average(networks, members)
    return keras.Model({"text": inputs}, average(logits), name="sentiment")
