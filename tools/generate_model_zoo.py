"""Write the pages docs/{en,cn}/model_zoo/*.md and ppim/zoo/counts.json from the families' yaml files and their models.

    python tools/generate_model_zoo.py            count every model again (half a minute), write counts and pages
    python tools/generate_model_zoo.py --check    compare the pages with what would be written; 1 when they are stale

A family has a page where its yaml file has a section `page`: paper, arxiv (its number), project (on GitHub), or papers
where there are several (each with title, arxiv, project), example (a model), figure (a file in docs/images and what it
shows), notes, parity (what a tool has measured, in Markdown, and how) and citation; texts are `en` and `cn`. A page of
a family that PPIM has names PPIM's views and files; one of another the row's own view, and of each file its licence and
who publishes it. The check takes the counts as they are stored; tests/zoo/test_macs.py counts them again.
"""
from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from ppim import zoo  # noqa: E402
from ppim.commands.models import accuracy_text, macs_text  # noqa: E402
from ppim.families import Facts, facts  # noqa: E402
from ppim.files import write_whole  # noqa: E402

WORDS = {
    "en": {
        "other": "English | [简体中文](../../cn/model_zoo/{file}.md)",
        "paper": "Paper", "project": "Original code", "code": "Model", "use": "Use", "models": "Models",
        "view": "Evaluation view", "links": "Weights", "citation": "Citation",
        "use_text": "`pretrained=True` downloads PPIM's file into Paddle's cache (`~/.cache/paddle/hapi/weights`), "
                    "going on where an earlier attempt broke off; a path loads a file that is there already, of any "
                    "project listed below. With another `class_dim` than the file's 1000 the heads start afresh, "
                    "which a warning tells; anything else that does not fit is an error.",
        "view_text": "PPIM's, which `return_transforms=True` gives:",
        "view_more": "Our recipes take the `crop_pct` of the table's last column: short side to size / `crop_pct`, "
                     "rounded down, bicubic, then the centre crop. `ppim models {name}` prints where a recipe of ours "
                     "departs from the original's, and why.",
        "use_text_own": "`pretrained=True` downloads the first file of a model's row below into Paddle's cache "
                        "(`~/.cache/paddle/hapi/weights`), going on where an earlier attempt broke off; a path "
                        "loads a file that is there already, under timm's names or the original's. With another "
                        "`class_dim` than the file's the heads start afresh, which a warning tells; anything else that "
                        "does not fit is an error.",
        "view_text_own": "That of the published figures, which `return_transforms=True` gives:",
        "parity": "Parity",
        "columns": ("Model", "PPIM's name", "Image", "Parameters", "MACs (G)", "MACs published (G)", "Our `crop_pct`"),
        "top": "Top-1 / Top-5 {source}", "sources": {},
        "legend": "Accuracies are published, not re-measured; in brackets the `crop_pct` they were measured at, where "
                  "the source tells. MACs are counted from the model for one image, attention included. Published "
                  "MACs: `*` leaves attention out, `?` fits the network neither way.",
        "weights": ("Model", "Paddle", "PyTorch, original"),
        "weights_own": ("Model", "Weights", "Published by", "Licence"),
    },
    "cn": {
        "other": "简体中文 | [English](../../en/model_zoo/{file}.md)",
        "paper": "论文", "project": "官方项目", "code": "模型代码", "use": "使用", "models": "模型",
        "view": "验证集数据处理", "links": "预训练权重", "citation": "引用",
        "use_text": "`pretrained=True` 会把 PPIM 的文件下载到 Paddle 的缓存目录（`~/.cache/paddle/hapi/weights`），"
                    "中断后可续传；"
                    "传入路径则加载已有的文件，下面列出的各项目的文件都可以。"
                    "`class_dim` 与文件的 1000 不同时，分类头重新初始化并给出警告；其他任何不匹配都会报错。",
        "view_text": "PPIM 的处理，即 `return_transforms=True` 返回的处理：",
        "view_more": "我们的配方按表中最后一列的 `crop_pct` 评估：短边缩放到 size / `crop_pct`（向下取整，bicubic），"
                     "再中心裁剪。我们的配方与原版的不同之处及其原因，由 `ppim models {name}` 列出。",
        "use_text_own": "`pretrained=True` 会把下表中该模型的第一个文件下载到 Paddle 的缓存目录"
                        "（`~/.cache/paddle/hapi/weights`），中断后可续传；传入路径则加载已有的文件，"
                        "timm 的命名和原版的命名都可以。`class_dim` 与文件不同时，分类头重新初始化并给出警告；"
                        "其他任何不匹配都会报错。",
        "view_text_own": "公布准确率所用的处理，即 `return_transforms=True` 返回的处理：",
        "parity": "数值一致性",
        "columns": ("模型", "PPIM 名称", "图像大小", "参数量", "MACs (G)", "公布的 MACs (G)", "我们的 `crop_pct`"),
        "top": "Top-1 / Top-5 {source}",
        "sources": {"original": "原版", ", ImageNet-1k alone": "，仅 ImageNet-1k", ", k-NN": "，k-NN"},
        "legend": "准确率均为公布值，未重新测量；括号内是测量时的 `crop_pct`（来源有说明时）。"
                  "MACs 按模型对一张图像计数，包含注意力。"
                  "公布的 MACs 中：`*` 表示不含注意力，`?` 表示两种算法都与网络不符。",
        "weights": ("模型", "Paddle", "PyTorch 原版"),
        "weights_own": ("模型", "权重", "发布者", "许可证"),
    },
}

