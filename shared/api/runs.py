"""A training as a call, and a run as an object with the verbs that start from it: the command line's own functions."""

import dataclasses
import pathlib
import tempfile
from collections.abc import Mapping
from typing import Any

import pandas as pd

from shared import cli, config, errors, files, parser, steps, verbs
from shared.api import calls, results, tables

_OF_PREDICT = tuple(field.name for field in dataclasses.fields(parser.PredictOptions))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Training:
    """How to train, beside the settings.

    Attributes:
        run_dir: The run folder to write; None: ``runs/<app>``.
        preset: ``smoke``, ``quick`` or ``default``; None: the last.
        config: A file of settings, in JSON or YAML.
        resume: Go on with an interrupted training of the same settings.
        overwrite: Replace a run that is there.
        workers: Processes of this machine that train together.
        progress: Draw progress bars.
    """

    run_dir: str | pathlib.Path | None = None
    preset: str | None = None
    config: str | pathlib.Path | None = None
    resume: bool = False
    overwrite: bool = False
    workers: int = 1
    progress: bool = False


def train(app: steps.App, data: Any, how: Training, settings: Mapping[str, Any]) -> "Run":
    """Train on a source and return the run; see ``apps.api.train``.

    Raises:
        errors.InputError: A setting, the source or the folder cannot be used.
        errors.GateError: The split failed its certificate.
    """
    folder = pathlib.Path(how.run_dir or pathlib.Path("runs") / app.name)
    if how.resume and how.overwrite:
        raise errors.InputError("resume, overwrite: expected one of them at most. Received: both")
    calls.refuse_unknown(settings, list(config.field_types(app.config)), "train")
    with calls.call(shown=how.progress), tempfile.TemporaryDirectory(prefix="fieldnets-") as scratch:
        files.RunFolder.refuse_occupied(folder, resume=how.resume, overwrite=how.overwrite)
        given = {**settings, **tables.training_source(data, folder)}
        resolved = calls.settings_of(app.config, given, preset=how.preset, config_file=how.config)
        options = parser.TrainOptions(
            settings=cli.resumed(config.absolute(resolved), folder) if how.resume else config.absolute(resolved),
            run_dir=folder,
            resume=how.resume,
            overwrite=how.overwrite,
            workers=how.workers,
            ray_address=None,
            command_line=_command_line(resolved, how, folder, pathlib.Path(scratch)) if how.workers > 1 else (),
        )
        verbs.train(app, options)
    return Run(app, folder)


def _command_line(settings: config.Config, how: Training, folder: pathlib.Path, scratch: pathlib.Path) -> list[str]:
    """Return what starts each process of a training in several."""
    files.write_json(scratch / "config.json", settings.to_json())
    more = [f"--{name}" for name in ("resume", "overwrite") if getattr(how, name)]
    more += [] if how.progress else ["--quiet"]
    return ["train", "--run-dir", str(folder), "--config", str(scratch / "config.json"), *more]


