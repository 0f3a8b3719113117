"""Other people's files: nothing of them is lost, merged or called by another's name without a word."""

import csv
import io
import json
import os
import pathlib
import tarfile
import zipfile
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest

from apps.sentiment import __main__, config, grouping, predict
from apps.sentiment.readers import checking
from shared import errors
from tests import helpers
from tests.sentiment import loading

NAMES = ["NA", "null", "None", "nan", "N/A", "NULL"]


def texts_of(path: pathlib.Path, **options: Any) -> list[str]:
    return [text for frame in checking.iterate_texts([str(path)], **options) for text in frame["text"]]


def sentences(count: int, word: str = "w") -> list[str]:
    random = np.random.default_rng(len(word))
    return [" ".join(f"{word}{number}" for number in random.integers(0, 5000, size=9)) for _ in range(count)]


def write(path: pathlib.Path, texts: list[str], *, labels: str = "01") -> pathlib.Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as stream:
        rows = [(text, labels[index % len(labels)]) for index, text in enumerate(texts)]
        csv.writer(stream).writerows([("text", "label"), *rows])
    return path


# Quotation marks


@pytest.mark.parametrize(
    "content",
    [
        'id,text\n1,"great stuff\n2,"dull" plot\n3,lovely\n',
        'id,text\n1,"great stuff\n2,dull"\n3,lovely\n4,fine\n',
        'id,text\n1,fine\n2,"great, stuff\n3,lovely\n',
        'id,text,label\n1,fine,0\n2,"great stuff,1\n3,so dull",0\n4,x,1\n',
        'text,label\nfine,0\n"great stuff,1\nso dull",0\nx,1\n',
        'text,label\nfine,positive\n"great stuff,negative\nso dull",positive\nx,negative\n',
    ],
)
def test_a_mark_that_is_not_closed_loses_no_row_of_predict_and_none_of_data(
    tmp_path: pathlib.Path, content: str
) -> None:
    path = tmp_path / "a.csv"
    path.write_text(content)
    with pytest.raises(errors.InputError, match=r"a.csv, row \d: .*quotation mark"):
        texts_of(path)
    aside: list[int] = []
    kept = texts_of(path, set_aside=lambda fault: aside.append(fault.row))
    assert len(kept) + len(aside) in (content.count("\n") - 1, content.count("\n") - 2)
    if "label" in content:
        with pytest.raises(errors.InputError, match=r"a.csv, row \d: .*quotation mark"):
            loading.load([str(path)])


@pytest.mark.parametrize("header", [["text"], ["id", "text"], ["text", "label"], ["id", "title", "text", "label"]])
def test_reviews_with_line_breaks_commas_and_marks_are_read_whole(tmp_path: pathlib.Path, header: list[str]) -> None:
    texts = [
        'He said "great, really"\nand left',
        "one, two\nthree, four\nfive",
        "great film, nice\nreally good",
        "\n\nbegins, late",
        "7, 8\n9, 10",
        '"all of it"',
        "plain",
    ]
    columns = {
        "text": texts,
        "id": range(7),
        "title": ["a title"] * 7,
        "label": ["positive", "negative"] * 3 + ["positive"],
    }
    pd.DataFrame(columns)[header].to_csv(tmp_path / "a.csv", index=False)
    assert texts_of(tmp_path / "a.csv") == texts
    if "label" in header:
        assert loading.load([str(tmp_path / "a.csv")]).texts.tolist() == texts


def test_whether_marks_in_a_tsv_are_text_is_decided_on_all_of_it(tmp_path: pathlib.Path) -> None:
    lines = [f"{row % 2}\t{text}" for row, text in enumerate(sentences(30_000))]
    lines[20_000] = '1\t"great stuff'
    lines[20_001] = '0\tis dull"'
    path = tmp_path / "a.tsv"
    path.write_text("label\ttext\n" + "\n".join(lines) + "\n")
    assert path.stat().st_size > 1 << 20
    assert len(texts_of(path)) == 30_000
    reviews = loading.load([str(path)])
    assert reviews.texts[20_000:20_002].tolist() == ['"great stuff', 'is dull"']
    assert any("quotation marks are text" in note for note in reviews.notes)


