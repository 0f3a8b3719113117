"""The command line of the driving app: ``driving-perception VERB ...``; what each verb does is in ``shared.verbs``."""

import pathlib
import sys
from collections.abc import Sequence

from apps.driving_perception import config
from shared import cli, steps, verbs


def main(argv: Sequence[str] | None = None) -> int:
    """Run the app's command line and return its exit code."""
    return verbs.main(APP, argv)


def data() -> steps.Data:
    """Return the steps of ``data``."""
    from apps.driving_perception import data, inspect_data

    return steps.Data(
        inspect=inspect_data.inspected,
        locate=data.locate,
        load=data.load,
        split=data.split,
        describe=data.describe,
        table=data.frame,
        write=lambda images, table, options: data.write(
            images, table, options.write, write_format=options.settings.write_format
        ),
    )


def run() -> steps.Run:
    """Return what the verbs need that start from a finished run."""
    from apps.driving_perception import run

    return steps.Run(open_run=run.open_run, own_data=run.own_data, other_part=run.other_part)


def train() -> steps.Train:
    """Return the steps of ``train``."""
    from apps.driving_perception import data, train

    return steps.Train(load=data.load, describe=data.describe, split=data.split, train=train.train)


def evaluate() -> steps.Evaluate:
    """Return the steps of ``evaluate``."""
    from apps.driving_perception import coco_results, evaluate_run

    return steps.Evaluate(
        evaluate=evaluate_run.evaluate_run,
        rows=evaluate_run.rows_to_score,
        given=evaluate_run.evaluate_given,
        read=coco_results.read,
    )


def explain() -> steps.Explain:
    """Return the steps of ``explain``: what each box was seen by, and what was seen near what was missed."""
    from apps.driving_perception import explain

    return steps.Explain(explain=explain.explain_file, options=explain.Options)


def predict() -> steps.Predict:
    """Return the steps of ``predict``."""
    from apps.driving_perception import predict

    return steps.Predict(predict=predict.predict, options=predict.Options, merge=predict.merge)


def export() -> steps.Export:
    """Return the steps of ``export``."""
    from apps.driving_perception import export

    return steps.Export(export=export.export_run)


def monitor() -> steps.Monitor:
    """Return the steps of ``monitor``."""
    from apps.driving_perception import data, monitor

    return steps.Monitor(
        load=lambda settings, _bundle, **quarantine: data.load(settings, labelled=False, **quarantine),
        describe=data.describe,
        monitor=monitor.monitor,
    )


def tune() -> steps.Tune:
    """Return the steps of ``tune``."""
    return steps.Tune(metric="map_50", suggest=config.suggest)


def add_options(given: cli.Verbs) -> None:
    """Add what only this app's ``explain`` and ``predict`` have."""
    given.choices["explain"].add_argument(
        "--missed",
        type=float,
        nargs=4,
        metavar=("LEFT", "TOP", "RIGHT", "BOTTOM"),
        help="also say why the object in this box was missed [pixels]",
    )
    predicting = given.choices["predict"]
    predicting.add_argument(
        "--frames-per-second", type=float, help="the images of each folder are the frames of a clip, at this rate"
    )
    for flag, metavar, help in (
        ("--annotated", "DIR", "also write pictures and videos with their boxes"),
        ("--coco", "FILE", "also write the boxes as COCO results (.json)"),
        ("--boxes", "FILE", "also write a table with a row for each box (.csv)"),
    ):
        predicting.add_argument(flag, type=pathlib.Path, metavar=metavar, help=help)


APP = steps.App(
    name="driving-perception",
    config=config.Config,
    description="Obstacle detection on the road: train, measure, explain, export, serve. Not a safety component.",
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
    more=add_options,
)

if __name__ == "__main__":
    sys.exit(main())
