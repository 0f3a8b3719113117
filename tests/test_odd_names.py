"""Names of files that the file system takes are taken by every reader and writer, and come out as they went in."""

import io
import os
import pathlib
import shutil
from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd
import PIL.Image
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from apps.driving_perception.tracking import stream
from apps.fraud_detection import schema as schemas
from apps.fraud_detection.readers import sources
from apps.medical_imaging import __main__ as medical
from apps.medical_imaging import data as radiographs
from apps.sentiment import __main__ as sentiment
from apps.sentiment.readers import checking
from shared import batch, files, resuming
from tests import helpers

ODD = [
    *(
        "[1]",
        "a?b*c",
        " blank ",
        'it\'s "quoted"',
        "100%d%20",
        "007",
        "1e5",
        "NA",
        "a:b",
        "-rf",
        "#x;y,z",
        "{0}",
        "$HOME",
    ),
    *("x" * 200, "שלום", "\u202eevil", "né😀", "e\u0301", "line\nbreak", "a\\b", os.fsdecode(b"caf\xe9 \xff\xfe")),
]
# Bytes, as file systems have them; shorter than the longest name by a suffix and a folder's own ending.
NAMES = st.one_of(
    st.sampled_from(ODD),
    st.binary(min_size=1, max_size=40)
    .map(lambda raw: os.fsdecode(raw.replace(b"/", b"").replace(b"\0", b"")))
    .filter(lambda name: bool(name) and not name.startswith(".")),
)


def texts(path: pathlib.Path) -> Iterator[pd.DataFrame]:
    path.write_text("text\nfine film\n")
    return checking.iterate_texts([str(path)])


def png() -> bytes:
    stream_of_bytes = io.BytesIO()
    PIL.Image.fromarray(np.arange(64 * 64, dtype=np.uint8).reshape(64, 64)).save(stream_of_bytes, "PNG")
    return stream_of_bytes.getvalue()


def radiograph(path: pathlib.Path) -> Iterator[pd.DataFrame]:
    path.write_bytes(png())
    return (frame for frame, _ in radiographs.iterate_images([path], chunk_rows=4))


def picture(path: pathlib.Path) -> Iterator[pd.DataFrame]:
    path.write_bytes(png())
    return (frame for frame, _ in stream.iterate([path], chunk_rows=4))


def transactions(path: pathlib.Path) -> Iterator[pd.DataFrame]:
    path.write_text("id,time,amount\n007,2024-01-01 10:00:00,1.5\n")
    from apps.fraud_detection import predict

    schema = schemas.Schema(time="time", time_unit="datetime", amount="amount", id="id", label=None, entities={})
    places: list[pd.DataFrame] = []
    for _ in predict._placed(sources.iterate([str(path)], schema), places):
        yield places.pop()


READERS = [(texts, ".csv"), (radiograph, ".png"), (picture, ".png")]
READERS_BESIDE_TENSORFLOW = [pytest.param(transactions, ".csv", marks=pytest.mark.tensorflow)]


@pytest.mark.parametrize(("read", "suffix"), [*READERS, *READERS_BESIDE_TENSORFLOW])
@given(name=NAMES)
@example(name="[1]")
@example(name=os.fsdecode(b"caf\xe9 \xff\xfe"))
def test_an_input_of_any_name_has_its_path_in_the_output(
    tmp_path: pathlib.Path, read: Callable[[pathlib.Path], Iterator[pd.DataFrame]], suffix: str, name: str
) -> None:
    folder = tmp_path / name
    folder.mkdir(exist_ok=True)
    path, output = folder / f"{name}{suffix}", folder / f"{name}-out.csv"
    frame = pd.concat(read(path))
    assert frame["file"].tolist() == [files.printable(path)]
    plan = {"inputs": resuming.inputs([path])}
    batch.predict([frame[["file"]]], lambda chunk: chunk, output=output, plan=plan, overwrite=True)
    with output.open("rb") as written:
        assert pd.read_csv(written, dtype=str, keep_default_na=False)["file"].tolist() == [files.printable(path)]
    assert sorted(each.name for each in folder.iterdir()) == sorted([path.name, output.name])


