"""Signatures of bundles: who wrote one, where the manifest says only what it holds.

The signature is ed25519 (RFC 8032) over the bytes of ``manifest.json``, which has the SHA-256 of every other file, and
the model's name and version. It lies beside the manifest, in base64. Keys are the PEM files of ``openssl genpkey
-algorithm ed25519``, and OpenSSL checks a signature, too. The package ``cryptography`` is in the extra ``signing``.
"""

import base64
import binascii
import contextlib
import contextvars
import pathlib
from collections.abc import Iterator
from typing import Any

from shared import errors, files
from shared.bundle import reading

_KEY: contextvars.ContextVar[Any] = contextvars.ContextVar("key", default=None)


@contextlib.contextmanager
def signing(path: pathlib.Path | None) -> Iterator[None]:
    """Let bundles that are written in the block be signed, before anybody sees them.

    Args:
        path: PEM file of a private key; None: no bundle is signed.

    Raises:
        errors.InputError: It is none, or the extra is missing.
    """
    token = _KEY.set(None if path is None else _private(path))
    try:
        yield
    finally:
        _KEY.reset(token)


def sign(folder: pathlib.Path) -> None:
    """Sign a version folder whose manifest is written, where ``signing`` gives a key; else do nothing."""
    key = _KEY.get()
    if key is not None:
        signature = base64.b64encode(key.sign((folder / reading.MANIFEST).read_bytes())).decode("ascii")
        files.write_text(folder / reading.SIGNATURE, signature + "\n")


def public_key(path: pathlib.Path) -> Any:
    """Return a public key.

    Raises:
        errors.InputError: The file holds none, or the extra is missing.
    """
    serialization, ed25519 = _library("--require-signature")
    with _complaining(path, "a public"):
        key = serialization.load_pem_public_key(path.read_bytes())
        return _of_kind(key, ed25519.Ed25519PublicKey)


def verify(folder: pathlib.Path, key: Any) -> None:
    """Check that a bundle is signed with the private key of ``key``, as the version whose number its folder has.

    Raises:
        errors.GateError: There is no signature, or it is another's, or of another model or version.
    """
    from cryptography import exceptions

    path, content = folder / reading.SIGNATURE, (folder / reading.MANIFEST).read_bytes()
    try:
        key.verify(base64.b64decode(path.read_bytes(), validate=False), content)
    except FileNotFoundError:
        raise errors.GateError(
            f"{folder}: expected a signed bundle (`export --sign KEY`). Received: no {path.name}"
        ) from None
    except (exceptions.InvalidSignature, binascii.Error):
        raise errors.GateError(f"{path}: expected a signature by the key that is required. Received: another") from None
    about = files.read_json(folder / reading.MANIFEST)
    signed = f"{about.get('name')} version {about.get('version')}"
    here = f"{folder.parent.name} version {reading.number(folder)}"
    # An old version under a new number would be served in the place of what mends it.
    if signed != here:
        raise errors.GateError(f"{folder}: expected what was signed as {here}. Received: {signed}")


def _private(path: pathlib.Path) -> Any:
    serialization, ed25519 = _library("--sign")
    with _complaining(path, "a private"):
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
        return _of_kind(key, ed25519.Ed25519PrivateKey)


def _library(option: str) -> tuple[Any, Any]:
    try:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ed25519
    except ImportError:
        raise errors.InputError(
            f"{option}: expected the extra `signing` (pip install 'fieldnets[signing]'). Received: no cryptography"
        ) from None
    return serialization, ed25519


def _of_kind(key: Any, kind: type) -> Any:
    if not isinstance(key, kind):
        raise TypeError(f"a key of another kind, {type(key).__name__}")
    return key


@contextlib.contextmanager
def _complaining(path: pathlib.Path, what: str) -> Iterator[None]:
    """Name the file where it holds no key; what it holds is not shown."""
    try:
        yield
    except OSError as error:
        raise errors.InputError(f"{path}: expected a file with {what} key. Received: {error.strerror}") from None
    except (ValueError, TypeError) as error:
        reason = "an encrypted key" if "password" in str(error).lower() else str(error)
        raise errors.InputError(
            f"{path}: expected {what} ed25519 key in PEM (openssl genpkey -algorithm ed25519). Received: {reason:.120}"
        ) from None
    except Exception as error:
        # Of a key of a kind that cryptography does not know.
        raise errors.InputError(f"{path}: expected {what} ed25519 key in PEM. Received: {error!s:.120}") from None
