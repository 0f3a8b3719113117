"""A fifth app is a copied folder and a line: made here from the smallest app, in a folder of its own, and run."""

import json
import pathlib
import re
import shutil
import subprocess
import sys
from typing import Any

import pytest

from tests import helpers

pytestmark = [pytest.mark.tensorflow, pytest.mark.slow]

SMALLEST, FIFTH = "sentiment", "moods"


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A copy of the code in which the smallest app stands a second time, under another name."""
    folder = tmp_path_factory.mktemp("fifth")
    for top in ("apps", "shared", "src"):
        shutil.copytree(helpers.ROOT / top, folder / top, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    shutil.copytree(folder / "apps" / SMALLEST, folder / "apps" / FIFTH)
    for path in (folder / "apps" / FIFTH).rglob("*.py"):
        renamed = re.sub(rf"\bapps\.{SMALLEST}\b", f"apps.{FIFTH}", path.read_text("utf-8"))
        path.write_text(renamed.replace(f'name="{SMALLEST}"', f'name="{FIFTH}"'), "utf-8")
    # The one line: the demo knows the app.
    table = folder / "apps" / "__main__.py"
    line = f'    "{SMALLEST}": f"{{__package__}}.{SMALLEST}",\n'
    content = table.read_text("utf-8")
    assert line in content
    table.write_text(content.replace(line, line + line.replace(SMALLEST, FIFTH)), "utf-8")
    return folder


def verb(checkout: pathlib.Path, *words: object) -> dict[str, Any]:
    finished = subprocess.run(
        [sys.executable, "-m", f"apps.{FIFTH}", *map(str, words), "--json"],
        cwd=checkout,
        env={**helpers.ENVIRONMENT, "PYTHONPATH": str(checkout)},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    result = json.loads(finished.stdout)
    assert isinstance(result, dict)
    return result


def test_every_verb_of_a_copied_app_works(checkout: pathlib.Path) -> None:
    texts = checkout / "texts.csv"
    texts.write_text("text\n" + "a fine film\na dull film\n" * 30, "utf-8")
    assert verb(checkout, "data", "--output-dir", "looked")["split"]["overlap"]
    assert verb(checkout, "train", "--preset", "smoke", "--run-dir", "run")["run_dir"] == "run"
    assert verb(checkout, "evaluate", "--run-dir", "run")["metrics"]["accuracy"]["value"] > 0.5
    assert verb(checkout, "explain", "--run-dir", "run", "a fine film", "--output", "why.html")["label"]
    assert verb(checkout, "predict", "--run-dir", "run", texts, "--output", "scores.csv")["rows"] == 60
    assert (checkout / "run/evaluation/report.html").is_file()
    bundle = pathlib.Path(verb(checkout, "export", "--run-dir", "run", "--output-dir", "bundles")["bundle"])
    assert bundle.parent.name == FIFTH
    assert verb(checkout, "tune", "--preset", "smoke", "--trials", "1", "--output-dir", "search")["trials"] == 1


def test_the_demo_lists_a_copied_app(checkout: pathlib.Path) -> None:
    finished = subprocess.run(
        [sys.executable, "-m", "apps", "demo", "--help"],
        cwd=checkout,
        env={**helpers.ENVIRONMENT, "PYTHONPATH": str(checkout)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert FIFTH in finished.stdout
