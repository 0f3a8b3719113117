"""What one run folder tells at a glance, and which folders below a path are runs; damaged ones are named."""

import dataclasses
import datetime
import os
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from shared import config, errors, files
from shared.evaluation import intervals
from shared.report import formatting

# App -> its config class: of a run that was never evaluated only the settings tell whose it is.
Configs: TypeAlias = Mapping[str, type[config.Config]]
SMOKE = "smoke: not for use"
# How a folder looks that `train` made, also one that has lost a file.
_MARKS = (("config.json", "split.json"), ("config.json", "environment.json"), ("config.json", "model.keras"),
          ("environment.json", "split.json"), ("model.keras", "decision.json"))  # fmt: skip
# Settings that no preset is about.
_OF_THE_CALL = frozenset(("seed", "data", "data_format", "strategy"))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run:
    """What is known of a run folder; what it does not tell is None.

    Attributes:
        path: The folder.
        name: Its path below the folder that was searched.
        state: ``evaluated``, ``trained``, ``unfinished``, or ``damaged: why``.
        app: As in ``metrics.json``, such as ``fraud_detection``.
        preset: The preset that the settings are nearest to.
        changed: Settings that differ from it, but for the source and the seed.
        data: The sources.
        when: When the training began.
        seconds: What the training took.
        size_bytes: Of all files.
        metric: Name of the headline metric.
        value: It, with its interval.
        baseline: Name of the baseline that is best at it.
        baseline_value: The same metric of that baseline.
        report: The report.
    """

    path: pathlib.Path
    name: str
    state: str
    app: str | None = None
    preset: str | None = None
    changed: tuple[str, ...] = ()
    data: tuple[str, ...] = ()
    when: datetime.datetime | None = None
    seconds: float | None = None
    size_bytes: int = 0
    metric: str | None = None
    value: intervals.Interval | None = None
    baseline: str | None = None
    baseline_value: intervals.Interval | None = None
    report: pathlib.Path | None = None

    @property
    def condition(self) -> str:
        """The state, and whether the run is one of the preset for tests."""
        return f"{self.state}; {SMOKE}" if self.preset == "smoke" else self.state

    def to_json(self) -> dict[str, Any]:
        """Return what ``fieldnets runs --json`` says."""
        content = dataclasses.asdict(self)
        return content | {
            "path": str(self.path),
            "when": self.when.isoformat() if self.when else None,
            "report": str(self.report) if self.report else None,
            "state": self.condition,
        }


def find(folder: pathlib.Path) -> Iterator[pathlib.Path]:
    """Yield the run folders at and below a folder, in the order of their names; what lies within a run is its own.

    Raises:
        errors.InputError: There is no such folder.
    """
    if not folder.is_dir():
        raise errors.InputError(f"{folder}: expected a folder of runs. Received: none of this name")
    for path, below, names in os.walk(folder):
        if any(set(marks) <= set(names) for marks in _MARKS):
            below.clear()
            yield pathlib.Path(path)
        below[:] = sorted(name for name in below if not name.startswith("."))


def read(path: pathlib.Path, *, configs: Configs, name: str | None = None) -> Run:
    """Return what a run folder tells; where a file of it cannot be read, the state says which and why."""
    run, told = files.RunFolder(path), path.name if name is None else name
    size = sum(each.lstat().st_size for each in path.rglob("*") if not each.is_dir())
    known: dict[str, Any] = {"path": path, "name": told, "size_bytes": size}
    try:
        settings = files.read_json(run.config)
        known |= _of_settings(settings, configs)
        known |= _of_training(run)
        known |= _of_evaluation(run)
        return Run(**known, state=_state(run, evaluated="value" in known))
    except (errors.FieldnetsError, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return Run(**known, state=f"damaged: {_reason(error)}")


def _reason(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return f"{error.filename}: expected this file. Received: none"
    return (
        str(error) if isinstance(error, errors.FieldnetsError | OSError | ValueError) else f"no {error} where expected"
    )


def _state(run: files.RunFolder, *, evaluated: bool) -> str:
    if not (run.model.exists() and run.decision.exists()):
        return "unfinished"
    if run.manifest.exists():
        listed = files.read_json(run.manifest)["files"]
        lost = sorted(name for name in listed if not (run.path / name).is_file())
        if lost:
            return f"damaged: {run.path / lost[0]}: expected the file that training wrote. Received: none"
    if not evaluated:
        return "trained"
    return "evaluated" if _fits(run) else "evaluated, with other weights than are there now"


def _fits(run: files.RunFolder) -> bool:
    """Tell whether the figures are of the weights that the manifest lists; without one nobody knows better."""
    evaluated = files.read_json(run.evaluation / "metrics.json").get("model", {}).get("weights_sha256")
    trained = files.read_json(run.manifest)["files"].get(run.model.name) if run.manifest.exists() else None
    return None in (evaluated, trained) or evaluated == trained


def _of_settings(settings: Mapping[str, Any], configs: Configs) -> dict[str, Any]:
    """Return app, nearest preset and sources."""
    source = settings.get("data") or ()
    found: dict[str, Any] = {"data": (source,) if isinstance(source, str) else tuple(map(str, source))}
    app = max(configs, key=lambda each: _shared_names(settings, configs[each]), default=None)
    if app is None or _shared_names(settings, configs[app]) < 0.9:
        return found
    differing = {name: _differing(settings, make()) for name, make in configs[app].presets().items()}
    preset = min(differing, key=lambda each: len(differing[each]))
    return found | {"app": app, "preset": preset, "changed": tuple(differing[preset])}


def _shared_names(settings: Mapping[str, Any], declared: type[config.Config]) -> float:
    """Return the share of names that settings have in common with a config class, of all names of either."""
    names = set(config.field_types(declared))
    return len(names & set(settings)) / len(names | set(settings))


def _differing(settings: Mapping[str, Any], preset: config.Config) -> list[str]:
    theirs = preset.to_json()
    return [name for name in theirs if name not in _OF_THE_CALL and settings.get(name, theirs[name]) != theirs[name]]


def _of_training(run: files.RunFolder) -> dict[str, Any]:
    """Return when the training began and what it took; of an older run, when its first events were written."""
    if run.usage.exists():
        content = files.read_json(run.usage)
        return {"when": datetime.datetime.fromisoformat(content["began"]), "seconds": float(content["seconds"])}
    events = [int(each.name.split(".")[3]) for each in run.logs.rglob("events.out.tfevents.*")]
    return {"when": datetime.datetime.fromtimestamp(min(events), tz=datetime.UTC)} if events else {}


def _of_evaluation(run: files.RunFolder) -> dict[str, Any]:
    path = run.evaluation / "metrics.json"
    if not path.exists():
        return {}
    document = files.read_json(path)
    metric, value = next(iter(document["metrics"].items()))
    report = run.evaluation / "report.html"
    return {
        "app": document["app"],
        "metric": metric,
        "value": intervals.Interval.from_json(value),
        "report": report if report.exists() else None,
        **_best_baseline(metric, document["baselines"]),
    }


def _best_baseline(metric: str, baselines: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    values = {name: intervals.Interval.from_json(group[metric]) for name, group in baselines.items() if metric in group}
    if not values:
        return {}
    sign = -1 if metric in formatting.LOWER_IS_BETTER else 1
    best = max(values, key=lambda name: sign * values[name].value)
    return {"baseline": best, "baseline_value": values[best]}
