"""PaddleViT's `config`: how a configuration is had there."""
from ppim.config import get_config

__all__ = ["get_config"]
