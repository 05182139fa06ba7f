"""Maps of annotators beside exact ones, cell by cell: against loops over cells and arrays made by hand."""
import json
import math
import subprocess
import sys

import numpy as np
import pytest

from ppim.token_labels.card import Reading, load_card, read_card, save_card
from ppim.token_labels.maps import read_map, write_map
from tests.helpers import ROOT, load_script

cells = load_script(ROOT / "tools" / "proof" / "annotator_cells.py")
CLASSES = 4


def written(folder, name, probs):
    """A map of (rows, columns, K) probabilities of classes 0 .. K - 1."""
    probs = np.asarray(probs, np.float64)
    ids = np.broadcast_to(np.arange(probs.shape[2]).reshape(-1, 1, 1), (probs.shape[2], *probs.shape[:2]))
    write_map(str(folder / name), np.log(probs).transpose(2, 0, 1), ids, np.zeros(probs.shape[:2]))
    if not (folder / "annotation.json").exists():
        save_card(folder, Reading(log_z=True), {"num_classes": CLASSES})


def by_hand(probs, rows, columns, across=240):
    """(rows, columns, C): each cell's mean over what it covers of a finer or coarser grid, point by point."""
    probs = np.asarray(probs, np.float64)
    found = np.zeros((rows, columns, probs.shape[2]))
    for r in range(rows):
        for c in range(columns):
            points = [probs[int((r + (i + 0.5) / across) * len(probs) / rows),
                            int((c + (j + 0.5) / across) * probs.shape[1] / columns)]
                      for i in range(0, across, 8) for j in range(0, across, 8)]
            found[r, c] = np.mean(points, axis=0)
    return found


@pytest.fixture
def folders(tmp_path):
    """Two pictures of 2 x 2 exact cells, one of each ground; said of them in 2 x 4 cells."""
    exact, made = tmp_path / "exact", tmp_path / "made"
    sure, even = [0.91, 0.03, 0.03, 0.03], [0.25] * 4
    other, torn = [0.03, 0.91, 0.03, 0.03], [0.4, 0.4, 0.1, 0.1]
    written(exact, "a/0.npy", [[sure, other], [even, torn]])
    written(exact, "a/1.npy", [[even, other], [other, sure]])
    rng = np.random.default_rng(0)
    said = rng.dirichlet(np.ones(CLASSES), (2, 2, 4))
    for number in range(2):
        written(made, f"a/{number}.npy", said[number])
    return exact, made, said


def test_maps_of_another_grid_are_averaged(folders):
    _, made, said = folders
    for number in range(2):
        one = read_map(str(made / "a" / f"{number}.npy"), CLASSES)
        found = cells.probabilities(one, (2, 2), CLASSES)
        np.testing.assert_allclose(found, by_hand(said[number], 2, 2), atol=2e-3)  # written in half precision
        assert found.sum(axis=2) == pytest.approx(1, abs=1e-5)


def test_cells_are_judged_by_hand(folders):
    exact, made, said = folders
    clear = {0: {(0, 0): 0, (0, 1): 1}, 1: {(0, 1): 1, (1, 0): 1, (1, 1): 0}}  # neither ground nor torn
    hits, entropies, wrongly = [], [], {label: [] for label in range(CLASSES)}
    for number, known in clear.items():
        mean = by_hand(said[number], 2, 2)
        for place, label in known.items():
            best = mean[place].argmax()
            hits.append(best == label)
            for other in set(wrongly) - {label}:
                wrongly[other].append(best == other)
            entropies.append(-sum(p * math.log(p) for p in mean[place]))
    found = cells.judged(exact, made, CLASSES)
    assert found["cells"] == 5 and found["right"] == 100 * np.mean(hits)
    assert found["entropy"] == pytest.approx(np.mean(entropies), abs=3e-3)
    assert found["exact_entropy"] == pytest.approx(-0.91 * math.log(0.91) - 0.09 * math.log(0.03), abs=3e-3)
    shares = [np.mean(wrongly[label]) for label in range(CLASSES)]
    assert found["favourite"] == str(np.argmax(shares)) and found["of_others"] == round(100 * max(shares), 2) > 0
    assert cells.judged(exact, exact, CLASSES)["right"] == 100 and cells.judged(exact, exact, CLASSES)["of_others"] == 0
    save_card(made, Reading(log_z=True), {"num_classes": CLASSES, "classes": list("abcd")})
    assert cells.judged(exact, made, CLASSES) == {**found, "favourite": "abcd"[np.argmax(shares)]}
    save_card(made, Reading(log_z=True), {"num_classes": CLASSES})
    typed = [sys.executable, str(ROOT / "tools" / "proof" / "annotator_cells.py"), "--exact", str(exact), "--maps",
             str(made), "--classes", str(CLASSES)]
    done = subprocess.run(typed, capture_output=True, text=True, cwd=ROOT, check=True)
    assert json.loads(done.stdout) == found


def test_ground_is_left_out_where_the_exact_map_has_it(folders, tmp_path):
    exact, made, said = folders
    cells.without_ground(exact, made, tmp_path / "out", CLASSES)
    for number, ground in ((0, (1, 0)), (1, (0, 0))):
        one = read_map(str(tmp_path / "out" / "a" / f"{number}.npy"), CLASSES)
        blank = one.scores.max(axis=0) == one.scores.min(axis=0)
        assert np.argwhere(blank).tolist() == [list(ground)]
        found, wanted = cells.probabilities(one, (2, 2), CLASSES), by_hand(said[number], 2, 2)
        wanted[ground] = 1 / CLASSES
        np.testing.assert_allclose(found, wanted, atol=4e-3)
    assert read_card(tmp_path / "out") == Reading(log_z=True) and load_card(tmp_path / "out")["num_classes"] == CLASSES
    save_card(made, Reading(log_z=True), {"num_classes": CLASSES, "classes": list("abcd")})
    cells.without_ground(exact, made, tmp_path / "out", CLASSES)
    assert load_card(tmp_path / "out")["classes"] == list("abcd")


def test_a_picture_without_its_other_map_is_named(folders):
    exact, made, _ = folders
    (made / "a" / "1.npy").unlink()
    with pytest.raises(FileNotFoundError, match=r"1\.npy"):
        cells.judged(exact, made, CLASSES)
