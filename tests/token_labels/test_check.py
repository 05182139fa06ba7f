"""A folder of maps looked over: what is missing, left over, broken, and what the maps hold."""
import numpy as np
import pytest

from ppim.checks.maps import maps_are_sound, maps_match_photos
from ppim.cli import main
from ppim.token_labels.card import Reading
from ppim.token_labels.check import class_of, survey, unmatched
from ppim.token_labels.maps import LabelMap
from ppim.token_labels.store import MapFolder

CLASSES = 5
IMAGES = [f"c{label}/photo.{number}.jpg" for label in range(2) for number in range(3)]


@pytest.fixture
def maps(tmp_path):
    """A sound map for each of IMAGES; every photo's class is c0 or c1."""
    rng = np.random.default_rng(0)
    for image in IMAGES:
        scores = np.sort(rng.normal(5, 1, (3, 4, 6)), axis=0)[::-1]
        write(tmp_path, image, np.stack([scores, np.tile(ids_of(int(image[1])), (1, 4, 6))]))
    return MapFolder(str(tmp_path), CLASSES, Reading())


def ids_of(label):
    return ((label + np.arange(3)) % CLASSES)[:, None, None]


def write(folder, image, array, dtype="float16"):
    path = folder / image.replace(".jpg", ".npy")
    path.parent.mkdir(exist_ok=True)
    np.save(path, np.asarray(array).astype(dtype))
    return path


def test_a_sound_folder_is_said_to_be_so(maps):
    assert unmatched(maps, IMAGES) == ([], [])
    seen = survey(maps, IMAGES)
    assert seen.broken == seen.unsorted == seen.improbable == [] and not seen.probabilities
    assert seen.forms == {"[2, 3, 4, 6] float16": 6} and seen.highest_id == 3
    assert seen.named.tolist() == [0, 0, 0, 1, 1, 1]
    assert maps_are_sound(seen, CLASSES, "maps").level == maps_match_photos([], [], 6, "maps", "").level == "fine"


def test_photos_without_map_and_maps_without_photo_are_counted_and_named(maps, tmp_path):
    (tmp_path / "c0/photo.1.npy").rename(tmp_path / "c1/other.npy")
    missing, lone = unmatched(maps, IMAGES)
    assert (missing, lone) == (["c0/photo.1.jpg"], ["c1/other.npy"])
    assert "c0/photo.1.jpg" in maps_match_photos(missing, lone, 6, "maps", "make them").text
    assert maps_match_photos([], lone, 6, "maps", "").level == "warning"


@pytest.mark.parametrize(("spoil", "words"), [
    (lambda a: np.where(np.arange(6) == 2, np.nan, a), "not finite"),
    (lambda a: np.stack([a[0], a[1] + 2]), "class ids"),
    (lambda a: np.stack([a[0], np.stack([a[1, 0], a[1, 1], a[1, 0]])]), "stands twice"),  # not beside itself
    (lambda a: a[:, :, 0], "got shape"),
])
def test_a_broken_map_is_named_with_what_is_wrong(maps, tmp_path, spoil, words):
    path = tmp_path / "c1/photo.0.npy"
    np.save(path, spoil(np.load(path)))
    (said,) = survey(maps, IMAGES).broken
    assert str(path) in said and words in said
    finding = maps_are_sound(survey(maps, IMAGES), CLASSES, "maps")
    assert finding.level == "error" and words in finding.text


def test_probabilities_and_scores_above_their_log_sum_exp_are_told(maps, tmp_path):
    log_z = np.full((3, 4, 6), 3.0)
    write(tmp_path, IMAGES[0], [np.full((3, 4, 6), 5.0), np.tile(ids_of(0), (1, 4, 6)), log_z])
    seen = survey(maps, IMAGES)
    assert seen.improbable == [IMAGES[0]] and not seen.probabilities
    for image in IMAGES:
        write(tmp_path, image, [np.full((3, 4, 6), 0.3), np.tile(ids_of(int(image[1])), (1, 4, 6))])
    seen = survey(maps, IMAGES)
    assert seen.probabilities and "probabilities" in maps_are_sound(seen, CLASSES, "maps").text


