"""A serving bundle as an object that predicts; TensorFlow, or a faster engine, is loaded when it first does."""

import pathlib
from typing import Any

import pandas as pd

from shared import errors, files, steps
from shared.api import calls, runs, tables
from shared.bundle import reading


class Model:
    """A bundle that `export` wrote, checked against its manifest.

    Attributes:
        path: Its version folder.
    """

    def __init__(self, app: steps.App, path: pathlib.Path, *, engine: str | None = None) -> None:
        """Take a checked version folder; see `load`."""
        self._app = app
        self.path = path
        self._engine = engine
        self._opened: Any = None

    @property
    def name(self) -> str:
        """The model's name."""
        return self.path.parent.name

    @property
    def version(self) -> int:
        """Its version."""
        return reading.number(self.path)

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes, in the order of the probabilities."""
        return runs.classes(files.read_json(self.path / reading.EXTRA / "decision.json"))

    @property
    def card(self) -> str:
        """The model card, as Markdown."""
        return (self.path / reading.EXTRA / "model_card.md").read_text("utf-8")

    def __repr__(self) -> str:
        """Return name, version and folder."""
        return f"Model({self.name!r}, version={self.version}, path={str(self.path)!r})"

    def predict(self, data: Any, *, progress: bool = False, **options: Any) -> pd.DataFrame:
        """Predict raw inputs: a DataFrame, a list, an array or paths; see ``runs.Run.predict``.

        Raises:
            errors.InputError: An input cannot be read.
        """
        with calls.call(shown=progress):
            return runs.predict(self._app, data, options, model_dir=self.path, engine=self._engine, opened=self._open)

    def predict_proba(self, data: Any, **options: Any) -> Any:
        """Return (n, classes) calibrated probabilities, in the order of `classes`; see `predict`."""
        return tables.probabilities(self.predict(data, **options))[1]

    def _open(self) -> Any:
        from shared.bundle import engines

        if self._opened is None:
            self._opened = engines.load(self.path, self._engine)
        return self._opened


def find(path: pathlib.Path) -> pathlib.Path:
    """Return the version folder that a path means, compared with its manifest.

    Raises:
        errors.InputError: There is no bundle, or a repository holds several.
        errors.GateError: A file is not what the manifest says.
    """
    folder = reading.find(path)
    reading.check_manifest(folder)
    return folder


def app_of(name: str, apps: tuple[str, ...]) -> str:
    """Return the app that wrote a bundle, which is called as its app is.

    >>> app_of("fraud_detection", ("sentiment", "fraud-detection"))
    'fraud-detection'

    Raises:
        errors.InputError: No app is called so.
    """
    found = name.replace("_", "-")
    if found not in apps:
        raise errors.InputError(f"{name}: expected a bundle of {', '.join(apps)}. Received: another's")
    return found
