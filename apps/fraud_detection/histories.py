"""The verb ``histories``: what each transaction is compared with, of data larger than memory, by several processes.

Rows are read once, in the order of the files, which need not be that of time; they are kept on disk by entity
(``partitions``), each partition is computed alone, and the results are put together in the order of the rows. No
TensorFlow here.
"""

import dataclasses
import logging
import pathlib
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self

import pyarrow.parquet

from apps.fraud_detection import config, data, features, inputs, partitions
from apps.fraud_detection import schema as schemas
from apps.fraud_detection.readers import checking, sources
from shared import cli, errors, files, machine, progress, published, resuming

FILE = "histories.json"
ROW_GROUP = 1 << 18
# A process with its libraries, and what it needs at least for rows. Partitions are not all of one size.
PROCESS_BYTES, LEAST_BYTES, FILLED = 350 << 20, 64 << 20, 0.75
# Of a partition beside the others, so that no process waits long for the last one.
PARTITIONS_PER_WORKER = 4
_PLAN, _PARTITIONED = "plan.json", "partitioned.json"
_WHAT = "`histories` into one output"

# What lies in an output.
_OURS = re.compile(rf"{re.escape(FILE)}|histories-\d{{5,}}\.parquet")

log = logging.getLogger("fieldnets")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Work:
    """The partitions of a source, and how they are computed.

    Attributes:
        folder: Of unfinished work.
        names: Role -> its features, without the role.
        label_delay_days: After how many days a label is in the books.
        partitions: For each role.
        starts: The number of the first row of each file of the output, and after them that of all rows.
        id: The column of ids; None where there is none.
        id_is_text: Whether ids are text.
    """

    folder: pathlib.Path
    names: Mapping[str, Sequence[str]]
    label_delay_days: float
    partitions: int
    starts: Sequence[int]
    id: str | None
    id_is_text: bool

    @classmethod
    def of(cls, folder: pathlib.Path, partitioned: Mapping[str, Any]) -> Self:
        """Return what ``_partition`` wrote down."""
        found = schemas.Schema.from_json(partitioned["schema"])
        return cls(
            folder=folder,
            names=_names(found),
            label_delay_days=found.label_delay_days,
            partitions=partitioned["partitions"],
            starts=partitioned["starts"],
            id=found.id,
            id_is_text=partitioned["id_is_text"],
        )

    def tasks(self) -> list[tuple[int, int]]:
        """Return place of the role and number of every partition."""
        return [(place, number) for place in range(len(self.names)) for number in range(self.partitions)]

    def compute(self, place: int, number: int, most_rows: int) -> None:
        """Compute the histories of one partition, in slices of so many rows."""
        names = list(self.names.values())[place]
        partitions.compute(
            self.folder,
            place,
            number,
            names=names,
            label_delay_days=self.label_delay_days,
            most_rows=most_rows,
        )

    def join(self, part: int) -> None:
        """Write one file of the output: rows as they were read, with their histories."""
        # Streams, since Arrow takes no path that is not UTF-8.
        with partitions.rows_path(self.folder, part).open("rb") as stream:
            table = pyarrow.parquet.read_table(stream)
        for place, (role, names) in enumerate(self.names.items()):
            found = partitions.take(
                self.folder,
                place,
                partitions=self.partitions,
                names=names,
                rows=range(self.starts[part], self.starts[part + 1]),
            )
            for name, values in found.items():
                table = table.append_column(f"{role}_{name}", pyarrow.array(values))
        if self.id is not None:
            # As `predict` calls it: "id" where the source calls it as one of ours.
            called = "id" if self.id in table.column_names else self.id
            kind = pyarrow.string() if self.id_is_text else pyarrow.int64()
            table = table.set_column(table.column_names.index("id"), called, table.column("id").cast(kind))
        with files.atomic(_part_path(self.folder / "output", part)) as temporary, temporary.open("wb") as stream:
            # A dictionary of floats that hardly repeat costs four times the time and makes the file larger.
            pyarrow.parquet.write_table(table, stream, row_group_size=ROW_GROUP, use_dictionary=["file"])


