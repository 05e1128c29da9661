"""Wrong input and the exact words for it."""

import pytest

from pidward.config.errors import ConfigError, Problem
from pidward.config.load import parse
from pidward.config.reading import MAX_PROBLEMS


def mistakes(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse(text, "f")
    return [str(problem) for problem in caught.value.problems]


def in_service(line: str) -> list[str]:
    return mistakes(f"[service.web]\ncommand = ['x']\n{line}")


IN_A_SERVICE = r"""
restrat = 1
    1: restrat: unknown key; did you mean 'restart'?
zzz = 1
    1: zzz: unknown key
'a b'.c = 1
    1: 'a b': unknown key
restart.bursts = 1
    9: restart.bursts: unknown key; did you mean 'burst'?
restart = { dealy = 1 }
    13: restart.dealy: unknown key; did you mean 'delay'?
workers = 'three'
    11: workers: expected a whole number, got the string 'three'
workers = 1.0
    11: workers: expected a whole number, got the number 1.0
workers = true
    11: workers: expected a whole number, got true
workers = -1
    11: workers: must be between 0 and 20000, got -1
workers = 20001
    11: workers: must be between 0 and 20000, got 20001
workers = 1979-05-27
    11: workers: expected a whole number, got a date or time
working_dir = 'srv'
    15: working_dir: must be an absolute path, got 'srv'
working_dir = '/a%d'
    15: working_dir: unknown '%d'; %i is the worker's index, and %% a percent sign
working_dir = "/\u0000"
    15: working_dir: must not contain a NUL byte
umask = '8'
    9: umask: expected a umask like "022" or 0o022, got the string '8'
umask = 22
    9: umask: is read as a decimal number; write "022" or 0o022
umask = 0o1000
    9: umask: must be between 0o000 and 0o777
user = ''
    8: user: '' cannot be a name of a user or group
user = -1
    8: user: an id is between 0 and 4294967294, got -1
group = []
    9: group: expected a name or a number, got an array
supplementary_groups = 'www'
    24: supplementary_groups: expected an array of names or numbers, got the string 'www'
env = { 'A=B' = '1' }
    9: env.'A=B': the name of a variable must not contain '='
env = { '' = '1' }
    9: env.'': the name of a variable must not be empty
env = { A = true }
    13: env.A: expected a string or a whole number, got true; put it in quotes
env = ['A']
    7: env: expected a table of strings, got an array
env = 'TOKEN=secret'
    7: env: expected a table of strings, got a string
clear_env = 1
    13: clear_env: expected true or false, got the number 1
stdin = 'pipe'
    9: stdin: must be an absolute path, got 'pipe'
restart = 'alwyas'
    11: restart: expected "never", "on-failure" or "always", got the string 'alwyas'
restart = 1
    11: restart: expected a table, got the number 1
restart.delay = '1 fortnight'
    17: restart.delay: unknown unit 'fortnight' in duration '1 fortnight'; use us, ms, s, min, h or d
restart.delay = '2min'
    17: restart.delay: delay 2min is longer than max_delay 1min
restart.max_delay = 0
    21: restart.max_delay: delay 100ms is longer than max_delay 0s
restart.factor = 0.5
    18: restart.factor: must be between 1 and 1000, got 0.5
restart.factor = nan
    18: restart.factor: must be between 1 and 1000, got nan
restart.jitter = '101%'
    18: restart.jitter: must be between 0% and 100%, got '101%'
restart.burst = 1001
    17: restart.burst: must be between 0 and 1000, got 1001
restart.success_codes = [0, 256]
    29: restart.success_codes[1]: an exit code is between 0 and 255, got 256
restart.never_on = ['9']
    21: restart.never_on[0]: write an exit code without quotes, and a signal by name; got '9'
restart = { never_on = [3, 'HUP'], always_on = ['SIGHUP', 3] }
    48: restart.always_on: SIGHUP, 3 is in never_on and in always_on
stop.signal = 'SIGFOO'
    15: stop.signal: unknown signal 'SIGFOO'; write a name like SIGTERM or a number from 1 to 64
stop.signal = []
    15: stop.signal: expected a signal like "SIGTERM", got an array
stop.grace = -5
    14: stop.grace: a duration must be between 0 and 10000000000 seconds, got -5
limits.nofile = [5, 3]
    17: limits.nofile: the soft limit 5 is above the hard limit 3
limits.nofile = ['infinity', 3]
    17: limits.nofile: the soft limit infinity is above the hard limit 3
limits.nofile = [1, 2, 3]
    17: limits.nofile: expected two limits, [soft, hard], got 3
limits.nofile = -1
    17: limits.nofile: must not be negative, got -1; "infinity" lifts the limit
limits.nofile = '1k'
    17: limits.nofile: expected a whole number, "infinity", or [soft, hard] of these, got the string '1k'
limits.nofiel = 1
    8: limits.nofiel: unknown key; did you mean 'nofile'?
nice = 20
    8: nice: must be between -20 and 19, got 20
logs.max_size = 10
    17: logs.max_size: must be at least 1KiB, got 10
logs.max_size = '10 apples'
    17: logs.max_size: cannot read size '10 apples'; use B, kB, MB, GB, KiB, MiB or GiB
autostart = 'no'
    13: autostart: expected true or false, got the string 'no'
"""

COMMANDS = r"""
[]
    11: command: must not be empty
''
    11: command: must not be empty
' '
    11: command: must not be empty
"sh -c 'a"
    11: command: cannot split the command: no closing quotation
5
    11: command: expected an array of strings, or one string, got the number 5
['a', 5]
    17: command[1]: expected a string, got the number 5
['a', "b\u0000"]
    17: command[1]: must not contain a NUL byte
['date', '+%Y']
    20: command[1]: unknown '%Y'; %i is the worker's index, and %% a percent sign
'date +%'
    11: command[1]: unknown '%'; %i is the worker's index, and %% a percent sign
['%%%']
    12: command[0]: unknown '%'; %i is the worker's index, and %% a percent sign
['']
    12: command[0]: the program must not be empty
"''"
    11: command[0]: the program must not be empty
"""

WHOLE_FILES = r"""
[service.web]
    1:10: service.web: a service needs a command
[service] // web = 1
    2:7: service.web: expected a table, got the number 1
[[service]] // a = 1
    1:3: service: expected a table, got an array
service = 1
    1:11: service: expected a table, got the number 1
defaults = 1
    1:12: defaults: expected a table, got the number 1
[services.web]
    1:2: services: unknown key; did you mean 'service'?
[pidward] // state_dir = 'a'
    2:13: pidward.state_dir: must be an absolute path, got 'a'
[service.'a b'] // command = 'x'
    1:10: service.'a b': the name of a service has only letters, digits, '_', '.' and '-', not ' '
[service.'web/2'] // command = 'x'
    1:10: service.'web/2': the name of a service has only letters, digits, '_', '.' and '-', not '/'
[service."\u001b[31m"] // command = 'x'
    1:10: service.'\x1b[31m': the name of a service has only letters, digits, '_', '.' and '-', not '\x1b'
[service.-web] // command = 'x'
    1:10: service.-web: the name of a service begins with a letter or a digit, not '-'
[service.'..'] // command = 'x'
    1:10: service.'..': the name of a service begins with a letter or a digit, not '.'
[service.''] // command = 'x'
    1:10: service.'': the name of a service must not be empty
[defaults] // workers = 'a'
    2:11: defaults.workers: expected a whole number, got the string 'a'
[service.a] // command = 'x' // workers = 20000 // [service.b] // command = 'x' // workers = 1
    6:11: service.b.workers: brings all services together to 20001 workers; 20000 are possible at most
[service.a] // command = 'x' // workers = 20000 // [service.b] // command = 'x'
    4:10: service.b: brings all services together to 20001 workers; 20000 are possible at most
a = 1 // a = 2
    2:1: a stands twice; first at line 1
[service.a] // command = 'x' // [service.a]
    3:10: [service.a] stands twice; first at line 1
[[a]] // [a]
    2:2: [a] stands twice; first at line 1
[service.a] // stop = 'x' // [service.a.stop]
    3:12: [service.a.stop] stands twice; first at line 2
[service.a] // env = { A = '1' } // env.B = '2'
    3:5: service.a.env stands complete at line 2; add to it there
env = { A = '1', A = '2' }
    1:18: env.A stands twice; first at line 1
a = [1, // b
    2:1: put text and all that is no plain number in quotes, as in "10s"
a = [1, // b = 1
    2:1: a ] is missing before this line
a = ['x' 'y']
    1:10: a comma or the closing ] of an array is missing
a =
    1:4: a value is missing after =
a = True
    1:5: write true, not True
a = off
    1:5: write false, not off
a = sleep 10
    1:5: put text and all that is no plain number in quotes, as in "10s"
a = 10s
    1:7: put text and all that is no plain number in quotes, as in "10s"
a = 022
    1:6: a number cannot begin with 0; put it in quotes, as in "022"
a = «x»
    1:5: quotes are " or ', not «
a = 'x' b = 'y'
    1:9: the line should end here; each key has a line of its own, and text is in quotes
a = "x
    1:7: a closing quote is missing
a = '''x
    1:9: a closing quote is missing
a = 'x // b = 1
    2:6: a closing quote is missing
a = "\d"
    1:8: write \\ for a backslash, or put the string in single quotes
a = { b = 1, // c = 2 }
    1:13: a table in braces stands on one line; write a [table] with a line for each key instead
a = { b = 1, }
    1:14: there must be no comma before }
a: 1
    1:2: write = instead of :
export a=1
    1:8: leave export out
a 1
    1:3: expected = after the key; a key with other characters than A-Z, a-z, 0-9, - and _ is in quotes
[program:a]
    1:9: expected ] here; a name with other characters than A-Z, a-z, 0-9, - and _ is in quotes
[]
    1:2: a name is missing
= 1
    1:1: a key is missing before =
; a
    1:1: a comment begins with #
"""


def pairs(table: str) -> list[tuple[str, str]]:
    lines = table.strip("\n").split("\n")
    return list(zip(lines[::2], (line.strip() for line in lines[1::2]), strict=True))


@pytest.mark.parametrize("line, message", pairs(IN_A_SERVICE))
def test_one_mistake(line: str, message: str) -> None:
    column, rest = message.split(" ", 1)
    assert mistakes(f'[service.web]\ncommand = ["x"]\n{line}\n') == [f"f:3:{column} service.web.{rest}"]


@pytest.mark.parametrize("command, message", pairs(COMMANDS))
def test_commands(command: str, message: str) -> None:
    column, rest = message.split(" ", 1)
    assert mistakes(f"[service.web]\ncommand = {command}") == [f"f:2:{column} service.web.{rest}"]


@pytest.mark.parametrize("text, message", pairs(WHOLE_FILES))
def test_whole_files(text: str, message: str) -> None:
    assert mistakes(text.replace(" // ", "\n")) == [f"f:{message}"]


def test_numbers_beyond_64_bits_are_mistakes() -> None:
    for number in (str(2**63), "0x" + "f" * 5000):
        assert mistakes(f"[service.web]\ncommand = 'x'\nworkers = {number}") == [
            "f:3:11: service.web.workers: a whole number has at most 64 bits"
        ]


def test_names_have_a_length() -> None:
    assert mistakes(f"[service.{'a' * 64}]\ncommand = 'x'") == [
        f"f:1:10: service.{'a' * 64}: the name of a service has at most 63 characters, this one has 64"
    ]


def test_depth_has_a_limit() -> None:
    assert mistakes("a = " + "[" * 5000) == ["f: arrays or tables are nested too deeply"]


def test_a_number_beyond_what_python_reads_is_a_mistake_too() -> None:
    [message] = mistakes("a = " + "9" * 5000)
    assert message.startswith("f: is not valid TOML: ")


def test_all_mistakes_at_once_in_the_order_of_the_file() -> None:
    text = """
[service.web]
command = ["gunicorn", 3]
workers = "three"
restrat = 1
[pidward]
histroy = "3d"
[service."a b"]
[defaults]
nice = 99
"""
    assert mistakes(text) == [
        "f:3:24: service.web.command[1]: expected a string, got the number 3",
        "f:4:11: service.web.workers: expected a whole number, got the string 'three'",
        "f:5:1: service.web.restrat: unknown key; did you mean 'restart'?",
        "f:7:1: pidward.histroy: unknown key; did you mean 'history'?",
        "f:8:10: service.'a b': a service needs a command",
        "f:8:10: service.'a b': the name of a service has only letters, digits, '_', '.' and '-', not ' '",
        "f:10:8: defaults.nice: must be between -20 and 19, got 99",
    ]


def test_a_refused_value_is_not_reported_twice() -> None:
    assert len(in_service("restart = { delay = 'x', max_delay = 0 }")) == 1
    assert len(in_service("restart = { never_on = ['FOO'], always_on = ['FOO'] }")) == 2
    assert mistakes("[service.web]\ncommand = []") == ["f:2:11: service.web.command: must not be empty"]


def test_what_is_wrong_in_the_defaults_is_said_once_and_there() -> None:
    text = "[defaults]\nrestart.delay = '2min'\numask = 22\n"
    text += "".join(f"[service.w{i}]\ncommand = 'x'\n" for i in range(3))
    assert mistakes(text) == [
        "f:2:17: defaults.restart.delay: delay 2min is longer than max_delay 1min",
        'f:3:9: defaults.umask: is read as a decimal number; write "022" or 0o022',
    ]


def test_a_contradiction_with_the_defaults_is_the_services() -> None:
    text = "[defaults]\nrestart.delay = '2s'\n[service.w]\ncommand = 'x'\nrestart.max_delay = '1s'"
    assert mistakes(text) == ["f:5:21: service.w.restart.max_delay: delay 2s is longer than max_delay 1s"]


def test_a_report_has_a_limit() -> None:
    with pytest.raises(ConfigError) as caught:
        parse("".join(f"k{i} = 1\n" for i in range(MAX_PROBLEMS + 7)), "f")
    assert len(caught.value.problems) == MAX_PROBLEMS
    assert caught.value.omitted == 7
    assert str(caught.value).endswith("and 7 more problems")


def test_long_keys_and_values_do_not_fill_the_screen() -> None:
    [message] = mistakes(f"{'k' * 100_000} = 1")
    assert len(message) < 150
    [message] = in_service(f"workers = '{'v' * 100_000}'")
    assert len(message) < 400


def test_problems_for_machines() -> None:
    problem = Problem("f", 7, 11, "service.web.command", "wrong")
    assert problem.as_dict() == {
        "file": "f", "line": 7, "column": 11, "key": "service.web.command", "message": "wrong",
    }  # fmt: skip
    assert str(problem) == "f:7:11: service.web.command: wrong"
    assert str(Problem("f", 0, 0, "", "wrong")) == "f: wrong"


def test_a_wrong_entry_hides_none_of_the_others() -> None:
    text = "[service.web]\ncommand = 'x'\ndepends_on = { web = 'ready', a = 'up', b = 'ready' }\n"
    assert mistakes(text) == [
        "f:3:16: service.web.depends_on.web: a service cannot depend on itself",
        """f:3:35: service.web.depends_on.a: expected "started", "ready" or "completed", got the string 'up'""",
        "f:3:41: service.web.depends_on.b: there is no service 'b'",
    ]
