"""From a spec to a plan: what one worker gets, and one sentence for whatever is wrong."""

import errno
import os
import pwd
import resource
from pathlib import Path

import pytest

from pidward.core.model import WorkerName
from pidward.core.spec import Execution, IoPriority, Limit, Scheduler, Security, ServiceSpec
from pidward.kernel.spawn import Failure, Ids, Plan
from pidward.runtime.attendant import Equipment
from pidward.runtime.plan import (
    NOT_INHERITED,
    Places,
    PlanError,
    expand,
    explain_failure,
    explain_refusal,
    find_program,
    make_plan,
)

PLACES = Places("main", "/spool/out", "/spool/err", None, (), False, (1024, 4096))
NAME = WorkerName("web", 3)


def spec(*command: str, **keys: object) -> ServiceSpec:
    execution = Execution(command=command or ("/bin/true",), **keys)  # type: ignore[arg-type]
    return ServiceSpec("web", execution, origin="pidward.toml:7:11")


def plan(*command: str, inherited: dict[str, str] | None = None, **keys: object) -> Plan:
    return make_plan(spec(*command, **keys), NAME, PLACES, {"PATH": "/bin"} if inherited is None else inherited)


def environment(of: Plan) -> dict[str, str]:
    return dict(entry.decode().split("=", 1) for entry in of.env)


# --- templates


@pytest.mark.parametrize(
    "template, expanded",
    [("plain", "plain"), ("800%i", "8003"), ("%i%i", "33"), ("100%%", "100%"), ("%%i", "%i"), ("%%%i", "%3"), ("", "")],
)
def test_the_number_is_put_in(template: str, expanded: str) -> None:
    assert expand(template, 3) == expanded


def test_where_the_number_is_put_in() -> None:
    made = plan("/bin/%i", "-p", "800%i", working_dir="/srv/%i", stdin="/in/%i", env=(("ID", "w%i"),))
    assert made.argv == (b"/bin/3", b"-p", b"8003")
    assert (made.cwd, made.stdin) == (b"/srv/3", b"/in/3")
    assert environment(made)["ID"] == "w3"


# --- programs


