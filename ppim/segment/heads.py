"""What turns maps of tokens into classes of pixels: a neck, UperNet's head and a small one beside it.

UperNet is arXiv 1807.10221 with the pyramid pooling of PSPNet (arXiv 1612.01105). The neck is that of LV-ViT's
published segmentation code: transposed convolutions make of four maps of one size a pyramid of 4, 2, 1 and 1 times it.
Layers are named as MMSegmentation names them, whose checkpoints have been published.
"""
from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import paddle
import paddle.nn.functional as F
from paddle import nn

from ppim.models.layers import conv
from ppim.models.operators import Conv2D
from ppim.paddle_compat import called_while_tracing, is_planned

POOLED = (1, 2, 3, 6)  # cells along a side of what is pooled
LEVELS = 4  # maps of the pyramid
AUXILIARY_LEVEL = 2  # the map that the small head reads


def resized(x: paddle.Tensor, hw: Sequence[int]) -> paddle.Tensor:
    """(B, C, h, w) -> (B, C, *hw), bilinear; pixels are areas, so corners do not lie on corners."""
    return F.interpolate(x, size=list(hw), mode="bilinear", align_corners=False)


class ConvNorm(nn.Layer):
    """A convolution that keeps the size, batch normalisation, ReLU."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int):
        super().__init__()
        kaiming = paddle.ParamAttr(initializer=nn.initializer.Normal(std=(2 / (out_channels * kernel**2)) ** 0.5))
        self.conv = Conv2D(in_channels, out_channels, kernel, padding=kernel // 2, weight_attr=kaiming, bias_attr=False)
        self.bn = nn.BatchNorm2D(out_channels)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """(B, I, h, w) -> (B, O, h, w)"""
        return F.relu(self.bn(self.conv(x)))


class Pool(nn.Layer):
    """The means of `cells` x `cells` parts of a map, which may share a row or a column where they do not divide it."""

    def __init__(self, cells: int):
        super().__init__()
        self.cells = cells

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """(B, C, h, w) -> (B, C, cells, cells)"""
        return _pooled(x, self.cells)


@called_while_tracing
def _pooled(x: paddle.Tensor, cells: int) -> paddle.Tensor:
    if paddle.in_dynamic_mode() or is_planned():
        return F.adaptive_avg_pool2d(x, cells)
    # in an exported program as two products: ONNX has no operator for cells that do not divide a map
    rows, columns = (paddle.to_tensor(_parts(side, cells)) for side in x.shape[2:])
    return paddle.matmul(paddle.matmul(rows, x), columns, transpose_y=True)


def _parts(side: int, cells: int) -> np.ndarray:
    """(cells, side) float32: the share of each place in the mean of each part, as adaptive pooling has them."""
    found = np.zeros((cells, side), np.float32)
    for cell in range(cells):
        first, stop = cell * side // cells, -(-(cell + 1) * side // cells)
        found[cell, first:stop] = 1 / (stop - first)
    return found


def _sized(in_channels: int, out_channels: int, times: int = 1) -> list[nn.Layer]:
    """A map `times` as large, or a 1 x 1 convolution; with normalisation and ReLU."""
    if times == 1:
        layer = conv(in_channels, out_channels, kernel=1, stride=1)
    else:
        bound = (out_channels * times * times) ** -0.5
        uniform = paddle.ParamAttr(initializer=nn.initializer.Uniform(-bound, bound))
        layer = nn.Conv2DTranspose(in_channels, out_channels, times, stride=times, weight_attr=uniform, bias_attr=False)
    return [layer, nn.BatchNorm2D(out_channels), nn.ReLU()]


class Neck(nn.Layer):
    """Four maps of tokens (B, C, r, c) -> a pyramid: C channels at 4, 2 and 1 times their size, `top` channels at 1."""

    def __init__(self, channels: int, top: int):
        super().__init__()
        self.layer1 = nn.Sequential(*_sized(channels, channels, 4), *_sized(channels, channels))
        self.layer2 = nn.Sequential(*_sized(channels, channels, 2), *_sized(channels, channels))
        self.layer3 = nn.Sequential(*_sized(channels, channels))
        self.layer4 = nn.Sequential(*_sized(channels, top))

    def forward(self, maps: Sequence[paddle.Tensor]) -> list[paddle.Tensor]:
        """The pyramid, the largest map first."""
        return [layer(x) for layer, x in zip((self.layer1, self.layer2, self.layer3, self.layer4), maps)]


class _Classifier(nn.Layer):
    """Channels dropped whole, then one linear layer for every pixel."""

    def __init__(self, channels: int, rows: int, dropout: float):
        super().__init__()
        self.dropout = dropout
        normal = paddle.ParamAttr(initializer=nn.initializer.Normal(std=0.01))
        self.conv_seg = Conv2D(channels, rows, 1, weight_attr=normal,
                               bias_attr=paddle.ParamAttr(initializer=nn.initializer.Constant(0.0)))

    def classified(self, x: paddle.Tensor) -> paddle.Tensor:
        """(B, C, h, w) -> logits (B, rows, h, w)"""
        return self.conv_seg(F.dropout2d(x, self.dropout, training=self.training))


class UperHead(_Classifier):
    """Pyramid pooling on the last map, the others joined to it from the smallest to the largest, all read together."""

    def __init__(self, in_channels: Sequence[int], channels: int, rows: int, dropout: float):
        super().__init__(channels, rows, dropout)
        *lower, top = in_channels
        self.psp_modules = nn.LayerList(
            nn.Sequential(Pool(cells), ConvNorm(top, channels, 1)) for cells in POOLED)
        self.bottleneck = ConvNorm(top + len(POOLED) * channels, channels, 3)
        self.lateral_convs = nn.LayerList(ConvNorm(width, channels, 1) for width in lower)
        self.fpn_convs = nn.LayerList(ConvNorm(channels, channels, 3) for _ in lower)
        self.fpn_bottleneck = ConvNorm(len(in_channels) * channels, channels, 3)

    def forward(self, pyramid: Sequence[paddle.Tensor]) -> paddle.Tensor:
        """Logits (B, rows, h, w) of the size of the pyramid's first map."""
        *lower, top = pyramid
        pooled = [resized(pool(top), top.shape[2:]) for pool in self.psp_modules]
        joined = [self.bottleneck(paddle.concat([top, *pooled], axis=1))]
        for lateral, x in zip(reversed(self.lateral_convs), reversed(lower)):
            joined.append(lateral(x) + resized(joined[-1], x.shape[2:]))
        top, *others = joined
        others = [smooth(x) for smooth, x in zip(self.fpn_convs, reversed(others))]
        hw = others[0].shape[2:]
        read = paddle.concat([others[0], *(resized(x, hw) for x in [*others[1:], top])], axis=1)
        return self.classified(self.fpn_bottleneck(read))


class FcnHead(_Classifier):
    """One convolution and a classifier; it teaches the layers below and is not asked in evaluation."""

    def __init__(self, in_channels: int, channels: int, rows: int, dropout: float):
        super().__init__(channels, rows, dropout)
        self.convs = nn.Sequential(ConvNorm(in_channels, channels, 3))

    def forward(self, pyramid: Sequence[paddle.Tensor]) -> paddle.Tensor:
        """Logits (B, rows, h, w) of the size of its map of the pyramid."""
        return self.classified(self.convs(pyramid[AUXILIARY_LEVEL]))
