import contextlib
import hashlib
import os
import pathlib
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from shared import errors, files


def names(folder: pathlib.Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_takes_its_name_only_when_the_block_succeeds(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "new" / "table.csv"
    with files.atomic(path) as temporary:
        temporary.write_text("a,b\n")
        assert not path.exists()
        assert (temporary.parent, temporary.suffix) == (path.parent, ".csv")
    assert path.read_text() == "a,b\n"
    assert names(path.parent) == ["table.csv"]


def test_a_failure_keeps_the_old_file_and_leaves_nothing_else(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("old")

    def fail() -> None:
        with files.atomic(path) as temporary:
            temporary.write_text("new")
            raise RuntimeError("disk full")

    with pytest.raises(RuntimeError, match="disk full"):
        fail()
    assert path.read_text() == "old"
    assert names(tmp_path) == ["notes.txt"]


def test_a_process_killed_while_writing_leaves_the_old_file_whole(
    tmp_path: pathlib.Path, environment: dict[str, str]
) -> None:
    path = tmp_path / "weights.bin"
    path.write_text("old")
    script = (
        "import os, pathlib, signal, sys\n"
        "from shared import files\n"
        "with files.atomic(pathlib.Path(sys.argv[1])) as temporary:\n"
        "    temporary.write_text('half')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    finished = subprocess.run([sys.executable, "-c", script, str(path)], env=environment, check=False)
    assert finished.returncode == -9
    assert path.read_text() == "old"


@pytest.fixture
def umask() -> Iterator[Callable[[int], int]]:
    """``os.umask``, taken back after the test."""
    before = os.umask(0o022)
    yield os.umask
    os.umask(before)


def mode(path: pathlib.Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002, 0o027, 0])
def test_a_new_file_and_its_folder_have_the_modes_that_open_and_mkdir_give(
    tmp_path: pathlib.Path, umask: Callable[[int], int], mask: int
) -> None:
    umask(mask)
    files.write_text(tmp_path / "new" / "a.txt", "grüße\n")
    (tmp_path / "plain").mkdir()
    with (tmp_path / "plain" / "a.txt").open("w") as stream:
        stream.write("x")
    for name in ("", "a.txt"):
        assert mode(tmp_path / "new" / name) == mode(tmp_path / "plain" / name)
    assert (tmp_path / "new" / "a.txt").read_bytes() == "grüße\n".encode()


@pytest.mark.parametrize("kept", [0o600, 0o640, 0o660, 0o666, 0o400, 0o755])
def test_a_replaced_file_keeps_its_mode_and_nobody_else_reads_it_meanwhile(tmp_path: pathlib.Path, kept: int) -> None:
    path = tmp_path / "scores.csv"
    path.write_text("old")
    path.chmod(kept)
    with files.atomic(path) as temporary:
        temporary.write_text("new")
        assert mode(temporary) & ~kept & 0o077 == 0
    assert (mode(path), path.read_text()) == (kept, "new")


def test_the_target_of_a_symbolic_link_is_written_and_the_link_stays(tmp_path: pathlib.Path) -> None:
    (tmp_path / "disk").mkdir()
    for name in ("there", "new"):
        link = tmp_path / f"{name}.csv"
        link.symlink_to(pathlib.Path("disk") / f"{name}.csv")
        if name == "there":
            (tmp_path / "disk" / "there.csv").write_text("old")
        files.write_text(link, "new")
        assert link.is_symlink()
        assert (tmp_path / "disk" / f"{name}.csv").read_text() == "new"
    assert names(tmp_path / "disk") == ["new.csv", "there.csv"]


def test_a_pipe_gets_what_is_written_and_stays_a_pipe(tmp_path: pathlib.Path) -> None:
    pipe = tmp_path / "page.html"
    os.mkfifo(pipe)
    with subprocess.Popen(["cat", str(pipe)], stdout=subprocess.PIPE) as reader:
        files.write_text(pipe, "through")
        assert reader.communicate()[0] == b"through"
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_a_folder_in_the_place_of_a_file_is_refused_before_the_work(tmp_path: pathlib.Path) -> None:
    with pytest.raises(IsADirectoryError, match="here"), files.atomic(tmp_path / "here" / ".."):
        pytest.fail("the block began")


@pytest.mark.parametrize(
    "name", ["x" * 251 + ".csv", "x" * 255, "y." + "z" * 253, "ä" * 125 + ".csv", os.fsdecode(b"\xff" * 251) + ".csv"]
)
def test_every_name_that_the_file_system_takes_can_be_written_twice(tmp_path: pathlib.Path, name: str) -> None:
    for text in ("first", "second"):
        with files.atomic(tmp_path / name) as temporary:
            temporary.write_text(text)
            assert temporary.suffix == pathlib.Path(name).suffix or len(pathlib.Path(name).suffix) > 32
    assert (tmp_path / name).read_text() == "second"
    assert names(tmp_path) == [name]
    assert len(os.fsencode(files.beside(tmp_path / name, ".partial").name)) <= 255


def test_two_names_that_are_too_long_get_two_names_beside_them(tmp_path: pathlib.Path) -> None:
    first, second = (files.beside(tmp_path / ("x" * 250 + end), ".partial").name for end in "ab")
    assert first != second


def test_text_that_utf_8_cannot_hold_is_escaped_and_json_brings_it_back(tmp_path: pathlib.Path) -> None:
    odd = os.fsdecode(b"caf\xe9")
    files.write_json(tmp_path / "a.json", {"name": odd})
    assert files.read_json(tmp_path / "a.json") == {"name": odd}
    files.write_text(tmp_path / "a.txt", odd)
    assert (tmp_path / "a.txt").read_text("utf-8") == r"caf\udce9"
    assert files.printable(odd) == r"caf\xe9"


def test_json_comes_back_as_it_was_written_in_its_own_order(tmp_path: pathlib.Path) -> None:
    content = {"z": 1, "a": [1.5, None, "né😀"], "m": {"deep": True}}
    files.write_json(tmp_path / "a.json", content)
    assert files.read_json(tmp_path / "a.json") == content
    assert list(files.read_json(tmp_path / "a.json")) == ["z", "a", "m"]
    assert "né😀" in (tmp_path / "a.json").read_text("utf-8")


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_json_without_a_number_for_nan_is_refused_before_anything_is_written(
    tmp_path: pathlib.Path, number: float
) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        files.write_json(tmp_path / "a.json", {"value": number})
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "expected valid JSON"),
        (b"", "expected valid JSON"),
        (b"[1]", "expected a JSON object. Received: list"),
        (b"\xff\xfe{", "expected valid JSON"),
        (b'{"seed": 1, "seed": 2}', "Received: 'seed' twice in one object"),
        (b'{"a": [{"b": 1, "b": 1}]}', "'b' twice in one object"),
        (b'{"a": ' + b"[" * 200_000 + b"]" * 200_000 + b"}", "too deep to be read"),
        (b'{"a": ' * 200_000 + b"1" + b"}" * 200_000, "too deep to be read"),
        (b'{"rate": NaN}', "NaN, which is no number in JSON"),
        (b'{"rate": -Infinity}', "-Infinity, which is no number in JSON"),
        (b'{"rate": ' + b"1" * 5_000 + b"}", "expected valid JSON"),
    ],
)
def test_a_broken_json_file_is_named(tmp_path: pathlib.Path, content: bytes, message: str) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(errors.InputError, match=message) as caught:
        files.read_json(tmp_path / "a.json")
    assert "a.json" in str(caught.value)


