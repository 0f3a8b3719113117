"""What is known of data before anything is trained: columns, what one of them alone predicts, probable label errors.

Everything is computed on held-out folds of whole split units by plain models, so that what a row says of itself counts
for nothing.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse
from sklearn import linear_model, metrics, model_selection, pipeline, preprocessing

FOLDS, BINS, FEWEST_OF_CLASS = 5, 16, 10
# From these areas under the ROC curve on a column alone is remarkable, or too good to be left without a question.
STRONG, SUSPICIOUS = 0.9, 0.98

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Inspected:
    """Labelled rows as plain models see them.

    Attributes:
        names: n texts: where each row stands in its source.
        labels: (n, k) float64: 1 the class, 0 not, NaN unknown.
        class_names: k names.
        exclusive: Whether a row has one class; else each class is a question of its own.
        units: (n,) int64 split unit.
        columns: (n, any) numbers and texts of each row, which may or may not be inputs of the networks.
        matrix: (n, d) float, dense or sparse, without NaN: what the label-error model reads.
        show: From a row to what a person looks at: a text, or a picture as ``data:image/...``.
        left_out: Why these are not all rows; empty where they are.
    """

    names: Sequence[str]
    labels: Floats
    class_names: Sequence[str]
    exclusive: bool
    units: Ints
    columns: pd.DataFrame
    matrix: Any
    show: Callable[[int], str]
    left_out: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Column:
    """A column in numbers.

    Attributes:
        name: Of the column.
        kind: ``number`` or ``text``.
        missing: Share of rows without a value.
        distinct: Number of values.
        most: The most frequent value.
        most_share: Its share of the rows that have one.
        alone: Area under the ROC curve of the class that this column alone predicts best, on held-out units; None
            where no class has enough rows.
        of_class: That class.
    """

    name: str
    kind: str
    missing: float
    distinct: int
    most: str
    most_share: float
    alone: float | None
    of_class: str

    @property
    def constant(self) -> bool:
        """Whether all rows have the same value, or none."""
        return self.distinct <= 1 and self.missing in (0.0, 1.0)


def drawn(rows: Ints, units: Ints, *, most: int, seed: int) -> Ints:
    """Return at most so many of ``rows``, ascending: whole split units, drawn at random, until the next does not fit.

    Args:
        rows: (n,) row numbers.
        units: (n,) split unit of each of them.
        most: How many may be returned.
        seed: Of the order of the units.
    """
    if len(rows) <= most:
        return rows
    names, inverse, counts = np.unique(units, return_inverse=True, return_counts=True)
    order = np.random.default_rng(seed).permutation(len(names))
    chosen = np.zeros(len(names), bool)
    chosen[order[np.cumsum(counts[order]) <= most]] = True
    return rows[chosen[inverse]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class LabelError:
    """A row whose label is probably wrong: ``given``, ``suggested``, and the model's probability of each."""

    row: int
    name: str
    given: str
    suggested: str
    probability_given: float
    probability_suggested: float


def columns(inspected: Inspected, *, seed: int) -> list[Column]:
    """Describe every column, those that predict a class best first."""
    questions = _questions(inspected, seed=seed)
    found = [_column(str(name), inspected.columns[name], questions) for name in inspected.columns]
    return sorted(found, key=lambda column: (not column.constant, -(column.alone or 0.0), column.name))


@dataclasses.dataclass(frozen=True, eq=False)
class _Question:
    """A class against the rest: the rows of which it is known, whether they have it, and the folds."""

    name: str
    rows: Ints
    truth: Ints
    folds: list[tuple[Ints, Ints]]


def _questions(inspected: Inspected, *, seed: int) -> list[_Question]:
    found = []
    places = range(len(inspected.class_names))
    # Of two classes that exclude each other one question holds both.
    for place in list(places)[-1:] if inspected.exclusive and len(places) == 2 else places:
        rows = np.flatnonzero(np.isfinite(inspected.labels[:, place])).astype(np.int64)
        truth = inspected.labels[rows, place].astype(np.int64)
        folds = _folds(truth, inspected.units[rows], seed=seed)
        if folds:
            found.append(_Question(inspected.class_names[place], rows, truth, folds))
    return found


def _folds(truth: Ints, units: Ints, *, seed: int) -> list[tuple[Ints, Ints]]:
    """Return folds of whole units, or none where a class has too few rows or units."""
    classes, counts = np.unique(truth, return_counts=True)
    of_units = min(len(np.unique(units[truth == each])) for each in classes)
    if len(classes) < 2 or counts.min() < FEWEST_OF_CLASS or of_units < FOLDS:
        return []
    maker = model_selection.StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed)
    return [(np.asarray(a, np.int64), np.asarray(b, np.int64)) for a, b in maker.split(truth, truth, units)]


def _column(name: str, values: pd.Series, questions: Sequence[_Question]) -> Column:
    numeric = pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values)
    present = values.dropna() if numeric else values[values.notna() & (values.astype(str) != "")]
    counts = present.astype(str).value_counts()
    codes = _binned(values) if numeric else _codes(values)
    areas = {question.name: _area_alone(codes, question) for question in questions}
    best = max(areas, key=lambda each: areas[each]) if areas else ""
    return Column(
        name=name,
        kind="number" if numeric else "text",
        missing=1 - len(present) / max(len(values), 1),
        distinct=len(counts),
        most=str(counts.index[0]) if len(counts) else "",
        most_share=float(counts.iloc[0] / len(present)) if len(counts) else 0.0,
        alone=areas[best] if areas else None,
        of_class=best,
    )


