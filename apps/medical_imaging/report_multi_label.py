"""The report's parts on several findings per image: findings in, blocks out. No TensorFlow here."""

from collections.abc import Mapping, Sequence
from typing import Any

from apps.medical_imaging import baselines, evaluate, evaluate_multi_label, report_binary, report_failures
from shared.report import blocks, document, figures, formatting
from shared.report.sections import classifier

RANKING = ("auroc", "average_precision")
PROBABILITIES = ("brier", "ece", "log_loss")


def opening(results: evaluate_multi_label.Results) -> str:
    """Return the report's first sentences."""
    macro = results.metrics
    sentences = (
        ["These images are SIMULATED: the numbers say nothing about patients."] if results.data.synthetic else []
    )
    if "auroc" in macro:
        area = formatting.with_bounds(macro["auroc"])
        sentences.append(f"Over {len(results.per_finding)} findings the mean AUROC is {area}.")
    ranked = [row for row in results.per_finding if "auroc" in row["metrics"]]
    if len(ranked) > 1:
        best, worst = (choose(ranked, key=_area) for choose in (max, min))
        sentences.append(
            f"It is best on {best['finding']} ({_area(best):.3f}) and worst on {worst['finding']} ({_area(worst):.3f})."
        )
    sentences += evaluate_multi_label.degenerate(results.evaluator)
    compared = report_failures.comparison(results.differences, results.baselines, macro)
    return " ".join([*sentences, *([compared] if compared else []), evaluate.NOT_A_DEVICE])


def _area(row: Mapping[str, Any]) -> float:
    return float(row["metrics"]["auroc"].value)


def tiles(results: evaluate_multi_label.Results) -> list[blocks.Tile]:
    """Return the headline numbers."""
    macro, names = results.metrics, ("auroc", "average_precision", "balanced_accuracy", "ece")
    found = [
        blocks.Tile(formatting.metric_name(name), macro[name], "mean over findings") for name in names if name in macro
    ]
    known, unknown = (sum(row[name] for row in results.per_finding) for name in ("n", "unknown"))
    return [*found, blocks.Tile("Labels known", known, f"{unknown:,} unknown, left out")]


def sections(results: evaluate_multi_label.Results) -> list[document.Section]:
    """Return the parts on what was found."""
    return [
        _ranking(results.per_finding, name=baselines.reference(results.baselines)),
        _points(results.points),
        _subgroups(results.slices),
        _calibration(results),
        *([report_failures.robustness(results.robustness)] if results.robustness else []),
        *([report_failures.explanations(results.predictions.explained)] if results.predictions.explained else []),
    ]


def _ranking(rows: Sequence[Mapping[str, Any]], *, name: str) -> document.Section:
    areas = {str(row["finding"]): row["metrics"]["auroc"] for row in rows if "auroc" in row["metrics"]}
    drawn: list[blocks.Block] = []
    if areas:
        figure = blocks.Figure(
            svg=figures.forest(areas, axis_label="AUROC", reference=0.5),
            caption="AUROC of each finding with its interval; the dashed line is chance.",
            alt="AUROC by finding: " + "; ".join(f"{key} {area.value:.3f}" for key, area in areas.items()),
        )
        drawn.append(figure)
    table = blocks.Table(
        columns=("Finding", "Known", "Positive", "Unknown", "AUROC", "Average precision", "AUROC minus baseline"),
        rows=[
            (
                row["finding"],
                row["n"],
                row["n_positive"],
                row["unknown"],
                *(row["metrics"].get(metric) for metric in RANKING),
                row["difference"].get("auroc"),
            )
            for row in rows
        ],
        caption=f"Each finding on the images that it is known for. The baseline is {baselines.label(name)}; "
        "chance level of average precision is the share of positives.",
        align="lrrrrrr",
    )
    return document.Section("Which findings it sees", "Without any threshold.", [*drawn, table])


def _points(points: Sequence[Mapping[str, Any]]) -> document.Section:
    tables = [
        table(points, "Finding", lambda point: str(point["name"]))
        for table in (report_binary.point_table, report_binary.count_table)
    ]
    return document.Section("At the frozen thresholds", "One threshold per finding.", tables)


def _subgroups(slices: Sequence[Mapping[str, Any]]) -> document.Section:
    names = list(evaluate_multi_label.SLICE_METRICS)
    missing: tuple[blocks.Cell, ...] = ("too few", *(None for _ in names[1:]))
    rows: list[tuple[blocks.Cell, ...]] = [
        (
            formatting.slice_name(row["name"]),
            row["n"],
            row["n_units"],
            *(tuple(row["metrics"].get(name) for name in names) if row["metrics"] else missing),
        )
        for row in slices
    ]
    table = blocks.Table(
        columns=("Subgroup", "Images", "Patients", *map(formatting.metric_name, names)),
        rows=rows,
        caption="Means over the findings that can be evaluated within the subgroup.",
        align="lrrrrr",
    )
    return report_failures.subgroup_section(slices, table)


def _calibration(results: evaluate_multi_label.Results) -> document.Section:
    table = blocks.Table(
        columns=("Finding", *(f"{formatting.metric_name(name)} ↓" for name in PROBABILITIES)),
        rows=[(row["finding"], *(row["metrics"].get(name) for name in PROBABILITIES)) for row in results.per_finding],
        caption="After one temperature per finding, fitted on validation patients. ↓: lower is better.",
        align="lrrr",
    )
    drawn = [
        classifier.reliability({name: bins}, f"{name}: how often what was announced came true.")
        for name, bins in results.reliability.items()
    ]
    lead = "Whether a score of 0.8 means that 80 of 100 such images have the finding."
    folded = blocks.Details("Reliability of each finding", [blocks.Row(drawn)])
    return document.Section("Are its scores calibrated?", lead, [table, folded])


def checked(results: evaluate_multi_label.Results) -> dict[str, str]:
    """Return where the checklist's items are."""
    return {
        "Thresholds fixed before the test": "one per finding, on validation patients",
        "Uncertainty of every number": "intervals by patient throughout",
        "Missing labels": "left out of their finding's numbers, counted per finding",
        "Comparison with a baseline": "model and baselines, paired on the same resamples",
        "Calibration": "Brier score, ECE and reliability with counts per finding",
        "Subgroups": f"{len(results.slices)}" if results.slices else "the data name no attributes",
    }
