"""SPEAKS: the varlink wire, the control socket, and the small client of it."""
