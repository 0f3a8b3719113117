"""What an evaluation is made from: the transactions judged, and what the model and others say about them.

No TensorFlow here.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

Bools: TypeAlias = npt.NDArray[np.bool_]
Floats: TypeAlias = npt.NDArray[np.float64]
Ints: TypeAlias = npt.NDArray[np.int64]
Objects: TypeAlias = npt.NDArray[np.object_]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rows:
    """Labelled transactions to judge, fold after fold, in each oldest first.

    Attributes:
        ids: (n,) identity of each transaction.
        folds: (n,) int64 fold, from 0, whose model judged the row; all 0 without prequential folds.
        days: (n,) int64 day, rising within a fold.
        day_names: Day -> how it is written, such as "2018-08-08" or "day 3".
        amounts: (n,) float64 in the currency.
        labels: (n,) int64, 1 fraud and 0 genuine.
        payers: (n,) int64 the card (customer, account) of each row.
        has_payer: Whether ``payers`` are cards; otherwise every row is its own and nothing is counted by card.
        weights: (n,) float64, transactions of the population that the row stands for.
        columns: Feature -> (n,) float64, for the drift of inputs.
        reference_columns: The same features of the validation part, each (m,).
        reference_scores: (m,) calibrated fraud probabilities of the validation part.
        groups: (n,) str group for predictive equality; None where there is none.
        scenarios: (n,) str kind of fraud; None where it is not known.
    """

    ids: npt.NDArray[Any]
    folds: Ints
    days: Ints
    day_names: Mapping[int, str]
    amounts: Floats
    labels: Ints
    payers: Ints
    has_payer: bool
    weights: Floats
    columns: Mapping[str, Floats]
    reference_columns: Mapping[str, Floats]
    reference_scores: Floats
    groups: Objects | None = None
    scenarios: Objects | None = None

    def __len__(self) -> int:
        return len(self.labels)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Data:
    """What the rows are.

    Attributes:
        source: Name of the data set.
        split: Part judged, "all" where the data are not the run's own.
        unit: What is resampled: "card", or "transaction" where no card is named.
        sha256: Of the content.
        currency: Such as "EUR"; may be empty.
        protocol: How the parts were made, in a sentence.
        certificate: The split certificate (``split.json``); empty for data that are not the run's own.
        notes: What the loader found.
    """

    source: str
    split: str
    unit: str
    sha256: str
    currency: str
    protocol: str
    certificate: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Costs:
    """What decisions cost, in the currency.

    Attributes:
        investigation: Of one alert.
        recovered_share: Share of a fraud's amount that an alert saves, in [0, 1].
        alerts_per_day: The budget.
    """

    investigation: float
    recovered_share: float
    alerts_per_day: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run:
    """What the model says about the rows.

    Attributes:
        name: Name of the run.
        scores: (n,) calibrated probability of fraud.
        thresholds: (n,) the threshold of each row's fold, frozen on validation data.
        rule: How the thresholds were chosen.
        costs: The cost matrix and the budget.
        members: Scores (n,) of each network of an ensemble; empty otherwise.
        imbalance: Method against imbalance -> scores (n,) of the same learner trained with it; "none" is plain.
        synthetic: Training set ("real", "synthetic", "real and synthetic") -> scores (n,); empty without a GAN.
        memorisation: What the memorisation check of the GAN found, name -> number; empty without a GAN.
        history: One row per network, fold and epoch, as in ``history.csv``.
    """

    name: str
    scores: Floats
    thresholds: Floats
    rule: str
    costs: Costs
    members: Mapping[str, Floats] = dataclasses.field(default_factory=dict)
    imbalance: Mapping[str, Floats] = dataclasses.field(default_factory=dict)
    synthetic: Mapping[str, Floats] = dataclasses.field(default_factory=dict)
    memorisation: Mapping[str, float] = dataclasses.field(default_factory=dict)
    history: pd.DataFrame = dataclasses.field(default_factory=pd.DataFrame)
