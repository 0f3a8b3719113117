"""Connect to a Ray cluster, or say in one sentence why not: what every verb with ``--ray-address`` begins with."""

import contextlib
import os
from collections.abc import Iterator
from typing import Any

from shared import errors, machine

# Ray moves no rows of ours between processes: the least that it takes.
_OBJECT_STORE_BYTES = 80 << 20


def require() -> None:
    """Refuse to go on without Ray.

    Raises:
        errors.InputError: It is not installed.
    """
    if machine.missing(["ray"]):
        raise errors.InputError(
            "--ray-address: expected the extra `cluster` (pip install 'fieldnets[cluster]'). Received: no ray"
        )


@contextlib.contextmanager
def connected(address: str) -> Iterator[Any]:
    """Connect to a cluster inside the block, and yield the module ``ray``.

    Actors find this code as this process does: where it is not installed ``PYTHONPATH`` leads to it.

    Args:
        address: As ``ray.init`` takes it: ``local`` starts one on this machine, ``auto`` finds the one it is part of.

    Raises:
        errors.InputError: Ray is not installed, or there is no cluster at the address.
    """
    require()
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    import ray

    paths = {"PYTHONPATH": machine.python_environment().get("PYTHONPATH", "")}
    local: dict[str, Any] = {"include_dashboard": False, "object_store_memory": _OBJECT_STORE_BYTES}
    try:
        ray.init(
            address=address,
            log_to_driver=False,
            logging_level="error",
            runtime_env={"env_vars": paths},
            **(local if address == "local" else {}),
        )
    except Exception as error:
        # Ray has no class of its own for a cluster that does not start or answer.
        ray.shutdown()
        raise errors.InputError(
            f"--ray-address {address}: expected a cluster that starts or answers. Received: {error}"
        ) from error
    try:
        yield ray
    finally:
        ray.shutdown()
