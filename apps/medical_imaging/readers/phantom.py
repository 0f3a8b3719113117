"""The built-in source ``chest-phantoms``."""

import pandas as pd

from apps.medical_imaging import phantoms
from apps.medical_imaging.readers import entries

NAME = "chest-phantoms"


def read(settings: entries.PhantomSettings) -> entries.Source:
    """Generate phantoms as a source; their attributes and boxes are all known."""
    made = phantoms.generate(
        phantoms.Settings(patients=settings.patients, confounder=settings.confounder, seed=settings.seed)
    )
    records = made.attributes.to_dict(orient="records")
    found = [
        entries.Entry(
            name=f"{NAME}[{row}]",
            item=made.images[row],
            file=NAME,
            row=row + 1,
            label=phantoms.CLASS_NAMES[made.labels[row]],
            patient=str(made.patients[row]),
            attributes={str(name): value for name, value in records[row].items() if not pd.isna(value)},
            boxes=made.boxes[row],
            recipe=f"{NAME} {phantoms.VERSION}, {settings.seed}, {settings.confounder}, image {row}",
        )
        for row in range(len(made.labels))
    ]
    note = "the images are SIMULATED by formulas: what is measured on them says nothing about patients"
    return entries.Source(name=NAME, entries=found, class_order=phantoms.CLASS_NAMES, notes=(note,), synthetic=True)