PAGE = """{other}

# {type}

{papers}
- {words[code]}{colon}[{code}](../../../ppim/models/{code})
{figure}
## {words[use]}

{use}

```python
{example}
```

## {words[models]}

{models}

{words[legend]}

{notes}

## {words[view]}

{view_text}

```python
import paddle.vision.transforms as T

{view}
```

{view_more}
{parity}
## {words[links]}

{weights}

## {words[citation]}

```bibtex
{citation}
```
"""


def cost(row: zoo.Row, counts: dict) -> tuple[str, str, str]:
    """Parameters, counted MACs, published MACs."""
    published = ", ".join(macs_text(macs) for macs in row.macs)
    return f"{counts[row.name]['parameters']:,}", f"{counts[row.name]['macs'] / 1e9:.2f}", published or "-"


def table(head: tuple, rows: list[tuple]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def links(files: list[zoo.File]) -> str:
    def text(file):
        code = f" ({file.code})" if file.code else ""
        return f"[{file.name or file.source}]({file.url}){code}"

    return ", ".join(map(text, files)) or "-"


def for_paddle(row: zoo.Row) -> bool:
    return any(file.is_paddle for file in row.files)


def named_source(source: str, words: dict) -> str:
    """Who published a figure or a file, in the words of the page."""
    for english, other in words["sources"].items():
        source = source.replace(english, other)
    return source


def view(rows: list[zoo.Row], shown: zoo.Row) -> str:
    """Transforms: PPIM's, as its pages print them, or those of one model that it has not."""
    sizes = sorted({row.image_size for row in rows if for_paddle(row)}) if shown.as_ppim else [shown.image_size]
    return "\n\n".join(
        f"""# {size}x{size}
transforms = T.Compose([
    T.Resize({shown.short_side(size)}, interpolation='bicubic'),
    T.CenterCrop({size}),
    T.ToTensor(),
    T.Normalize(mean={list(shown.mean)}, std={list(shown.std)})
])"""
        for size in sizes
    )


def model_table(rows: list[zoo.Row], words: dict, counts: dict) -> str:
    ppim, named = rows[0].as_ppim, words["columns"]
    found = dict.fromkeys(accuracy.source for row in rows for accuracy in row.accuracy)
    sources = ("original", "PPIM", "PaddleViT") if ppim else tuple(found)
    tops = tuple(words["top"].format(source=named_source(source, words)) for source in sources)
    head = (*(named[:-1] if ppim else (named[0], *named[2:-1])), *tops, named[-1])
    return table(head, [
        (f"`{row.name}`", *((f"`{row.alias or row.name}`" if for_paddle(row) else "-",) if ppim else ()),
         str(row.image_size))
        + cost(row, counts)
        + (*(accuracy_text(row, source) for source in sources), f"{row.crop_pct:g}")
        for row in rows
    ])


def weights_table(rows: list[zoo.Row], words: dict) -> str:
    if rows[0].as_ppim:
        return table(words["weights"], [
            (f"`{row.name}`",)
            + tuple(links([f for f in row.files if (f.source == "original") == original]) for original in (False, True))
            for row in rows
        ])
    return table(words["weights_own"], [
        (f"`{row.name}`", links([file]), named_source(file.source, words), file.licence)
        for row in rows for file in row.files
    ])


def example(name: str, row: zoo.Row) -> str:
    size = row.view_size
    return f"""from ppim import {name}
import paddle

model, val_transforms = {name}(pretrained=True, return_transforms=True)
model.eval()
logits = model(paddle.rand([1, 3, {size}, {size}]))

fine_tuned = {name}(pretrained='{f"{name}.pdparams" if row.as_ppim else row.download.name}', class_dim=10)"""


def papers(page: dict, words: dict, colon: str) -> str:
    """Where the family was described, and the projects that published its code."""
    return "\n".join(
        f"- {words['paper']}{colon}[{paper['title']}](https://arxiv.org/abs/{paper['arxiv']})\n"
        f"- {words['project']}{colon}[{paper['project']}](https://github.com/{paper['project']})"
        for paper in page.get("papers") or [{**page, "title": page["paper"]}]
    )


def render(family: Facts, language: str, counts: dict) -> str:
    """One page in one language."""
    words, page, code = WORDS[language], family.page, f"{family.module}.py"
    rows = [row for row in zoo.ROWS if row.family == family.type]
    shown = zoo.find(page["example"])
    colon, own = "：" if language == "cn" else ": ", "" if shown.as_ppim else "_own"
    figure, parity = page.get("figure"), page.get("parity")
    return PAGE.format(
        words=words, type=family.type, colon=colon, code=code,
        other=words["other"].format(file=family.module),
        papers=papers(page, words, colon),
        figure=f"\n![{figure[language]}](../../images/{figure['file']})\n" if figure else "",
        use=words["use_text" + own], example=example(page["example"], shown),
        models=model_table(rows, words, counts),
        notes="\n".join(f"- {note[language]}" for note in page["notes"]),
        view_text=words["view_text" + own], view=view(rows, shown),
        view_more=words["view_more"].format(name=page["example"]),
        parity=f"\n## {words['parity']}\n\n{parity[language].strip()}\n\n{parity['table'].strip()}\n" if parity else "",
        weights=weights_table(rows, words), citation=page["citation"],
    )


def count(rows: tuple[zoo.Row, ...]) -> dict:
    """What the models have and compute. Where all blocks of a model are alike, one block and two tell the rest."""
    from ppim.families import size_of
    from ppim.models import create_model
    from ppim.zoo.macs import count_parameters, split_macs

    def counted(name: str, **size: int) -> list[int]:
        model = create_model(name, **size)
        in_layers, in_attention = split_macs(model)
        return [count_parameters(model), in_layers + in_attention, in_attention]

    found = {}
    for row in rows:
        depth = size_of(row.name, {}).get("depth")
        if depth is None:
            whole = counted(row.name)
        else:
            one, two = counted(row.name, depth=1), counted(row.name, depth=2)
            whole = [first + (depth - 1) * (second - first) for first, second in zip(one, two)]
        found[row.name] = dict(zip(("parameters", "macs", "attention_macs"), whole))
        print(row.name, found[row.name], flush=True)
    return found


def pages(counts: dict) -> dict[Path, str]:
    return {
        ROOT / "docs" / language / "model_zoo" / f"{family.module}.md": render(family, language, counts)
        for family in facts().values()
        if family.page
        for language in WORDS
    }


def main() -> int:
    parser = argparse.ArgumentParser(description="Write the pages of the model zoo.")
    parser.add_argument("--check", action="store_true", help="write nothing; 1 when a page is stale")
    if parser.parse_args().check:
        stale = [
            path.relative_to(ROOT).as_posix()
            for path, text in pages(zoo.counts()).items()
            if not path.is_file() or path.read_text(encoding="utf-8") != text
        ]
        print(f"stale: {', '.join(stale)}; run tools/generate_model_zoo.py" if stale else "the pages are up to date")
        return 1 if stale else 0
    counts = count(zoo.ROWS)
    counted = json.dumps(counts, indent=1, allow_nan=False) + "\n"
    texts = {**pages(counts), ROOT / "ppim" / "zoo" / "counts.json": counted}
    for path, text in texts.items():
        write_whole(path, lambda beside, text=text: beside.write_text(text, encoding="utf-8"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
