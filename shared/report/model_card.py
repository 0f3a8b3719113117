"""The model card: what travels with a bundle, in the sections of Mitchell et al. 2019.

Reference: Mitchell et al. (2019), "Model Cards for Model Reporting", FAT* '19, doi:10.1145/3287560.3287596.
"""

import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NotRequired

from typing_extensions import TypedDict

from shared import files, resources, splits, stored
from shared.evaluation import intervals
from shared.report import formatting, metrics

_INTERVAL = {field.name for field in dataclasses.fields(intervals.Interval)}
# An underscore inside a word means nothing to Markdown; escaped, it only hides the word from a search.
_SPECIAL = re.compile(r"([\\`*{}\[\]<>|#~]|(?<![^\W_])_|_(?![^\W_]))")
NOT_EVALUATED = "Not evaluated yet."


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelCard:
    """What a person must know before using a model.

    Attributes:
        name: The model's name.
        summary: What it does, in one sentence.
        details: Version, kind of model, parameters, licence, ...; names and values.
        intended_uses: What it was made for.
        out_of_scope: What it must not be used for.
        factors: What its performance depends on: groups, sources, instruments, environments.
        training_data: Names and values.
        split: The certificate that ``split.json`` holds.
        decision: Thresholds, calibration and abstention that ``decision.json`` holds, from validation data.
        metrics: The metrics document of the evaluation that the card reports; None before any evaluation.
        ethical_considerations: Sensitive data, harms, what was done about them.
        caveats: Known limits and recommendations.
        environment: Versions, devices and seed that ``environment.json`` holds.
    """

    name: str
    summary: str
    details: Mapping[str, object]
    intended_uses: Sequence[str]
    out_of_scope: Sequence[str]
    factors: Sequence[str]
    training_data: Mapping[str, object] = dataclasses.field(default_factory=dict)
    split: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    decision: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    metrics: Mapping[str, Any] | None = None
    ethical_considerations: Sequence[str]
    caveats: Sequence[str]
    environment: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@stored.open_fields
class _Environment(TypedDict):
    """What ``environment.json`` holds that a card says."""

    python: stored.Text
    packages: dict[str, stored.Text | None]
    devices: list[dict[str, stored.Text]]
    seed: stored.Count
    git_commit: NotRequired[stored.Text | None]
    smoke: NotRequired[bool]


def of_run(said: ModelCard, folder: files.RunFolder, data: Sequence[str]) -> ModelCard:
    """Complete what a person says of a finished run with what its folder holds.

    Args:
        said: The card without split, decision, metrics and environment.
        folder: The run's.
        data: Sources that it was trained on.
    """
    split, environment = splits.read_certificate(folder.split), stored.read(_Environment, folder.environment)
    commit = environment.get("git_commit") or "unknown"
    smoke = environment.get("smoke", False)
    return dataclasses.replace(
        said,
        summary=f"SMOKE: NOT FOR USE. {resources.SMOKE_SENTENCE} {said.summary}" if smoke else said.summary,
        details={**said.details, "licence": "Apache-2.0", "git commit": commit},
        training_data={"source": ", ".join(data), "split unit": split["unit"], "rows": split["rows"]},
        split={"method": split["method"], "parts": split["fractions"], "overlap": split["overlap"]},
        decision=files.read_json(folder.decision),
        metrics=metrics.of_run(folder),
        environment={
            "python": environment["python"],
            "packages": environment["packages"],
            "devices": ", ".join(device["name"] for device in environment["devices"]),
            "seed": environment["seed"],
        },
    )


