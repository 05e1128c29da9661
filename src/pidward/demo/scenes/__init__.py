"""The scenes, in the order in which they are played."""

from pidward.demo.scenes import crash, daemons, gunicorn, nginx, redis, reuse, stubborn, typo
from pidward.demo.scenes.scene import Scene

SCENES: tuple[Scene, ...] = tuple(
    module.SCENE for module in (gunicorn, redis, nginx, crash, daemons, stubborn, typo, reuse)
)
