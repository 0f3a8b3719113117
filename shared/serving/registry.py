"""The models that a server holds: found in folders, swapped when a new version appears, retired when unwanted.

A folder is looked at as TF Serving looks at it: the newest versions are served, a new one replaces the oldest as soon
as it is loaded, checked and warm. One that cannot be loaded is refused and said so; what was served goes on. It is
tried again when its files change, and a few times more without, since what was lacking may have been memory.
``labels.json`` in a model's folder, ``{"stable": 2, "canary": 3}``, names versions, and keeps them served.
"""

import asyncio
import contextlib
import dataclasses
import logging
import pathlib
import time
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from shared import errors, files
from shared.bundle import reading as bundle
from shared.bundle import signing
from shared.serving import batching, refusals, settings, versions

log = logging.getLogger("fieldnets")

LABELS = "labels.json"
# How often, and after how long each time, a refused version is tried again though its files are the same: as TF Serving
# does by default (max_num_load_retries, load_retry_interval_micros).
RETRIES, RETRY_SECONDS = 5, 60.0
# Of each file of a folder: its name, size, and when it was written and changed, in nanoseconds.
State: TypeAlias = frozenset[tuple[str, int, int, int]]
OnServed = Callable[[str, int], Callable[[batching.Served], None]]


@dataclasses.dataclass
class Model:
    """A model's folder and what of it is in memory.

    Attributes:
        folder: The model's folder.
        pinned: The only version to serve; None: the newest, and new ones as they come.
        served: Version number -> version that answers.
        refused: Version number -> why it is not served.
        seen: Version number -> the state of its files before it was last tried.
        tries: Version number -> how often these files were tried, and when they last were, in monotonic seconds.
        labels: Label -> version number.
    """

    folder: pathlib.Path
    pinned: int | None
    served: dict[int, versions.Version] = dataclasses.field(default_factory=dict)
    refused: dict[int, str] = dataclasses.field(default_factory=dict)
    seen: dict[int, State] = dataclasses.field(default_factory=dict)
    tries: dict[int, tuple[int, float]] = dataclasses.field(default_factory=dict)
    labels: dict[str, int] = dataclasses.field(default_factory=dict)

    @property
    def name(self) -> str:
        """The model's name."""
        return self.folder.name


class Registry:
    """All models of a server.

    Args:
        options: The server's settings.
        on_served: Makes, for a model's name and version, what is told of each batch.
    """

    def __init__(self, options: settings.Settings, on_served: OnServed = lambda _name, _number: lambda _served: None):
        self._options, self._on_served = options, on_served
        self._key = None if options.require_signature is None else signing.public_key(options.require_signature)
        self.models: dict[str, Model] = {}
        self.open = False
        # Whether the server is about to stop: it answers, and tells balancers to ask others.
        self.draining = False
        for folder, pinned in folders(options.model_dirs):
            if folder.name in self.models:
                raise errors.InputError(f"--model-dir: expected each model once. Received: {folder.name} twice")
            self.models[folder.name] = Model(folder, pinned)

    def load(self) -> None:
        """Load every model, before anything is answered.

        Raises:
            errors.FieldnetsError: A model has no version that can be served.
        """
        for model in self.models.values():
            first: Exception | None = None
            for number in _wanted(model, self._options.keep_versions):
                first = self._load(model, number) or first
            while not model.served and (older := _older(model)):
                first = self._load(model, older) or first
            if not model.served:
                raise first or errors.InputError(f"{model.folder}: expected a bundle. Received: none")
        self.open = True

    def get(self, name: str, *, number: int | None = None, label: str | None = None) -> versions.Version:
        """Return the version that answers.

        Raises:
            refusals.NotFoundError: There is none of that name, number or label.
            refusals.UnavailableError: The server is stopping.
        """
        if not self.open:
            raise refusals.UnavailableError("expected a server that is ready. Received: one that starts or stops")
        model = self.model(name)
        if label is not None:
            if label not in model.labels:
                raise refusals.NotFoundError(
                    f"{name}: expected a label of {sorted(model.labels)}. Received: {label!r:.100}"
                )
            number = model.labels[label]
        if number is None:
            return model.served[max(model.served)]
        if number not in model.served:
            raise refusals.NotFoundError(f"{name}: expected a version of {sorted(model.served)}. Received: {number}")
        return model.served[number]

    def model(self, name: str) -> Model:
        """Return a model.

        Raises:
            refusals.NotFoundError: There is none of that name.
        """
        if name not in self.models:
            raise refusals.NotFoundError(f"expected a model of {sorted(self.models)}. Received: {name!r:.100}")
        return self.models[name]

    @property
    def ready(self) -> bool:
        """Whether requests should be sent here."""
        return self.open and not self.draining

    async def watch(self) -> None:
        """Look for new versions again and again, until cancelled."""
        while self._options.poll_seconds > 0:
            await asyncio.sleep(self._options.poll_seconds)
            await self.refresh()

    async def refresh(self) -> None:
        """Look at the folders once: load what is new, then retire what is not wanted any more."""
        for model in self.models.values():
            try:
                await asyncio.to_thread(self._add_new, model)
                await self._retire_old(model)
            except Exception:
                # Whatever goes wrong in one look, the next is taken.
                log.exception("%s: the folder could not be looked at", model.folder)

    async def close(self) -> None:
        """Stop answering: finish what was accepted, as far as there is time for it, and free all models."""
        self.open = False
        served = [version for model in self.models.values() for version in model.served.values()]
        for model in self.models.values():
            model.served = {}
        seconds = settings.RETIRING * self._options.shutdown_seconds
        finished = await asyncio.gather(*(asyncio.to_thread(version.retire, seconds) for version in served))
        if not all(finished):
            log.error("what was accepted was not finished within %g s", self._options.shutdown_seconds)

    def _add_new(self, model: Model) -> None:
        for number in _wanted(model, self._options.keep_versions):
            if number in model.served or not _changed(model, number):
                continue
            self._load(model, number)

    async def _retire_old(self, model: Model) -> None:
        wanted = _wanted(model, self._options.keep_versions)
        # Until all that is wanted answers, and where nothing is there any more, what is served goes on.
        if not wanted or not set(wanted) <= set(model.served):
            return
        for number in sorted(set(model.served) - set(wanted)):
            version = model.served[number]
            model.served = {kept: other for kept, other in model.served.items() if kept != number}
            await asyncio.to_thread(version.retire)
            log.info("%s version %d: retired", model.name, number)

    def _load(self, model: Model, number: int) -> Exception | None:
        """Load one version; return why it is refused."""
        folder = _there(model).get(number, model.folder / str(number))
        state = _state(folder)
        before = model.tries.get(number, (0, 0.0))[0] if state == model.seen.get(number) else 0
        model.seen[number], model.tries[number] = state, (before + 1, time.monotonic())
        try:
            if self._key is not None:
                signing.verify(folder, self._key)
            version = versions.Version(bundle.load(folder), self._options, self._on_served(model.name, number))
        except Exception as error:
            model.refused[number] = str(error)
            log.error("%s version %d: refused: %s", model.name, number, error)
            return error
        model.refused.pop(number, None)
        model.labels = _labels(model)
        # One assignment: whoever asks finds the old or the new ones, never none.
        model.served = {**model.served, number: version}
        log.info("%s version %d: serving (%s)", model.name, number, version.engine_name)
        return None


