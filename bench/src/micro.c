/* Where the time of the floor goes, step by step, in microseconds.
 *
 *   micro WORKER FIFO CGROUP|- REPEATS
 *
 * CGROUP is the directory of a cgroup v2 of one's own, "-" leaves out the ways that need one.
 * GAP_MS in the environment: rest so long before each step (caches get cold, as in real life).
 * BALLAST_MB: so much memory in use, which every fork must describe to the kernel.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

enum { STACK_SIZE = 1 << 16 };

/* As in worker.c. */
struct record { uint32_t magic, pid, id, kind; uint64_t time_ns; uint32_t parent, extra; };

extern char **environ;
static char *command[4];
static int records, cgroup = -1, procs_file = -1, repeats;
static long gap_ms;
static char stack[STACK_SIZE] __attribute__((aligned(16)));

static double now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_RAW, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static double wait_started_us(void)
{
    struct record record;
    while (read(records, &record, sizeof record) != sizeof record)
        ;
    return (double)record.time_ns / 1e3;
}

static int compare(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

static void show(const char *what, double *samples)
{
    size_t count = (size_t)repeats;
    qsort(samples, count, sizeof *samples, compare);
    printf("%-60s p50 %8.1f  p95 %8.1f  min %8.1f us\n", what, samples[count / 2], samples[count * 95 / 100], samples[0]);
    fflush(stdout);
}

static int execute(void *in_new_session)
{
    if (in_new_session)
        setsid();
    execv(command[0], command);
    _exit(127);
}

/* Ways to start the worker. Each returns its pid; a pidfd is opened by the caller where one is needed. */

static pid_t by_fork(void)
{
    pid_t pid = fork();
    return pid ? pid : execute(0);
}

static pid_t by_vfork(void)
{
    pid_t pid = vfork();
    if (pid == 0) {
        execv(command[0], command);
        _exit(127);
    }
    return pid;
}

static pid_t by_clone(void)
{
    return clone(execute, stack + STACK_SIZE, CLONE_VM | CLONE_VFORK | SIGCHLD, 0);
}

static pid_t by_clone_and_setsid(void)
{
    return clone(execute, stack + STACK_SIZE, CLONE_VM | CLONE_VFORK | SIGCHLD, (void *)1);
}

static pid_t by_posix_spawn(void)
{
    pid_t pid;
    return posix_spawn(&pid, command[0], 0, 0, command, environ) ? -1 : pid;
}

static pid_t by_writing_cgroup_procs(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        if (write(procs_file, "0", 1) != 1)
            _exit(126);
        execute(0);
    }
    return pid;
}

/* Memory is copied as by fork, but the parent waits as for vfork. */
static pid_t by_clone3_into_cgroup(void)
{
    struct clone_args how = { .flags = CLONE_VFORK | CLONE_INTO_CGROUP, .exit_signal = SIGCHLD };
    how.cgroup = (uint64_t)cgroup;
    pid_t pid = (pid_t)syscall(SYS_clone3, &how, sizeof how);
    return pid ? pid : execute(0);
}

/* With CLONE_VM the child needs a stack of its own, on which it calls execute() and never returns. */
static pid_t by_clone3_vm_into_cgroup(void)
{
    struct clone_args how = { .flags = CLONE_VM | CLONE_VFORK | CLONE_INTO_CGROUP, .exit_signal = SIGCHLD };
    how.cgroup = (uint64_t)cgroup;
    how.stack = (uintptr_t)stack;
    how.stack_size = STACK_SIZE;
    register void *function asm("r12") = (void *)execute;
    long result;
    asm volatile("syscall\n\t"
                 "test %%rax, %%rax\n\t"
                 "jnz 1f\n\t"
                 "xor %%ebp, %%ebp\n\t"
                 "xor %%edi, %%edi\n\t"
                 "call *%%r12\n\t"
                 "hlt\n"
                 "1:"
                 : "=a"(result)
                 : "a"(SYS_clone3), "D"(&how), "S"(sizeof how), "r"(function)
                 : "rcx", "r11", "memory");
    return (pid_t)result;
}

