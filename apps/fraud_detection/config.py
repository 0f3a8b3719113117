"""Every setting of the fraud app, the presets ``smoke``, ``quick`` and ``default``, and what ``tune`` tries."""

import dataclasses
import datetime
import re
from typing import Any, Self

from apps.fraud_detection import schema as schemas
from shared import config

NETWORKS = ("dense", "distilled", "sequence", "autoencoder", "gan")
DATA_FIELDS = (
    "data",
    "data_format",
    "schema",
    "time_column",
    "amount_column",
    "label_column",
    "time_format",
    "decimal",
    "follow_links",
    "normal_weight",
    "sample_weight_column",
    "label_delay_days",
    "customers",
    "terminals",
    "days",
    "drift_day",
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(config.Config):
    """How to read a source, split it in time, train on it and decide."""

    data: tuple[str, ...] = config.setting(("card-simulator",), "built-in source or path; may be given several times")
    data_format: str = config.setting(
        "auto",
        "how to read the source",
        choices=("auto", "card-simulator", "handbook", "ulb", "paysim", "ieee-cis", "baf", "table"),
    )
    schema: str | None = config.setting(None, "JSON file with the roles of the columns (default: recognised)")
    time_column: str | None = config.setting(None, "column of the time (default: recognised by its name)")
    amount_column: str | None = config.setting(None, "column of the amount (default: recognised by its name)")
    label_column: str | None = config.setting(None, "column of the label (default: recognised by its name)")
    time_format: str = config.setting(
        "auto",
        "how times are written, or the unit of counts since the beginning of the data",
        choices=(*schemas.TIME_FORMATS, *(unit for unit in schemas.UNITS if unit != "datetime")),
    )
    decimal: str = config.setting(
        "auto", "mark before the fraction in numbers of text", choices=("auto", "point", "comma")
    )
    follow_links: bool = config.setting(False, "follow links that lead out of a source's folder")
    normal_weight: float | None = config.setting(
        None, "genuine transactions that each genuine row stands for, where the file is a sample", minimum=1e-6
    )
    sample_weight_column: str | None = config.setting(None, "column of how many transactions a row stands for")
    label_delay_days: float | None = config.setting(
        None, "when labels are known (default: the schema's)", unit="days", minimum=0, maximum=3650
    )
    customers: int = config.setting(5_000, "simulated customers", minimum=10)
    terminals: int = config.setting(10_000, "simulated terminals", minimum=10)
    days: int = config.setting(183, "simulated days from 2018-04-01", unit="days", minimum=1)
    drift_day: int | None = config.setting(None, "simulated day on which a new kind of fraud begins", minimum=0)

    protocol: str = config.setting(
        "auto",
        "how parts are made: prequential weeks, or chronological shares; auto: weeks where the data are long enough",
        choices=("auto", "prequential", "chronological"),
    )
    start: str | None = config.setting(
        "2018-07-25", "first day of training of the first fold; the last that fit where this does not"
    )
    folds: int = config.setting(4, "prequential folds, each a test window later", minimum=1, maximum=52)
    train_days: int = config.setting(7, "days of labelled transactions to learn from", unit="days", minimum=1)
    test_days: int = config.setting(7, "days of a test part, and between folds", unit="days", minimum=1)
    validation_days: int = config.setting(7, "days for calibration, before the training days", unit="days", minimum=1)
    validation_fraction: float = config.setting(0.1, "share of validation (chronological)", minimum=0.01, maximum=0.5)
    test_fraction: float = config.setting(0.2, "share of the test part (chronological)", minimum=0.01, maximum=0.5)

    model: str = config.setting("ensemble", "what to train", choices=("ensemble", *NETWORKS))
    members: tuple[str, ...] = config.setting(
        ("dense", "distilled", "sequence", "autoencoder"),
        "networks of the ensemble; distilled (taught by boosted trees) only where frauds are few and no histories kept",
        choices=NETWORKS,
    )
    dense_copies: int = config.setting(3, "dense networks of different seeds in the ensemble", minimum=1, maximum=9)
    encoding: str = config.setting(
        "auto",
        "how dense networks read numbers; auto: standard where frauds are few and no histories are kept",
        choices=("auto", "standard", "piecewise", "both"),
    )
    hidden_units: tuple[int, ...] = config.setting((128, 64), "units of each hidden layer", minimum=1)
    dropout_rate: float | None = config.setting(
        None, "share of units dropped; none: 0.2 for many rows, 0.4 for few", minimum=0, maximum=0.95
    )
    sequence_length: int = config.setting(10, "last transactions of the card that are read", minimum=2, maximum=200)
    sequence_network: str = config.setting(
        "gru", "how they are read, with attention", choices=("gru", "lstm", "simple", "cnn")
    )
    sequence_units: int = config.setting(32, "units of the sequence network", minimum=1)
    code_units: int = config.setting(8, "numbers in the narrowest layer of the autoencoder", minimum=1)
    latent_size: int = config.setting(32, "random numbers behind a synthetic transaction", minimum=1)
    gan_epochs: int = config.setting(30, "most epochs of the GAN", minimum=1)

    epochs: int | None = config.setting(None, "most passes over the training part; none: 8 or 15", minimum=1)
    patience: int = config.setting(4, "epochs without a better validation before the end", unit="epochs", minimum=1)
    batch_size: int | str | None = config.setting(None, "rows per step, or all; none: 512 for many rows, 64 for few")
    optimizer: str = config.setting("adamw", "optimiser", choices=("sgd", "momentum", "adam", "adamw"))
    learning_rate: float = config.setting(2e-3, "peak step size", minimum=1e-7)
    schedule: str = config.setting("cosine", "course of the step size", choices=("constant", "cosine", "one_cycle"))
    weight_decay: float = config.setting(1e-3, "decoupled weight decay (adamw)", minimum=0.0)
    loss: str = config.setting("cross_entropy", "training loss", choices=("cross_entropy", "focal", "mse"))
    fraud_weight: float = config.setting(
        1.0, "weight of a fraud in the loss; above 1 finds more at the price of average precision", minimum=1e-3
    )

    threshold_rule: str = config.setting(
        "budget", "threshold from validation: budget, cost, or a rule such as fpr<=0.001 or max_f1"
    )
    alerts_per_day: int = config.setting(100, "alerts that can be looked at in a day", minimum=1)
    investigation_cost: float = config.setting(5.0, "cost of looking at one alert, in the data's currency", minimum=0)
    recovered_share: float = config.setting(0.8, "share of a fraud's amount that an alert saves", minimum=0, maximum=1)
    compare_imbalance: bool = config.setting(False, "also compare methods against class imbalance in the report")
    resamples: int = config.setting(1000, "bootstrap resamples behind every interval", minimum=100)

    def __post_init__(self) -> None:
        """Check what depends on more than one field."""
        super().__post_init__()
        size = self.batch_size
        valid = size >= 1 if isinstance(size, int) else size in (None, "all")
        config.check(valid, "batch_size", "at least 1, or all", size)
        config.check(len(self.members) > 0, "members", "at least one network", self.members)
        config.check(self.start is None or _is_date(self.start), "start", "a date as 2018-07-25", self.start)
        rest = self.validation_fraction + self.test_fraction
        config.check(rest < 0.9, "validation_fraction + test_fraction", "less than 0.9", rest)

    @property
    def networks(self) -> tuple[str, ...]:
        """The networks that this config names; ``dense_2`` is a second ``dense`` from another seed."""
        if self.model != "ensemble":
            return (self.model,)
        copies = tuple(f"dense_{number}" for number in range(2, self.dense_copies + 1))
        return self.members + copies if "dense" in self.members else self.members

    @classmethod
    def smoke(cls) -> Self:
        """Seconds: three months of a small town; for tests."""
        return cls(
            customers=500,
            terminals=1_000,
            days=100,
            folds=1,
            train_days=14,
            test_days=14,
            validation_days=14,
            dense_copies=1,
            hidden_units=(16,),
            sequence_units=4,
            sequence_length=4,
            epochs=2,
            resamples=100,
        )

    @classmethod
    def quick(cls) -> Self:
        """Two to three minutes: a third of the simulation, two folds."""
        return cls(customers=1_700, terminals=3_400, folds=2, dense_copies=2, alerts_per_day=33, resamples=400)

    @classmethod
    def default(cls) -> Self:
        """Under twenty minutes: the whole simulation, four folds."""
        return cls()


def kind(network: str) -> str:
    """Return what a network is, whichever copy.

    >>> kind("dense_2"), kind("gan")
    ('dense', 'gan')
    """
    return re.sub(r"_\d+$", "", network)


def copy_number(network: str) -> int:
    """Return which copy of its kind a network is, from 1.

    >>> copy_number("dense"), copy_number("dense_2")
    (1, 2)
    """
    return int(network.rpartition("_")[2]) if kind(network) != network else 1


def _is_date(text: str) -> bool:
    try:
        datetime.date.fromisoformat(text)
    except ValueError:
        return False
    return True


def suggest(trial: Any, settings: Config) -> dict[str, Any]:
    """Return what an ``optuna.Trial`` changes of what the networks use, to raise validation's average precision."""
    tried: dict[str, Any] = {
        "learning_rate": trial.suggest_float("learning_rate", 3e-4, 5e-3, log=True),
        "dropout_rate": trial.suggest_float("dropout_rate", 0.0, 0.5),
        "weight_decay": trial.suggest_float("weight_decay", 1e-5, 1e-1, log=True),
        "encoding": trial.suggest_categorical("encoding", ["standard", "piecewise", "both"]),
    }
    if any(kind(name) == "sequence" for name in settings.networks):
        tried["sequence_length"] = trial.suggest_int("sequence_length", 3, 20)
    return tried
