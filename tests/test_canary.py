"""The checkout is what it says: our packages, one version, a portable lock, few places for TensorFlow."""

import ast
import io
import pathlib
import re
import subprocess
import sys
import tokenize
import tomllib
from typing import Any

import pytest

import apps
import shared
from tests import helpers

ROOT = helpers.ROOT
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
LOCK = (ROOT / "requirements.lock").read_text("utf-8")
SOURCES = sorted(path for folder in ("apps", "shared", "tests", "benchmarks") for path in (ROOT / folder).rglob("*.py"))
# ``apps.*.x`` means the module x of every app that has one.
TENSORFLOW_FREE = [
    found
    for contract in PROJECT["tool"]["importlinter"]["contracts"]
    if "keras" in contract.get("forbidden_modules", [])
    for name in contract["source_modules"]
    for found in ([name.replace("*", app) for app in helpers.APPS] if "*" in name else [name])
    if (ROOT / found.replace(".", "/")).is_dir() or (ROOT / f"{found.replace('.', '/')}.py").is_file()
]


def test_apps_and_shared_are_the_folders_of_this_checkout() -> None:
    for package in (apps, shared):
        assert pathlib.Path(str(package.__file__)).parent.parent == ROOT


def test_the_version_is_the_newest_heading_of_the_changelog() -> None:
    headings = re.findall(r"^## \[?(\d+\.\d+\.\d+)", (ROOT / "CHANGELOG.md").read_text("utf-8"), flags=re.MULTILINE)
    assert headings[0] == PROJECT["project"]["version"]


def locked() -> dict[str, list[tuple[int, ...]]]:
    found: dict[str, list[tuple[int, ...]]] = {}
    for name, version in re.findall(r"^([a-z0-9._-]+)==([0-9.]+)", LOCK, flags=re.MULTILINE):
        found.setdefault(name, []).append(numbers(version))
    return found


def numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.strip(".").split("."))


def requirements() -> list[str]:
    project = PROJECT["project"]
    found: list[str] = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    return found


@pytest.mark.parametrize("requirement", requirements())
def test_the_lock_has_a_version_that_pyproject_accepts(requirement: str) -> None:
    match = re.fullmatch(r"([A-Za-z0-9._-]+)(.*)", requirement)
    assert match is not None
    versions = locked()[match[1].lower()]
    for operator, bound in re.findall(r"(>=|==|<)([0-9.]+)", match[2]):
        for version in versions:
            accepted = {
                "==": version == numbers(bound),
                ">=": version >= numbers(bound),
                "<": version < numbers(bound),
            }
            assert accepted[operator], (requirement, version)


def test_every_locked_version_has_its_hashes() -> None:
    entries = re.split(r"\n(?=[a-z0-9])", LOCK.split("\n", 2)[2])
    assert len(entries) > 50
    for entry in entries:
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", entry), entry.splitlines()[0]


def test_the_lock_names_no_index_and_no_path_of_a_machine() -> None:
    assert not re.search(r"https?://|--index|--extra-index|--find-links|file:| @ |/home|/root|/tmp|/work", LOCK)


@pytest.mark.parametrize(
    "name", ["pyproject.toml", "Makefile", ".ci/run", "README.md", "CONTRIBUTING.md", "CHANGELOG.md"]
)
def test_no_file_that_everyone_reads_names_a_path_of_this_machine(name: str) -> None:
    path = ROOT / name
    assert path.is_file()
    assert not re.search(r"/work/|/root/|/home/", path.read_text("utf-8"))


def comments(path: pathlib.Path) -> list[str]:
    tokens = tokenize.generate_tokens(io.StringIO(path.read_text("utf-8")).readline)
    return [token.string for token in tokens if token.type == tokenize.COMMENT]


def is_code(comment: str) -> bool:
    """Tell commented-out code from words: it parses, and does more than name a thing."""
    try:
        body = ast.parse(comment.lstrip("# ")).body
    except SyntaxError:
        return False
    return not all(isinstance(node, ast.Expr | ast.AnnAssign) and not does_something(node) for node in body)


def does_something(node: ast.Expr | ast.AnnAssign) -> bool:
    return isinstance(node.value, ast.Call) if isinstance(node, ast.Expr) else node.value is not None


def test_commented_out_code_is_told_from_words() -> None:
    assert is_code("# x = compute(y)")
    assert is_code("# return x")
    assert is_code("# print(x)")
    assert not is_code("# A score is in the set from 1 - quantile on.")
    assert not is_code("# noqa: F401")


def test_no_file_holds_a_note_of_unfinished_work_or_commented_out_code() -> None:
    marks = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X|HA" + r"CK)\b")
    for path in SOURCES:
        for comment in comments(path):
            assert not marks.search(comment), (path, comment)
            assert not is_code(comment), (path, comment)


def test_every_package_folder_has_its_init_file_and_tests_have_none() -> None:
    for folder in ("apps", "shared"):
        for path in (ROOT / folder).rglob("*.py"):
            assert (path.parent / "__init__.py").is_file(), path
    assert list((ROOT / "tests").rglob("__init__.py")) == []


def test_the_modules_without_tensorflow_can_be_imported_where_there_is_none() -> None:
    script = (
        "import importlib, pkgutil, sys\n"
        "sys.modules.update(tensorflow=None, keras=None)\n"
        "for name in sys.argv[1:]:\n"
        "    module = importlib.import_module(name)\n"
        "    for found in pkgutil.walk_packages(getattr(module, '__path__', []), name + '.'):\n"
        "        importlib.import_module(found.name)\n"
    )
    finished = subprocess.run(
        [sys.executable, "-c", script, *TENSORFLOW_FREE],
        env=helpers.ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr


def test_the_import_contracts_cover_every_app_and_the_modules_of_the_design() -> None:
    expected = {"shared.config", "shared.cli", "shared.errors", "shared.splits", "shared.evaluation"}
    for app in helpers.APPS:
        expected |= {f"apps.{app}.config", f"apps.{app}.evaluate"}
    assert expected <= set(TENSORFLOW_FREE)
    independent = [c["modules"] for c in PROJECT["tool"]["importlinter"]["contracts"] if c["type"] == "independence"]
    assert independent == [[f"apps.{app}" for app in helpers.APPS]]
