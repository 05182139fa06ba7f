"""The models others have published: their accuracy, their cost, their weights, the view they were evaluated in.

Pure data, without Paddle. Every figure is published, not re-measured. Sources: `original` is the authors' code and
paper (arXiv 2104.10858 LV-ViT, 2101.11986 T2T-ViT, 2012.12877 DeiT), `PPIM` Paddle-Image-Models, `PaddleViT` its table.
What is counted from our own models (parameters, multiply-accumulates) is in zoo_counts.json, see `counts`.
"""
from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

NOTE = "published, not re-measured"
CLASSES = 1000  # of every published file


class Accuracy(NamedTuple):
    """On the 50,000 validation images of ImageNet-1k, in percent.

    `crop_pct` is the view it was measured in: the short side to floor(size / crop_pct), then the centre crop. None: the
    source does not say.
    """

    source: str
    top1: float
    top5: float | None = None
    crop_pct: float | None = None


class Macs(NamedTuple):
    """A published number of multiply-accumulates for one image, in 10^9; some tables call it FLOPs.

    `attention`: whether the products inside attention are in it. Nobody says so; our own count does. None: the figure
    fits the network neither way.
    """

    source: str
    giga: float
    attention: bool | None = True


class File(NamedTuple):
    """Weights to be had. `name` is empty where the link leads to a page that shows it; Baidu asks for `code`."""

    source: str
    url: str
    name: str = ""
    code: str = ""

    @property
    def is_paddle(self) -> bool:
        """Whether the link itself gives a .pdparams file."""
        return self.name.endswith(".pdparams")


class Row(NamedTuple):
    """One published model. `crop_pct` is the evaluation view of our recipe, which may be one of several published."""

    name: str
    family: str
    image_size: int
    crop_pct: float
    alias: str = ""  # PPIM's name, where it is another
    accuracy: tuple[Accuracy, ...] = ()
    macs: tuple[Macs, ...] = ()
    files: tuple[File, ...] = ()
    interpolation: str = "bicubic"

    @property
    def download(self) -> File | None:
        """The file `pretrained=True` fetches."""
        return next((file for file in self.files if file.is_paddle), None)


def ppim_crop_pct(size: int) -> float:
    """PPIM's evaluation view: a margin at 224 pixels only."""
    return 0.9 if size == 224 else 1.0


def ppim_resize(size: int) -> int:
    """The short side before the centre crop of `size` pixels, on PPIM's pages: 248 for 224, else `size`."""
    return int(size / ppim_crop_pct(size))


