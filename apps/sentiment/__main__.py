"""The command line of the sentiment app: ``sentiment VERB ...``; what each verb does is in ``shared.verbs``."""

import sys
from collections.abc import Sequence

from apps.sentiment import config
from shared import steps, verbs


def main(argv: Sequence[str] | None = None) -> int:
    """Run the app's command line and return its exit code."""
    return verbs.main(APP, argv)


def data() -> steps.Data:
    """Return the steps of ``data``."""
    from apps.sentiment import data, dataset, inspect_data

    return steps.Data(
        inspect=inspect_data.inspected,
        locate=data.locate,
        load=data.load,
        split=data.split,
        describe=dataset.describe,
        table=dataset.frame,
        not_in_csv=("text", "label"),
        write=lambda _reviews, table, options: dataset.write(table, options.write),
    )


def run() -> steps.Run:
    """Return what the verbs need that start from a finished run."""
    from apps.sentiment import run

    return steps.Run(open_run=run.open_run, own_data=run.own_data, other_part=run.other_part)


def train() -> steps.Train:
    """Return the steps of ``train``."""
    from apps.sentiment import data, dataset, train

    return steps.Train(load=data.load, describe=dataset.describe, split=data.split, train=train.train)


def evaluate() -> steps.Evaluate:
    """Return the steps of ``evaluate``."""
    from apps.sentiment import evaluate_run

    return steps.Evaluate(
        evaluate=evaluate_run.evaluate_part, rows=evaluate_run.rows_to_score, given=evaluate_run.evaluate_given
    )


def explain() -> steps.Explain:
    """Return the steps of ``explain``: which words led the model to its prediction."""
    from apps.sentiment import explain

    return steps.Explain(explain=explain.explain_input)


def predict() -> steps.Predict:
    """Return the steps of ``predict``."""
    from apps.sentiment import predict

    return steps.Predict(predict=predict.predict, merge=predict.merge)


def export() -> steps.Export:
    """Return the steps of ``export``."""
    from apps.sentiment import export

    return steps.Export(export=export.export_run)


def monitor() -> steps.Monitor:
    """Return the steps of ``monitor``."""
    from apps.sentiment import data, dataset, monitor

    return steps.Monitor(
        load=lambda settings, _bundle, **quarantine: data.load(settings, labelled=False, **quarantine),
        describe=dataset.describe,
        monitor=lambda bundle, reviews, output: monitor.monitor(bundle, reviews.texts, output=output),
    )


def tune() -> steps.Tune:
    """Return the steps of ``tune``."""
    return steps.Tune(metric="accuracy", suggest=config.suggest)


APP = steps.App(
    name="sentiment",
    config=config.Config,
    description="Text sentiment: train, evaluate, explain, export, serve.",
    data_fields=config.DATA_FIELDS,
    data=data,
    run=run,
    train=train,
    evaluate=evaluate,
    explain=explain,
    predict=predict,
    export=export,
    monitor=monitor,
    tune=tune,
    page_suffixes=(".html", ".htm"),
    takes="texts",
)

if __name__ == "__main__":
    sys.exit(main())
