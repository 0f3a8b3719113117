"""The page in a real browser, against recorded answers: every kind of input, every kind of fault, keys and widths."""

import pathlib
from typing import Any

import cv2
import numpy as np
import pytest

from tests.serving import fake, recorded

pytestmark = [pytest.mark.browser, pytest.mark.slow]
FOLDER = pathlib.Path(__file__).parent
KINDS = ["chest", "findings", "road", "sentiment", "fraud"]


def written(path: pathlib.Path, content: bytes | str) -> pathlib.Path:
    path.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
    return path


def picture(folder: pathlib.Path, name: str = "a.png", *, image: Any = None) -> pathlib.Path:
    return written(folder / name, recorded.png(recorded.radiograph() if image is None else image))


def give(page: Any, *paths: pathlib.Path) -> None:
    page.locator("input[type=file]").set_input_files(list(paths))


def test_a_picture_gets_a_decision_with_the_threshold_on_the_bar_of_its_class(open_page, server, tmp_path):
    page = open_page(server.address, model="chest")
    give(page, picture(tmp_path, image=np.full((40, 40), 20, np.uint8)))
    assert page.locator(".decision").inner_text() == "Opacity"
    bars = page.locator(".bar")
    assert bars.nth(1).inner_text().split("\n") == ["Opacity", "0.922", "answered from 0.512"]
    assert bars.nth(0).locator(".bar-mark").count() == 0
    assert bars.nth(1).locator(".bar-mark").evaluate("mark => mark.style.left") == "51.2%"
    assert page.get_by_alt_text("Your picture a.png").evaluate("image => image.naturalWidth") == 40
    assert "Decision: Opacity" in page.get_by_role("status").inner_text()


def test_an_abstention_is_explained_in_one_sentence(open_page, server, tmp_path):
    page = open_page(server.address, model="chest")
    give(page, picture(tmp_path, image=np.full((40, 40), 150, np.uint8)))
    assert page.locator(".decision").inner_text() == "No decision"
    said = page.locator(".answer .sentence").inner_text()
    assert "accepted miss rate of 5\u00a0%" in said
    assert said.endswith("the threshold 0.512.")


def test_several_files_are_answered_one_after_another_and_a_bad_one_stops_none(open_page, server, tmp_path):
    page = open_page(server.address, model="chest")
    give(page, picture(tmp_path), written(tmp_path / "b.png", b"no image"), picture(tmp_path, "c.png"))
    items = page.locator(".item")
    items.nth(2).locator(".decision").wait_for()
    assert items.nth(1).get_by_role("alert").inner_text() == "b.png: This is not an image that can be read."
    assert [items.nth(i).locator(".decision").count() for i in range(3)] == [1, 0, 1]


def test_a_dropped_file_is_asked_like_a_chosen_one(open_page, server):
    page = open_page(server.address, model="chest")
    page.evaluate(
        """() => {
          const given = new DataTransfer();
          given.items.add(new File(["no image"], "dropped.png", { type: "image/png" }));
          document.querySelector(".drop").dispatchEvent(new DragEvent("drop", { dataTransfer: given, bubbles: true }));
        }"""
    )
    page.get_by_role("heading", name="dropped.png").wait_for()
    page.get_by_text("This is not an image that can be read.").wait_for()


def test_a_score_below_the_threshold_is_called_so_and_not_most_probable(open_page, server, tmp_path):
    """Planted: the threshold 0.512 lies above a half, so that the class of the higher score is not the answer."""
    page = open_page(server.address, model="chest")
    give(page, picture(tmp_path, image=np.full((40, 40), 150, np.uint8)))
    said = page.locator(".answer .sentence").inner_text()
    assert "below the threshold 0.512" in said or "at or above the threshold 0.512" in said
    assert "Most probable" not in said


def test_a_result_goes_when_the_next_question_is_refused(open_page, server):
    page = open_page(server.address, model="sentiment")
    page.get_by_label("Text, or several texts, one on each line").fill("Fine.")
    page.get_by_role("button", name="Ask", exact=True).click()
    page.locator(".decision").wait_for()
    page.get_by_label("Text, or several texts, one on each line").fill(" ")
    page.get_by_role("button", name="Ask", exact=True).click()
    assert page.locator(".alert").first.is_visible() or page.get_by_text("Write a text first.").is_visible()
    assert page.locator(".decision").count() == 0


