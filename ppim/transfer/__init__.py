"""Label maps carried from one form into another: `.npy` folders, packs, PyTorch's `.pt` files. Many at once, by several
processes, and going on where it was stopped."""
