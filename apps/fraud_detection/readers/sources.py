"""Where transactions come from: the simulator, a file or folder of tables, a public set by its name."""

import dataclasses
import functools
import logging
import math
import pathlib
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import numpy as np

from apps.fraud_detection import download, simulator, transactions
from apps.fraud_detection import schema as schemas
from apps.fraud_detection.readers import checking, formats, inference, joining, parts, schema_choice
from shared import errors
from shared.sources import columns, kept

log = logging.getLogger("fieldnets")
FORMATS = ("auto", formats.SIMULATOR, *formats.KNOWN, formats.TABLE)
# How a user wants tables to be read.
Reading = inference.Reading

_AS_IT_COMES = Reading()
Read = TypeVar("Read")


def locate(spec: str) -> pathlib.Path | None:
    """Return the path of a source; None for the simulator. A public set is downloaded if it is not there yet.

    Raises:
        errors.InputError: There is nothing at the path.
    """
    if spec == formats.SIMULATOR:
        return None
    path = pathlib.Path(spec)
    if not path.exists() and spec in (*download.FILES, *download.BY_HAND):
        path = download.fetch(spec)
    if not path.exists():
        raise errors.InputError(
            f"Expected {formats.SIMULATOR!r}, a public set ({', '.join([*download.FILES, *download.BY_HAND])}) or an "
            f"existing path. Received: {spec!r}"
        )
    return path


def load(
    specs: Sequence[str],
    *,
    reading: Reading = _AS_IT_COMES,
    schema_path: pathlib.Path | None = None,
    schema: schemas.Schema | None = None,
    labelled: bool = True,
    normal_weight: float | None = None,
    world: simulator.World | None = None,
) -> transactions.Transactions:
    """Read whole sources, check each row, and put all in order of time.

    Args:
        specs: ``card-simulator``, paths of files or folders, names of public sets; several are joined.
        reading: How the user wants tables to be read.
        schema_path: A file with the roles of the columns.
        schema: That of a trained run: its columns must be there, but for labels, ids, groups, scenarios and weights.
        labelled: Whether genuine transactions and frauds are demanded; otherwise labels may be missing.
        normal_weight: How many transactions each row that is no fraud stands for; a fraud stands for 1.
        world: What to simulate.

    Raises:
        errors.InputError: A source is not there, or its columns or rows cannot be used.
    """
    _check_weight(normal_weight, reading.weight)
    found = _found(specs, reading, world)
    every = [part for each in found.values() for part in each.parts]
    notes = [note for each in found.values() for note in each.notes]
    if schema is None:
        schema, more = _chosen(every, schema_path, reading, labelled=labelled)
        demanded = [name for name in schema.columns if labelled or name != schema.label]
        learning = True
    else:
        schema, more = schema_choice.fitting(schema_choice.changed(schema, reading), every)
        demanded, learning = list(schema.needed), False
    for part in every:
        checking.require(demanded, part.names, file=part.file)
    joined, settled = _with_conventions(
        every, schema, reading, lambda written: _joined(found, written), learning=learning
    )
    joined = dataclasses.replace(joined, notes=(*schema_choice.conventions(settled), *joined.notes))
    if labelled:
        joining.refuse_unlearnable(joined)
    if normal_weight is not None:
        joined = dataclasses.replace(joined, weights=np.where(joined.labels == 1, 1.0, normal_weight))
    return dataclasses.replace(
        joined,
        sha256=transactions.digest(joined.cell_hashes()),
        notes=(*notes, *more, *schema_choice.left_out(every, joined.schema), *joined.notes),
        roles=schema_choice.describe(every, joined.schema),
    )


