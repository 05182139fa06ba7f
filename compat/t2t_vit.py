"""PaddleViT's `t2t_vit`: how a T2T-ViT is built there."""
from ppim.models.t2t_vit import build_t2t_vit

__all__ = ["build_t2t_vit"]
