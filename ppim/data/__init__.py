"""From files to batches: lists of images (`datasets`), views drawn first (`augment`) and applied second (`transforms`),
samples, samplers and workers (`loader`), and pictures drawn by our own code (`shapes`).
"""
