"""One version of a model in memory: loaded, checked, warmed up, with its engine, its batches and its drift panel."""

import asyncio
import contextlib
import gc
import math
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from shared import monitoring
from shared.bundle import engines
from shared.bundle import reading as bundle
from shared.serving import batching, refusals, settings

DEFAULT = "serving_default"
# A number in JSON at its longest, with its comma.
NUMBER_BYTES = 24
_ROWS_WARMED = (1, 4, 16)
# Objects with references that are made before the collector looks for cycles among them; a request makes some dozens,
# and leaves none in a cycle.
_COLLECT_AFTER = 20_000


def renamed(given: Any, names: Mapping[str, str]) -> Any:
    """Return rows, or columns, whose inputs have the names that the signature gives them.

    >>> renamed([{"risk-a": 1, "amount": 2}], {"risk-a": "risk_a_2"})
    [{'risk_a_2': 1, 'amount': 2}]
    """
    if not names:
        return given
    if isinstance(given, list):
        return [_renamed(row, names) for row in given]
    return _renamed(given, names)


def _renamed(row: Any, names: Mapping[str, str]) -> Any:
    return {names.get(name, name): value for name, value in row.items()} if isinstance(row, dict) else row


class Version:
    """A version that answers.

    Args:
        loaded: The bundle.
        options: The server's settings.
        on_served: Told of each batch.
    """

    def __init__(
        self,
        loaded: bundle.Bundle,
        options: settings.Settings,
        on_served: Callable[[batching.Served], None] = lambda _served: None,
    ) -> None:
        self.name, self.number = loaded.name, loaded.version
        self.signatures = {name: (loaded.inputs(name), loaded.outputs(name)) for name in loaded.signatures}
        # An output whose size hangs on the content, such as one number per word, is padded to the longest of a batch.
        self._alone = {name for name, (_, given) in self.signatures.items() if _has_free_size(given)}
        self.decision = loaded.extra("decision.json")
        own = self.signatures[DEFAULT][0]
        originals = loaded.extra("manifest.json").get("input_names", {})
        # What the source calls an input; a name that is an input's own means that one.
        self.input_names = {given: name for name, given in originals.items() if given not in own}
        golden = loaded.extra("golden.json")["inputs"]
        self.example = {name: values[-1] for name, values in golden.items()}
        found = engines.with_engine(loaded, options.engine)
        self.bundle: bundle.Bundle = found
        self.engine_name = found.engine.name
        self._plain = {DEFAULT, found.engine.signature}
        bundle.replay(loaded, tolerance=bundle.TOLERANCE_ELSEWHERE)
        self._warm_up({name: bundle.decode(values) for name, values in golden.items()})
        outputs = {name: given for name, (_, given) in self.signatures.items()}
        self._answer_bytes = {name: sum(map(_row_bytes, given.values())) for name, given in outputs.items()}
        # What takes long, such as explanations, has a thread of its own: plain answers do not wait for it.
        self._quick, self._slow = (
            batching.Batcher(
                self._run,
                batch_rows=options.batch_rows,
                queue_rows=options.queue_rows,
                wait_seconds=options.batch_wait_seconds,
                on_served=on_served,
            )
            for _ in range(2)
        )
        self.watch = monitoring.Watch(loaded, rows_per_second=options.drift_rows_per_second)

    @property
    def names(self) -> tuple[str, str]:
        """Its model's name, and its number in digits: what metrics call it."""
        return self.name, str(self.number)

    @property
    def waiting_rows(self) -> int:
        """Rows that wait for an answer."""
        return self._quick.waiting_rows + self._slow.waiting_rows

    @property
    def class_names(self) -> list[str]:
        """The names of the classes, in the order of the scores; none where the bundle names none."""
        return list(self.decision.get("class_names", []))

    def specs(self, signature: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        """Return a signature's inputs and outputs.

        Raises:
            refusals.Refusal: There is no such signature.
        """
        if not isinstance(signature, str) or signature not in self.signatures:
            raise refusals.Refusal(
                f"expected a signature of {sorted(self.signatures)}. Received: {refusals.shown(signature)}"
            )
        return self.signatures[signature]

    def answer_bytes(self, signature: str, wanted: Iterable[str] | None = None) -> int:
        """Return how many bytes of JSON a row of an answer has about, as far as its shape is known.

        Args:
            signature: Which signature.
            wanted: The outputs that the answer has; None: all.
        """
        if wanted is None:
            return self._answer_bytes[signature]
        given = self.signatures[signature][1]
        return sum(_row_bytes(given[name]) for name in wanted)

    async def answer(
        self, inputs: Mapping[str, npt.NDArray[Any]], *, signature: str, deadline: float
    ) -> dict[str, npt.NDArray[Any]]:
        """Answer a request, together with others.

        Args:
            inputs: One array (rows, ...) per input.
            signature: Which signature.
            deadline: ``time.monotonic()`` until which somebody waits.

        Raises:
            refusals.Refusal: The model cannot read the input, or did not begin in time; see ``batching``.
        """
        batcher = self._quick if signature in self._plain else self._slow
        future = batcher.submit(signature, inputs, deadline=deadline, alone=signature in self._alone)
        outputs = await asyncio.wrap_future(future)
        if signature == DEFAULT:
            self.watch.see(inputs)
        return outputs

    def retire(self, seconds: float | None = None) -> bool:
        """Finish what was accepted and free the memory; blocks until then, or for so long.

        Returns:
            Whether all was finished.
        """
        until = None if seconds is None else time.monotonic() + seconds
        finished = [
            batcher.close(None if until is None else max(until - time.monotonic(), 0.0))
            for batcher in (self._quick, self._slow)
        ]
        self.watch.close()
        self.bundle = bundle.Bundle(path=self.bundle.path, name=self.name, version=self.number, loaded=None)
        free_memory()
        return all(finished)

    def _run(self, signature: str, inputs: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
        """Run one batch; what the graph refuses is the client's fault."""
        try:
            return self.bundle.run(inputs, signature=signature)
        except Exception as error:
            import tensorflow as tf

            if not isinstance(error, tf.errors.InvalidArgumentError | tf.errors.OutOfRangeError):
                raise
            raise refusals.Refusal(
                f"expected an input that the model can read. Received: {error.message:.200}"
            ) from None

    def _warm_up(self, inputs: Mapping[str, npt.NDArray[Any]]) -> None:
        """Answer a few golden inputs in several batch sizes, so that the first request does not pay for tracing."""
        for rows in _ROWS_WARMED:
            some = {name: _resized(values, rows) for name, values in inputs.items()}
            for signature, (specs, _) in self.signatures.items():
                if set(specs) == set(inputs) and (rows == 1 or signature in self._plain):
                    with contextlib.suppress(refusals.Refusal):
                        self._run(signature, some)


def spare_collector() -> None:
    """Keep what is loaded out of the rounds of Python's collector, and let it look less often; see ``free_memory``."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER, *gc.get_threshold()[1:])


def free_memory() -> None:
    """Free what nobody refers to, also of what the collector passes over; it goes on passing over the rest."""
    frozen = gc.get_freeze_count() > 0
    gc.unfreeze()
    gc.collect()
    if frozen:
        gc.freeze()


def _row_bytes(spec: Any) -> int:
    values: int = math.prod(size or 1 for size in spec.shape[1:])
    return values * (1 if spec.dtype.name == "string" else NUMBER_BYTES)


def _has_free_size(specs: Mapping[str, Any]) -> bool:
    return any(size is None for spec in specs.values() for size in spec.shape[1:])


def _resized(values: npt.NDArray[Any], rows: int) -> npt.NDArray[Any]:
    return values[np.arange(rows) % len(values)]