def iterate(
    paths: Sequence[str],
    schema: schemas.Schema,
    *,
    chunk_rows: int = parts.CHUNK_ROWS,
    reading: Reading = _AS_IT_COMES,
    tell: Callable[[str], None] | None = None,
    keep: Sequence[str] = (),
) -> Iterator[transactions.Transactions]:
    """Yield the transactions of files in pieces: bounded memory for any number of rows.

    Labels, ids, groups, scenarios and weights may be missing. Rows must be in order of time, over all files; ids must
    be unique within a piece and the one before it. No SHA-256 is computed.

    Args:
        paths: As the ``specs`` of ``load``, in order of time.
        schema: That of the run.
        chunk_rows: Rows of a piece.
        reading: How the user wants tables to be read.
        tell: Takes notes on what is read, and which files are not; None: they are logged.
        keep: Columns that are handed on, as ``kept_columns`` returns them; missing where a file has none.

    Raises:
        errors.InputError: A source is not there, a row cannot be used, or it is older than the one before it.
    """
    tell = tell or functools.partial(log.info, "%s")
    found = _found(paths, reading)
    every = [part for each in found.values() for part in each.parts]
    fitting, absent = schema_choice.fitting(schema_choice.changed(schema, reading), every)
    for note in (*(note for each in found.values() for note in each.notes), *absent):
        tell(note)
    for part in every:
        checking.require(fitting.needed, part.names, file=part.file)
    if reading.decimal != "auto":
        fitting = schema_choice.with_decimals(fitting, every, reading, schema_choice.number_columns(fitting))
    before: checking.Piece | None = None
    for piece in _pieces(every, fitting, chunk_rows, keep=keep):
        before = joining.following(piece, before)
        yield dataclasses.replace(before.rows, name=piece.file)
    for note in (note for part in every for note in part.notes.values()):
        tell(note)
    if before is None:
        raise errors.InputError(f"{', '.join(paths)}: expected at least one transaction. Received: no rows")


def kept_columns(paths: Sequence[str], asked: Sequence[str], reading: Reading = _AS_IT_COMES) -> tuple[str, ...]:
    """Return the columns that are handed on of every file, by name; see ``shared.sources.kept``.

    Raises:
        errors.InputError: A file lacks one, or for all of them has others than the first.
    """
    if not asked:
        return ()
    every = [part for each in _found(paths, reading).values() for part in each.parts]
    return kept.in_all({part.file: kept.chosen(asked, part.columns, where=part.file) for part in every}, where=paths[0])


def stream(
    specs: Sequence[str],
    consume: Callable[[schemas.Schema, Iterator[checking.Piece]], Read],
    *,
    reading: Reading = _AS_IT_COMES,
    schema_path: pathlib.Path | None = None,
    world: simulator.World | None = None,
) -> tuple[Read, schemas.Schema, tuple[str, ...]]:
    """Give the rows of sources to ``consume`` in pieces, in the order of the files: times may be in any order.

    Only times, amounts, entities, labels and ids are read; labels may be missing. Ids must be unique within a piece.

    Args:
        specs: As those of ``load``.
        consume: Takes schema and pieces; is called again, from the first row on, where a later row shows how a column
            is written.
        reading: How the user wants tables to be read.
        schema_path: A file with the roles of the columns.
        world: What to simulate.

    Returns:
        What ``consume`` returned, the schema, and notes on what was read.

    Raises:
        errors.InputError: A source is not there, or its columns or rows cannot be used.
    """
    found = _found(specs, reading, world)
    every = [part for each in found.values() for part in each.parts]
    schema, notes = _chosen(every, schema_path, reading, labelled=False)
    schema = dataclasses.replace(schema, numeric=(), categorical=(), group=None, scenario=None, weight=None)
    for part in every:
        checking.require([name for name in schema.columns if name != schema.label], part.names, file=part.file)

    def pieces(written: schemas.Schema) -> Iterator[checking.Piece]:
        for piece in _pieces(every, written, parts.CHUNK_ROWS):
            joining.refuse_repeated_ids(piece.rows.ids, [piece])
            yield piece

    done, settled = _with_conventions(
        every, schema, reading, lambda written: consume(written, pieces(written)), learning=True
    )
    listed = (note for each in found.values() for note in each.notes)
    return done, settled, (*listed, *notes, *schema_choice.conventions(settled))


def files_of(specs: Sequence[str], reading: Reading = _AS_IT_COMES) -> list[pathlib.Path]:
    """Return the files that are read of sources, in their order; none for the simulator."""
    paths = [path for spec in specs if (path := locate(spec)) is not None]
    return [file for path in paths for file in parts.files_of(path, follow_links=reading.follow_links)]


def _chosen(
    every: Sequence[parts.Part], schema_path: pathlib.Path | None, reading: Reading, *, labelled: bool
) -> tuple[schemas.Schema, tuple[str, ...]]:
    """Return what the columns mean and notes on it; refuse columns that are almost those of a known format."""
    if schema_path is None and reading.data_format == "auto":
        formats.refuse_almost(every[0].names, where=every[0].file)
    return schema_choice.choose(every, schema_path, reading, labelled=labelled)


