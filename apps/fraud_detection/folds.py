"""Parts in time: prequential weeks with a label delay, or chronological shares. No TensorFlow here.

Prequential (Le Borgne et al. 2022, chapter "Validation strategies"): learn from the transactions of some days, wait
until their labels would be known, test on the days after that; then move on. Calibration uses the days before the
training days, as far off as the tested ones: their labels are known as well, and none of them is tested on. Payers
whose card is known to be compromised are blocked in practice, and so are left out.
"""

import dataclasses
import math
from typing import Any

import numpy as np
import numpy.typing as npt

from apps.fraud_detection import config, features
from apps.fraud_detection.transactions import CLASS_NAMES, UNKNOWN, Transactions
from shared import errors, splits

Ints = npt.NDArray[np.int64]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Fold:
    """Row numbers, ascending.

    Attributes:
        train: Trained on.
        validation: Calibrated on.
        test: Evaluated on.
    """

    train: Ints
    validation: Ints
    test: Ints

    def rows(self, part: str) -> Ints:
        """Return the rows of a part of ``splits.PARTS``."""
        found: Ints = getattr(self, part)
        return found


def split(transactions: Transactions, settings: config.Config) -> tuple[list[Fold], dict[str, Any]]:
    """Cut labelled transactions into folds, oldest first, and certify the newest, whose model is kept.

    Returns:
        The folds, and the certificate for ``split.json``.

    Raises:
        errors.InputError: There are too few days, or a part of a fold has no fraud or no genuine transaction.
        errors.GateError: The split failed its own check.
    """
    first = first_days(transactions, settings)
    folds = [_prequential(transactions, settings, day) for day in first] or [_chronological(transactions, settings)]
    for number, fold in enumerate(folds, start=1):
        _require_both_classes(transactions, fold, number)
    return folds, certificate(transactions, folds, describe(transactions, settings), settings)


def first_days(transactions: Transactions, settings: config.Config) -> list[int]:
    """Return the first training day of each prequential fold; none for the chronological protocol.

    Raises:
        errors.InputError: Prequential folds are asked for and the data are too short.
    """
    if settings.protocol == "chronological":
        return []
    delay = delay_days(transactions)
    before = settings.validation_days + delay
    after = settings.train_days + delay + settings.test_days
    begins, ends = int(transactions.days[0]), int(transactions.days[-1]) + 1
    needed = before + after + (settings.folds - 1) * settings.test_days
    if ends - begins < needed:
        if settings.protocol == "auto":
            return []
        raise errors.InputError(
            f"{transactions.name}: expected at least {needed} days for {settings.folds} prequential folds (fewer "
            f"--folds, shorter --train-days, or --protocol chronological). Received: {ends - begins} days"
        )
    last = ends - after - (settings.folds - 1) * settings.test_days
    start = last
    if settings.start is not None and transactions.calendar:
        wanted = int(np.datetime64(settings.start, "D").astype(np.int64))
        start = wanted if begins + before <= wanted <= last else last
    return [start + fold * settings.test_days for fold in range(settings.folds)]


def delay_days(transactions: Transactions) -> int:
    """Return the label delay in whole days."""
    return math.ceil(transactions.schema.label_delay_days)


def describe(transactions: Transactions, settings: config.Config) -> str:
    """Return how the parts are made, in a sentence."""
    if not first_days(transactions, settings):
        shares = (1 - settings.validation_fraction - settings.test_fraction, settings.validation_fraction)
        return (
            f"Chronological: the first {shares[0]:.0%} of the rows to learn from, the next {shares[1]:.0%} to "
            f"calibrate on, the last {settings.test_fraction:.0%} tested."
        )
    delay = delay_days(transactions)
    return (
        f"Prequential, {settings.folds} folds: {settings.train_days} days to learn from, {delay} days until their "
        f"labels are known, {settings.test_days} days tested without cards known to be compromised; calibrated on "
        f"{settings.validation_days} days that end {delay} days before the training days."
    )


def _prequential(transactions: Transactions, settings: config.Config, start: int) -> Fold:
    delay = delay_days(transactions)
    trained = start + settings.train_days
    tested = _window(transactions, trained + delay, settings.test_days)
    blocked = compromised(transactions, tested, since=start, delay=delay)
    return Fold(
        train=_known(transactions, _window(transactions, start, settings.train_days)),
        validation=_known(
            transactions, _window(transactions, start - delay - settings.validation_days, settings.validation_days)
        ),
        test=_known(transactions, tested[~blocked]),
    )


