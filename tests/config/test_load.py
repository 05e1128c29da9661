"""What a valid file becomes, and files that are no good as files."""

import os
import time
from pathlib import Path

import pytest

from pidward.config.errors import ConfigError
from pidward.config.files import MAX_FILE
from pidward.config.load import load, parse
from pidward.core.spec import (
    Execution,
    Exhausted,
    Limit,
    LogMode,
    LogPolicy,
    Probe,
    ProbeKind,
    RestartPolicy,
    RestartWhen,
    ServiceSpec,
    Settings,
    StopPolicy,
    Tree,
)
from pidward.core.units import Bytes, Seconds


def service(keys: str, before: str = "") -> ServiceSpec:
    [spec] = parse(f"{before}\n[service.web]\n{keys}", "f").services
    return spec


def test_defaults_are_those_of_the_core() -> None:
    configuration = parse("[service.web]\ncommand = ['x']", "f")
    assert configuration.services == (ServiceSpec("web", Execution(("x",)), origin="f:2:11"),)
    assert configuration.settings == Settings()
    assert configuration.path == "f"


def test_an_empty_file_is_a_configuration() -> None:
    assert parse("", "f").services == ()


def test_every_key() -> None:
    configuration = parse(
        """
        [pidward]
        state_dir = "/s"
        runtime_dir = "/r"
        history = "1h"
        history_max = 7
        [service.web]
        command = ["x", "%i", "100%%"]
        workers = 0
        working_dir = "/srv/%i"
        umask = "027"
        user = "www"
        group = 33
        supplementary_groups = ["a", 1]
        env = { A = "%i", B = 2, "C.D" = "" }
        clear_env = true
        stdin = "/in"
        nice = -5
        oom_score_adj = 1000
        autostart = false
        ready.after = "1s"
        [service.web.restart]
        policy = "on-failure"
        delay = "1s"
        max_delay = 2
        factor = 3
        jitter = "0%"
        reset_after = "1min"
        burst = 0
        window = "5s"
        then = "stop-all"
        success_codes = [0, "SIGTERM", "int"]
        never_on = [78]
        always_on = ["SIGRTMIN+1"]
        [service.web.stop]
        signal = "KILL"
        grace = 0
        tree = "leave"
        [service.web.limits]
        nofile = [10, "infinity"]
        core = "infinity"
        as = "1MiB"
        nproc = 0
        [service.web.logs]
        mode = "none"
        dir = "/l"
        max_size = "2kB"
        keep = 0
        spool_limit = "1MiB"
        """,
        "f",
    )
    assert configuration.settings == Settings("/s", "/r", Seconds(3600.0), 7)
    assert [spec._replace(origin="", origins=()) for spec in configuration.services] == [
        ServiceSpec(
            "web",
            Execution(
                command=("x", "%i", "100%%"),
                working_dir="/srv/%i",
                umask=0o027,
                user="www",
                group="33",
                supplementary_groups=("a", "1"),
                env=(("A", "%i"), ("B", "2"), ("C.D", "")),
                clear_env=True,
                stdin="/in",
                limits=(
                    Limit("as", 1 << 20, 1 << 20),
                    Limit("core", None, None),
                    Limit("nofile", 10, None),
                    Limit("nproc", 0, 0),
                ),
                nice=-5,
                oom_score_adj=1000,
            ),
            workers=0,
            ready=Probe(ProbeKind.AFTER, after=Seconds(1.0)),
            restart=RestartPolicy(
                RestartWhen.ON_FAILURE,
                Seconds(1.0),
                Seconds(2.0),
                3.0,
                0.0,
                Seconds(60.0),
                0,
                Seconds(5.0),
                Exhausted.STOP_ALL,
                frozenset({0, -15, -2}),
                frozenset({78}),
                frozenset({-35}),
            ),
            stop=StopPolicy(9, Seconds(0.0), Tree.LEAVE),
            logs=LogPolicy(LogMode.NONE, "/l", Bytes(2000), 0, spool_limit=Bytes(1 << 20)),
            autostart=False,
        ),
    ]


def test_services_keep_the_order_of_the_file() -> None:
    text = "".join(f"[service.{name}]\ncommand = 'x'\n" for name in ("z", "a", "m", "a-1", "9", "A_b"))
    assert [spec.name for spec in parse(text, "f").services] == ["z", "a", "m", "a-1", "9", "A_b"]


@pytest.mark.parametrize(
    "line, command",
    [
        ("'gunicorn app:api'", ("gunicorn", "app:api")),
        ("\"sh -c 'exit 3'\"", ("sh", "-c", "exit 3")),
        (r"""''' a "b c" d\ e '''""", ("a", "b c", "d e")),
        ("'a $HOME *.txt # c | d'", ("a", "$HOME", "*.txt", "#", "c", "|", "d")),
        ('"""\n  a\n  b\n"""', ("a", "b")),
        ("['a b', '']", ("a b", "")),
    ],
)
def test_a_command_is_split_as_by_a_shell_and_no_more(line: str, command: tuple[str, ...]) -> None:
    assert service(f"command = {line}").execution.command == command