_PPIM = {  # model: name on the storage, name of the file
    "lvvit_s": ("bf798145d3094d4ab89f99d87a3f99ad576361f3e05e46f4a622de90ef565e9b", "lvvit_s_224"),
    "lvvit_m": ("c34bcd65d1c94089ab269ffb8927133a7fab39c6a0c44dca8e1c995155cabcd0", "lvvit_m_224"),
    "lvvit_s_384": ("aa4fa51138ea41cb9b413db1308ccc01319f896413764a2d9a3b6e6a23da1ade", "lvvit_s_384"),
    "lvvit_m_384": ("97d6a53daf55477bbf6e386e00d4763157bcbcea295b402ebb3a26725eaeb772", "lvvit_m_384"),
    "lvvit_m_448": ("b83be46049ac44cfb0821f429e54621020e815f8019944dca81e73a6736b0fdf", "lvvit_m_448"),
    "lvvit_l_448": ("abd5019da732445eae48ed4eaeff874fc2c00d8d43934ff783d77720b09faef8", "lvvit_l_448"),
    "t2t_vit_7": ("f871c08622644ace9cbda8ca439458211dfcdade86b2425f984cdf1138f5f03a", "T2T_ViT_7"),
    "t2t_vit_10": ("4be696e206d64f2a9a89dd04414e7e00f02fdf3d0d8f4f989250d78cf9db4c4f", "T2T_ViT_10"),
    "t2t_vit_12": ("4d9ffb24857a44bab37c42e7f0d13ea2248a9a5bcfc14cc99654caba51416041", "T2T_ViT_12"),
    "t2t_vit_14": ("1b407299bdaa48c9b3a93a3ca81ae474c5f00db0854c464ca6420d16c571b8e1", "T2T_ViT_14"),
    "t2t_vit_19": ("8ecab251b4cb47aba871a1ca50c3b1282fe107da4c1646dd99518201aa3d199e", "T2T_ViT_19"),
    "t2t_vit_24": ("d86323c5199a40c2912a56934b7bdf1d7a74fe80535a46339b01e00a485aa5e7", "T2T_ViT_24"),
    "t2t_vit_t_14": ("59d65fb896a64e948ea20ad4c9c70f9f4bc63cd025ed496d81f0991fb71d45a3", "T2T_ViTt_14"),
    "t2t_vit_t_19": ("b84eec6cd6e34483a0166dbc887b0d6bcc6c14437a2743aa9ef7923a2e5cf62b", "T2T_ViTt_19"),
    "t2t_vit_t_24": ("4762595d441749a7a435dc59b427ec56361a9038bf26446a8279635bb2ec5109", "T2T_ViTt_24"),
    "t2t_vit_14_384": ("a75d0f4134d24502bfe1a5d4bfd0840a42c1759a2da241a1a73613c81e33cbc8", "T2T_ViT_14_384"),
    "t2t_vit_24_token_labeling": (
        "bd8ef6c5c8134e6fb18b34346383796ceefcc88d06264d37a1a32876063e3810", "T2T_ViT_24_Token_Labeling",
    ),
    "deit_ti": ("1e91e6ab967b4b0f9940891c6f77f98ca612d5a767b8482498c364c11d65b44b", "DeiT_tiny_patch16_224"),
    "deit_s": ("56fb3b56543d495aa36cc244e8f25e3e321747cfcedd48c28830ea3a22f4a82a", "DeiT_small_patch16_224"),
    "deit_b": ("38be4cdffc0240c18e9e4905641e9e8171277f42646947e5b3dbcd68c59a6d81", "DeiT_base_patch16_224"),
    "deit_ti_distilled": (
        "dd0ff3e26c1e4fd4b56698a43a62febd35bdc8153563435b898cdd9480cd8720", "DeiT_tiny_distilled_patch16_224",
    ),
    "deit_s_distilled": (
        "5ab1d5f92e1f44d39db09ab2233143f8fd27788c9b4f46bd9f1d5f2cb760933e", "DeiT_small_distilled_patch16_224",
    ),
    "deit_b_distilled": (
        "24692c628ab64bfc9bb72fc8a5b3d209080b5ad94227472f98d3bb7cb6732e67", "DeiT_base_distilled_patch16_224",
    ),
    "deit_b_384": ("de491e7155e94ac2b13b2a97e432155ed6d502e8a0114e4e90ffd6ce9dce63cc", "DeiT_base_patch16_384"),
    "deit_b_distilled_384": (
        "0a84b9ea45d0412d9bebae9ea3404e679221c3d0c8e542bf9d6a64f810983b25", "DeiT_base_distilled_patch16_384",
    ),
}  # fmt: skip


def _ppim(name: str) -> tuple[File, ...]:
    if name not in _PPIM:
        return ()
    stored, file = _PPIM[name]
    query = f"responseContentDisposition=attachment%3B%20filename%3D{file}.pdparams"
    return (File("PPIM", f"https://bj.bcebos.com/v1/ai-studio-online/{stored}?{query}", f"{file}.pdparams"),)


def _original(url: str) -> tuple[File, ...]:
    return (File("original", url, url.rpartition("/")[2]),)


def _lvvit(name, size, crop_pct, top1=None, ppim=None, macs=None, fits=True, release=None) -> Row:
    found = [Accuracy("original", top1, None, crop_pct)] if top1 else []
    found += [Accuracy("PPIM", *ppim, ppim_crop_pct(size))] if ppim else []
    source = "original, PPIM" if ppim else "original"
    released = "https://github.com/zihangJiang/TokenLabeling/releases/download/"
    return Row(
        name, "LV-ViT", size, crop_pct, accuracy=tuple(found),
        macs=(Macs(source, macs, True if fits else None),) if macs else (),
        files=_ppim(name) + (_original(released + release) if release else ()),
    )  # fmt: skip


