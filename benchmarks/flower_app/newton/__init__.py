"""A logistic regression by Newton's steps, as a Flower app."""
