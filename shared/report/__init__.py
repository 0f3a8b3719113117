"""What an evaluation leaves for people: metrics.json, report.html with its figures, and the model card."""
