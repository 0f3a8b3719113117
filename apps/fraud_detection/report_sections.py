"""The report's sections on how well the model does: results in, blocks out. No TensorFlow here."""

from collections.abc import Mapping
from typing import Any

from apps.fraud_detection import baselines, evaluate, metrics
from apps.fraud_detection import results as outcome
from shared.report import blocks, curves, document, figures, formatting
from shared.report.sections import classifier

SLICED = {
    "recall_in_budget": "Caught in the budget",
    "sensitivity": "Above the threshold",
    "precision": "Precision above it",
}
MOST_COLUMNS = 8
# Predictive equality (Corbett-Davies et al. 2017): equal false positive rates. Below this ratio it is worth a word.
EQUAL_ENOUGH = 0.8


def folds(results: outcome.Results) -> document.Section:
    """Show each fold, and mean and standard deviation as the Handbook gives them."""
    rival = results.baseline
    who = {"model": "model", rival: baselines.label(rival)}
    shown = [name for name in metrics.HEADLINE if name in results.folds[0]["model"]]
    rows: list[tuple[blocks.Cell, ...]] = [
        (str(fold["fold"]), *(fold[each].get(name) for name in shown for each in who)) for fold in results.folds
    ]
    spread = [outcome.mean_and_deviation(results.folds, each, name) for name in shown for each in who]
    if len(rows) > 1:
        rows.append(("mean ± SD", *(f"{each[0]:.3f} ± {each[1]:.3f}" if each else None for each in spread)))
    table = blocks.Table(
        columns=("Fold", *(f"{formatting.metric_name(name)}, {label}" for name in shown for label in who.values())),
        rows=rows,
        caption="Each fold evaluated with the model trained just before it. The standard deviation is over folds.",
        align="l" + "r" * (2 * len(shown)),
    )
    return document.Section("Week by week", "How much it depends on the weeks.", [table, _days(results)])


def _days(results: outcome.Results) -> blocks.Figure:
    days = list(range(1, len(results.by_day) + 1))
    frauds = [float(row["frauds"]) for row in results.by_day]
    caught = [float(row["caught_in_budget"]) for row in results.by_day]
    return blocks.Figure(
        svg=curves.lines(
            days,
            {"frauds": frauds, "caught in the budget": caught},
            look=curves.Look(x_label="Day evaluated", y_label="Transactions", whole=True),
        ),
        caption="Frauds of each day, and how many of them the budget catches.",
        alt="Frauds and caught frauds by day",
    )


def budget(results: outcome.Results) -> document.Section:
    """Show precision and recall against the number of alerts a day."""
    rival = results.baseline
    figure = blocks.Row([_against_alerts(results, rival, what) for what in ("recall", "precision")])
    table = blocks.Table(
        columns=(
            "Alerts a day",
            "Recall",
            "Precision",
            f"Recall, {baselines.label(rival)}",
            f"Precision, {baselines.label(rival)}",
        ),
        rows=[
            (f"{row['alerts']}", *(row[who][what] for who in ("model", rival) for what in ("recall", "precision")))
            for row in results.budgets
        ],
        caption="All folds together.",
        align="rrrrr",
    )
    return document.Section("The alert budget", "A queue that is longer finds more and wastes more.", [figure, table])


def _against_alerts(results: outcome.Results, rival: str, what: str) -> blocks.Figure:
    return blocks.Figure(
        svg=curves.lines(
            [float(row["alerts"]) for row in results.budgets],
            {
                label: [row[who][what] for row in results.budgets]
                for who, label in (("model", "model"), (rival, baselines.label(rival)))
            },
            look=curves.Look(
                x_label="Alerts a day",
                y_label=what.capitalize(),
                y_limits=(0, 1),
                marks={"budget": float(results.predictions.costs.alerts_per_day)},
            ),
        ),
        caption=f"{what.capitalize()} with more or fewer investigators.",
        alt=f"{what.capitalize()} against alerts a day of the model and {baselines.label(rival)}",
    )


def ranking(results: outcome.Results) -> document.Section:
    """Show the precision-recall curves."""
    rows, rival = results.rows, results.baseline
    title, lead = "Precision and recall", "All folds together; the dotted line is chance, the share of frauds."
    if not 0 < rows.labels.sum() < len(rows):
        return document.Section(title, "There are not both kinds of transactions here.", [])
    figure = blocks.Figure(
        svg=figures.precision_recall(
            rows.labels, {"Model": results.predictions.scores, baselines.label(rival): results.baseline_scores[rival]}
        ),
        caption="Every threshold. Rows count once, whatever they weigh.",
        alt="Precision against recall of the model and boosted trees",
    )
    return document.Section(title, lead, [figure])


def money(results: outcome.Results) -> document.Section:
    """Show what alerts save."""
    found, unit = results.savings, results.predictions.costs.currency or "money"
    figure = blocks.Figure(
        svg=curves.lines(
            found["alerts_per_day"],
            {"model": found["net_savings_per_day"]},
            look=curves.Look(
                x_label="Alerts a day",
                y_label=f"Net savings a day ({unit})",
                marks={"frozen threshold": found["frozen"]["alerts_per_day"]},
            ),
        ),
        caption=f"An alert costs {found['investigation_cost']:g} {unit} and saves {found['recovered_share']:.0%} of a "
        "fraud's amount.",
        alt="Net savings against alerts a day",
    )
    table = blocks.Table(
        columns=("Threshold", "Alerts a day", f"Net savings a day ({unit})"),
        rows=[
            ("Frozen on validation data", *found["frozen"].values()),
            ("Best in hindsight, a bound", *found["hindsight"].values()),
            ("Every fraud and nothing else", None, found["perfect_per_day"]),
        ],
        caption="The cost matrix is a setting: --investigation-cost and --recovered-share.",
        align="lrr",
        digits=(0, 1, 0),
    )
    return document.Section("What it saves", "", [figure, table])


