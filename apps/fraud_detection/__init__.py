"""Card fraud: which of today's transactions should an analyst look at first, and why.

Task: rank card transactions by the risk of fraud, within a budget of alerts a day; explain, learn from labels.
Data: a simulator of 1.8 million transactions (default), ULB, Fraud Detection Handbook, PaySim, IEEE-CIS, BAF, yours.
Headline metric: average precision and card precision at 100 per day, prequential, beside gradient-boosted trees.
Limits: learns the fraud of its training weeks; labels arrive late; a person decides.
"""