def test_a_header_may_be_quoted_and_hold_the_delimiter(tmp_path: pathlib.Path) -> None:
    (tmp_path / "a.csv").write_text('\ufeff"TEXT","label","a;b;c"\n"x, y",1,z\n"w",0,z\n', encoding="utf-8")
    assert loading.load([str(tmp_path / "a.csv")]).texts.tolist() == ["x, y", "w"]


# Words for nothing


def test_words_for_nothing_are_texts_whatever_the_format(tmp_path: pathlib.Path) -> None:
    frame = pd.DataFrame({"id": NAMES, "text": NAMES, "label": [0, 1] * 3})
    frame.to_csv(tmp_path / "a.csv", index=False)
    frame.to_csv(tmp_path / "a.tsv", index=False, sep="\t")
    frame.to_json(tmp_path / "a.jsonl", orient="records", lines=True)
    frame.to_parquet(tmp_path / "a.parquet")
    for name in ("a.csv", "a.tsv", "a.jsonl", "a.parquet"):
        assert loading.load([str(tmp_path / name)]).texts.tolist() == NAMES, name
        assert texts_of(tmp_path / name) == NAMES, name


# Types of Parquet and JSON


@pytest.mark.parametrize(
    "kind",
    [
        pa.string(),
        pa.large_string(),
        pa.string_view(),
        pa.binary(),
        pa.large_binary(),
        pa.dictionary(pa.int8(), pa.string()),
    ],
)
def test_texts_and_labels_of_any_type_of_string_are_read(tmp_path: pathlib.Path, kind: pa.DataType) -> None:
    cells = pa.array(["fine café", "bad", "good"]).cast(kind)
    label = pa.array(["pos", "neg", "pos"]).cast(kind)
    pyarrow.parquet.write_table(pa.table({"text": cells, "label": label}), tmp_path / "a.parquet")
    reviews = loading.load([str(tmp_path / "a.parquet")])
    assert (reviews.texts.tolist(), reviews.labels.tolist()) == (["fine café", "bad", "good"], [1, 0, 1])


@pytest.mark.parametrize("values", [[1, 2], [True, False], [1.5, 2.5], [["a"], ["b"]], [{"a": 1}, {"a": 2}]])
def test_columns_of_other_types_are_no_text_and_are_named(tmp_path: pathlib.Path, values: list[Any]) -> None:
    pyarrow.parquet.write_table(pa.table({"text": values, "label": [0, 1]}), tmp_path / "a.parquet")
    for read in (lambda path: loading.load([str(path)]), texts_of):
        with pytest.raises(
            errors.InputError, match=r"a.parquet: column 'text': expected text. Received: .*--text-column"
        ):
            read(tmp_path / "a.parquet")
    pyarrow.parquet.write_table(pa.table({"text": ["x", "y"], "label": values}), tmp_path / "b.parquet")
    if isinstance(values[0], list | dict):
        with pytest.raises(errors.InputError, match="column 'label': expected"):
            loading.load([str(tmp_path / "b.parquet")])


def test_bytes_of_parquet_that_are_no_text_are_named_by_row(tmp_path: pathlib.Path) -> None:
    broken = pa.Array.from_buffers(pa.string(), 2, pa.array([b"fine", b"caf\xe9"]).buffers())
    for number, column in enumerate([pa.array([b"fine", b"caf\xe9"]), broken]):
        path = tmp_path / f"{number}.parquet"
        pyarrow.parquet.write_table(pa.table({"text": column, "label": [0, 1]}), path)
        with pytest.raises(errors.InputError, match="row 2: not valid UTF-8: byte 0xe9"):
            loading.load([str(path)])
        with pytest.raises(errors.InputError, match=r"row 2: .*byte 0xe9"):
            texts_of(path)