def folders(paths: Iterable[pathlib.Path]) -> list[tuple[pathlib.Path, int | None]]:
    """Return the model folders that paths mean, with the version where one is named.

    Raises:
        errors.InputError: There is no bundle.
    """
    found: list[tuple[pathlib.Path, int | None]] = []
    for path in (path.resolve() for path in paths):
        models = bundle.model_folders(path)
        if (path / bundle.MANIFEST).is_file():
            bundle.refuse_unfinished(path)
            found.append((path.parent, bundle.number(path)))
        elif bundle.versions(path):
            found.append((path, None))
        elif models:
            found += [(model, None) for model in models]
        else:
            raise errors.InputError(f"{path}: expected a bundle that `export` wrote. Received: no bundle")
    return found


def _wanted(model: Model, keep: int) -> list[int]:
    """Return the versions to serve, oldest first: the newest, and those with a label."""
    if model.pinned is not None:
        return [model.pinned]
    there = list(_there(model))
    model.labels = _labels(model)
    usable = [number for number in there if number not in model.refused or _changed(model, number)]
    return sorted({*usable[-keep:], *(number for number in model.labels.values() if number in usable)})


def _older(model: Model) -> int | None:
    """Return the newest version that was not tried yet."""
    if model.pinned is not None:
        return None
    return max((number for number in _there(model) if number not in model.refused), default=None)


def _there(model: Model) -> dict[int, pathlib.Path]:
    """Return the versions of a model's folder, oldest first."""
    return {bundle.number(folder): folder for folder in bundle.versions(model.folder)}


def _changed(model: Model, number: int) -> bool:
    """Return whether to try a version: it is new, is another since it was refused, or was refused some time ago.

    A file that is another may be one that is being copied.
    """
    folder = _there(model).get(number)
    if number not in model.refused or folder is None:
        return number not in model.refused
    count, last = model.tries.get(number, (0, 0.0))
    again = count <= RETRIES and time.monotonic() - last >= RETRY_SECONDS
    return again or _state(folder) != model.seen.get(number)


def _state(folder: pathlib.Path) -> State:
    """Return what changes whenever a file of a folder is written, added or removed."""
    found = set()
    for path in folder.rglob("*"):
        # A file may be renamed between the listing and the look, as rsync does with each.
        with contextlib.suppress(OSError):
            about = path.stat()
            found.add((str(path.relative_to(folder)), about.st_size, about.st_mtime_ns, about.st_ctime_ns))
    return frozenset(found)


def _labels(model: Model) -> dict[str, int]:
    """Return the labels of ``labels.json``; a file that cannot be read leaves those that were known."""
    path = model.folder / LABELS
    if not path.is_file():
        return {}
    try:
        found: Any = files.read_json(path)
        if not isinstance(found, dict) or not all(type(number) is int for number in found.values()):
            raise errors.InputError(f'{path}: expected {{"label": version, ...}}. Received: {found!r:.100}')
    except errors.InputError as error:
        log.error("%s", error)
        return model.labels
    return dict(found)
