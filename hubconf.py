"""Entry points of Paddle's hub: paddle.hub.load('path/to/this/repository', 'lvvit_s', source='local')."""
from ppim.zoo.hub import *  # noqa: F403

dependencies = ["paddle", "numpy", "PIL", "safetensors"]
