"""A verb that is killed at any instant leaves the old result or the new one, whole, and goes on to the same."""

import dataclasses
import functools
import hashlib
import io
import json
import pathlib
import re
import shutil
import zipfile
from collections.abc import Callable
from typing import Any

import h5py
import pytest

from shared import errors, files
from shared.bundle import reading
from tests import helpers
from tests.faults import children, seeds, trials

pytestmark = pytest.mark.fault("kill -9")
OLD = "of the call before"


@dataclasses.dataclass(frozen=True)
class Call:
    """A call that is killed.

    Attributes:
        words: Of the command line.
        results: Files of the result, from the folder of the call; a folder stands for all in it.
        again: More words with which the same work is asked for again.
        empties: Whether the result must not be there before.
        codes: Exit codes of an undisturbed call.
    """

    words: list[object]
    results: tuple[str, ...]
    again: tuple[str, ...] = ()
    empties: bool = False
    codes: tuple[int, ...] = (0,)


def held(folder: pathlib.Path, call: Call) -> dict[str, str]:
    """Return the files of a result with their hashes."""
    found: dict[str, str] = {}
    for name in call.results:
        path = folder / name
        if path.is_dir():
            found |= {f"{name}/{each}": digest for each, digest in children.held(path).items()} | unmeasured(path, name)
        elif path.exists():
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return {name: digest for name, digest in found.items() if not name.endswith("quarantine.csv")}


def unmeasured(folder: pathlib.Path, name: str) -> dict[str, str]:
    """Return an evaluation's figures and report without the speed that was measured, which is another every time."""
    try:
        content = files.read_json(folder / "metrics.json")
    except (FileNotFoundError, ValueError, errors.FieldnetsError):
        return {}
    page = (folder / "report.html").read_text("utf-8") if (folder / "report.html").exists() else ""
    measured = content.pop("speed", None)
    if measured is None:
        return {}
    for each in measured:
        page = re.sub(rf"({re.escape(each)}</t[hd]>\s*<td[^>]*>)[^<]*", r"\1", page)
    held = {"metrics.json": json.dumps(content), "report.html": page}
    return {f"{name}/{each}": hashlib.sha256(text.encode()).hexdigest() for each, text in held.items()}


def put_old(folder: pathlib.Path, call: Call, names: list[str]) -> dict[str, str]:
    """Put the result of a call before into the place of this one's."""
    for name in call.results:
        path = folder / name
        shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
    for name in [] if call.empties else names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(OLD)
    return held(folder, call)


def check(
    call: Call, folder: pathlib.Path, zygote: children.Zygote, tried: trials.Trials, number: int, *, seed: int = 5
) -> None:
    """Kill a call ``number`` times; each leaves the old result or the new one, and the next call ends in the new."""
    run = functools.partial(zygote.run, folder=folder, environment=helpers.ENVIRONMENT)
    usual = run(call.words)
    assert usual.code in call.codes, usual.stderr
    expected = held(folder, call)
    assert expected
    for harm in children.instants(seed, usual, number):
        with tried.one(harm):
            before = put_old(folder, call, list(expected))
            ended = run(call.words, **harm)
            assert ended.code in (-9, *call.codes), ended.stderr
            found = held(folder, call)
            assert found in (before, expected), {name: found.get(name) for name in expected}
            if found != expected:
                again = run([*call.words, *call.again])
                assert again.code in call.codes, again.stderr
                assert held(folder, call) == expected


def data_call(name: str, folder: pathlib.Path) -> Call:
    seed = seeds.SEEDS[name]
    source = seed.write(folder)
    words = [f"apps.{seed.app}", "data", "--data", source, *seed.flags, "--write", "written", "--overwrite"]
    return Call(words=words, results=("written",))


@pytest.mark.parametrize("name", ["reviews.csv", "payments.csv"])
def test_killed_data_leaves_the_old_or_the_new(
    name: str, tmp_path: pathlib.Path, plain: children.Zygote, tried: trials.Trials
) -> None:
    check(data_call(name, tmp_path), tmp_path, plain, tried, trials.count(4, 60))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["radiographs.png", "roads as coco", "roads as kitti"])
def test_killed_data_of_images_leaves_the_old_or_the_new(
    name: str, tmp_path: pathlib.Path, heavy: children.Zygote, tried: trials.Trials
) -> None:
    check(data_call(name, tmp_path), tmp_path, heavy, tried, trials.count(4, 40))


