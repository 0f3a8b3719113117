"""Chest radiographs from formulas: synthetic images with opacities whose places and grades are known. No TensorFlow.

Use them to try the app without patient data, and to see what it can find: masks and boxes say where each opacity is,
``subtlety`` how hard it is to see, and ``confounder`` ties a mark beside the patient to the label. They are not
patients, and a score on them says nothing about patients.
"""

import dataclasses

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from apps.medical_imaging import simulator
from apps.medical_imaging.simulator import anatomy, bones_and_vessels, opacities, patients
from shared import errors

CLASS_NAMES = ("normal", "opacity")
VERSION = 1
"""Raised whenever the same settings give other images: caches and splits go by it and not by the pixels."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """What to generate.

    Attributes:
        patients: Number of patients, each with 1 to 4 images (1.9 on average).
        image_size: Side of the images in pixels, at least 32.
        prevalence: Expected share of images with an opacity, in [0, 1].
        confounder: Correlation of the bedside mark with the label, 0 (none) to 1 (the mark is the label).
        subtlety: Range of the opacities' grades, within 0 (plain) to 1 (hardly visible).
        seed: Of every random choice. More patients with the same seed keep the first ones.

    Raises:
        errors.InputError: A value is outside its range.
    """

    patients: int = 600
    image_size: int = 128
    prevalence: float = 0.4
    confounder: float = 0.0
    subtlety: tuple[float, float] = (0.0, 1.0)
    seed: int = 0

    def __post_init__(self) -> None:
        """Check every value."""
        low, high = self.subtlety
        _check(self.patients >= 1, "patients", "at least 1", self.patients)
        _check(self.image_size >= 32, "image_size", "at least 32 pixels", self.image_size)
        _check(0 <= self.prevalence <= 1, "prevalence", "a share from 0 to 1", self.prevalence)
        _check(0 <= self.confounder <= 1, "confounder", "a correlation from 0 to 1", self.confounder)
        _check(0 <= low <= high <= 1, "subtlety", "two rising grades from 0 to 1", self.subtlety)
        _check(self.seed >= 0, "seed", "at least 0", self.seed)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Phantoms:
    """Generated images; row by row, those of one patient one after another.

    Attributes:
        images: (n, size, size) uint8, dense parts white.
        labels: (n,) int64, 1 with opacity, 0 without: places in ``CLASS_NAMES``.
        masks: (n, size, size) bool, True on an opacity.
        boxes: n arrays (opacities, 4) float32 of left, top, right, bottom in fractions of the side; (0, 4) without.
        patients: (n,) object, str id of the patient.
        attributes: n rows: sex ("F", "M"), age (years), view ("PA", "AP"), site (str), device_mark (bool: the bedside
            mark is shown), subtlety (0 plain to 1 hardly visible; NaN without opacity).
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    masks: NDArray[np.bool_]
    boxes: list[NDArray[np.float32]]
    patients: NDArray[np.object_]
    attributes: pd.DataFrame


def generate(settings: Settings) -> Phantoms:
    """Generate the images that ``settings`` describe; the same settings give the same pixels."""
    people, visits, images, found = [], [], [], []
    for number in range(settings.patients):
        random = np.random.default_rng([settings.seed, number])
        patient = patients.draw_patient(random, prevalence=settings.prevalence)
        for _ in range(patient.visits):
            visit = patients.draw_visit(
                random,
                patient,
                size=settings.image_size,
                prevalence=settings.prevalence,
                confounder=settings.confounder,
                subtlety=settings.subtlety,
            )
            image, opacity = render(patient, visit, random=random)
            people.append((f"phantom-{number + 1:05d}", patient))
            visits.append(visit)
            images.append(image)
            found.append(opacity)
    return Phantoms(
        images=np.stack(images),
        labels=np.array([visit.opacity for visit in visits], dtype=np.int64),
        masks=np.stack([opacity.mask for opacity in found]),
        boxes=[opacity.boxes for opacity in found],
        patients=np.array([name for name, _ in people], dtype=object),
        attributes=_attributes([patient for _, patient in people], visits),
    )


def render(
    patient: patients.Patient, visit: patients.Visit, *, random: np.random.Generator
) -> tuple[NDArray[np.uint8], opacities.Opacity]:
    """Take one image of one patient: (size, size) uint8, and the opacity in it."""
    thickness, opacity = attenuation(patient, visit, random=random)
    return simulator.expose(thickness, visit.exposure, random), opacity


def attenuation(
    patient: patients.Patient, visit: patients.Visit, *, random: np.random.Generator
) -> tuple[NDArray[np.float32], opacities.Opacity]:
    """Return (size, size) float32 attenuation along each beam (natural logarithm), and the opacity in it."""
    body, frame = patient.anatomy, visit.frame
    chest = anatomy.chest(body, visit.posture, frame)
    # Drawn before the opacity: an image and its healthy twin then differ by the opacity alone.
    veil, middle, fine = (simulator.smooth_noise(random, frame.size, cells) for cells in (5, 26, 56))
    opacity = opacities.none(frame.size)
    if visit.opacity:
        shown = patient.patches[: visit.patches]
        opacity = opacities.draw_opacity(shown, body, chest, subtlety=visit.subtlety, random=random)
    # Vessels are seen against air only: where fluid replaces it, they vanish.
    airy = np.clip(chest.air_cm / 8, 0, 1) * np.clip(1 - opacity.fluid_cm / 4, 0, 1)
    vessel_cm = (
        bones_and_vessels.draw_vessels(patient.tree, frame) + np.float32(0.22) * middle + np.float32(0.16) * fine
    )
    solid_cm = np.float32(visit.vessel_cm) * vessel_cm * airy + np.float32(visit.haze_cm) * veil + opacity.fluid_cm
    tissue_cm = chest.tissue_cm - np.float32(anatomy.AIR) * chest.air_cm + solid_cm
    bone_cm = bones_and_vessels.bones(body, visit.posture, chest, frame)
    metal_cm = opacities.draw_devices(visit.devices, body, frame)
    total = simulator.TISSUE * np.maximum(tissue_cm, 0) + simulator.BONE * bone_cm + simulator.METAL * metal_cm
    return total.astype(np.float32), opacity


def _attributes(people: list[patients.Patient], visits: list[patients.Visit]) -> pd.DataFrame:
    """Return what is known of each image besides its label."""
    return pd.DataFrame(
        {
            "sex": [patient.sex for patient in people],
            "age": [patient.age for patient in people],
            "view": [visit.posture.view for visit in visits],
            "site": [patient.site for patient in people],
            "device_mark": [visit.devices.mark for visit in visits],
            "subtlety": [visit.subtlety for visit in visits],
        }
    )


def _check(valid: bool, field: str, expected: str, received: object) -> None:
    if not valid:
        raise errors.InputError(f"chest-phantoms, {field}: expected {expected}. Received: {received!r}.")
