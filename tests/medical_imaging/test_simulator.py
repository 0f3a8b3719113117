import dataclasses
import functools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.medical_imaging import simulator
from apps.medical_imaging.simulator import anatomy, opacities, patients, phantoms
from shared import errors


@functools.cache
def generated(**changes):
    return phantoms.generate(phantoms.Settings(**{"patients": 60, "image_size": 64, **changes}))


@functools.cache
def population(prevalence):
    return [patients.draw_patient(np.random.default_rng([3, number]), prevalence=prevalence) for number in range(400)]


def visits(*, confounder=0.0, prevalence=0.4, subtlety=(0.0, 1.0)):
    """Four visits of each of 400 patients, without the time to render them."""
    random = np.random.default_rng(1)
    options = {"prevalence": prevalence, "confounder": confounder, "subtlety": subtlety, "size": 64}
    people = population(prevalence)
    return [patients.draw_visit(random, patient, **options) for patient in people for _ in range(4)]


def one(*, seed=0, view="PA", subtlety=None, size=96, patches=1, **changes):
    """A patient's visit with the circumstances asked for, and the generator to render it."""
    random = np.random.default_rng(seed)
    patient = patients.draw_patient(random, prevalence=0.5)
    options = {"prevalence": 0.5, "confounder": 0.0, "subtlety": (0.0, 1.0), "size": size}
    visit = patients.draw_visit(random, patient, **options)
    grade = float("nan") if subtlety is None else subtlety
    posture = dataclasses.replace(visit.posture, view=view)
    known = {"opacity": subtlety is not None, "subtlety": grade, "patches": patches, "posture": posture}
    return patient, dataclasses.replace(visit, **known, **changes)


def straight(size=96):
    """A visit whose film lies straight and shows the lungs in full, without devices."""
    bare = opacities.Devices(
        letter="R",
        letter_height=0.05,
        letter_at=(0.85, -0.8),
        electrodes=np.empty((0, 2)),
        line=False,
        tube=False,
        pacemaker=False,
        mark=False,
        mark_at=(0.85, 0.8),
    )
    return {"frame": simulator.Frame(size=size, scale=1.15), "devices": bare}


def render(patient, visit, *, seed=0):
    return phantoms.render(patient, visit, random=np.random.default_rng(seed))


def test_the_same_settings_give_the_same_pixels_and_another_seed_others():
    first, again = (phantoms.generate(phantoms.Settings(patients=12, image_size=64)) for _ in range(2))
    assert np.array_equal(first.images, again.images)
    assert np.array_equal(first.masks, again.masks)
    assert first.attributes.equals(again.attributes)
    assert not np.array_equal(first.images[0], generated(seed=1, patients=5).images[0])


def test_more_patients_with_the_same_seed_keep_the_first_ones():
    few, many = generated(patients=7), generated()
    assert np.array_equal(few.images, many.images[: len(few.images)])
    assert few.patients.tolist() == many.patients[: len(few.images)].tolist()


def test_every_array_has_one_row_per_image_with_the_shapes_and_types_promised():
    data = generated()
    count = len(data.images)
    assert data.images.shape == data.masks.shape == (count, 64, 64)
    assert (data.images.dtype, data.masks.dtype, data.labels.dtype) == (np.uint8, np.bool_, np.int64)
    assert len(data.labels) == len(data.boxes) == len(data.patients) == len(data.attributes) == count
    assert {(box.dtype.name, box.shape[1]) for box in data.boxes} == {("float32", 4)}
    assert list(data.attributes) == ["sex", "age", "view", "site", "device_mark", "subtlety"]


def test_an_image_is_labelled_exactly_when_it_has_a_mask_a_box_and_a_grade():
    data = generated()
    labelled = data.labels == 1
    assert set(data.labels.tolist()) == {0, 1}
    assert np.array_equal(data.masks.any(axis=(1, 2)), labelled)
    assert np.array_equal([len(box) > 0 for box in data.boxes], labelled)
    assert np.array_equal(data.attributes["subtlety"].notna(), labelled)


