"""The package can be built with and without a compiler, and says which it was."""

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from pidward import __version__

ROOT = Path(__file__).parent.parent


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """The source as a fresh clone has it."""
    copy = tmp_path / "tree"
    ignored = shutil.ignore_patterns("__pycache__", "*.so", "shim", "*.egg-info")
    for folder in ("src", "native", "tests", "docs", "requirements", "tools", ".ci"):
        shutil.copytree(ROOT / folder, copy / folder, ignore=ignored)
    for file in ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE", "Makefile"):
        shutil.copy(ROOT / file, copy)
    return copy


def build(tree: Path, kind: str, **environment: str) -> tuple[Path, str]:
    """Run the build back end; what it made and what it said."""
    done = subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", kind, "--outdir", tree.parent / "dist", tree],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (made,) = (tree.parent / "dist").iterdir()
    return made, done.stdout + done.stderr


def run_installed(wheel: Path, site: Path, code: str) -> str:
    """Unpack a wheel and run code that sees nothing but it and the standard library."""
    with zipfile.ZipFile(wheel) as archive:
        for entry in archive.infolist():
            Path(archive.extract(entry, site)).chmod(entry.external_attr >> 16)  # as installers do
    command = [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.insert(0, {str(site)!r}); {code}"]
    return subprocess.run(command, capture_output=True, text=True, check=True, cwd=site).stdout.strip()


IS_NATIVE = "from pidward.kernel.spawn import native_is_built; import pidward.cli; print(native_is_built())"


def test_without_a_compiler_it_builds_warns_once_and_works(tree: Path) -> None:
    # What an earlier build left behind must not pass for this one's.
    for leftover in ("build/lib/pidward/native/shim", "src/pidward/native/shim", "src/pidward/kernel/_spawn.abi3.so"):
        (tree / leftover).parent.mkdir(parents=True, exist_ok=True)
        (tree / leftover).write_bytes(b"old")
    wheel, said = build(tree, "--wheel", PIDWARD_CC="/bin/false")
    assert wheel.name == f"pidward-{__version__}-py3-none-any.whl"
    assert said.count("pidward is built without its native spawner and shim") == 1
    names = zipfile.ZipFile(wheel).namelist()
    assert not [name for name in names if name.endswith(("shim", ".so"))]
    assert f"pidward-{__version__}.data/data/share/man/man1/pidward.1" in names
    assert run_installed(wheel, tree.parent / "site", IS_NATIVE) == "False"


@pytest.mark.skipif(not any(map(shutil.which, ("cc", "gcc", "clang"))), reason="no C compiler")
def test_with_a_compiler_one_wheel_serves_all_versions(tree: Path) -> None:
    wheel, said = build(tree, "--wheel")
    assert "-cp311-abi3-linux_" in wheel.name
    assert "warning: pidward" not in said
    assert run_installed(wheel, tree.parent / "site", f"{IS_NATIVE}; import pidward.kernel._spawn") == "True"


def test_the_source_distribution_has_what_a_build_and_a_test_need(tree: Path) -> None:
    archive, _ = build(tree, "--sdist")
    with tarfile.open(archive) as files:
        names = {name.partition("/")[2] for name in files.getnames()}
    assert {"native/spawn.c", "native/shim.c", "tests/test_packaging.py", "Makefile", "tools/setup.sh"} <= names
    assert {"native/" + header.name for header in (ROOT / "native").glob("*.h")} <= names
    assert not [name for name in names if name.endswith((".so", "native/shim", ".pyc"))]


def test_locks_name_no_registry() -> None:
    assert not [lock.name for lock in (ROOT / "requirements").iterdir() if "://" in lock.read_text()]