def test_json_objects_without_the_text_or_with_a_key_twice_are_named(tmp_path: pathlib.Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "x"}\n{"txt": "y"}\n{"text": "z", "text": "w"}\n{"text": null}\n')
    aside: list[tuple[int, str]] = []
    kept = texts_of(tmp_path / "a.jsonl", set_aside=lambda fault: aside.append((fault.row, fault.reason)))
    assert kept == ["x", ""]
    assert aside == [(2, "no key 'text'"), (3, "key 'text' twice in one object")]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_tables_and_json_lines_are_read_in_every_unicode_encoding(tmp_path: pathlib.Path, encoding: str) -> None:
    (tmp_path / "A.CSV").write_bytes('text,label\n"Zoë, fine",1\nbad,0\n'.encode(encoding))
    (tmp_path / "a.jsonl").write_bytes(
        '{"text": "Zoë, fine", "label": 1}\n{"text": "bad", "label": 0}\n'.encode(encoding)
    )
    (tmp_path / "a.txt").write_bytes("1 Zoë, fine\n0 bad\n".encode(encoding))
    for name in ("A.CSV", "a.jsonl", "a.txt"):
        assert loading.load([str(tmp_path / name)]).texts.tolist() == ["Zoë, fine", "bad"], name


def test_tables_from_windows_are_named_by_row_with_what_mends_them(tmp_path: pathlib.Path) -> None:
    (tmp_path / "a.csv").write_bytes("text,label\nfine,1\nZoë’s,0\n".encode("cp1252"))
    with pytest.raises(errors.InputError, match=r"iconv -f cp1252.*a.csv, row 3: not valid UTF-8: byte 0xeb"):
        loading.load([str(tmp_path / "a.csv")])
    with pytest.raises(errors.InputError, match=r"a.csv, row 3: .*iconv -f cp1252"):
        texts_of(tmp_path / "a.csv")


def test_a_file_that_breaks_off_is_bad_input_for_predict_too(tmp_path: pathlib.Path) -> None:
    (tmp_path / "a.csv").write_bytes("text\nfine\n".encode("utf-16") + b"\x00")
    with pytest.raises(errors.InputError, match=r"a.csv: expected a file that can be read to its end"):
        texts_of(tmp_path / "a.csv")


# Folders, archives and links


def test_files_that_are_not_read_are_counted_by_kind(tmp_path: pathlib.Path) -> None:
    write(tmp_path / "set" / "a.csv", sentences(20))
    for name in ("notes.docx", "b.pdf", "c.PDF", "README.md", ".hidden"):
        (tmp_path / "set" / name).write_text("x")
    wanted = "set: 4 files not read: .pdf x2, .docx x1, .md x1"
    assert wanted in loading.load([str(tmp_path / "set")]).notes
    told: list[str] = []
    texts_of(tmp_path / "set", note=told.append)
    assert told == [wanted]


def test_a_linked_test_part_is_the_test_part(tmp_path: pathlib.Path) -> None:
    write(tmp_path / "set" / "train" / "a.csv", sentences(30))
    write(tmp_path / "elsewhere" / "b.csv", sentences(20, "test"))
    os.symlink(tmp_path / "elsewhere", tmp_path / "set" / "test")
    for read in (lambda path: loading.load([str(path)]), texts_of):
        with pytest.raises(errors.InputError, match=r"--follow-links"):
            read(tmp_path / "set")
    reviews = loading.load([str(tmp_path / "set")], follow_links=True)
    assert (reviews.fixed_parts == "test").sum() == 20
    assert len(texts_of(tmp_path / "set", follow_links=True)) == 50


