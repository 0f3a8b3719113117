"""Installed, everything is part of ``fieldnets``; a folder with its own ``apps`` and ``shared`` can shadow nothing.

Two installations: this environment's, which `make install` makes editable, and a wheel's in a new environment.
"""

import os
import pathlib
import shutil
import site
import subprocess
import sys
import zipfile

import pytest

from tests import helpers

SCRIPTS = pathlib.Path(sys.executable).parent
CODE = sorted(path for folder in ("apps", "shared") for path in (helpers.ROOT / folder).rglob("*.py"))
# As a user's: no path of this checkout's, no notes of a parent process.
PLAIN = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONSAFEPATH")}
BUILT_FROM = ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE")

pytestmark = pytest.mark.skipif(not (SCRIPTS / "sentiment").exists(), reason="fieldnets is not installed")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A folder of a user who has an ``apps`` and a ``shared``, and some files with names of libraries."""
    folder = tmp_path_factory.mktemp("project")
    for name in ("apps", "shared"):
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text('OWNER = "the user"\n')
        (folder / name / "sentiment.py").write_text("raise RuntimeError('a file of the user was imported')\n")
    for name in ("json", "keras", "numpy"):
        (folder / f"{name}.py").write_text("raise RuntimeError('a file of the user was imported')\n")
    return folder


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A folder whose ``apps`` and ``shared`` cannot be imported."""
    folder = tmp_path_factory.mktemp("broken")
    for name in ("apps", "shared"):
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text("raise RuntimeError('a file of the user was imported')\n")
    return folder


