"""The Python API of ``fieldnets``: train, open and load; what they return is in ``shared.api``.

::

    run = fieldnets.train("sentiment", data="reviews.csv", preset="quick")
    report = run.evaluate()
    model = fieldnets.load(run.export("bundles"))
    model.predict(["Not bad at all."])
"""

import difflib
import importlib
import os
import pathlib
from typing import Any

from shared import config as configs
from shared import errors, files, steps
from shared.api import calls, models, runs

# As the command line calls them; apps.__main__ has the same names.
NAMES = ("medical-imaging", "fraud-detection", "driving-perception", "sentiment")


def train(  # noqa: PLR0913 - what a reader of a notebook's help looks for, by name
    app: str,
    data: Any = None,
    *,
    preset: str | None = None,
    config: str | os.PathLike[str] | None = None,
    run_dir: str | os.PathLike[str] | None = None,
    resume: bool = False,
    overwrite: bool = False,
    workers: int = 1,
    progress: bool = False,
    **settings: Any,
) -> runs.Run:
    """Train an app on a source and return the run.

    The settings are the command line's flags, dashes written as underscores; the same settings give the same weights,
    bit for bit.

    Args:
        app: Its name, such as ``sentiment`` or ``fraud-detection``; an underscore does for a dash.
        data: A path, the name of a built-in source, a DataFrame (of texts or transactions), or a list of these; None:
            the preset's own. A DataFrame is kept beside the run, in ``<run_dir>.data``: evaluation and export read it.
        preset: ``smoke`` (seconds), ``quick`` (minutes) or ``default`` (the best that this machine can do); None: the
            last.
        config: A file of settings on top of the preset, in JSON or YAML.
        run_dir: The folder to write; None: ``runs/<app>``.
        resume: Go on with an interrupted training of the same settings.
        overwrite: Replace a run that is there.
        workers: Processes of this machine that train together.
        progress: Draw progress bars; otherwise the logger ``fieldnets`` is told of each epoch.
        settings: Any setting of the app, such as ``epochs=3``; see ``settings_of``.

    Raises:
        errors.InputError: A setting, the source or the folder cannot be used.
        errors.GateError: The split failed its certificate.
        errors.FieldnetsError: The training could not go on.
    """
    how = runs.Training(
        run_dir=None if run_dir is None else pathlib.Path(run_dir),
        preset=preset,
        config=None if config is None else pathlib.Path(config),
        resume=resume,
        overwrite=overwrite,
        workers=workers,
        progress=progress,
    )
    return runs.train(find(app), data, how, settings)


def open_run(run_dir: str | os.PathLike[str]) -> runs.Run:
    """Open a run that `train`, or the command line, has written; ``fieldnets.open`` is this function.

    Raises:
        errors.InputError: It is no finished run.
    """
    folder = files.RunFolder.open(pathlib.Path(run_dir))
    named = set(files.read_json(folder.config))
    # The settings of an app are those of no other; a run of an earlier version may lack some, or have others.
    known = {name: len(named & set(configs.field_types(find(name).config))) for name in NAMES}
    best = max(known, key=lambda name: known[name])
    if 2 * known[best] <= len(named):
        raise errors.InputError(f"{folder.config}: expected the settings of {', '.join(NAMES)}. Received: another's")
    return runs.Run(find(best), folder.path)


def load(bundle: str | os.PathLike[str], *, engine: str | None = None) -> models.Model:
    """Load a serving bundle: a version folder, the folder above it, or what ``run.export`` returned.

    Args:
        bundle: Its path.
        engine: What runs the network: ``tensorflow``, an engine that ``export`` wrote, or ``auto``, the fastest here;
            None: the app's own fast way where a bundle has one, TensorFlow otherwise.

    Raises:
        errors.InputError: There is no bundle, or a repository holds several.
        errors.GateError: A file is not what the bundle's manifest says.
    """
    with calls.call():
        folder = models.find(pathlib.Path(bundle))
        return models.Model(find(models.app_of(folder.parent.name, NAMES)), folder, engine=engine)


def settings_of(app: str, *, preset: str | None = None, **settings: Any) -> dict[str, Any]:
    """Return every setting that `train` would use: the preset, changed by what is given.

    Raises:
        errors.InputError: A setting is unknown, or its value is not allowed.
    """
    found: dict[str, Any] = calls.settings_of(find(app).config, settings, preset=preset).to_json()
    return found


def find(name: str) -> steps.App:
    """Return an app by its name, with dashes or underscores.

    Raises:
        errors.InputError: There is none of that name.
    """
    wanted = str(name).replace("_", "-")
    if wanted not in NAMES:
        close = difflib.get_close_matches(wanted, NAMES, n=1, cutoff=0.3)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise errors.InputError(f"app: expected one of {', '.join(NAMES)}. Received: {name!r}.{hint}")
    found: steps.App = importlib.import_module(f"{__package__}.{wanted.replace('-', '_')}.__main__").APP
    return found