def _found(specs: Sequence[str], reading: Reading, world: simulator.World | None = None) -> dict[str, parts.Found]:
    """Return the parts of each source, each file once.

    Raises:
        errors.InputError: There is no source, a file is given twice, or the format is unknown.
    """
    if reading.data_format not in FORMATS:
        raise errors.InputError(
            f"Expected a data format out of {', '.join(FORMATS)}. Received: {reading.data_format!r}"
        )
    if not specs:
        raise errors.InputError("Expected at least one source. Received: none")
    joining.refuse_twice(specs, files_of, reading)
    return {spec: _parts(spec, reading, world) for spec in specs}


def _parts(spec: str, reading: Reading, world: simulator.World | None = None) -> parts.Found:
    path = locate(spec)
    if path is None:
        return parts.of_simulator(world or simulator.World())
    found = parts.of_path(path, follow_links=reading.follow_links)
    if reading.data_format == "auto":
        return found
    return found._replace(parts=[each.as_format(reading.data_format) for each in found.parts])


def _check_weight(normal_weight: float | None, column: str | None) -> None:
    if normal_weight is None:
        return
    if not 0 < normal_weight < math.inf:
        raise errors.InputError(f"Expected a weight of genuine transactions above 0. Received: {normal_weight!r}")
    if column is not None:
        raise errors.InputError(
            f"Expected a weight of genuine transactions or a column of weights, not both. "
            f"Received: {normal_weight!r} and {column!r}"
        )


def _with_conventions(
    every: Sequence[parts.Part],
    schema: schemas.Schema,
    reading: Reading,
    read: Callable[[schemas.Schema], Read],
    *,
    learning: bool,
) -> tuple[Read, schemas.Schema]:
    """Read all rows; where a column is not written plainly, again by the one convention that all of its rows show.

    A run's schema holds the conventions of its columns: those of later data are not guessed anew.
    """
    if reading.decimal != "auto":
        schema = schema_choice.with_decimals(schema, every, reading, schema_choice.number_columns(schema))
    asked: set[str] = set()
    while True:
        try:
            return read(schema), schema
        except columns.UnreadableError as error:
            names = [name for name in schema.columns if error.column in (name, *schema_choice.own_names(every, name))]
            if not learning or not names or names[0] in asked:
                raise
            settled = schema_choice.with_convention(schema, every, reading, names[0])
            if settled == schema:
                raise
            asked.add(names[0])
            schema = settled


def _joined(found: dict[str, parts.Found], schema: schemas.Schema) -> transactions.Transactions:
    """Read source after source, and put the rows of all in order of time."""
    pieces: dict[str, list[checking.Piece]] = {}
    numbered = 0
    for spec, each in found.items():
        pieces[spec] = list(_pieces(each.parts, schema, parts.CHUNK_ROWS, numbered))
        numbered += sum(len(piece.rows) for piece in pieces[spec])
    every = [part for each in found.values() for part in each.parts]
    joined = joining.join(list(pieces.values()), names=joining.source_names(list(found)))
    notes = [note for part in every for note in part.notes.values()]
    notes += joining.refuse_copies([piece for each in pieces.values() for piece in each])
    notes += joining.named_parts([part.file for part in every])
    return dataclasses.replace(joined, notes=(*notes, *joined.notes))


def _pieces(
    every: Sequence[parts.Part],
    schema: schemas.Schema,
    chunk_rows: int,
    numbered: int = 0,
    *,
    keep: Sequence[str] = (),
) -> Iterator[checking.Piece]:
    """Yield the checked rows of parts; of each part only the columns that the schema names are read."""
    for part in every:
        before = 0
        wanted = [column for column in schema.columns if formats.has(column, part.names)]
        own = (name for name in keep if name in part.columns)
        read = dict.fromkeys((*formats.sources(wanted, part.names), *own))
        for frame in part.read(list(read), chunk_rows):
            if not len(frame):
                continue
            plain = checking.adapt(frame, wanted, data_format=part.data_format, file=part.file, before=before)
            found = checking.piece(
                plain, schema, file=part.file, before=before, numbered=numbered, own_names=part.aliases
            )
            cells = frame.reindex(columns=list(keep)).to_dict("series")
            held = {str(name): column.to_numpy(object) for name, column in cells.items()}
            yield dataclasses.replace(found, rows=dataclasses.replace(found.rows, kept=held)) if keep else found
            before, numbered = before + len(frame), numbered + len(frame)