def test_ask_with_a_csv_open_and_no_text_asks_for_the_file(open_page, server, tmp_path):
    page = open_page(server.address, model="sentiment")
    give(page, written(tmp_path / "a.csv", "text\nFine.\nBad.\n"))
    page.get_by_role("button", name="Ask for the file").wait_for()
    page.get_by_role("button", name="Ask", exact=True).click()
    page.get_by_role("heading", name="Result").wait_for()
    assert not page.get_by_text("Write a text first.").is_visible()


def test_a_dicom_file_is_said_to_be_one(open_page, server, tmp_path):
    page = open_page(server.address, model="chest")
    give(page, written(tmp_path / "a.dcm", b"\0" * 128 + b"DICM" + b"\0" * 40))
    assert "This is DICOM" in page.get_by_role("alert").last.inner_text()


def test_the_operations_are_shown_with_curl_and_can_be_tried(open_page, server):
    page = open_page(server.address)
    page.goto(server.address + "docs")
    page.get_by_text("/v1/models/{name}:predict").click()
    operation = page.locator(".operation[open]")
    assert "curl -X POST" in operation.locator("pre").first.inner_text()
    assert "/v1/models/sentiment:predict" in operation.locator("pre").first.inner_text()
    operation.locator("textarea").fill('{"instances": [{"text": "Fine."}]}')
    operation.get_by_role("button", name="Try it").click()
    page.locator("pre[aria-label=Answer]:not([hidden])").wait_for()
    assert page.locator("pre[aria-label=Answer]:not([hidden])").inner_text().startswith("200")


def test_findings_have_a_threshold_each(open_page, server, tmp_path):
    page = open_page(server.address, model="findings")
    give(page, picture(tmp_path))
    assert page.locator(".decision").inner_text() == "Effusion, Mass"
    assert page.locator(".bar-note").all_inner_texts() == [
        f"answered from {value}" for value in ("0.300", "0.500", "0.080")
    ]
    assert page.locator(".bar.chosen .bar-name").all_inner_texts() == ["Effusion", "Mass"]


def test_the_heat_map_has_a_slider_and_a_legend(open_page, server):
    page = open_page(server.address, model="chest")
    page.get_by_role("button", name="Try the example").click()
    page.get_by_role("button", name="Show where the model looked").click()
    slider = page.get_by_label("Heat map opacity")
    slider.fill("25")
    assert page.locator("canvas.heat").evaluate("canvas => canvas.style.opacity") == "0.25"
    page.get_by_text("What mattered for “opacity”").wait_for()
    red, _, _, alpha = page.locator("canvas.heat").evaluate(
        "canvas => [...canvas.getContext('2d').getImageData(2, 5, 1, 1).data]"
    )
    assert (red, alpha) == (252, 255), "the hottest place is the brightest"


