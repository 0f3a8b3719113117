"""The report: one self-contained HTML page that opens offline, and ``metrics.json`` beside it.

The page's Content-Security-Policy lets it load nothing and run one script, known by its hash, whatever a text or a
class name holds. The first thing that every report shows is the model beside its baselines, as a table and as forest
plots.
"""

import base64
import dataclasses
import functools
import hashlib
import importlib.resources
import itertools
import pathlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jinja2
import markupsafe
import pandas as pd

from shared import files, published, resources
from shared.evaluation import intervals
from shared.report import blocks, drawing, figures, formatting, statuses
from shared.report import metrics as documents


@dataclasses.dataclass(frozen=True)
class Section:
    """A numbered part of the report: a title, a lead sentence that says what it shows, and its blocks."""

    title: str
    lead: str
    blocks: Sequence[blocks.Block]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Report:
    """A whole page.

    Attributes:
        title: What was evaluated, such as "Sentiment of film reviews".
        subtitle: The model and its task in a line.
        answer: The main result in a few sentences, read first. Paragraphs, separated by blank lines, are drawn
            as a list.
        smoke: Whether the model was trained with the preset ``smoke``, which the page says first.
        status: Whether the model is better than its baseline, in one line over the answer; None: nothing is compared.
        headline: A few tiles.
        metrics: What ``metrics.metrics_document`` returned; None for a page that explains one input.
        sections: The body, in reading order.
        labels: The names a reader should see for the document's baselines.
    """

    title: str
    answer: str
    sections: Sequence[Section]
    subtitle: str = ""
    status: statuses.Status | None = None
    smoke: bool = False
    headline: Sequence[blocks.Tile] = ()
    metrics: Mapping[str, Any] | None = None
    labels: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @functools.cached_property
    def whole(self) -> Sequence[Section]:
        """All sections: what every evaluation begins with, the body, and what every evaluation ends with."""
        return [*_opening(self), *self.sections, *_closing(self)]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What the verb ``evaluate`` writes.

    Attributes:
        metrics: Content of ``metrics.json``.
        report: The page.
        predictions: One row per input; each app says which columns.
    """

    metrics: dict[str, Any]
    report: Report
    predictions: pd.DataFrame

    def write(self, output_dir: pathlib.Path, run: files.RunFolder | None) -> None:
        """Write ``metrics.json``, ``report.html``, ``predictions.parquet`` and ``plots``: all, or after a kill none.

        ``metrics.json`` names the weights and the decision rule of ``run`` by their hashes; None: the predictions are
        of a model that is no run of ours.
        """
        report = self.report
        if run is not None:
            own = {"model": documents.model_of(run), "usage": dict(resources.of_training(run))}
            report = dataclasses.replace(report, metrics={**self.metrics, **own}, smoke=resources.is_smoke(run))
        with published.folder(output_dir, listed=False) as into:
            write(report, into)
            drawn = _write_plots(report, into / PLOTS)
            self.predictions.to_parquet(into / "predictions.parquet", index=False)
        for each in (output_dir / PLOTS).glob("[0-9][0-9]_*.svg"):
            # Of an evaluation before, of other data.
            if each.name not in drawn:
                each.unlink()


def _write_plots(report: Report, folder: pathlib.Path) -> set[str]:
    """Write every figure of the page as an SVG file, numbered as the figures of the page are; return the names."""
    names = set()
    drawn = [figure for section in report.whole for figure in _figures(section.blocks)]
    for number, figure in enumerate(drawn, start=1):
        words = re.sub(r"[^a-z0-9]+", "_", figure.alt.partition(":")[0].lower()).strip("_")
        names.add(name := f"{number:02d}_{words[:60]}.svg")
        files.write_text(folder / name, figure.svg)
    return names


def _figures(found: Sequence[blocks.Block]) -> Iterator[blocks.Figure]:
    """Yield the figures in reading order."""
    for block in found:
        if isinstance(block, blocks.Figure):
            yield block
        elif isinstance(block, blocks.Row | blocks.Details):
            yield from _figures(block.blocks)


def write(report: Report, output_dir: pathlib.Path) -> None:
    """Write ``metrics.json`` and ``report.html`` into ``output_dir``, each atomically.

    Raises:
        ValueError: The report carries no metrics document.
    """
    if report.metrics is None:
        raise ValueError("report.metrics: expected a metrics document. Received: None")
    page = render(report)
    files.write_json(output_dir / "metrics.json", report.metrics)
    files.write_text(output_dir / "report.html", page)


def render(report: Report) -> str:
    """Return the page as HTML; equal reports give equal bytes."""
    page = _environment().get_template("report.html.j2")
    script = template("sorting.js") + template("report.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return page.render(
        script=markupsafe.Markup(script),
        script_hash=f"sha256-{digest}",
        report=report,
        sections=report.whole,
        isolate=_isolator(),
        smoke_sentence=resources.SMOKE_SENTENCE,
    )


def _opening(report: Report) -> list[Section]:
    """The section that every evaluation begins with: the model beside its baselines."""
    if report.metrics is None:
        return []
    lead = (
        "The model beside plain baselines, trained and tested on the same split in the same run. "
        f"{formatting.metric_name(next(iter(report.metrics['metrics'])))} is the headline metric."
    )
    return [Section("Model and baselines", lead, comparison(report.metrics, labels=report.labels))]


def _closing(report: Report) -> list[Section]:
    """The section that every evaluation ends with: what a reader must know beside the numbers."""
    if report.metrics is None:
        return []
    notes = [blocks.Text(note, tone="caution") for note in report.metrics["notes"]]
    found = [Section("Notes", "What a reader must know to read these numbers correctly.", notes)] if notes else []
    return [*found, *_cost(report.metrics)]


def _cost(document: Mapping[str, Any]) -> list[Section]:
    """Say what training used; of a run of before that was kept it is not known."""
    if "usage" not in document:
        return []
    found = document["usage"]
    if not found:
        return [Section("What it cost", "Not known: the run is of before that was kept. Train anew to have it.", [])]
    content: dict[str, blocks.Cell] = {
        "Seconds": round(found["seconds"], 1),
        "Processor hours, all cores together": round(found["processor_seconds"] / 3600, 4),
        "Peak memory, GiB": round(found["peak_memory_bytes"] / 2**30, 2),
    }
    if "time_limit_seconds" in found:
        content["Time limit, seconds"] = found["time_limit_seconds"]
        content["Cut for it"] = ", ".join(f"{name} {given}" for name, given in found["cut"].items()) or "nothing"
    lead = "What training used, in its process; processor hours are what a cloud bills."
    return [
        Section("What it cost", lead, [blocks.facts("Seconds, processor time and peak memory of training", content)])
    ]


def _isolator() -> Callable[[blocks.Figure], markupsafe.Markup]:
    """Return what draws a figure with ids of its own: two figures on a page must not share a clip path."""
    names = itertools.count(1)

    def isolate(figure: blocks.Figure) -> markupsafe.Markup:
        return markupsafe.Markup(drawing.isolate(figure.svg, prefix=f"f{next(names)}-", label=figure.alt))

    return isolate


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(template),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "bounds": formatting.bounds,
        "cell": _cell,
        "confidence": formatting.confidence,
        "interval_methods": formatting.interval_methods,
        "number": formatting.number,
        "value": formatting.value,
    }
    environment.tests["interval"] = _is_interval
    return environment


def template(name: str) -> str:
    """Return the text of a template of the reports."""
    return (importlib.resources.files(__package__) / "templates" / name).read_text(encoding="utf-8")


def _is_interval(value: object) -> bool:
    return isinstance(value, intervals.Interval)


def _cell(content: blocks.Cell, digits: int = 3, signed: bool = False) -> markupsafe.Markup:
    """Return a table cell's content: a number, a value with its interval, escaped text, or vouched markup."""
    if isinstance(content, blocks.Html):
        return markupsafe.Markup(content.markup)
    if isinstance(content, intervals.Interval):
        return markupsafe.Markup('{} <span class="bounds">{}</span>').format(
            formatting.value(content, digits=digits, signed=signed),
            formatting.bounds(content, digits=digits, signed=signed),
        )
    return markupsafe.escape(formatting.number(content, digits=digits, signed=signed))


