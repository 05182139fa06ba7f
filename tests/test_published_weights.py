"""The weights that the repository brings: what the pages say of them, from the files alone and on the test photos."""
import hashlib
import json
import tarfile

import numpy as np
import pytest

from ppim.engine.command import run
from ppim.trained.ready import of_weights
from tests.helpers import ROOT, load_script

FOLDER = ROOT / "weights" / "cifar10"
RUNS = ("tokens", "plain")
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def last_evaluation(name: str) -> dict:
    events = map(json.loads, (FOLDER / name / "log.jsonl").read_text().splitlines())
    return [event for event in events if event["event"] == "eval_raw"][-1]


@pytest.fixture(scope="module")
def photos(shared_data, tmp_path_factory):
    """CIFAR-10's test photos as a data set; they stand first in the archive."""
    root, count = tmp_path_factory.mktemp("cifar10"), 0
    with tarfile.open(shared_data / "cifar10.tar.xz", "r|xz") as tar:
        for member in tar:
            place = member.name.split("/")[-3:]
            if not member.isfile() or place[0] != "test":
                continue
            path = root.joinpath("val", *place[1:])
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(tar.extractfile(member).read())
            count += 1
            if count == 10_000:
                return root
    raise AssertionError(f"{count} test photos in the archive")


@pytest.mark.parametrize("name", RUNS)
def test_they_are_the_small_lvvit_and_know_their_classes(name):
    ready = of_weights(FOLDER / name)
    assert ready.names == CLASSES and ready.size == (32, 32)
    trained = sum(int(np.prod(value.shape)) for value in ready.model.parameters() if not value.stop_gradient)
    assert trained == 248_924


@pytest.mark.parametrize("name", RUNS)
def test_they_are_as_accurate_as_their_log_says(photos, name):
    said = last_evaluation(name)
    found = run(None, ["MODEL.PRETRAINED", str(FOLDER / name), "EVAL.ONLY", "True", "DATA.DATA_PATH", str(photos)])
    assert found.count == said["count"] == 10_000
    # another processor may round a close call otherwise
    assert found.top1 == pytest.approx(said["top1"], abs=0.05) and found.loss == pytest.approx(said["loss"], abs=1e-4)


@pytest.mark.parametrize("language", ["en", "cn"])
def test_the_page_says_what_logs_and_files_say(language):
    page = (ROOT / "docs" / language / "cifar10.md").read_text(encoding="utf-8")
    by_hours = load_script(ROOT / "tools" / "proof" / "accuracy_by_hours.py")
    for line in by_hours.table([FOLDER / name for name in RUNS]).splitlines()[2:]:
        assert line in page, f"{line} does not stand in docs/{language}/cifar10.md"
    for name in RUNS:
        said = last_evaluation(name)
        assert said["epoch"] == 30 and f"| {said['top1']:.2f} | {said['top5']:.2f} |" in page
        assert hashlib.sha256((FOLDER / name / "last.pdparams").read_bytes()).hexdigest() in page
