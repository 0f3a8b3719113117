"""The page in a real browser: ask with each kind of input, see the answer, see what is wrong with a bad file."""

import pathlib
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
import PIL.Image
import pytest

from shared import errors
from shared.serving import foreign
from tests.shared import servers

pytestmark = [pytest.mark.browser, pytest.mark.tensorflow]
MODELS = ("boxes", "columns", "picture", "tiny")


def opened(_bundle: Any, content: bytes, most_pixels: int) -> foreign.Image:
    """Take what stands behind the preamble for the file itself."""
    assert most_pixels
    if len(content) < 200:
        raise errors.InputError("expected DICOM with pixel data. Received: SR without any")
    return foreign.Image(file=content[132:], preview=content[132:])


@pytest.fixture(scope="module")
def address(
    bundle_path: pathlib.Path, columns_path: pathlib.Path, picture_path: pathlib.Path, boxes_path: pathlib.Path
) -> Iterator[str]:
    reader = foreign.Reader(kind="dicom", read=opened)
    with servers.listening(boxes_path, columns_path, picture_path, bundle_path, reader=reader) as (_, port):
        yield f"http://127.0.0.1:{port}/"


@pytest.fixture
def page(open_page: Any, address: str) -> Any:
    return open_page(address, viewport={"width": 900, "height": 1000})


def choose(page: Any, model: str) -> None:
    page.get_by_label("Model", exact=True).select_option(model)


def give(page: Any, *paths: pathlib.Path) -> None:
    page.locator("input[type=file]").first.set_input_files(list(paths))


def image(path: pathlib.Path, grey: int, side: int = 64) -> pathlib.Path:
    PIL.Image.fromarray(np.full((side, side), grey, np.uint8)).save(path)
    return path


def test_an_image_gets_its_decision_with_threshold_and_heat_map(page: Any, tmp_path: pathlib.Path) -> None:
    choose(page, "picture")
    page.get_by_role("heading", name="Bright or dark", level=1).wait_for()
    give(page, image(tmp_path / "a.png", 250), image(tmp_path / "b.png", 128))
    decisions = page.locator(".decision")
    decisions.nth(1).wait_for()
    assert decisions.nth(0).inner_text() == "Bright"
    assert decisions.nth(1).inner_text() == "No decision"
    first = page.locator(".item").nth(0)
    assert "0.98" in first.inner_text()
    assert "answered from 0.5" in first.inner_text()
    first.get_by_role("button", name="Show where the model looked").click()
    first.get_by_label("Heat map opacity").wait_for()
    assert "bright" in first.inner_text()


def test_a_dicom_file_is_read_by_the_server_shown_and_answered_or_refused_with_the_reason(
    page: Any, tmp_path: pathlib.Path
) -> None:
    choose(page, "picture")
    content = image(tmp_path / "a.png", 250).read_bytes()
    (tmp_path / "a.dcm").write_bytes(b"\0" * 128 + b"DICM" + content)
    (tmp_path / "b.dcm").write_bytes(b"\0" * 128 + b"DICM")
    give(page, tmp_path / "a.dcm", tmp_path / "b.dcm")
    page.get_by_role("alert").filter(has_text="b.dcm: ").wait_for()
    assert "SR without any" in page.get_by_role("alert").last.inner_text()
    assert page.locator(".decision").inner_text() == "Bright"
    assert page.get_by_alt_text("Your picture a.dcm").evaluate("image => image.naturalWidth") == 64
    assert "as the model reads it" in page.locator(".item").nth(0).inner_text()


def test_a_file_that_is_no_image_is_said_in_one_sentence(page: Any, tmp_path: pathlib.Path) -> None:
    choose(page, "picture")
    (tmp_path / "notes.png").write_text("not an image")
    give(page, tmp_path / "notes.png")
    page.get_by_role("alert").filter(has_text="not an image that can be read").wait_for()
    assert page.locator(".decision").count() == 0


def test_boxes_are_listed_and_drawn(page: Any, tmp_path: pathlib.Path) -> None:
    choose(page, "boxes")
    page.get_by_text("synthetic").first.wait_for()
    give(page, image(tmp_path / "road.png", 90))
    page.locator(".decision").wait_for()
    assert page.locator(".decision").inner_text() == "Obstacle ahead"
    assert page.get_by_role("cell", name="Car").count() == 1


