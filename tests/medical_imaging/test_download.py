"""Downloads against a local server that can lie, break off and count what it is asked for."""

import hashlib
import http.server
import pathlib
import threading
from collections.abc import Iterator

import pytest

from apps.medical_imaging.readers import medmnist
from shared import errors

CONTENT = bytes(range(256)) * 5_000
NAME = "pneumoniamnist"


class Shelf(http.server.ThreadingHTTPServer):
    """A server of one file."""

    content = CONTENT
    ranges = True
    breaks_after = len(CONTENT)  # bytes of one answer, after which the connection is cut
    asked: list[str]

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Shelf

    def do_GET(self) -> None:
        wanted = self.headers.get("Range", "")
        self.server.asked.append(f"{self.path} {wanted}".strip())
        if self.path != f"/{NAME}.npz":
            self.send_error(404)
            return
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and self.server.ranges else 0
        if start >= len(self.server.content):
            self.send_error(416)
            return
        rest = self.server.content[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        self.wfile.write(rest[: self.server.breaks_after])

    def log_message(self, *_: object) -> None:
        """Stay quiet."""


@pytest.fixture
def shelf(monkeypatch: pytest.MonkeyPatch) -> Iterator[Shelf]:
    known = medmnist.PublicFile(hashlib.md5(CONTENT).hexdigest(), "CC BY 4.0")
    monkeypatch.setitem(medmnist.PUBLIC, NAME, known)
    with Shelf(("127.0.0.1", 0), Handler) as server:
        server.asked = []
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def store(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    folder = tmp_path / "cache"
    folder.mkdir()
    monkeypatch.setenv("FIELDNETS_CACHE", str(folder))
    return folder


def refusal(shelf: Shelf) -> str:
    with pytest.raises(errors.InputError) as caught:
        medmnist.fetch(NAME, site=shelf.address)
    return str(caught.value)


def test_a_set_is_downloaded_whole_and_only_once(shelf: Shelf, store: pathlib.Path) -> None:
    store.rmdir()
    found = medmnist.fetch(NAME, site=shelf.address)
    assert found == store / "pneumoniamnist.npz"
    assert found.read_bytes() == CONTENT
    assert medmnist.fetch(NAME, site=shelf.address) == found
    assert shelf.asked == ["/pneumoniamnist.npz"]
    assert [path.name for path in found.parent.iterdir()] == ["pneumoniamnist.npz"]


def test_a_file_that_the_user_placed_needs_no_server(shelf: Shelf, store: pathlib.Path) -> None:
    (store / "pneumoniamnist.npz").write_bytes(CONTENT)
    medmnist.fetch(NAME, site=shelf.address)
    assert shelf.asked == []


def test_another_checksum_is_refused_and_leaves_nothing(shelf: Shelf, store: pathlib.Path) -> None:
    shelf.content = CONTENT[:-1] + b"!"
    message = refusal(shelf)
    assert message.endswith("Received: a file with another MD5")
    assert hashlib.md5(CONTENT).hexdigest() in message
    assert list(store.iterdir()) == []


def test_a_connection_that_breaks_off_is_taken_up_where_it_stopped(shelf: Shelf) -> None:
    shelf.breaks_after = 600_000
    found = medmnist.fetch(NAME, site=shelf.address)
    assert found.read_bytes() == CONTENT
    assert shelf.asked == [f"/{NAME}.npz", f"/{NAME}.npz bytes=600000-", f"/{NAME}.npz bytes=1200000-"]


def test_a_later_command_goes_on_with_what_an_earlier_one_left(shelf: Shelf, store: pathlib.Path) -> None:
    shelf.breaks_after = 300_000
    assert "place that file" in refusal(shelf)
    assert (store / f"{NAME}.npz.part").stat().st_size == 900_000
    shelf.breaks_after = len(CONTENT)
    assert medmnist.fetch(NAME, site=shelf.address).read_bytes() == CONTENT
    assert shelf.asked[-1] == f"/{NAME}.npz bytes=900000-"


def test_a_server_that_knows_no_ranges_is_asked_for_all_of_it(shelf: Shelf, store: pathlib.Path) -> None:
    shelf.ranges = False
    (store / f"{NAME}.npz.part").write_bytes(b"of an older version" * 9)
    assert medmnist.fetch(NAME, site=shelf.address).read_bytes() == CONTENT


def test_a_part_that_is_already_whole_is_checked_and_kept(shelf: Shelf, store: pathlib.Path) -> None:
    (store / f"{NAME}.npz.part").write_bytes(CONTENT)
    assert medmnist.fetch(NAME, site=shelf.address).read_bytes() == CONTENT


def test_a_part_of_another_version_does_not_survive(shelf: Shelf, store: pathlib.Path) -> None:
    (store / f"{NAME}.npz.part").write_bytes(b"x" * 1000)
    assert "another MD5" in refusal(shelf)
    assert medmnist.fetch(NAME, site=shelf.address).read_bytes() == CONTENT


def test_without_a_connection_the_message_says_what_to_place_where(store: pathlib.Path) -> None:
    with pytest.raises(errors.InputError) as caught:
        medmnist.fetch("breastmnist", site="http://127.0.0.1:1")
    message = str(caught.value)
    assert "http://127.0.0.1:1/breastmnist.npz" in message
    assert f"at {store / 'breastmnist.npz'}" in message
    assert "750601b1f35ba3300ea97c75c52ff8f6" in message
    assert "Connection refused" in message.partition("Received: ")[2]


def test_a_missing_file_is_not_asked_for_again(shelf: Shelf) -> None:
    with pytest.raises(errors.InputError, match=r"Received: HTTP Error 404"):
        medmnist.fetch("breastmnist", site=shelf.address)
    assert shelf.asked == ["/breastmnist.npz"]


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(errors.InputError, match=r"chestmnist_64.*Received: 'mnist'"):
        medmnist.fetch("mnist")


@pytest.mark.parametrize("name", ["kermany", "nih", "chexpert"])
def test_of_a_set_that_a_person_must_ask_for_the_message_says_where(name: str) -> None:
    with pytest.raises(errors.InputError, match=rf"^{name}: .*https://.*--data"):
        medmnist.fetch(name)


def test_without_another_folder_files_lie_in_the_users_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FIELDNETS_CACHE")
    assert medmnist.cache_folder().name == "fieldnets"


def test_every_set_has_a_checksum_of_its_own_and_a_licence() -> None:
    assert len({known.md5 for known in medmnist.PUBLIC.values()}) == len(medmnist.PUBLIC)
    assert all(len(known.md5) == 32 and known.licence.startswith("CC BY") for known in medmnist.PUBLIC.values())


def test_the_licence_is_told(shelf: Shelf, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="fieldnets")
    medmnist.fetch(NAME, site=shelf.address)
    assert "licence CC BY 4.0" in caplog.text