@pytest.mark.parametrize("width", [480, 960])
def test_boxes_lie_where_the_objects_are_at_any_size(open_page, server, tmp_path, width):
    page = open_page(server.address, model="road")
    give(page, picture(tmp_path, image=cv2.resize(recorded.road(), (width, width * 9 // 16))))
    page.locator(".box").nth(1).wait_for()
    frame, box = page.locator(".frame").bounding_box(), page.locator(".box").first.bounding_box()
    expected = [frame["x"] + frame["width"] * 200 / 480, frame["y"] + frame["height"] * 130 / 270]
    assert [box["x"], box["y"]] == pytest.approx(expected, abs=1.5)
    assert box["width"] / frame["width"] == pytest.approx(100 / 480, abs=0.005)
    assert page.locator(".box-label").all_inner_texts() == ["1 car 0.934", "2"]
    assert page.locator(".answer tbody tr").all_inner_texts() == ["1\tCar\t0.934", "2\tPerson\t0.510"]
    assert page.locator(".decision").inner_text() == "Obstacle ahead"


def test_a_turned_photograph_is_shown_as_its_pixels_are_stored(open_page, server, tmp_path):
    plain = cv2.imencode(".jpg", recorded.road())[1].tobytes()
    # Exif with one entry: orientation 6, a quarter turn.
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    turned = plain[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + plain[2:]
    page = open_page(server.address, model="road")
    give(page, written(tmp_path / "turned.jpg", turned))
    page.locator(".box").nth(1).wait_for()
    frame, box = page.locator(".frame").bounding_box(), page.locator(".box").first.bounding_box()
    assert frame["width"] / frame["height"] == pytest.approx(480 / 270, abs=0.02)
    assert box["width"] / frame["width"] == pytest.approx(100 / 480, abs=0.005)


def clip_file(path: pathlib.Path, seconds: float) -> pathlib.Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"VP80"), 10, (480, 270))
    if not writer.isOpened():
        pytest.skip("this OpenCV writes no clip that a browser plays")
    for index in range(round(seconds * 10)):
        writer.write(cv2.subtract(recorded.road(), np.full((270, 480, 3), index, np.uint8)))
    writer.release()
    return path


def test_a_clip_is_asked_frame_by_frame_and_can_be_stepped_through(open_page, server, tmp_path):
    page = open_page(server.address, model="road")
    server.asked.clear()
    give(page, clip_file(tmp_path / "drive.webm", 1.6))
    page.locator("main").get_by_text("8 frames: 8 obstacle ahead.").wait_for()
    assert len(server.asked) == 8
    assert page.locator(".thumb").count() == 8
    page.get_by_role("button", name="Previous frame").click()
    page.get_by_text("Frame 7 at 1.2 seconds, 7 of 8").wait_for()
    page.get_by_role("button", name="Frame 2, 0.200 seconds: Obstacle ahead").click()
    page.get_by_alt_text("Frame 2 at 0.2 seconds").wait_for()
    assert page.locator(".box").count() == 2


def test_what_is_no_clip_gets_one_sentence(open_page, server, tmp_path):
    page = open_page(server.address, model="road")
    give(page, written(tmp_path / "no.webm", b"no clip"))
    page.locator("main").get_by_text("no.webm: This is not a clip that the browser can play.").wait_for()


def test_one_text_has_its_words_marked_by_colour_underline_and_number(open_page, server):
    page = open_page(server.address, model="sentiment")
    page.get_by_label("Text, or several texts").fill("Great but dull terrible film.")
    page.get_by_role("button", name="Ask", exact=True).click()
    assert page.locator(".decision").inner_text() == "Negative"
    page.locator(".tokens").wait_for()
    assert page.locator(".tokens .for").all_inner_texts() == ["Great"]
    assert page.locator(".tokens .against").all_inner_texts() == ["but", "dull", "terrible"]
    assert page.locator(".tokens .for").get_attribute("title") == "+1.400"
    styles = [page.locator(f".tokens .{kind}").first.evaluate("word => getComputedStyle(word).textDecorationStyle")
              for kind in ("for", "against")]  # fmt: skip
    assert styles == ["solid", "wavy"]


def test_texts_one_a_line_become_a_table_that_can_be_downloaded(open_page, server):
    page = open_page(server.address, model="sentiment")
    page.get_by_label("Text, or several texts").fill('Great, "really".\n\nDull film.\nterrible')
    assert page.get_by_label("Each of the 3 lines is a text of its own").is_checked()
    page.get_by_role("button", name="Ask", exact=True).click()
    page.locator("main").get_by_text("3 rows: 2 negative, 1 positive.").wait_for()
    with page.expect_download() as caught:
        page.get_by_role("button", name="Download as CSV").click()
    lines = pathlib.Path(caught.value.path()).read_text("utf-8").splitlines()
    assert lines[0] == "text,decision,score_negative,score_positive"
    assert lines[1].startswith('"Great, ""really"".",positive,0.19')
    assert len(lines) == 4


def test_lines_can_be_one_text(open_page, server):
    page = open_page(server.address, model="sentiment")
    server.asked.clear()
    page.get_by_label("Text, or several texts").fill("Great.\nDull.")
    page.get_by_label("Each of the 2 lines").uncheck()
    page.get_by_role("button", name="Ask", exact=True).click()
    page.locator(".decision").wait_for()
    assert server.asked[0][1]["instances"] == [{"text": "Great.\nDull."}]


def test_the_column_of_a_csv_file_is_chosen_and_many_rows_go_in_parts(open_page, server, tmp_path):
    rows = "".join(f'{number};"great ; {number}\nfilm"\r\n' for number in range(150))
    page = open_page(server.address, model="sentiment")
    server.asked.clear()
    give(page, written(tmp_path / "reviews.csv", "\ufeffid;review\r\n" + rows))
    column = page.get_by_label("Column of reviews.csv that holds the texts")
    assert column.evaluate("select => select.selectedOptions[0].text") == "review"
    page.get_by_role("button", name="Ask for the file").click()
    page.locator("main").get_by_text("150 rows: 150 positive.").wait_for()
    assert [len(content["instances"]) for _, content in server.asked] == [64, 64, 22]
    assert server.asked[0][1]["instances"][1] == {"text": "great ; 1\nfilm"}


def test_a_file_that_is_no_text_gets_one_sentence(open_page, server, tmp_path):
    page = open_page(server.address, model="sentiment")
    give(page, picture(tmp_path, "review.txt"))
    page.get_by_role("alert").filter(has_text="review.txt is not a text file in UTF-8.").wait_for()


def test_a_row_is_filled_in_and_answered_with_reasons_in_words(open_page, server):
    page = open_page(server.address, model="fraud")
    server.asked.clear()
    assert page.get_by_label("Amount", exact=True).input_value() == "91.3"
    page.get_by_role("button", name="Ask", exact=True).click()
    assert page.locator(".decision").inner_text() == "Fraud"
    assert page.locator(".bar").inner_text().split("\n") == ["Fraud", "0.091", "answered from 0.083"]
    assert page.locator(".reasons li").all_inner_texts() == ["Amount", "Time of day"]
    assert server.asked[0][1]["instances"] == [recorded.ROW]


def test_an_empty_number_is_missing_and_a_bad_list_is_named_where_it_is(open_page, server):
    page = open_page(server.address, model="fraud")
    server.asked.clear()
    page.get_by_label("Amount", exact=True).fill("")
    page.get_by_role("button", name="Ask", exact=True).click()
    assert page.locator(".decision").inner_text() == "Genuine"
    assert server.asked[0][1]["instances"][0]["amount"] is None
    page.get_by_text("History (1)").click()
    page.get_by_label("Sequence").fill("[[1, 2")
    page.get_by_role("button", name="Ask", exact=True).click()
    page.get_by_text("Sequence: expected a list in JSON").wait_for()
    assert page.get_by_label("Sequence").get_attribute("aria-invalid") == "true"
    assert page.evaluate("document.activeElement.name") == "sequence"


def test_rows_of_a_file_become_a_table_and_a_wrong_one_is_named(open_page, server, tmp_path):
    names = list(recorded.ROW)
    line = [str(recorded.ROW[name]) for name in names[:-1]] + ['"[[1, 2, 3], [4, 5, 6]]"']
    table = [",".join(names), ",".join(line), ",".join(["900", *line[1:]])]
    page = open_page(server.address, model="fraud")
    give(page, written(tmp_path / "rows.csv", "\n".join(table)))
    page.locator("main").get_by_text("2 rows: 2 fraud.").wait_for()
    assert page.locator(".work tbody tr").nth(1).inner_text() == "2\tFraud\t0.900\tamount, time of day"
    give(page, written(tmp_path / "bad.csv", "\n".join([*table[:2], ",".join(["much", *line[1:]])])))
    page.get_by_text(
        "bad.csv, row 2, amount: expected a number, or nothing where it is missing. Received: much."
    ).wait_for()
    give(page, written(tmp_path / "few.csv", "amount\n3\n"))
    page.get_by_text("few.csv, row 1: expected the columns of the form. Missing: time, channel").wait_for()


def test_the_panels_say_what_the_model_is_for_how_good_it_is_and_whether_there_is_drift(open_page, server):
    page = open_page(server.address, model="chest")
    page.get_by_text("Synthetic data.").wait_for()
    page.get_by_text("Diagnosis, triage or any decision about a patient.").wait_for()
    assert page.locator(".facts").inner_text().split("\n")[:3] == [
        "AUROC",
        "0.913",
        "interval 0.887 to 0.936, on 412 test rows",
    ]
    page.locator("main").get_by_text("Drift in 1 of 2 columns, seen in 412 rows.").wait_for()
    assert page.locator(".aside tbody tr").first.inner_text() == "mean grey\t0.812\t0.200\t▲ drift"
    page.get_by_role("button", name="Refresh drift").click()
    page.get_by_text("Model card").click()
    page.get_by_role("heading", name="Model details", level=4).wait_for()
    page.get_by_label("Model", exact=True).select_option("road")
    page.locator("main").get_by_text("Too few rows yet: 12 of 200.").wait_for()
    page.get_by_label("Model", exact=True).select_option("sentiment")
    page.locator("main").get_by_text("No drift in 300 rows.").wait_for()


def test_an_older_version_is_asked_where_it_is_chosen(open_page, server, tmp_path):
    page = open_page(server.address, model="chest")
    server.asked.clear()
    page.get_by_label("Version").select_option("2")
    give(page, picture(tmp_path))
    page.locator(".item .answer").wait_for()
    assert server.asked[0][0] == "/prefix/v1/models/chest/versions/2:predict"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("busy", "The server has too much to do at the moment. Try again in 3 s."),
        ("unavailable", "The model cannot answer at the moment. Try again in 1 s."),
        ("slow", "The answer took too long. Try again in 5 s."),
    ],
)
def test_a_refusal_is_one_sentence_that_says_when_to_try_again(open_page, server, text, sentence):
    page = open_page(server.address, model="sentiment")
    page.get_by_label("Text, or several texts").fill(text)
    page.get_by_role("button", name="Ask", exact=True).click()
    page.get_by_role("alert").filter(has_text=sentence).wait_for()


def test_a_file_that_is_too_large_gets_the_servers_reason(open_page, server, tmp_path):
    page = open_page(server.address, model="chest")
    give(page, written(tmp_path / "huge.png", bytes(fake.LARGEST_BODY)))
    page.get_by_text(
        "huge.png: This is larger than the server accepts: expected a body of at most 3000000 bytes"
    ).wait_for()


def test_a_server_that_went_away_gets_one_sentence(open_page, server):
    page = open_page(server.address, model="sentiment")
    page.get_by_label("Text, or several texts").fill("Great")
    page.context.set_offline(True)
    page.get_by_role("button", name="Ask", exact=True).click()
    page.get_by_text("The server cannot be reached. Check the connection, then try again.").wait_for()


def test_a_token_is_asked_for_refused_and_kept_in_the_tab_only(open_page):
    with fake.serving(token="right") as server:
        page = open_page(server.address)
        field = page.get_by_label("Access token")
        field.wait_for()
        assert page.evaluate("document.activeElement.id") == "token"
        field.fill("wrong")
        page.keyboard.press("Enter")
        page.get_by_text("The server does not accept this token.").wait_for()
        field.fill("right")
        page.keyboard.press("Enter")
        page.get_by_role("heading", name="Chest X-rays").wait_for()
        assert page.evaluate("[localStorage.length, document.cookie, sessionStorage.length]") == [0, "", 1]
        page.get_by_role("button", name="Try the example").click()
        page.locator(".item .answer").wait_for()


def test_every_step_can_be_done_with_the_keyboard_alone(open_page, server):
    page = open_page(server.address, model="sentiment")
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    page.keyboard.press("Tab")
    page.keyboard.type("Great film")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.locator(".decision").wait_for()
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid", "focus is visible"


def test_the_file_button_is_in_the_order_of_focus_and_shows_it(open_page, server):
    page = open_page(server.address, model="chest")
    for _ in range(20):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.type") == "file":
            break
    assert page.evaluate("getComputedStyle(document.activeElement.nextElementSibling).outlineStyle") == "solid"


CHECK = (FOLDER / "structure.js").read_text("utf-8")
SOUND = {"unlabelled": [], "imagesWithoutAlt": 0, "namelessButtons": 0, "doubleIds": [], "skippedLevels": [],
         "firstHeadings": 1, "language": "en"}  # fmt: skip
CONTRAST = (FOLDER / "contrast.js").read_text("utf-8")


def ask_example(page: Any, model: str) -> None:
    if model in ("chest", "findings", "road"):
        page.get_by_role("button", name="Try the example").click()
    elif model == "sentiment":
        page.get_by_label("Text, or several texts").fill("A great and wonderful film, but a slow, dull end.")
        page.get_by_role("button", name="Ask", exact=True).click()
        page.locator(".tokens").wait_for()
    else:
        page.get_by_role("button", name="Ask", exact=True).click()
    page.locator(".answer .decision").wait_for()
    page.get_by_text("Model card").click()
    page.locator(".model-card p").wait_for()


@pytest.mark.parametrize("model", KINDS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_labels_alternatives_headings_and_contrast_are_sound(open_page, server, model, scheme):
    page = open_page(server.address, model=model, color_scheme=scheme, viewport={"width": 1280, "height": 900})
    ask_example(page, model)
    assert page.evaluate(CHECK) == SOUND
    assert page.evaluate(CONTRAST) == []


@pytest.mark.parametrize("model", KINDS)
def test_nothing_needs_sideways_scrolling_on_a_phone(open_page, server, model):
    page = open_page(server.address, model=model, viewport={"width": 360, "height": 740}, has_touch=True)
    ask_example(page, model)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_no_data_becomes_markup(open_page, server):
    page = open_page(server.address, model="sentiment")
    page.get_by_label("Text, or several texts").fill("<img src=x> great\n<b>dull</b>")
    page.get_by_role("button", name="Ask", exact=True).click()
    page.locator("main").get_by_text("2 rows").wait_for()
    assert page.locator(".work th.cut").all_inner_texts() == ["<img src=x> great", "<b>dull</b>"]
    assert page.locator(".work b, .work table img").count() == 0