def test_a_clip_is_looked_at_frame_by_frame(page: Any, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "clip.webm"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"VP80"), 10, (64, 64))
    if not writer.isOpened():
        pytest.skip("OpenCV cannot write webm here")
    for number in range(20):
        writer.write(np.full((64, 64, 3), 10 * number, np.uint8))
    writer.release()
    choose(page, "boxes")
    give(page, path)
    page.get_by_text("Obstacle ahead").nth(3).wait_for(state="attached")


def test_a_text_is_scored_and_several_become_a_table(page: Any) -> None:
    choose(page, "tiny")
    page.locator("textarea").fill("good")
    page.get_by_role("button", name="Ask").click()
    page.locator(".decision").wait_for()
    assert page.locator(".bar").count() == 2
    page.locator("textarea").fill("good\nbad\n<b>né</b>")
    page.get_by_role("button", name="Ask").click()
    page.locator("table").wait_for()
    assert page.locator("tbody tr").count() == 3
    assert "<b>né</b>" in page.locator("table").inner_text()


def test_texts_come_from_a_column_of_a_file(page: Any, tmp_path: pathlib.Path) -> None:
    (tmp_path / "texts.csv").write_text('id,review\n1,"good, really"\n2,bad\n')
    choose(page, "tiny")
    give(page, tmp_path / "texts.csv")
    page.get_by_role("button", name="Ask for the file").click()
    page.locator("table").wait_for()
    assert "good, really" in page.locator("table").inner_text()


def test_a_row_of_columns_is_filled_in_and_a_file_without_one_is_explained(page: Any, tmp_path: pathlib.Path) -> None:
    choose(page, "columns")
    page.get_by_label("amount").fill("21")
    page.get_by_role("button", name="Ask", exact=True).click()
    page.get_by_text("42").first.wait_for()
    (tmp_path / "rows.csv").write_text("amount,shop\n1,a\n")
    give(page, tmp_path / "rows.csv")
    page.get_by_role("alert").filter(has_text="past").wait_for()


def test_card_and_drift_can_be_read(page: Any) -> None:
    choose(page, "columns")
    page.get_by_text("Model card").click()
    page.get_by_role("columnheader", name="a").wait_for()
    page.get_by_role("heading", name="Drift").wait_for()


def test_what_the_server_refuses_is_said_in_words(page: Any) -> None:
    choose(page, "tiny")
    page.locator("textarea").fill("x" * 250_000)
    page.get_by_role("button", name="Ask").click()
    page.get_by_role("alert").filter(has_text="at most 200000 bytes").wait_for()
    page.route("**/v1/**", lambda route: route.abort())
    page.locator("textarea").fill("good")
    page.get_by_role("button", name="Ask").click()
    page.get_by_role("alert").filter(has_text="server").wait_for()


def test_the_keyboard_is_enough(page: Any) -> None:
    choose(page, "tiny")
    page.locator("textarea").focus()
    page.keyboard.type("good")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Ask"
    page.keyboard.press("Enter")
    page.locator(".decision").wait_for()


@pytest.mark.parametrize("model", MODELS)
def test_everything_has_a_name_and_fits_a_phone(page: Any, model: str) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    choose(page, model)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    unnamed = """[...document.querySelectorAll('input, select, textarea')].filter((each) => each.offsetParent
        && !each.labels?.length && !each.ariaLabel).map((each) => each.outerHTML)"""
    assert page.evaluate(unnamed) == []


def test_the_token_is_asked_for_and_kept_for_the_session(open_page: Any, bundle_path: pathlib.Path) -> None:
    with servers.listening(bundle_path, token="secret") as (_, port):
        opened = open_page(f"http://127.0.0.1:{port}/")
        opened.get_by_label("Access token").fill("wrong")
        opened.get_by_role("button", name="Continue").click()
        opened.get_by_role("alert").filter(has_text="does not accept this token").wait_for()
        opened.get_by_label("Access token").fill("secret")
        opened.get_by_role("button", name="Continue").click()
        opened.locator("textarea").fill("good")
        opened.get_by_role("button", name="Ask").click()
        opened.locator(".decision").wait_for()
        opened.reload()
        opened.locator("textarea").wait_for()
