"""scikit-learn estimators of the apps that predict one class: for ``cross_validate``, ``Pipeline`` and searches.

An estimator trains a run as ``fieldnets.train`` does. The data that ``fit`` is given are split again inside, into what
the networks learn from, what calibrates them and chooses thresholds, and a small part for ``run_.evaluate()``.
"""

import os
import pathlib
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn import base
from sklearn.utils import validation

from apps import api
from shared import errors
from shared.api import runs

_LABEL, _TEXT, _IMAGE, _PATIENT = "label", "text", "image", "patient"


class _Classifier(base.ClassifierMixin, base.BaseEstimator):  # type: ignore[misc]
    """What the three have in common; a subclass says how its data become a table.

    Attributes:
        classes_: The labels that ``fit`` saw, sorted.
        run_: The run, with ``evaluate``, ``explain`` and ``export``.
    """

    _app = ""

    def __init__(
        self,
        *,
        preset: str = "default",
        settings: Mapping[str, Any] | None = None,
        random_state: int = 0,
        run_dir: str | os.PathLike[str] | None = None,
    ) -> None:
        """Keep the parameters, as scikit-learn wants them: unchanged.

        Args:
            preset: ``smoke``, ``quick`` or ``default``.
            settings: Settings on top of it, such as ``{"epochs": 3}``.
            random_state: Seed of every random choice.
            run_dir: Where the run is kept, replaced by the next ``fit``; None: as long as the estimator is.
        """
        self.preset = preset
        self.settings = settings
        self.random_state = random_state
        self.run_dir = run_dir

    def _table(self, x: Any) -> pd.DataFrame:
        """Return a table of the inputs, without labels."""
        raise NotImplementedError

    def _words(self, classes: npt.NDArray[Any]) -> list[str]:
        """Return what the app is told in place of each class: numbers mean something to it."""
        return [f"class {number}" for number in range(len(classes))]

    def _settings(self) -> dict[str, Any]:
        """Return what reads the table."""
        return {}

    def fit(self, X: Any, y: Any, groups: Any = None) -> Any:  # noqa: N803 - scikit-learn's name
        """Train on inputs and their labels.

        Args:
            X: As the class says.
            y: (n,) labels.
            groups: (n,) inputs of one group stay in one part, where the app knows groups.

        Raises:
            errors.InputError: They cannot be trained on.
        """
        labels = np.asarray(y)
        table = self._table(X)
        validation.check_consistent_length(table, labels)
        self.classes_, codes = np.unique(labels, return_inverse=True)
        if len(self.classes_) < 2:
            raise errors.InputError(f"y: expected at least two classes. Received: {self.classes_.tolist()}")
        words = np.array(self._words(self.classes_), object)
        table = self._with_groups(table.assign(**{self._label(): words[codes]}), groups)
        folder = self._new_folder()
        settings = {**self._settings(), **(self.settings or {}), "seed": int(self.random_state)}
        run = api.train(self._app, self._kept(table, folder), preset=self.preset, run_dir=folder, **settings)
        self._take(run, words.tolist())
        return self

    def _label(self) -> str:
        return _LABEL

    def _with_groups(self, table: pd.DataFrame, groups: Any) -> pd.DataFrame:
        if groups is not None:
            raise errors.InputError(f"groups: expected none, {self._app} finds what belongs together. Received: some")
        return table

    def _kept(self, table: pd.DataFrame, _folder: pathlib.Path) -> Any:
        return table

    def predict_proba(self, X: Any) -> npt.NDArray[np.float64]:  # noqa: N803
        """Return (n, classes) calibrated probabilities, in the order of ``classes_``."""
        validation.check_is_fitted(self)
        found = self.run_.predict_proba(self._inputs(X))
        return np.asarray(found)[:, self._order]

    def predict(self, X: Any) -> npt.NDArray[Any]:  # noqa: N803
        """Return (n,) the most probable class of each input."""
        chosen = self.predict_proba(X).argmax(axis=1)
        found: npt.NDArray[Any] = self.classes_[chosen]
        return found

    def _inputs(self, x: Any) -> Any:
        return self._table(x)

    def _new_folder(self) -> pathlib.Path:
        """Return an empty folder for a run: the given one, cleared, or one that goes with the estimator."""
        if self.run_dir is None:
            self._scratch = tempfile.TemporaryDirectory(prefix="fieldnets-", ignore_cleanup_errors=True)
            return pathlib.Path(self._scratch.name) / "run"
        return pathlib.Path(self.run_dir)

    def _take(self, run: runs.Run, words: Sequence[str]) -> None:
        self.run_ = run
        self._order = [run.classes.index(word) for word in words]

    def __sklearn_is_fitted__(self) -> bool:
        """Tell whether there is a run."""
        return hasattr(self, "run_")

    def __getstate__(self) -> dict[str, Any]:
        """Return what a pickle holds: the parameters, and the files of the run."""
        state = {name: value for name, value in vars(self).items() if name not in ("run_", "_scratch")}
        return state | ({"files": _packed(self.run_.path)} if hasattr(self, "run_") else {})

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Unpack the files of the run into a folder of its own."""
        packed = state.pop("files", None)
        self.__dict__.update(state)
        if packed is not None:
            self._scratch = tempfile.TemporaryDirectory(prefix="fieldnets-", ignore_cleanup_errors=True)
            folder = pathlib.Path(self._scratch.name) / "run"
            with zipfile.ZipFile(BytesIO(packed)) as archive:
                archive.extractall(folder)
            self.run_ = api.open_run(folder)


def _packed(folder: pathlib.Path) -> bytes:
    held = BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        for path in sorted(each for each in folder.rglob("*") if each.is_file()):
            archive.write(path, path.relative_to(folder))
    return held.getvalue()


class SentimentClassifier(_Classifier):
    """Texts to classes: ``fit(texts, labels)``, where near duplicates never cross the parts of a run.

    ``X`` is a list, Series or array of texts, or a DataFrame with one column. Labels may be any; 0 and 1 are negative
    and positive in the run's report.
    """

    _app = "sentiment"

    def _words(self, classes: npt.NDArray[Any]) -> list[str]:
        if set(classes.tolist()) == {0, 1}:
            return ["negative", "positive"]
        named = set(classes.tolist()) <= {"negative", "neutral", "positive"}
        return classes.tolist() if named else super()._words(classes)

    def _table(self, x: Any) -> pd.DataFrame:
        texts = x.iloc[:, 0] if isinstance(x, pd.DataFrame) else x
        return pd.DataFrame({_TEXT: [str(each) for each in np.ravel(np.asarray(texts, object))]})

    def _inputs(self, x: Any) -> Any:
        return self._table(x)[_TEXT].tolist()

    def _settings(self) -> dict[str, Any]:
        return {"text_column": _TEXT, "label_column": _LABEL}


class FraudClassifier(_Classifier):
    """Transactions to genuine or fraud: ``fit(table, is_fraud)``, rows in order of time.

    ``X`` is a DataFrame with a column of the time and, of use, an amount, who pays and who is paid. Validate with
    ``TimeSeriesSplit``: a model that has seen the future is measured too well. Each transaction is compared with the
    earlier ones of the same table.
    """

    _app = "fraud-detection"

    def _table(self, x: Any) -> pd.DataFrame:
        if not isinstance(x, pd.DataFrame):
            raise errors.InputError(f"x: expected a DataFrame of transactions. Received: {type(x).__name__}")
        return x

    def _words(self, classes: npt.NDArray[Any]) -> list[str]:
        if len(classes) != 2:
            raise errors.InputError(f"y: expected two classes, genuine and fraud. Received: {classes.tolist()}")
        return ["0", "1"]

    def _label(self) -> str:
        return "is_fraud"

    def _settings(self) -> dict[str, Any]:
        return {"data_format": "table", "label_column": self._label()}

    def _take(self, run: runs.Run, words: Sequence[str]) -> None:
        self.run_ = run
        self._order = list(range(len(words)))


class MedicalImageClassifier(_Classifier):
    """Radiographs to classes: ``fit(paths, labels, groups=patients)``; a patient's images stay in one part.

    ``X`` is a list, Series or array of paths of images. Without ``groups`` each image is a patient of its own, but
    for near duplicates. Validate with ``GroupKFold``.
    """

    _app = "medical-imaging"

    def _words(self, classes: npt.NDArray[Any]) -> list[str]:
        return classes.tolist() if classes.dtype.kind in "UO" else super()._words(classes)

    def _table(self, x: Any) -> pd.DataFrame:
        paths = x.iloc[:, 0] if isinstance(x, pd.DataFrame) else x
        return pd.DataFrame({_IMAGE: [os.path.abspath(str(each)) for each in np.ravel(np.asarray(paths, object))]})

    def _inputs(self, x: Any) -> Any:
        return self._table(x)

    def _with_groups(self, table: pd.DataFrame, groups: Any) -> pd.DataFrame:
        patients = [f"image-{number}" for number in range(len(table))] if groups is None else map(str, groups)
        return table.assign(**{_PATIENT: list(patients)})

    def _settings(self) -> dict[str, Any]:
        columns = {"image_column": _IMAGE, "label_columns": [_LABEL], "patient_column": _PATIENT}
        return {**columns, "allow_outside": True}
