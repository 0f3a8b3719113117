"""Evaluation of many rows: 1,000,000 scores to a report, 1,000,000 texts without duplicates, COCO of 100,000 images.

python -m benchmarks.evaluation_scale                       # all three, at full size
python -m benchmarks.evaluation_scale report --rows 100000  # one of them, smaller
python -m benchmarks.evaluation_scale coco --profile        # where the time goes
"""

import argparse
import cProfile
import dataclasses
import multiprocessing
import pathlib
import pstats
import resource
import tempfile
import time
from collections.abc import Callable

import numpy as np

from benchmarks import results

WORDS = 20_000
CLASSES = ("car", "person", "bicycle", "truck", "traffic light")
# A source of real texts holds copies and near copies; of the drawn ones these shares are such.
COPIES, NEAR_COPIES = 0.05, 0.05


@dataclasses.dataclass(frozen=True, kw_only=True)
class Case:
    """A step that is timed.

    Attributes:
        prepare: Number of rows -> the step, which takes a folder for its files.
        rows: How many at full size.
        seconds: What is wanted.
        what: In words.
    """

    prepare: Callable[[int], Callable[[pathlib.Path], object]]
    rows: int
    seconds: float
    what: str


def report(rows: int) -> Callable[[pathlib.Path], object]:
    """Scores of a classifier and of a baseline, each row its own unit, to ``report.html`` with all its intervals."""
    from apps.sentiment import checklist, evaluate
    from apps.sentiment import report as reports
    from shared import decision
    from shared.report import document, sections

    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, rows)
    strength = rng.normal(size=(2, rows)) * 1.5 + (2 * labels - 1) * np.array([[2.0], [1.0]])
    logits = np.stack([-strength, strength], axis=2) / 2
    texts = np.array([f"text {number} of some words" for number in range(1_000)], object)
    given = evaluate.Rows(
        texts=texts[np.arange(rows) % 1_000],
        labels=labels,
        sources=np.array(["reviews", "tweets"], object)[rng.integers(0, 2, rows)],
        files=np.full(rows, "reviews.csv", object),
        lines=np.arange(1, rows + 1),
        units=np.arange(rows),
        out_of_vocabulary=rng.choice([0.0, 0.02, 0.05], rows),
    )
    rule = decision.Decision(
        class_names=("negative", "positive"),
        temperature=1.1,
        threshold=None,
        rule="most probable class",
        alpha=0.1,
        quantile=0.8,
        fitted_on={"split": "validation"},
    )
    baseline = 1 / (1 + np.exp(-logits[1] * 2))

    def step(folder: pathlib.Path) -> object:
        found = evaluate.evaluate(
            given,
            sections.Data(source="drawn", split="test", unit="text", sha256="0" * 64),
            evaluate.Predictions(run="drawn", logits=logits[0], decision=rule),
            baseline_scores={"tfidf_logistic": baseline},
            behaviour_report=checklist.BehaviourReport(notes=("The suite was not run.",)),
        )
        document.write(reports.evaluation(found).report, folder)
        return found

    return step


def texts(rows: int) -> Callable[[pathlib.Path], object]:
    """Short texts of 5 to 20 words, some of them copies and near copies, without duplicates."""
    from apps.sentiment.grouping import words

    rng = np.random.default_rng(0)
    vocabulary = np.array([f"word{number}" for number in range(WORDS)], object)
    ranks = np.minimum(rng.zipf(1.3, size=(rows, 20)) - 1, WORDS - 1) + rng.integers(0, 300, (rows, 20))
    found = [
        " ".join(vocabulary[row[:length] % WORDS]) for row, length in zip(ranks, rng.integers(5, 21, rows), strict=True)
    ]
    for share, change in ((COPIES, ""), (NEAR_COPIES, " indeed")):
        for place, other in rng.integers(0, rows, (round(share * rows), 2)):
            found[place] = found[other] + change
    return lambda _folder: words.find_duplicates(found)


def coco(rows: int) -> Callable[[pathlib.Path], object]:
    """Seven labelled boxes an image, and ten detections, most of them near one: matched, and COCO's numbers."""
    from apps.driving_perception import boxes, coco_metrics

    rng = np.random.default_rng(0)
    objects, others = 7 * rows, 3 * rows
    image = np.repeat(np.arange(rows), 7)
    corner, size = rng.uniform(0, 500, (objects, 2)), rng.uniform(8, 200, (objects, 2))
    label = rng.integers(0, len(CLASSES), objects)
    truth = boxes.Boxes.build(
        xyxy=np.concatenate([corner, corner + size], axis=1).astype(np.float32),
        image=image,
        label=label,
    )
    near = truth.xyxy + rng.normal(size=(objects, 4)) * np.tile(size, 2) * 0.08
    corner, size = rng.uniform(0, 500, (others, 2)), rng.uniform(8, 200, (others, 2))
    found = boxes.Detections(
        xyxy=np.concatenate([near, np.concatenate([corner, corner + size], axis=1)]).astype(np.float32),
        image=np.concatenate([image, np.repeat(np.arange(rows), 3)]),
        label=np.concatenate([label, rng.integers(0, len(CLASSES), others)]),
        score=rng.random(objects + others).astype(np.float32),
    )

    def step(_folder: pathlib.Path) -> object:
        matched = coco_metrics.match(truth, found, images=rows, class_names=CLASSES)
        return coco_metrics.summary(matched)

    return step


CASES = {
    "report": Case(prepare=report, rows=1_000_000, seconds=30, what="scored rows to report.html"),
    "texts": Case(prepare=texts, rows=1_000_000, seconds=300, what="short texts, duplicates found"),
    "coco": Case(prepare=coco, rows=100_000, seconds=60, what="images, COCO metrics"),
}


def timed(name: str, rows: int, *, profile: bool) -> tuple[float, float, float, float]:
    """Return seconds, those of processors, GiB of the process before the step, and at its highest."""
    step = CASES[name].prepare(rows)
    before = peak()
    with tempfile.TemporaryDirectory() as scratch:
        profiler = cProfile.Profile()
        if profile:
            profiler.enable()
        started, spent = time.perf_counter(), time.process_time()
        step(pathlib.Path(scratch))
        found = time.perf_counter() - started, time.process_time() - spent, before, peak()
        if profile:
            profiler.disable()
            pstats.Stats(profiler).sort_stats("cumulative").print_stats(45)
    return found


def peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", nargs="*", choices=[[], *CASES], default=[])
    parser.add_argument("--rows", type=int, help="in place of the full size: nothing is recorded")
    parser.add_argument("--profile", action="store_true")
    given = parser.parse_args()
    for name in given.cases or CASES:
        case = CASES[name]
        rows = given.rows or case.rows
        # A process of its own: its peak memory is that of this case.
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            seconds, spent, before, highest = pool.apply(timed, (name, rows), {"profile": given.profile})
        note = f"{highest:.2f} GiB at most, {before:.2f} before"
        if rows == case.rows and not given.profile:
            results.record(
                f"Evaluation: {rows:,} {case.what}",
                [seconds],
                unit="s",
                goal=results.Goal(value=case.seconds, most=True),
                processor_seconds=spent,
                note=note,
            )
        else:
            print(f"{rows:,} {case.what}: {seconds:.1f} s, {spent:.1f} s of processors, {note}", flush=True)


if __name__ == "__main__":
    main()