def test_a_byte_order_mark_before_json_is_passed_over(tmp_path: pathlib.Path) -> None:
    (tmp_path / "a.json").write_bytes(b'\xef\xbb\xbf{"seed": 3}')
    assert files.read_json(tmp_path / "a.json") == {"seed": 3}


def test_a_json_path_without_a_readable_file_is_bad_input(tmp_path: pathlib.Path) -> None:
    with pytest.raises(errors.InputError, match="does not exist"):
        files.read_json(tmp_path / "none.json")
    with pytest.raises(errors.InputError, match="directory"):
        files.read_json(tmp_path)


def test_the_hash_is_that_of_the_whole_file(tmp_path: pathlib.Path) -> None:
    content = bytes(range(256)) * 5000
    (tmp_path / "a").write_bytes(content)
    assert files.sha256(tmp_path / "a") == hashlib.sha256(content).hexdigest()


def a_run(path: pathlib.Path) -> files.RunFolder:
    run = files.RunFolder.create(path)
    files.write_json(run.config, {})
    return run


def test_the_run_folder_has_the_names_of_the_contract(tmp_path: pathlib.Path) -> None:
    run = files.RunFolder(tmp_path)
    paths = [run.config, run.split, run.environment, run.history, run.checkpoints, run.model, run.decision]
    assert [path.relative_to(tmp_path).as_posix() for path in [*paths, run.evaluation, run.logs]] == [
        *("config.json", "split.json", "environment.json", "history.csv", "checkpoints", "model.keras"),
        *("decision.json", "evaluation", "logs"),
    ]


