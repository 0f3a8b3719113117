"""What models and metrics are called in reports. No TensorFlow here."""

from apps.fraud_detection import baselines

LABELS = {
    baselines.LOGISTIC: "Logistic regression",
    baselines.TREES: "XGBoost",
    baselines.FOREST: "Isolation forest",
    baselines.RULE: "Rule on amount and frequency",
}
# Baselines whose scores are probabilities.
PROBABILISTIC = (baselines.LOGISTIC, baselines.TREES)
HEADLINE = ("average_precision", "auroc", "card_precision_at_100")
FALSE_POSITIVE_RATES = (0.001, 0.005, 0.01, 0.05)
CARDS = 100


def reference(scores: object) -> str:
    """Return the baseline to beat: boosted trees, or the first there is.

    >>> reference({"logistic": 0, "xgboost": 1})
    'xgboost'
    """
    found = list(scores)  # type: ignore[call-overload]
    return baselines.TREES if baselines.TREES in found else str(found[0])
