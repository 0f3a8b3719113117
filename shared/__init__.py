"""What the apps have in common: models, training, evaluation, reports, export. Knows no app and no data set."""
