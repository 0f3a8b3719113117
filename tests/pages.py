"""The documentation's commands and snippets, run as a reader types them.

A page is run from top to bottom in a folder of its own. Its code blocks are:

- ``console``: lines that begin with ``$`` are commands, the lines after each what it prints to standard output, and
  ``[exit code N]`` where it ends with another than 0; then the last lines printed to standard error count too. ``...``
  stands for anything within a line, alone for any lines. Numbers with decimals may differ by a tenth.
- ``console`` titled "another terminal": the command goes on in the background; the page goes on when the lines stand.
- ``python``: run in one process for each page, one namespace for all blocks; a ``text`` block titled "prints" after it
  is what it prints.
- ``yaml``, ``json``, ``csv`` or ``python`` with a title: that file.

``<!-- not run: why -->`` before a block: its commands of ours are only parsed. ``python -m tests.pages PAGE`` runs a
page and rewrites what its commands print, to be looked at in the diff.
"""

import contextlib
import dataclasses
import json
import math
import os
import pathlib
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator

import markdown_it

from tests import helpers

DOCS = helpers.ROOT / "docs"
FILES = ("yaml", "json", "csv", "python")
BACKGROUND, PRINTS = "another terminal", "prints"
# Runs one line of JSON, which is code, after another, and answers with what it printed.
INTERPRETER = """
import contextlib, io, json, os, sys, traceback
answers, names = os.fdopen(os.dup(1), "w"), {"__name__": "__main__"}
os.dup2(2, 1)
for line in sys.stdin:
    printed, error = io.StringIO(), ""
    with contextlib.redirect_stdout(printed):
        try:
            exec(json.loads(line), names)
        except BaseException:
            error = traceback.format_exc()
    print(json.dumps({"printed": printed.getvalue(), "error": error}), file=answers, flush=True)
"""
TIMEOUT_SECONDS = 900
_NOT_RUN = re.compile(r"<!-- not run: (.+?) -->\s*$", re.DOTALL)
_TITLE = re.compile(r'title="([^"]+)"')
_EXIT = re.compile(r"\[exit code (\d+)\]")
_NUMBER = re.compile(r"-?\d+\.\d+")
_WIDTH = "120"


@dataclasses.dataclass(frozen=True)
class Block:
    """A code block of a page; ``line`` counts from 1 and is that of its first line of content."""

    page: pathlib.Path
    line: int
    language: str
    title: str
    content: str
    not_run: str = ""


@dataclasses.dataclass(frozen=True)
class Command:
    """A command of a console block, what is expected of it, and the line where that begins."""

    text: str
    expected: list[str]
    code: int
    line: int


class PageError(AssertionError):
    """A page says something that does not happen."""


def blocks(page: pathlib.Path) -> list[Block]:
    """Return the fenced code blocks of a page."""
    text = page.read_text("utf-8")
    lines = text.splitlines()
    found = []
    for token in markdown_it.MarkdownIt().parse(text):
        if token.type == "fence" and token.map:
            start = token.map[0]
            language, _, attributes = token.info.strip().partition(" ")
            title, reason = _TITLE.search(attributes), _NOT_RUN.search("\n".join(lines[:start]))
            found.append(
                Block(page, start + 2, language, title[1] if title else "", token.content, reason[1] if reason else "")
            )
    return found


def commands(block: Block) -> list[Command]:
    """Return the commands of a console block; a command goes on after a line that ends in a backslash."""
    found: list[Command] = []
    lines = block.content.splitlines()
    at = 0
    while at < len(lines):
        if not lines[at].startswith("$ "):
            raise PageError(f"{block.page.name}:{block.line + at}: expected a command. Received: {lines[at]!r}")
        text = [lines[at][2:]]
        while text[-1].endswith("\\"):
            at += 1
            text.append(lines[at])
        at, start = at + 1, at + 1
        while at < len(lines) and not lines[at].startswith("$ "):
            at += 1
        printed = lines[start:at]
        code = _EXIT.fullmatch(printed[-1]) if printed else None
        found.append(
            Command("\n".join(text), printed[:-1] if code else printed, int(code[1]) if code else 0, block.line + start)
        )
    return found


def matches(expected: list[str], printed: list[str]) -> bool:
    """Say whether lines are as expected, ``...`` for any lines or any part of one, numbers within a tenth."""
    if not expected:
        return not printed
    if expected[0].strip() == "...":
        return any(matches(expected[1:], printed[skipped:]) for skipped in range(len(printed) + 1))
    return bool(printed) and _line_matches(expected[0], printed[0]) and matches(expected[1:], printed[1:])


def _line_matches(expected: str, printed: str) -> bool:
    pattern, position, numbers = [], 0, []
    for found in re.finditer(rf"\.\.\.|{_NUMBER.pattern}|\s+", expected):
        pattern.append(re.escape(expected[position : found.start()]))
        position = found.end()
        if found[0] == "...":
            pattern.append(".*?")
        elif found[0].isspace():
            pattern.append(r"\s+")
        else:
            pattern.append(f"({_NUMBER.pattern})")
            numbers.append(float(found[0]))
    pattern.append(re.escape(expected[position:]))
    match = re.fullmatch("".join(pattern), printed.rstrip())
    return match is not None and all(
        math.isclose(float(received), number, rel_tol=0.1, abs_tol=0.1)
        for received, number in zip(match.groups(), numbers, strict=True)
    )