def test_boxes_are_the_tight_bounds_of_the_mask():
    data = generated()
    for mask, boxes in zip(data.masks, data.boxes, strict=True):
        if not len(boxes):
            continue
        rows, columns = np.nonzero(mask)
        expected = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        assert (64 * np.append(boxes[:, :2].min(0), boxes[:, 2:].max(0))).tolist() == expected
        covered = np.zeros_like(mask)
        for left, top, right, bottom in np.rint(64 * boxes).astype(int).tolist():
            covered[top:bottom, left:right] = True
            assert mask[top:bottom, left:right].any()
        assert not (mask & ~covered).any()


@settings(max_examples=25)
@given(
    seed=st.integers(0, 10_000),
    subtlety=st.floats(0, 1),
    size=st.sampled_from([32, 64, 96]),
    view=st.sampled_from(["PA", "AP"]),
    patches=st.integers(1, 3),
)
def test_every_opacity_lies_in_the_lung_fields_and_is_never_empty(seed, subtlety, size, view, patches):
    patient, visit = one(seed=seed, subtlety=subtlety, size=size, view=view, patches=patches)
    _, opacity = render(patient, visit)
    chest = anatomy.chest(patient.anatomy, visit.posture, visit.frame)
    assert opacity.mask.any()
    assert len(opacity.boxes) == patches
    assert (chest.lung[opacity.mask] > 0.5).all()
    assert (opacity.fluid_cm[chest.lung == 0] == 0).all()
    # Lung, not heart or abdomen: at least two centimetres of air, and inside the rib cage.
    assert (chest.side < chest.cage)[opacity.mask].all()
    assert np.median(chest.air_cm[opacity.mask]) > 2


@settings(max_examples=15)
@given(seed=st.integers(0, 10_000))
def test_a_plain_opacity_whitens_its_mask_and_leaves_the_rest_of_the_picture(seed):
    patient, ill = one(seed=seed, subtlety=0.0, **straight())
    _, healthy = one(seed=seed, **straight())
    attenuation = [phantoms.attenuation(patient, visit, random=np.random.default_rng(0)) for visit in (ill, healthy)]
    (with_fluid, opacity), (without, _) = attenuation
    added = with_fluid - without
    assert added[opacity.mask].mean() > 0.3
    assert np.abs(added[opacity.fluid_cm == 0]).max() < 1e-5


def test_a_subtler_opacity_has_less_fluid_and_a_smaller_mask():
    fluid, areas = [], []
    for subtlety in (0.0, 0.5, 1.0):
        found = [render(*one(seed=seed, subtlety=subtlety, **straight()))[1] for seed in range(20)]
        fluid.append(np.mean([opacity.fluid_cm[opacity.mask].mean() for opacity in found]))
        areas.append(np.mean([opacity.mask.mean() for opacity in found]))
    assert fluid[0] > 1.3 * fluid[1] > 1.3**2 * fluid[2] > 0
    assert areas[0] > areas[1] > areas[2]


@pytest.mark.parametrize("confounder", [0.0, 0.3, 0.6, 1.0])
@pytest.mark.parametrize("prevalence", [0.2, 0.5])
def test_the_mark_correlates_with_the_label_as_asked(confounder, prevalence):
    found = visits(confounder=confounder, prevalence=prevalence)
    labels, marks = (np.array([v.opacity for v in found]), np.array([v.devices.mark for v in found]))
    # The error of a correlation of n pairs is below 1 / sqrt(n); images of one patient share their propensity.
    assert np.corrcoef(labels, marks)[0, 1] == pytest.approx(confounder, abs=4 / np.sqrt(len(found)))
    assert marks.mean() == pytest.approx(prevalence, abs=0.07)
    if confounder == 1:
        assert np.array_equal(labels, marks)


def test_the_mark_can_be_seen_and_lies_outside_the_lungs():
    patient, visit = one(seed=4, **straight())
    marked = dataclasses.replace(visit, devices=dataclasses.replace(visit.devices, mark=True))
    shown, bare = render(patient, marked)[0].astype(int), render(patient, visit)[0].astype(int)
    changed = np.abs(shown - bare) > 25
    rows, columns = np.nonzero(changed)
    chest = anatomy.chest(patient.anatomy, visit.posture, visit.frame)
    assert changed.sum() >= 10
    assert not (changed & (chest.lung > 0.5)).any()
    x, y = (columns.mean() + 0.5) / 48 - 1, (rows.mean() + 0.5) / 48 - 1
    assert (x, y) == pytest.approx(visit.devices.mark_at, abs=0.04)


