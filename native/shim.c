/* The last steps before exec, for workers that wait at a gate or change rights: a program of its own, because a child
 * that shares the supervisor's memory must never have other rights than the supervisor. Static and without libc, so
 * that it starts in microseconds and needs nothing from the worker's environment.
 *
 *   shim GATE JOIN... "" ATTRIBUTE... "" PATH ARGV...
 *     GATE       the number of its end of the gate, a message socket
 *     JOIN       directories of cgroups to enter (v1, or v2 where clone3 could not)
 *     ATTRIBUTE  in this order, any of
 *                "scheduler POLICY PRIORITY", "cpu_affinity PROCESSOR...", "io_priority VALUE",
 *                "capabilities KEPT AMBIENT" (bits), "ids UID GID GROUP...", "ambient BITS", "no_new_privileges"
 *                with a ? after the name when it goes on without what is refused
 *
 * One byte on the socket opens the gate; its end means that the supervisor is gone, and then nothing is executed.
 * Answers are {errno, stage}, with minus errno for what was refused and is done without; {0, "exec"} comes just before
 * execve, so that the socket's end tells a successful exec, which closes it, from a death at the gate.
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

enum { MOST_GROUPS = 65536, MOST_PROCESSORS = 8192, GONE = 125, FAILED = 127 };
enum { PERMISSION = 1, INTERRUPTED = 4, INVALID = 22 };
enum { WRITE = 1, PATH = 010000000, CLOSE_ON_EXEC = 02000000, HERE = -100, SET_FLAGS = 2, NO_SIGNAL = 0x4000 };
enum { OF_A_PROCESS = 1 /* ioprio_set */ };
enum { /* prctl */
    KEEP_PERMITTED = 8, READ_BOUNDING = 23, DROP_BOUNDING = 24, NO_NEW_PRIVILEGES = 38, AMBIENT = 47, RAISE = 2,
};

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
        char stage[20];
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
static uint64_t next_number(const char **text)
{
    uint64_t number = 0;
    while (**text >= '0' && **text <= '9')
        number = number * 10 + (uint64_t)(*(*text)++ - '0');
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
    uint32_t uid = (uint32_t)next_number(&ids), gid = (uint32_t)next_number(&ids), got[3];
    size_t count = 0;
    long r;
    while (*ids && count < MOST_GROUPS)
        groups[count++] = (uint32_t)next_number(&ids);
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

static long set_scheduler(const char *numbers)
{
    long policy = (long)next_number(&numbers);
    int32_t priority = (int32_t)next_number(&numbers);
    return sys(sched_setscheduler, 0, policy, &priority);
}

/* The kernel leaves out processors that are not there or not allowed, and says nothing. */
static long set_affinity(const char *numbers)
{
    static uint64_t wanted[MOST_PROCESSORS / 64], granted[MOST_PROCESSORS / 64];
    while (*numbers) {
        uint64_t processor = next_number(&numbers);
        if (processor >= MOST_PROCESSORS)
            return -INVALID;
        wanted[processor / 64] |= 1ULL << processor % 64;
    }
    long r = sys(sched_setaffinity, 0, sizeof wanted, wanted);
    if (r < 0 || (r = sys(sched_getaffinity, 0, sizeof granted, granted)) < 0)
        return r;
    for (size_t i = 0; i < MOST_PROCESSORS / 64; i++)
        if (wanted[i] != granted[i])
            return -INVALID;
    return 0;
}

static long set_io_priority(const char *numbers)
{
    return sys(ioprio_set, OF_A_PROCESS, 0, next_number(&numbers));
}

/* Take from the bounding and inheritable sets all but some: with exec the permitted set of root comes from these, and
 * that of everybody else from these and the ambient set, which can be raised when the ids are changed. */
static long limit_capabilities(const char *numbers)
{
    uint64_t keep = next_number(&numbers), ambient = next_number(&numbers);
    struct {
        uint32_t version;
        int32_t pid;
    } header = {.version = 0x20080522};
    struct {
        uint32_t effective, permitted, inheritable;
    } sets[2] = {0};
    long r;
    for (int number = 0; number < 64 && (r = sys(prctl, READ_BOUNDING, number)) >= 0; number++)
        if (r == 1 && !(keep >> number & 1) && (r = sys(prctl, DROP_BOUNDING, number)) < 0)
            return r;
    if ((r = sys(capget, &header, sets)) < 0)
        return r;
    for (int half = 0; half < 2; half++) {
        sets[half].inheritable &= (uint32_t)(keep >> 32 * half);
        sets[half].inheritable |= (uint32_t)(ambient >> 32 * half);
    }
    r = sys(capset, &header, sets);
    return r < 0 || !ambient ? r : sys(prctl, KEEP_PERMITTED, 1);
}

static long raise_ambient(const char *numbers)
{
    uint64_t ambient = next_number(&numbers);
    long r = 0;
    for (int number = 0; number < 64 && r >= 0; number++)
        if (ambient >> number & 1)
            r = sys(prctl, AMBIENT, RAISE, number);
    return r;
}

static long forbid_new_privileges(const char *numbers)
{
    (void)numbers;
    return sys(prctl, NO_NEW_PRIVILEGES, 1);
}

static const struct {
    const char *name, *stage;
    long (*set)(const char *numbers);
} ATTRIBUTES[] = {
    {"scheduler", "scheduler", set_scheduler},
    {"cpu_affinity", "cpu_affinity", set_affinity},
    {"io_priority", "io_priority", set_io_priority},
    {"capabilities", "capabilities", limit_capabilities},
    {"ids", "ids", become},
    {"ambient", "capabilities", raise_ambient},
    {"no_new_privileges", "no_new_privileges", forbid_new_privileges},
};

/* What follows the name at the beginning of a text; NULL when it begins otherwise. */
static const char *after(const char *text, const char *name)
{
    while (*name)
        if (*text++ != *name++)
            return NULL;
    return text;
}

/* Set what "NAME NUMBER..." says; "NAME? NUMBER..." may be refused. */
static void set_attribute(const char *text)
{
    for (size_t i = 0; i < sizeof ATTRIBUTES / sizeof *ATTRIBUTES; i++) {
        const char *numbers = after(text, ATTRIBUTES[i].name);
        if (numbers == NULL)
            continue;
        int is_optional = *numbers == '?';
        numbers += is_optional;
        long r = ATTRIBUTES[i].set(*numbers ? numbers + 1 : numbers);
        if (is_optional && r < 0)
            tell(ATTRIBUTES[i].stage, r);
        else
            check(ATTRIBUTES[i].stage, r);
        return;
    }
    check("exec", -INVALID); /* the supervisor and the shim are of two versions */
}

/* The stack as the kernel leaves it: argc, argv, NULL, envp, NULL. */
void __attribute__((noreturn, used)) begin(char **stack)
{
    long argc = (long)stack[0];
    char **argv = stack + 1, **envp = argv + argc + 1, **next = argv + 2;

    if (argc < 5)
        leave(FAILED);
    const char *number = argv[1];
    gate = (long)next_number(&number);
    check("gate", sys(fcntl, gate, SET_FLAGS, 1));
    wait_at_gate();
    for (; **next; next++)
        check("cgroup", join(*next));
    for (next++; **next; next++)
        set_attribute(*next);
    tell("exec", 0);
    check("exec", sys(execve, next[1], next + 2, envp));
    leave(FAILED);
}
