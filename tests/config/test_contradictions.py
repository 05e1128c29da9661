"""Wrong values and contradictions of the keys about health, sockets, schedules and attributes: one clear line each."""

import pytest

from pidward.config.errors import ConfigError
from pidward.config.load import parse

IN_A_SERVICE = r"""
type = 'daemon'
    8: type: expected "service", "oneshot" or "forking", got the string 'daemon'
depends_on = 'db'
    14: depends_on: expected a table, or an array of names, got the string 'db'
depends_on = ['web']
    15: depends_on[0]: a service cannot depend on itself
depends_on = ['dbb']
    15: depends_on[0]: there is no service 'dbb'; did you mean 'db'?
depends_on = { db = 'up' }
    21: depends_on.db: expected "started", "ready" or "completed", got the string 'up'
depends_on = { db = 'completed' }
    21: depends_on.db: db never completes: it needs type = "oneshot"; or write "ready" here
depends_on = [1]
    14: depends_on: expected a table, or an array of names, got an array
depends_on = { 'a b' = 'ready' }
    16: depends_on.'a b': the name of a service has only letters, digits, '_', '.' and '-', not ' '
ready = { notify = true, http = 'http://localhost/' }
    26: ready.http: excludes notify; write one of them
ready = { http = 'http://example.org/' }
    18: ready.http: expected an address like 127.0.0.1 or [::1], or localhost, got 'example.org'; names are not loo…
ready = { http = 'https://127.0.0.1/' }
    18: ready.http: https is not asked; use http on loopback, or exec = ["curl", "-fsk", "https://..."]
ready = { http = '127.0.0.1:80' }
    18: ready.http: expected "http://HOST:PORT/path" or "http://unix:/socket:/path", got '127.0.0.1:80'
ready = { http = 'http://127.0.0.1:80%i/%d' }
    18: ready.http: unknown '%d'; %i is the worker's index, and %% a percent sign
ready = { tcp = 'db:5432' }
    17: ready.tcp: expected an address like 127.0.0.1 or [::1], or localhost, got 'db'; names are not looked up
ready = { tcp = '127.0.0.1' }
    17: ready.tcp: expected "HOST:PORT" or "unix:/path", got '127.0.0.1'
ready = { tcp = 'unix:run/x' }
    17: ready.tcp: expected an absolute path of at most 107 bytes after unix:, got 'run/x'
ready = { exec = [] }
    18: ready.exec: must not be empty
ready = { exec = 5 }
    18: ready.exec: expected an array of strings, or one string, got the number 5
ready = { exec = { cmd = 'x' } }
    20: ready.exec.cmd: unknown key; did you mean 'command'?
ready = { fd = 2 }
    16: ready.fd: must be between 3 and 1023, got 2
ready = { log = '%' }
    17: ready.log: unknown '%'; %i is the worker's index, and %% a percent sign
ready = { timeout = '1s' }
    9: ready: says nothing of what is asked: needs one of notify, fd, http, tcp, exec, log and after
ready = { notify = true, timeout = '30s' }
    26: ready.timeout: is for http, tcp and exec, which are asked again and again; for notify there is deadline
ready = { after = '1s', period = 1 }
    25: ready.period: is for http, tcp and exec, which are asked again and again; for after there is deadline
ready = { tcp = '127.0.0.1:1', headers = { A = 'b' } }
    32: ready.headers: is for http, not for tcp
ready = { http = 'http://127.0.0.1/', headers = { 'A B' = 'b' } }
    51: ready.headers.'A B': 'A B' cannot be the name of an HTTP header
ready = { http = 'http://127.0.0.1/', headers = { A = "b\n" } }
    55: ready.headers.A: the value of an HTTP header is printable ASCII on one line
ready = { http = 'http://127.0.0.1/', period = 1, periodSeconds = 1 }
    51: ready.periodSeconds: period and periodSeconds are the same; write one of them
ready = { httpGet = { path = '/' } }
    21: ready.httpGet: needs port
ready = { httpGet = { port = 0 } }
    30: ready.httpGet.port: must be between 1 and 65535, got 0
ready = { httpGet = { port = 80, host = 'web' } }
    41: ready.httpGet.host: 'web' is no IP address; write one or localhost, for no names are looked up
ready = { httpGet = { port = 80, scheme = 'HTTPS' } }
    43: ready.httpGet.scheme: expected "HTTP", got the string 'HTTPS'
ready = { httpGet = { port = 80, httpHeaders = [{ name = 'A' }] } }
    49: ready.httpGet.httpHeaders[0]: needs value
ready = { httpGet = { port = 80, path = '/a b' } }
    21: ready.httpGet: 'http://127.0.0.1:80/a b' has a character that must be written as %XX
ready = 'notify'
    9: ready: expected a table, got the string 'notify'
alive = { notify = true }
    11: alive.notify: unknown key
alive = { http = 'http://127.0.0.1/', successes = 2 }
    51: alive.successes: must be 1, got 2
watchdog = 0
    12: watchdog: must be at least 10ms, got 0
watchdog = true
    12: watchdog: expected a duration like "10s", got true
fd_store = 5000
    12: fd_store: must be between 0 and 4096, got 5000
pid_file = '/run/x.pid'
    12: pid_file: is for programs that fork: needs type = "forking"
sockets = ['127.0.0.1:80']
    12: sockets[0]: expected a socket like "tcp://127.0.0.1:8000", "udp://[::1]:53" or "unix:///run/web.sock", got …
sockets = ['tcp://web:80']
    12: sockets[0]: 'web' is no IP address; write one or localhost, for no names are looked up
sockets = ['tcp://:80']
    12: sockets[0]: '' is no IP address; write one or localhost, for no names are looked up
sockets = ['tcp://::1:80']
    12: sockets[0]: expected HOST:PORT with IPv6 in brackets, like 127.0.0.1:80 or [::1]:80, got '::1:80'
sockets = ['tcp://127.0.0.1:0']
    12: sockets[0]: a port is a number from 1 to 65535, not '0'
sockets = ['unix://run/x']
    12: sockets[0]: the path of a socket is absolute, or @name for the abstract namespace; got 'run/x'
sockets = ['sctp://127.0.0.1:80']
    12: sockets[0]: expected a socket like "tcp://127.0.0.1:8000", "udp://[::1]:53" or "unix:///run/web.sock", got …
sockets = [5]
    12: sockets[0]: expected a socket or a table, got the number 5
sockets = [{ name = 'a' }]
    12: sockets[0]: needs listen
sockets = [{ listen = 'tcp://127.0.0.1:80', mode = '660' }]
    45: sockets[0].mode: is for unix sockets with a path
sockets = [{ listen = 'udp://127.0.0.1:80', backlog = 5 }]
    45: sockets[0].backlog: means nothing for udp sockets
sockets = [{ listen = 'unix:/x', reuse_port = true }]
    34: sockets[0].reuse_port: means nothing for unix sockets
sockets = [{ listen = 'unix:/x', mode = 400 }]
    41: sockets[0].mode: is read as a decimal number; write "660" or 0o660
sockets = [{ listen = 'unix:/x', mode = 660 }]
    41: sockets[0].mode: must be between 0o000 and 0o777
sockets = [{ listen = 'unix:/x', name = 'a:b' }]
    41: sockets[0].name: the name of a socket has 1 to 255 printable ASCII characters without space and colon
sockets = [{ listen = 'unix:/x', name = 'a' }, { listen = 'unix:/y', name = 'a' }]
    77: sockets[1].name: another socket of this service has the name 'a'
sockets = ['unix:/x', 'unix:///x']
    23: sockets[1]: is the same socket as that of web at f:3:12
sockets = ['tcp://[::1]:80', 'tcp://[0::1]:80']
    30: sockets[1]: is the same socket as that of web at f:3:12
on_demand = true
    13: on_demand: is started by a connection to one of its sockets: needs sockets
schedule = { every = '5min' }
    12: schedule: starts programs that do their work and end: needs type = "oneshot"
schedule = {}
    12: schedule: needs every or cron
schedule = { every = '0s' }
    22: schedule.every: must be at least 1s, got '0s'
schedule = { cron = '* * * *' }
    21: schedule.cron: expected 5 fields "minute hour day-of-month month day-of-week" or one of @yearly, @annually,…
schedule = { cron = '61 * * * *' }
    21: schedule.cron: minute: expected 0 to 59, got '61'
schedule = { every = 5, cron = '* * * * *' }
    25: schedule.cron: excludes every; write one of them
schedule = '5min'
    12: schedule: expected a table, got the string '5min'
stop.pre = []
    12: stop.pre: must not be empty
reload = 'HUPP'
    10: reload: unknown signal 'HUPP'; write a name like SIGTERM or a number from 1 to 64
reload = { signal = 'HUP', command = 'x' }
    28: reload.command: excludes signal; write one of them
reload = ['x']
    10: reload: expected a signal, or a table, got an array
resources.memory_max = 5
    24: resources.memory_max: must be at least 1MiB, got 5
resources.memory_max = '40 percent'
    24: resources.memory_max: cannot read size '40 percent'; use B, kB, MB, GB, KiB, MiB or GiB
resources = { memory_max = '1MiB', memory_high = '2MiB' }
    50: resources.memory_high: memory_high 2MiB is never reached: memory_max is 1MiB
resources.pids_max = 0
    22: resources.pids_max: must be between 1 and 4194304, got 0
resources.cpu_weight = 0
    24: resources.cpu_weight: must be between 1 and 10000, got 0
resources.cpu_max = 0
    21: resources.cpu_max: must be between 1% and 8191 processors, got 0
resources.cpu_max = '50 %%'
    21: resources.cpu_max: expected processors like "50%" or 1.5, or "infinity", got the string '50 %%'
resources.cpu_max = true
    21: resources.cpu_max: expected processors like "50%" or 1.5, or "infinity", got true
resources.io_weight = '100'
    23: resources.io_weight: expected a whole number, got the string '100'
resources.memory = 1
    11: resources.memory: unknown key; did you mean 'memory_max'?
cpu_affinity = '0-'
    16: cpu_affinity: expected "0-3,8" or an array of processor numbers, got the string '0-'
cpu_affinity = '3-1'
    16: cpu_affinity: the range 3-1 ends before it begins
cpu_affinity = []
    16: cpu_affinity: must not be empty
cpu_affinity = [-1]
    16: cpu_affinity: must be between 0 and 8191, got -1
cpu_affinity = '9999'
    16: cpu_affinity: must be between 0 and 8191, got 9999
io_priority = 'high'
    15: io_priority: expected "idle", "best-effort:4" or { kind = "realtime", level = 0 }, got the string 'high'
io_priority = 'idle:3'
    15: io_priority: idle has no level
io_priority = 'best-effort:8'
    15: io_priority: must be between 0 and 7, got 8
io_priority = { kind = 'realtime', level = 'x' }
    15: io_priority: expected a level, got the string 'x'
io_priority = { level = 1 }
    15: io_priority: expected "idle", "best-effort:4" or { kind = "realtime", level = 0 }, got a table
scheduler = 'fifo'
    13: scheduler: fifo needs a priority from 1 to 99, as in "fifo:10"
scheduler = 'fifo:0'
    13: scheduler: must be between 1 and 99, got 0
scheduler = 'batch:1'
    13: scheduler: batch has no priority; nice is what orders processes under it
scheduler = 'cfs'
    13: scheduler: expected "other", "batch", "idle", "fifo:10" or { policy = "rr", priority = 10 }, got the string…
security.capabilities = ['net_bind']
    26: security.capabilities[0]: expected a capability like "net_bind_service", see capabilities(7), got the strin…
security.capabilities = 'all'
    25: security.capabilities: expected an array of capabilities, got the string 'all'
security = { capabilities = ['CAP_CHOWN'], ambient = ['chown', 'KILL'] }
    54: security.ambient: kill is not in capabilities
security.no_new_privs = true
    10: security.no_new_privs: unknown key; did you mean 'no_new_privileges'?
optional = ['command']
    13: optional[0]: expected "cpu_affinity", "io_priority", "limits", "nice", "oom_score_adj", "resources", "sched…
strategy = 'one_for_all'
    1: strategy: is that of a group of services; add group = NAME
strategy = 'all'
    12: strategy: expected "one_for_one", "one_for_all" or "rest_for_one", got the string 'all'
essential = 'yes'
    13: essential: expected true, false, "on-failure" or "always", got the string 'yes'
essential = 1
    13: essential: expected true, false, "on-failure" or "always", got the number 1
rolling = -1
    11: rolling: must be between 0 and 20000, got -1
env_file = '/nowhere.env'
    12: env_file[0]: /nowhere.env: cannot be read: No such file or directory; put - before it if it may be missing
env_file = 5
    12: env_file: expected a path or an array of paths, got the number 5
env_file = ''
    12: env_file[0]: must not be empty
logs.format = 'xml'
    15: logs.format: expected "text" or "json", got the string 'xml'
logs.also = ['journald']
    14: logs.also[0]: expected "journal" or "syslog", got the string 'journald'
logs.max_age = 0
    16: logs.max_age: must be at least 1s, got 0
logs.compress = 'yes'
    17: logs.compress: expected true or false, got the string 'yes'
notify = 1
    10: notify: expected true or false, got the number 1
depends_on = ['db', 'dbb']
    21: depends_on[1]: there is no service 'dbb'; did you mean 'db'?
env_file = ['-']
    13: env_file[0]: must not be empty
type = 'oneshot' // restart = 'always'
    4:11: restart.policy: service web has type "oneshot", whose end is no reason to start it again; write "never" o…
type = 'oneshot' // schedule = { every = 5 } // on_demand = true // sockets = 'unix:/x'
    5:13: on_demand: a service is started by its schedule or on demand, not by both
type = 'forking' // workers = 2 // pid_file = '/run/x.pid'
    5:12: pid_file: is the same for all 2 workers; put %i in it
ready = { fd = 4 } // sockets = ['unix:/x', 'unix:/y']
    16: ready.fd: the sockets are descriptors 3 to 4; take 5
"""


