"""A run or a bundle of another app, or of a version to come, is refused in a line, before anything is written."""

import pathlib

import pytest

from shared import files
from tests import helpers
from tests.faults import children, trials
from tests.shared import test_stored

pytestmark = [pytest.mark.fault("another's run"), pytest.mark.slow, pytest.mark.tensorflow]
RULES = {
    "sentiment": test_stored.CLASSIFIER,
    "medical_imaging": test_stored.SEVERAL,
    "fraud_detection": test_stored.FRAUD,
    "driving_perception": test_stored.DRIVING,
}


def a_run(app: str, folder: pathlib.Path, **more: object) -> files.RunFolder:
    """Write what looks like a finished run of an app."""
    run = files.RunFolder(folder / app)
    files.write_json(run.config, {**helpers.config_of(app).smoke().to_json(), **more})
    files.write_json(run.decision, RULES[app].to_json())
    files.write_json(run.split, helpers.a_certificate())
    run.model.write_bytes(b"a model of another app")
    return run


def refused(ended: children.Ended, folder: pathlib.Path, before: dict[str, str]) -> None:
    assert ended.code == 2, ended.stderr
    assert "Traceback" not in ended.stderr
    assert "Received" in ended.stderr.splitlines()[-1]
    assert children.held(folder) == before


@pytest.mark.parametrize("verb", [["evaluate"], ["export", "--output-dir", "models"]])
def test_a_run_of_another_app_is_refused(
    verb: list[str], tmp_path: pathlib.Path, heavy: children.Zygote, tried: trials.Trials
) -> None:
    for app in helpers.APPS if trials.WHOLE else helpers.APPS[:1]:
        for other in helpers.APPS:
            if other == app:
                continue
            with tried.one(f"{app} {verb[0]} with a run of {other}"):
                folder = tmp_path / app / verb[0]
                run = a_run(other, folder)
                before = children.held(folder)
                words: list[object] = [f"apps.{app}", *verb, "--run-dir", run.path]
                refused(heavy.run(words, folder, environment=helpers.ENVIRONMENT), folder, before)


def test_a_run_of_a_version_to_come_is_refused(
    tmp_path: pathlib.Path, heavy: children.Zygote, tried: trials.Trials
) -> None:
    for app in helpers.APPS if trials.WHOLE else helpers.APPS[:1]:
        with tried.one(app):
            run = a_run(app, tmp_path, a_setting_of_tomorrow=3)
            before = children.held(tmp_path)
            words: list[object] = [f"apps.{app}", "evaluate", "--run-dir", run.path]
            ended = heavy.run(words, tmp_path, environment=helpers.ENVIRONMENT)
            refused(ended, tmp_path, before)
            assert "a_setting_of_tomorrow" in ended.stderr
