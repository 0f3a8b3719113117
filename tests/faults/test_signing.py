"""A server that requires a signature serves what the owner of the key exported, and nothing else."""

import asyncio
import json
import pathlib
import shutil
import subprocess
from collections.abc import Callable, Iterator

import pytest

from shared import errors, files
from shared.bundle import reading, signing
from shared.serving import registry, settings
from tests.shared import stand_in

pytest.importorskip("cryptography", reason="the extra signing is not installed")


def a_key(folder: pathlib.Path, name: str) -> tuple[pathlib.Path, pathlib.Path]:
    """Write a private and a public key."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ed25519

    key = ed25519.Ed25519PrivateKey.generate()
    private, public = folder / f"{name}.pem", folder / f"{name}.pub.pem"
    encoding = serialization.Encoding.PEM
    plain = serialization.NoEncryption()
    private.write_bytes(key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, plain))
    public.write_bytes(key.public_key().public_bytes(encoding, serialization.PublicFormat.SubjectPublicKeyInfo))
    return private, public


@pytest.fixture
def keys(tmp_path: pathlib.Path) -> tuple[pathlib.Path, pathlib.Path]:
    return a_key(tmp_path, "ours")


@pytest.fixture
def signed(tmp_path: pathlib.Path, keys: tuple[pathlib.Path, pathlib.Path]) -> Iterator[pathlib.Path]:
    with stand_in.installed(), signing.signing(keys[0]):
        folder = stand_in.write(tmp_path / "models", "words", "1", stand_in.GOLDEN["words"])
        signing.sign(folder)
        yield folder


def a_registry(folder: pathlib.Path, public: pathlib.Path) -> registry.Registry:
    models = registry.Registry(settings.Settings(model_dirs=(folder,), poll_seconds=0, require_signature=public))
    models.load()
    return models


def test_what_is_signed_is_served_and_the_signature_is_no_file_that_was_added(
    signed: pathlib.Path, keys: tuple[pathlib.Path, pathlib.Path]
) -> None:
    reading.check_manifest(signed)
    assert sorted(a_registry(signed.parent, keys[1]).models["words"].served) == [1]


def unsigned(folder: pathlib.Path) -> None:
    (folder / reading.SIGNATURE).unlink()


def changed(folder: pathlib.Path) -> None:
    files.write_json(folder / reading.MANIFEST, {**files.read_json(folder / reading.MANIFEST), "note": "mine"})


def nonsense(folder: pathlib.Path) -> None:
    (folder / reading.SIGNATURE).write_bytes(b"\xff no base64")


def empty(folder: pathlib.Path) -> None:
    (folder / reading.SIGNATURE).write_bytes(b"")


def of_another(folder: pathlib.Path) -> None:
    with signing.signing(a_key(folder.parent.parent, "theirs")[0]):
        signing.sign(folder)


def exchanged(folder: pathlib.Path) -> None:
    """Exchange a file and its hash, as who can write into the folder can."""
    (folder / "saved_model.pb").write_bytes(b"malice")
    about = files.read_json(folder / reading.MANIFEST)
    reading.write_manifest(folder, {name: value for name, value in about.items() if name != "files"})


@pytest.mark.parametrize("attack", [unsigned, changed, nonsense, empty, of_another, exchanged])
def test_what_another_has_written_is_not_served(
    signed: pathlib.Path, keys: tuple[pathlib.Path, pathlib.Path], attack: Callable[[pathlib.Path], None]
) -> None:
    attack(signed)
    with pytest.raises(errors.GateError, match=r"expected a sign"):
        a_registry(signed.parent, keys[1])


def test_a_file_that_was_changed_is_refused_though_the_manifest_is_signed(
    signed: pathlib.Path, keys: tuple[pathlib.Path, pathlib.Path]
) -> None:
    (signed / "saved_model.pb").write_bytes(b"malice")
    with pytest.raises(errors.GateError, match="was changed after export"):
        a_registry(signed.parent, keys[1])


def test_an_old_version_is_not_served_under_a_new_number(
    signed: pathlib.Path, keys: tuple[pathlib.Path, pathlib.Path]
) -> None:
    models = a_registry(signed.parent, keys[1])
    shutil.copytree(signed, signed.parent / "7")
    asyncio.run(models.refresh())
    assert sorted(models.models["words"].served) == [1]
    assert "expected what was signed as words version 7. Received: words version 1" in models.models["words"].refused[7]


def test_openssl_checks_a_signature_too(signed: pathlib.Path, keys: tuple[pathlib.Path, pathlib.Path]) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("no openssl on this machine")
    subprocess.run(
        f"base64 -d {signed / reading.SIGNATURE} > {signed}.raw && openssl pkeyutl -verify -rawin -pubin "
        f"-inkey {keys[1]} -in {signed / reading.MANIFEST} -sigfile {signed}.raw",
        shell=True, check=True, capture_output=True,
    )  # fmt: skip


def test_what_is_no_key_is_named_and_not_shown(tmp_path: pathlib.Path, keys: tuple[pathlib.Path, pathlib.Path]) -> None:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    other = tmp_path / "other.pem"
    private = ec.generate_private_key(ec.SECP256R1())
    format = serialization.PrivateFormat.PKCS8
    for content in (
        b"secret words",
        b"",
        keys[1].read_bytes(),
        private.private_bytes(serialization.Encoding.PEM, format, serialization.NoEncryption()),
        private.private_bytes(serialization.Encoding.PEM, format, serialization.BestAvailableEncryption(b"secret")),
    ):
        other.write_bytes(content)
        with (
            pytest.raises(errors.InputError, match=r"other\.pem: expected a private") as caught,
            signing.signing(other),
        ):
            pass
        assert "secret" not in str(caught.value)
    with pytest.raises(errors.InputError, match=r"none\.pem: expected a file"):
        signing.public_key(tmp_path / "none.pem")
    with pytest.raises(errors.InputError, match=r"ours\.pem: expected a public"):
        signing.public_key(keys[0])


def test_without_the_extra_one_sentence_says_so(
    keys: tuple[pathlib.Path, pathlib.Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("cryptography.hazmat.primitives", "cryptography.hazmat.primitives.asymmetric"):
        monkeypatch.setitem(__import__("sys").modules, name, None)
    with pytest.raises(errors.InputError, match=r"expected the extra `signing`"), signing.signing(keys[0]):
        pass


def test_without_a_key_nothing_is_signed(tmp_path: pathlib.Path) -> None:
    with signing.signing(None):
        (tmp_path / "1" / reading.EXTRA).mkdir(parents=True)
        (tmp_path / "1" / reading.MANIFEST).write_text(json.dumps({"files": {}}))
        signing.sign(tmp_path / "1")
    assert not (tmp_path / "1" / reading.SIGNATURE).exists()