class Run:
    """A finished run: evaluate, predict, explain and export it. The network is read once, when it is first needed.

    Attributes:
        path: The run folder.
    """

    def __init__(self, app: steps.App, path: pathlib.Path) -> None:
        """Open a run folder.

        Raises:
            errors.InputError: It is no finished run.
        """
        self._app = app
        self.path = files.RunFolder.open(path).path
        self._opened: Any = None

    @property
    def app(self) -> str:
        """The app's name."""
        return self._app.name

    @property
    def settings(self) -> dict[str, Any]:
        """Every setting of the run, as its ``config.json`` has it."""
        return files.read_json(self.path / "config.json")

    def __repr__(self) -> str:
        """Return app and folder."""
        return f"Run({self.app!r}, {str(self.path)!r})"

    def evaluate(
        self,
        *,
        data: Any = None,
        split: str | None = None,
        output_dir: str | pathlib.Path | None = None,
        seed: int = 0,
        progress: bool = False,
        **reading: Any,
    ) -> results.Report:
        """Evaluate on the run's test part, or on other data.

        Args:
            data: A source that is not the run's own, as of `train`; None: the run's own.
            split: ``train``, ``validation``, ``test`` or ``all``; None: test, of other data all.
            output_dir: Where the files go; None: ``evaluation`` in the run folder.
            seed: Of the resampling.
            progress: Draw progress bars.
            reading: Settings that say how to read the source, such as ``label_column``.

        Raises:
            errors.InputError: The data cannot be read or hold nothing to evaluate.
            errors.GateError: The run's own data have changed.
        """
        with calls.call(shown=progress), tempfile.TemporaryDirectory(prefix="fieldnets-") as scratch:
            source = tables.training_source(data, pathlib.Path(scratch) / "given")
            target = None if output_dir is None else pathlib.Path(output_dir)
            given = {**reading, **source}
            options = self._evaluation(split, seed=seed, given=given, data=source.get("data"), output_dir=target)
            verbs.evaluate(self._app, options)
        return results.Report(options.output_dir or files.RunFolder(self.path).evaluation)

    def rows_to_score(self, *, split: str | None = None) -> pd.DataFrame:
        """Return the rows that another model must score to be judged by `evaluate_predictions`, without their labels.

        Args:
            split: The part, beside the validation part; None: test.

        Returns:
            One row per input: the columns that name it, what of it a table can hold, and ``part``.
        """
        with calls.call(shown=False), tempfile.TemporaryDirectory(prefix="fieldnets-") as scratch:
            path = pathlib.Path(scratch) / "rows.parquet"
            verbs.evaluate(self._app, self._evaluation(split, seed=0, write_rows=path))
            return pd.read_parquet(path)

    def evaluate_predictions(
        self,
        predictions: pd.DataFrame | str | pathlib.Path,
        *,
        name: str = "other",
        split: str | None = None,
        output_dir: str | pathlib.Path | None = None,
        seed: int = 0,
        progress: bool = False,
    ) -> results.Report:
        """Judge another model by its scores as the run's own model is judged, with paired differences to it.

        Args:
            predictions: The rows of `rows_to_score` with a column of probabilities per class; or a file of them.
            name: What reports call the model; of a file its own name.
            split: The part to judge on; None: test.
            output_dir: Where the folder ``evaluation_<name>`` goes; None: the run folder.
            seed: Of the resampling.
            progress: Draw progress bars.

        Raises:
            errors.InputError: A row is missing or unknown, or a score is no probability.
        """
        with calls.call(shown=progress), tempfile.TemporaryDirectory(prefix="fieldnets-") as scratch:
            if isinstance(predictions, pd.DataFrame):
                path = pathlib.Path(scratch) / f"{name}.parquet"
                predictions.to_parquet(path, index=False)
            else:
                path = pathlib.Path(predictions)
            target = None if output_dir is None else pathlib.Path(output_dir)
            verbs.evaluate(self._app, self._evaluation(split, seed=seed, output_dir=target, predictions=(path,)))
        return results.Report((target or self.path) / f"evaluation_{path.stem}")

    def _evaluation(
        self, split: str | None, *, seed: int, given: Mapping[str, Any] | None = None, **more: Any
    ) -> parser.EvaluateOptions:
        """Return the options of an evaluation, on the run's own data unless ``more`` names others."""
        known: dict[str, Any] = {"data": None, "output_dir": None, **more}
        settings = self._source_settings(given or {}, seed=seed)
        return parser.EvaluateOptions(settings=settings, run_dir=self.path, split=split, seed=seed, **known)

    def report(self) -> results.Report:
        """Return the evaluation that `evaluate` wrote before.

        Raises:
            errors.InputError: There is none.
        """
        return results.Report(files.RunFolder(self.path).evaluation)

    def predict(self, data: Any, *, progress: bool = False, **options: Any) -> pd.DataFrame:
        """Predict raw inputs: a DataFrame, a list or paths.

        Args:
            data: As ``tables.as_files`` takes it.
            progress: Draw progress bars.
            options: Settings that say how to read, and further options of the app's ``predict``, such as ``history``.

        Returns:
            A row for each input, under its index where it came from memory: label, decision, scores.

        Raises:
            errors.InputError: An input cannot be read.
        """
        with calls.call(shown=progress):
            return predict(self._app, data, options, run_dir=self.path, opened=self._open)

    def predict_proba(self, data: Any, **options: Any) -> Any:
        """Return (n, classes) calibrated probabilities, in the order of `classes`; see `predict`."""
        return tables.probabilities(self.predict(data, **options))[1]

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes, in the order of the probabilities."""
        return classes(files.read_json(files.RunFolder(self.path).decision))

    def explain(
        self, data: Any, *, output: str | pathlib.Path | None = None, seed: int = 0, **options: Any
    ) -> results.Explanation:
        """Explain one input: a text, an image, a file or the id of a transaction.

        Args:
            data: The input; of a table with one or more transactions the last one is explained.
            output: Where to write the page or picture; None: nowhere, it is in the explanation.
            seed: Of random choices.
            options: Further options of the app's ``explain``.

        Raises:
            errors.InputError: The input cannot be read.
        """
        with calls.call(), tempfile.TemporaryDirectory(prefix="fieldnets-") as scratch:
            target = pathlib.Path(output) if output is not None else pathlib.Path(scratch) / "explanation.html"
            if self._app.page_suffixes and target.suffix not in self._app.page_suffixes:
                raise errors.InputError(f"output: expected a name that ends in .html. Received: {target}")
            step = self._app.explain()
            known = [field.name for field in dataclasses.fields(step.options)]
            calls.refuse_unknown(options, known, "explain")
            text = self._explained(data, pathlib.Path(scratch))
            made = step.options(run_dir=self.path, input=text, output=target, seed=seed, **options)
            return results.Explanation(target, step.explain(self._open(), made))

    def _explained(self, data: Any, scratch: pathlib.Path) -> str:
        if isinstance(data, str):
            return data
        return str(tables.as_files(data, self._app.takes, scratch).paths[-1])

    def export(
        self, output_dir: str | pathlib.Path, *, format: str | tuple[str, ...] = "saved-model", int8: bool = False
    ) -> results.Bundle:
        """Write a serving bundle that is replayed in a clean process, and return it.

        Args:
            output_dir: The model repository.
            format: ``saved-model``, or further engines beside it, such as ``("onnx",)``.
            int8: Of other formats: 8-bit weights and activations.

        Raises:
            errors.GateError: The bundle does not predict what the run predicts.
        """
        formats = (format,) if isinstance(format, str) else tuple(format)
        with calls.call():
            done = verbs.export(
                self._app,
                parser.ExportOptions(
                    run_dir=self.path,
                    output_dir=pathlib.Path(output_dir),
                    format=formats,
                    int8=int8,
                    sign=None,
                    data=None,
                ),
            )
        return results.Bundle(path=pathlib.Path(done["bundle"]), version=done["version"], parity=done["parity"])

    def _open(self) -> Any:
        if self._opened is None:
            self._opened = self._app.run().open_run(self.path)
        return self._opened

    def _source_settings(self, given: Mapping[str, Any], *, seed: int) -> Any:
        calls.refuse_unknown(given, list(self._app.data_fields), "evaluate")
        return calls.settings_of(self._app.config, {**given, "seed": seed})


def classes(decision: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the classes that a ``decision.json`` names; of a fraud detector the two that it tells apart."""
    return tuple(decision.get("class_names", ("genuine", "fraud")))