MODEL = "Model"
# Of the figures as files, in the folder of an evaluation.
PLOTS = "plots"

Groups = Mapping[str, Mapping[str, Any]]  # label -> metric -> an interval as plain JSON


def comparison(document: Mapping[str, Any], *, labels: Mapping[str, str]) -> list[blocks.Block]:
    """Return the comparison that a metrics document holds: forest plots first, then the tables.

    ``labels`` gives baselines the names that a reader should see.
    """
    headline = next(iter(document["metrics"]))
    values = {MODEL: document["metrics"], **_relabelled(document["baselines"], labels)}
    differences = _relabelled(document["differences"], labels)
    forests: list[blocks.Block] = [_forest(_column(values, headline), headline)]
    tables: list[blocks.Block] = [_metrics_table(values)]
    if any(headline in group for group in differences.values()):
        forests.append(_difference_forest(_column(differences, headline), headline))
    if any(differences.values()):
        tables.append(_difference_table(differences, headline))
    return [blocks.Row(forests), *tables]


def _relabelled(groups: Groups, labels: Mapping[str, str]) -> Groups:
    return {labels.get(name) or formatting.metric_name(name): group for name, group in groups.items()}


def _column(groups: Groups, name: str) -> dict[str, intervals.Interval]:
    held = {label: group[name] for label, group in groups.items() if name in group}
    return {label: intervals.Interval.from_json(content) for label, content in held.items()}


