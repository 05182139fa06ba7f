"""PyTorch's side of training_step_vs_pytorch.py: timm's DeiT, and LV-ViT of timm's blocks. Needs torch and timm."""
from __future__ import annotations

from functools import partial

import timm
import torch
import torch.nn.functional as F
from timm.models.vision_transformer import Block
from torch import nn


class Stem(nn.Module):
    """LV-ViT's three convolutions and the projection."""

    def __init__(self, channels: int, dim: int, patch: int):
        super().__init__()
        self.conv1 = nn.Conv2d(3, channels, 7, stride=2, padding=3, bias=False)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.conv3 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn1, self.bn2, self.bn3 = (nn.BatchNorm2d(channels) for _ in range(3))
        self.proj = nn.Conv2d(channels, dim, patch // 2, stride=patch // 2)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)), inplace=True)
        x = F.relu(self.bn2(self.conv2(x)), inplace=True)
        x = F.relu(self.bn3(self.conv3(x)), inplace=True)
        return self.proj(x).flatten(2).transpose(1, 2)


class LVViT(nn.Module):
    """LV-ViT, which timm lacks. Its branches are divided by `skip_lam`; timm's are not, so the last weights of each
    branch are, when a state is loaded: the same values for the same work."""

    def __init__(self, *, classes, channels, dim, patch, tokens, depth, heads, mlp_ratio, skip_lam):
        super().__init__()
        self.skip_lam = skip_lam
        self.patch_embed = Stem(channels, dim, patch)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + tokens, dim))
        norm = partial(nn.LayerNorm, eps=1e-5)
        self.blocks = nn.ModuleList(
            Block(dim, heads, mlp_ratio=mlp_ratio, qkv_bias=False, norm_layer=norm) for _ in range(depth)
        )
        self.norm = norm(dim)
        self.head, self.aux_head = nn.Linear(dim, classes), nn.Linear(dim, classes)

    def load_state_dict(self, state, strict=True):
        ends = ("attn.proj.weight", "attn.proj.bias", "mlp.fc2.weight", "mlp.fc2.bias")
        divided = {name: value / self.skip_lam if name.endswith(ends) else value for name, value in state.items()}
        return super().load_state_dict(divided, strict)

    def tokens(self, x):
        """Logits of classes (B, K) and of tokens (B, N, K)."""
        x = self.patch_embed(x)
        x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], dim=1) + self.pos_embed
        for block in self.blocks:
            x = block(x)
        x = self.norm(x)
        return self.head(x[:, 0]), self.aux_head(x[:, 1:])

    def forward(self, x):
        classes, tokens = self.tokens(x)
        return classes + 0.5 * tokens.amax(1)


def build(name: str, sizes: dict) -> nn.Module:
    """The twin of our model `name`; `sizes` as LVViT wants them."""
    if name.startswith("lvvit"):
        return LVViT(**sizes)
    return timm.create_model(f"{name}_patch16_224", num_classes=sizes["classes"])


class Contestant:
    """A model in training, with the weights of ours.

    Attributes:
        difference: the largest between its logits and ours.
    """

    def __init__(self, name: str, sizes: dict, arrays: dict, threads: int):
        torch.set_num_threads(threads)
        self.model = build(name, sizes)
        state = {key[6:]: torch.from_numpy(value) for key, value in arrays.items() if key.startswith("state/")}
        self.model.load_state_dict(state)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-6, weight_decay=0.05, fused=True)
        self.images, self.labels = torch.from_numpy(arrays["images"]), torch.from_numpy(arrays["labels"])
        self.version = f"PyTorch {torch.__version__}, timm {timm.__version__}"
        self.model.eval()
        with torch.no_grad():
            self.difference = float((self.model(self.images) - torch.from_numpy(arrays["logits"])).abs().max())

    def forward(self) -> None:
        self.model.eval()
        with torch.inference_mode():
            self.model(self.images)

    def step(self) -> None:
        self.model.train()
        if isinstance(self.model, LVViT):
            classes, tokens = self.model.tokens(self.images)
            loss = F.cross_entropy(classes, self.labels)
            loss = loss + F.cross_entropy(tokens.flatten(0, 1), self.labels.repeat_interleave(tokens.shape[1]))
        else:
            loss = F.cross_entropy(self.model(self.images), self.labels)
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()
        loss.item()
