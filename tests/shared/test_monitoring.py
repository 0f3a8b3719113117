"""New columns beside the reference of a bundle."""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from shared import errors, monitoring
from shared.bundle import reading as bundle
from shared.evaluation import drift


@dataclasses.dataclass(frozen=True, kw_only=True)
class Doubling(bundle.Bundle):
    """A bundle whose signature ``drift`` doubles its input."""

    names: tuple[str, ...] = ("drift", "serving_default")

    @property
    def signatures(self) -> list[str]:
        return list(self.names)

    def run(self, inputs: Mapping[str, Any], *, signature: str = "serving_default") -> dict[str, np.ndarray]:
        assert signature == "drift"
        return {"doubled": 2 * np.asarray(inputs["x"])}

    def extra(self, filename: str) -> dict[str, Any]:
        assert filename == "drift_reference.json"
        return drift.reference({"doubled": 2 * np.arange(400.0)})


def bundle_of(*names: str) -> Doubling:
    return Doubling(path=pathlib.Path("bundles/x/1"), name="x", version=1, loaded=None, names=names)


def test_rows_are_asked_about_a_part_at_a_time_and_stay_in_order() -> None:
    sizes = []

    def ask(inputs: Mapping[str, Any]) -> dict[str, np.ndarray]:
        sizes.append(len(inputs["x"]))
        return monitoring.asking(bundle_of("drift"))(inputs)

    found = monitoring.in_batches(ask, {"x": np.arange(10)}, rows=4)
    assert found["doubled"].tolist() == list(range(0, 20, 2))
    assert sizes == [4, 4, 2]


def test_the_same_rows_do_not_drift_and_others_exit_with_3(tmp_path: pathlib.Path) -> None:
    loaded = bundle_of("drift")
    for shift, code in ((0.0, 0), (300.0, 3)):
        columns = monitoring.asking(loaded)({"x": np.arange(400.0) + shift})
        said = monitoring.monitor(loaded, columns, names={"doubled": "twice x"}, things="rows", output=tmp_path)
        assert said["exit_code"] == code
        assert said["drifted"] == ["doubled"][:code]
    assert "twice x" in (tmp_path / "report.html").read_text("utf-8")


def test_a_bundle_without_the_signature_is_refused_with_what_to_do() -> None:
    with pytest.raises(errors.InputError, match=r"signature drift; export the run again. Received: serving_default"):
        monitoring.asking(bundle_of("serving_default"))