def test_a_program_is_found_on_the_path(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    for directory in (here, there):
        directory.mkdir()
    (here / "tool").write_text("")  # not executable
    (there / "tool").write_text("")
    (there / "tool").chmod(0o755)
    (here / "other").mkdir()
    path = f"{here}:{there}"
    assert find_program("tool", path) == str(there / "tool")
    assert find_program("other", path) == "other", "a directory is no program"
    assert find_program("/x/tool", path) == "/x/tool"
    assert find_program("./tool", path) == "./tool"


def test_the_path_is_the_workers_own(tmp_path: Path) -> None:
    (tmp_path / "tool").write_text("")
    (tmp_path / "tool").chmod(0o755)
    assert plan("tool", env=(("PATH", str(tmp_path)),)).path == os.fsencode(tmp_path / "tool")
    assert plan("tool").path == b"tool"


# --- environment


def test_the_environment_is_inherited_but_for_lies() -> None:
    inherited = {"LANG": "C", **dict.fromkeys(NOT_INHERITED, "old")}
    made = environment(plan(inherited=inherited, env=(("COLOUR", "red"),)))
    invocation = made.pop("INVOCATION_ID")
    assert made == {
        "LANG": "C", "PATH": os.defpath, "COLOUR": "red",
        "PIDWARD_SERVICE": "web", "PIDWARD_WORKER": "3", "PIDWARD_INSTANCE": "main",
    }  # fmt: skip
    assert invocation == "0" * 32


def test_the_working_directory_is_pwd_and_that_of_pidward_is_not() -> None:
    ours = {"PWD": "/root", "OLDPWD": "/"}
    assert {"PWD", "OLDPWD"}.isdisjoint(environment(plan(inherited=ours)))
    assert environment(plan(inherited=ours, working_dir="/srv/%i"))["PWD"] == "/srv/3"
    assert environment(plan(clear_env=True, working_dir="/srv"))["PWD"] == "/srv"
    assert environment(plan(working_dir="/srv", env=(("PWD", "/mine"),)))["PWD"] == "/mine"


def test_an_environment_of_its_own() -> None:
    made = environment(plan(inherited={"SECRET": "x"}, clear_env=True))
    assert "SECRET" not in made
    assert made["PATH"] == os.defpath


def test_what_pidward_says_cannot_be_overridden() -> None:
    made = environment(plan(env=(("PIDWARD_SERVICE", "other"), ("INVOCATION_ID", "mine"))))
    assert made["PIDWARD_SERVICE"] == "web"
    assert made["INVOCATION_ID"] == "0" * 32


def test_an_environment_that_is_not_utf8() -> None:
    odd = os.fsdecode(b"\xff\xfe")
    assert b"ODD=\xff\xfe" in plan(inherited={"ODD": odd}).env


# --- users


def test_a_user_brings_home_and_groups() -> None:
    nobody = pwd.getpwnam("nobody")
    made = plan(user="nobody", inherited={"HOME": "/root", "USER": "root"})
    env = environment(made)
    assert (env["HOME"], env["USER"], env["LOGNAME"]) == (nobody.pw_dir, "nobody", "nobody")
    assert env["SHELL"] == nobody.pw_shell
    assert made.ids == Ids(nobody.pw_uid, nobody.pw_gid, tuple(os.getgrouplist("nobody", nobody.pw_gid)))


def test_a_number_needs_no_entry() -> None:
    made = plan(user="54321", group="12345", supplementary_groups=("7", "8"))
    assert made.ids == Ids(54321, 12345, (7, 8))
    assert environment(made)["HOME"] == "/"


def test_without_a_user_nobody_changes() -> None:
    assert plan().ids is None
    assert plan(group="7").ids == Ids(os.geteuid(), 7, tuple(os.getgroups()))


@pytest.mark.parametrize(
    "keys, said",
    [
        ({"user": "no-such-user"}, "user 'no-such-user' does not exist; check service.web.user"),
        ({"group": "no-such-group"}, "group 'no-such-group' does not exist; check service.web.group"),
        (
            {"supplementary_groups": ("no-such-group",)},
            "group 'no-such-group' does not exist; check service.web.supplementary_groups",
        ),
        ({"user": "²"}, "user '²' does not exist; check service.web.user"),
        ({"group": "²"}, "group '²' does not exist; check service.web.group"),
    ],
)
def test_who_does_not_exist(keys: dict[str, object], said: str) -> None:
    with pytest.raises(PlanError) as caught:
        make_plan(spec(**keys), NAME, PLACES, {})
    assert str(caught.value) == said


# --- limits and places


def test_limits() -> None:
    made = plan(limits=(Limit("core", 0, None), Limit("nofile", 10, 20)))
    assert made.limits == ((resource.RLIMIT_NOFILE, 10, 20), (resource.RLIMIT_CORE, 0, -1))
    assert plan().limits == ((resource.RLIMIT_NOFILE, 1024, 4096),), "what pidward was started with"


def test_places() -> None:
    made = make_plan(spec(), NAME, PLACES._replace(cgroup="/c", join=("/v1",), gated=True), {})
    assert (made.stdin, made.stdout, made.stderr) == (b"/dev/null", b"/spool/out", b"/spool/err")
    assert (made.cgroup, made.join, made.gated) == (b"/c", (b"/v1",), True)


# --- equipment


def equipped(*given: object, **keys: object) -> Plan:
    return make_plan(spec(**keys), NAME, PLACES, {"LISTEN_FDS": "9"}, Equipment(*given))  # type: ignore[arg-type]


def test_equipment_goes_over_the_configuration() -> None:
    made = equipped((("NOTIFY_SOCKET", "/n"),), ((7, 12),), env=(("NOTIFY_SOCKET", "mine"),))
    assert environment(made)["NOTIFY_SOCKET"] == "/n"
    assert "LISTEN_FDS" not in environment(made)
    assert made.descriptors == ((7, 12),)


def test_what_is_listened_on_is_numbered_from_three() -> None:
    made = equipped((), ((9, 31),), (("web", 20), ("admin", 17)))
    env = environment(made)
    names = ("LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PID", "LISTEN_PIDFDID")
    assert [env[name] for name in names] == ["2", "web:admin", "", ""]
    assert made.descriptors == ((3, 20), (4, 17), (9, 31))


@pytest.mark.parametrize("number", [2, 4])
def test_a_number_that_is_taken(number: int) -> None:
    why = "0 to 2 are its stdin, stdout and stderr, then come its 2 sockets; check service.web.ready"
    with pytest.raises(PlanError, match=f"descriptor {number} would be given twice: {why}"):
        equipped((), ((number, 31),), (("web", 20), ("admin", 17)))


# --- scheduling and rights


def test_nothing_of_it_is_asked_for_by_itself() -> None:
    made = plan()
    assert (made.scheduler, made.cpu_affinity, made.io_priority) == (None, (), None)
    assert (made.capabilities, made.ambient, made.no_new_privileges, made.optional) == (None, 0, False, frozenset())


@pytest.mark.parametrize(
    "keys, field, value",
    [
        ({"scheduler": Scheduler("fifo", 9)}, "scheduler", (os.SCHED_FIFO, 9)),
        ({"scheduler": Scheduler("other")}, "scheduler", (os.SCHED_OTHER, 0)),
        ({"cpu_affinity": (0, 3)}, "cpu_affinity", (0, 3)),
        ({"io_priority": IoPriority("realtime", 0)}, "io_priority", 1 << 13),
        ({"io_priority": IoPriority("best-effort", 6)}, "io_priority", 2 << 13 | 6),
        ({"io_priority": IoPriority("idle")}, "io_priority", 3 << 13),
        ({"security": Security(capabilities=())}, "capabilities", 0),
        ({"security": Security(capabilities=("chown", "net_bind_service", "chown"))}, "capabilities", 1 | 1 << 10),
        ({"security": Security(ambient=("checkpoint_restore",))}, "ambient", 1 << 40),
        ({"security": Security(no_new_privileges=True)}, "no_new_privileges", True),
        ({"optional": ("nice", "security")}, "optional", {"nice", "capabilities", "no_new_privileges"}),
    ],
)
def test_words_become_numbers(keys: dict[str, object], field: str, value: object) -> None:
    assert getattr(make_plan(spec(**keys), NAME, PLACES, {}), field) == value


def test_what_it_runs_without_in_one_line() -> None:
    said = explain_refusal(spec(), NAME, Failure("nice", errno.EACCES))
    assert said == (
        "web/3 runs, but pidward cannot set its nice value: Permission denied (stage nice, EACCES); check "
        "service.web.nice; going below 0 needs CAP_SYS_NICE; it is optional, so this is a warning"
    )


# --- failures


@pytest.mark.parametrize(
    "failure, said",
    [
        (
            Failure("exec", errno.ENOENT),
            'cannot execute "/bin/true": no such file, or its interpreter is missing (stage exec, ENOENT); {command}',
        ),
        (Failure("exec", errno.ETXTBSY), 'cannot execute "/bin/true": Text file busy (stage exec, ETXTBSY); {command}'),
        (
            Failure("cwd", errno.EACCES),
            (
                "cannot enter its working directory '.': Permission denied (stage cwd, EACCES); "
                "check service.web.working_dir"
            ),
        ),
        (
            Failure("ids", errno.EPERM),
            (
                "cannot become its user and groups: Operation not permitted (stage ids, EPERM); "
                "check service.web.user; changing user needs root"
            ),
        ),
        (Failure("new-stage", 9999), "cannot new-stage: Unknown error 9999 (stage new-stage, 9999); please report it"),
    ],
    ids=lambda value: value.stage if isinstance(value, Failure) else None,
)
def test_a_failure_in_one_line(failure: Failure, said: str) -> None:
    command = "check service.web.command at pidward.toml:7:11"
    assert explain_failure(spec(), NAME, failure) == said.replace("{command}", command)


STAGES = ["clone", "cgroup", "stdin", "stdout", "stderr", "session", "cwd", "limits", "nice", "oom_score_adj", "gate",
          "ids", "exec", "descriptor", "descriptors",
          "scheduler", "cpu_affinity", "io_priority", "capabilities", "no_new_privileges"]  # fmt: skip


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_is_explained(stage: str) -> None:
    text = explain_failure(spec(), NAME, Failure(stage, errno.EPERM))
    assert f"(stage {stage}, EPERM)" in text
    assert "\n" not in text
    assert "{" not in text
    assert not text.endswith("; please report it") or stage == "session"
