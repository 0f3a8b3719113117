"""The checker decodes as training does: what one reads the other reads, and what turns or moves is noted."""

import io
import pathlib

import numpy as np
import PIL.Image
import pytest

from apps.driving_perception import frames
from apps.driving_perception.tracking import stream
from shared import errors
from tests.driving_perception import loading, roads

NAMES = ("car",)


def picture() -> PIL.Image.Image:
    small = np.random.default_rng(3).integers(0, 256, (6, 9, 3), np.uint8)
    return PIL.Image.fromarray(small).resize((roads.WIDTH, roads.HEIGHT), PIL.Image.Resampling.BICUBIC)


def encoded(image: PIL.Image.Image, kind: str, **more: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **more)
    return buffer.getvalue()


def load(folder: pathlib.Path, **more: object) -> frames.Frames:
    return loading.load([str(folder)], labelled=False, class_names=NAMES, **more)


KINDS = {
    "a.jfif": encoded(picture(), "JPEG"),
    "b.JPE": encoded(picture(), "JPEG"),
    "c.gif": encoded(picture(), "GIF"),
    "d.TIF": encoded(picture(), "TIFF"),
    "e.PNG": encoded(picture(), "PNG"),
    "f": encoded(picture(), "JPEG"),
    "g.0007": encoded(picture(), "PNG"),
    "h.jpg": encoded(picture().convert("CMYK"), "JPEG"),
    "i.png": encoded(picture().convert("P"), "PNG"),
    "j.webp": encoded(picture(), "WEBP"),
    "k.avif": encoded(picture(), "AVIF"),
    "l.ppm": encoded(picture(), "PPM"),
}


def test_images_of_every_kind_are_read_and_other_files_counted(tmp_path: pathlib.Path) -> None:
    for name, content in KINDS.items():
        (tmp_path / name).write_bytes(content)
    for name in ("notes.txt", "more.TXT", "README", "clip.mp4"):
        (tmp_path / name).write_bytes(b"nothing of ours")
    (tmp_path / ".hidden.png").write_bytes(b"x")
    found = load(tmp_path)
    assert found.images.names.tolist() == sorted(KINDS)
    for row in range(len(found)):
        # Lossy kinds and 256 colours move values a little; inks and colours that were mixed up would move them far.
        difference = np.abs(found.images.decode(row).astype(float) - np.asarray(picture(), float))
        assert difference.mean() < 20, found.images.names[row]
    assert found.notes == (
        "4 files not read: .txt x2, .mp4 x1, no suffix x1",
        "3 images hold the same content as another one, under a name of their own",
    )


def test_predict_takes_the_same_images_beside_videos_and_counts_the_rest(tmp_path: pathlib.Path) -> None:
    for name, content in KINDS.items():
        (tmp_path / name).write_bytes(content)
    for name in ("notes.txt", "clip.mp4", "README"):
        (tmp_path / name).write_bytes(b"nothing of ours")
    found = stream.find([tmp_path])
    assert {path.name for path in found.files} == {*KINDS, "clip.mp4"}
    assert found.notes == ["2 files not read: .txt x1, no suffix x1: README, notes.txt"]


def test_predict_follows_links_inside_and_refuses_those_that_lead_out(tmp_path: pathlib.Path) -> None:
    roads.picture(tmp_path / "road" / "store" / "a.png")
    (tmp_path / "road" / "camera").symlink_to("store")
    assert len(stream.find([tmp_path / "road"]).files) == 2
    roads.picture(tmp_path / "elsewhere" / "b.png")
    (tmp_path / "road" / "night").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(errors.InputError, match="--follow-links"):
        stream.find([tmp_path / "road"])
    assert len(stream.find([tmp_path / "road"], follow_links=True).files) == 3


