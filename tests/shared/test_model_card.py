"""The model card: the sections of Mitchell et al. 2019, numbers with intervals, no text as structure."""

import dataclasses

import pytest

from shared.evaluation import intervals
from shared.report import metrics, model_card

HOSTILE = "a|b <script>alert(1)</script>\n# heading [x](http://evil.example) `code`"


def interval(value):
    return intervals.Interval(value, value - 0.01, value + 0.01)


@pytest.fixture
def card():
    data = {"source": HOSTILE, "split": "test", "n": 900, "unit": "drive", "n_units": 30, "sha256": "0" * 64}
    document = metrics.metrics_document(
        app="an_app",
        run="one",
        data=data,
        metrics={"map": interval(0.61), "mcc": interval(0.4)},
        baselines={"linear": {"map": interval(0.52)}},
        operating_points=[{"rule": "max_f1", "sensitivity": interval(0.8)}],
        slices=[{"name": "night", "n": 12, "metrics": {"map": interval(0.3)}}, {"name": HOSTILE, "n": 2}],
        calibration={"temperature": 1.25},
        notes=["A note of the evaluation."],
    )
    return model_card.ModelCard(
        name="name",
        summary="A summary.",
        details={"Parameters": 1234567},
        intended_uses=["This use"],
        out_of_scope=["That use"],
        factors=["Night"],
        training_data={"Rows": 8100},
        split={"unit": "drive", "counts": {"train": {"rows": 8100}}},
        decision={"temperature": 1.25, "class_names": ["no", HOSTILE]},
        metrics=document,
        ethical_considerations=[],
        caveats=[HOSTILE],
        environment={"python": "3.11"},
    )


def test_the_sections_are_those_of_the_paper_in_its_order(card):
    titles = [line[3:] for line in model_card.render(card).splitlines() if line.startswith("## ")]
    assert titles == [
        "Model details",
        "Intended use",
        "Factors",
        "Metrics",
        "Evaluation data",
        "Training data",
        "Quantitative analyses",
        "Ethical considerations",
        "Caveats and recommendations",
        "Environment",
    ]


def test_the_numbers_stand_with_their_intervals_beside_the_baseline(card):
    text = model_card.render(card)
    assert "| mAP | 0.610 (0.600–0.620) | 0.520 (0.510–0.530) |" in text
    assert "| MCC | 0.400 (0.390–0.410) | – |" in text
    assert "| max_f1 | 0.800 (95 % CI 0.790–0.810) |" in text
    assert "| night | 12 | 0.300 (95 % CI 0.290–0.310) |" in text
    assert "| Parameters | 1,234,567 |" in text
    assert "| counts.train.rows | 8,100 |" in text
    assert "- A note of the evaluation." in text


def test_every_row_of_a_table_has_as_many_cells_as_its_head(card):
    tables, width = 0, None
    for line in model_card.render(card).splitlines():
        cells = line.replace(r"\|", "").count("|") if line.startswith("|") else None
        tables += cells is not None and width is None
        assert width is None or cells in (None, width)
        width = cells
    assert tables == 10


def test_no_text_poses_as_markup(card):
    text = model_card.render(card)
    assert "<script" not in text.replace(r"\<", "")
    assert "](http" not in text.replace(r"\]", "")
    assert not [line for line in text.splitlines() if line.lstrip().startswith("# heading")]


def test_a_card_written_before_any_evaluation_says_so(card):
    text = model_card.render(dataclasses.replace(card, metrics=None))
    assert text.count(model_card.NOT_EVALUATED) == 3


def test_an_empty_list_is_said_to_be_empty(card):
    assert "## Ethical considerations\n\nNone stated." in model_card.render(card)
