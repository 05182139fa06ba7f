"""The slow twin of `ppim.token_labels.targets`: point by point, dense arrays, nothing shared with it."""
from __future__ import annotations

import math

import numpy as np


def back_to_photo(x, y, steps):
    """Where a point of the view lies in the photo, and whether every step's input frame holds it on the way."""
    held = True
    for step in reversed(steps):
        (a, b, c), (d, e, f) = step.matrix.tolist()
        x, y = a * x + b * y + c, d * x + e * y + f
        held = held and 0 <= x <= 1 and 0 <= y <= 1
    return x, y, held


def read_bilinear(table, x, y):
    """`table` (rows, columns, C) at a point of the map's frame, clamped to the outermost cell centres."""
    rows, columns = table.shape[:2]
    x, y = min(max(x * columns - 0.5, 0), columns - 1), min(max(y * rows - 0.5, 0), rows - 1)
    value = np.zeros(table.shape[2])
    for row in range(rows):
        for column in range(columns):
            value += max(0, 1 - abs(y - row)) * max(0, 1 - abs(x - column)) * table[row, column]
    return value


def dense_table(label_map, num_classes, target):
    """(rows, columns, C): each cell's scores, zero for the classes it did not keep, or its probabilities."""
    kept, rows, columns = label_map.scores.shape
    table = np.zeros((rows, columns, num_classes))
    for row in range(rows):
        for column in range(columns):
            scores = label_map.scores[:, row, column].astype(float)
            ids = label_map.ids[:, row, column]
            if target == "released":
                for score, c in zip(scores, ids):
                    table[row, column, c] += score
                continue
            probs = [math.exp(score - float(label_map.log_z[row, column])) for score in scores]
            full = max(1.0, sum(probs)) if num_classes > kept else sum(probs)
            probs = [p / full for p in probs]
            table[row, column] = max(0.0, 1 - sum(probs)) / max(1, num_classes - kept)
            for p, c in zip(probs, ids):
                table[row, column, c] = p
    return table


def sure_table(label_map, num_classes):
    """(rows, columns, 1): the probability of each cell's best class."""
    kept, rows, columns = label_map.scores.shape
    table = np.zeros((rows, columns, 1))
    for row in range(rows):
        for column in range(columns):
            probs = [math.exp(float(score) - float(label_map.log_z[row, column]))
                     for score in label_map.scores[:, row, column]]
            table[row, column] = max(probs) / (max(1.0, sum(probs)) if num_classes > kept else sum(probs))
    return table


def token_target(label_map, table, steps, place, grid, smoothing, fill, target, sure=None):
    """Target (C,) and row weight of the token at `place` (row, column) of a `grid` over the view; what it counts is
    read from `sure` where that is given."""
    num_classes = table.shape[2]
    x0, y0, x1, y1 = label_map.window
    rows, columns = table.shape[:2]
    corner, right, down = (np.array(back_to_photo(x, y, steps)[:2]) for x, y in ((0, 0), (1, 0), (0, 1)))
    cells = np.array([columns / (x1 - x0), rows / (y1 - y0)])
    n_x = max(1, math.ceil(np.linalg.norm((right - corner) * cells) / grid[1] - 1e-4))
    n_y = max(1, math.ceil(np.linalg.norm((down - corner) * cells) / grid[0] - 1e-4))
    shown, found, surely = 0, [], []
    for j in range(n_y):
        for i in range(n_x):
            x, y, held = back_to_photo((place[1] + (i + 0.5) / n_x) / grid[1], (place[0] + (j + 0.5) / n_y) / grid[0],
                                       steps)
            if held:
                shown += 1
                x, y = (x - x0) / (x1 - x0), (y - y0) / (y1 - y0)
                if 0 <= x <= 1 and 0 <= y <= 1:
                    found.append(read_bilinear(table, x, y))
                    surely.append(1 if sure is None else read_bilinear(sure, x, y)[0])
    weight = np.mean(surely) if 2 * len(found) >= n_x * n_y else 1 if sure is None else 1 / num_classes
    if len(found) < n_x * n_y / 2:
        result = np.full(num_classes, 1 / num_classes)
        weight = 0.0 if fill == "ignore" or shown >= n_x * n_y / 2 else weight
    else:
        result = np.mean(found, axis=0)
        if target == "released":
            result = np.exp(result - result.max())
            result /= result.sum()
    return result * (1 - smoothing + smoothing / num_classes) + smoothing / num_classes, weight


def dense_targets(label_map, steps, grid, num_classes, smoothing, fill, target, weight="none"):
    """((1, C), (1,)) for the class token and ((rows * columns, C), (rows * columns,)) for the tokens."""
    table = dense_table(label_map, num_classes, target)
    sure = sure_table(label_map, num_classes) if weight == "confidence" else None
    tokens = [token_target(label_map, table, steps, (row, column), grid, smoothing, fill, target, sure)
              for row in range(grid[0]) for column in range(grid[1])]
    whole = token_target(label_map, table, steps, (0, 0), (1, 1), smoothing, fill, target)
    return (whole[0][None], np.array([whole[1]])), (np.stack([t for t, _ in tokens]), np.array([w for _, w in tokens]))
