"""The metrics document, and the page: complete, inert, offline, and the same bytes every time."""

import base64
import dataclasses
import hashlib
import html.parser
import json
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared import errors, files
from shared.evaluation import intervals
from shared.report import blocks, document, figures, formatting, metrics, statuses

VOID = {"meta", "link", "br", "img", "use", "path", "rect"}
HOSTILE = "<script>alert(1)</script>\"'><img src=http://evil.example/x onerror=alert(1)>{{ 7 * 7 }}{% raw %}&amp;"


def interval(value, margin=0.01):
    return intervals.Interval(value, value - margin, value + margin)


def metrics_document(**changes):
    content = {
        "app": "an_app",
        "run": "runs/one",
        "data": {
            "source": "generated",
            "split": "test",
            "n": 1234,
            "unit": "patient",
            "n_units": 321,
            "sha256": "ab" * 32,
        },
        "metrics": {"auroc": interval(0.91), "brier": interval(0.08)},
        "baselines": {
            "linear_one": {"auroc": interval(0.875), "brier": interval(0.1)},
            "majority": {"auroc": interval(0.5)},
        },
        "differences": {"linear_one": {"auroc": interval(0.035), "brier": interval(-0.02, 0.05)}},
        "notes": ["One note."],
    }
    return metrics.metrics_document(**{**content, **changes})


CURVE = figures.roc([0, 1, 0, 1], {HOSTILE: [0.1, 0.9, 0.4, 0.35]})


def report(text="plain", **changes):
    content = {
        "title": text,
        "subtitle": text,
        "answer": text,
        "headline": [blocks.Tile(text, interval(0.91), text), blocks.Tile("Rows", 1234)],
        "metrics": metrics_document(notes=[text]),
        "labels": {"linear_one": text},
        "sections": [
            document.Section(
                text,
                text,
                [
                    blocks.Text(text, tone="good"),
                    blocks.Table(
                        columns=(text, "n", "AUROC"),
                        rows=[(text, 12345, interval(0.8)), ("b", None, None)],
                        caption=text,
                    ),
                    blocks.Row([blocks.Figure(svg=CURVE, caption=text, alt=text)] * 2),
                    blocks.Quote(text=text, facts={text: text}),
                    blocks.Highlight(tokens=[(text, 0.5), ("b", -0.25)], caption=text, toward=text, against=text),
                    blocks.Details(text, [blocks.facts(text, {text: 0.5})]),
                ],
            ),
        ],
    }
    return document.Report(**{**content, **changes})


class Page(html.parser.HTMLParser):
    """What a browser would see: the elements, their attributes, and the text outside <style>."""

    def __init__(self, source):
        super().__init__()
        self.elements, self.attributes, self.text, self._open = [], [], [], []
        self.feed(source)

    def handle_starttag(self, tag, attributes):
        self.elements.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attributes]
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self._open.pop() == tag

    def handle_data(self, data):
        if "style" not in self._open:
            self.text.append(data)

    def values(self, *names):
        return [value for _, name, value in self.attributes if name in names]


def test_the_metrics_document_has_the_promised_shape_and_survives_json():
    built = metrics_document(slices=[{"name": "long", "n": np.int64(3), "metrics": {"auroc": interval(0.7)}}])
    assert json.loads(json.dumps(built, allow_nan=False)) == built
    assert " ".join(built) == ("app run data metrics baselines differences operating_points slices calibration notes")
    assert built["slices"][0]["metrics"]["auroc"]["value"] == 0.7
    assert built["metrics"]["auroc"] == {
        "value": 0.91, "low": 0.9, "high": 0.92, "confidence": 0.95, "method": "bootstrap by unit",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"metrics": {"auroc": 0.9}}, r"metrics\.auroc: expected a value with its interval"),
        ({"metrics": {}}, "metrics: expected at least one"),
        ({"baselines": {}}, "baselines: expected at least one plain baseline"),
        ({"baselines": {"linear": {"brier": interval(0.1)}}}, r"baselines\.linear: expected auroc"),
        (
            {"baselines": {"linear": {"auroc": 0.8}}},
            r"baselines\.linear\.auroc: expected a value with its interval",
        ),
        ({"data": {"source": "x"}}, "none for split, n, unit, n_units, sha256"),
        (
            {"slices": [{}, {"metrics": {"f1": float("nan")}}]},
            r"slices\[1\]\.metrics\.f1: expected a finite number",
        ),
        (
            {"calibration": {"knots": np.array([0.0, np.inf])}},
            r"calibration\.knots\[1\]: expected a finite number",
        ),
        ({"operating_points": [{"rule": object()}]}, r"operating_points\[0\]\.rule: expected a JSON value"),
    ],
)
def test_a_number_without_interval_or_baseline_is_refused_and_the_message_says_where(change, message):
    with pytest.raises(ValueError, match=message):
        metrics_document(**change)


