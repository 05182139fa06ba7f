"""Runs with a folder of label maps and with its pack: the same to the last bit."""
from __future__ import annotations

from ppim.cli import main
from ppim.engine.command import run
from tests.helpers import losses, records


def test_a_run_from_a_pack_is_the_run_from_its_folder_bit_for_bit(tiny_data, tiny_config, tmp_path, capsys):
    assert main(["labels", "pack", str(tiny_data / "maps"), str(tmp_path / "pack"), "--shard-maps", "7", "--jobs", "1",
                 "--classes", "3"]) == 0
    found = {}
    for name, path in (("folder", tiny_data / "maps"), ("pack", tmp_path / "pack")):
        save = tmp_path / name
        # validation photos bear the names of training photos, so that the same maps do for both
        run(str(tiny_config), ["TRAIN.MAX_STEPS", "1", "SAVE", str(save), "TOKEN_LABEL.PATH", str(path),
                               "TOKEN_LABEL.VAL_PATH", str(path), "DATA.NUM_WORKERS", "2"])
        said = capsys.readouterr().out
        assert f"label maps in {path}" in said and (" (pack): " in said) == (name == "pack")
        tokens = [record["token_top1"] for record in records(save) if record["event"].startswith("eval_")]
        found[name] = losses(save), (save / "last.pdparams").read_bytes(), tokens
    assert found["folder"] == found["pack"] and len(found["pack"][2]) == 2
