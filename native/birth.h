/* The birth of a process: clone3 without a copy of memory or descriptor table, and what the child does until execve.
 *
 * The child shares the caller's memory and stops the calling thread until it execs or exits, so it may do only what
 * changes the child alone: its descriptor table (its own after close_range), its working directory and umask
 * (CLONE_FS is not given), its session, limits, niceness and oom score. Never ids or capabilities: a process with
 * other rights must not share our memory. The shim does those.
 */
#ifndef PIDWARD_BIRTH_H
#define PIDWARD_BIRTH_H

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "sys.h"

enum {
    CLONE_VM_ = 0x100,
    CLONE_FILES_ = 0x400,
    CLONE_PIDFD_ = 0x1000,
    CLONE_VFORK_ = 0x4000,
    CLOSE_RANGE_UNSHARE_ = 2,
    WAIT_BY_PIDFD = 3,
    WAIT_EXITED = 4,
    SIGNALS = 64,
    SIGNAL_SET_SIZE = 8,
    SET_MASK = 2,
    CHILD_ENDED = 17, /* SIGCHLD */
    CHILD_STACK = 16384,
    O_PATH_ = 010000000,
    DIGITS = 20, /* of the largest number of 64 bits */
};
#define CLONE_CLEAR_SIGHAND_ (1ULL << 32)
#define CLONE_INTO_CGROUP_ (1ULL << 33)

enum refusable { LIMITS, NICE, OOM_SCORE_ADJ, REFUSABLE };

enum gate { NO_GATE, OPEN_GATE, CLOSED_GATE };

struct limit {
    int resource;
    uint64_t value[2]; /* soft, hard; as prlimit64 takes them */
};

/* One of ours that the child has under a number of its own. */
struct passed {
    int number, source;
};

/* What to start; NULL where a string is not wanted. Prepared once, used for every start. */
struct plan {
    const char *path;
    char **argv, **envp;
    const char *input, *output, *error;
    const char *cwd, *cgroup, *oom_score_adj;
    int umask, has_nice, nice;
    size_t limit_count;
    struct limit *limits;
    size_t passed_count;
    struct passed *passed;
    char *invocation;                       /* 32 characters inside envp that are new for each start */
    char *listen_pid, *watchdog_pid, *inode; /* numbers inside envp that only the child knows; room for DIGITS */
    enum gate gate;
    int gate_number;   /* where the shim finds its end of the gate */
    unsigned optional; /* bits of enum refusable: go on without what is refused */
};

/* One start. `stage` and `error` are written by the child too, through the shared memory. */
struct birth {
    const struct plan *plan;
    uint64_t ignored; /* signals to set back to their default */
    int reserved;     /* the descriptor that carries a gate into the child; -1: this one has none */
    const char *stage;
    int error;
    int refused[REFUSABLE]; /* errno of what it goes on without */
    int pid, pidfd, gate;
};

/* The descriptors that stand ready for gates: a low number, and what rests there between two uses. */
struct reserve {
    int number, placeholder;
};

struct kernel_sigaction {
    uint64_t handler, flags, restorer, mask;
};

struct kernel_clone_args {
    uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size, cgroup;
};

/* ------------------------------------------------------------------------------------------------ in the child */

/* Leave the shared descriptor table for a new one that holds nothing but the gate. Descriptors above the start of
 * the range are never copied, so this does not depend on how many the caller has. */
static long own_descriptors(int reserved, int gate_number)
{
    long r = sys(close_range, (unsigned)reserved + 1, ~0U, CLOSE_RANGE_UNSHARE_);
    if (r < 0 || reserved < 0)
        return r;
    r = sys(close_range, 0, reserved - 1);
    if (r < 0)
        return r;
    return reserved == gate_number ? sys(fcntl, reserved, F_SETFD, 0) : sys(dup3, reserved, gate_number);
}

static int larger(int a, int b)
{
    return a > b ? a : b;
}

/* The same for a child that is given some of ours. All are first copied to numbers above every number that plays a
 * part, and then down to where they belong, so that none can fall on one that is still needed. */
static long own_and_passed(const struct plan *p, int reserved)
{
    const struct passed *end = p->passed + p->passed_count;
    int above = larger(reserved, p->gate_number);
    for (const struct passed *one = p->passed; one < end; one++)
        above = larger(above, larger(one->number, one->source));
    above++;

    int copy = above;
    long r = sys(close_range, above, ~0U, CLOSE_RANGE_UNSHARE_);
    for (const struct passed *one = p->passed; one < end && r >= 0; one++)
        r = sys(dup3, one->source, copy++, O_CLOEXEC);
    if (reserved >= 0 && r >= 0)
        r = sys(dup3, reserved, copy, O_CLOEXEC);
    if (r >= 0)
        r = sys(close_range, 0, above - 1);
    copy = above;
    for (const struct passed *one = p->passed; one < end && r >= 0; one++)
        r = sys(dup3, copy++, one->number);
    if (reserved >= 0 && r >= 0)
        r = sys(dup3, copy, p->gate_number);
    return r; /* exec closes the copies */
}

