"""Attributes of processes and other keys of a service: what each way of writing one becomes."""

import os
from typing import Any

import pytest

from pidward.config.load import parse
from pidward.core.spec import (
    Essential,
    IoPriority,
    LogAlso,
    LogFormat,
    LogMode,
    LogPolicy,
    Overlap,
    ReloadPolicy,
    Resources,
    RestartWhen,
    Schedule,
    Scheduler,
    Security,
    ServiceSpec,
    ServiceType,
)
from pidward.core.units import Bytes, Seconds


def service(keys: str, before: str = "") -> ServiceSpec:
    [spec] = parse(f"{before}\n[service.web]\ncommand = 'x'\n{keys}", "f").services
    return spec


@pytest.mark.parametrize(
    "written, field, value",
    [
        ("cpu_affinity = '0-2, 8,1'", "cpu_affinity", (0, 1, 2, 8)),
        ("cpu_affinity = [3, 0, 3]", "cpu_affinity", (0, 3)),
        ("cpu_affinity = 5", "cpu_affinity", (5,)),
        ("io_priority = 'idle'", "io_priority", IoPriority("idle")),
        ("io_priority = 'best-effort'", "io_priority", IoPriority("best-effort", 4)),
        ("io_priority = 'realtime:0'", "io_priority", IoPriority("realtime", 0)),
        ("io_priority = { kind = 'best-effort', level = 7 }", "io_priority", IoPriority("best-effort", 7)),
        ("scheduler = 'batch'", "scheduler", Scheduler("batch")),
        ("scheduler = 'fifo:99'", "scheduler", Scheduler("fifo", 99)),
        ("scheduler = { policy = 'rr', priority = 1 }", "scheduler", Scheduler("rr", 1)),
        ("security.no_new_privileges = true", "security", Security(True)),
        ("security.capabilities = []", "security", Security(capabilities=())),
        (
            "security = { capabilities = ['CAP_NET_RAW', 'kill', 'KILL'], ambient = ['Net_Raw'] }",
            "security",
            Security(capabilities=("net_raw", "kill"), ambient=("net_raw",)),
        ),
        ("optional = ['nice', 'resources']", "optional", ("nice", "resources")),
        ("optional = 'nice'", "optional", ("nice",)),
        ("stdin = '/in.%i'", "stdin", "/in.%i"),
    ],
)
def test_what_is_fixed_when_a_process_starts(written: str, field: str, value: object) -> None:
    assert getattr(service(written).execution, field) == value


@pytest.mark.parametrize(
    "written, field, value",
    [
        ("reload = 'HUP'", "reload", ReloadPolicy(1)),
        ("reload = { signal = 'SIGUSR1' }", "reload", ReloadPolicy(10)),
        ("reload.command = 'nginx -s reload'", "reload", ReloadPolicy(None, ("nginx", "-s", "reload"))),
        ("resources.memory_max = '512MiB'", "resources", Resources(memory_max=Bytes(2**29))),
        ("resources.memory_max = 'infinity'", "resources", Resources(memory_max=Bytes(-1))),
        ("resources.memory_swap_max = 0", "resources", Resources(memory_swap_max=Bytes(0))),
        ("resources.pids_max = 'infinity'", "resources", Resources(pids_max=-1)),
        ("resources.pids_max = 5", "resources", Resources(pids_max=5)),
        ("resources.cpu_max = '50%'", "resources", Resources(cpu_max=0.5)),
        ("resources.cpu_max = '250 %'", "resources", Resources(cpu_max=2.5)),
        ("resources.cpu_max = '1.5'", "resources", Resources(cpu_max=1.5)),
        ("resources.cpu_max = 2", "resources", Resources(cpu_max=2.0)),
        ("resources.cpu_max = 'infinity'", "resources", Resources(cpu_max=-1)),
        ("resources = { cpu_weight = 1, io_weight = 10000 }", "resources", Resources(cpu_weight=1, io_weight=10000)),
        ("essential = true", "essential", Essential.ALWAYS),
        ("essential = false", "essential", Essential.NO),
        ("essential = 'on-failure'", "essential", Essential.ON_FAILURE),
        ("essential = 'always'", "essential", Essential.ALWAYS),
        ("watchdog = '30s'", "watchdog", 30.0),
        ("fd_store = 16", "fd_store", 16),
        ("rolling = 2", "rolling", 2),
        ("type = 'forking'\npid_file = '/run/x'", "pid_file", "/run/x"),
        ("type = 'forking'\nnotify = true", "type", ServiceType.FORKING),
        (
            "logs = { mode='stream', max_age = '1d', compress=true, format = 'json', also = ['syslog', 'journal'] }",
            "logs",
            LogPolicy(
                LogMode.STREAM,
                max_age=Seconds(86400.0),
                compress=True,
                format=LogFormat.JSON,
                also=(LogAlso.SYSLOG, LogAlso.JOURNAL),
            ),
        ),
        ("logs.also = 'journal'", "logs", LogPolicy(also=(LogAlso.JOURNAL,))),
    ],
)
def test_what_is_not(written: str, field: str, value: object) -> None:
    assert getattr(service(written), field) == value


def test_memory_in_percent_is_of_the_machines() -> None:
    whole = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    most = service("resources.memory_max = '50%'").resources.memory_max
    assert most is not None
    assert abs(most - whole / 2) <= os.sysconf("SC_PAGE_SIZE")


ONESHOT = "type = 'oneshot'\n"


@pytest.mark.parametrize(
    "written, schedule",
    [
        ("{ every = '5min' }", Schedule(every=Seconds(300.0))),
        ("{ cron = '*/5 * * * mon-fri' }", Schedule(cron="*/5 * * * mon-fri")),
        ("{ cron = '@daily', overlap = 'queue' }", Schedule(cron="@daily", overlap=Overlap.QUEUE)),
    ],
)
def test_schedules(written: str, schedule: Schedule) -> None:
    assert service(f"{ONESHOT}schedule = {written}").schedule == schedule


def test_what_the_defaults_say_of_schedules_schedules_nobody() -> None:
    defaults = "[defaults]\nschedule = { overlap = 'replace' }"
    assert service("", defaults).schedule is None
    assert service(f"{ONESHOT}schedule.every = 5", defaults).schedule == Schedule(Seconds(5.0), None, Overlap.REPLACE)


def test_a_oneshot_is_not_restarted_unless_it_says_so() -> None:
    assert service(ONESHOT).restart.policy is RestartWhen.NEVER
    assert service(ONESHOT + "restart = { burst = 3 }").restart[:1] == (RestartWhen.NEVER,)
    assert service(ONESHOT + "restart = 'on-failure'").restart.policy is RestartWhen.ON_FAILURE
    assert service(ONESHOT, "[defaults]\nrestart = 'on-failure'").restart.policy is RestartWhen.ON_FAILURE
    assert service("").restart.policy is RestartWhen.ALWAYS


def places(spec: Any) -> dict[str, str]:
    return dict(spec.origins)


def test_messages_can_name_the_place_of_a_key() -> None:
    text = """
[defaults]
user = "www"
limits = { core = 0 }
[service.a]
command = "x"
limits.nofile = 5
[service.b]
command = "x"
working_dir = "/"
nice = 5
"""
    a, b = parse(text, "f").services
    assert places(a) == {"user": "f:3:8", "limits": "f:7:1"}
    assert places(b) == {"user": "f:3:8", "limits": "f:4:10", "nice": "f:11:8", "working_dir": "f:10:15"}
    assert places(a)["user"] is places(b)["user"]  # kept once, however many services
