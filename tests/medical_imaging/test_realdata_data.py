import os
import pathlib
import zipfile

import numpy as np
import pytest

from tests.medical_imaging import loading

FOLDER = os.environ.get("FIELDNETS_REAL_DATA")
pytestmark = [
    pytest.mark.realdata,
    pytest.mark.skipif(not FOLDER, reason="FIELDNETS_REAL_DATA is not set"),
]


@pytest.fixture(scope="module")
def kermany(tmp_path_factory):
    """The training images of Kermany et al. 2018, unpacked."""
    folder = tmp_path_factory.mktemp("kermany")
    with zipfile.ZipFile(pathlib.Path(FOLDER or "") / "xray" / "kermany_train_224.zip") as archive:
        archive.extractall(folder)
    return loading.load([str(folder)])


def test_every_image_has_its_class_and_patient(kermany):
    assert kermany.class_names == ("NORMAL", "PNEUMONIA")
    # The training part as it is in circulation: 16 images less than published in 2018.
    assert kermany.labels.sum(axis=0).tolist() == [1341, 3875]
    assert not any("not known" in note for note in kermany.notes)
    assert kermany.attributes["subtype"].value_counts().to_dict() == {"bacteria": 2530, "virus": 1345}


def test_the_split_keeps_patients_and_copies_apart(kermany):
    split, certificate = loading.split(kermany, fractions=(0.73, 0.12, 0.15), seed=0)
    parts: dict[str, set[str]] = {}
    for patient, part in zip(kermany.patients, split.part, strict=True):
        parts.setdefault(patient, set()).add(part)
    assert max(map(len, parts.values())) == 1
    assert certificate["checks"]["duplicate_groups_in_two_parts"] == 0
    assert certificate["fractions"] == pytest.approx({"train": 0.73, "validation": 0.12, "test": 0.15}, abs=0.002)
    ill = [kermany.labels[split.rows(part), 1].mean() for part in ("train", "validation", "test")]
    assert np.ptp(ill) < 0.005