def test_the_prevalence_is_as_asked_and_its_ends_are_exact():
    assert np.mean([v.opacity for v in visits(prevalence=0.5)]) == pytest.approx(0.5, abs=0.07)
    assert not generated(prevalence=0.0, patients=8, image_size=32).labels.any()
    assert generated(prevalence=1.0, patients=8, image_size=32).labels.all()


def test_a_patients_sex_age_site_and_build_stay_the_same_and_labels_cling_to_patients():
    data = generated()
    rows = data.attributes.assign(patient=data.patients, label=data.labels)
    groups = rows.groupby("patient")
    assert groups.size().between(1, 4).all()
    assert (groups[["sex", "age", "site"]].nunique() == 1).all(axis=None)
    assert (groups["device_mark"].nunique() > 1).any()


def test_labels_cling_to_patients():
    labels = np.array([visit.opacity for visit in visits(prevalence=0.5)]).reshape(-1, 4)
    # Four independent labels of mean 1/2 have a mean of variance 1/16; a beta law with a + b = 1.2 gives
    # (1/4 + 3 * (1/4) / 2.2) / 4 = 0.148.
    assert np.var(labels.mean(axis=1)) == pytest.approx(0.148, abs=0.02)


def test_two_images_of_one_patient_are_more_alike_than_those_of_two_patients():
    def film(seed, noise):
        return render(*one(seed=seed, **straight(64)), seed=noise)[0].astype(float).ravel()

    first, again = [film(seed, 0) for seed in range(6)], [film(seed, 1) for seed in range(6)]
    alike = np.corrcoef(first, again)[:6, 6:]
    assert np.diag(alike).min() > alike[~np.eye(6, dtype=bool)].max()


def test_the_attributes_take_every_value_and_stay_in_range():
    table = generated(patients=60).attributes
    assert set(table["sex"]) == {"F", "M"}
    assert set(table["view"]) == {"PA", "AP"}
    assert set(table["site"]) == {"clinic", "hospital", "emergency"}
    assert table["age"].between(18, 95).all()
    assert table["subtlety"].dropna().between(0, 1).all()


@pytest.mark.parametrize("subtlety", [(0.2, 0.3), (0.9, 0.9)])
def test_grades_stay_in_the_range_asked_for(subtlety):
    grades = np.array([v.subtlety for v in visits(subtlety=subtlety) if v.opacity])
    assert grades.size
    assert ((grades >= subtlety[0]) & (grades <= subtlety[1])).all()


@settings(max_examples=20)
@given(seed=st.integers(0, 10_000), view=st.sampled_from(["PA", "AP"]))
def test_lungs_are_darker_than_the_abdomen_and_the_spine_in_every_view(seed, view):
    patient, visit = one(seed=seed, view=view, **straight())
    visit = dataclasses.replace(visit, exposure=dataclasses.replace(visit.exposure, shutters=(0, 0, 0, 0)))
    image = render(patient, visit)[0].astype(float)
    chest = anatomy.chest(patient.anatomy, visit.posture, visit.frame)
    lung = image[chest.lung > 0.9].mean()
    assert lung + 20 < image[(chest.level > 1.05) & (chest.side < 0.5)].mean()
    assert lung + 20 < image[(chest.side < 0.05) & (chest.level > 0) & (chest.level < 0.9)].mean()
    assert 0 < lung < 200
    assert image.std() > 20


def test_grey_values_use_the_range_without_drowning_in_black_or_white():
    images = generated().images
    assert (np.percentile(images, 95, axis=(1, 2)) > 120).all()
    assert ((images == 255).mean(axis=(1, 2)) < 0.25).all()
    assert ((images == 0).mean(axis=(1, 2)) < 0.5).all()


def test_the_heart_lies_on_the_patients_left_and_is_larger_in_an_ap_image():
    shares = {}
    for view in ("PA", "AP"):
        patient, visit = one(seed=2, view=view, **straight())
        posture = anatomy.Posture(view=view, inspiration=0.7, turn=0.0)
        chest = anatomy.chest(patient.anatomy, posture, visit.frame)
        band = (chest.y > 0.0) & (chest.y < 0.2) & (chest.side < chest.cage - 0.1) & (chest.lung < 0.5)
        left, right = (band & (chest.x > 0)).sum(), (band & (chest.x < 0)).sum()
        assert left > 1.5 * right > 0
        shares[view] = band.sum()
    assert shares["AP"] > 1.05 * shares["PA"]