def test_a_file_to_which_two_names_lead_is_not_read_twice(tmp_path: pathlib.Path) -> None:
    for folder in ("train/neg", "train/pos", "held/neg", "held/pos"):
        (tmp_path / "linked" / folder).mkdir(parents=True)
        for number, text in enumerate(sentences(5, folder[:2])):
            (tmp_path / "linked" / folder / f"{number}.txt").write_text(text)
    (tmp_path / "linked" / "test").symlink_to("held")
    with pytest.raises(errors.InputError, match=r"expected each file once\. Received: test/neg/0\.txt, which is held/"):
        loading.load([str(tmp_path / "linked")])
    tables = tmp_path / "tables"
    write(tables / "2024.csv", sentences(20))
    (tables / "latest.csv").symlink_to("2024.csv")
    with pytest.raises(errors.InputError, match=r"latest\.csv, which is 2024\.csv"):
        texts_of(tables)
    # What is not read does no harm.
    (tables / "latest.csv").rename(tables / "latest.bin")
    assert len(texts_of(tables)) == 20


def test_texts_to_score_need_no_folder_of_a_class(tmp_path: pathlib.Path) -> None:
    for name in ("a.txt", "one/b.txt", "two/c.txt", "two/d.html"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"text of {name}")
    notes: list[str] = []
    assert texts_of(tmp_path, note=notes.append) == [f"text of {name}" for name in ("a.txt", "one/b.txt", "two/c.txt")]
    assert notes == [f"{tmp_path.name}: 1 files not read: .html x1"]


def test_a_second_label_of_a_line_is_no_part_of_its_text(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "a.ft.txt"
    path.write_text("".join(f"__label__{row % 2 + 1} {text}\n" for row, text in enumerate(sentences(20))))
    assert len(loading.load([str(path)]).texts) == 20
    path.write_text(path.read_text() + "__label__1 __label__food too sour for me\n")
    with pytest.raises(errors.InputError, match=r"row 21: more than one label"):
        loading.load([str(path)])
    assert texts_of(path)[-1] == "too sour for me"


def test_archives_with_links_or_names_twice_are_refused(tmp_path: pathlib.Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        link = tarfile.TarInfo("set/test")
        link.type, link.linkname = tarfile.SYMTYPE, "../elsewhere"
        tar.addfile(link)
        for text in (b"text,label\nx,1\n", b"text,label\ny,0\n"):
            member = tarfile.TarInfo("set/a.csv")
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text))
    with pytest.raises(errors.InputError, match="1 symbolic links, the first set/test"):
        loading.load([str(tmp_path / "a.tar")])
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.csv", "text,label\nx,1\n")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("a.csv", "text,label\ny,0\n")
    with pytest.raises(errors.InputError, match=r"each name once. Received: a.csv"):
        loading.load([str(tmp_path / "a.zip")])


# Names of sources


def test_sources_of_one_name_keep_names_and_rows_apart(tmp_path: pathlib.Path) -> None:
    paths = [str(write(tmp_path / folder / "reviews.csv", sentences(10, folder))) for folder in ("x", "y")]
    reviews = loading.load(paths)
    assert reviews.name == "x/reviews.csv+y/reviews.csv"
    assert [(reviews.sources == f"{folder}/reviews.csv").sum() for folder in ("x", "y")] == [10, 10]
    assert len(set(zip(reviews.files, reviews.rows, strict=True))) == 20
    frames = list(checking.iterate_texts(paths))
    assert [frame["file"].unique().tolist() for frame in frames] == [[path] for path in paths]
    both = loading.load([str(tmp_path / "x"), str(tmp_path / "y")])
    assert set(both.files) == {"x/reviews.csv", "y/reviews.csv"}


