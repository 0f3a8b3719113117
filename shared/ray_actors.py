"""The processes of one training, or of one search, on a Ray cluster: one actor each runs the command.

Every machine has this installation and sees the folder that the command is given in: the run folder lies where the
machine of the first process can write, and data where all can read.
"""

import contextlib
import dataclasses
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from shared import errors, machine
from shared.training import cluster

# Until the actors have come: a busy cluster may have to make room.
PLACING_SECONDS = 300
POLLING_SECONDS = 60


class Worker:
    """What an actor does on its machine: tell where it is, and run the command as a child."""

    def __init__(self) -> None:
        """Start nothing yet."""
        self._process: subprocess.Popen[bytes] | None = None
        self._folder = tempfile.TemporaryDirectory(prefix="fieldnets-worker-")
        self._shown = 0

    def place(self) -> tuple[str, int, int]:
        """Return the machine's address, a port that was free a moment ago, and how many of its cores may be used."""
        import ray

        with socket.socket() as found:
            found.bind(("", 0))
            return ray.util.get_node_ip_address(), found.getsockname()[1], machine.usable_cores()

    def start(self, command: Sequence[str], folder: str, told: Mapping[str, str]) -> None:
        """Run the command in ``folder``, by the Python of this machine.

        Raises:
            errors.InputError: This machine does not see the folder.
        """
        if not pathlib.Path(folder).is_dir():
            raise errors.InputError(
                f"--ray-address: expected a folder that all machines share. Received: {folder}, "
                f"which is not on {socket.gethostname()}"
            )
        with self._path("out").open("wb") as output, self._path("err").open("wb") as error:
            self._process = subprocess.Popen(
                [sys.executable, *command[1:]],
                # A pipe that closes when this actor ends, however that was.
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=error,
                cwd=folder,
                env={**os.environ, **told},
            )

    def state(self) -> tuple[int | None, str]:
        """Return the child's exit code, None while it runs, and what it wrote to standard error since the last call."""
        code = None if self._process is None else self._process.poll()
        with self._path("err").open("rb") as written:
            written.seek(self._shown)
            new = written.read()
        self._shown += len(new)
        return code, new.decode("utf-8", "replace")

    def output(self) -> bytes:
        """Return what the child wrote to standard output."""
        return self._path("out").read_bytes()

    def end(self) -> None:
        """End the child."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _path(self, name: str) -> pathlib.Path:
        return pathlib.Path(self._folder.name) / name


@dataclasses.dataclass(kw_only=True)
class Remote:
    """A process of the training, as `shared.launch` looks at it; what the first writes to standard error is shown."""

    actor: Any
    show: Callable[[str], object] | None
    kept: str = ""

    def poll(self) -> int | None:
        """Return the exit code; a machine or an actor that is gone counts as killed."""
        import ray

        try:
            code, new = ray.get(self.actor.state.remote(), timeout=POLLING_SECONDS)
        except (ray.exceptions.RayActorError, ray.exceptions.GetTimeoutError) as error:
            self.kept = str(error)
            return -signal.SIGKILL
        if self.show is None:
            self.kept += new
        else:
            self.show(new)
        return None if code is None else int(code)

    def said(self) -> str:
        """Return what it wrote to standard error, as far as that was not shown."""
        return self.kept

    def output(self) -> bytes:
        """Return what it wrote to standard output."""
        import ray

        return bytes(ray.get(self.actor.output.remote()))


@contextlib.contextmanager
def start(
    command: Sequence[str],
    workers: int,
    *,
    show: Callable[[str], object],
    told: Mapping[str, str],
    alone: bool = False,
) -> Iterator[list[Remote]]:
    """Start the processes in actors on different machines, as far as there are so many, and end them with the block.

    Args:
        command: The command line, run in this process's folder.
        workers: Processes.
        show: Where what the first process says on standard error goes.
        told: More variables of each process's environment.
        alone: Each works by itself: it is not told who the others are, and what it says is shown as well.

    Raises:
        errors.InputError: The cluster is too small, or a machine does not see this process's folder.
    """
    import ray

    group = _placed(workers)
    strategy = ray.util.scheduling_strategies.PlacementGroupSchedulingStrategy(group)
    resources = _each(workers)
    remote = ray.remote(num_cpus=resources["CPU"], num_gpus=resources.get("GPU", 0))(Worker)
    actors = [remote.options(scheduling_strategy=strategy).remote() for _ in range(workers)]
    try:
        for actor, each in zip(actors, _told(actors, alone=alone), strict=True):
            ray.get(actor.start.remote(list(command), os.getcwd(), {**each, **told}))
        yield [Remote(actor=actor, show=show if alone or rank == 0 else None) for rank, actor in enumerate(actors)]
    except ray.exceptions.RayTaskError as error:
        raise errors.InputError(str(error.cause)) from error
    finally:
        _end(actors)
        ray.util.remove_placement_group(group)


def _each(workers: int) -> dict[str, float]:
    """Return what each actor takes of the cluster: a core, and its part of the GPUs."""
    import ray

    gpus = int(ray.cluster_resources().get("GPU", 0)) // workers
    return {"CPU": 1.0, **({"GPU": float(gpus)} if gpus else {})}


def _placed(workers: int) -> Any:
    """Return a placement group of one bundle for each process, spread over the machines."""
    import ray
    import ray.util.scheduling_strategies

    cores = int(ray.cluster_resources().get("CPU", 0))
    if cores < workers:
        raise errors.InputError(
            f"--workers: expected at most the cores of the Ray cluster, {cores}. Received: {workers}"
        )
    group = ray.util.placement_group([_each(workers)] * workers, strategy="SPREAD")
    if not group.wait(PLACING_SECONDS):
        ray.util.remove_placement_group(group)
        raise errors.InputError(
            f"--ray-address: expected room for {workers} processes within {PLACING_SECONDS} s. Received: a busy cluster"
        )
    return group


def _told(actors: Sequence[Any], *, alone: bool) -> list[dict[str, str]]:
    """Return the environment of each process: who the others are, and its part of its machine's cores."""
    import ray

    places = ray.get([actor.place.remote() for actor in actors])
    beside = Counter(address for address, _, _ in places)
    all_addresses = tuple(f"{address}:{port}" for address, port, _ in places)
    clusters = [cluster.Cluster(addresses=all_addresses, rank=rank) for rank in range(len(places))]
    return [
        {**({} if alone else {cluster.VARIABLE: of.to_json()}), **machine.threads(beside[address], cores=cores)}
        for of, (address, _, cores) in zip(clusters, places, strict=True)
    ]


def _end(actors: Sequence[Any]) -> None:
    import ray

    for actor in actors:
        with contextlib.suppress(ray.exceptions.RayError):
            ray.get(actor.end.remote(), timeout=POLLING_SECONDS)
        ray.kill(actor)