def render(card: ModelCard) -> str:
    """Return the card as Markdown; texts are escaped, so that no data can pose as structure."""
    document = card.metrics
    notes = document["notes"] if document else ()
    decision = ("**Decision, fixed on validation data**", _facts(card.decision))
    certificate = ("**Split certificate**", _facts(card.split))
    uses = ("**Made for**", _list(card.intended_uses), "**Not for**", _list(card.out_of_scope))
    parts = [
        f"# {_escaped(card.name)}",
        _escaped(card.summary),
        _section("Model details", _facts(card.details)),
        _section("Intended use", *uses),
        _section("Factors", _list(card.factors)),
        _section("Metrics", _how_measured(document), *decision),
        _section("Evaluation data", _facts(document["data"]) if document else NOT_EVALUATED),
        _section("Training data", _facts(card.training_data), *certificate),
        _section("Quantitative analyses", *_analyses(document)),
        _section("Ethical considerations", _list(card.ethical_considerations)),
        _section("Caveats and recommendations", _list([*card.caveats, *notes])),
        _section("Environment", _facts(card.environment)),
    ]
    return "\n\n".join(parts) + "\n"


def _section(title: str, *paragraphs: str) -> str:
    return "\n\n".join([f"## {title}", *paragraphs])


def _list(items: Sequence[str]) -> str:
    return "\n".join(f"- {_escaped(item)}" for item in items) or "None stated."


def _facts(content: Mapping[str, object]) -> str:
    rows = [(name, text) for name, value in content.items() for name, text in _flat(name, value)]
    return _table(("", "Value"), rows, align="ll") if rows else "None stated."


def _flat(name: str, value: object) -> Iterable[tuple[str, str]]:
    """Spread nested mappings over dotted names; a table has no other depth."""
    if isinstance(value, Mapping) and value.keys() >= _INTERVAL:
        yield name, formatting.with_bounds(intervals.Interval.from_json(value))
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _flat(f"{name}.{key}", inner)
    elif isinstance(value, list | tuple):
        yield name, ", ".join(formatting.number(item, digits=4) for item in value)
    else:
        yield name, formatting.number(value, digits=4)


def _how_measured(document: Mapping[str, Any] | None) -> str:
    if document is None:
        return NOT_EVALUATED
    names = ", ".join(formatting.metric_name(name) for name in document["metrics"])
    methods = formatting.interval_methods(document["metrics"])
    return _escaped(f"{names}. Intervals: {methods}; the unit is the {document['data']['unit']}.")


def _analyses(document: Mapping[str, Any] | None) -> list[str]:
    if document is None:
        return [NOT_EVALUATED]
    parts = ["**Model and baselines of the same run**", _comparison(document)]
    for name in ("operating_points", "slices"):
        if document[name]:
            parts += [f"**{formatting.metric_name(name)}**", _rows(document[name])]
    if document["calibration"]:
        parts += ["**Calibration**", _facts(document["calibration"])]
    return parts


def _comparison(document: Mapping[str, Any]) -> str:
    groups = {"model": document["metrics"], **document["baselines"]}
    rows = [
        (formatting.metric_name(metric), *(_interval_text(group.get(metric)) for group in groups.values()))
        for metric in document["metrics"]
    ]
    columns = ("Metric", *map(formatting.metric_name, groups))
    return _table(columns, rows, align="l" + "r" * len(groups))


def _rows(rows: Sequence[Mapping[str, Any]]) -> str:
    flat = [dict(pair for name, value in row.items() for pair in _flat(name, value)) for row in rows]
    columns = list(dict.fromkeys(name for row in flat for name in row))
    cells = [[row.get(name, formatting.MISSING) for name in columns] for row in flat]
    return _table(
        [formatting.metric_name(name.rpartition(".")[2]) for name in columns], cells, align="l" * len(columns)
    )


def _interval_text(content: Mapping[str, Any] | None) -> str:
    if content is None:
        return formatting.MISSING
    interval = intervals.Interval.from_json(content)
    return f"{formatting.value(interval)} ({formatting.bounds(interval)})"


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, align: str) -> str:
    rule = ["---:" if letter == "r" else "---" for letter in align]
    lines = [map(_escaped, columns), rule, *(map(_escaped, row) for row in rows)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def _escaped(text: str) -> str:
    r"""Return text on one line that Markdown and HTML leave alone.

    >>> print(_escaped("a|b <i>\nc"))
    a\|b \<i\> c
    """
    return _SPECIAL.sub(r"\\\1", " ".join(str(text).split()))
