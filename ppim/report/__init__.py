"""What a model has answered, measured and written down for people: pure functions of arrays, and files."""