def _t2t(name, top1, size=224, crop_pct=0.9, paddlevit=None, macs=None, release=None, google=None, baidu=None,
         original_crop_pct=0.9) -> Row:
    """`paddlevit`: its top-1, top-5 (in the view `crop_pct`) and MACs; `baidu`: link, code. `macs` are the paper's."""
    found = [Accuracy("original", top1, None, original_crop_pct)]
    published, files = [Macs("original", macs)] if macs else [], _ppim(name)
    if paddlevit:
        found.append(Accuracy("PaddleViT", *paddlevit[:2], crop_pct))
        published.append(Macs("PaddleViT", paddlevit[2], attention=False))
        files += (
            File("PaddleViT (Google)", f"https://drive.google.com/file/d/{google}/view?usp=sharing"),
            File("PaddleViT (Baidu)", f"https://pan.baidu.com/s/{baidu[0]}", code=baidu[1]),
        )
    if release:
        files += _original(f"https://github.com/yitu-opensource/T2T-ViT/releases/download/main/{release}.pth.tar")
    return Row(name, "T2T-ViT", size, crop_pct, accuracy=tuple(found), macs=tuple(published), files=files)


def _deit(name, alias, size, original, ppim, macs, digest) -> Row:
    """`digest`: the first digits of the original file's sha256, which are part of its name."""
    return Row(
        name, "DeiT", size, 0.875, alias,
        (Accuracy("original", *original, 0.875), Accuracy("PPIM", *ppim, ppim_crop_pct(size))),
        (Macs("PPIM", macs, attention=False),),
        _ppim(alias) + _original(f"https://dl.fbaipublicfiles.com/deit/{name}-{digest}.pth"),
    )  # fmt: skip


