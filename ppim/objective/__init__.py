"""What a batch teaches: its pixels made ready and mixed (`pixels`), model and loss as one layer (`objective`), cross
entropies and mixes of targets (`losses`), and a network that teaches another (`teacher`).
"""
