"""What the documentation tells people to type works, and its links lead somewhere."""

import argparse
import importlib
import importlib.util
import os
import pathlib
import re
import subprocess
import sys

import pytest

from shared import cli
from tests import helpers, pages

# What every `make test` runs; the others train for minutes.
QUICK = ("docs/concepts/networks.md", "docs/concepts/architectures.md")
RUN = sorted(
    path.relative_to(helpers.ROOT).as_posix()
    for path in pages.DOCS.glob("**/*.md")
    if path.parent.name in ("tutorials", "howto", "concepts", "lessons")
)
PRINTED = sorted(
    {
        path
        for pattern in ("*.md", "apps/*/README.md", "data/**/README.md", "docs/**/*.md")
        for path in helpers.ROOT.glob(pattern)
    }
)
PROGRAMS = {app.replace("_", "-"): f"apps.{app}.__main__" for app in helpers.APPS} | {"fieldnets": "apps.__main__"}


@pytest.mark.tensorflow
@pytest.mark.parametrize(
    "page", [pytest.param(page, marks=[] if page in QUICK else [pytest.mark.slow]) for page in RUN]
)
def test_a_page_that_is_typed_from_top_to_bottom_prints_what_it_says(page: str) -> None:
    pages.check(helpers.ROOT / page)


@pytest.mark.parametrize("page", PRINTED, ids=lambda path: path.relative_to(helpers.ROOT).as_posix())
def test_commands_in_documents_have_verbs_and_flags_that_exist(
    page: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli, "run", _parse)
    for block in pages.blocks(page):
        for words in pages.our_commands(block):
            code = importlib.import_module(PROGRAMS[words[0]]).main(words[1:])
            assert code == 0, f"{page}:{block.line}: {' '.join(words)}"


def _parse(parser: argparse.ArgumentParser, argv: list[str]) -> int:
    try:
        parser.parse_args(argv)
    except SystemExit as stopped:
        return int(stopped.code or 0)
    return 0


@pytest.mark.parametrize(
    ("expected", "printed", "same"),
    [
        (["a", "..."], ["a", "b", "c"], True),
        (["...", "c"], ["a", "b", "c"], True),
        (["...", "d"], ["a", "b", "c"], False),
        (["accuracy 0.78, n 320"], ["accuracy 0.80, n 320"], True),
        (["accuracy 0.78, n 320"], ["accuracy 0.40, n 320"], False),
        (["accuracy 0.78, n 320"], ["accuracy 0.78, n 321"], False),
        (["took ... s"], ["took 12.3 s"], True),
        (["a"], ["a", "b"], False),
        ([], ["a"], False),
        (["│ x  │"], ["│ x │"], True),
    ],
)
def test_lines_match_up_to_what_a_page_leaves_open(expected: list[str], printed: list[str], same: bool) -> None:
    assert pages.matches(expected, printed) is same


def test_a_page_that_says_what_does_not_happen_is_found(tmp_path: pathlib.Path) -> None:
    fence = "```"
    for text in (
        f"{fence}console\n$ echo right\nwrong\n{fence}\n",
        f"{fence}console\n$ false\n{fence}\n",
        f"{fence}console\n$ exit 3\n[exit code 2]\n{fence}\n",
        f'{fence}python\nprint(1)\n{fence}\n\n{fence}text title="prints"\n2\n{fence}\n',
        f"{fence}python\nraise ValueError\n{fence}\n",
    ):
        (tmp_path / "page.md").write_text(text)
        with pytest.raises(pages.PageError):
            pages.check(tmp_path / "page.md")
    (tmp_path / "page.md").write_text(
        f'{fence}csv title="a.csv"\nx\n1\n{fence}\n\n'
        f"{fence}console\n$ cat a.csv\nx\n1\n$ exit 3\n[exit code 3]\n{fence}\n"
    )
    pages.check(tmp_path / "page.md")


def test_the_site_is_built_offline_and_its_links_lead_somewhere(tmp_path: pathlib.Path) -> None:
    pytest.importorskip("mkdocs")
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--site-dir", str(tmp_path / "site")]
    environment = {
        **os.environ,
        "NO_MKDOCS_2_WARNING": "1",
        "http_proxy": "http://127.0.0.1:9",
        "https_proxy": "http://127.0.0.1:9",
    }
    finished = subprocess.run(command, cwd=helpers.ROOT, env=environment, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    front = (tmp_path / "site" / "index.html").read_text("utf-8")
    fetched = re.findall(r"(?:src|href)=\"(https?://[^\"]+\.(?:js|css|woff2?)[^\"]*)\"", front)
    assert not fetched