@pytest.mark.parametrize("text", ["'022'", "'0022'", "0o22", "0o022"])
def test_the_ways_to_write_a_umask(text: str) -> None:
    assert service(f"command = 'x'\numask = {text}").execution.umask == 0o22


def test_a_umask_of_zero_needs_no_base() -> None:
    assert service("command = 'x'\numask = 0").execution.umask == 0


def test_tables_meet_the_defaults_key_by_key() -> None:
    defaults = """
        [defaults]
        workers = 3
        command = ["default"]
        supplementary_groups = ["a"]
        restart = { policy = "never", burst = 5 }
        stop = { grace = "1s", signal = "SIGINT" }
        logs = { keep = 3, dir = "/l" }
        limits = { nofile = 10, core = 0 }
        env = { A = "1", B = "1" }
        ready = { after = "9s" }
    """
    own = """
        supplementary_groups = ["b"]
        restart = { burst = 6 }
        stop = { grace = "2s" }
        logs = { keep = 4 }
        limits = { core = 1 }
        env = { B = "2", C = "2" }
        ready = {}
    """
    spec = service(own, defaults)
    assert spec.workers == 3
    assert spec.execution.command == ("default",)
    assert spec.execution.supplementary_groups == ("b",)
    assert (spec.restart.policy, spec.restart.burst) == (RestartWhen.NEVER, 6)
    assert (spec.stop.signal, spec.stop.grace) == (2, 2.0)
    assert (spec.logs.keep, spec.logs.dir) == (4, "/l")
    assert spec.execution.limits == (Limit("core", 1, 1), Limit("nofile", 10, 10))
    assert spec.execution.env == (("A", "1"), ("B", "2"), ("C", "2"))
    assert spec.ready == Probe(ProbeKind.AFTER, after=Seconds(9.0))


def test_a_bare_policy_keeps_the_rest_of_the_defaults() -> None:
    spec = service("command = 'x'\nrestart = 'always'", "[defaults]\nrestart = { policy = 'never', burst = 5 }")
    assert (spec.restart.policy, spec.restart.burst) == (RestartWhen.ALWAYS, 5)
    spec = service("command = 'x'\nrestart.burst = 6", "[defaults]\nrestart = 'never'")
    assert (spec.restart.policy, spec.restart.burst) == (RestartWhen.NEVER, 6)


def test_the_origin_is_where_the_command_stands() -> None:
    assert service('command = ["gunicorn"]').origin == "f:3:11"
    assert service("", '[defaults]\n  command = "x"').origin == "f:2:13"


def test_a_thousand_services_load_quickly() -> None:
    text = "".join(
        f'[service.w{i}]\ncommand = ["a", "b"]\nrestart = {{ delay = "1s" }}\nenv.A = "1"\nlogs.keep = 3\n'
        for i in range(1000)
    )
    before = time.process_time()
    assert len(parse(text, "f").services) == 1000
    assert time.process_time() - before < 1.0  # 0.1 s where nobody disturbs


def refusal(path: str | Path) -> str:
    with pytest.raises(ConfigError) as caught:
        load(str(path))
    return str(caught.value)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "pidward.toml"
    path.write_text("[service.web]\ncommand = 'x'\n")
    path.chmod(0o644)
    return path


def test_a_file(file: Path) -> None:
    assert load(str(file)).services[0].origin == f"{file}:2:11"
    assert load(str(file)).path == str(file)


def test_a_byte_order_mark_and_crlf_are_harmless(file: Path) -> None:
    file.write_bytes(b"\xef\xbb\xbf[service.web]\r\ncommand = 'x'\r\n")
    assert load(str(file)).services[0].origin == f"{file}:2:11"


def test_no_file(tmp_path: Path) -> None:
    assert refusal(tmp_path / "no") == f"{tmp_path}/no: cannot be read: No such file or directory"
    assert refusal(tmp_path) == f"{tmp_path}: cannot be read: Is a directory"
    assert refusal("/dev/null") == "/dev/null: is not a regular file"
    assert refusal("a\0b").endswith("embedded null byte")


def test_a_fifo_without_a_writer_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    assert refusal(tmp_path / "fifo") == f"{tmp_path}/fifo: is not a regular file"


def test_not_utf8(file: Path) -> None:
    file.write_bytes("a = 1\n# ü".encode() + b"\xff\n")
    assert refusal(file) == f"{file}:2:4: is not UTF-8"


def test_too_large(file: Path) -> None:
    file.write_text("#" * MAX_FILE)
    assert load(str(file)).services == ()
    file.write_text("#" * (MAX_FILE + 1))
    assert refusal(file) == f"{file}: is larger than 4 MiB"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file(file: Path) -> None:
    file.chmod(0)
    assert refusal(file) == f"{file}: cannot be read: Permission denied"


def test_root_refuses_what_everybody_may_write(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.chmod(0o642)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert load(str(file)).services
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert refusal(file) == f"{file}: decides what runs as root, and everybody may write it; run chmod o-w {file}"
    file.chmod(0o664)
    assert load(str(file)).services
