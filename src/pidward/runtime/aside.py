"""``kernel.aside`` for those who may not use the kernel room themselves."""

from pidward.kernel.aside import Aside

__all__ = ["Aside"]
