"""What all tests share: deterministic property tests, quiet logs, the real command line, and a real browser."""

import os
import pathlib
import shutil
from collections.abc import Iterator
from typing import Any

import hypothesis
import pytest

from shared.training import runtime
from tests import helpers

# Files whose tests take minutes.
MINUTES = ("test_app_run.py", "test_engines.py", "test_sources_run.py", "test_installed.py", "test_server_hostile.py")

# As `runtime.quiet_logs` sets them: a test may import TensorFlow first.
for name, value in runtime.DEFAULTS.items():
    os.environ.setdefault(name, value)

# Derandomised: a property that holds today holds tomorrow. No deadline: this machine may be busy.
hypothesis.settings.register_profile(
    "fieldnets",
    deadline=None,
    derandomize=True,
    database=None,
    max_examples=50,
    # tmp_path is made once for all examples of a property; files in it are replaced by each.
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture, hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("fieldnets")


def pytest_ignore_collect(collection_path: pathlib.Path, config: pytest.Config) -> bool | None:
    """Spare `make check` the import of TensorFlow (5 seconds): a file marked as a whole is not even read."""
    if collection_path.suffix != ".py" or "not tensorflow" not in config.option.markexpr:
        return None
    return "\npytestmark = pytest.mark.tensorflow\n" in collection_path.read_text("utf-8") or None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is slow of some apps, and begin with what takes minutes, so that no worker ends with it alone."""
    for item in items:
        marker = item.get_closest_marker("slow_but_of")
        if marker is not None and isinstance(item, pytest.Function) and item.callspec.params["app"] not in marker.args:
            item.add_marker(pytest.mark.slow)
    items.sort(key=lambda item: MINUTES.index(item.path.name) if item.path.name in MINUTES else len(MINUTES))


@pytest.fixture(scope="session")
def shared_runs(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A folder that all test workers share, for ``helpers.smoke_run``."""
    folder = tmp_path_factory.getbasetemp()
    return (folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder) / "shared_runs"


@pytest.fixture(scope="session")
def root() -> pathlib.Path:
    return helpers.ROOT


@pytest.fixture(scope="session")
def environment() -> dict[str, str]:
    """The environment of a child process that finds this checkout from any folder."""
    return helpers.ENVIRONMENT


@pytest.fixture(scope="module")
def command_line(tmp_path_factory: pytest.TempPathFactory) -> helpers.CommandLine:
    """The real command line, in an empty folder."""
    return helpers.CommandLine(tmp_path_factory.mktemp("command_line"))


# Of a module: while Playwright runs, no other test of this process can start an event loop.
@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("no chromium on this machine")
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield opened
        opened.close()


class Opener:
    """Opens pages; what their consoles say is kept, and what they ask of other hosts."""

    def __init__(self, chromium: Any) -> None:
        self._chromium = chromium
        self.said: list[str] = []
        self.pages: list[Any] = []

    def __call__(self, address: str, *, model: str | None = None, **options: Any) -> Any:
        page = self._chromium.new_context(accept_downloads=True, **options).new_page()
        page.set_default_timeout(15_000)
        page.on("console", lambda said: self.said.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: self.said.append(str(error)))
        page.on("request", lambda asked: self._heard(asked.url, address))
        page.goto(address)
        if model is not None:
            page.get_by_label("Model", exact=True).select_option(model)
        self.pages.append(page)
        return page

    def _heard(self, url: str, address: str) -> None:
        if url.startswith("http") and not url.startswith(address):
            self.said.append(f"asked another host: {url}")


@pytest.fixture
def open_page(chromium: Any, request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> Iterator[Opener]:
    """Open pages; keep a screenshot of each, and fail where a script did or the policy was broken."""
    opener = Opener(chromium)
    yield opener
    folder = pathlib.Path(os.environ.get("FIELDNETS_SCREENSHOTS", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    for place, page in enumerate(opener.pages):
        page.screenshot(path=folder / f"{request.node.name[5:80]}_{place}.png", full_page=True)
        page.context.close()
    # Chromium reports each refusal and lost connection; those are what some tests are about.
    assert [text for text in opener.said if "Failed to load resource" not in text] == []