def _part_path(folder: pathlib.Path, part: int) -> pathlib.Path:
    return folder / f"histories-{part:05d}.parquet"


def _names(found: schemas.Schema) -> dict[str, list[str]]:
    """Return role -> the features of its histories, without the role."""
    wanted = set(inputs.history_names(found))
    return {
        role: [name.removeprefix(f"{role}_") for name in features.names([role]) if name in wanted]
        for role in found.entities
    }


def write(
    settings: config.Config,
    output: pathlib.Path,
    *,
    workers: int = 1,
    memory_bytes: int = 2 << 30,
    resume: bool = False,
    overwrite: bool = False,
) -> cli.Result:
    """Write the history of every transaction of a source, in the order of the files: file, row, id, features.

    They are those of ``inputs.compute_history`` for all rows in order of time, bit for bit.

    Args:
        settings: Which source, and how to read it.
        output: A folder; it appears when it is whole, with the features in Parquet files and ``histories.json``.
        workers: Processes.
        memory_bytes: Of all processes together.
        resume: Go on with an interrupted call: with its partitions, if all rows had been read, and with those of them
            that were computed.
        overwrite: Replace an output that exists.

    Raises:
        errors.InputError: The source cannot be read or names no entity, the output exists, the memory is too little, or
            the interrupted call was another one.
        errors.FieldnetsError: A process was ended from outside.
    """
    _refuse_output(output, overwrite=overwrite)
    most_rows = _most_rows(memory_bytes, workers)
    reading = data.reading(settings)
    listed = sources.files_of(settings.data, reading)
    folder = files.beside(output, ".partial")
    _refuse_foreign(folder)
    with resuming.locked(folder, what=_WHAT):
        plan = _plan(settings, listed)
        _begin(folder, plan, resume=resume)
        if not (folder / _PARTITIONED).exists():
            _partition(settings, folder, listed, least=PARTITIONS_PER_WORKER * workers, most_rows=most_rows)
        partitioned = files.read_json(folder / _PARTITIONED)
        work = Work.of(folder, partitioned)
        resumed = _finish(work, workers=workers, most_rows=most_rows)
        files.write_json(folder / "output" / FILE, {**partitioned, "inputs": plan["inputs"]})
        published.replace(folder / "output", output)
        resuming.clear(folder)
        shutil.rmtree(folder)
    return {
        "output": str(output),
        "rows": work.starts[-1],
        "partitions": len(work.tasks()),
        "resumed_partitions": resumed,
        "notes": partitioned["notes"],
    }


def _finish(work: Work, *, workers: int, most_rows: int) -> int:
    """Compute every partition and write every file that is not there; return how many partitions were there."""
    tasks = work.tasks()
    left = [(*task, most_rows) for task in tasks if not partitions.result_path(work.folder, *task).exists()]
    parts = range(len(work.starts) - 1)
    undone = [(part,) for part in parts if not _part_path(work.folder / "output", part).exists()]
    with machine.processes(workers) as pool:
        machine.do_each(work.compute, left, pool, what="partitions computed")
        machine.do_each(work.join, undone, pool, what="files written")
    return len(tasks) - len(left)


def _most_rows(memory_bytes: int, workers: int) -> int:
    """Return how many rows a process may have in memory at once."""
    left = memory_bytes // workers - PROCESS_BYTES
    if left < LEAST_BYTES:
        least = workers * (PROCESS_BYTES + LEAST_BYTES) >> 20
        raise errors.InputError(
            f"--memory: expected at least {least}MiB for {workers} processes. Received: {memory_bytes >> 20}MiB"
        )
    return left // partitions.BYTES_PER_ROW


def _refuse_output(output: pathlib.Path, *, overwrite: bool) -> None:
    """Refuse an output that exists, unless it may be replaced and holds nothing but what this verb writes."""
    cli.refuse_existing(output, overwrite=overwrite)
    names = [each.name for each in output.iterdir()] if output.is_dir() and not output.is_symlink() else ["."]
    if output.exists() and not all(_OURS.fullmatch(name) for name in names):
        raise errors.InputError(
            f"{output}: --overwrite replaces what `histories` wrote only. Received: a path with something else"
        )


