"""The demo's table: the headline metric beside the baseline that is best at it."""

from apps import demo


def interval(value: float) -> dict[str, float]:
    return {"value": value, "low": value - 0.01, "high": value + 0.01}


def test_the_row_names_the_headline_metric_and_the_best_rival() -> None:
    document = {
        "data": {"n": 4024},
        "metrics": {"accuracy": interval(0.9), "auroc": interval(0.95)},
        "baselines": {
            "weak": {"accuracy": interval(0.5)},
            "strong": {"accuracy": interval(0.88)},
            "other": {"auroc": interval(0.99)},
        },
    }
    row = demo.result_row("sentiment", document)
    assert row == {
        "app": "sentiment",
        "test rows": "4,024",
        "metric": "accuracy",
        "model": "0.900 (0.890 to 0.910)",
        "best baseline": "strong 0.880 (0.870 to 0.890)",
    }