@given(names=st.lists(NAMES, min_size=2, max_size=5, unique_by=files.printable))
def test_names_that_differ_are_shown_differently_and_can_be_written(tmp_path: pathlib.Path, names: list[str]) -> None:
    shown = list(map(files.printable, names))
    assert len(set(shown)) == len(names)
    assert [name.encode().decode() for name in shown] == shown
    for name in names:
        files.write_json(tmp_path / name, {"name": name})
        assert files.read_json(tmp_path / name) == {"name": name}


@pytest.mark.parametrize("name", [os.fsdecode(b"caf\xe9 \xff"), "[1]?", "007"])
def test_a_data_set_of_files_of_odd_names_is_described_and_written(tmp_path: pathlib.Path, name: str) -> None:
    table = tmp_path / f"{name}.csv"
    table.write_text("text,label\n" + "".join(f"film number {row} {row**7},{row % 2}\n" for row in range(40)))
    pixels = np.random.default_rng(0).integers(0, 256, (16, 64, 64), np.uint8)
    for row, image in enumerate(pixels):
        path = tmp_path / "images" / ("sick" if row % 2 else "well") / f"{name}{row}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as stream_of_bytes:
            PIL.Image.fromarray(image).save(stream_of_bytes, "PNG")
    for main, source in ((sentiment.main, table), (medical.main, tmp_path / "images")):
        folder = tmp_path / f"{source.stem} of {name}"
        assert main(["data", "--data", str(source), "--output-dir", str(folder), "--quiet"]) == 0
        shown = (folder / "split.csv").read_text("utf-8")
        assert shown.count(files.printable(name)) >= shown.count("\n") - 1


@pytest.mark.tensorflow
@pytest.mark.parametrize("suffix", batch.FORMATS)
def test_names_that_look_like_numbers_or_like_nothing_are_read_back_as_they_are(
    tmp_path: pathlib.Path, suffix: str
) -> None:
    from apps.driving_perception import predict

    clips = ["007", "1e5", "NA", "null", "2024-01-01", "", "True"]
    table = pd.DataFrame({"file": [f"{clip}/1.png" for clip in clips], "clip": clips, "seconds": [None, *range(6)]})
    batch.predict([table], lambda chunk: chunk, output=tmp_path / f"o{suffix}", plan={})
    found = pd.concat(predict.written_rows(tmp_path / f"o{suffix}"))
    assert found["clip"].tolist() == clips
    assert found["file"].tolist() == table["file"].tolist()
    assert found["seconds"].isna().tolist() == [True, *[False] * 6]


@pytest.mark.slow
@pytest.mark.tensorflow
@pytest.mark.parametrize("app", helpers.APPS)
def test_every_verb_takes_folders_of_odd_names(
    app: str, shared_runs: pathlib.Path, tmp_path: pathlib.Path, command_line: helpers.CommandLine
) -> None:
    module, samples = f"apps.{app}", helpers.samples_of(app)
    odd = tmp_path / "it's [1] a?b*c #100% {0}"
    run = shutil.copytree(helpers.smoke_run(app, shared_runs).path, odd / "run 007")
    command_line.run(module, "data", "--write", odd / "data", "--json")
    command_line.run(module, "evaluate", "--run-dir", run, "--output-dir", odd / "evaluation")
    usual = samples.usual(odd / "data", odd)
    command_line.run(module, "explain", "--run-dir", run, samples.explain_input(usual), "--output", odd / "why.html")
    exported = command_line.run(module, "export", "--run-dir", run, "--output-dir", odd / "models", "--json").json
    assert (odd / "models") in pathlib.Path(exported["bundle"]).parents
    tables = []
    for number, model in enumerate((("--run-dir", run), ("--model-dir", odd / "models"))):
        output = odd / f"{number}.csv"
        command_line.run(module, "predict", *model, usual, *samples.READ_FLAGS, "--output", output)
        tables.append(pd.read_csv(output))
    assert tables[0]["file"].tolist() == tables[1]["file"].tolist()
    assert all(name.startswith(str(odd)) for name in tables[0]["file"])
    command_line.run(module, "monitor", "--model-dir", odd / "models", *samples.READ_FLAGS, "--data", usual)
    command_line.run(module, "tune", "--preset", "smoke", "--trials", "1", "--output-dir", odd / "search")