ROWS = (
    _lvvit("lvvit_t", 224, 0.9, 79.1, macs=2.9, release="v0.2.0/lvvit_t.pth"),
    _lvvit("lvvit_s", 224, 0.9, 83.3, (83.17, 95.87), 6.6, release="1.0/lvvit_s-26M-224-83.3.pth.tar"),
    # 16.0 does not fit this network; 42.2 and 61.0 of the same tables, at 384 and 448 pixels, do
    _lvvit("lvvit_m", 224, 1.0, 84.0, (83.88, 96.05), 16.0, False, "1.0/lvvit_m-56M-224-84.0.pth.tar"),
    _lvvit("lvvit_l", 224, 1.0),
    _lvvit("lvvit_s_384", 384, 0.9, 84.4, (84.56, 96.39), 22.2, release="1.0/lvvit_s-26M-384-84.4.pth.tar"),
    _lvvit("lvvit_m_384", 384, 1.0, 85.4, (85.34, 96.72), 42.2, release="1.0/lvvit_m-56M-384-85.4.pth.tar"),
    _lvvit("lvvit_m_448", 448, 1.0, 85.5, (85.47, 96.82), 61.0, release="1.1/lvvit_m-56M-448-85.5.pth.tar"),
    _lvvit("lvvit_l_448", 448, 1.0, 86.2, (86.09, 96.85), 157.2, release="1.0/lvvit_l-150M-448-86.2.pth.tar"),
    _lvvit("lvvit_l_512", 512, 1.0, 86.4, release="1.0/lvvit_l-150M-512-86.4.pth.tar"),
    _t2t("t2t_vit_7", 71.7, paddlevit=(71.68, 90.89, 1.0), macs=1.1, release="71.7_T2T_ViT_7",
         google="1YkuPs1ku7B_udydOf_ls1LQvpJDg_c_j", baidu=("1jVNsz37gatLCDaOoU3NaMA", "1hpa")),
    _t2t("t2t_vit_10", 75.2, paddlevit=(75.15, 92.80, 1.3), macs=1.5, release="75.2_T2T_ViT_10",
         google="1H--55RxliMDlOCekn7FpKrHDGsUkyrJZ", baidu=("1nbdb4PFMq4nsIp8HrNxLQg", "ixug")),
    _t2t("t2t_vit_12", 76.5, paddlevit=(76.48, 93.49, 1.5), macs=1.8, release="76.5_T2T_ViT_12",
         google="1stnIwOwaescaEcztaF1QjI4NK4jaqN7P", baidu=("1DcMzq9WeSwrS3epv6jKJXw", "qpbb")),
    _t2t("t2t_vit_14", 81.5, paddlevit=(81.50, 95.67, 4.4), macs=4.8, release="81.5_T2T_ViT_14",
         google="1HSvN3Csgsy7SJbxJYbkzjUx9guftkfZ1", baidu=("1wcfh22uopBv7pS7rKcH_iw", "c2u8")),
    _t2t("t2t_vit_19", 81.9, paddlevit=(81.93, 95.74, 7.8), macs=8.5, release="81.9_T2T_ViT_19",
         google="1eFnhaL6I33pHCQw2BaEE0Oet9CnjmUf_", baidu=("1Hpyc5hBYo1zqoXWpryegnw", "4in3")),
    _t2t("t2t_vit_24", 82.3, paddlevit=(82.28, 95.89, 12.8), macs=13.8, release="82.3_T2T_ViT_24",
         google="1Z7nZCHeFp0AhIkGYcMAFkKdkGN0yXtpv", baidu=("1Hpyc5hBYo1zqoXWpryegnw", "4in3")),
    _t2t("t2t_vit_t_14", 81.7, paddlevit=(81.69, 95.85, 4.4), macs=6.1, release="81.7_T2T_ViTt_14",
         google="16li4voStt_B8eWDXqJt7s20OT_Z8L263", baidu=("1Hpyc5hBYo1zqoXWpryegnw", "4in3")),
    _t2t("t2t_vit_t_19", 82.4, paddlevit=(82.44, 96.08, 7.9), macs=9.8, release="82.4_T2T_ViTt_19",
         google="1Ty-42SYOu15Nk8Uo6VRTJ7J0JV_6t7zJ", baidu=("1YdQd6l8tj5xMCWvcHWm7sg", "mier")),
    _t2t("t2t_vit_t_24", 82.6, paddlevit=(82.55, 96.07, 12.9), macs=15.0, release="82.6_T2T_ViTt_24",
         google="1cvvXrGr2buB8Np2WlVL7n_F1_CnI1qow", baidu=("1BMU3KX_TRmPxQ1jN5cmWhg", "6vxc")),
    _t2t("t2t_vit_14_384", 83.3, 384, 1.0, paddlevit=(83.34, 96.50, 13.0), release="83.3_T2T_ViT_14",
         google="1Yuso8WD7Q8Lu_9I8dTvAvkcXXtPSkmnm", baidu=("1AOMhyVRF9zPqJe-lTrd7pw", "r685")),
    _t2t("t2t_vit_14_resnext", 81.5),
    _t2t("t2t_vit_14_wide", 79.5),
    _t2t("t2t_vit_24_token_labeling", 84.2, 384, 1.0, release="84.2_T2T_ViT_24", original_crop_pct=None),
    _deit("deit_tiny_patch16_224", "deit_ti", 224, (72.20, 91.12), (72.18, 91.11), 1.1, "a1311bcf"),
    _deit("deit_small_patch16_224", "deit_s", 224, (79.85, 94.97), (79.85, 95.04), 4.2, "cd65a155"),
    _deit("deit_base_patch16_224", "deit_b", 224, (81.85, 95.59), (81.99, 95.74), 16.8, "b5f2ef4d"),
    _deit("deit_tiny_distilled_patch16_224", "deit_ti_distilled", 224, (74.48, 91.92), (74.50, 91.89), 1.1, "b40b3cf7"),
    _deit("deit_small_distilled_patch16_224", "deit_s_distilled", 224, (81.16, 95.38), (81.22, 95.39), 4.3, "649709d9"),
    _deit("deit_base_distilled_patch16_224", "deit_b_distilled", 224, (83.37, 96.48), (83.39, 96.49), 16.9, "df68dfff"),
    _deit("deit_base_patch16_384", "deit_b_384", 384, (82.89, 96.22), (83.10, 96.37), 49.3, "8de9b5d1"),
    _deit("deit_base_distilled_patch16_384", "deit_b_distilled_384", 384, (85.22, 97.19), (85.43, 97.33), 49.4,
          "d0272ac0"),
)  # fmt: skip


def find(name: str) -> Row | None:
    """The row of a model by our name or by PPIM's."""
    return next((row for row in ROWS if name in (row.name, row.alias)), None)


def counts() -> dict[str, dict[str, int]]:
    """{model: {parameters, macs, attention_macs}} of every row, as tools/generate_model_zoo.py counted them.

    `parameters` includes tables that are never trained; `attention_macs` is the part of `macs` inside attention.
    """
    return json.loads(Path(__file__).with_name("zoo_counts.json").read_text(encoding="utf-8"))
