"""The common body of ``predict``: all inputs, one shard of them, or the join of all shards.

Nothing heavy is imported here, so that ``--help`` answers at once.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from shared import cli, files, parser, steps


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

    shard: dict[str, Any] = {}
    if options.shard:
        which = shards.Shard(*options.shard)
        made_of = {"app": _name_of_app(options.settings), **plan}
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
