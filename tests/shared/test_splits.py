import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared import errors, splits
from shared.splits import parts


def split_of(part, unit):
    return splits.Split(
        part=np.array(part),
        unit=np.array(unit, dtype=np.int64),
        unit_name="patient",
        method="by hand",
        seed=0,
    )


def certify(part, unit, hashes, labels=None):
    labels = np.zeros(len(part), dtype=int) if labels is None else labels
    return splits.certificate(
        split_of(part, unit), labels=labels, content_hashes=hashes, class_names=["only"], checks={"found": 3}
    )


rows_of_units = st.lists(
    st.tuples(st.integers(-(2**62), 2**62), st.integers(1, 6), st.integers(0, 2)), min_size=12, max_size=60,
    unique_by=lambda unit: unit[0],
)  # fmt: skip


@given(units=rows_of_units, seed=st.integers(0, 5), order=st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_no_unit_crosses_and_the_order_of_rows_does_not_matter(units, seed, order):
    rows = [(name, label) for name, size, label in units for _ in range(size)]
    shuffled = order.sample(rows, len(rows))

    def parts(table):
        names, labels = zip(*table, strict=True)
        found = splits.assign(names, labels, fractions=(0.6, 0.2, 0.2), seed=seed)
        return {(name, part) for name, part in zip(names, found.tolist(), strict=True)}

    try:
        expected = parts(rows)
    except errors.InputError:
        with pytest.raises(errors.InputError, match="independent groups"):
            parts(shuffled)
        return
    assert parts(shuffled) == expected
    assert len(expected) == len(units), "every unit is in exactly one part"


def test_fractions_are_reached_to_the_row_for_single_rows():
    labels = np.repeat([0, 1, 2], [700, 200, 100])
    part = splits.assign(np.arange(1000), labels, fractions=(0.8, 0.1, 0.1), seed=3)
    for label, rows in ((0, 700), (1, 200), (2, 100)):
        counts = [int(((labels == label) & (part == name)).sum()) for name in splits.PARTS]
        assert counts == [0.8 * rows, 0.1 * rows, 0.1 * rows]


def test_units_of_very_different_sizes_still_come_near_the_fractions():
    sizes = np.random.default_rng(0).geometric(0.05, size=400)
    units = np.repeat(np.arange(400), sizes)
    part = splits.assign(units, np.zeros(units.size), fractions=(0.7, 0.15, 0.15), seed=1)
    reached = [float((part == name).mean()) for name in splits.PARTS]
    assert reached == pytest.approx([0.7, 0.15, 0.15], abs=0.005)


def test_another_seed_gives_another_split_and_every_row_is_tested_under_some_seed():
    tested = [
        set(np.flatnonzero(splits.assign(np.arange(60), np.zeros(60), seed=seed) == "test")) for seed in range(80)
    ]
    assert tested[0] != tested[1]
    assert set.union(*tested) == set(range(60))


def test_thirty_rows_of_two_classes_put_both_classes_in_every_part():
    labels = np.repeat([0, 1], 15)
    part = splits.assign(np.arange(30), labels, seed=0)
    assert {(name, label) for name, label in zip(part.tolist(), labels.tolist(), strict=True)} == {
        (name, label) for name in splits.PARTS for label in (0, 1)
    }


def test_a_rare_class_of_three_rows_reaches_every_part():
    labels = np.repeat([0, 1], [97, 3])
    part = splits.assign(np.arange(100), labels, seed=0)
    assert sorted(part[97:].tolist()) == ["test", "train", "validation"]


def test_too_few_units_of_a_class_are_refused_by_its_name():
    with pytest.raises(errors.InputError, match=r"at least 3 independent groups of 'neutral'.*Received: 2"):
        splits.assign(np.arange(42), np.repeat([0, 1], [40, 2]), seed=0, class_names=["negative", "neutral"])


def test_a_part_of_share_zero_stays_empty():
    part = splits.assign(np.arange(20), np.arange(20) % 2, fractions=(0.5, 0.5, 0.0), seed=0)
    assert set(part) == {"train", "validation"}


@pytest.mark.parametrize("fractions", [(0.8, 0.1), (0.8, 0.1, 0.2), (1.2, -0.1, -0.1), (0.0, 0.5, 0.5)])
def test_impossible_fractions_are_refused(fractions):
    with pytest.raises(errors.InputError, match="Received"):
        splits.assign([1, 2, 3], [0, 0, 0], fractions=fractions, seed=0)


def test_units_follow_their_official_part():
    fixed = np.array(["test", "", "", "train", "", ""])
    part = splits.assign([5, 5, 6, 6, 7, 8], [0] * 6, seed=0, fixed=fixed)
    assert part[:4].tolist() == ["test", "test", "train", "train"]


def test_a_unit_of_two_official_parts_is_an_error_that_names_rows():
    with pytest.raises(errors.GateError, match=r"row 1 \(train\) and row 3 \(test\)"):
        splits.assign([5, 6, 5], [0] * 3, seed=0, fixed=["train", "train", "test"])


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), min_size=1, max_size=40))
def test_merged_units_are_the_connected_components_found_by_repeated_relabelling(pairs):
    first, second = (np.array(column) for column in zip(*pairs, strict=True))
    expected = np.arange(len(pairs))
    for _ in pairs:
        for column in (first, second):
            for value in np.unique(column):
                expected[column == value] = expected[column == value].min()
    merged = splits.merge_units(first, second)
    assert np.array_equal(merged[:, None] == merged, expected[:, None] == expected)


