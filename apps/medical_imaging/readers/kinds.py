"""What a file is, told by its content where its name says nothing: UIDs as names, ``.IMA``, no suffix."""

import pathlib

JPEG, PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".png", ".dcm", ".dicom", ".ima")
TABLES = (".csv", ".tsv", ".parquet")
# Media storage directory, the SOP class of a DICOMDIR, stands in the first elements of the file.
_DIRECTORY = b"1.2.840.10008.1.3.10"
_HEAD_BYTES = 1024


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
