"""``python -m pidward``."""

import sys

from pidward.cli import main

sys.exit(main())