def test_a_run_is_not_trained_over_by_accident(tmp_path: pathlib.Path) -> None:
    run = a_run(tmp_path / "run")
    with pytest.raises(errors.InputError, match=r"--resume .* --overwrite"):
        files.RunFolder.create(run.path)
    assert run.config.exists()


def test_resume_keeps_a_run_and_overwrite_empties_it(tmp_path: pathlib.Path) -> None:
    run = a_run(tmp_path / "run")
    assert files.RunFolder.create(run.path, resume=True).config.exists()
    assert not files.RunFolder.create(run.path, overwrite=True).config.exists()


@pytest.mark.parametrize("option", ["resume", "overwrite"])
def test_a_folder_or_file_that_is_no_run_is_never_touched(tmp_path: pathlib.Path, option: str) -> None:
    folder, file = tmp_path / "holiday", tmp_path / "letter.txt"
    folder.mkdir()
    (folder / "photo.jpg").write_text("beach")
    file.write_text("dear")
    for path in (folder, file):
        with pytest.raises(errors.InputError, match=r"without config\.json"):
            files.RunFolder.create(path, **{option: True})
    assert (folder / "photo.jpg").exists()
    assert file.exists()


def test_an_empty_folder_may_become_a_run(tmp_path: pathlib.Path) -> None:
    assert files.RunFolder.create(tmp_path).path == tmp_path


@pytest.mark.parametrize("begun", [False, True])
def test_bad_input_takes_a_run_folder_back_unless_its_data_were_split(tmp_path: pathlib.Path, begun: bool) -> None:
    run = files.RunFolder.create(tmp_path / "run")
    run.config.write_text("{}")
    if begun:
        run.split.write_text("{}")
    with pytest.raises(errors.InputError, match="row 3"), run.taken_back_unless_begun():
        raise errors.InputError("a.csv, row 3")
    assert run.path.exists() == begun


def test_an_unfinished_run_is_not_opened_and_the_message_says_how_to_finish_it(
    tmp_path: pathlib.Path,
) -> None:
    run = a_run(tmp_path / "run")
    with pytest.raises(errors.InputError, match=r"train --run-dir .*run --resume"):
        files.RunFolder.open(run.path)
    run.model.touch()
    run.decision.touch()
    assert files.RunFolder.open(run.path) == run


def test_a_folder_that_is_no_run_is_not_opened(tmp_path: pathlib.Path) -> None:
    for path in (tmp_path, tmp_path / "missing"):
        with pytest.raises(errors.InputError, match="expected a folder that `train --run-dir` wrote"):
            files.RunFolder.open(path)