def pairs(table: str) -> list[tuple[str, str]]:
    lines = table.strip("\n").split("\n")
    return list(zip(lines[::2], (line.strip() for line in lines[1::2]), strict=True))


@pytest.mark.parametrize("keys, message", pairs(IN_A_SERVICE))
def test_one_mistake(keys: str, message: str) -> None:
    text = f"[service.web]\ncommand = ['x']\n{keys.replace(' // ', chr(10))}\n[service.db]\ncommand = 'x'\n"
    with pytest.raises(ConfigError) as caught:
        parse(text, "f")
    place, rest = message.split(" ", 1)
    line_and_column = place if place.count(":") == 2 else f"3:{place}"
    [problem] = caught.value.problems
    whole, said = f"f:{line_and_column} service.web.{rest}", str(problem)
    assert said == whole or (whole.endswith("…") and said.startswith(whole[:-1]))


@pytest.mark.parametrize("mode", ["none", "stream", "inherit"])
def test_a_line_of_output_is_waited_for_only_where_output_is_kept(mode: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(f"[service.web]\ncommand = 'x'\nready = {{ log = 'up' }}\nlogs = {{ mode = '{mode}' }}\n", "f")
    assert (
        f'f:3:17: service.web.ready.log: is read where the output is kept: needs logs.mode = "file", not "{mode}"'
        in (str(caught.value))
    )
    parse("[service.web]\ncommand = 'x'\nready = { log = 'up' }\nlogs = { mode = 'file' }\n", "f")
