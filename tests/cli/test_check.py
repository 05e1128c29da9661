"""``pidward check`` looks at this machine too."""

import json
from pathlib import Path

from tests.cli.run import pidward


def test_what_is_missing_here_is_a_warning_and_with_strict_a_mistake(tmp_path: Path) -> None:
    file = tmp_path / "pidward.toml"
    file.write_text('[service.web]\ncommand = ["/no/such/program"]\n')
    ended = pidward("check", str(file))
    assert ended.status == 0
    assert f"{file}:2:11: warning: service.web.command: /no/such/program does not exist" in ended.err
    ended = pidward("check", "--json", str(file))
    assert json.loads(ended.out)["warnings"] == [{
        "file": str(file), "line": 2, "column": 11,
        "key": "service.web.command", "message": "/no/such/program does not exist",
    }]  # fmt: skip
    ended = pidward("check", "--strict", str(file))
    assert ended.status == 2
    assert "--strict" in ended.err
    file.write_text('[service.web]\ncommand = ["/bin/true"]\n')
    ended = pidward("check", "--strict", str(file))
    assert (ended.status, ended.err) == (0, "")
