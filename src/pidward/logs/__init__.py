"""The way of a worker's output: spool file, pump, rotated log file, reader.

A worker appends its stdout and stderr to spool files that it opens itself, so it never waits for anybody and needs
nobody alive. One pump process moves the bytes into the files that people read, and punches holes into the spools
behind itself. What it has done is in an index file of each stream, written after the data, so that a pump killed at any
moment is followed by one that goes on exactly there.

``layout``, ``index``, ``mover``, ``pump`` and ``__main__`` make up the pump. They import as little as they can: typing,
dataclasses, enum and re would double the memory of that process.
"""
