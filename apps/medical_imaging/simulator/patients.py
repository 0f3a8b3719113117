"""Patients and their visits, drawn at random: who they are, how each image was taken. No TensorFlow."""

import dataclasses

import numpy as np

from apps.medical_imaging import simulator
from apps.medical_imaging.simulator import anatomy, bones_and_vessels, opacities

# Site: share of patients, share of AP images, photons per pixel, coarse contrast removed, gamma, letter's half height.
_SITES = {
    "clinic": (0.45, 0.08, 60000.0, 0.50, 0.80, 0.045),
    "hospital": (0.35, 0.35, 30000.0, 0.62, 0.72, 0.060),
    "emergency": (0.20, 0.60, 14000.0, 0.40, 0.90, 0.050),
}
_VISITS = (0.45, 0.30, 0.15, 0.10)
_PATCHES = (0.55, 0.30, 0.15)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Patient:
    """What stays the same from image to image.

    Attributes:
        sex: "F" or "M".
        age: In years at the first image.
        site: Where the images are taken.
        propensity: Chance that an image of this patient shows an opacity.
        anatomy: The build.
        tree: The lungs' vessels.
        patches: Where this patient's opacities are, when there are any.
        pacemaker: Whether there is one.
        visits: Number of images.
    """

    sex: str
    age: float
    site: str
    propensity: float
    anatomy: anatomy.Anatomy
    tree: bones_and_vessels.Tree
    patches: list[opacities.Patch]
    pacemaker: bool
    visits: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Visit:
    """How one image was taken, and what it shows.

    Attributes:
        opacity: Whether the image shows one: the label.
        subtlety: 0 plain to 1 hardly visible; NaN without opacity.
        patches: How many of the patient's patches are seen.
        posture: View, breath and turn.
        frame: Place on the film.
        exposure: Dose and processing.
        devices: Letters, lines, marks.
        vessel_cm: Strength of the vessels in this image; 1 is average.
        haze_cm: Thickness of what veils healthy lung unevenly: muscle, fat, clothes.
    """

    opacity: bool
    subtlety: float
    patches: int
    posture: anatomy.Posture
    frame: simulator.Frame
    exposure: simulator.Exposure
    devices: opacities.Devices
    vessel_cm: float
    haze_cm: float


def draw_patient(random: np.random.Generator, *, prevalence: float) -> Patient:
    """Draw one patient; propensity is beta distributed around ``prevalence``: some are ill in most of their images."""
    sex = str(random.choice(["F", "M"]))
    age = float(np.clip(random.normal(55, 17), 18, 95))
    site = str(random.choice(list(_SITES), p=[share for share, *_ in _SITES.values()]))
    certain = prevalence in (0.0, 1.0)
    propensity = prevalence if certain else float(random.beta(1.2 * prevalence, 1.2 * (1 - prevalence)))
    body = _draw_anatomy(random, sex, age)
    return Patient(
        sex=sex,
        age=round(age, 1),
        site=site,
        propensity=propensity,
        anatomy=body,
        tree=bones_and_vessels.grow_vessels(random, body),
        patches=[opacities.random_patch(random) for _ in _PATCHES],
        pacemaker=bool(random.random() < 0.12 * (age > 65)),
        visits=int(random.choice(len(_VISITS), p=_VISITS)) + 1,
    )


def draw_visit(
    random: np.random.Generator,
    patient: Patient,
    *,
    size: int,
    prevalence: float,
    confounder: float,
    subtlety: tuple[float, float],
) -> Visit:
    """Draw one image's circumstances.

    The bedside mark repeats the label with probability ``confounder`` and is drawn with probability ``prevalence``
    otherwise. Mark and label then have the same mean, and ``confounder`` is the correlation between them.
    """
    _, ap_share, quanta, equalisation, gamma, letter_height = _SITES[patient.site]
    view = "AP" if random.random() < ap_share else "PA"
    opacity = bool(random.random() < patient.propensity)
    copied, chance = bool(random.random() < confounder), bool(random.random() < prevalence)
    grade = float(random.uniform(*subtlety))
    return Visit(
        opacity=opacity,
        subtlety=round(grade, 3) if opacity else float("nan"),
        patches=int(random.choice(len(_PATCHES), p=_PATCHES)) + 1,
        posture=_draw_posture(random, view),
        frame=_draw_frame(random, size, view),
        exposure=_draw_exposure(random, view, quanta=quanta, equalisation=equalisation, gamma=gamma),
        devices=_draw_devices(random, patient, view, letter_height=letter_height, mark=opacity if copied else chance),
        vessel_cm=float(random.uniform(0.7, 1.25)),
        haze_cm=float(random.uniform(0.1, 0.28)),
    )