def predict(app: steps.App, data: Any, options: Mapping[str, Any], **model: Any) -> pd.DataFrame:
    """Predict with a run or with a bundle: what the verb writes, read back.

    Args:
        app: The app.
        data: As ``tables.as_files`` takes it.
        options: Settings that say how to read, and options of the app's own ``predict``; tables among them are written.
        model: ``run_dir``, or ``model_dir`` and ``engine``, and ``opened``; see ``parser.PredictOptions``.
    """
    step = app.predict()
    own = [field.name for field in dataclasses.fields(step.options) if field.name not in _OF_PREDICT]
    fields = [name for name in app.data_fields if name != "data"]
    calls.refuse_unknown(options, [*own, *fields], "predict")
    reading = {name: value for name, value in options.items() if name in fields}
    settings = calls.settings_of(app.config, reading)
    app.refuse(settings)
    with tempfile.TemporaryDirectory(prefix="fieldnets-") as path:
        scratch = pathlib.Path(path)
        (scratch / "given").mkdir()
        text_column = getattr(settings, "text_column", None)
        given = tables.as_files(data, app.takes, scratch / "given", text_column=text_column)
        more = {name: _as_option(options[name], scratch / name) for name in own if name in options}
        usual: dict[str, Any] = {
            "run_dir": None,
            "model_dir": None,
            "engine": None,
            "resume": False,
            "overwrite": False,
        }
        usual |= {"input": list(given.paths), "output": scratch / "predictions.parquet", "chunk_rows": 4096}
        made = step.options(**{"settings": settings, **usual, **more, **model})
        step.predict(made)
        return tables.predictions(made.output, given)


def _as_option(value: Any, folder: pathlib.Path) -> Any:
    """Return an option as the verb has it: a table as the list of its file."""
    if isinstance(value, pd.DataFrame):
        return [tables.write(value, folder)]
    return pathlib.Path(value) if isinstance(value, str) else value
