"""Files that are not what they should be, given to a real verb in this process: run in a child by its test."""

import contextlib
import importlib
import io
import json
import pathlib
import random
import shutil
import signal
import time
from collections.abc import Iterator

from tests.faults import seeds

SECONDS = 30
# What parsers stumble over: limits of numbers, of texts, of formats.
HOSTILE = (
    *(b"", b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b"nan", b"-inf", b"1e999", b"9" * 5_000, b"-0", b"2147483648"),
    *(b'"', b"'", b",", b";", b"\t", b"\r", b"\n\n", b"\\", b"\\u0000", b"\\ud800", b"\xed\xa0\x80", b"\x1b[31m"),
    *(b"[" * 2_000, b"{" * 2_000, b'{"a":' * 500, b"]", b"}", b"null", b"true", b"<!ENTITY a 'b'>", b"&a;", b"]]>"),
    *(b"../../../etc/passwd", b"/etc/passwd", b"file:///etc/passwd", b"=cmd|'/c calc'!A1", b"%s%n", b"x" * 70_000),
    *(b"\x1f\x8b\x08", b"PK\x03\x04", b"PAR1", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"\x93NUMPY", b"#" * 300),
)


def mutated(content: bytes, generator: random.Random) -> bytes:
    """Return the content changed in one to four ways."""
    found = bytearray(content)
    for _ in range(generator.choice((1, 1, 1, 2, 4))):
        place, other = (generator.randrange(len(found) + 1) for _ in range(2))
        low, high = min(place, other), max(place, other)
        high = min(high, low + generator.choice((1, 8, 200, 10_000)))
        kind = generator.randrange(8)
        if kind == 0 and found:
            found[place % len(found)] ^= 1 << generator.randrange(8)
        elif kind == 1:
            found[low:high] = b""
        elif kind == 2:
            found[place:place] = found[low:high] * generator.choice((1, 2, 40))
        elif kind == 3:
            found[place:place] = generator.choice(HOSTILE)
        elif kind == 4:
            found[low:high] = generator.choice(HOSTILE)
        elif kind == 5:
            found[low:high] = generator.randbytes(high - low)
        elif kind == 6:
            del found[place:]
        else:
            words = bytes(found[low:high])
            found[low:high] = bytes(sorted(words)) if generator.random() < 0.5 else words[::-1]
    return bytes(found)


class TooLongError(Exception):
    """A try took longer than any should."""


@contextlib.contextmanager
def in_time(seconds: int) -> Iterator[None]:
    """End the block where it takes too long."""

    def late(*_: object) -> None:
        raise TooLongError

    signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)


def try_many(name: str, folder: str, count: int, first: int) -> None:
    """Mutate a source ``count`` times, read it by ``data``, and print what was wrong as JSON.

    An exit code of 0 leaves certificate and parts; 2 or 3 one error without a traceback, and no more than rows set
    aside.
    """
    place = pathlib.Path(folder)
    seed = seeds.SEEDS[name]
    verbs = importlib.import_module(f"apps.{seed.app}.__main__")
    original = place / "original"
    original.mkdir()
    source = seed.write(original)
    files = sorted(path for path in (source.rglob("*") if source.is_dir() else [source]) if path.is_file())
    failures: list[str] = []
    codes: dict[int, int] = {}
    words = ["data", "--data", str(source), *seed.flags]
    code, problem = _tried(verbs.main, words, place / "out")
    if code or problem:
        raise ValueError(f"{name}: the source itself cannot be read: {problem or code}")
    for number in range(first, first + count):
        generator = random.Random(f"{name} {number}")
        # Labels and lists of files more often than one of many pictures.
        chosen = generator.choice([path for path in files if path.suffix not in (".png", ".jpg")] or files)
        chosen = chosen if generator.random() < 0.6 else generator.choice(files)
        held = chosen.read_bytes()
        chosen.write_bytes(mutated(held, generator))
        started = time.monotonic()
        try:
            code, problem = _tried(verbs.main, words, place / "out")
            codes[code] = codes.get(code, 0) + 1
            if problem:
                shutil.copyfile(chosen, place / f"failed-{number}{chosen.suffix}")
                failures.append(f"{name} {number} ({chosen.name}, {time.monotonic() - started:.1f} s): {problem}")
        finally:
            chosen.write_bytes(held)
    print(json.dumps({"tried": count, "codes": codes, "failures": failures}))


def _tried(main: object, words: list[str], output: pathlib.Path) -> tuple[int, str]:
    """Return the exit code and what is wrong; "" for nothing."""
    shutil.rmtree(output, ignore_errors=True)
    said = io.StringIO()
    code: object = None
    try:
        with in_time(SECONDS), contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
            code = main([*words, "--output-dir", str(output), "--quiet"])  # type: ignore[operator]
    except SystemExit as ended:
        code = ended.code
    except BaseException as error:
        return 1, f"{type(error).__name__}: {error}"
    return int(code) if isinstance(code, int) else 1, _wrong(code, said.getvalue(), output)


def _wrong(code: object, said: str, output: pathlib.Path) -> str:
    left = {path.name for path in output.rglob("*") if path.is_file()} if output.exists() else set()
    if code not in (0, 2, 3):
        return f"exit code {code}: {said[-1500:]}"
    if "Traceback" in said:
        return f"a traceback: {said[-1500:]}"
    if code == 0 and not {"split.json", "split.csv"} <= left:
        return f"no result: {sorted(left)}"
    if code != 0 and left - {"quarantine.csv"}:
        return f"a partial result: {sorted(left)}"
    if code != 0 and not said.strip():
        return "nothing was said"
    return ""
