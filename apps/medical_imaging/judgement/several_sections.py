"""The report's parts on several findings per image: findings in, blocks out. No TensorFlow here."""

from collections.abc import Mapping, Sequence
from typing import Any

from apps.medical_imaging import baselines
from apps.medical_imaging.judgement import answer, evidence
from apps.medical_imaging.judgement import judge as judges
from shared.evaluation import intervals
from shared.report import blocks, document, figures, formatting

RANKING = ("auroc", "average_precision")
DECIDING = ("sensitivity", "specificity", "precision", "negative_predictive_value", "accuracy")
PROBABILITIES = ("brier", "ece", "log_loss")


def sentence(
    macro: intervals.Intervals,
    findings: Sequence[Mapping[str, Any]],
    groups: Mapping[str, intervals.Intervals],
    differences: Mapping[str, intervals.Intervals],
    data: evidence.Data,
) -> str:
    """Return the report's opening."""
    told = ["These images are SIMULATED: the numbers say nothing about patients."] if data.synthetic else []
    if "auroc" in macro:
        told.append(f"Over {len(findings)} findings the mean AUROC is {formatting.with_bounds(macro['auroc'])}.")
    ranked = [row for row in findings if "auroc" in row["metrics"]]
    if len(ranked) > 1:
        best, worst = (choose(ranked, key=_area) for choose in (max, min))
        told.append(
            f"It is best on {best['finding']} ({best['metrics']['auroc'].value:.3f}) and worst on "
            f"{worst['finding']} ({worst['metrics']['auroc'].value:.3f})."
        )
    if macro:
        told.append(answer.comparison(differences, groups, macro))
    return " ".join([*told, answer.NOT_A_DEVICE])


def _area(row: Mapping[str, Any]) -> float:
    return float(row["metrics"]["auroc"].value)


def tiles(macro: intervals.Intervals, findings: Sequence[Mapping[str, Any]]) -> list[blocks.Tile]:
    """Return the headline numbers."""
    names = ("auroc", "average_precision", "balanced_accuracy", "ece")
    found = [
        blocks.Tile(formatting.metric_name(name), macro[name], "mean over findings") for name in names if name in macro
    ]
    known, unknown = (sum(row[name] for row in findings) for name in ("n", "unknown"))
    return [*found, blocks.Tile("Labels known", known, f"{unknown:,} unknown, left out")]


def sections(
    findings: Sequence[Mapping[str, Any]],
    points: Sequence[Mapping[str, Any]],
    slices: Sequence[Mapping[str, Any]],
    reliability: Mapping[str, Sequence[Mapping[str, float]]],
    *,
    name: str,
) -> list[document.Section]:
    """Return the parts on what was found; ``name`` is the baseline to beat."""
    return [_ranking(findings, name=name), _deciding(points), _subgroups(slices), _calibration(findings, reliability)]


def _ranking(findings: Sequence[Mapping[str, Any]], *, name: str) -> document.Section:
    areas = {str(row["finding"]): row["metrics"]["auroc"] for row in findings if "auroc" in row["metrics"]}
    drawn = [
        blocks.Figure(
            svg=figures.forest(areas, axis_label="AUROC", reference=0.5),
            caption="AUROC of each finding with its interval; the dashed line is chance.",
            alt="AUROC by finding: " + "; ".join(f"{key} {row.value:.3f}" for key, row in areas.items()),
        )
    ]
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
            for row in findings
        ],
        caption=f"Each finding on the images that it is known for. The baseline is {baselines.LABELS.get(name, name)}; "
        "chance level of average precision is the share of positives.",
        align="lrrrrrr",
    )
    return document.Section("Which findings it sees", "Without any threshold.", [*(drawn if areas else []), table])


def _deciding(points: Sequence[Mapping[str, Any]]) -> document.Section:
    table = blocks.Table(
        columns=("Finding", "Score from", "Sensitivity", "Specificity", "PPV", "NPV", "Accuracy"),
        rows=[(point["name"], point["threshold"], *(point[metric] for metric in DECIDING)) for point in points],
        caption="What each finding's threshold, frozen on validation patients, does here.",
        align="lrrrrrr",
    )
    counts = blocks.Table(
        columns=("Finding", "Positives found", "Positives missed", "Negatives cleared", "False alarms"),
        rows=[(point["name"], *(point[key] for key in ("tp", "fn", "tn", "fp"))) for point in points],
        caption="The same in images.",
        align="lrrrr",
    )
    return document.Section("At the frozen thresholds", "One threshold per finding.", [table, counts])


def _subgroups(slices: Sequence[Mapping[str, Any]]) -> document.Section:
    if not slices:
        return document.Section("For whom it works", "The data name no attribute of patients or images.", [])
    names = ("auroc", "average_precision", "balanced_accuracy")
    rows: list[tuple[blocks.Cell, ...]] = []
    for row in slices:
        cells = tuple(row["metrics"].get(name) for name in names) if row["metrics"] else ("too few", None, None)
        rows.append((answer.phrase(row["name"]), row["n"], row["n_units"], *cells))
    table = blocks.Table(
        columns=("Subgroup", "Images", "Patients", *map(formatting.metric_name, names)),
        rows=rows,
        caption="Means over the findings that can be judged within the subgroup.",
        align="lrrrrr",
    )
    lead = f"Parts of the data. Numbers only from {judges.SMALLEST_SLICE} images on."
    return document.Section("For whom it works", lead, [table])


def _calibration(
    findings: Sequence[Mapping[str, Any]], reliability: Mapping[str, Sequence[Mapping[str, float]]]
) -> document.Section:
    table = blocks.Table(
        columns=("Finding", *(f"{formatting.metric_name(name)} ↓" for name in PROBABILITIES)),
        rows=[(row["finding"], *(row["metrics"].get(name) for name in PROBABILITIES)) for row in findings],
        caption="After one temperature per finding, fitted on validation patients. ↓: lower is better.",
        align="lrrr",
    )
    drawn = [
        blocks.Figure(
            svg=figures.reliability({name: bins}),
            caption=f"{name}: how often what was announced came true.",
            alt=f"Reliability diagram of {name}",
        )
        for name, bins in reliability.items()
    ]
    lead = "Whether a score of 0.8 means that 80 of 100 such images have the finding."
    return document.Section(
        "Can its scores be believed?", lead, [table, blocks.Details("Reliability of each finding", [blocks.Row(drawn)])]
    )


def checked(slices: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return where the checklist's items are."""
    return {
        "Thresholds fixed before the test": "one per finding, on validation patients",
        "Uncertainty of every number": "intervals by patient throughout",
        "Missing labels": "left out of their finding's numbers, counted per finding",
        "Comparison with a baseline": "model and baselines, paired on the same resamples",
        "Calibration": "Brier score, ECE and reliability with counts per finding",
        "Subgroups": f"{len(slices)}" if slices else "the data name no attributes",
    }