def _draw_anatomy(random: np.random.Generator, sex: str, age: float) -> anatomy.Anatomy:
    """Draw a build: women are smaller with breasts, the old have larger hearts and aortas and paler bones."""
    woman, old = sex == "F", (age - 55) / 40
    fat = float(np.clip(random.normal(0.5, 0.25), 0, 1))

    def near(mean: float, deviation: float) -> float:
        return float(mean + deviation * np.clip(random.normal(), -2.2, 2.2))

    return anatomy.Anatomy(
        half_width=near(0.68 if woman else 0.73, 0.03),
        apex=near(-0.72, 0.03),
        floor=near(0.40 - 0.08 * fat, 0.05),
        mediastinum=near(0.105 + 0.012 * old, 0.012),
        heart=near(0.36 + 0.03 * old + 0.03 * fat, 0.025),
        heart_tilt=near(0.62, 0.13),
        knob=near(0.085 + 0.025 * old, 0.01),
        hilum=near(1.0, 0.17),
        thickness_cm=near(19.5 + 4 * fat, 1.0),
        wall=0.07 + 0.13 * fat,
        breast_cm=near(2.2 + 2 * fat, 0.7) if woman else 0.0,
        bone=near((0.95 if woman else 1.1) - 0.12 * old, 0.08),
        bend=near(0.0, 0.012),
        rib_first=near(-0.80, 0.02),
        rib_spacing=near(0.135, 0.005),
        rib_drop=near(0.66, 0.06),
        rib_widths=random.normal(1, 0.07, 14).astype(np.float32),
    )


def _draw_posture(random: np.random.Generator, view: str) -> anatomy.Posture:
    """Draw breath and turn; patients in bed (AP) breathe less deeply and lie less straight."""
    bed = view == "AP"
    breath = float(np.clip(random.normal(0.45 if bed else 0.8, 0.2), 0, 1))
    return anatomy.Posture(view=view, inspiration=breath, turn=float(random.normal(0, 0.025 if bed else 0.015)))


def _draw_frame(random: np.random.Generator, size: int, view: str) -> simulator.Frame:
    """Draw how the body lies on the film."""
    return simulator.Frame(
        size=size,
        degrees=float(np.clip(random.normal(0, 3.5 if view == "AP" else 1.8), -9, 9)),
        scale=float(random.uniform(1.1, 1.26)),
        right=float(np.clip(random.normal(0, 0.03), -0.07, 0.07)),
        down=float(np.clip(random.normal(0.04, 0.04), -0.05, 0.13)),
    )


def _draw_exposure(
    random: np.random.Generator, view: str, *, quanta: float, equalisation: float, gamma: float
) -> simulator.Exposure:
    """Draw dose and processing around what the site usually does."""
    shuttered = random.random() < 0.3
    shutters = random.uniform(0, 0.05, 4) * shuttered
    return simulator.Exposure(
        quanta=quanta * float(random.lognormal(0, 0.35)),
        scatter=float(random.uniform(0.35, 0.6) + 0.12 * (view == "AP")),
        equalisation=float(np.clip(random.normal(equalisation, 0.06), 0, 0.8)),
        window=(float(random.uniform(0.3, 4)), float(random.uniform(96, 99.7))),
        gamma=gamma * float(random.lognormal(0, 0.12)),
        shutters=(float(shutters[0]), float(shutters[1]), float(shutters[2]), float(shutters[3])),
    )


def _draw_devices(
    random: np.random.Generator, patient: Patient, view: str, *, letter_height: float, mark: bool
) -> opacities.Devices:
    """Draw what else is on the film: patients in bed have more of it."""
    bed = view == "AP"
    places = np.array([(-0.5, -0.35), (0.52, -0.35), (0.55, 0.3), (-0.3, 0.25)]) + random.normal(0, 0.05, (4, 2))
    shown = random.integers(2, 5) if random.random() < (0.6 if bed else 0.08) else 0
    outwards = 1 if random.random() < 0.5 else -1
    return opacities.Devices(
        letter=str(random.choice(["L", "R"])),
        letter_height=letter_height,
        letter_at=(float(random.uniform(0.78, 0.88)), float(random.uniform(-0.85, -0.5))),
        electrodes=places[:shown],
        line=bool(random.random() < (0.35 if bed else 0.03)),
        tube=bool(random.random() < (0.25 if bed else 0.0)),
        pacemaker=patient.pacemaker,
        mark=mark,
        mark_at=(outwards * float(random.uniform(0.78, 0.88)), float(random.uniform(0.7, 0.86))),
    )
