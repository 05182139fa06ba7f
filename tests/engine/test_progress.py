"""What a terminal shows while a run is under way: how far it is comes first, and report lines stay."""
import io
import re
import sys
import time

import pytest
from rich.console import Console

from ppim.engine.evaluate import Evaluation
from ppim.engine.pace import time_left
from ppim.engine.progress import Bar, Part, Span, fit, parts_of, parts_of_evaluation
from tests.helpers import ROOT, load_script, losses

VALUES = {"epoch": 12.5, "loss": 2.3451, "class_loss": 1.2345, "token_loss": 1.1106, "lr": 0.00123,
          "images_per_second": 153.21, "data_wait": 0.034, "peak_memory_mb": 4321.0}


@pytest.fixture(scope="module")
def terminal():
    """The terminal that our figure is drawn of."""
    return load_script(ROOT / "tools" / "draw_terminal_figure.py")


def test_where_room_is_short_the_highest_ranks_go_first_and_the_order_stays():
    parts = [Part("aa", 2), Part(" bbb", 0), Part(" cc", 3), Part(" d", 1)]
    assert [fit(parts, width) for width in (None, 11, 10, 8, 7, 6, 5, 4, 3)] == [
        "aa bbb cc d", "aa bbb cc d", "aa bbb d", "aa bbb d", " bbb d", " bbb d", " bbb", " bbb", ""]


def test_losses_of_tokens_nobody_teaches_are_not_told():
    assert fit(parts_of(VALUES), None).startswith("  loss 2.3451 (class 1.2345, tokens 1.1106)  lr 0.00123")
    assert fit(parts_of(VALUES, ["token_loss", "class_loss"]), None).startswith("  loss 2.3451  lr 0.00123")


def test_an_evaluation_is_told_as_it_prints_and_its_top_1_last_of_all_goes():
    for tokens in (None, 25.125):
        result = Evaluation(top1=50.0, top5=75.5, loss=1.25, count=11, token_top1=tokens)
        assert fit(parts_of_evaluation(result), None) == f"  {result}"
        assert fit(parts_of_evaluation(result), 15) == "  top-1 50.00"


@pytest.mark.parametrize(("seconds", "done", "left", "told"), [
    (10.0, 5, 5, "0:00:10"), (3600.0, 10, 1000, "100:00:00"), (59.6, 1, 1, "0:01:00"), (5.0, 3, 0, "0:00:00"),
    (5.0, 0, 7, "-:--:--")])
def test_the_time_left_is_what_the_rest_takes_at_the_pace_so_far(seconds, done, left, told):
    assert time_left(seconds, done, left) == told


@pytest.mark.parametrize(("width", "told"), [
    (80, "  loss 2.3451  lr 0.00123"),
    (120, "  loss 2.3451 (class 1.2345, tokens 1.1106)  lr 0.00123  153.2 images/s"),
    (170, "  loss 2.3451 (class 1.2345, tokens 1.1106)  lr 0.00123  153.2 images/s  data wait 3 %  memory 4321 MB"),
])
def test_bar_steps_and_time_left_come_first_and_the_rest_as_the_terminal_is_wide(terminal, width, told):
    written = io.StringIO()
    console = Console(file=written, force_terminal=True, width=width, color_system="standard", soft_wrap=True,
                      highlight=False, legacy_windows=False, _environ={"TERM": "xterm"})
    bar = Bar(console, Span(first=1000, last=5000, total=6000))
    try:
        assert written.getvalue() == ""
        bar.at(1000)
        bar.at(1250)
        console.print("a line that was told before")
        bar.tell(parts_of(VALUES))
        screen = terminal.Screen(width)
        screen.feed(written.getvalue())
        before, line = screen.text()[-2:]
        assert before == "a line that was told before"
        assert re.fullmatch(r"━{20} 1250/5000  \d+:\d\d:\d\d left" + re.escape(told), line)
        assert "".join(cell.character for cell in screen.lines[-1] if cell.colour == "32") == "━" * 5
    finally:
        bar.close()
    screen = terminal.Screen(width)
    screen.feed(written.getvalue())
    assert [line for line in screen.text() if line] == ["a line that was told before"]


def test_a_run_that_goes_on_is_timed_by_its_own_steps(terminal):
    written = io.StringIO()
    console = Console(file=written, force_terminal=True, width=80, soft_wrap=True, _environ={"TERM": "xterm"})
    bar = Bar(console, Span(first=1000, last=2000, total=2000))
    try:
        bar.at(1000)
        time.sleep(0.05)
        bar.at(1001)
        bar.tell([])
        screen = terminal.Screen(80)
        screen.feed(written.getvalue())
        told = re.search(r"1001/2000  (\d+):(\d\d):(\d\d) left", screen.text()[-1])
        assert 3600 * int(told[1]) + 60 * int(told[2]) + int(told[3]) >= 49  # 999 steps of 0.05 s or more
    finally:
        bar.close()


def test_a_narrow_terminal_has_what_fits_on_one_line(terminal):
    for width in (10, 25, 40):
        written = io.StringIO()
        console = Console(file=written, force_terminal=True, width=width, soft_wrap=True, _environ={"TERM": "xterm"})
        bar = Bar(console, Span(0, 5000, 5000))
        try:
            bar.at(0)
            bar.tell(parts_of(VALUES))
            screen = terminal.Screen(width)
            screen.feed(written.getvalue())
        finally:
            bar.close()
        assert len(screen.text()) == 1 and 0 < len(screen.text()[0]) < width


def test_a_run_in_a_terminal_of_80_columns_shows_the_bar_below_lines_that_stay(terminal, tiny_config, tmp_path):
    python = sys.executable
    command = [python, "-m", "ppim", "train", "-c", str(tiny_config), "-o", "REPORT_FREQ", "2", "TRAIN.MAX_STEPS", "8"]
    written = terminal.run_in_terminal(command, 80, cwd=ROOT)
    bars, screen, end = [], terminal.Screen(80), 0
    for rewrite in re.finditer(r"\r\x1b\[2K", written):  # before a line is written over it is whole
        screen.feed(written[end: rewrite.start()])
        end = rewrite.start()
        bars.append(screen.text()[screen.row])
    screen.feed(written[end:])
    steps = [int(found[1]) for found in (re.match(r"━{20} (\d+)/8  [-\d]+:..:.. left", bar) for bar in bars) if found]
    assert steps == sorted(steps) and {2, 4, 6} <= set(steps)
    assert all(len(bar) < 80 for bar in bars)
    lines = screen.text()
    told = [re.match(r"epoch +[\d.]+  step (\d+)/24  loss ([\d.]+)  lr ", line) for line in lines]
    kept = {int(found[1]): float(found[2]) for found in told if found}
    assert kept == {step: pytest.approx(loss, abs=5e-5) for step, loss in losses(tmp_path / "run").items()}
    assert len(kept) == 4 and not any("left" in line for line in lines)