def test_predictions_name_files_by_the_path_that_was_given(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("jan", "feb"):
        write(pathlib.Path(folder) / "reviews.csv", sentences(2, folder))
    frames = checking.iterate_texts(["jan/reviews.csv", "feb"])
    assert [frame["file"].unique().tolist() for frame in frames] == [["jan/reviews.csv"], ["feb/reviews.csv"]]


def test_a_source_given_twice_by_other_names_or_within_another_is_refused(tmp_path: pathlib.Path) -> None:
    path = write(tmp_path / "x" / "a.csv", sentences(10))
    os.symlink(path, tmp_path / "link.csv")
    os.link(path, tmp_path / "hard.csv")
    for other in (tmp_path / "x" / ".." / "x" / "a.csv", tmp_path / "link.csv", tmp_path / "hard.csv", tmp_path / "x"):
        with pytest.raises(errors.InputError, match=r"read once each.*a\.csv"):
            loading.load([str(path), str(other)])
        with pytest.raises(errors.InputError, match=r"read once each"):
            list(checking.iterate_texts([str(path), str(other)]))


def test_copies_and_texts_with_other_labels_in_another_source_are_told(tmp_path: pathlib.Path) -> None:
    texts = sentences(10)
    write(tmp_path / "a.csv", texts)
    write(tmp_path / "b.csv", texts)
    assert (
        "a.csv and b.csv hold the same, which is read 2 times"
        in loading.load([str(tmp_path / name) for name in ("a.csv", "b.csv")]).notes
    )
    write(tmp_path / "c.csv", texts[:4], labels="10")
    notes = loading.load([str(tmp_path / name) for name in ("a.csv", "c.csv")]).notes
    assert any(
        "8 rows hold a text that also occurs with another label" in each and "4 in c.csv" in each for each in notes
    )
    kept = loading.load([str(tmp_path / name) for name in ("a.csv", "c.csv")], skip_bad=True)
    assert kept.texts.tolist() == texts[4:]


# Official parts


def parts(paths: list[pathlib.Path]) -> dict[str, set[str]]:
    reviews = loading.load([str(path) for path in paths])
    split, _ = loading.split(reviews, seed=0)
    return {file: set(split.part[reviews.files == file].tolist()) for file in set(reviews.files)}


def test_test_texts_never_train_however_the_parts_are_given(tmp_path: pathlib.Path) -> None:
    train, test = (
        write(tmp_path / "d" / "train" / "a.csv", sentences(30)),
        write(tmp_path / "d" / "test" / "b.csv", sentences(20, "test")),
    )
    free = write(tmp_path / "free.csv", sentences(30, "free"))
    assert parts([tmp_path / "d"])["test/b.csv"] == {"test"}
    assert parts([train, test]) == {"a.csv": {"train", "validation"}, "b.csv": {"test"}}
    found = parts([train.parent, test.parent])
    assert found == {"train/a.csv": {"train", "validation"}, "test/b.csv": {"test"}}
    assert parts([free, test]) == {"free.csv": {"train", "validation"}, "b.csv": {"test"}}


def test_held_out_parts_alone_are_not_trained_on(tmp_path: pathlib.Path) -> None:
    for name in ("dev.csv", "test.csv"):
        write(tmp_path / name, sentences(20, name))
    reviews = loading.load([str(tmp_path)])
    assert (reviews.fixed_parts == "test").sum() == 20
    with pytest.raises(errors.InputError, match="Expected an official train part"):
        loading.split(reviews, seed=0)
    alone, notes = grouping.settle_official(np.array(["test", "test"]))
    assert (set(alone), len(notes)) == ({""}, 1)


def test_a_column_of_parts_is_the_official_parts(tmp_path: pathlib.Path) -> None:
    frame = pd.DataFrame({"text": sentences(60), "label": [0, 1] * 30, "Split": (["train"] * 4 + ["Test", "dev"]) * 10})
    frame.to_csv(tmp_path / "a.csv", index=False)
    frame.to_parquet(tmp_path / "a.parquet")
    for name in ("a.csv", "a.parquet"):
        reviews = loading.load([str(tmp_path / name)])
        split, _ = loading.split(reviews, seed=0)
        assert split.part.tolist() == (["train"] * 4 + ["test", "validation"]) * 10
        assert reviews.columns["Split"] == "official part"
    frame.assign(Split=["x", "y"] * 30).to_csv(tmp_path / "b.csv", index=False)
    other = loading.load([str(tmp_path / "b.csv")])
    assert (set(other.fixed_parts), other.columns["Split"][:8]) == ({""}, "not read")
    frame.loc[7, "Split"] = "extra"
    frame.to_csv(tmp_path / "c.csv", index=False)
    with pytest.raises(
        errors.InputError, match=r"c.csv, row 9: column 'Split' names no train, dev or test part: 'extra'"
    ):
        loading.load([str(tmp_path / "c.csv")])


# What is counted, and what is written


def test_the_hash_of_the_data_changes_with_all_that_training_reads(tmp_path: pathlib.Path) -> None:
    frame = pd.DataFrame({"text": sentences(8), "label": [0, 1] * 4, "source": "web", "split": ["train", "test"] * 4})
    digests = set()
    changes: dict[str, Any] = {"text": "other", "label": 1, "source": "shop", "split": "dev"}
    for number, change in enumerate([{}, *({name: value} for name, value in changes.items())]):
        folder = tmp_path / str(number) / "set"
        folder.mkdir(parents=True)
        changed = frame.copy()
        for name, value in change.items():
            changed.loc[0, name] = value
        changed.to_csv(folder / "a.csv", index=False)
        digests.add(loading.load([str(folder)]).sha256)
    assert len(digests) == 5


def film_folder(root: pathlib.Path, urls: str) -> pathlib.Path:
    for name in ("neg", "pos"):
        for number in range(3):
            path = root / "set" / name / f"{number}_1.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{name} {number}")
    (root / "set" / "urls_pos.txt").write_text(urls)
    return root / "set"


