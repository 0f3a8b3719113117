"""Take the picture of a served page that the README shows: a picture is asked, and its heat map laid over it.

``medical-imaging serve --model-dir bundles/medical_imaging --port 8501`` in another terminal, then
``python docs/pictures/page.py http://127.0.0.1:8501/ docs/pictures/page.png``; needs playwright and Debian's Chromium.
"""

import sys

from playwright import sync_api

_WIDTH, _HEIGHT = 1_200, 900
_MINUTE = 60_000


def take(address: str, output: str) -> None:
    """Ask the page with its example and write what it shows as PNG."""
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": _WIDTH, "height": _HEIGHT}, color_scheme="light")
        page.set_default_timeout(_MINUTE)
        page.goto(address)
        page.get_by_role("button", name="Try the example").click()
        page.get_by_role("button", name="Show where the model looked").click()
        page.get_by_label("Heat map opacity").wait_for()
        page.evaluate("scrollTo(0, 0)")
        page.screenshot(path=output)
        browser.close()


if __name__ == "__main__":
    take(*sys.argv[1:])