def _forest(rows: Mapping[str, intervals.Interval], headline: str) -> blocks.Figure:
    name = formatting.metric_name(headline)
    return blocks.Figure(
        svg=figures.forest(rows, axis_label=name),
        caption=f"{name} with its {formatting.confidence(rows[MODEL])} interval.",
        alt=f"{name}: {_spoken(rows)}",
    )


def _difference_forest(rows: Mapping[str, intervals.Interval], headline: str) -> blocks.Figure:
    name = formatting.metric_name(headline)
    return blocks.Figure(
        svg=figures.forest(rows, axis_label=f"{name}, model minus baseline", reference=0.0),
        caption=f"Paired difference in {name}. An interval that leaves out 0 is a clear difference.",
        alt=f"Difference in {name}, model minus baseline: {_spoken(rows, signed=True)}",
    )


def _metrics_table(groups: Groups) -> blocks.Table:
    names = list(groups[MODEL])
    return blocks.Table(
        columns=("", *(_with_direction(name) for name in names)),
        rows=[(label, *_cells(group, names)) for label, group in groups.items()],
        caption="The model and its baselines, each value with its interval. ↓: lower is better.",
        align="l" + "r" * len(names),
        emphasis=(0,),
    )


def _difference_table(groups: Groups, headline: str) -> blocks.Table:
    names = list(dict.fromkeys(name for group in groups.values() for name in group))
    return blocks.Table(
        columns=(
            "Model minus",
            f"By {formatting.metric_name(headline)}",
            *map(_with_direction, names),
        ),
        rows=[(label, _direction(group, headline), *_cells(group, names)) for label, group in groups.items()],
        caption="Paired differences on the same resampled units, model minus baseline. ↓: lower is better.",
        align="ll" + "r" * len(names),
        signed=True,
    )


def _cells(group: Mapping[str, Any], names: list[str]) -> list[intervals.Interval | None]:
    return [intervals.Interval.from_json(group[name]) if name in group else None for name in names]


def _direction(group: Mapping[str, Any], headline: str) -> str | None:
    if headline not in group:
        return None
    lower_is_better = headline in formatting.LOWER_IS_BETTER
    return formatting.direction(intervals.Interval.from_json(group[headline]), lower_is_better=lower_is_better)


def _with_direction(name: str) -> str:
    return formatting.metric_name(name) + ("\N{NO-BREAK SPACE}↓" if name in formatting.LOWER_IS_BETTER else "")


def _spoken(rows: Mapping[str, intervals.Interval], *, signed: bool = False) -> str:
    return "; ".join(f"{label} {formatting.with_bounds(row, signed=signed)}" for label, row in rows.items())
