"""Real photos through the whole chain: annotate, train with the maps, evaluate. Skipped where the archives are not."""
import tarfile

import pytest

from tests.helpers import result_of, run_python, write_tiny_recipe

ANNOTATOR = """
DATA: {{DATA_PATH: {data}, IMAGE_SIZE: 64, BATCH_SIZE: 4, BATCH_SIZE_EVAL: 8, NUM_WORKERS: 0,
       EXIF: ignore}}
MODEL: {{TYPE: paddle_vision, NAME: shufflenet_v2_x0_25, NUM_CLASSES: {classes}}}
TRAIN: {{MAX_STEPS: 2, MIXUP_ALPHA: 0.0, CUTMIX_ALPHA: 0.0}}
SAVE: {save}
"""


def unpack(archive, mode: str, folder, wanted: int, per_class: int) -> None:
    """The first `per_class` pictures of the first `wanted` classes, as train/ and val/ alike."""
    seen: dict[str, int] = {}
    with tarfile.open(archive, mode) as tar:
        for member in tar:
            if not member.isfile():
                continue
            name = member.name.split("/")[-2]
            if name not in seen and len(seen) == wanted:
                break
            seen[name] = seen.get(name, 0) + 1
            if seen[name] > per_class:
                continue
            data = tar.extractfile(member).read()
            for split in ("train", "val"):
                path = folder / split / name / member.name.split("/")[-1]
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)


@pytest.mark.parametrize(
    ("archive", "mode", "classes", "per_class"),
    [("imagenet_samples.tar", "r", 8, 1), ("cifar10.tar.xz", "r|xz", 2, 8)],
)
def test_real_photos_are_annotated_trained_on_and_evaluated(shared_data, tmp_path, archive, mode, classes, per_class):
    if not (shared_data / archive).is_file():
        pytest.skip(f"{archive} is not in {shared_data}")
    data = tmp_path / "data"
    unpack(shared_data / archive, mode, data, classes, per_class)
    annotator = tmp_path / "annotator.yaml"
    annotator.write_text(ANNOTATOR.format(data=data, classes=classes, save=tmp_path / "annotator"))
    done = run_python("tools/train.py", "-c", annotator)
    assert done.returncode == 0, done.stderr
    done = run_python("tools/generate_labels.py", "-c", annotator, "--load", tmp_path / "annotator" / "last",
                      "--images", data / "train", "--output", data / "maps", "--top-k", "2")
    assert done.returncode == 0, done.stderr
    assert len(list((data / "maps").glob("*/*.npy"))) == classes * per_class

    recipe = write_tiny_recipe(tmp_path, data)
    for target in ("released", "probs"):
        done = run_python("tools/train.py", "-c", recipe, "-o", "MODEL.NUM_CLASSES", classes, "TRAIN.MAX_STEPS", "2",
                          "TOKEN_LABEL.TARGET", target, "SAVE", tmp_path / target)
        assert result_of(done)["count"] == classes * per_class