def test_16_bits_become_8_by_their_highest_byte(tmp_path: pathlib.Path) -> None:
    values = np.linspace(0, 65535, roads.WIDTH * roads.HEIGHT).astype(np.uint16).reshape(roads.HEIGHT, roads.WIDTH)
    PIL.Image.fromarray(values).save(tmp_path / "deep.png")
    decoded = load(tmp_path).images.decode(0)
    np.testing.assert_allclose(decoded[..., 1], values / 65535 * 255, atol=0.5)
    assert (decoded[..., 0] == decoded[..., 2]).all()


@pytest.mark.parametrize("mode", ["F", "I"])
def test_pixels_whose_range_nothing_says_are_refused_by_the_checker_too(mode: str, tmp_path: pathlib.Path) -> None:
    values = np.full((8, 8), 1e6, np.float32 if mode == "F" else np.int32)
    PIL.Image.fromarray(values).save(tmp_path / "a.tiff")
    roads.picture(tmp_path / "b.png")
    with pytest.raises(errors.InputError, match=r"a\.tiff: no image that can be decoded"):
        load(tmp_path)
    assert load(tmp_path, skip_bad=True).images.names.tolist() == ["b.png"]


def test_a_picture_larger_than_the_graph_takes_is_refused(tmp_path: pathlib.Path) -> None:
    PIL.Image.new("1", (11_000, 10_000)).save(tmp_path / "huge.png")
    with pytest.raises(errors.InputError, match=r"huge\.png: no image that can be read: 11000 x 10000 pixels, more"):
        load(tmp_path)
    with pytest.raises(errors.InputError, match=r"huge: expected an image file"):
        frames.decode((tmp_path / "huge.png").read_bytes(), name="huge")


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
def test_pictures_that_exif_turns_are_noted_and_stay_as_they_are(suffix: str, tmp_path: pathlib.Path) -> None:
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    picture().save(tmp_path / f"a.{suffix}", exif=exif)
    roads.picture(tmp_path / "b.png", seed=4)
    found = load(tmp_path)
    assert found.images.sizes.tolist() == [[roads.WIDTH, roads.HEIGHT]] * 2
    assert found.images.decode(0).shape == (roads.HEIGHT, roads.WIDTH, 3)
    assert any(note.startswith("1 images are turned by Exif's orientation") for note in found.notes)


def test_labels_of_the_turned_picture_say_that_exif_turns_it(tmp_path: pathlib.Path) -> None:
    folder = roads.voc(tmp_path / "v", {"a": [("car", (1, 1, 20, 20))]})
    exif = PIL.Image.Exif()
    exif[0x0112] = 8
    PIL.Image.new("RGB", (roads.HEIGHT, roads.WIDTH)).save(folder / "a.jpg", exif=exif)
    with pytest.raises(errors.InputError, match=r"labelled for 120 x 80 pixels, but it has 80 x 120 \(Exif turns it"):
        loading.load([str(folder)])


def test_of_several_pictures_the_first_is_taken_and_said(tmp_path: pathlib.Path) -> None:
    first, second = picture(), PIL.Image.new("RGB", (roads.WIDTH, roads.HEIGHT), "red")
    first.save(tmp_path / "a.gif", save_all=True, append_images=[second])
    first.save(tmp_path / "b.webp", save_all=True, append_images=[second])
    found = load(tmp_path)
    assert "2 image files hold several pictures: the first is taken" in found.notes
    assert np.abs(found.images.decode(0).astype(float) - np.asarray(first, float)).mean() < 12


def test_a_jpeg_whose_tables_are_gone_fails_in_the_check_and_not_in_training(tmp_path: pathlib.Path) -> None:
    content = encoded(picture(), "JPEG")
    while b"\xff\xdb" in content:
        start = content.index(b"\xff\xdb")
        length = int.from_bytes(content[start + 2 : start + 4])
        content = content[:start] + content[start + 2 + length :]
    (tmp_path / "a.jpg").write_bytes(content)
    roads.picture(tmp_path / "b.png")
    with pytest.raises(errors.InputError, match=r"a\.jpg: no image that can be decoded"):
        load(tmp_path)
