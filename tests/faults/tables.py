"""What has come of a campaign, in numbers for the pages: counted once, kept in counts.json, shown in two languages."""
from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

from tests.faults.process import ROOT
from tests.faults.results import survived

COUNTS = Path(__file__).with_name("counts.json")
PAGES = {language: ROOT / "docs" / language / "reliability.md" for language in ("en", "cn")}
HEADS = {
    "files": (("Writer", "Fault", "Injected", "Struck", "Survived", "Left unfinished files", "Done again"),
              ("写入者", "故障", "注入", "命中", "无损", "留下半成品", "最多重做")),
    "kills": (("Signal", "To", "Processes", "Workers", "Runs", "Signals that struck", "After a checkpoint", "Survived"),
              ("信号", "发给", "进程", "数据加载进程", "运行", "命中的信号", "已有检查点", "无损")),
    "damage": (("File", "Read", "Damaged", "As it was", "Passed over", "Taken, and named",
                "Refused by name", "Accepted or unclear"),
               ("文件", "读取方式", "损坏", "与原来相同", "跳过", "采用并指明", "指名拒绝", "误收或不明")),
    "clean": (("Runs that nothing happened to", "Runs", "False alarms", "Bit-equal"),
              ("没有故障的运行", "次数", "误报", "逐位相同")),
}
WORDS = {  # English: Chinese
    "kill": "SIGKILL", "power": "断电", "full": "磁盘满", "error": "磁盘错误（一次）",
    "training": "训练", "resuming": "续训", "label maps": "标签图", "conversion": "权重转换",
    "conversion over an old file": "覆盖旧文件的转换", "ImageNet": "ImageNet 解包", "download": "下载",
    "main": "主进程", "group": "进程组", "rank 0": "进程 0", "rank 1": "进程 1", "together": "合计",
    "checkpoint": "续训，另有完好的一份", "only checkpoint": "续训，只有这一份", "checkpoint by name": "按名续训",
    "weights": "加载", "card": "读说明卡", "map": "读标签图", "--resume": "整个 `--resume`",
    "evaluation": "评估", "recipe": "作为配方",
    "from the start": "从头开始", "finished, taken up": "完成后再续训", "stopped, taken up": "正常停止后续训",
}
ENGLISH = {"kill": "SIGKILL", "power": "power cut", "full": "disk full from here on", "error": "disk error, once",
           "checkpoint": "resumed, another is whole", "only checkpoint": "resumed, no other",
           "--resume": "all of `--resume`",
           "checkpoint by name": "resumed by name", "weights": "loaded", "card": "as a card", "map": "as a map",
           "evaluation": "evaluated", "recipe": "as a recipe"}


def count(rows: Iterable[dict]) -> dict[str, list[list]]:
    """The rows of each table; words in English as the tasks have them."""
    groups: dict[str, dict[tuple, list[dict]]] = {part: {} for part in HEADS}
    for row in rows:
        task = row["task"]
        groups[task["part"]].setdefault(_group(task), []).append(row)
    found = {part: [_counted(part, group, rows) for group, rows in sorted(groups[part].items())] for part in HEADS}
    for part, table in found.items():
        if table:
            table.append(_sum(part, table))
    return found


def _group(task: dict) -> tuple:
    keys = {"files": ("writer", "fault"), "kills": ("signal", "to", "processes", "workers"),
            "damage": ("file", "reader"), "clean": ("how",)}[task["part"]]
    # maps have numbers for names
    return tuple(re.sub(r"^\d+\.npy$", "*.npy", str(task[key])) for key in keys)


def _counted(part: str, group: tuple, rows: list[dict]) -> list:
    held = sum(map(survived, rows))
    if part == "files":
        again = max((row["step"] - row["checkpoint"] for row in rows if row["crashed"] and "step" in row), default=None)
        fired, untidy = (sum(bool(row[name]) for row in rows) for name in ("fired", "litter"))
        return [*group, len(rows), fired, held, untidy, again]
    if part == "kills":
        struck, after = (sum(row[name] for row in rows) for name in ("struck", "after first checkpoint"))
        return [*group, len(rows), struck, after, held]
    if part == "damage":
        named = [sum(row["verdict"] in verdicts for row in rows) for verdicts in
                 (("equal", "resumed"), ("passed over",), ("taken, and named",), ("refused",))]
        return [*group, len(rows), *named, len(rows) - sum(named)]
    return [*group, len(rows), sum(bool(row["told"]) for row in rows), sum(not row["lost"] for row in rows)]


def _sum(part: str, table: list[list]) -> list:
    words = {"files": 2, "kills": 4, "damage": 2, "clean": 1}[part]
    numbers = [[value for value in column if value is not None] for column in list(zip(*table))[words:]]
    totals = [sum(column) for column in numbers]
    if part == "files":
        totals[-1] = max(numbers[-1], default=None)
    return ["together", *[""] * (words - 1), *totals]


def render(part: str, table: list[list], language: str) -> str:
    """A table of Markdown."""
    head = HEADS[part][language == "cn"]
    lines = [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    for row in table:
        lines.append(f"| {' | '.join(_cell(value, language) for value in row)} |")
    return "\n".join(lines) + "\n"


def _cell(value: object, language: str) -> str:
    if value is None or value == "":
        return ""
    if isinstance(value, int):
        return f"{value:,}"
    return WORDS.get(value, str(value)) if language == "cn" else ENGLISH.get(value, str(value))


def page(text: str, counts: dict[str, object], language: str) -> str:
    """A page with its tables and the commit written anew, between `<!-- faults: PART -->` and `<!-- end -->`."""
    text = re.sub(r"(?<=<!-- faults: commit -->`)[^`]*", str(counts["commit"]), text)
    for part in HEADS:
        made = render(part, counts[part], language) if counts[part] else ""
        text = re.sub(rf"(?<=<!-- faults: {part} -->\n).*?(?=<!-- end -->)", lambda _, made=made: made, text,
                      count=1, flags=re.DOTALL)
    return text


def newest_commit() -> str:
    """The newest commit that has changed the package; "+" where it has been changed since."""
    of_package = {"cwd": ROOT, "capture_output": True, "text": True, "check": True}
    commit = subprocess.run(["git", "log", "-1", "--format=%h", "--", "ppim"], **of_package).stdout.strip()
    changed = subprocess.run(["git", "status", "--porcelain", "--", "ppim"], **of_package).stdout
    return f"{commit}{'+' if changed else ''}"


def write(rows: Iterable[dict]) -> None:
    """Count, keep the counts, and write the pages."""
    counts = {"commit": newest_commit(), **count(rows)}
    COUNTS.write_text(json.dumps(counts, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    for language, path in PAGES.items():
        path.write_text(page(path.read_text(encoding="utf-8"), counts, language), encoding="utf-8")
