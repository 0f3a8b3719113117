"""What an app supplies to the verbs of ``shared.verbs``: an `App`, a table of its steps.

A step depends on the domain: what a dataset, a split or a loaded run is only the app knows. An app's function for a
verb imports what the verb needs and returns its steps, so that ``--help`` imports nothing heavy.
"""

import argparse
import dataclasses
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Literal

from shared import cli, config, parser

Step = Callable[..., Any]


@dataclasses.dataclass(frozen=True, kw_only=True)
class App:
    """An app's name, its config, and for each verb a function that imports and returns the app's steps.

    Attributes:
        name: The console script, such as ``sentiment``.
        description: One line for ``--help``.
        config: The config class.
        data_fields: Its fields that say how to read a source.
        data: Imports and returns the steps of ``data``, with which ``train`` finds its sources, too.
        run: What the verbs need that start from a finished run; so do the others, each for the verb of its name.
        more: Adds verbs and options that only this app has.
        page_suffixes: How the name of what ``explain`` writes may end; empty for any.
        refuse: Raises where flags say what a finished run has decided.
        takes: What one input of a model is, for the Python API.
        reader: Imports and returns what reads, for a served page, files that a bundle does not; None: nothing does.
    """

    name: str
    description: str
    config: type[config.Config]
    data_fields: Sequence[str]
    data: Callable[[], "Data"]
    run: Callable[[], "Run"]
    train: Callable[[], "Train"]
    evaluate: Callable[[], "Evaluate"]
    explain: Callable[[], "Explain"]
    predict: Callable[[], "Predict"]
    export: Callable[[], "Export"]
    monitor: Callable[[], "Monitor"]
    tune: Callable[[], "Tune"]
    more: Callable[[cli.Verbs], None] = lambda _verbs: None
    page_suffixes: Collection[str] = ()
    refuse: Callable[[Any], None] = lambda _settings: None
    takes: Literal["texts", "rows", "images"] = "images"
    reader: Callable[[], Any] = lambda: None

    def source_settings(self, arguments: argparse.Namespace) -> Any:
        """Return what `cli.source_settings` makes of the flags."""
        return cli.source_settings(self.config, self.data_fields, arguments)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Data:
    """Steps of ``data``. A dataset has ``columns``, ``notes`` and ``quarantined``.

    Attributes:
        locate: ``(settings)``: raises where a source is not there.
        load: ``(settings, quarantine=path) -> dataset``.
        split: ``(dataset, settings) -> (split, certificate)``.
        describe: ``(dataset) -> str``: what was read, in a line.
        table: ``(dataset, split) -> DataFrame`` of the rows and their parts.
        write: ``(dataset, table, options)``: writes the normalised data set to ``options.write``,
            which appears when it is whole; may return notes.
        inspect: ``(dataset, split, seed=) -> inspection.Inspected``: what plain models see of the labelled rows; None
            where there are none.
        not_in_csv: Columns of the table that ``split.csv`` leaves out: the data themselves.
        more: ``(dataset, folder, options, into) -> result``: what else the app checks of the folder, writes and says,
            before anything else is written. What is written ``into`` appears in the folder with the rest.
    """

    locate: Step
    load: Step
    split: Step
    describe: Step
    table: Step
    write: Step
    inspect: Step
    not_in_csv: Sequence[str] = ()
    more: Step = lambda _dataset, _folder, _options, _into: {}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Train:
    """Steps of ``train``, and of each trial of ``tune``.

    Attributes:
        load: ``(settings, quarantine=path) -> dataset``, with ``notes``.
        describe: ``(dataset) -> str``: what was read, in a line.
        split: ``(dataset, settings) -> (split, certificate)``; the split is what ``train`` takes.
        train: ``(dataset, split, settings, folder) -> result`` with the metrics of the validation part: trains into a
            run folder, or goes on with what an interrupted call left there.
    """

    load: Step
    describe: Step
    split: Step
    train: Step


def own_part(run: Any, dataset: Any, split: Any, name: str) -> Any:
    """Return a part of a run's own data."""
    from shared.splits import parts

    return parts.of_run(dataset, split, name, run.folder)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run:
    """A finished run and its data; ``own`` is the tuple that ``own_data`` returns.

    Attributes:
        open_run: ``(path) -> run``.
        own_data: ``(run, quarantine=path) -> own``: the run's data and their split, made again.
        other_part: ``(run, *own, settings, name, quarantine=path) -> part`` of other data, with its ``dataset``.
        own_part: ``(run, *own, name) -> part`` of the run's own data.
    """

    open_run: Step
    own_data: Step
    other_part: Step
    own_part: Step = own_part


def read_predictions(path: Any, rows: Any) -> Any:
    """Read probabilities of classes."""
    from shared import given_predictions

    return given_predictions.read(path, rows)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evaluate:
    """Steps of ``evaluate``.

    Attributes:
        evaluate: ``(run, *own, part, seed=, output=)``: writes the evaluation and returns it.
        rows: ``(run, *own, part) -> given_predictions.Rows``: what another model must score to be judged on a part.
        given: ``(run, *own, part, predictions, seed=, output=)``: as ``evaluate``, of another model's predictions.
        read: ``(path, rows) -> predictions``: reads them, by default as `given_predictions.read`.
    """

    evaluate: Step
    rows: Step
    given: Step
    read: Step = read_predictions


@dataclasses.dataclass(frozen=True, kw_only=True)
class Explain:
    """Steps of ``explain``.

    Attributes:
        explain: ``(run, options) -> result``: writes the explanation of one input.
        options: Class of the options.
    """

    explain: Step
    options: type[parser.ExplainOptions] = parser.ExplainOptions


@dataclasses.dataclass(frozen=True, kw_only=True)
class Predict:
    """Steps of ``predict``.

    Attributes:
        predict: ``(options) -> result``: scores all inputs in bounded memory.
        options: Class of the options.
        merge: ``(options, parts) -> (finish, write)``: before the outputs of all shards are joined, refuses what cannot
            be; ``finish`` is as ``predicting`` has it; ``write() -> result`` writes what stands beside it.
    """

    predict: Step
    options: type[parser.PredictOptions] = parser.PredictOptions
    merge: Step = lambda _options, _parts: (None, dict)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Export:
    """Steps of ``export``.

    Attributes:
        export: ``(run, *own, repository, engines=names)``: writes a checked bundle and returns what it is.
    """

    export: Step


@dataclasses.dataclass(frozen=True, kw_only=True)
class Monitor:
    """Steps of ``monitor``.

    Attributes:
        load: ``(settings, bundle, quarantine=path) -> dataset`` without labels, as the bundle's model reads it.
        describe: ``(dataset) -> str``: what was read, in a line.
        monitor: ``(bundle, dataset, output=folder) -> result``; see ``shared.monitoring``.
    """

    load: Step
    describe: Step
    monitor: Step


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tune:
    """Steps of ``tune``, whose trials are trained by the steps of ``train``.

    Attributes:
        metric: Which metric of the validation part is best at its highest.
        suggest: ``(trial, settings) -> changes``: the settings that a trial tries.
    """

    metric: str
    suggest: Callable[[Any, Any], Mapping[str, Any]]
