"""What all measurements share: timing, the process tree of a peer, rows of results."""
