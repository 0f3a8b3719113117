"""The common body of ``predict``: all inputs, one shard of them, all shards on a Ray cluster, or their join.

Nothing heavy is imported here, so that ``--help`` answers at once.
"""

import dataclasses
import importlib
import os
import pathlib
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from shared import cli, errors, files, parser, steps

# What the folder of a cluster's shards holds.
_OURS = re.compile(r"\.lock|\.?part-\d{5}-of-\d{5}[-.\w]*")
_RETRIES = 3


def merge(step: steps.Predict, options: parser.PredictOptions) -> cli.Result:
    """Join the outputs of all shards into the file that one call without shards writes."""
    from shared import progress, shards

    files.refuse_output_over_input(options.output, options.input)
    parts = shards.checked(options.input, app=_name_of_app(options.settings))
    finish, write = step.merge(options, parts)
    with progress.rows("rows merged") as advance:
        result = shards.merge(
            parts,
            output=options.output,
            resume=options.resume,
            overwrite=options.overwrite,
            on_rows=advance,
            finish=finish,
        )
    return {"output": str(options.output), "rows": result.rows, "shards": len(parts), **write()}


def score_in_chunks(
    options: parser.PredictOptions,
    chunks: Iterable[Any],
    score: steps.Step,
    *,
    what: str,
    plan: Mapping[str, Any],
    finish: steps.Step | None = None,
    told: steps.Step = dict,
) -> dict[str, Any]:
    """Score the inputs and write the output; see ``shared.batch.predict``.

    Args:
        options: Where to write, and whether to go on with an interrupted call.
        chunks: Tables of inputs.
        score: Table of inputs -> table of outputs.
        what: What is counted, such as "texts scored".
        plan: What decides the output; a resumed call must have the same.
        finish: Table of outputs -> the final one, chunk after chunk, when all are scored. Of a shard it is left to the
            merge, since it may depend on the rows before.
        told: Returns what the merge of the shards needs; called when all is scored.
    """
    from shared import batch, progress, shards
    from shared.sources import kept

    if options.keep_columns:
        plan, score = {**plan, "keep_columns": list(options.keep_columns)}, kept.carried(score)
    shard: dict[str, Any] = {}
    if options.shard:
        which = shards.Shard(*options.shard)
        made_of = {"app": _name_of_app(options.settings), **plan}
        if options.resume and (found := shards.finished(which, options.output, made_of=made_of)) is not None:
            return {"output": str(options.output), "rows": found, "resumed_rows": found}
        shard["share"] = shards.share(which, options.output, made_of=made_of, told=told)
        plan, finish = {**plan, "shard": list(which)}, None
    with progress.rows(what, options.input) as advance:
        result = batch.predict(
            chunks,
            score,
            output=options.output,
            plan=plan,
            resume=options.resume,
            overwrite=options.overwrite,
            on_rows=advance,
            finish=finish,
            **shard,
        )
    said = {"manifest": str(shards.manifest_of(options.output))} if options.shard else {}
    return {"output": str(options.output), "rows": result.rows, "resumed_rows": result.resumed_rows, **said}


def _name_of_app(settings: Any) -> str:
    """Return the package that a config is of, whatever name it is imported by."""
    return type(settings).__module__.removeprefix("fieldnets.").rpartition(".")[0]


class Worker:
    """One process of a cluster: it imports the app once and scores shard after shard."""

    def __init__(self, module: str, folder: str) -> None:
        """Import an app, in the folder in which the command was given: paths stay what they were."""
        from shared.training import runtime

        os.chdir(folder)
        runtime.quiet_logs()
        self._step = importlib.import_module(f"{module}.__main__").APP.predict()

    def predict(self, options: parser.PredictOptions) -> Mapping[str, Any]:
        """Score one shard, or go on with it where another process was killed."""
        result: Mapping[str, Any] = self._step.predict(options)
        return result


def on_ray(app: steps.App, step: steps.Predict, options: parser.PredictOptions) -> cli.Result:
    """Score all shards on the processors of a Ray cluster, join them, and delete them.

    A shard whose process is killed is gone on with by another. An interrupted call leaves its shards; ``--resume`` goes
    on with them. The nodes need this package and the same files at the same paths.

    Raises:
        errors.InputError: Ray is not installed, or something else stands in the place of the shards.
    """
    from shared import ray_cluster, resuming

    ray_cluster.require()
    folder = files.beside(options.output, ".shards")
    _refuse_foreign(folder)
    with resuming.locked(folder, what="`predict` into one output"):
        if not options.resume:
            resuming.clear(folder)
        with ray_cluster.connected(str(options.ray_address)) as ray:
            scored = _scored_on_ray(ray, app.config.__module__.rpartition(".")[0], options, folder)
        joined = merge(step, dataclasses.replace(options, input=[part.output for part in scored.asked], resume=False))
        resuming.clear(folder)
        shutil.rmtree(folder)
    notes = list(dict.fromkeys(note for each in scored.results for note in each.get("notes", ())))
    resumed = sum(each["resumed_rows"] for each in scored.results)
    return {**joined, "resumed_rows": resumed, **({"notes": notes} if notes else {})}


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Scored:
    asked: Sequence[parser.PredictOptions]
    results: Sequence[Mapping[str, Any]]


def _scored_on_ray(ray: Any, module: str, options: parser.PredictOptions, folder: pathlib.Path) -> _Scored:
    pools: Any = importlib.import_module("ray.util")
    try:
        processors = max(1, int(ray.cluster_resources().get("CPU", 1)))
        asked = _of_shards(options, folder, options.shards or processors)
        remote = ray.remote(num_cpus=1, max_restarts=_RETRIES, max_task_retries=_RETRIES)(Worker)
        pool = pools.ActorPool([remote.remote(module, os.getcwd()) for _ in range(min(processors, len(asked)))])
        return _Scored(asked=asked, results=list(pool.map(lambda actor, each: actor.predict.remote(each), asked)))
    except ray.exceptions.RayTaskError as error:
        # A refusal is ours wherever it was raised.
        raise (error.cause if isinstance(error.cause, errors.FieldnetsError) else error) from None


def _of_shards(options: parser.PredictOptions, folder: pathlib.Path, of: int) -> list[parser.PredictOptions]:
    return [
        dataclasses.replace(
            options,
            output=folder / f"part-{number:05d}-of-{of:05d}.parquet",
            shard=(number, of),
            resume=True,
            overwrite=False,
        )
        for number in range(1, of + 1)
    ]


def _refuse_foreign(folder: pathlib.Path) -> None:
    held = [path.name for path in folder.iterdir()] if folder.is_dir() else ["a file"] if folder.exists() else []
    for name in held:
        if not _OURS.fullmatch(name):
            raise errors.InputError(
                f"{folder}: expected a place for the shards of an unfinished output. Received: {name}, which `predict` "
                "did not write; move it, or write elsewhere"
            )