def slices(results: outcome.Results) -> document.Section:
    """Show which frauds are caught: by kind and by amount."""
    kinds = {"scenario": "Kind of fraud", "amount": "Amount"}
    tables = []
    for kind, title in kinds.items():
        rows = [row for row in results.slices if row["name"].startswith(f"{kind}=")]
        # Rows of a kind of fraud are all frauds: precision is 1 there.
        columns = (
            dict(SLICED) if kind == "amount" else {name: SLICED[name] for name in ("recall_in_budget", "sensitivity")}
        )
        if rows:
            tables.append(_slices(rows, title, columns))
    return document.Section("Which frauds it finds", "", tables)


def _slices(rows: list[dict[str, Any]], title: str, columns: Mapping[str, str]) -> blocks.Table:
    return blocks.Table(
        columns=(title, "Transactions", "Frauds", *columns.values()),
        rows=[
            (row["name"].partition("=")[2], row["n"], row["positives"], *(row["metrics"][each] for each in columns))
            for row in rows
        ],
        caption=f"By {title.lower()}; intervals are Wilson's, at the effective number of cards.",
        align="lrr" + "r" * len(columns),
    )


def calibration(results: outcome.Results) -> document.Section:
    """Show whether a probability of 1 % means one fraud in a hundred."""
    found = results.metrics
    cells = {formatting.metric_name(name): found[name] for name in ("ece", "brier", "log_loss") if name in found}
    parts: list[blocks.Block] = [blocks.facts("Calibration; lower is better", cells)]
    if "reliability" in results.calibration:
        caption = "How often transactions of a given score are frauds: on the diagonal, as often as stated."
        parts.append(classifier.reliability({"This model": results.calibration["reliability"]}, caption))
    lead = f"Whether 1 % means one in a hundred. {results.calibration['method']}."
    return document.Section("Are its probabilities calibrated?", lead, parts)


def drift(rows: list[dict[str, Any]]) -> document.Section:
    """Show which inputs have moved since validation."""
    moved = sorted(rows, key=lambda row: -row["psi"])
    parts: list[blocks.Block] = [_psi(moved[:MOST_COLUMNS])]
    if len(moved) > MOST_COLUMNS:
        parts.append(blocks.Details(f"{len(moved) - MOST_COLUMNS} more columns", [_psi(moved[MOST_COLUMNS:])]))
    count = sum(row["large"] for row in moved)
    lead = f"{count} of {len(moved)} columns have moved." if count else "No column has moved much."
    return document.Section("Have the inputs moved?", lead, parts)


def _psi(rows: list[dict[str, Any]]) -> blocks.Table:
    return blocks.Table(
        columns=("Column", "PSI", ""),
        rows=[(row["column"], row["psi"], "moved" if row["large"] else "") for row in rows],
        caption=f"Population stability index between validation and these rows; moved: above {evaluate.PSI_ACT:g} and "
        "above what chance gives in so few rows. Names that the networks do not know are counted as one.",
        align="lrl",
    )


def fairness(found: Mapping[str, Any]) -> list[document.Section]:
    """Show false alarms by group, where there are groups."""
    if not found:
        return []
    table = blocks.Table(
        columns=("Group", "Genuine transactions", "False positive rate"),
        rows=[(row["group"], row["n"], row["false_positive_rate"]) for row in found["groups"]],
        caption="At the frozen threshold. Predictive equality is a ratio of 1 (Corbett-Davies et al. 2017).",
        align="lrr",
        digits=(0, 0, 4),
    )
    ratio = found["ratio"]
    lead = "There is no false alarm to compare." if ratio is None else f"Smallest over largest rate: {ratio:.2f}."
    if ratio is not None and ratio < EQUAL_ENOUGH:
        lead += " Look at the intervals before calling it unequal."
    return [document.Section("Who gets false alarms", lead, [table])]


def compared(results: outcome.Results) -> list[document.Section]:
    """Show what methods against imbalance and synthetic transactions do to one learner."""
    sections = []
    imbalance, synthetic = (results.compared[name] for name in ("imbalance", "synthetic"))
    if imbalance:
        lead = _lowering(imbalance)
        sections.append(document.Section("Methods against imbalance", lead, [_methods(imbalance, "none")]))
    if synthetic:
        table = blocks.facts("Memorisation check of the GAN", dict(results.predictions.memorisation))
        lead = "The same trees trained on real, on synthetic and on both kinds of transactions, evaluated on real ones."
        sections.append(document.Section("Synthetic transactions", lead, [_methods(synthetic, "real"), table]))
    return sections


def _lowering(found: Mapping[str, tuple[Any, Any]]) -> str:
    """Return which methods lower average precision."""
    if not any("average_precision" in less for _, less in found.values()):
        return "Whether a method lowers average precision cannot be told on these transactions."
    lower = [name for name, (_, less) in found.items() if _below(less)]
    return f"Average precision is lower with {', '.join(lower)}." if lower else "None clearly lowers average precision."


def _below(less: Mapping[str, Any]) -> bool:
    return "average_precision" in less and less["average_precision"].high < 0


def _methods(found: Mapping[str, tuple[Any, Any]], first: str) -> blocks.Table:
    shown = [name for name in metrics.HEADLINE if name in found[first][0]]
    return blocks.Table(
        columns=("", *map(formatting.metric_name, shown), f"Average precision minus {first}"),
        rows=[
            (name, *(metrics.get(each) for each in shown), less.get("average_precision") if name != first else None)
            for name, (metrics, less) in found.items()
        ],
        caption="Boosted trees of the same settings; rows are resampled inside the training part only.",
        align="l" + "r" * (len(shown) + 1),
    )
