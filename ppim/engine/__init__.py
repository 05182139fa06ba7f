"""Training and evaluation: what happens to a model, over time and over processes."""
