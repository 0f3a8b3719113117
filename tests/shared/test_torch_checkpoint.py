"""Weights in PyTorch's old format, written here opcode by opcode so that no PyTorch is needed."""

import io
import pathlib
import struct
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import errors
from shared.models import torch_files

VALUES = np.arange(24, dtype="<f4") / 4
START, END = b"\x80\x02", b"."


def text(content: str) -> bytes:
    return b"X" + struct.pack("<I", len(content)) + content.encode()


def tuple_of(*parts: bytes) -> bytes:
    return b"(" + b"".join(parts) + b"t"


def number(value: int) -> bytes:
    return b"J" + struct.pack("<i", value)


def tensor(offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *, count: int = 24) -> bytes:
    storage = tuple_of(text("storage"), b"ctorch\nFloatStorage\n", text("7"), text("cpu"), number(count), b"N") + b"Q"
    sizes = [tuple_of(*map(number, sizes)) for sizes in (shape, strides)]
    hooks = b"ccollections\nOrderedDict\n)R"
    return b"ctorch._utils\n_rebuild_tensor_v2\n" + tuple_of(storage, number(offset), *sizes, b"\x89", hooks) + b"R"


def checkpoint(**tensors: bytes) -> bytes:
    items = b"".join(text(name) + content for name, content in tensors.items())
    weights = b"ccollections\nOrderedDict\n)R(" + items + b"u"
    magic = b"\x8a\x0a" + (0x1950A86A20F9469CFC6C).to_bytes(10, "little")
    machine = b"}" + text("little_endian") + b"\x88s"
    pickles = (magic, number(1001), machine, weights, b"](" + text("7") + b"e")
    header = b"".join(START + content + END for content in pickles)
    return header + struct.pack("<q", len(VALUES)) + VALUES.tobytes()


@given(st.integers(0, 5), st.tuples(*[st.integers(1, 3)] * 3), st.tuples(*[st.integers(0, 3)] * 3))
def test_each_value_is_found_where_offset_and_strides_put_it(
    offset: int, shape: tuple[int, int, int], strides: tuple[int, int, int]
) -> None:
    got = torch_files.read_torch(checkpoint(a=tensor(offset, shape, strides)), name="file")["a"]
    assert got.shape == shape
    assert got.dtype == np.float32
    for index in np.ndindex(shape):
        assert got[index] == VALUES[offset + sum(i * step for i, step in zip(index, strides, strict=True))]


def test_two_arrays_may_share_their_values() -> None:
    got = torch_files.read_torch(checkpoint(a=tensor(0, (4,), (1,)), b=tensor(2, (2, 3), (3, 1))), name="file")
    np.testing.assert_array_equal(got["a"], VALUES[:4])
    np.testing.assert_array_equal(got["b"], VALUES[2:8].reshape(2, 3))


def test_a_file_that_calls_a_function_is_refused_before_the_call(tmp_path: pathlib.Path) -> None:
    victim = tmp_path / "victim"
    victim.touch()
    attack = b"cos\nunlink\n" + tuple_of(text(str(victim))) + b"R"
    with pytest.raises(errors.InputError, match=r"file: expected weights .*Received: the name os\.unlink"):
        torch_files.read_torch(checkpoint(a=attack), name="file")
    assert victim.exists()


@pytest.mark.parametrize(
    ("planted", "message"),
    [
        (checkpoint(a=tensor(20, (5,), (1,))), "a view up to value 24 of a storage of 24"),
        (checkpoint(a=tensor(4, (5,), (-1,))), "a view"),
        (checkpoint(a=tensor(0, (5,), (1,), count=23)), "24 values where 23 were announced"),
        (checkpoint(a=text("no array")), "something else than arrays"),
        (checkpoint(a=tensor(0, (2,), (1,)))[:-1], "cut off"),
        (checkpoint(a=tensor(0, (2,), (1,))).replace(b"\x8a\x0a\x6c", b"\x8a\x0a\x6d"), "magic number"),
        (b"", ""),
        (START + number(1) + END, ""),
    ],
)
def test_a_broken_file_is_refused_with_what_is_wrong_in_it(planted: bytes, message: str) -> None:
    with pytest.raises(errors.InputError, match=f"file: expected weights .*Received: .*{message}"):
        torch_files.read_torch(planted, name="file")


def test_the_format_since_1_6_is_refused() -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("archive/data.pkl", b"")
    with pytest.raises(errors.InputError, match=r"format before 1\.6"):
        torch_files.read_torch(archive.getvalue(), name="file")