def test_reviews_whose_film_is_known_are_counted_and_none_is_an_error(tmp_path: pathlib.Path) -> None:
    folder = film_folder(tmp_path, "http://www.imdb.com/title/tt0000001/usercomments\n" * 2)
    notes = loading.load([str(folder)]).notes
    assert "reviews of one film grouped by the urls_*.txt files: 2 of 6 reviews" in notes
    film_folder(tmp_path, "tt1\ntt2\n")
    with pytest.raises(errors.InputError, match=r"urls_\*\.txt.*name no film of the 3 reviews"):
        loading.load([str(folder)])


def test_predict_refuses_an_output_within_a_folder_that_it_reads(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "set" / "a.csv", sentences(3))
    before = path.read_bytes()
    for output in (path, tmp_path / "set" / "new.csv", tmp_path / "set" / "deeper" / "new.csv"):
        flags = ["--run-dir", str(tmp_path / "run"), "--output", str(output), "--overwrite"]
        assert __main__.main(["predict", str(tmp_path / "set"), *flags]) == 2
        assert "--output" in capsys.readouterr().err or output == path
    assert path.read_bytes() == before


def test_data_says_where_bad_rows_are(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "a.csv", [*sentences(30), " "])
    flags = ["--output-dir", str(tmp_path / "out"), "--skip-bad", "--json"]
    assert __main__.main(["data", "--data", str(tmp_path / "a.csv"), *flags]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["quarantined_rows"] == 1
    assert len(pd.read_csv(told["quarantine"])) == 1


def test_predict_tells_what_it_did_not_read(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(texts: Any) -> dict[str, Any]:
        names = np.array(["positive"] * len(texts), object)
        return {"labels": names, "decision": names, "scores": np.full((len(texts), 2), 0.5)}

    monkeypatch.setattr(predict, "_open", lambda _: (answer, ("negative", "positive"), {"model": "toy"}))
    write(tmp_path / "set" / "a.csv", sentences(3))
    (tmp_path / "set" / "b.pdf").write_text("x")
    said = predict.predict(helpers.predict_options([tmp_path / "set"], tmp_path / "out.csv", config.Config()))
    assert (said["rows"], said["notes"]) == (3, ["set: 1 files not read: .pdf x1"])
