"""SHOWS WHAT IT IS FOR: real programs are supervised, broken one after the other, and seen to recover.

A ``scene`` says what is broken and looks at the facts afterwards; the ``stage`` is the supervisor that it is played
on, a real ``pidward up`` in directories of its own; the ``story`` is what happened; the ``narrator`` tells it.
"""
