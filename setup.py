"""Installs the package `ppim`; the recipes in configs/ travel inside it as `ppim.configs`."""
import re
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).resolve().parent
VERSION = re.search(r'__version__ = "(.+?)"', (ROOT / "ppim" / "__init__.py").read_text(encoding="utf-8"))[1]
RECIPES = [str(path.relative_to(ROOT / "configs")) for path in sorted((ROOT / "configs").glob("*/*.yaml"))]

setup(
    name="ppim",
    version=VERSION,
    description="LV-ViT, VOLO, T2T-ViT and DeiT supervised by tokens, on PaddlePaddle",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.9",
    packages=[*find_packages(include=["ppim", "ppim.*"]), "ppim.configs"],
    package_dir={"ppim.configs": "configs"},
    package_data={
        "ppim.data": ["imagenet_classes.txt"], "ppim.export": ["bundle_readme.md", "bundle_readme_masks.md"],
        "ppim.look": ["viewer.js"],
        "ppim.models": ["*.yaml"], "ppim.plan": ["*.yaml"], "ppim.zoo": ["counts.json", "departures.yaml"],
        "ppim.configs": RECIPES,
    },
    install_requires=["numpy", "pyyaml", "yacs>=0.1.8", "pillow>=9.1", "visualdl>=2.5", "rich>=13.8",
                      "safetensors>=0.4"],
    extras_require={
        "cpu": ["paddlepaddle>=2.6.2"],
        "gpu": ["paddlepaddle-gpu>=2.6.2"],
        "imagenet": ["scipy"],  # ppim data imagenet
        "onnx": ["paddle2onnx>=1.3", "onnx", "onnxruntime>=1.15"],  # ppim export --formats onnx
        "annotate": ["onnxruntime>=1.15"],  # ppim labels make --annotator net.onnx
        "openvino": ["paddle2onnx>=1.3", "onnx", "openvino>=2023.1"],  # ppim export --formats openvino
        "notebooks": ["nbclient", "ipykernel", "matplotlib"],  # make notebooks
        "docs": ["mkdocs>=1.6,<2", "mkdocs-material>=9.5,<10", "jieba"],  # make site
        "dev": ["pytest", "scipy", "pytest-timeout", "pytest-xdist", "hypothesis", "ruff", "vermin", "matplotlib"],
    },
    entry_points={"console_scripts": ["ppim=ppim.__main__:start"]},
)
