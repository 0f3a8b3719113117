"""What the calls of the Python API return: a report, an explanation, a bundle that was written."""

import base64
import dataclasses
import html
import importlib.util
import pathlib
import tempfile
import webbrowser
from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from shared import files

_HEIGHT_PIXELS = 720
_PICTURES = {".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg"}


class Metric(float):
    """A metric's value, a number like any other, with its interval.

    Attributes:
        low: Lower end of the interval.
        high: Upper end.
        confidence: Share of intervals that hold the true value.
        method: How the interval was made.

    >>> accuracy = Metric({"value": 0.9, "low": 0.85, "high": 0.94, "confidence": 0.95, "method": "Wilson"})
    >>> accuracy, accuracy > 0.5, accuracy.low
    (0.9 (0.85 to 0.94), True, 0.85)
    """

    def __new__(cls, content: Mapping[str, Any]) -> "Metric":
        """Take a metric of ``metrics.json``."""
        made = super().__new__(cls, content["value"])
        made.low, made.high = float(content["low"]), float(content["high"])
        made.confidence, made.method = float(content.get("confidence", 0.95)), str(content.get("method", ""))
        return made

    low: float
    high: float
    confidence: float
    method: str

    def __repr__(self) -> str:
        """Return the value with its interval."""
        return f"{float(self):.4g} ({self.low:.4g} to {self.high:.4g})"

    __str__ = __repr__

    def __reduce__(self) -> tuple[Any, ...]:
        """Return what a copy is made of."""
        return Metric, ({"value": float(self), **vars(self)},)


class Page:
    """A self-contained page or picture, shown in a notebook or in a browser."""

    def __init__(self, content: bytes, suffix: str) -> None:
        """Take the file's bytes and the end of its name."""
        self._content = content
        self._suffix = suffix.lower()

    def _repr_html_(self) -> str:
        """Return what a notebook shows: the page in a frame, which keeps its styles to itself."""
        if self._suffix in _PICTURES:
            encoded = base64.b64encode(self._content).decode("ascii")
            return f'<img alt="explanation" src="data:{_PICTURES[self._suffix]};base64,{encoded}">'
        page = html.escape(self._content.decode("utf-8"), quote=True)
        # Scripts of the page may run; it reaches neither the notebook nor its cookies.
        return (
            f'<iframe sandbox="allow-scripts" title="report" srcdoc="{page}" '
            f'style="width:100%;height:{_HEIGHT_PIXELS}px;border:0"></iframe>'
        )

    def show(self) -> None:
        """Show it in the notebook's cell; elsewhere in the browser."""
        if _in_notebook():
            from IPython import display

            display.display(display.HTML(self._repr_html_()))
            return
        # The browser reads it after this call has returned: the file stays in the system's temporary folder.
        with tempfile.NamedTemporaryFile(suffix=self._suffix, prefix="fieldnets-", delete=False) as stream:
            stream.write(self._content)
        webbrowser.open(pathlib.Path(stream.name).as_uri())

    def save(self, path: str | pathlib.Path) -> pathlib.Path:
        """Write the page or picture, and return its path."""
        with files.atomic(pathlib.Path(path)) as temporary:
            temporary.write_bytes(self._content)
        return pathlib.Path(path)


def _in_notebook() -> bool:
    if importlib.util.find_spec("IPython") is None:
        return False
    import IPython

    shell = IPython.get_ipython()
    return shell is not None and type(shell).__name__ == "ZMQInteractiveShell"


class Report(Page, Mapping[str, Any]):
    """An evaluation: what ``metrics.json`` holds, as a mapping, and the report's page.

    Attributes:
        folder: Where ``metrics.json``, ``report.html`` and ``predictions.parquet`` lie.
    """

    def __init__(self, folder: pathlib.Path) -> None:
        """Read an evaluation that `evaluate` wrote.

        Raises:
            errors.InputError: There is none.
        """
        self.folder = folder
        self._metrics = files.read_json(folder / "metrics.json")
        super().__init__(self.path.read_bytes(), self.path.suffix)

    @property
    def path(self) -> pathlib.Path:
        """The page."""
        return self.folder / "report.html"

    @property
    def metrics(self) -> dict[str, Metric]:
        """Each metric of the model, by name."""
        return {name: Metric(content) for name, content in self._metrics["metrics"].items()}

    @property
    def baselines(self) -> dict[str, dict[str, Metric]]:
        """Each metric of each baseline, by name."""
        return {
            baseline: {name: Metric(content) for name, content in values.items()}
            for baseline, values in self._metrics["baselines"].items()
        }

    @property
    def predictions(self) -> pd.DataFrame:
        """The prediction of every row of the part that was evaluated, with its label."""
        return pd.read_parquet(self.folder / "predictions.parquet")

    def to_frame(self) -> pd.DataFrame:
        """Return a row for each metric of the model and the baselines: value, low, high."""
        groups = {"model": self.metrics, **self.baselines}
        rows = {
            (group, name): (float(metric), metric.low, metric.high)
            for group, metrics in groups.items()
            for name, metric in metrics.items()
        }
        index = pd.MultiIndex.from_tuples(rows, names=["predictor", "metric"])
        return pd.DataFrame(list(rows.values()), index=index, columns=["value", "low", "high"])

    def __getitem__(self, name: str) -> Any:
        """Return an entry of ``metrics.json``, such as ``slices``."""
        return self._metrics[name]

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names of the entries."""
        return iter(self._metrics)

    def __len__(self) -> int:
        """Return how many entries there are."""
        return len(self._metrics)

    def __repr__(self) -> str:
        """Return the metrics and where the page is."""
        shown = ", ".join(f"{name}={value!r}" for name, value in self.metrics.items())
        return f"Report({shown}, path={str(self.path)!r})"


class Explanation(Page):
    """Why the model predicts what it predicts for one input.

    Attributes:
        summary: What the command line prints of it.
    """

    def __init__(self, path: pathlib.Path, summary: Mapping[str, Any]) -> None:
        """Read what `explain` wrote."""
        super().__init__(path.read_bytes(), path.suffix)
        self.summary = dict(summary)

    def __repr__(self) -> str:
        """Return the summary."""
        return f"Explanation({self.summary})"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bundle:
    """A serving bundle that was written and replayed.

    Attributes:
        path: Its version folder.
        version: Its version.
        parity: The largest difference of each output between the run and the bundle.
    """

    path: pathlib.Path
    version: int
    parity: Mapping[str, float]

    def __fspath__(self) -> str:
        """Return the path, so that it can be opened and loaded by it."""
        return str(self.path)