def _binned(values: pd.Series) -> Ints:
    """Return the quantile bin of each number, and a bin of its own where there is none."""
    numbers = pd.to_numeric(values).astype(np.float64).replace([np.inf, -np.inf], np.nan)
    bins = pd.qcut(numbers, BINS, labels=False, duplicates="drop")
    # A single value makes no bin.
    return bins.mask(bins.isna() & numbers.notna(), 0).fillna(-1).to_numpy(np.int64) + 1


def _codes(values: pd.Series) -> Ints:
    return np.asarray(pd.factorize(values.astype(str))[0], np.int64)


def _area_alone(codes: Ints, question: _Question) -> float:
    """Score each held-out row by how often its value had the class in the other folds; return the area of that."""
    own, scores = codes[question.rows], np.zeros(len(question.rows))
    for fitted, held_out in question.folds:
        size = int(own.max(initial=0)) + 1
        rate = question.truth[fitted].mean()
        # A value seen rarely says little: one row at the overall rate is added to each.
        hits = np.bincount(own[fitted], weights=question.truth[fitted], minlength=size) + rate
        scores[held_out] = (hits / (np.bincount(own[fitted], minlength=size) + 1))[own[held_out]]
    return float(metrics.roc_auc_score(question.truth, scores))


def label_errors(inspected: Inspected, *, seed: int) -> list[LabelError]:
    """Return the rows whose labels are probably wrong, the surest first, by confident learning.

    Northcutt, Jiang and Chuang 2021 (https://doi.org/10.1613/jair.1.12125): a logistic regression on held-out units
    gives probabilities; a class is taken for sure where its probability reaches the mean of the rows that are labelled
    so; a row that is sure of another class than its own is listed, by the difference of the two probabilities.
    """
    if inspected.exclusive:
        return _exclusive_errors(inspected, seed=seed)
    found = [error for place in range(len(inspected.class_names)) for error in _finding_errors(inspected, place, seed)]
    return sorted(found, key=lambda error: error.probability_given - error.probability_suggested)


def _exclusive_errors(inspected: Inspected, *, seed: int) -> list[LabelError]:
    rows = np.flatnonzero(np.isfinite(inspected.labels).all(axis=1)).astype(np.int64)
    given = inspected.labels[rows].argmax(axis=1).astype(np.int64)
    return _errors(inspected, rows, given, inspected.class_names, seed=seed)


def _finding_errors(inspected: Inspected, place: int, seed: int) -> list[LabelError]:
    rows = np.flatnonzero(np.isfinite(inspected.labels[:, place])).astype(np.int64)
    name = inspected.class_names[place]
    return _errors(inspected, rows, inspected.labels[rows, place].astype(np.int64), (f"no {name}", name), seed=seed)


def _errors(inspected: Inspected, rows: Ints, given: Ints, names: Sequence[str], *, seed: int) -> list[LabelError]:
    present, coded = np.unique(given, return_inverse=True)
    folds = _folds(coded, inspected.units[rows], seed=seed) if len(rows) else []
    if not folds:
        return []
    probabilities = _held_out_probabilities(inspected.matrix[rows], coded, folds)
    return [
        LabelError(
            row=int(rows[at]),
            name=inspected.names[rows[at]],
            given=names[present[coded[at]]],
            suggested=names[present[suggested]],
            probability_given=float(probabilities[at, coded[at]]),
            probability_suggested=float(probabilities[at, suggested]),
        )
        for at, suggested in confident(probabilities, coded)
    ]


def _held_out_probabilities(matrix: Any, labels: Ints, folds: Sequence[tuple[Ints, Ints]]) -> Floats:
    # Sparse rows are words, each of length 1 already; numbers of other units are brought to one spread.
    scaler = preprocessing.FunctionTransformer() if sparse.issparse(matrix) else preprocessing.StandardScaler()
    model = pipeline.make_pipeline(scaler, linear_model.LogisticRegression(max_iter=300, tol=1e-3))
    found = np.zeros((len(labels), labels.max() + 1))
    for fitted, held_out in folds:
        found[held_out] = model.fit(matrix[fitted], labels[fitted]).predict_proba(matrix[held_out])
    return found


def confident(probabilities: Floats, labels: Ints) -> list[tuple[int, int]]:
    """Return (row, class) of rows that are sure of another class than their label, the surest first.

    >>> confident(np.array([[0.9, 0.1], [0.8, 0.2], [0.2, 0.8], [0.95, 0.05]]), np.array([0, 0, 1, 1]))
    [(3, 0)]
    """
    own = probabilities[np.arange(len(labels)), labels]
    thresholds = np.array([own[labels == each].mean() for each in range(probabilities.shape[1])])
    sure = np.where(probabilities >= thresholds, probabilities, -np.inf)
    suggested = sure.argmax(axis=1)
    other = np.isfinite(sure.max(axis=1)) & (suggested != labels)
    margin = own - probabilities[np.arange(len(labels)), suggested]
    rows = np.flatnonzero(other & (margin < 0))
    return [(int(row), int(suggested[row])) for row in rows[np.argsort(margin[rows], kind="stable")]]