/* Write a number as text; `text` has room for DIGITS and the end. */
static void put_number(char *text, uint64_t value)
{
    char digits[DIGITS];
    int count = 0;
    do
        digits[count++] = (char)('0' + value % 10);
    while (value /= 10);
    while (count > 0)
        *text++ = digits[--count];
    *text = 0;
}

/* The environment is ours alone as long as this start lasts. The pidfd, whose inode is our identity, is still in the
 * table that we share. */
static void name_ourselves(const struct birth *b)
{
    const struct plan *p = b->plan;
    struct stat status;
    if (p->listen_pid)
        put_number(p->listen_pid, (uint64_t)sys(getpid, 0));
    if (p->watchdog_pid)
        put_number(p->watchdog_pid, (uint64_t)sys(getpid, 0));
    if (p->inode && sys(fstat, b->pidfd, &status) == 0)
        put_number(p->inode, status.st_ino);
}

/* The lowest free number is the right one, as 0, 1 and 2 are opened in order. A FIFO without a partner would stop the
 * child, and us with it, for ever: hence O_NONBLOCK during the open. A FIFO for output is held as reader, too: should
 * all other readers die, its writer goes on, and is not ended by SIGPIPE. */
static long open_stream(const char *path, int flags)
{
    struct stat found;
    if (!*path) /* it is one of those that were passed */
        return 0;
    long fd = sys(openat, AT_FDCWD, path, flags | O_NOCTTY | O_NONBLOCK, 0640);
    if (fd >= 0 && flags & O_WRONLY && sys(fstat, fd, &found) == 0 && S_ISFIFO(found.st_mode)) {
        sys(close, fd);
        fd = sys(openat, AT_FDCWD, path, O_RDWR | O_APPEND | O_NOCTTY | O_NONBLOCK, 0);
    }
    return fd < 0 ? fd : sys(fcntl, fd, F_SETFL, flags & O_APPEND);
}

/* All that can be set; the first refusal is the answer. */
static long set_limits(const struct plan *p)
{
    long answer = 0;
    for (size_t i = 0; i < p->limit_count; i++) {
        long r = sys(prlimit64, 0, p->limits[i].resource, p->limits[i].value);
        if (r < 0 && answer == 0)
            answer = r;
    }
    return answer;
}