@pytest.mark.parametrize("link", ["same", "symbolic", "hard", "relative"])
def test_an_output_that_is_an_input_is_refused_by_whatever_name(
    tmp_path: pathlib.Path, link: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    source = tmp_path / "in.csv"
    source.write_text("a")
    output = tmp_path / "out.csv"
    if link == "symbolic":
        output.symlink_to(source)
    elif link == "hard":
        output.hardlink_to(source)
    else:
        output = source if link == "same" else pathlib.Path("sub/../in.csv")
    with pytest.raises(errors.InputError, match="none of the inputs"):
        files.refuse_output_over_input(output, [tmp_path / "other", source])


def test_an_output_folder_that_holds_an_input_is_refused_and_one_beside_it_is_not(tmp_path: pathlib.Path) -> None:
    (tmp_path / "data/inner").mkdir(parents=True)
    with pytest.raises(errors.InputError, match="holds the input"):
        files.refuse_output_over_input(tmp_path / "data", [tmp_path / "data/inner"])
    files.refuse_output_over_input(tmp_path / "data/inner/new", [tmp_path / "data/inner"])
    files.refuse_output_over_input(tmp_path / "new", [tmp_path / "data", pathlib.Path("a text " * 100)])


def a_finished_run(path: pathlib.Path) -> files.RunFolder:
    run = a_run(path)
    for name in ("decision.json", "model.keras", "split.json", "folds/1/model.keras", "evaluation/metrics.json"):
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text(name)
    run.write_manifest()
    return run


def test_the_manifest_holds_what_training_made_and_nothing_that_is_added_later(tmp_path: pathlib.Path) -> None:
    run = a_finished_run(tmp_path / "run")
    (run.path / "alerts").mkdir()
    (run.path / "alerts" / "queue.json").write_text("{}")
    (run.evaluation / "metrics.json").write_text("another")
    listed = files.read_json(run.manifest)["files"]
    assert listed["decision.json"] == hashlib.sha256(b"decision.json").hexdigest()
    assert list(listed) == ["config.json", "decision.json", "folds/1/model.keras", "model.keras", "split.json"]
    assert files.RunFolder.open(run.path) == run


@pytest.mark.parametrize("name", ["config.json", "decision.json", "folds/1/model.keras", "model.keras", "split.json"])
def test_a_flipped_bit_or_a_missing_file_of_a_run_is_found_when_it_is_opened(tmp_path: pathlib.Path, name: str) -> None:
    run = a_finished_run(tmp_path / "run")
    content = (run.path / name).read_bytes()
    for bit in (0, 3, 8 * len(content) - 1):
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        (run.path / name).write_bytes(flipped)
        with pytest.raises(errors.InputError, match=rf"{name}: expected the file .* Received: one that was changed"):
            files.RunFolder.open(run.path)
    (run.path / name).write_bytes(content)
    files.RunFolder.open(run.path)
    (run.path / name).unlink()
    with pytest.raises(errors.InputError, match=r"config\.json|not finished|Received: none"):
        files.RunFolder.open(run.path)


def test_a_run_of_before_manifests_is_opened_and_a_manifest_that_is_none_is_not(tmp_path: pathlib.Path) -> None:
    run = a_finished_run(tmp_path / "run")
    for content in ("[]", '{"files": 3}', "{", '{"files": {"decision.json": NaN}}'):
        run.manifest.write_text(content)
        with pytest.raises(errors.InputError, match=r"manifest\.json"):
            files.RunFolder.open(run.path)
    run.manifest.unlink()
    files.RunFolder.open(run.path)


class Killed(BaseException):
    """Stands for SIGKILL: nothing that catches errors of ours catches it."""


def test_files_of_a_run_are_replaced_together_wherever_the_call_is_killed(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("model.keras", "decision.json", "update.json")
    outcomes = []
    for step in range(100):
        run = a_finished_run(tmp_path / f"run-{step}")
        fresh = tmp_path / "fresh"
        fresh.mkdir(exist_ok=True)
        for name in names:
            (fresh / name).write_text(f"new {name}")
        with monkeypatch.context() as patch:
            done = kill_at(patch, step)
            with contextlib.suppress(Killed):
                run.replace_files({name: fresh / name for name in names})
        files.RunFolder.open(run.path)
        held = [(run.path / name).read_text() if (run.path / name).exists() else "" for name in names]
        outcomes.append(held == [f"new {name}" for name in names])
        assert outcomes[-1] or held == ["model.keras", "decision.json", ""]
        assert not (run.path / ".following").exists()
        if len(done) < step + 1:
            break
    assert outcomes[0] is False
    assert outcomes[-1] is True
    assert outcomes == sorted(outcomes)
    assert len(outcomes) > 8


def kill_at(patch: pytest.MonkeyPatch, step: int) -> list[str]:
    """Let the ``step``-th change of the file system kill the process before it is made; return those that came."""
    came: list[str] = []

    def counted(of: Any, name: str) -> None:
        real = getattr(of, name)

        def change(*arguments: Any, **options: Any) -> Any:
            came.append(name)
            if len(came) == step + 1:
                raise Killed
            return real(*arguments, **options)

        patch.setattr(of, name, change)

    for name in ("rename", "replace", "mkdir"):
        counted(pathlib.Path, name)
    for name in ("copyfile", "rmtree"):
        counted(shutil, name)
    return came


def test_what_a_killed_training_left_can_be_gone_on_with_or_overwritten(tmp_path: pathlib.Path) -> None:
    for option in ("resume", "overwrite"):
        run = files.RunFolder(tmp_path / option)
        run.path.mkdir()
        (run.path / ".config-0123abcd.json").write_text("{")
        (run.path / ".lock").touch()
        assert files.RunFolder.create(run.path) == run
        assert [each.name for each in run.path.iterdir()] == [".lock"]
        for name in ("split.json", ".decision-0123abcd.json", "history.csv"):
            (run.path / name).write_text("")
        with pytest.raises(errors.InputError, match="--resume"):
            files.RunFolder.create(run.path)
        files.RunFolder.create(run.path, **{option: True})
        left = {each.name for each in run.path.iterdir()}
        assert left == ({".lock", "split.json", "history.csv"} if option == "resume" else {".lock"})
