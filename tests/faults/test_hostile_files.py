"""Every file that is read back or handed in, mutated: read, or one error of a sentence. Without the verbs."""

import bz2
import dataclasses
import gzip
import json
import lzma
import pathlib
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pyarrow
import pytest

from apps.driving_perception import classes
from apps.fraud_detection import feedback
from apps.medical_imaging import decision as medical
from apps.sentiment import dataset, readers
from apps.sentiment.readers import sources as texts
from shared import errors, files, splits
from shared.bundle import reading
from shared.serving import registry
from shared.sources import tables
from shared.splits import parts
from tests import helpers
from tests.faults import hostile_inputs, seeds, trials
from tests.shared import test_stored

Read = Callable[[pathlib.Path], Any]


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of file: its name, a good one, and what reads it."""

    name: str
    content: bytes
    read: Read


def of_json(content: Any) -> bytes:
    return json.dumps(content, indent=2).encode()


def of_rule(rule: Any) -> Kind:
    def read(path: pathlib.Path) -> Any:
        return type(rule).from_json(files.read_json(path), where=str(path))

    return Kind("decision.json", of_json(rule.to_json()), read)


def of_config(app: str) -> Kind:
    declared = helpers.config_of(app)

    def read(path: pathlib.Path) -> Any:
        return declared.from_json(files.read_json(path), where=str(path))

    return Kind("config.json", of_json(declared.smoke().to_json()), read)


def of_manifest(path: pathlib.Path) -> None:
    run = files.RunFolder(path.parent)
    for name in ("model.keras", "decision.json"):
        (path.parent / name).write_text(name)
    run.check_manifest()


def of_bundle(path: pathlib.Path) -> None:
    folder = path.parent / "1"
    (folder / reading.EXTRA).mkdir(parents=True, exist_ok=True)
    (folder / "saved_model.pb").write_bytes(b"")
    (folder / reading.MANIFEST).write_bytes(path.read_bytes())
    reading.check_manifest(folder)


def packed(kind: str) -> bytes:
    text = seeds.payments().to_csv(index=False).encode()
    if kind == "zst":
        stream = pyarrow.BufferOutputStream()
        with pyarrow.CompressedOutputStream(stream, "zstd") as written:
            written.write(text)
        return bytes(stream.getvalue())
    packers: dict[str, Callable[[bytes], bytes]] = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}
    return packers[kind](text)


NOTHING = {"files": {name: "0" * 64 for name in ("model.keras", "decision.json")}}
CODE = dataset.Code(names={"0": "negative"}, kinds=("digit",), note="n")
KINDS = {
    **{f"rule {type(rule).__name__} {number}": of_rule(rule) for number, rule in enumerate(test_stored.RULES)},
    **{f"config of {app}": of_config(app) for app in helpers.APPS},
    "certificate": Kind("split.json", of_json(helpers.a_certificate()), splits.read_certificate),
    "run manifest": Kind("manifest.json", of_json(NOTHING), of_manifest),
    "bundle manifest": Kind("manifest.json", of_json({"name": "a", "version": 1, **NOTHING}), of_bundle),
    "label codes": Kind(
        "labels.json",
        of_json(CODE.to_json()),
        lambda path: dataset.Code.from_json(files.read_json(path), where=str(path)),
    ),
    "labels of versions": Kind(
        "labels.json",
        of_json({"stable": 1, "canary": 2}),
        lambda path: registry._labels(registry.Model(path.parent, None)),
    ),
    "class file": Kind("classes.json", of_json({"automobile": "car", "tree": "ignore"}), classes.read),
    "split file": Kind(
        "parts.csv", b"row,part\n1,train\n2,test\n3,validation\n", lambda path: parts.read_csv(path, rows=3)
    ),
    "verdicts": Kind(
        "verdicts.csv",
        b"id,verdict\na,1\nb,no\n",
        lambda path: feedback.read(path, id_column="id", label_column=None),
    ),
    "table.csv": Kind("table.csv", seeds.payments().to_csv(index=False).encode(), tables.read),
    **{
        f"table.csv.{kind}": Kind(f"table.csv.{kind}", packed(kind), tables.read) for kind in ("gz", "bz2", "xz", "zst")
    },
    "class file in csv": Kind("classes.csv", b"name,class\nautomobile,car\ntree,ignore\n", classes.read),
    "several findings": Kind(
        "decision.json",
        of_json(test_stored.SEVERAL.to_json()),
        lambda path: medical.from_json(files.read_json(path), where=str(path)),
    ),
}


def try_kind(kind: Kind, folder: pathlib.Path, tried: trials.Trials, number: int, *, name: str) -> None:
    path = folder / kind.name
    for seed in range(number):
        content = hostile_inputs.mutated(kind.content, random.Random(f"{name} {seed}"))
        path.write_bytes(content)
        with tried.one(f"{name} {seed}: {content[:60]!r}"), hostile_inputs.in_time(20):
            said = "read"
            try:
                kind.read(path)
            except errors.FieldnetsError as error:
                said = str(error)
            assert 0 < len(said) <= 2_000


@pytest.mark.fault("hostile input")
@pytest.mark.parametrize("name", KINDS)
def test_a_mutated_file_is_read_or_is_one_error(name: str, tmp_path: pathlib.Path, tried: trials.Trials) -> None:
    kind = KINDS[name]
    try_kind(kind, tmp_path, tried, trials.count(20, 400), name=name)


@pytest.mark.fault("hostile input")
@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz"])
def test_a_mutated_archive_is_read_or_is_one_error(kind: str, tmp_path: pathlib.Path, tried: trials.Trials) -> None:
    content = seeds.archive(tmp_path, kind=kind).read_bytes()

    def read(path: pathlib.Path) -> None:
        with texts.opened(
            str(path), options=readers.Options(), data_format="auto", name=path.name, prefixed=False
        ) as found:
            for _ in found.items:
                pass

    try_kind(Kind(f"texts.{kind}", content, read), tmp_path, tried, trials.count(10, 400), name=kind)


@pytest.mark.fault("hostile input")
def test_a_mutated_parquet_table_is_read_or_is_one_error(tmp_path: pathlib.Path, tried: trials.Trials) -> None:
    pd.DataFrame({"a": np.arange(50), "b": ["x", "y"] * 25}).to_parquet(tmp_path / "a.parquet")
    content = (tmp_path / "a.parquet").read_bytes()
    try_kind(Kind("table.parquet", content, tables.read), tmp_path, tried, trials.count(20, 1_000), name="parquet")
