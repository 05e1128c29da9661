"""``pidward schema``: the JSON Schema of the configuration, for editors."""

import json
from argparse import ArgumentParser
from typing import Any

from pidward.cli.failure import OK
from pidward.cli.here import Here
from pidward.config.jsonschema import json_schema


def options(parser: ArgumentParser) -> None:
    """Add nothing."""
    parser.epilog = (
        "pidward schema > pidward.schema.json\n"
        'and, as the first line of pidward.toml, "#:schema ./pidward.schema.json" for Taplo and Even Better TOML'
    )


def run(_here: Here, _given: Any) -> int:
    """Print it."""
    print(json.dumps(json_schema(), indent=2, ensure_ascii=False))
    return OK
