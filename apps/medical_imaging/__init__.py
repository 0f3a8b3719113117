"""Chest X-ray classification.

Task: one label out of two or more classes, or several findings at once, for a radiograph (JPEG, PNG, DICOM).
Data: ``chest-phantoms``, simulated radiographs, by default; folders per class, tables, NIH ChestX-ray14, CheXpert,
MedMNIST and DICOM files.
Headline metric: AUROC on held-out patients, with sensitivity and specificity at a threshold frozen on validation.
Limits: research and audit only. Not a medical device; never a diagnosis, never without a radiologist.
"""
