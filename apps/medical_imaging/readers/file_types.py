"""What a file is, told by its content where its name says nothing (``.IMA``, none), and if it is whole.

Whether a JPEG or PNG is whole is told without decoding it: signature, size and end. Decoding a hundred thousand images
takes many minutes, this takes the time to read them. Damage inside the compressed data is found when the image is
decoded, and reported by name there.
"""

import pathlib
from collections.abc import Iterator

JPEG, PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".png", ".dcm", ".dicom", ".ima")
TABLES = (".csv", ".tsv", ".parquet")
# Media storage directory, the SOP class of a DICOMDIR, stands in the first elements of the file.
_DIRECTORY = b"1.2.840.10008.1.3.10"
_HEAD_BYTES = 1024


# Decoding more than this is refused: a few kilobytes may claim a picture that fills the memory.
MAXIMUM_PIXELS = 100_000_000
_JPEG_END, _PNG_END = b"\xff\xd9", b"IEND\xaeB`\x82"
# Frame headers are C0 to CF except DHT (C4), JPG (C8) and DAC (CC).
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SCAN = 0xDA
# Frames that common decoders lack, by their marker (ITU-T T.81, table B.1).
_UNUSUAL = {
    **dict.fromkeys((0xC3, 0xCB), "a lossless JPEG"),
    **dict.fromkeys((0xC9, 0xCA), "a JPEG with arithmetic coding"),
    **dict.fromkeys((0xC5, 0xC6, 0xC7, 0xCD, 0xCE, 0xCF), "a hierarchical JPEG"),
}


def is_dicom(content: bytes) -> bool:
    """Tell DICOM by the four letters after its preamble."""
    return content[128:132] == b"DICM"


def is_dicom_file(path: pathlib.Path) -> bool:
    """Tell a DICOM file by its content; by its name, too, where that promises DICOM."""
    return path.suffix.lower() in (".dcm", ".dicom", ".ima") or is_dicom(_head(path))


def is_directory(path: pathlib.Path) -> bool:
    """Tell a DICOMDIR, which lists the files of a medium and is no image."""
    head = _head(path)
    return is_dicom(head) and _DIRECTORY in head


def is_image(path: pathlib.Path) -> bool:
    """Tell a file that is meant to be an image: DICOM by content; JPEG and PNG by name, or by content without one.

    A file whose suffix is of another kind (``.bak``, ``.tif``) is none, whatever its content.
    """
    head = _head(path)
    if is_dicom(head):
        return _DIRECTORY not in head
    suffix = path.suffix.lower()
    return suffix in SUFFIXES or (_says_nothing(suffix) and head.startswith((JPEG, PNG)))


def _says_nothing(suffix: str) -> bool:
    """Tell no suffix, and the last number of a UID, from the suffix of a kind of files."""
    return not suffix or suffix[1:].isdecimal()


def _head(path: pathlib.Path) -> bytes:
    try:
        with path.open("rb") as stream:
            return stream.read(_HEAD_BYTES)
    except OSError:
        return b""


def damage(content: bytes) -> str:
    """Say why the content of a file is no usable JPEG, PNG or DICOM image; nothing for one that is.

    >>> damage(b"")
    'empty file'
    """
    if not content:
        return "empty file"
    if content[128:132] == b"DICM":
        return ""
    if not content.startswith((JPEG, PNG)):
        return "not a JPEG, PNG or DICOM image"
    sides = jpeg_sides(content) if content.startswith(JPEG) else png_sides(content)
    if sides is None:
        return "truncated or damaged: the header gives no size"
    width, height = sides
    if not 0 < width * height <= MAXIMUM_PIXELS:
        return f"{width:,} x {height:,} pixels, not between 1 and {MAXIMUM_PIXELS:,} in all"
    ended = _jpeg_ended(content) if content.startswith(JPEG) else _PNG_END in content[-(1 << 16) :]
    return "" if ended else "truncated: the end of the image is missing"


def undecodable(content: bytes) -> str:
    """Say of a whole JPEG or PNG file that the network's decoder refuses what is special about it."""
    frame = next((marker for marker, _ in _jpeg_segments(content) if marker in _FRAMES), 0)
    kind = _UNUSUAL.get(frame, "") if content.startswith(JPEG) else ""
    return f"cannot be decoded: {kind}" if kind else "cannot be decoded: its data are damaged, or of an unusual kind"


def png_sides(content: bytes) -> tuple[int, int] | None:
    """Return width and height of a PNG; None where its first chunk is not whole."""
    if content[12:16] != b"IHDR" or len(content) < 24:
        return None
    return int.from_bytes(content[16:20], "big"), int.from_bytes(content[20:24], "big")


def jpeg_sides(content: bytes) -> tuple[int, int] | None:
    """Return width and height of a JPEG; None where no frame header is found."""
    for marker, place in _jpeg_segments(content):
        if marker in _FRAMES:
            height, width = content[place + 5 : place + 7], content[place + 7 : place + 9]
            return int.from_bytes(width, "big"), int.from_bytes(height, "big")
    return None


def _jpeg_ended(content: bytes) -> bool:
    """Tell whether the end marker comes after the first scan: one before it ends a thumbnail in the header."""
    scan = next((place for marker, place in _jpeg_segments(content) if marker == _SCAN), None)
    return scan is not None and content.rfind(_JPEG_END, scan) > scan


def _jpeg_segments(content: bytes) -> Iterator[tuple[int, int]]:
    """Yield marker and place of each segment up to the first scan, without looking into any."""
    place = 2
    while place + 9 <= len(content) and content[place] == 0xFF:
        marker = content[place + 1]
        # A marker may be preceded by any number of fill bytes FF.
        if marker == 0xFF:
            place += 1
            continue
        yield marker, place
        if marker == _SCAN:
            return
        place += 2 + int.from_bytes(content[place + 2 : place + 4], "big")
