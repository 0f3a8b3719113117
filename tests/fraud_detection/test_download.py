"""Downloads against a local server that can lie and break off."""

import hashlib
import http.server
import pathlib
import threading
from collections.abc import Iterator

import pytest

from apps.fraud_detection import download
from apps.fraud_detection.readers import sources
from shared import errors

CONTENT = bytes(range(256)) * 500
SHA256 = hashlib.sha256(CONTENT).hexdigest()
PATH = f"/{download.FILES['creditcard'].path}"


class Shelf(http.server.ThreadingHTTPServer):
    """A server of one file."""

    content = CONTENT
    breaks_after = len(CONTENT)
    asked: list[str]

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Shelf

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        if self.path != PATH:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.server.content)))
        self.end_headers()
        self.wfile.write(self.server.content[: self.server.breaks_after])

    def log_message(self, *_: object) -> None:
        """Stay quiet."""


@pytest.fixture
def shelf() -> Iterator[Shelf]:
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
    monkeypatch.setenv("FIELDNETS_CACHE", str(folder))
    return folder


def refusal(site: str) -> str:
    with pytest.raises(errors.InputError) as caught:
        download.fetch("creditcard", site=site)
    return str(caught.value)


def test_a_set_is_downloaded_once_and_its_checksum_recorded_beside_it(shelf: Shelf, store: pathlib.Path) -> None:
    found = download.fetch("creditcard", site=shelf.address)
    assert found == store / "creditcard.parquet"
    assert found.read_bytes() == CONTENT
    assert (store / "creditcard.parquet.sha256").read_text() == f"{SHA256}  creditcard.parquet\n"
    assert download.fetch("creditcard", site=shelf.address) == found
    assert shelf.asked == [PATH]
    assert len(list(store.iterdir())) == 2


def test_a_file_that_changed_since_its_first_use_is_refused(shelf: Shelf, store: pathlib.Path) -> None:
    download.fetch("creditcard", site=shelf.address).write_bytes(b"other")
    message = refusal(shelf.address)
    assert SHA256 in message
    assert hashlib.sha256(b"other").hexdigest() in message
    assert "Remove creditcard.parquet and creditcard.parquet.sha256" in message
    assert (store / "creditcard.parquet").read_bytes() == b"other"


def test_a_published_checksum_is_checked_from_the_beginning(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    known = download.FILES["creditcard"]
    monkeypatch.setitem(download.FILES, "creditcard", known._replace(sha256=SHA256))
    download.fetch("creditcard", site=shelf.address)
    monkeypatch.setitem(download.FILES, "creditcard", known._replace(sha256="0" * 64))
    assert "Remove creditcard.parquet to" in refusal(shelf.address)


def test_a_connection_that_breaks_off_leaves_nothing(shelf: Shelf, store: pathlib.Path) -> None:
    shelf.breaks_after = 1_000
    assert f"{len(CONTENT) - 1_000:,} bytes early" in refusal(shelf.address)
    assert list(store.iterdir()) == []
    shelf.breaks_after = len(CONTENT)
    assert download.fetch("creditcard", site=shelf.address).read_bytes() == CONTENT


def test_a_file_that_the_user_placed_needs_no_server(shelf: Shelf, store: pathlib.Path) -> None:
    store.mkdir()
    (store / "creditcard.parquet").write_bytes(CONTENT)
    download.fetch("creditcard", site=shelf.address)
    assert shelf.asked == []


def test_without_a_connection_the_message_says_what_to_place_where(store: pathlib.Path) -> None:
    message = refusal("http://127.0.0.1:1")
    assert f"http://127.0.0.1:1{PATH}" in message
    assert f"place that file at {store / 'creditcard.parquet'}" in message
    assert "Connection refused" in message.partition("Received: ")[2]


def test_a_missing_file_is_told(shelf: Shelf) -> None:
    assert refusal(f"{shelf.address}/elsewhere").endswith("Received: HTTP Error 404: Not Found")


@pytest.mark.parametrize("name", list(download.BY_HAND))
def test_of_a_set_that_a_person_must_ask_for_the_message_says_where(name: str, store: pathlib.Path) -> None:
    with pytest.raises(errors.InputError, match=rf"^{name}: .*https://.*--data.*{store / name}"):
        sources.locate(name)
    store.mkdir()
    (store / f"{name}.csv").write_text("x")
    assert sources.locate(name) == store / f"{name}.csv"


def test_a_file_in_the_folder_at_hand_comes_before_a_public_set(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    pathlib.Path("paysim").mkdir()
    assert sources.locate("paysim") == pathlib.Path("paysim")


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(errors.InputError, match=r"creditcard, handbook.*Received: 'cards'"):
        download.fetch("cards")


def test_without_another_folder_files_lie_in_the_users_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FIELDNETS_CACHE")
    assert download.cache_folder().name == "fieldnets"


def test_the_licence_is_told(shelf: Shelf, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="fieldnets")
    download.fetch("creditcard", site=shelf.address)
    assert "Open Database License" in caplog.text
    assert f"SHA-256 {SHA256} recorded" in caplog.text
