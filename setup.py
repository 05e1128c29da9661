"""Builds the native part: the spawner (an extension), the shim and the demo's stopwatch (static programs).

All are optional. Without a compiler the package still builds, says so once, and pidward starts processes on its
pure-Python rung; ``pidward doctor`` tells what that costs. The compiler is ``$PIDWARD_CC`` if set, else the first of
cc, gcc, clang and ``python -m ziglang cc`` that builds the file.
"""

import importlib.util
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext

LIMITED_API = "0x030b0000"  # one binary for 3.11 and all later
STABLE_ABI = not sysconfig.get_config_var("Py_GIL_DISABLED")  # free-threaded Python has no stable ABI yet
COMMON = ["-O2", "-std=gnu11", "-Wall", "-Wextra"]
FREESTANDING = ["-static", "-nostdlib", "-ffreestanding", "-fno-pie", "-no-pie", "-fno-stack-protector", "-s"]

# The extension carries no compile options of its own: it names the module, the source and the tag of the file.
SPAWN = Extension("pidward.kernel._spawn", ["native/spawn.c"], py_limited_api=STABLE_ABI, optional=True)
PROGRAMS = {"shim": "native/shim.c", "first": "native/first.c"}


def compilers() -> list[list[str]]:
    """The commands to try, in order."""
    chosen = os.environ.get("PIDWARD_CC")
    if chosen:
        return [shlex.split(chosen)]
    found = [[path] for name in ("cc", "gcc", "clang") if (path := shutil.which(name))]
    if importlib.util.find_spec("ziglang"):
        found.append([sys.executable, "-m", "ziglang", "cc"])
    return found


def compile_file(source: str, target: Path, flags: list[str]) -> str:
    """Build ``target`` with the first compiler that can; returns "" or why none could."""
    target.parent.mkdir(parents=True, exist_ok=True)
    made = target.with_name(target.name + ".new")
    why = "no C compiler found (looked for $PIDWARD_CC, cc, gcc, clang and the PyPI package ziglang)"
    for compiler in compilers():
        command = [*compiler, *COMMON, *flags, source, "-o", str(made)]
        print(shlex.join(command))
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except OSError as error:
            why = f"{compiler[0]}: {error.strerror}"
            continue
        if done.returncode == 0:
            print(done.stderr, end="")
            made.replace(target)  # at once: others may be running the old one
            return ""
        why = f"{shlex.join(compiler)} failed with status {done.returncode}: {done.stderr.strip()[-600:]}"
    target.unlink(missing_ok=True)  # a file left by an earlier build must not pass for this one's
    return why


class BuildNative(build_ext):
    """Builds all files with plain compiler commands, so that any C compiler will do."""

    def build_extensions(self) -> None:
        """Build what can be built and say once what could not."""
        failures = {
            "spawner": self.build_spawner(),
            "shim": self.build_program("shim"),
        }
        self.build_program("first")  # for the demo alone, which does without; where the shim builds, this does
        failures = {what: why for what, why in failures.items() if why}
        if failures:
            reasons = "".join(f"\n  {what}: {why}" for what, why in failures.items())
            print(
                f"warning: pidward is built without its native {' and '.join(failures)}.{reasons}\n"
                "  It works, on the pure-Python rung: `pidward doctor` tells what that costs.",
                file=sys.stderr,
            )

    def build_spawner(self) -> str:
        """Build the extension where setuptools expects it."""
        flags = ["-shared", "-fPIC", "-I" + sysconfig.get_path("include")]
        if STABLE_ABI:
            flags.append("-DPy_LIMITED_API=" + LIMITED_API)
        return compile_file(SPAWN.sources[0], Path(self.get_ext_fullpath(SPAWN.name)), flags)

    def build_program(self, name: str) -> str:
        """Build a static program beside the package, in the source tree for an editable install."""
        package = Path("src/pidward") if self.editable_mode else Path(self.build_lib, "pidward")
        return compile_file(PROGRAMS[name], package / "native" / name, FREESTANDING)

    def built(self) -> list[Path]:
        """What is there now, for the tag of the wheel."""
        programs = [Path(self.build_lib, "pidward/native", name) for name in PROGRAMS]
        files = [Path(self.get_ext_fullpath(SPAWN.name)), *programs]
        return [file for file in files if file.exists()]


class Wheel(bdist_wheel):
    """Names the wheel after what was really built."""

    def get_tag(self) -> tuple[str, str, str]:
        """cp311-abi3 with the extension, py3-none-PLATFORM with programs alone, py3-none-any with neither."""
        files = [file.name for file in self.get_finalized_command("build_ext").built()]
        python, abi, platform = super().get_tag()
        if not files:
            return "py3", "none", "any"
        if set(files) <= PROGRAMS.keys():
            return "py3", "none", platform
        return ("cp311", "abi3", platform) if STABLE_ABI else (python, abi, platform)


setup(ext_modules=[SPAWN], cmdclass={"build_ext": BuildNative, "bdist_wheel": Wheel})
