/* The last steps before exec, for workers that wait at a gate or change rights: a program of its own, because a child
 * that shares the supervisor's memory must never have other rights than the supervisor. Static and without libc, so
 * that it starts in microseconds and needs nothing from the worker's environment.
 *
 *   shim GATE IDS JOIN... "" PATH ARGV...
 *     GATE  the number of its end of the gate, a message socket
 *     IDS   "" or "UID GID GROUP..."
 *     JOIN  directories of cgroups to enter (v1, or v2 where clone3 could not)
 *
 * One byte on the socket opens the gate; its end means that the supervisor is gone, and then nothing is executed. Answers are {errno, stage}; {0, "exec"} comes just before execve, so that the socket's end
 * tells a successful exec, which closes it, from a death at the gate.
 *
 * Built by setup.py; by hand:
 *   gcc -O2 -std=gnu11 -Wall -Wextra -Werror -static -nostdlib -ffreestanding -fno-pie -no-pie \
 *       -fno-stack-protector -s native/shim.c -o src/pidward/native/shim
 */
#include <stddef.h>
#include <stdint.h>

#include "sys.h"

#if defined(__x86_64__)
__asm__(".globl _start\n_start:\n\txor %ebp, %ebp\n\tmov %rsp, %rdi\n\tand $-16, %rsp\n\tcall begin\n\tud2\n");
#else
__asm__(".globl _start\n_start:\n\tmov x29, xzr\n\tmov x0, sp\n\tbl begin\n\tbrk #1\n");
#endif

enum { MOST_GROUPS = 65536, GONE = 125, FAILED = 127 };
enum { PERMISSION = 1, INTERRUPTED = 4, INVALID = 22 };
enum { WRITE = 1, PATH = 010000000, CLOSE_ON_EXEC = 02000000, HERE = -100, SET_FLAGS = 2, NO_SIGNAL = 0x4000 };

static long gate;

static void __attribute__((noreturn)) leave(int code)
{
    for (;;)
        sys(exit_group, code);
}

/* Nobody may be there to hear it; that is no reason not to go on. */
static void tell(const char *stage, long error)
{
    struct {
        int32_t error;
        char stage[12];
    } record = {.error = (int32_t)error};
    for (size_t i = 0; stage[i]; i++)
        record.stage[i] = stage[i];
    sys(sendto, gate, &record, sizeof record, NO_SIGNAL);
}

static void check(const char *stage, long result)
{
    if (result >= 0)
        return;
    tell(stage, -result);
    leave(FAILED);
}

static void wait_at_gate(void)
{
    char byte;
    long got;
    do
        got = sys(read, gate, &byte, 1);
    while (got == -INTERRUPTED);
    if (got != 1)
        leave(GONE);
}

static long join(const char *directory)
{
    long dir = sys(openat, HERE, directory, PATH | CLOSE_ON_EXEC);
    if (dir < 0)
        return dir;
    long procs = sys(openat, dir, "cgroup.procs", WRITE | CLOSE_ON_EXEC);
    sys(close, dir);
    if (procs < 0)
        return procs;
    long r = sys(write, procs, "0", 1);
    sys(close, procs);
    return r;
}

/* Read a number and step over what ends it. */
static uint32_t next_number(const char **text)
{
    uint32_t number = 0;
    while (**text >= '0' && **text <= '9')
        number = number * 10 + (uint32_t)(*(*text)++ - '0');
    if (**text)
        ++*text;
    return number;
}

static int all_are(const uint32_t *three, uint32_t id)
{
    return three[0] == id && three[1] == id && three[2] == id;
}

/* Groups first, the user last: without uid 0 the others can no longer be changed. */
static long become(const char *ids)
{
    static uint32_t groups[MOST_GROUPS];
    uint32_t uid = next_number(&ids), gid = next_number(&ids), got[3];
    size_t count = 0;
    long r;
    while (*ids && count < MOST_GROUPS)
        groups[count++] = next_number(&ids);
    if (*ids || uid == UINT32_MAX || gid == UINT32_MAX) /* which would mean: leave it as it is */
        return -INVALID;
    if ((r = sys(setgroups, count, groups)) < 0 || (r = sys(setresgid, gid, gid, gid)) < 0 ||
        (r = sys(setresuid, uid, uid, uid)) < 0)
        return r;
    sys(getresgid, &got[0], &got[1], &got[2]);
    if (!all_are(got, gid))
        return -PERMISSION;
    sys(getresuid, &got[0], &got[1], &got[2]);
    return all_are(got, uid) && sys(getgroups, 0) == (long)count ? 0 : -PERMISSION;
}

/* The stack as the kernel leaves it: argc, argv, NULL, envp, NULL. */
void __attribute__((noreturn, used)) begin(char **stack)
{
    long argc = (long)stack[0];
    char **argv = stack + 1, **envp = argv + argc + 1, **next = argv + 3;

    if (argc < 6)
        leave(FAILED);
    const char *number = argv[1];
    gate = next_number(&number);
    check("gate", sys(fcntl, gate, SET_FLAGS, 1));
    wait_at_gate();
    for (; **next; next++)
        check("cgroup", join(*next));
    if (*argv[2])
        check("ids", become(argv[2]));
    tell("exec", 0);
    check("exec", sys(execve, next[1], next + 2, envp));
    leave(FAILED);
}