def log_probabilities(label):
    """(2, 3, 4, 6): the best class of a cell has two thirds, two of the other four are kept."""
    return [np.log(np.array([0.66, 0.2, 0.1]))[:, None, None] * np.ones((3, 4, 6)), np.tile(ids_of(label), (1, 4, 6))]


def test_scores_below_those_of_classes_that_were_not_kept_are_told_where_they_are_read_so(maps, tmp_path):
    for image in IMAGES:
        write(tmp_path, image, log_probabilities(int(image[1])))
    seen = survey(maps, IMAGES)
    assert seen.outweighed == IMAGES and seen.log_probabilities
    finding = maps_are_sound(seen, CLASSES, "maps")
    assert finding.level == "error" and "6 of 6 maps of log-probabilities" in finding.text
    assert maps_are_sound(seen, CLASSES, "maps", "probs").level == "fine"


@pytest.mark.parametrize(("scores", "classes", "outweighed"), [
    ([[-1.0, -1.0, 2.0]], 5, True),  # of the best class, in three cells
    ([[-1.0, 2.0, 2.0]], 5, False),
    ([[-1.0, -1.0, -1.0]], 1, False),  # no class was left out
    ([[0.0, 0.0, 3.0]], 5, False),  # two cells say nothing
    ([[0.0, 0.0, 0.0]], 5, False),
])
def test_cells_that_say_nothing_and_maps_of_all_classes_are_not_outweighed(tmp_path, scores, classes, outweighed):
    (tmp_path / "c").mkdir()
    write(tmp_path, "c/a.jpg", [np.array(scores)[:, None], np.zeros((1, 1, 3))])
    assert survey(MapFolder(str(tmp_path), classes, Reading()), ["c/a.jpg"]).outweighed == ["c/a.jpg"] * outweighed


def test_scores_out_of_order_are_told_and_harmless(maps, tmp_path):
    array = np.load(tmp_path / "c0/photo.0.npy")
    np.save(tmp_path / "c0/photo.0.npy", array[:, ::-1])
    seen = survey(maps, IMAGES)
    assert seen.unsorted == [IMAGES[0]] and maps_are_sound(seen, CLASSES, "maps").level == "fine"


def test_the_class_of_a_map_is_that_of_its_mean_scores():
    scores, ids = np.zeros((2, 2, 2), np.float32), np.zeros((2, 2, 2), np.int32)
    scores[0], ids[0], ids[1] = [[9, 1], [1, 1]], [[3, 2], [2, 2]], 4
    assert class_of(LabelMap(scores, ids), CLASSES) == 3  # 9 / 4 in the mean, class 2 has 3 / 4
    assert class_of(LabelMap(np.zeros_like(scores), ids), CLASSES) == -1


def test_the_class_of_a_map_with_probabilities_is_the_most_probable_one():
    scores, ids = log_probabilities(3)
    known = LabelMap(scores.astype(np.float32), ids.astype(np.int32), np.zeros((4, 6), np.float32))
    assert class_of(known, CLASSES) == 3
    nothing = known._replace(scores=np.zeros_like(known.scores), log_z=np.full((4, 6), np.log(CLASSES), np.float32))
    assert class_of(nothing, CLASSES) == -1


@pytest.mark.parametrize("words", [[], ["--classes", "2"]])
def test_the_command_looks_at_maps_alone(tiny_data, words, capsys):
    folder = tiny_data / "maps"
    code = main(["labels", "check", str(folder), "--images", str(tiny_data), *words])
    out, err = capsys.readouterr()
    assert "24 photos have a map each" in out
    if words:
        assert code == 1 and "class ids must lie in 0 .. 1" in out and "1 of 2 checks" in err
    else:
        assert code == 0 and "24 of 24 maps name the class of their photo, 8 by chance" in out
