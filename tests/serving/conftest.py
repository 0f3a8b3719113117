"""One Chromium for all tests of the page, and a page that fails a test where the console shows an error."""

import os
import pathlib
import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from tests.serving import fake


# Of a module, as another module in this process may start a Playwright of its own.
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


@pytest.fixture(scope="session")
def server() -> Iterator[fake.Server]:
    with fake.serving() as started:
        yield started


class Opener:
    """Opens pages; what their consoles say is kept."""

    def __init__(self, chromium: Any) -> None:
        self._chromium = chromium
        self.said: list[str] = []
        self.pages: list[Any] = []

    def __call__(self, address: str, *, model: str | None = None, **options: Any) -> Any:
        page = self._chromium.new_context(accept_downloads=True, **options).new_page()
        page.set_default_timeout(15_000)
        page.on("console", lambda said: self.said.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: self.said.append(str(error)))
        page.goto(address)
        if model is not None:
            page.get_by_label("Model", exact=True).select_option(model)
        self.pages.append(page)
        return page


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