@pytest.mark.parametrize("verb", ["simulate", "histories"])
def test_killed_tables_of_transactions_are_the_old_or_the_new(
    verb: str, tmp_path: pathlib.Path, plain: children.Zygote, tried: trials.Trials
) -> None:
    words: list[object] = ["apps.fraud_detection", verb]
    if verb == "simulate":
        small = ["--customers", "30", "--terminals", "30", "--days", "5", "--output", "made.parquet", "--overwrite"]
        call = Call(words=words + small, results=("made.parquet",))
    else:
        source = seeds.SEEDS["payments.csv"].write(tmp_path)
        call = Call(words=[*words, "--data", source, "--output", "made", "--overwrite"], results=("made",))
        (tmp_path / "made").mkdir()
    check(call, tmp_path, plain, tried, trials.count(2, 40))


@pytest.fixture(scope="module", params=helpers.APPS)
def app(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def place(app: str, shared_runs: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A folder with a run, a bundle of it, and new inputs."""
    folder, samples = tmp_path_factory.mktemp(app), helpers.samples_of(app)
    shutil.copytree(helpers.smoke_run(app, shared_runs).path, folder / "run")
    line = helpers.CommandLine(folder)
    module = f"apps.{app}"
    line.run(module, "data", *getattr(samples, "DATA_FLAGS", ()), "--write", "normalised")
    usual = samples.usual(folder / "normalised", folder)
    (folder / "usual-name").write_text(usual.name)
    line.run(module, "export", "--run-dir", "run", "--output-dir", "bundles")
    return folder


def calls(app: str, folder: pathlib.Path) -> dict[str, Call]:
    """Return the calls of an app's verbs."""
    samples, usual = helpers.samples_of(app), folder / (folder / "usual-name").read_text()
    module, picture = f"apps.{app}", "why.html" if app in ("sentiment", "fraud_detection") else "why.png"
    run: list[object] = ["--run-dir", "run"]
    predicted: list[object] = [*run, usual, *samples.READ_FLAGS, "--output", "new.csv"]
    explained: list[object] = [*run, samples.explain_input(usual), "--output", picture]
    watched: list[object] = ["--model-dir", "bundles", "--data", usual, *samples.READ_FLAGS, "--output-dir", "drift"]
    found = {
        "predict": Call(words=[module, "predict", *predicted], results=("new.csv",), again=("--resume",), empties=True),
        "evaluate": Call(words=[module, "evaluate", *run], results=("run/evaluation",)),
        "explain": Call(words=[module, "explain", *explained], results=(picture,)),
        "monitor": Call(words=[module, "monitor", *watched], results=("drift",), codes=(0, 3)),
    }
    if app == "fraud_detection":
        alerts: list[object] = [module, "alerts", "--run-dir", "run", "--data", usual, "--budget", "5"]
        found["alerts"] = Call(words=alerts, results=("run/alerts",))
    if app == "medical_imaging":
        small = ["--images", "6", "--image-size", "16", "--epochs", "1"]
        augment: list[object] = [module, "augment", "--run-dir", "run", "--output-dir", "synthetic", *small]
        found["augment"] = Call(words=augment, results=("synthetic",), empties=True)
    return found


SMALL_WORLD = ["--customers", "500", "--terminals", "1000", "--days", "100"]
# How often each is killed in the whole form: what takes long, not so often.
KILLS = {"predict": 12, "evaluate": 6, "explain": 6, "monitor": 6, "alerts": 12, "augment": 4}


@pytest.mark.slow
@pytest.mark.tensorflow
@pytest.mark.parametrize("verb", KILLS)
def test_a_killed_verb_of_a_run_leaves_the_old_or_the_new(
    verb: str, app: str, place: pathlib.Path, heavy: children.Zygote, tried: trials.Trials
) -> None:
    known = calls(app, place)
    if verb not in known:
        pytest.skip(f"no verb of {app}")
    check(known[verb], place, heavy, tried, trials.count(1, KILLS[verb]))


@pytest.mark.slow
@pytest.mark.tensorflow
def test_a_killed_export_leaves_no_version_or_a_whole_one(
    app: str, place: pathlib.Path, heavy: children.Zygote, tried: trials.Trials
) -> None:
    words: list[object] = [f"apps.{app}", "export", "--run-dir", "run", "--output-dir", "exported"]
    run = functools.partial(heavy.run, words, place, environment=helpers.ENVIRONMENT)
    usual = run()
    assert usual.code == 0, usual.stderr
    model = place / "exported" / app
    for harm in children.instants(6, usual, trials.count(1, 6)):
        with tried.one(harm):
            before = reading.versions(model)
            ended = run(**harm)
            after = reading.versions(model)
            assert len(after) == len(before) + (ended.code == 0) or len(after) == len(before) + 1
            for version in after:
                reading.check_manifest(version)
            assert reading.find(place / "exported") == after[-1]


def weights(path: pathlib.Path) -> dict[str, str]:
    """Return the SHA-256 of every array of a ``model.keras``."""
    found: dict[str, str] = {}

    def keep(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            found[name] = hashlib.sha256(item[()].tobytes()).hexdigest()

    with zipfile.ZipFile(path) as archive, h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as held_weights:
        held_weights.visititems(keep)
    return found


@pytest.mark.slow
@pytest.mark.tensorflow
def test_a_killed_training_goes_on_to_the_same_weights(
    app: str, tmp_path: pathlib.Path, shared_runs: pathlib.Path, heavy: children.Zygote, tried: trials.Trials
) -> None:
    expected = helpers.smoke_run(app, shared_runs)
    words: list[object] = [f"apps.{app}", "train", "--preset", "smoke", "--run-dir", "run"]
    run: Callable[..., children.Ended] = functools.partial(heavy.run, folder=tmp_path, environment=helpers.ENVIRONMENT)
    folder = files.RunFolder(tmp_path / "run")
    usual = dataclasses.replace(children.Ended(0, "", "", 20.0, 30))
    for harm in children.instants(7, usual, trials.count(1, 4)):
        with tried.one(harm):
            resume = ["--resume"] if folder.config.exists() else []
            ended = run([*words, *resume], **harm)
            assert ended.code in (0, -9), ended.stderr
    with tried.one("the end"):
        ended = run([*words, "--resume"] if folder.config.exists() else words)
        assert ended.code == 0, ended.stderr
        assert weights(folder.model) == weights(expected.model)
        assert files.read_json(folder.decision) == files.read_json(expected.decision)
        files.RunFolder.open(folder.path)


@pytest.mark.slow
@pytest.mark.tensorflow
def test_a_killed_update_leaves_the_champion_or_the_challenger_and_figures_of_no_other(
    tmp_path: pathlib.Path, shared_runs: pathlib.Path, heavy: children.Zygote, tried: trials.Trials
) -> None:
    champion = helpers.smoke_run("fraud_detection", shared_runs)
    newer = tmp_path / "newer.parquet"
    # Simulated with another seed: labels that the run has not seen.
    words: list[object] = ["apps.fraud_detection", "update", "--run-dir", "run", "--data", newer]
    made = ["apps.fraud_detection", "simulate", "--seed", "9", "--output", newer, *SMALL_WORLD]
    assert heavy.run(made, tmp_path, environment=helpers.ENVIRONMENT).code == 0

    def update(**harm: Any) -> children.Ended:
        return heavy.run(words, tmp_path, environment=helpers.ENVIRONMENT, **harm)

    def anew() -> files.RunFolder:
        shutil.rmtree(tmp_path / "run", ignore_errors=True)
        shutil.copytree(champion.path, tmp_path / "run")
        (tmp_path / "run" / "evaluation").mkdir(exist_ok=True)
        (tmp_path / "run" / "evaluation" / "metrics.json").write_text("{}")
        return files.RunFolder(tmp_path / "run")

    folder = anew()
    usual = update()
    assert usual.code in (0, 3), usual.stderr
    ends = [weights(champion.model), weights(folder.model)]
    for harm in children.instants(8, usual, trials.count(1, 12)):
        with tried.one(harm):
            folder = anew()
            ended = update(**harm)
            assert ended.code in (-9, usual.code), ended.stderr
            files.RunFolder.open(folder.path)  # its manifest is checked, and what was begun is ended
            found = weights(folder.model)
            assert found in ends
            assert found == ends[0] or not folder.evaluation.exists()
            again = update()
            assert again.code in (0, 3), again.stderr