def test_pairs_become_units_through_chains():
    assert splits.units_of_pairs(np.array([[4, 2], [2, 0]]), rows=5).tolist() == [0, 1, 0, 2, 0]


def test_names_of_units_depend_on_content_only():
    units, hashes = np.array([0, 0, 1, 2]), np.array([9, 4, 2**64 - 1, 7], dtype=np.uint64)
    order = np.array([3, 1, 2, 0])
    assert splits.name_units(units, hashes).tolist() == [4, 4, -1, 7]
    assert splits.name_units(units[order], hashes[order]).tolist() == [7, 4, -1, 4]


def test_the_certificate_counts_and_hashes_each_part():
    document = certify(["train", "train", "test", ""], [1, 1, 2, 3], [30, 10, 20, 10])
    assert document["counts"]["train"] == {"rows": 2, "units": 1, "classes": {"only": 2}}
    assert (document["rows"], document["units"], document["left_out_rows"]) == (3, 2, 1)
    assert document["sha256"]["train"] == hashlib.sha256((10).to_bytes(8) + (30).to_bytes(8)).hexdigest()
    assert document["checks"] == {"found": 3}


def test_a_crossing_unit_is_refused_and_its_rows_named():
    with pytest.raises(
        errors.GateError, match=r"every unit \(patient\) in one part.*row 2 \(train\) and row 3 \(test\)"
    ):
        certify(["train", "train", "test"], [1, 2, 2], [1, 2, 3])


def test_identical_content_in_two_parts_is_refused():
    with pytest.raises(errors.GateError, match=r"identical content.*row 1 \(train\) and row 2 \(validation\)"):
        certify(["train", "validation"], [1, 2], [7, 7])


def test_changed_data_do_not_match_a_recorded_certificate():
    recorded = certify(["train", "test"], [1, 2], [10, 20])
    split = split_of(["train", "test"], [1, 2])
    splits.require_same(recorded, split, content_hashes=[10, 20])
    with pytest.raises(errors.GateError, match="The test part is not the one"):
        splits.require_same(recorded, split, content_hashes=[10, 21])


def test_rows_of_a_part_are_asked_for_by_its_name():
    split = split_of(["test", "train", "test"], [1, 2, 3])
    assert split.rows("test").tolist() == [0, 2]
    with pytest.raises(errors.InputError, match="Received: 'dev'"):
        split.rows("dev")


def test_a_written_split_reads_back(tmp_path):
    split = split_of(["test", "", "train"], [1, 2, 3])
    parts.write_csv(tmp_path / "split.csv", split)
    assert (tmp_path / "split.csv").read_text().splitlines()[1] == "1,test"
    assert parts.read_csv(tmp_path / "split.csv", rows=3).tolist() == split.part.tolist()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("row,part\n1,train\n1,test\n", r"line 3.*'1', named twice"),
        ("row,part\n4,train\n", r"line 2.*'4', not in the data"),
        ("row,part\n1,holdout\n", r"line 2.*'holdout'"),
        ("row;part\n1;train\n", r"Received: row;part"),
    ],
)
def test_a_split_file_with_a_fault_is_refused_with_its_line(tmp_path, content, message):
    path = tmp_path / "split.csv"
    path.write_text(content)
    with pytest.raises(errors.InputError, match=message):
        parts.read_csv(path, rows=3)


def test_a_split_file_may_name_rows_by_identity_and_call_validation_dev(tmp_path):
    path = tmp_path / "split.csv"
    path.write_text("id,part\nb,dev\na,Test\n")
    assert parts.read_csv(path, rows=3, identities=["a", "b", "c"]).tolist() == ["test", "validation", ""]