class Reader:
    """Somebody who types what a page says: a folder, a namespace for Python, and what runs in another terminal."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        self._background: list[subprocess.Popen[bytes]] = []
        self._interpreter: subprocess.Popen[str] | None = None
        self._printed: list[str] = []
        scripts = pathlib.Path(sys.executable).parent
        self._environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith(("PYTEST", "COV"))},
            "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}",
            "COLUMNS": _WIDTH,
            "TF_CPP_MIN_LOG_LEVEL": "3",
        }

    def read(self, block: Block) -> list[tuple[Command, list[str]]]:
        """Do what a block says; return what its commands printed.

        Raises:
            PageError: Something else happens.
        """
        if block.not_run:
            return []
        if block.title == PRINTS:
            return self._prints(block)
        if block.language in FILES and block.title:
            (self.folder / block.title).write_text(block.content, "utf-8")
            return []
        if block.language == "python":
            return self._python(block)
        if block.language != "console":
            return []
        if block.title == BACKGROUND:
            return self._in_background(block)
        return [(command, self._run(block, command)) for command in commands(block)]

    def _run(self, block: Block, command: Command) -> list[str]:
        finished = self._process(["bash", "-c", command.text])
        if finished.returncode != command.code:
            raise PageError(
                f"{block.page.name}:{command.line - 1}: {command.text}: exit code {finished.returncode}\n"
                f"{finished.stdout}{finished.stderr}"
            )
        return (finished.stdout + (finished.stderr if command.code else "")).rstrip().splitlines()

    def _python(self, block: Block) -> list[tuple[Command, list[str]]]:
        if self._interpreter is None:
            self._interpreter = subprocess.Popen(
                [sys.executable, "-c", INTERPRETER],
                cwd=self.folder,
                env=self._environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        assert self._interpreter.stdin
        assert self._interpreter.stdout
        self._interpreter.stdin.write(json.dumps(block.content) + "\n")
        self._interpreter.stdin.flush()
        answer = json.loads(self._interpreter.stdout.readline())
        if answer["error"]:
            raise PageError(f"{block.page.name}:{block.line}: {answer['error']}")
        self._printed = answer["printed"].rstrip().splitlines()
        return []

    def _prints(self, block: Block) -> list[tuple[Command, list[str]]]:
        command = Command("the Python above", block.content.rstrip().splitlines(), 0, block.line)
        return [(command, self._printed)]

    def _process(self, words: list[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            words,
            cwd=self.folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SECONDS,
        )

    def _in_background(self, block: Block) -> list[tuple[Command, list[str]]]:
        (command,) = commands(block)
        log = self.folder / f".terminal-{len(self._background)}"
        with log.open("wb") as output:
            process = subprocess.Popen(
                ["bash", "-c", command.text],
                cwd=self.folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._background.append(process)
        end = time.monotonic() + helpers.START_SECONDS
        while time.monotonic() < end and process.poll() is None:
            printed = log.read_text("utf-8").splitlines()
            if matches([*command.expected, "..."], printed):
                return []
            time.sleep(0.2)
        raise PageError(f"{block.page.name}:{command.line}: expected {command.expected}. Received:\n{log.read_text()}")

    def leave(self) -> None:
        """End what runs in other terminals."""
        if self._interpreter is not None:
            self._interpreter.communicate()
        for process in self._background:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            process.wait(60)


@contextlib.contextmanager
def reader() -> Iterator[Reader]:
    """Give a reader with an empty folder, whose processes end with it."""
    with tempfile.TemporaryDirectory() as scratch:
        someone = Reader(pathlib.Path(scratch))
        try:
            yield someone
        finally:
            someone.leave()


def check(page: pathlib.Path) -> None:
    """Run a page and compare what its commands print.

    Raises:
        PageError: A command fails, or prints something else.
    """
    with reader() as someone:
        for block in blocks(page):
            for command, printed in someone.read(block):
                if command.expected and not matches(command.expected, printed):
                    raise PageError(
                        f"{page.name}:{command.line}: {command.text}\nexpected:\n"
                        + "\n".join(command.expected)
                        + "\nreceived:\n"
                        + "\n".join(printed)
                    )


def rewrite(page: pathlib.Path) -> None:
    """Run a page and put what its commands print in place of what stands there, but where that matches."""
    lines = page.read_text("utf-8").splitlines()
    changes = []
    try:
        with reader() as someone:
            for block in blocks(page):
                for command, printed in someone.read(block):
                    if not matches(command.expected, printed):
                        changes.append((command, printed))
    finally:
        for command, printed in reversed(changes):
            start = command.line - 1
            lines[start : start + len(command.expected)] = printed
        page.write_text("\n".join(lines) + "\n", "utf-8")


def our_commands(block: Block) -> list[list[str]]:
    """Return the words of the commands in a block that are ours, without what a shell does around them.

    Lines of blocks in no language count too: commands as a summary shows them; those with ``...`` are left out.
    """
    programs = {app.replace("_", "-") for app in helpers.APPS} | {"fieldnets"}
    found = []
    if block.language in ("", "console", "bash"):
        for line in block.content.replace("\\\n", " ").splitlines():
            if block.language == "console" and not line.startswith("$ "):
                continue
            for piece in re.split(r"[|;&]+", line.removeprefix("$ ")):
                with contextlib.suppress(ValueError):
                    words = shlex.split(piece, comments=True)
                    while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
                        words = words[1:]
                    program = words[0].removeprefix(".venv/bin/") if words else ""
                    if program in programs and "..." not in words:
                        end = next((at for at, word in enumerate(words) if word in (">", ">>", "<")), len(words))
                        found.append([program, *words[1:end]])
    return found


if __name__ == "__main__":
    for name in sys.argv[1:]:
        rewrite(pathlib.Path(name))