def output(command: list[object], folder: pathlib.Path, **environment: str) -> str:
    finished = subprocess.run(
        [str(word) for word in command],
        cwd=folder,
        env=PLAIN | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


def help_of(command: str, scripts: pathlib.Path) -> list[object]:
    first, *rest = command.split()
    return [scripts / first, *rest, "--help"]


COMMANDS = [
    *("sentiment", "medical-imaging", "fraud-detection train", "driving-perception predict", "fieldnets demo"),
    *("python -m fieldnets", "python -m fieldnets.apps", "python -m fieldnets.apps.sentiment"),
]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_works_where_the_user_has_such_packages(
    project: pathlib.Path, broken: pathlib.Path, command: str
) -> None:
    for folder in (project, broken):
        assert output(help_of(command, SCRIPTS), folder).startswith("usage: ")
    # PYTHONPATH puts the user's packages before ours, whatever the folder.
    assert output(help_of(command, SCRIPTS), helpers.ROOT, PYTHONPATH=str(broken)).startswith("usage: ")


def test_a_program_that_imports_fieldnets_keeps_its_own_packages(tmp_path: pathlib.Path) -> None:
    for name in ("apps", "shared"):
        (tmp_path / f"{name}.py").write_text("OWNER = 'the user'\n")
    program = (
        "import sys\nfrom fieldnets.apps.sentiment import config\nimport apps, fieldnets.shared.errors, shared\n"
        "print(apps.OWNER, shared.OWNER, config.Config.__module__, fieldnets.shared.errors.__name__)\n"
        "print(sorted(name for name in sys.modules if name.partition('.')[0] in ('apps', 'shared')))"
    )
    said = output([sys.executable, "-c", program], tmp_path).splitlines()
    assert said == ["the user the user fieldnets.apps.sentiment.config fieldnets.shared.errors", "['apps', 'shared']"]


def test_a_module_is_one_under_the_one_name(tmp_path: pathlib.Path) -> None:
    """Two copies of ``shared.errors`` would raise errors that no one catches."""
    program = (
        "from fieldnets.shared import cli, errors, config\n"
        "import fieldnets.shared.errors as again\n"
        "print(cli.errors is errors is again is config.errors, cli.__spec__.name, cli.__file__)"
    )
    expected = f"True fieldnets.shared.cli {helpers.ROOT / 'shared' / 'cli.py'}\n"
    assert output([sys.executable, "-c", program], tmp_path) == expected


def test_what_numba_kept_under_one_name_is_not_read_under_the_other(broken: pathlib.Path) -> None:
    program = (
        "import numpy as np\nfrom {}apps.fraud_detection import features\n"
        "ones, found = np.ones(2, np.int64), np.empty((11, 2), np.float32)\n"
        "features.described(ones < 2, ones < 1, np.arange(2), ones, ones, ones, ones, 1, found)\n"
        "print(found[0].tolist())"
    )
    for prefix, folder in (("", helpers.ROOT), ("fieldnets.", broken), ("", helpers.ROOT)):
        path = {} if prefix else {"PYTHONPATH": str(helpers.ROOT)}
        assert output([sys.executable, "-c", program.format(prefix)], folder, **path) == "[1.0, 1.0]\n"


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The commands of an environment that has pip and this environment's libraries, but no fieldnets."""
    folder = tmp_path_factory.mktemp("environment")
    output([sys.executable, "-m", "venv", folder], folder)
    packages = next(folder.glob("lib/python*/site-packages"))
    (packages / "libraries.pth").write_text("\n".join(site.getsitepackages()))
    return folder / "bin"


@pytest.fixture(scope="module")
def wheel(bare: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """What ``pip wheel .`` makes of a copy of this checkout, for a build leaves folders behind."""
    copy = tmp_path_factory.mktemp("copy")
    for name in ("apps", "shared", "src"):
        shutil.copytree(helpers.ROOT / name, copy / name)
    for name in BUILT_FROM:
        shutil.copy(helpers.ROOT / name, copy)
    # The build runs in this environment, whose setuptools is the lock's.
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", "made", "."]
    output([bare / "pip", "--python", sys.executable, "wheel", *options], copy)
    return next(copy.glob("made/*.whl"))


@pytest.fixture(scope="module")
def scripts(bare: pathlib.Path, wheel: pathlib.Path) -> pathlib.Path:
    """The commands of an environment that has the wheel."""
    output([bare / "pip", "install", "--no-deps", "--no-index", wheel], wheel.parent)
    return bare


@pytest.mark.slow
def test_the_wheel_has_one_top_level_package_and_every_file_of_ours(wheel: pathlib.Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"fieldnets"}
    assert {f"fieldnets/{path.relative_to(helpers.ROOT).as_posix()}" for path in CODE} <= set(names)
    assert "fieldnets/shared/serving/page/index.html" in names
    assert "fieldnets/shared/report/templates/report.html.j2" in names
    assert not [name for name in names if name.endswith((".pyc", ".pyo"))]


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_of_the_wheel_works_where_the_user_has_such_packages(
    scripts: pathlib.Path, project: pathlib.Path, command: str
) -> None:
    assert output(help_of(command, scripts), project).startswith("usage: ")


@pytest.mark.slow
def test_the_wheel_is_found_outside_of_the_checkout(scripts: pathlib.Path, project: pathlib.Path) -> None:
    said = output([scripts / "python", "-P", "-c", "import fieldnets.shared as ours; print(ours.__file__)"], project)
    assert pathlib.Path(said).is_relative_to(scripts.parent)


@pytest.mark.slow
def test_the_wheel_trains_evaluates_exports_and_serves_where_the_user_has_such_packages(
    scripts: pathlib.Path, project: pathlib.Path, broken: pathlib.Path
) -> None:
    demo = [scripts / "fieldnets", "demo", "--app", "sentiment", "--preset", "smoke", "--output-dir", "runs", "--quiet"]
    output(demo, project, PYTHONPATH=str(broken))
    # The same run, by the editable installation: no name of a module stands in a file of a run.
    run = project / "runs" / "sentiment" / "run"
    exported = output(
        [SCRIPTS / "sentiment", "export", "--run-dir", run, "--output-dir", "bundles", "--quiet"], project
    )
    assert "parity" in exported
