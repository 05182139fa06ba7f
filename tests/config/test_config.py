"""A configuration as a value: frozen, saved, compared."""
import pytest

from ppim.config import altered, differences, get_config, save


def test_a_saved_configuration_comes_back_equal(tmp_path):
    config = get_config(None, ["TRAIN.GRAD_CLIP", "1.5", "TRAIN.CUTMIX_MINMAX", "[0.2, 0.8]"])
    save(config, tmp_path / "config.yaml")
    assert differences(config, get_config(tmp_path / "config.yaml")) == []


def test_a_saved_configuration_that_is_edited_or_damaged_still_counts_and_is_named(tmp_path):
    path = tmp_path / "config.yaml"
    save(get_config(), path)
    written = path.read_text()
    assert altered(path) == []
    path.write_text(written.replace("SEED: 0", "SEED: 1"))
    assert get_config(path).SEED == 1 and str(path) in altered(path)[0]
    path.write_text(written[:len(written) // 2])
    assert str(path) in altered(path)[0]
    path.write_text(written.partition("\n")[2])
    assert altered(path) == []


def test_saving_replaces_the_file_instead_of_writing_into_it(tmp_path):
    path, before = tmp_path / "config.yaml", tmp_path / "before"
    save(get_config(), path)
    before.hardlink_to(path)
    text = path.read_text()
    save(get_config(None, ["SEED", "3"]), path)
    assert before.read_text() == text != path.read_text()
    assert {found.name for found in tmp_path.iterdir()} == {"config.yaml", "before"}


def test_a_configuration_is_frozen():
    with pytest.raises(AttributeError):
        get_config().SEED = 1


def test_differences_are_told_by_full_names_with_both_values():
    here, there = get_config(None, ["TRAIN.OPTIMIZER.EPS", "1e-6", "SEED", "3"]), get_config()
    assert differences(here, there) == [("TRAIN.OPTIMIZER.EPS", 1e-6, 1e-8), ("SEED", 3, 0)]


def test_what_one_configuration_is_given_does_not_reach_the_next():
    changed = get_config().clone()
    changed.defrost()
    changed.DATA.IMAGENET_MEAN.append(0.5)
    assert get_config().DATA.IMAGENET_MEAN == [0.485, 0.456, 0.406]