def test_a_deeper_breath_shows_more_lung():
    patient, visit = one(seed=1, **straight())
    shown = [
        anatomy.chest(patient.anatomy, anatomy.Posture(view="PA", inspiration=breath, turn=0.0), visit.frame).lung.sum()
        for breath in (0.0, 0.5, 1.0)
    ]
    assert shown[0] < shown[1] < shown[2]


def test_women_have_breast_shadows_over_the_lower_lungs_and_men_have_none():
    patient, visit = one(seed=1, **straight())
    shapes = [dataclasses.replace(patient.anatomy, breast_cm=thickness) for thickness in (0.0, 3.0)]
    without, with_breasts = (anatomy.chest(shape, visit.posture, visit.frame).tissue_cm for shape in shapes)
    added = with_breasts - without
    assert added.max() == pytest.approx(3.0, abs=0.1)
    assert added[: len(added) // 3].max() == 0


@given(degrees=st.floats(-20, 20), scale=st.floats(0.7, 1.4), right=st.floats(-0.2, 0.2), down=st.floats(-0.2, 0.2))
def test_film_and_body_coordinates_are_each_others_inverse(degrees, scale, right, down):
    frame = simulator.Frame(size=32, degrees=degrees, scale=scale, right=right, down=down)
    film = frame.film(np.stack(frame.body(), axis=-1))
    line = (np.arange(32) + 0.5) / 16 - 1
    assert film[..., 0] == pytest.approx(np.tile(line, (32, 1)), abs=1e-5)
    assert film[..., 1] == pytest.approx(np.tile(line[:, None], (1, 32)), abs=1e-5)


def test_the_letter_stands_on_the_side_that_it_names():
    for letter, side in (("L", 1), ("R", -1)):
        patient, visit = one(seed=3, **straight())
        drawn = opacities.draw_devices(dataclasses.replace(visit.devices, letter=letter), patient.anatomy, visit.frame)
        columns = np.nonzero(drawn)[1]
        assert np.sign(columns.mean() - 47.5) == side


def test_noise_falls_with_the_dose_and_follows_the_square_root_law():
    def spread(quanta):
        exposure = simulator.Exposure(
            quanta=quanta, scatter=0.0, equalisation=0.0, window=(1.0, 99.0), gamma=1.0, shutters=(0, 0, 0, 0)
        )
        ramp = np.tile(np.linspace(0, 1, 128, dtype=np.float32), (128, 1))
        image = simulator.expose(ramp, exposure, np.random.default_rng(0)).astype(float)
        return np.std((image - image.mean(0))[:, 40:90])

    assert spread(10_000) / spread(40_000) == pytest.approx(2, rel=0.1)


def test_patches_stay_in_their_place_from_image_to_image():
    patient, visit = one(seed=5, subtlety=0.2, **straight())
    boxes = [render(patient, visit, seed=seed)[1].boxes[0] for seed in range(4)]
    centres = np.array([(box[:2] + box[2:]) / 2 for box in boxes])
    assert np.ptp(centres, axis=0).max() < 0.1


def test_smooth_noise_is_standardised_and_smooth():
    noise = simulator.smooth_noise(np.random.default_rng(0), 64, 6)
    assert (noise.mean(), noise.std()) == pytest.approx((0, 1), abs=1e-5)
    assert np.abs(np.diff(noise, axis=0)).max() < 0.6


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("patients", 0),
        ("image_size", 16),
        ("prevalence", 1.2),
        ("confounder", -0.1),
        ("subtlety", (0.6, 0.2)),
        ("seed", -1),
    ],
)
def test_a_value_out_of_range_is_refused_with_its_name(field, value):
    with pytest.raises(errors.InputError, match=rf"{field}: expected .* Received: ") as caught:
        phantoms.Settings(**{field: value})
    assert repr(value) in str(caught.value)


def test_a_random_patch_is_in_a_lung_by_its_own_coordinates():
    patches = [opacities.random_patch(np.random.default_rng(seed)) for seed in range(200)]
    assert all(0.1 < patch.level < 0.9 and 0.2 < patch.lateral < 0.9 for patch in patches)
    assert 0.3 < np.mean([patch.right_side for patch in patches]) < 0.8
