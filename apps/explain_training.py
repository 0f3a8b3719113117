"""``fieldnets explain-training``: one page on how a network learns, with every number of one step. No TensorFlow."""

import pathlib
from typing import Any

import numpy as np

from shared import files
from shared.report import blocks, curves, document
from shared.training import by_hand

EPOCHS, LEARNING_RATE, UNITS, MINI_BATCH = 20, 0.1, 3, 16
SHOWN_ROWS = 6


def write(problem: by_hand.Problem, output: pathlib.Path, *, seed: int) -> dict[str, Any]:
    """Train the small network in three ways, and write the page.

    Returns:
        What the page says: ``loss_before`` and ``loss_after`` of the row that is followed, ``largest_difference``
        between the chain rule and finite differences, and ``loss_of_all_rows`` after the last pass, by way of training.
    """
    weights = by_hand.Weights.draw(UNITS, seed=seed)
    row = _row_to_follow(problem, weights)
    inputs, labels = problem.standardized[[row]], problem.labels[[row]]
    slopes = by_hand.gradients(weights, inputs, labels)
    checked = by_hand.by_finite_differences(weights, inputs, labels)
    stepped = weights.step(slopes, learning_rate=LEARNING_RATE)
    descents = _descents(problem, weights, seed=seed)
    before, after = by_hand.loss(weights, inputs, labels), by_hand.loss(stepped, inputs, labels)
    start, *_, end = descents["mini-batch"].losses
    page = document.Report(
        title=f"How a network learns: {problem.title}",
        subtitle=f"2 numbers in, {UNITS} hidden units with ReLU, 2 logits out; every number was computed for this page",
        answer=(
            f"One step of gradient descent on one row lowers its loss from {before:.4f} to {after:.4f}. Repeated over "
            f"{len(problem.labels)} rows and {EPOCHS} passes, the mean loss goes from {start:.3f} to {end:.3f}."
        ),
        sections=[
            _examples(problem, row),
            _forward(problem, weights, row),
            _backward(weights, slopes, checked),
            _step(weights, slopes, inputs, labels),
            _ways(problem, descents),
            _next(),
        ],
    )
    files.write_text(output, document.render(page))
    return {
        "page": str(output),
        "loss_before": before,
        "loss_after": after,
        "largest_difference": max(float(np.abs(a - b).max()) for a, b in zip(slopes, checked, strict=True)),
        "loss_of_all_rows": {name: descent.losses[-1] for name, descent in descents.items()},
    }


def _row_to_follow(problem: by_hand.Problem, weights: by_hand.Weights) -> int:
    """Choose a row that the first weights get wrong and that reaches the most hidden units: there is most to see."""
    found = by_hand.forward(weights, problem.standardized)
    wrong = found.probabilities[np.arange(len(problem.labels)), problem.labels]
    return int(np.argmax((found.before > 0).sum(axis=1) - wrong))


def _descents(problem: by_hand.Problem, weights: by_hand.Weights, *, seed: int) -> dict[str, by_hand.Descent]:
    sizes = {"batch": len(problem.labels), "mini-batch": MINI_BATCH, "stochastic": 1}
    return {
        name: by_hand.descend(weights, problem, batch_size=size, epochs=EPOCHS, learning_rate=LEARNING_RATE, seed=seed)
        for name, size in sizes.items()
    }


def _examples(problem: by_hand.Problem, row: int) -> document.Section:
    shown = [row, *[other for other in range(SHOWN_ROWS) if other != row][: SHOWN_ROWS - 1]]
    table = blocks.Table(
        columns=("row", *problem.features, "class"),
        rows=[(problem.names[at], *problem.raw[at].tolist(), problem.classes[problem.labels[at]]) for at in shown],
        caption=f"{len(shown)} of {len(problem.labels)} rows; the first is followed below",
        digits=(0, 2, 2, 0),
        emphasis=(0,),
    )
    text = (
        "The network sees two numbers of each row, and not the row. They are standardized first: the mean is taken "
        "off, and what is left divided by the standard deviation, so that both count alike and one learning rate "
        "suits both."
    )
    return document.Section(
        "What is learnt from", "Rows, two numbers of each, and the answer that is known.", [table, blocks.Text(text)]
    )


