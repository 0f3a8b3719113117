"""fieldnets as a library.

::

    import fieldnets

    run = fieldnets.train("sentiment", data="reviews.csv", preset="quick")
    report = run.evaluate()
    model = fieldnets.load(run.export("bundles"))

docs/python_api.md describes it. Nothing heavy is imported before it is used. ``from fieldnets.apps.sentiment import
config`` and ``from fieldnets.shared import files`` reach the code behind it, which may change.

That code lies in ``apps/`` and ``shared/`` of a checkout, and in this package of an installation. A program that
imports fieldnets keeps its own ``apps`` and ``shared``, if it has any; ``_namespace`` sees to that.
"""

import importlib
from typing import Any

from fieldnets import _namespace

_namespace.install()
_namespace.say_interrupted()

# Public name -> the module that has it, and what it is called there.
_PUBLIC = {
    "train": ("apps.api", "train"),
    "open": ("apps.api", "open_run"),
    "load": ("apps.api", "load"),
    "settings_of": ("apps.api", "settings_of"),
    "Run": ("shared.api.runs", "Run"),
    "Report": ("shared.api.results", "Report"),
    "Explanation": ("shared.api.results", "Explanation"),
    "Metric": ("shared.api.results", "Metric"),
    "Bundle": ("shared.api.results", "Bundle"),
    "Model": ("shared.api.models", "Model"),
    "SentimentClassifier": ("apps.estimators", "SentimentClassifier"),
    "FraudClassifier": ("apps.estimators", "FraudClassifier"),
    "MedicalImageClassifier": ("apps.estimators", "MedicalImageClassifier"),
    "FieldnetsError": ("shared.errors", "FieldnetsError"),
    "InputError": ("shared.errors", "InputError"),
    "GateError": ("shared.errors", "GateError"),
}

__all__ = sorted(_PUBLIC)


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, called = _PUBLIC[name]
    found = globals()[name] = getattr(importlib.import_module(f"{__name__}.{module}"), called)
    return found


def __dir__() -> list[str]:
    """Return the public names, and those of any module."""
    return sorted({*globals(), *_PUBLIC})
