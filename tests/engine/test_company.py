"""Processes that wait for others who do not come say so, for Paddle does not."""
import os
import signal
import subprocess
import sys

from tests.helpers import ROOT, free_port, launch, wait_until

JOINING = """
import sys
from ppim.engine.distributed import join_world

world = join_world(patience=float(sys.argv[1]))
print(f"process {world.rank} of {world.size} is in", flush=True)
"""


def test_who_waits_for_processes_that_do_not_come_says_so_and_where(tmp_path):
    script = tmp_path / "joining.py"
    script.write_text(JOINING)
    here, there = (f"127.0.0.1:{free_port()}" for _ in range(2))
    env = {"PADDLE_TRAINERS_NUM": "2", "PADDLE_TRAINER_ID": "0", "PADDLE_TRAINER_ENDPOINTS": f"{here},{there}",
           "PADDLE_CURRENT_ENDPOINT": here, "PYTHONPATH": str(ROOT), "PPIM_THREADS": "1"}
    log = tmp_path / "log"
    with log.open("w") as file:
        alone = subprocess.Popen([sys.executable, script, "1"], env={**os.environ, **env}, stdout=file, stderr=file,
                                 start_new_session=True)
    try:
        wait_until(lambda: "PADDLE_TRAINERS_NUM\n" in log.read_text())
        assert alone.poll() is None
    finally:
        os.killpg(alone.pid, signal.SIGKILL)  # Paddle has started processes of its own, which outlive this one
        alone.wait()
    said, = [line for line in log.read_text().splitlines() if "waited" in line]
    assert said.startswith(f"process 0 has waited 1 s for all 2 processes to meet at {here}; do the others run")
    assert said.endswith("unset PADDLE_TRAINERS_NUM")


def test_nothing_is_said_where_all_come_and_nobody_is_left_to_say_it(tmp_path):
    script = tmp_path / "joining.py"
    script.write_text(JOINING)
    done = launch(2, script, "600", log_dir=tmp_path / "log", timeout=120, env={"PYTHONPATH": str(ROOT)})
    assert done.returncode == 0, done.stdout + done.stderr
    assert "process 0 of 2 is in" in done.stdout
    logs = "".join(path.read_text() for path in (tmp_path / "log").glob("workerlog.*"))
    assert "process 1 of 2 is in" in logs and "waited" not in logs


def test_who_is_killed_while_it_waits_leaves_nobody_behind_who_speaks():
    waiting = ("import time\nfrom ppim.engine.company import told_after\n"
               "with told_after(600, 'long ago'):\n    print('waits', flush=True)\n    time.sleep(600)\n")
    alone = subprocess.Popen([sys.executable, "-c", waiting], cwd=ROOT, text=True, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE)
    assert alone.stdout.readline() == "waits\n"
    alone.kill()
    assert alone.communicate(timeout=30) == ("", "")  # a speaker left behind would hold stderr open
