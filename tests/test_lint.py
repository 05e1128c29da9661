"""The rules that keep bare process numbers out of the source and the rooms apart are in force, and they bite."""

import ast
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "src" / "pidward"

# Where one of them may be used, in files under src/pidward. Each such line says `noqa: TID251` and why.
ALLOWED = {
    # asyncio's own Popen is what the watcher makes safe
    "asyncio": {"library/asynchronous.py", "library/supervisor_asynchronous.py", "library/watcher.py"},
    "subprocess": {"library/watcher.py"},
    "ctypes": {"kernel/abi.py", "kernel/pyshim.py", "demo/workers/buggy.py"},  # the last is a program with a bug
    "os.fork": {
        "kernel/aside.py",
        "kernel/features.py",
        "kernel/trials.py",
        "demo/workers/daemons.py",
    },  # trials may kill who makes them
    "os.pidfd_open": {"kernel/pidfd.py", "kernel/pyshim.py", "cli/resident.py"},  # of itself; only to compare
    "os.posix_spawn": {"kernel/spawn_python.py", "kernel/helper.py"},
    "os.waitpid": {"demo/workers/daemons.py"},
    "signal.pidfd_send_signal": {"kernel/pidfd.py"},
}
MISBEHAVING = "demo/workers/*.py"  # programs that the demo supervises: what they do wrong is their purpose
BANNED = [
    *["os.kill(1, 9)", "os.killpg(1, 9)", "signal.pthread_kill(1, 9)"],
    *["os.wait()", "os.wait3(0)", "os.wait4(1, 0)", "os.waitpid(1, 0)", "os.waitid(0, 1, 4)"],
    *["os.pidfd_open(1)", "signal.pidfd_send_signal(3, 9)"],
    *["os.fork()", "os.posix_spawn('', [], {})", "os.posix_spawnp('', [], {})", "os.system('')", "os.popen('')"],
    *["subprocess.run([])", "subprocess.Popen.kill(x)", "subprocess.Popen.terminate(x)"],
    *["subprocess.Popen.send_signal(x, 9)", "multiprocessing.Process()"],
    *["asyncio.create_subprocess_exec('')", "asyncio.create_subprocess_shell('')"],
    *["logging.info('')", "socketserver.TCPServer", "http.server", "urllib.request"],
    *["ctypes.CDLL(None)", "random.random()"],
    *["time.time()", "time.time_ns()", "time.sleep(1)", "datetime.datetime.now()", "os.times()"],
]
ALIASED = [
    "from os import kill",
    "from os import waitpid as reap",
    "import subprocess as s",
    "from time import time",
    "from asyncio import run",
]


def bans_in(*what: str, source: str | None = None) -> list[tuple[str, str]]:
    """File and name of everything ruff finds banned, whatever a `noqa` says."""
    command = [sys.executable, "-m", "ruff", "check", "--no-cache", "--ignore-noqa", "--select=TID251"]
    found = subprocess.run(
        [*command, "--output-format=json", *what], cwd=ROOT, input=source, capture_output=True, text=True, check=False
    )
    assert found.returncode in {0, 1}, found.stderr
    return [(entry["filename"], entry["message"].split("`")[1]) for entry in json.loads(found.stdout)]


@pytest.mark.parametrize("use", BANNED)
def test_each_ban_bites(use: str) -> None:
    module = use.split(".", maxsplit=1)[0]
    source = f"import {module}\n\nx = None\n{use}\n"
    assert bans_in("--stdin-filename=src/pidward/runtime/snippet.py", "-", source=source)


@pytest.mark.parametrize("line", ALIASED)
def test_another_name_does_not_help(line: str) -> None:
    assert bans_in("--stdin-filename=src/pidward/runtime/snippet.py", "-", source=line + "\n")


def test_what_is_not_banned_is_not_found() -> None:
    assert not bans_in("--stdin-filename=src/pidward/x.py", "-", source="import os\n\nos.getpid()\n")


def test_exceptions_are_where_they_may_be() -> None:
    astray = [
        (str(Path(file).relative_to(PACKAGE)), name)
        for file, name in bans_in("src")
        if not any(Path(file).relative_to(PACKAGE).match(place) for place in (*ALLOWED.get(name, ()), MISBEHAVING))
    ]
    assert astray == []


def test_the_source_imports_nothing_from_others() -> None:
    foreign = set()
    for file in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
            foreign |= {name for name in names if name.split(".")[0] not in sys.stdlib_module_names | {"pidward"}}
    assert foreign == set()


def lint_imports(root: Path) -> "subprocess.CompletedProcess[str]":
    """Run import-linter on a tree."""
    code = "import sys; sys.path.insert(0, 'src'); from importlinter.cli import lint_imports_command as run; run()"
    command = [sys.executable, "-c", code, "--no-cache", "--no-logo", "--config", "pyproject.toml"]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    "file, line, contract",
    [
        ("core/units.py", "import os", "core uses nothing"),
        ("core/units.py", "import time", "core uses nothing"),
        ("core/units.py", "import pidward.kernel.clock", "core uses nothing"),
        ("kernel/clock.py", "import pidward.runtime.loop", "kernel uses core's types only"),
        ("config/__init__.py", "import pidward.kernel.clock", "config uses core only"),
        ("store/__init__.py", "import pidward.kernel.clock", "store uses core's types only"),
        ("logs/__init__.py", "import pidward.runtime.loop", "logs uses core's types and kernel only"),
        ("runtime/loop.py", "import pidward.cli", "runtime uses core, kernel, store and logs only"),
        ("control/__init__.py", "import pidward.kernel.clock", "control uses core, runtime and config only"),
        ("testing/__init__.py", "import pidward.cli", "testing uses all but cli"),
        ("runtime/loop.py", "import pidward.demo", "only cli starts the demo"),
        ("library/home.py", "import pidward.store", "library uses core, kernel and runtime"),
        ("cli/table.py", "import pidward.library", "nothing uses the library but other programs"),
    ],
)
def test_a_room_cannot_use_what_it_may_not(tmp_path: Path, file: str, line: str, contract: str) -> None:
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    shutil.copytree(PACKAGE, tmp_path / "src" / "pidward", ignore=shutil.ignore_patterns("__pycache__"))
    with (tmp_path / "src" / "pidward" / file).open("a") as source:
        source.write(f"\n{line}\n")
    checked = lint_imports(tmp_path)
    assert checked.returncode == 1, checked.stdout + checked.stderr
    broken = [text for text in checked.stdout.splitlines() if text.endswith("BROKEN")]
    assert any(text.startswith(contract) for text in broken), checked.stdout
