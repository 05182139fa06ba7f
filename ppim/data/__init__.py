"""From files to batches: lists of images (`datasets`), views drawn first (`augment`) and applied second (`transforms`),
mixes of a batch (`mixing`), samples, samplers and workers (`loader`), and what is left to the device (`pixels`).
"""
