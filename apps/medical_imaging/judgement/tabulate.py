"""The table of predictions, one row per image. No TensorFlow here."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from apps.medical_imaging.judgement import evidence
from apps.medical_imaging.judgement import judge as judges


def single_label(rows: evidence.Rows, run: evidence.Run, judge: judges.Judge) -> pd.DataFrame:
    """Return row, image, patient, label, predicted, decision and scores, of the model and its baselines."""
    classes = np.array(judge.class_names, object)
    columns = {
        **_identity(rows),
        "label": classes[judge.labels],
        "predicted": classes[judge.predicted],
        "decision": judges.demand_decision(run).decisions(judge.scores),
        **_scores("", judge.scores, judge.class_names),
    }
    return pd.DataFrame(columns | _baselines(judge.baselines, judge.class_names))


def multi_label(
    rows: evidence.Rows,
    class_names: tuple[str, ...],
    scores: evidence.Floats,
    present: evidence.Bools,
    baselines: Mapping[str, evidence.Floats],
) -> pd.DataFrame:
    """Return row, image, patient and per finding label (NaN unknown), score and whether it is called present."""
    columns = {
        **_identity(rows),
        **{f"label_{name}": rows.labels[:, place] for place, name in enumerate(class_names)},
        **_scores("", scores, class_names),
        **{f"present_{name}": present[:, place] for place, name in enumerate(class_names)},
    }
    return pd.DataFrame(columns | _baselines(baselines, class_names))


def _identity(rows: evidence.Rows) -> dict[str, Any]:
    return {"row": rows.lines, "image": rows.names.astype(str), "patient": rows.patients.astype(str)}


def _scores(prefix: str, scores: evidence.Floats, names: tuple[str, ...]) -> dict[str, evidence.Floats]:
    return {f"{prefix}score_{name}": scores[:, place] for place, name in enumerate(names)}


def _baselines(baselines: Mapping[str, evidence.Floats], names: tuple[str, ...]) -> dict[str, evidence.Floats]:
    return {
        key: value for label, scores in baselines.items() for key, value in _scores(f"{label}_", scores, names).items()
    }