def _forward(problem: by_hand.Problem, weights: by_hand.Weights, row: int) -> document.Section:
    inputs = problem.standardized[row]
    found = by_hand.forward(weights, inputs[np.newaxis])
    hidden = [
        (
            f"hidden {unit + 1}",
            _product(inputs, weights.first[:, unit], weights.first_bias[unit]),
            found.before[0, unit],
            found.hidden[0, unit],
        )
        for unit in range(UNITS)
    ]
    logits = [
        (
            f"{name}",
            _product(found.hidden[0], weights.last[:, at], weights.last_bias[at]),
            found.logits[0, at],
            found.probabilities[0, at],
        )
        for at, name in enumerate(problem.classes)
    ]
    label = int(problem.labels[row])
    right = found.probabilities[0, label]
    return document.Section(
        "Forward: from two numbers to a loss",
        f"{problem.names[row]}: standardized {inputs[0]:.3f} and {inputs[1]:.3f}; the right class is "
        f"{problem.classes[label]}.",
        [
            blocks.Table(
                columns=("unit", "inputs times weights, plus bias", "sum", "after ReLU: max(0, sum)"),
                rows=hidden,
                caption="Hidden layer",
                digits=4,
                align="llrr",
            ),
            blocks.Table(
                columns=(
                    "class",
                    "hidden values times weights, plus bias",
                    "logit",
                    "probability: softmax of the logits",
                ),
                rows=logits,
                caption="Output",
                digits=4,
                align="llrr",
            ),
            blocks.Text(
                "Loss: the cross-entropy, minus the natural logarithm of the probability of the right class: -ln "
                f"{right:.4f} = {-np.log(right):.4f}. It is 0 where the network is sure and right, and has no upper "
                "bound where it is sure and wrong."
            ),
        ],
    )


def _product(values: by_hand.Floats, factors: by_hand.Floats, bias: float) -> str:
    terms = [f"{value:.3f} x {factor:.3f}" for value, factor in zip(values, factors, strict=True)]
    return " + ".join([*terms, f"{bias:.3f}"])


def _backward(weights: by_hand.Weights, slopes: by_hand.Weights, checked: by_hand.Weights) -> document.Section:
    rows = [
        (_weight_name(layer, index), value, getattr(slopes, layer)[index], getattr(checked, layer)[index])
        for layer in weights._fields
        for index, value in np.ndenumerate(getattr(weights, layer))
    ]
    text = (
        "The chain rule, from the loss back: by a logit, probability minus truth (1 for the right class, 0 for the "
        "other); by a weight of the last layer, the hidden value that it multiplies times that; by a hidden value, "
        "the sum over both logits of weight times that; through ReLU, the same where the sum was above 0, and 0 where "
        "it was not; by a weight of the first layer, the input that it multiplies times that.\n\nThe last column "
        "computes the same another way: the weight is moved by 0.00001 to both sides, and the loss is computed twice. "
        "Training never does that: it would take two passes for each weight, and the chain rule takes one for all."
    )
    table = blocks.Table(
        columns=("weight", "value", "slope by the chain rule", "slope by moving the weight"),
        rows=rows,
        caption="How the loss changes with each weight",
        digits=(0, 4, 6, 6),
    )
    return document.Section(
        "Backward: the chain rule", "How much does the loss change with every weight?", [blocks.Text(text), table]
    )


