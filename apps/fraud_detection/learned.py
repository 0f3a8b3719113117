"""What a run's model has learned since its training: kept by ``update``, left out by ``evaluate``. No TensorFlow here.

``learned_rows.npy`` holds the hashes (``Transactions.row_hashes``) of the rows that promoted challengers were trained,
stopped and calibrated on. Figures of the model before an update are kept with that model.
"""

import pathlib

import numpy as np
import numpy.typing as npt

from apps.fraud_detection.transactions import Transactions
from shared import errors, files

NAME = "learned_rows.npy"
CHAMPIONS = "champions"


def add(run_folder: pathlib.Path, hashes: npt.NDArray[np.uint64]) -> None:
    """Record rows (n,) that the newest model has learned from."""
    known = np.union1d(_recorded(run_folder), hashes)
    with files.atomic(run_folder / NAME) as temporary:
        np.save(temporary, known)


def among(run_folder: pathlib.Path, found: Transactions) -> npt.NDArray[np.bool_]:
    """Return (n,) which transactions the newest model has learned from in an update.

    Raises:
        errors.InputError: A model was replaced by an update that kept no record.
    """
    if (run_folder / CHAMPIONS).is_dir() and not (run_folder / NAME).is_file():
        raise errors.InputError(
            f"{run_folder}: expected a record of what `update` learned ({NAME}). Received: an update by an earlier "
            f"version, which kept none; train anew to evaluate"
        )
    recorded = _recorded(run_folder)
    return np.isin(found.row_hashes(), recorded) if len(recorded) else np.zeros(len(found), bool)


def _recorded(run_folder: pathlib.Path) -> npt.NDArray[np.uint64]:
    path = run_folder / NAME
    return np.load(path) if path.is_file() else np.zeros(0, np.uint64)
