"""``metrics.json`` (DESIGN section 4), built in one place, so that no number leaves without its interval."""

import logging
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from shared import files
from shared.evaluation import intervals

log = logging.getLogger("fieldnets")

DATA_FIELDS = ("source", "split", "n", "unit", "n_units", "sha256")


def metrics_document(  # noqa: PLR0913
    *,
    app: str,
    run: str,
    data: Mapping[str, object],
    metrics: Mapping[str, intervals.Interval],
    baselines: Mapping[str, Mapping[str, intervals.Interval]],
    differences: Mapping[str, Mapping[str, intervals.Interval]] | None = None,
    operating_points: Sequence[Mapping[str, object]] = (),
    slices: Sequence[Mapping[str, object]] = (),
    calibration: Mapping[str, object] | None = None,
    notes: Sequence[str] = (),
    more: Mapping[str, object] | None = None,
) -> dict[str, Any]:
    """Build the content of ``metrics.json`` as plain JSON values.

    Args:
        app: The app's name.
        run: The run's name.
        data: What was evaluated; needs every one of ``DATA_FIELDS``.
        metrics: The model's metrics; the first is the headline metric.
        baselines: For each baseline of the same run, its metrics; the headline metric is required.
        differences: For each baseline, the paired difference model minus baseline per metric.
        operating_points: Rows; values may be numbers, strings, intervals, or nested mappings of these.
        slices: Rows as in ``operating_points``.
        calibration: Parameters and measures, as in ``operating_points``.
        notes: What a reader must know to read the numbers correctly.
        more: Further keys of the app.

    Raises:
        ValueError: A field or an interval is missing, or a number is not finite. The message says where.
    """
    _demand_data_fields(data)
    _demand_baselines(metrics, baselines)
    return {
        "app": app,
        "run": run,
        "data": plain(data, where="data"),
        "metrics": _intervals(metrics, where="metrics"),
        "baselines": _named_intervals(baselines, where="baselines"),
        "differences": _named_intervals(differences or {}, where="differences"),
        "operating_points": plain(operating_points, where="operating_points"),
        "slices": plain(slices, where="slices"),
        "calibration": plain(calibration or {}, where="calibration"),
        "notes": plain(notes, where="notes"),
        **{name: plain(value, where=name) for name, value in (more or {}).items()},
    }


def model_of(run: files.RunFolder) -> dict[str, str]:
    """Return the hashes of a run's weights and decision rule: figures are of the model that has these."""
    return {"weights_sha256": files.sha256(run.model), "decision_sha256": files.sha256(run.decision)}


def of_run(run: files.RunFolder) -> dict[str, Any] | None:
    """Return a run's ``metrics.json`` where its figures may stand beside its model; None, and a warning, otherwise.

    They may where they are of the run's own test part, and of the weights and the decision rule that are there now: a
    run may have been updated, or evaluated on its training part, since.

    Raises:
        errors.InputError: The file exists and is no JSON object.
    """
    path = run.evaluation / "metrics.json"
    if not path.exists():
        return None
    document = files.read_json(path)
    reason = _misfit(document, run)
    if reason:
        log.warning("%s is left out of the bundle: %s; `evaluate` makes it anew", path, reason)
    return None if reason else document


def _misfit(document: Mapping[str, Any], run: files.RunFolder) -> str:
    """Say why figures are not those of the run's model on its own test part; nothing where they are."""
    model, data = document.get("model"), document.get("data", {})
    if not isinstance(model, Mapping):
        return "it does not say which weights its figures are of"
    if dict(model) != model_of(run):
        return "its figures are of other weights, or of another decision rule"
    if data.get("split") != "test" or not data.get("own"):
        own = "the run's own" if data.get("own") else "other data's"
        return f"its figures are of {own} part {data.get('split')!r}, not of the run's own test part"
    return ""


def plain(content: object, *, where: str) -> Any:
    """Return ``content`` as JSON values: intervals and mappings to dict, sequences and arrays to list.

    Raises:
        ValueError: A number is NaN or infinite, or a value has no JSON form; ``where`` begins the path named.

    >>> plain({"n": np.int64(3), "range": (0.1, None)}, where="data")
    {'n': 3, 'range': [0.1, None]}
    """
    if isinstance(content, intervals.Interval):
        return content.to_json()
    if isinstance(content, Mapping):
        return {str(key): plain(value, where=f"{where}.{key}") for key, value in content.items()}
    if isinstance(content, np.generic | np.ndarray):
        return plain(content.tolist(), where=where)
    if isinstance(content, list | tuple):
        return [plain(value, where=f"{where}[{index}]") for index, value in enumerate(content)]
    return _scalar(content, where=where)


def _scalar(content: object, *, where: str) -> object:
    if isinstance(content, float) and not math.isfinite(content):
        raise ValueError(f"{where}: expected a finite number. Received: {content}")
    if content is None or isinstance(content, str | bool | int | float):
        return content
    raise ValueError(f"{where}: expected a JSON value or an interval. Received: {type(content).__name__}")


def _interval(content: object, *, where: str) -> dict[str, Any]:
    if not isinstance(content, intervals.Interval):
        raise ValueError(f"{where}: expected a value with its interval. Received: {content!r}")
    return content.to_json()


def _intervals(metrics: Mapping[str, intervals.Interval], *, where: str) -> dict[str, Any]:
    return {name: _interval(content, where=f"{where}.{name}") for name, content in metrics.items()}


def _named_intervals(groups: Mapping[str, Mapping[str, intervals.Interval]], *, where: str) -> dict[str, Any]:
    return {name: _intervals(group, where=f"{where}.{name}") for name, group in groups.items()}


def _demand_data_fields(data: Mapping[str, object]) -> None:
    missing = [name for name in DATA_FIELDS if data.get(name) is None]
    if missing:
        raise ValueError(f"data: expected {', '.join(DATA_FIELDS)}. Received: none for {', '.join(missing)}")


def _demand_baselines(
    metrics: Mapping[str, intervals.Interval], baselines: Mapping[str, Mapping[str, intervals.Interval]]
) -> None:
    headline = next(iter(metrics), None)
    if headline is None:
        raise ValueError("metrics: expected at least one metric with its interval. Received: none")
    if not baselines:
        raise ValueError("baselines: expected at least one plain baseline of the same run. Received: none")
    for name, group in baselines.items():
        if headline not in group:
            raise ValueError(f"baselines.{name}: expected {headline}, the headline metric. Received: {sorted(group)}")