def _weight_name(layer: str, index: tuple[int, ...]) -> str:
    """Name a weight for a reader.

    >>> _weight_name("first", (0, 2)), _weight_name("last_bias", (1,))
    ('input 1 to hidden 3', 'bias of logit 2')
    """
    ends = {"first": ("input", "hidden"), "last": ("hidden", "logit")}[layer.removesuffix("_bias")]
    if layer.endswith("_bias"):
        return f"bias of {ends[1]} {index[0] + 1}"
    return f"{ends[0]} {index[0] + 1} to {ends[1]} {index[1] + 1}"


def _step(
    weights: by_hand.Weights, slopes: by_hand.Weights, inputs: by_hand.Floats, labels: by_hand.Ints
) -> document.Section:
    unit, logit = (int(place) for place in np.unravel_index(np.argmax(np.abs(slopes.last)), slopes.last.shape))
    before, slope = weights.last[unit, logit], slopes.last[unit, logit]
    changed = weights.last.copy()
    changed[unit, logit] = after = before - LEARNING_RATE * slope
    rows = [
        ("before", before, by_hand.loss(weights, inputs, labels)),
        (
            "this weight alone has moved",
            after,
            by_hand.loss(weights._replace(last=changed), inputs, labels),
        ),
        (
            "all weights have moved",
            after,
            by_hand.loss(weights.step(slopes, learning_rate=LEARNING_RATE), inputs, labels),
        ),
    ]
    text = (
        f"{_weight_name('last', (unit, logit))}: {before:.4f} - {LEARNING_RATE} x {slope:.4f} = {after:.4f}. The rate, "
        f"{LEARNING_RATE}, says how far to go: too small, and training takes for ever; too large, and a step goes "
        "beyond the minimum."
    )
    table = blocks.Table(columns=("", "the weight", "loss of this row"), rows=rows, caption="One step", digits=4)
    return document.Section(
        "The step: against the slope",
        "Each weight minus the learning rate times its slope.",
        [blocks.Text(text), table],
    )


def _ways(problem: by_hand.Problem, descents: dict[str, by_hand.Descent]) -> document.Section:
    sizes = {"batch": len(problem.labels), "mini-batch": MINI_BATCH, "stochastic": 1}
    rows = [
        (name, sizes[name], descent.steps, descent.noise, descent.losses[1], descent.losses[5], descent.losses[-1])
        for name, descent in descents.items()
    ]
    table = blocks.Table(
        columns=(
            "way",
            "rows in a step",
            "steps in a pass",
            "noise of a step's gradient",
            "loss after 1 pass",
            "after 5",
            f"after {EPOCHS}",
        ),
        rows=rows,
        caption="The same rows, first weights and learning rate",
    )
    figure = blocks.Figure(
        svg=curves.lines(
            range(EPOCHS + 1),
            {name: descent.losses for name, descent in descents.items()},
            look=curves.Look(x_label="passes over the rows (epochs)", y_label="mean loss of all rows"),
        ),
        caption="Mean loss of all rows after each pass",
        alt="Three falling curves of the loss: batch slowest by pass, stochastic and mini-batch faster",
    )
    text = (
        "Batch descent computes the gradient over all rows and takes one step: exact, and a whole pass for it. "
        "Stochastic descent takes a step for every row: many steps, each in a direction that is right only on "
        "average; the noise column is the distance of a step's gradient from that of all rows, divided by the "
        "latter's length. Mini-batches are between, and fast on a processor that multiplies "
        'matrices: they are what the suite trains with (FitSettings.batch_size; 1 and "all" are the other two).'
    )
    return document.Section(
        "Batch, mini-batch, stochastic", "How many rows make a step?", [table, figure, blocks.Text(text)]
    )


def _next() -> document.Section:
    text = (
        "The networks of the apps do the same with more: convolutions share weights over an image, recurrent layers "
        "over time, Adam adapts the step to each weight, and validation rows, which no gradient saw, say when to "
        "stop. The verb train with --preset smoke shows it in a minute."
    )
    return document.Section("From here to the real networks", "What changes when a network grows.", [blocks.Text(text)])