def test_the_page_shows_the_answer_the_tiles_and_every_number_of_the_document():
    text = " ".join(" ".join(Page(document.render(report())).text).split())
    for expected in (
        "0.910",
        "95 % CI 0.900–0.920",
        "1,234",
        "321 × patient",
        "0.875",
        "+0.035",
        "12,345",
        "better",
    ):
        assert expected in text


@settings(max_examples=30, deadline=None)
@given(st.text(st.sampled_from("<>&\"'{}%#=/;: aé字\u202e"), min_size=1, max_size=40))
def test_no_text_changes_the_structure_of_the_page(text):
    # Without the comparison: its figures take most of the time, and test_figures holds them to the same.
    expected = Page(document.render(report("plain", metrics=None)))
    page = Page(document.render(report(text, metrics=None)))
    assert page.elements == expected.elements
    assert [name for _, name, _ in page.attributes] == [name for _, name, _ in expected.attributes]


def test_a_hostile_text_is_shown_as_it_is_and_is_inert():
    page = Page(document.render(report(HOSTILE)))
    assert page.elements.count("script") == 1
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]
    assert "".join(page.text).count(HOSTILE) >= 12


def test_the_page_loads_nothing_from_anywhere():
    source = document.render(report(HOSTILE))
    page = Page(source)
    references = page.values("src", "href", "xlink:href", "srcset", "action", "data", "poster")
    assert {reference for reference in references if not reference.startswith("#")} == {"data:,"}
    styles = re.search(r"<style>(.*?)</style>", source, re.DOTALL)
    assert styles is not None
    style = styles.group(1)
    assert "@import" not in style
    assert "url(" not in style
    assert all(match.startswith("url(#") for match in re.findall(r"url\([^)]*", source))
    assert "default-src 'none'" in page.values("content")[0]


def test_the_policy_lets_only_the_pages_own_script_run():
    source = document.render(report(HOSTILE))
    found = re.search(r"<script>(.*?)</script>", source, re.DOTALL)
    assert found is not None
    digest = base64.b64encode(hashlib.sha256(found.group(1).encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in Page(source).values("content")[0]
    assert "unsafe" not in Page(source).values("content")[0].partition("script-src")[2]


@pytest.mark.parametrize(
    ("name", "shown"),
    [("map_small", "mAP, small"), ("ar_1", "AR@1"), ("ap_50_person", "AP@50, person"), ("ap_car", "AP, car")],
)
def test_detection_metrics_have_the_names_of_coco(name, shown):
    assert formatting.metric_name(name) == shown


def test_a_report_begins_with_one_status_line_and_a_list():
    state = statuses.Status(statuses.USE_BASELINE, "trees cost less.")
    source = document.render(report("plain", status=state, answer="One.\n\nTwo."))
    assert '<p class="status bad"><strong>Use the baseline instead:</strong> trees cost less.</p>' in source
    assert re.search(r"<li>One.</li>\s*<li>Two.</li>", source)


def test_where_nothing_can_be_compared_the_status_says_so():
    area = {"auroc": interval(0.9)}
    assert statuses.against(area, area, None, metric="auroc", label="trees").state == statuses.UNKNOWN
    lower = statuses.against(
        {"brier": interval(0.1)}, {"brier": interval(0.2)}, interval(-0.1), metric="brier", label="trees"
    )
    assert lower.state == statuses.BETTER


def test_two_copies_of_a_figure_share_no_id_and_every_reference_finds_its_own():
    page = Page(document.render(report()))
    names = page.values("id")
    assert len(names) == len(set(names)) > 4
    wanted = {value[1:] for value in page.values("href", "xlink:href") if value.startswith("#")}
    wanted |= {name for _, _, value in page.attributes for name in re.findall(r"url\(#([^)]+)\)", value)}
    assert wanted <= set(names)


def test_equal_reports_give_equal_bytes():
    assert document.render(report()) == document.render(report())


def test_every_section_stands_in_the_contents():
    page = Page(document.render(report()))
    entries = [value for value in page.values("href") if value.startswith("#section-")]
    assert entries == ["#section-1", "#section-2", "#section-3"]
    assert {value for value in page.values("id") if value.startswith("section-")} == {entry[1:] for entry in entries}


def test_numbers_stand_right_and_words_left():
    table = blocks.Table(columns=("a", "b", "c"), rows=[("x", 1, None), ("y", 2.5, interval(0.5))], caption="t")
    assert table.alignment == "lrr"


@pytest.mark.parametrize("change", [{"rows": [("x",)]}, {"align": "l"}, {"digits": (1,)}])
def test_a_table_of_the_wrong_width_is_refused(change):
    with pytest.raises(ValueError, match=r"t: expected .*2"):
        blocks.Table(**{"columns": ("a", "b"), "rows": [("x", 1)], "caption": "t", **change})


def test_the_verdict_turns_round_where_lower_is_better():
    fall = intervals.Interval(-0.02, -0.03, -0.01)
    assert formatting.direction(fall) == "worse"
    assert formatting.direction(fall, lower_is_better=True) == "better"
    assert formatting.direction(interval(0.005), lower_is_better=True) == "no clear difference"


def test_tints_are_relative_to_the_largest_weight():
    shown = blocks.Highlight(tokens=[("a", 0.2), ("b", -0.4), ("c", 0.0)], caption="", toward="p", against="n")
    assert [tint for _, _, tint in shown.tinted] == [0.5, -1.0, 0.0]


def test_write_leaves_both_files_and_nothing_else(tmp_path):
    document.write(report(), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["metrics.json", "report.html"]
    assert json.loads((tmp_path / "metrics.json").read_text("utf-8")) == metrics_document(notes=["plain"])


def test_a_page_without_metrics_renders_but_is_no_evaluation(tmp_path):
    explanation = report(metrics=None)
    assert Page(document.render(explanation)).values("id").count("section-1") == 1
    with pytest.raises(ValueError, match="expected a metrics document"):
        document.write(explanation, tmp_path)
    assert not list(tmp_path.iterdir())


def test_reports_need_neither_tensorflow_nor_pyplot():
    code = "import sys; from shared.report import document, model_card; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"tensorflow", "keras", "matplotlib.pyplot"} & set(loaded)


def evaluated(folder, **changes):
    """A run whose evaluation was written by its model; ``changes`` of the data evaluated."""
    run = files.RunFolder(folder)
    for path in (run.model, run.decision):
        path.write_text("as trained")
    content = metrics_document(data={**metrics_document()["data"], "own": True, **changes})
    table = pd.DataFrame({"row": [1]})
    page = dataclasses.replace(report(), metrics=content)
    document.Evaluation(metrics=content, report=page, predictions=table).write(run.evaluation, run)
    return run


def test_figures_of_the_runs_own_test_part_stand_beside_the_model_they_are_of(tmp_path):
    assert metrics.of_run(files.RunFolder(tmp_path)) is None
    found = metrics.of_run(evaluated(tmp_path))
    assert found is not None
    assert found["metrics"] == metrics_document()["metrics"]
    assert found["model"]["weights_sha256"] == hashlib.sha256(b"as trained").hexdigest()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"split": "train"}, "the run's own part 'train'"),
        ({"split": "all"}, "the run's own part 'all'"),
        ({"own": False}, "other data's part 'test'"),
    ],
)
def test_figures_of_another_part_or_of_other_data_are_not_shown_as_the_models(tmp_path, caplog, changes, reason):
    assert metrics.of_run(evaluated(tmp_path, **changes)) is None
    assert reason in caplog.text


