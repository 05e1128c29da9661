"""The pump as a program: ``python -I -S .../pidward/logs SPOOL_DIR`` with the control socket as descriptor 0."""

import os
import sys

# Run as a directory, with neither site nor environment, to be small: only we know where the package is.
sys.path[0] = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from pidward.logs.pump import main  # noqa: E402

main(sys.argv[1])
