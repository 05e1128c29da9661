"""What pidward does to the system: one file per kernel facility.

No policy, no log, no state of its own but the C library's functions. Every process is named by a ``Pidfd``; a pid is
what the kernel's files print, and counts only after a pidfd has confirmed it.
"""
