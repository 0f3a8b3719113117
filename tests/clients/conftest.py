"""A server on a socket, with functions in place of models, and what real clients need to ask it."""

import contextlib
import os
import pathlib
import shutil
import subprocess
from collections.abc import Callable, Iterator

import pytest

from tests import helpers
from tests.shared import servers, stand_in

FOLDER = pathlib.Path(__file__).parent
# Set by .ci/clients: there, what is missing is a failure.
REQUIRED = "FIELDNETS_CLIENTS_REQUIRED"
ENVIRONMENT = helpers.ROOT / ".venv-clients"
Run = Callable[..., str]


def missing(what: str) -> None:
    """Skip a test with a reason, or fail it where everything must be there."""
    if os.environ.get(REQUIRED):
        pytest.fail(f"{what} is missing")
    pytest.skip(f"{what} is missing: .ci/clients sets it up and runs these tests")


@contextlib.contextmanager
def serving(repository: pathlib.Path, *names: str) -> Iterator[str]:
    """Serve models of functions; give the server's address."""
    with stand_in.installed():
        for name in names:
            stand_in.write(repository, name, "1", stand_in.GOLDEN[name])
        with servers.listening(repository) as (_, port):
            yield f"http://127.0.0.1:{port}"


@pytest.fixture(scope="session")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(tmp_path_factory.mktemp("repository"), "words", "files") as found:
        yield found


@pytest.fixture(scope="session")
def of_words(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server of one model: which of two a path means, a description cannot say of a body."""
    with serving(tmp_path_factory.mktemp("words"), "words") as found:
        yield found


@pytest.fixture(scope="session")
def run() -> Run:
    """Run a program and return what it prints."""

    def call(program: str, *arguments: str, accepted: tuple[int, ...] = (0,)) -> str:
        if shutil.which(program) is None:
            missing(program)
        done = subprocess.run(
            [program, *arguments], capture_output=True, text=True, timeout=60, check=False, cwd=FOLDER
        )
        assert done.returncode in accepted, done.stdout + done.stderr
        return done.stdout

    return call


@pytest.fixture(scope="session")
def python(run: Run) -> Run:
    """Run a script of this folder with the Python that has the clients, and without this project."""

    def call(script: str, *arguments: str) -> str:
        return run(str(ENVIRONMENT / "bin" / "python"), "-P", script, *arguments)

    return call