static const struct way {
    const char *name;
    pid_t (*spawn)(void);
    int needs_cgroup;
} ways[] = {
    { "fork", by_fork, 0 },
    { "vfork", by_vfork, 0 },
    { "clone(VM, VFORK)", by_clone, 0 },
    { "clone(VM, VFORK), setsid", by_clone_and_setsid, 0 },
    { "posix_spawn", by_posix_spawn, 0 },
    { "fork, child writes cgroup.procs", by_writing_cgroup_procs, 1 },
    { "clone3(VFORK, INTO_CGROUP)", by_clone3_into_cgroup, 1 },
    { "clone3(VM, VFORK, INTO_CGROUP)", by_clone3_vm_into_cgroup, 1 },
};

static int open_pidfd(pid_t pid)
{
    return (int)syscall(SYS_pidfd_open, pid, 0);
}

static void kill_by(int pidfd)
{
    syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, 0, 0);
}

static void reap(int pidfd)
{
    siginfo_t info;
    waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED);
    close(pidfd);
}

static void measure_spawn(const struct way *way, double *samples)
{
    char what[128];
    for (int i = 0; i < repeats; i++) {
        usleep((useconds_t)(gap_ms * 1000));
        double before = now_us();
        pid_t pid = way->spawn();
        if (pid < 0) {
            printf("%s: %s\n", way->name, strerror(errno));
            return;
        }
        samples[i] = wait_started_us() - before;
        int pidfd = open_pidfd(pid);
        kill_by(pidfd);
        reap(pidfd);
    }
    snprintf(what, sizeof what, "spawn to first instruction: %s", way->name);
    show(what, samples);
}

static void measure_pidfd(double *noticed, double *reaped)
{
    int poller = epoll_create1(EPOLL_CLOEXEC);
    for (int i = 0; i < repeats; i++) {
        int pidfd = open_pidfd(by_clone());
        wait_started_us();
        struct epoll_event event = { .events = EPOLLIN };
        epoll_ctl(poller, EPOLL_CTL_ADD, pidfd, &event);
        usleep((useconds_t)(gap_ms * 1000));
        double before = now_us();
        kill_by(pidfd);
        epoll_wait(poller, &event, 1, -1);
        double between = now_us();
        reap(pidfd);
        noticed[i] = between - before;
        reaped[i] = now_us() - between;
    }
    show("kill to return of epoll_wait on the pidfd", noticed);
    show("waitid(P_PIDFD)", reaped);
}

static void measure_signalfd(double *noticed)
{
    struct signalfd_siginfo info;
    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child, 0);
    int signals = signalfd(-1, &child, SFD_CLOEXEC);
    for (int i = 0; i < repeats; i++) {
        int pidfd = open_pidfd(by_clone());
        wait_started_us();
        usleep((useconds_t)(gap_ms * 1000));
        double before = now_us();
        kill_by(pidfd);
        if (read(signals, &info, sizeof info) < 0)
            exit(1);
        noticed[i] = now_us() - before;
        reap(pidfd);
    }
    show("kill to return of read on a signalfd of SIGCHLD", noticed);
}

static void take_ballast(size_t megabytes)
{
    size_t size = megabytes << 20;
    void *memory = mmap(0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory != MAP_FAILED)
        memset(memory, 1, size);
}

int main(int count, char **arguments)
{
    if (count != 5) {
        fprintf(stderr, "usage: micro WORKER FIFO CGROUP|- REPEATS\n");
        return 64;
    }
    command[0] = arguments[1];
    command[1] = arguments[2];
    command[2] = "1";
    records = open(arguments[2], O_RDWR | O_CLOEXEC);
    if (strcmp(arguments[3], "-") != 0) {
        cgroup = open(arguments[3], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        procs_file = openat(cgroup, "cgroup.procs", O_WRONLY | O_CLOEXEC);
    }
    repeats = atoi(arguments[4]);
    gap_ms = getenv("GAP_MS") ? atol(getenv("GAP_MS")) : 0;
    if (getenv("BALLAST_MB"))
        take_ballast((size_t)atol(getenv("BALLAST_MB")));
    double *first = calloc((size_t)repeats + 1, sizeof *first), *second = calloc((size_t)repeats + 1, sizeof *second);
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++)
        if (cgroup >= 0 || !ways[i].needs_cgroup)
            measure_spawn(&ways[i], first);
    measure_pidfd(first, second);
    measure_signalfd(first);
    return 0;
}