def compromised(transactions: Transactions, rows: Ints, *, since: int, delay: int) -> npt.NDArray[np.bool_]:
    """Return for each row whether a fraud of its payer since day ``since`` was known at the beginning of its day.

    A fraud of a day is known ``delay`` whole days after it: on day ``t`` those of the days before ``t - delay``.
    """
    if transactions.schema.payer is None:
        return np.zeros(len(rows), bool)
    payers, days = transactions.payers, transactions.days
    frauds = np.flatnonzero((transactions.labels == 1) & (days >= since))
    earliest = np.full(int(payers.max(initial=0)) + 1, np.iinfo(np.int64).max)
    np.minimum.at(earliest, payers[frauds], days[frauds])
    return np.asarray(earliest[payers[rows]] < days[rows] - delay)


def _chronological(transactions: Transactions, settings: config.Config) -> Fold:
    """Cut by the share of rows, between days where there are several, so that no day is in two parts."""
    known = _known(transactions, np.arange(len(transactions)))
    size = len(known)
    train = round(size * (1 - settings.validation_fraction - settings.test_fraction))
    validation = round(size * (1 - settings.test_fraction))
    instants = transactions.time[known]
    # Transactions of one instant stay together.
    train, validation = (int(np.searchsorted(instants, instants[min(cut, size - 1)])) for cut in (train, validation))
    return Fold(train=known[:train], validation=known[train:validation], test=known[validation:])


def certificate(
    transactions: Transactions, folds: list[Fold], protocol: str, settings: config.Config
) -> dict[str, Any]:
    """Certify the newest fold and count the others.

    Raises:
        errors.GateError: A unit, or identical content, is in two parts.
    """
    newest = as_split(transactions, folds[-1], protocol, settings.seed)
    return splits.certificate(
        newest,
        labels=np.maximum(transactions.labels, 0),
        content_hashes=transactions.content_hashes(),
        class_names=CLASS_NAMES,
        checks={
            "data_sha256": transactions.sha256,
            "notes": list(transactions.notes),
            "folds": [_counts(transactions, fold) for fold in folds],
            "validation_after_train_or_judged": 0,
        },
    )


def as_split(transactions: Transactions, fold: Fold, protocol: str, seed: int) -> splits.Split:
    """Return a fold as parts of all rows; a unit is a card within a day, or a row where no card is named."""
    part = np.full(len(transactions), splits.LEFT_OUT, dtype="<U10")
    for name in splits.PARTS:
        part[fold.rows(name)] = name
    carded = transactions.schema.payer is not None
    # In chronological parts a day may be cut; instants never are.
    moment = transactions.days if protocol.startswith("Prequential") else transactions.time
    _, unit = np.unique(np.stack([transactions.payers, moment]), axis=1, return_inverse=True)
    name = "card and day" if protocol.startswith("Prequential") else "card and instant"
    return splits.Split(
        part=part,
        unit=unit.astype(np.int64) if carded else np.arange(len(transactions), dtype=np.int64),
        unit_name=name if carded else "transaction",
        method=protocol,
        seed=seed,
    )


def _window(transactions: Transactions, first: int, days: int) -> Ints:
    """Return the rows of ``days`` days from day ``first`` on."""
    edges = np.searchsorted(transactions.time, np.array([first, first + days]) * features.DAY)
    return np.arange(edges[0], edges[1], dtype=np.int64)


def _known(transactions: Transactions, rows: Ints) -> Ints:
    """Keep the rows that have a label."""
    return np.asarray(rows[transactions.labels[rows] != UNKNOWN], np.int64)


def _require_both_classes(transactions: Transactions, fold: Fold, number: int) -> None:
    for part in ("train", "validation"):
        labels = transactions.labels[fold.rows(part)]
        counts = {name: int((labels == index).sum()) for index, name in enumerate(CLASS_NAMES)}
        if min(counts.values()) == 0:
            raise errors.InputError(
                f"{transactions.name}: expected frauds and genuine transactions in the {part} part of fold {number} "
                f"(longer windows or other fractions may help). Received: {counts}"
            )


def _counts(transactions: Transactions, fold: Fold) -> dict[str, Any]:
    def count(rows: Ints) -> dict[str, Any]:
        days = transactions.days[rows]
        return {
            "rows": len(rows),
            "frauds": int((transactions.labels[rows] == 1).sum()),
            "first_day": day_name(int(days[0]), calendar=transactions.calendar) if len(rows) else None,
            "last_day": day_name(int(days[-1]), calendar=transactions.calendar) if len(rows) else None,
        }

    return {part: count(fold.rows(part)) for part in splits.PARTS}


def day_name(day: int, *, calendar: bool) -> str:
    """Return how a day is written.

    >>> day_name(17737, calendar=True), day_name(3, calendar=False)
    ('2018-07-25', 'day 4')
    """
    return str(np.datetime64(day, "D")) if calendar else f"day {day + 1}"