def _refuse_foreign(folder: pathlib.Path) -> None:
    """Refuse to use, and later to delete, a folder of the name that is not ours."""
    held = folder.iterdir() if folder.is_dir() else ()
    names = {each.name for each in held if not files.is_leftover(each.name)}
    if (folder.exists() and not folder.is_dir()) or (names - {resuming.LOCK} and _PLAN not in names):
        raise errors.InputError(
            f"{folder}: expected a place for unfinished work. Received: what `histories` did not write; move it, or "
            f"write elsewhere"
        )


def _plan(settings: config.Config, listed: Sequence[pathlib.Path]) -> dict[str, Any]:
    given = None if settings.schema is None else resuming.inputs([pathlib.Path(settings.schema)])
    simulated = {} if listed else {"world": dataclasses.asdict(data.world(settings))}
    how = {"reading": dataclasses.asdict(data.reading(settings)), "schema": given}
    return {"inputs": resuming.inputs(listed), **how, **simulated, **resuming.version()}


def _begin(folder: pathlib.Path, plan: Mapping[str, Any], *, resume: bool) -> None:
    """Keep the plan, or check that the interrupted call had the same; what it did goes, unless all rows were read."""
    if not (resume and (folder / _PARTITIONED).exists()):
        resuming.clear(folder, but=(_PLAN,) if resume else ())
    resuming.begin(folder / _PLAN, plan, what="call of `histories`")


def _partition(
    settings: config.Config, folder: pathlib.Path, listed: Sequence[pathlib.Path], *, least: int, most_rows: int
) -> None:
    """Read all rows into partitions and, for the output, into files of which row each is; write down what was read."""
    expected = progress.expected(listed) if listed else settings.customers * settings.days * 2
    rows = sum(path.stat().st_size for path in listed) // 20 if expected is None else expected
    number = max(partitions.count(rows, int(FILLED * most_rows * partitions.BYTES_PER_ROW)), least)
    number = min(number, partitions.MOST_PARTITIONS)

    def consume(found: schemas.Schema, pieces: Iterator[checking.Piece]) -> dict[str, Any]:
        if not found.entities:
            raise errors.InputError(
                f"{', '.join(settings.data)}: expected a column of cards, terminals or the like (--schema FILE names "
                f"it). Received: none, and so no histories"
            )
        parts = partitions.Rows(folder)
        with (
            partitions.Writer(folder, list(found.entities), number) as writer,
            progress.rows("transactions read", listed) as advance,
        ):
            for piece in pieces:
                writer.add(piece.rows, parts.rows)
                parts.add(piece)
                advance(len(piece.rows))
        parts.close()
        if not parts.rows:
            raise errors.InputError(f"{', '.join(settings.data)}: expected at least one transaction. Received: no rows")
        return {"starts": parts.starts, "id_is_text": parts.id_is_text, "nobody": writer.nobody}

    done, schema, notes = sources.stream(
        settings.data,
        consume,
        reading=data.reading(settings),
        schema_path=None if settings.schema is None else pathlib.Path(settings.schema),
        world=data.world(settings),
    )
    read = _read(done, schema)
    for note in (*read, *notes):
        log.info("%s", note)
    content = {**done, "partitions": number, "schema": schema.to_json(), "notes": [*read, *notes]}
    files.write_json(folder / _PARTITIONED, content)


def _read(done: Mapping[str, Any], schema: schemas.Schema) -> list[str]:
    """Say what was read."""
    nobody = [f"{count:,} name no {role}" for role, count in done["nobody"].items() if count]
    labels = "without labels" if schema.label is None else f"labels in {schema.label}"
    entities = ", ".join(f"{role} in {column}" for role, column in schema.entities.items())
    return [f"{done['starts'][-1]:,} transactions, {labels}; {'; '.join([entities, *nobody])}"]