/* The kernel gives a vfork child an oom score of its own although it shares our memory. */
static long set_oom_score_adj(const char *value)
{
    size_t length = 0;
    while (value[length])
        length++;
    long fd = sys(openat, AT_FDCWD, "/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return fd;
    long r = sys(write, fd, value, length);
    sys(close, fd);
    return r;
}

/* Handlers are gone by CLONE_CLEAR_SIGHAND, which leaves ignored signals ignored (Python ignores SIGPIPE). */
static void clean_signals(uint64_t ignored)
{
    static const struct kernel_sigaction normal;
    static const uint64_t none;
    for (int number = 1; number <= SIGNALS; number++)
        if (ignored >> (number - 1) & 1)
            sys(rt_sigaction, number, &normal, 0, SIGNAL_SET_SIZE);
    sys(rt_sigprocmask, SET_MASK, &none, 0, SIGNAL_SET_SIZE);
}

#define STEP(name, call)      \
    do {                      \
        b->stage = name;      \
        if ((r = (call)) < 0) \
            goto failed;      \
    } while (0)

#define OPTIONAL_STEP(which, name, call)             \
    do {                                             \
        b->stage = name;                             \
        if ((r = (call)) < 0) {                      \
            if ((p->optional >> (which) & 1) == 0)   \
                goto failed;                         \
            b->refused[which] = (int)-r;             \
        }                                            \
    } while (0)

static void __attribute__((noreturn)) child(void *arg)
{
    struct birth *b = arg;
    const struct plan *p = b->plan;
    const int append = O_WRONLY | O_APPEND | O_CREAT;
    long r;

    name_ourselves(b);
    if (p->passed_count)
        STEP("descriptors", own_and_passed(p, b->reserved));
    else
        STEP("clone", own_descriptors(b->reserved, p->gate_number));
    STEP("stdin", open_stream(p->input, O_RDONLY));
    STEP("stdout", open_stream(p->output, append));
    STEP("stderr", open_stream(p->error, append));
    STEP("session", sys(setsid, 0));
    if (p->cwd)
        STEP("cwd", sys(chdir, p->cwd));
    sys(umask, p->umask);
    OPTIONAL_STEP(LIMITS, "limits", set_limits(p));
    if (p->has_nice)
        OPTIONAL_STEP(NICE, "nice", sys(setpriority, 0, 0, p->nice));
    if (p->oom_score_adj)
        OPTIONAL_STEP(OOM_SCORE_ADJ, "oom_score_adj", set_oom_score_adj(p->oom_score_adj));
    clean_signals(b->ignored);
    STEP("exec", sys(execve, p->path, p->argv, p->envp));
failed:
    b->error = (int)-r;
    for (;;)
        sys(exit_group, 127);
}

/* ----------------------------------------------------------------------------------------------- in the parent */

/* clone3 whose child calls run(with) on its own stack and never comes back here. */
static long clone_child(struct kernel_clone_args *args, void (*run)(void *), void *with)
{
#if defined(__x86_64__)
    long result;
    __asm__ volatile("syscall\n\t"
                     "test %%rax, %%rax\n\t"
                     "jnz 1f\n\t"
                     "mov %[with], %%rdi\n\t"
                     "mov %[run], %%rax\n\t"
                     "xor %%ebp, %%ebp\n\t"
                     "call *%%rax\n\t"
                     "ud2\n"
                     "1:"
                     : "=a"(result)
                     : "0"((long)NR_clone3), "D"(args), "S"(sizeof *args), [run] "r"(run), [with] "r"(with)
                     : "rcx", "r11", "memory", "cc");
    return result;
#else
    register long x8 __asm__("x8") = NR_clone3;
    register long x0 __asm__("x0") = (long)args;
    register long x1 __asm__("x1") = sizeof *args;
    register void (*x9)(void *) __asm__("x9") = run;
    register void *x10 __asm__("x10") = with;
    __asm__ volatile("svc #0\n\t"
                     "cbnz x0, 1f\n\t"
                     "mov x29, xzr\n\t"
                     "mov x0, x10\n\t"
                     "blr x9\n\t"
                     "brk #1\n"
                     "1:"
                     : "+r"(x0)
                     : "r"(x8), "r"(x1), "r"(x9), "r"(x10)
                     : "memory", "cc");
    return x0;
#endif
}

/* 64 calls, about 10 us: to be asked once, not for each start. */
static uint64_t ignored_signals(void)
{
    struct kernel_sigaction now;
    uint64_t ignored = 0;
    for (int number = 1; number <= SIGNALS; number++)
        if (sys(rt_sigaction, number, 0, &now, SIGNAL_SET_SIZE) == 0 && now.handler == 1)
            ignored |= 1ULL << (number - 1);
    return ignored;
}

static void renew_invocation(char *text)
{
    unsigned char random[16];
    while (sys(getrandom, random, sizeof random, 0) != sizeof random)
        ;
    for (int i = 0; i < 16; i++) {
        text[2 * i] = "0123456789abcdef"[random[i] >> 4];
        text[2 * i + 1] = "0123456789abcdef"[random[i] & 15];
    }
}

/* Nothing was born. A shortage is always "clone", whatever ran short: trying again later may help. */
static void not_born(struct birth *b, const char *stage, long result)
{
    b->error = (int)-result;
    int shortage = b->error == EAGAIN || b->error == ENOMEM || b->error == EMFILE || b->error == ENFILE;
    b->stage = shortage ? "clone" : stage;
}

/* What clone3 says about the cgroup it was given: gone, not ours, or not to hold processes. */
static int is_about_cgroup(long result)
{
    return result == -ENODEV || result == -EACCES || result == -EBUSY || result == -EBADF || result == -EOPNOTSUPP;
}

static void clone_into(struct birth *b, int cgroup, char *stack)
{
    struct kernel_clone_args args = {
        .flags = CLONE_VM_ | CLONE_VFORK_ | CLONE_PIDFD_ | CLONE_FILES_ | CLONE_CLEAR_SIGHAND_,
        .pidfd = (uint64_t)(uintptr_t)&b->pidfd,
        .exit_signal = CHILD_ENDED,
        .stack = (uint64_t)(uintptr_t)stack,
        .stack_size = CHILD_STACK,
    };
    if (cgroup >= 0) {
        args.flags |= CLONE_INTO_CGROUP_;
        args.cgroup = (uint64_t)cgroup;
    }
    long pid = clone_child(&args, child, b);
    if (pid < 0) {
        not_born(b, cgroup >= 0 && is_about_cgroup(pid) ? "cgroup" : "clone", pid);
    } else if (b->error) {
        sys(waitid, WAIT_BY_PIDFD, b->pidfd, 0, WAIT_EXITED);
        sys(close, b->pidfd);
    } else {
        b->pid = (int)pid;
    }
}

/* Start one whose stack for the child is given; every signal of this thread is blocked. */
static void bear(struct birth *b, char *stack)
{
    long cgroup = -1;
    if (b->plan->cgroup) {
        cgroup = sys(openat, AT_FDCWD, b->plan->cgroup, O_PATH_ | O_DIRECTORY | O_CLOEXEC);
        if (cgroup < 0) {
            not_born(b, "cgroup", cgroup);
            return;
        }
    }
    if (b->plan->invocation)
        renew_invocation(b->plan->invocation);
    clone_into(b, (int)cgroup, stack);
    if (cgroup >= 0)
        sys(close, cgroup);
}

/* A message socket: ours stays, the child's end lies on the reserved number while the child is made. */
static long raise_gate(struct birth *b, const struct reserve *reserve)
{
    int pair[2];
    long r = sys(socketpair, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair);
    if (r < 0)
        return r;
    sys(fcntl, pair[0], F_SETFL, O_NONBLOCK);
    if (b->plan->gate == OPEN_GATE)
        sys(write, pair[0], "", 1);
    r = sys(dup3, pair[1], reserve->number, O_CLOEXEC);
    sys(close, pair[1]);
    if (r < 0) {
        sys(close, pair[0]);
        return r;
    }
    b->gate = pair[0];
    b->reserved = reserve->number;
    return 0;
}

static pthread_mutex_t gate_lock = PTHREAD_MUTEX_INITIALIZER;

/* One gate at a time, as there is one reserved number. */
static void bear_gated(struct birth *b, const struct reserve *reserve, char *stack)
{
    pthread_mutex_lock(&gate_lock);
    long r = raise_gate(b, reserve);
    if (r < 0) {
        not_born(b, "gate", r);
    } else {
        bear(b, stack);
        sys(dup3, reserve->placeholder, reserve->number, O_CLOEXEC);
        if (b->error)
            sys(close, b->gate);
    }
    pthread_mutex_unlock(&gate_lock);
}

struct batch {
    struct birth *births;
    size_t count, next;
    uint64_t ignored;
    struct reserve reserve;
};

/* Take the next of the batch until none is left; several threads may. */
static void *bear_all(void *arg)
{
    struct batch *batch = arg;
    char stack[CHILD_STACK] __attribute__((aligned(16)));
    size_t i;
    while ((i = __atomic_fetch_add(&batch->next, 1, __ATOMIC_RELAXED)) < batch->count) {
        struct birth *b = &batch->births[i];
        if (b->plan->gate == NO_GATE)
            bear(b, stack);
        else
            bear_gated(b, &batch->reserve, stack);
    }
    return NULL;
}

enum granted { CAN_SPAWN = 1, CAN_PLACE = 2 };

/* What the kernel, or a filter in front of it, lets us do, by calls that are known by the way they are refused. */
static int granted(void)
{
    struct kernel_clone_args nowhere = {.flags = CLONE_INTO_CGROUP_, .exit_signal = CHILD_ENDED, .cgroup = INT32_MAX};
    int can = 0;
    if (sys(clone3, 0, 0) == -EINVAL && sys(close_range, 1, 0) == -EINVAL)
        can |= CAN_SPAWN;
    if (sys(clone3, &nowhere, sizeof nowhere) == -EBADF)
        can |= CAN_PLACE;
    return can;
}

enum { MOST_THREADS = 8 };

/* Start a whole batch. All signals are blocked meanwhile, also those that libc keeps for itself: a handler must not
 * run in a child that shares our memory. Helpers inherit that mask; fewer of them is no error. */
static void bear_batch(struct batch *batch, int threads)
{
    pthread_t helpers[MOST_THREADS];
    int started = 0;
    uint64_t all = ~0ULL, before;

    for (size_t i = 0; i < batch->count; i++) {
        struct birth *b = &batch->births[i];
        b->ignored = batch->ignored;
        b->pid = b->pidfd = b->gate = b->reserved = -1;
    }
    sys(rt_sigprocmask, SET_MASK, &all, &before, SIGNAL_SET_SIZE);
    while (started < threads - 1 && started < MOST_THREADS)
        if (pthread_create(&helpers[started], NULL, bear_all, batch) == 0)
            started++;
        else
            break;
    bear_all(batch);
    while (started > 0)
        pthread_join(helpers[--started], NULL);
    sys(rt_sigprocmask, SET_MASK, &before, 0, SIGNAL_SET_SIZE);
}

#endif