@pytest.mark.parametrize("changed", ["model", "decision"])
def test_figures_of_other_weights_or_of_another_decision_rule_are_not_shown(tmp_path, caplog, changed):
    run = evaluated(tmp_path)
    getattr(run, changed).write_text("updated")
    assert metrics.of_run(run) is None
    assert "other weights, or of another decision rule" in caplog.text


def test_figures_that_do_not_say_which_weights_they_are_of_are_not_shown(tmp_path, caplog):
    run = evaluated(tmp_path)
    files.write_json(run.evaluation / "metrics.json", metrics_document())
    assert metrics.of_run(run) is None
    assert "does not say which weights" in caplog.text
    (run.evaluation / "metrics.json").write_text("{")
    with pytest.raises(errors.InputError, match=r"metrics\.json: expected valid JSON"):
        metrics.of_run(run)


@pytest.mark.browser
@pytest.mark.slow
def test_a_table_sorts_by_value_filters_and_keeps_its_first_column_and_is_whole_without_script(open_page, tmp_path):
    names = [f"row {number}" for number in range(12)]
    values = [0.5, -0.2, None, 10.0, 2.0, 3.0, 1.5, 7.0, 8.0, 9.0, 0.1, 0.0]
    table = blocks.Table(columns=("Name", "Value"), rows=list(zip(names, values, strict=True)), caption="Rows.")
    path = tmp_path / "report.html"
    path.write_text(
        document.render(report(metrics=None, sections=[document.Section("Rows", "", [table])])), encoding="utf-8"
    )
    page = open_page(path.as_uri())
    page.get_by_role("button", name="Value").click()
    first = [row.split("\t")[0] for row in page.locator("tbody tr").all_inner_texts()]
    assert first[0] == "row 3"
    assert first[-2:] == ["row 1", "row 2"], "what has no number stays last"
    page.get_by_label("Filter rows").fill("row 1")
    assert page.locator("tbody tr:visible").count() == 3
    assert page.locator("tbody th").first.evaluate("cell => getComputedStyle(cell).position") == "sticky"
