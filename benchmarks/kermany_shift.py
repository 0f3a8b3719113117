"""A harder test than patients drawn at random: a split of Kermany's images by what kind of patient is shown.

Train and validation hold one of the two series of normal images (``IM-``) and bacterial pneumonia; the test part the
other series (``NORMAL2-IM-``) and viral pneumonia, of patients who are in no other part. Then:

    python -m benchmarks.kermany_shift KERMANY_FOLDER shift.csv
    medical-imaging train --data KERMANY_FOLDER --split-file shift.csv --run-dir runs/shift
    medical-imaging evaluate --run-dir runs/shift
"""

import pathlib
import sys

import numpy as np
import pandas as pd

from apps.medical_imaging import config, data

VALIDATION_FRACTION = 1 / 7


def main() -> None:
    if len(sys.argv) != 3:
        print("kermany_shift: needs Kermany's folder and the file to write; see its first lines. Nothing done.")
        return
    folder, output = sys.argv[1:]
    found = data.load(config.Config.default().replace({"data": (folder,)}))
    table = parts(found.patients, found.attributes["subtype"].to_numpy())
    table.to_csv(output, index=False)
    print(pathlib.Path(output), table["part"].value_counts().to_dict())


def parts(patients: np.ndarray, subtypes: np.ndarray) -> pd.DataFrame:
    """Return ``id`` (patient) and ``part`` of every patient of n images (their patients, their subtypes)."""
    names = pd.Series(patients.astype(str))
    known = names.str.startswith("IM-") | (subtypes == "bacteria")
    of_patient = known.groupby(names).any()
    held = np.random.default_rng(0).random(len(of_patient)) < VALIDATION_FRACTION
    part = np.where(~of_patient, "test", np.where(held, "validation", "train"))
    return pd.DataFrame({"id": of_patient.index, "part": part})


if __name__ == "__main__":
    main()
