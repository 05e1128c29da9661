"""The command ``schema``."""

import json

from pidward.config.jsonschema import json_schema
from tests.cli.run import pidward


def test_the_schema_is_printed() -> None:
    for words in ((), ("--json",)):
        ended = pidward("schema", *words)
        assert (ended.status, ended.err) == (0, "")
        assert json.loads(ended.out) == json_schema()


def test_help_says_what_to_do_with_it() -> None:
    assert '"#:schema ./pidward.schema.json"' in pidward("schema", "--help").out
