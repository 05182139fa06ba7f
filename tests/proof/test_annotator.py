"""The annotator of the experiments: an interrupted training ends as an unbroken one; it tells what it was taught."""
import numpy as np
import paddle

from tests.helpers import ROOT, load_script

annotator = load_script(ROOT / "tools" / "proof" / "annotator.py")


def photos_of_two_classes(count):
    rng = np.random.default_rng(0)
    labels = np.arange(count) % 2
    return np.clip(100 + 60 * labels[:, None, None, None] + rng.normal(0, 20, (count, 32, 32, 3)), 0,
                   255).astype(np.uint8), labels


def trained(photos, labels, folder, stops, monkeypatch):
    monkeypatch.setattr(annotator, "BATCH", 16)
    folder.mkdir()
    for stop in stops:
        paddle.seed(annotator.SEED)
        net = annotator.network(2)
        # the schedule is that of three epochs, wherever it is stopped
        monkeypatch.setattr(annotator, "rate", lambda done, scale=stop / 3: annotator_rate(done * scale))
        annotator.train(net, photos, labels, stop, folder, [32])
    return net


annotator_rate = annotator.rate


def test_training_that_was_stopped_ends_where_an_unbroken_one_does(tmp_path, monkeypatch):
    photos, labels = photos_of_two_classes(32)
    whole = trained(photos, labels, tmp_path / "whole", [3], monkeypatch)
    parts = trained(photos, labels, tmp_path / "parts", [1, 3], monkeypatch)
    for name, value in whole.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), parts.state_dict()[name].numpy(), err_msg=name)
    assert annotator.right(whole, photos, labels, 32) > 0.9
    with paddle.no_grad():
        whole.eval()
        assert whole(paddle.zeros([1, 3, 96, 128])).shape == [1, 2, 12, 16]
