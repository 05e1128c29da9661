/* What a small C helper buys a Python supervisor: the spawn of floor.c for the Python floor, called by ctypes and so
 * without the interpreter lock. Not pidward's own spawner; that one is in native/. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

enum { STACK_SIZE = 16384 };

/* One spawn: what to run and where, then who it became. cgroup is a directory descriptor, or -1. */
struct request {
    const char *path;
    char **arguments, **environment;
    int in, out, error, cgroup;
    int pid, pidfd; /* results; pid is -errno when it failed */
};

/* First of three reserved low descriptors, or -1. With them the child shares the descriptor table, and leaves it with
 * close_range(CLOSE_RANGE_UNSHARE) above them, so the many descriptors of the supervisor are never copied. */
static int reserved = -1;

void fastspawn_reserve(int first)
{
    reserved = first;
}

static void run(struct request *request)
{
    int in = request->in, out = request->out, error = request->error;
    if (reserved >= 0) {
        if (syscall(SYS_close_range, (unsigned)reserved + 3, ~0u, CLOSE_RANGE_UNSHARE))
            _exit(126);
        in = reserved, out = reserved + 1, error = reserved + 2;
    }
    setsid();
    dup2(in, 0);
    dup2(out, 1);
    dup2(error, 2);
    execve(request->path, request->arguments, request->environment);
    _exit(127);
}

/* clone3 with CLONE_VM needs a stack of its own for the child, which calls run() on it and never comes back. */
static long clone_and_run(struct clone_args *how, struct request *request)
{
    long result;
    register void *function asm("r12") = (void *)run;
    register void *argument asm("r13") = request;
    asm volatile("syscall\n\t"
                 "test %%rax, %%rax\n\t"
                 "jnz 1f\n\t"
                 "xor %%ebp, %%ebp\n\t"
                 "mov %%r13, %%rdi\n\t"
                 "call *%%r12\n\t"
                 "hlt\n"
                 "1:"
                 : "=a"(result)
                 : "a"(SYS_clone3), "D"(how), "S"(sizeof *how), "r"(function), "r"(argument)
                 : "rcx", "r11", "memory");
    return result;
}

static void spawn_one(struct request *request, char *stack, int poller)
{
    int pidfd = -1;
    struct clone_args how = {
        .flags = CLONE_VM | CLONE_VFORK | CLONE_PIDFD,
        .pidfd = (uintptr_t)&pidfd,
        .exit_signal = SIGCHLD,
        .stack = (uintptr_t)stack,
        .stack_size = STACK_SIZE,
    };
    if (request->cgroup >= 0) {
        how.flags |= CLONE_INTO_CGROUP;
        how.cgroup = (uint64_t)request->cgroup;
    }
    if (reserved >= 0) {
        how.flags |= CLONE_FILES;
        dup3(request->in, reserved, O_CLOEXEC);
        dup3(request->out, reserved + 1, O_CLOEXEC);
        dup3(request->error, reserved + 2, O_CLOEXEC);
    }
    long pid = clone_and_run(&how, request);
    request->pid = (int)pid; /* the raw system call: already -errno */
    request->pidfd = pidfd;
    if (pid > 0) {
        struct epoll_event event = { .events = EPOLLIN, .data.u64 = (uint32_t)pidfd };
        epoll_ctl(poller, EPOLL_CTL_ADD, pidfd, &event);
    }
}

/* Spawn a batch, and have every new pidfd watched by the epoll descriptor. */
void fastspawn_spawn(struct request *requests, int count, int poller)
{
    char stack[STACK_SIZE] __attribute__((aligned(16)));
    for (int i = 0; i < count; i++)
        spawn_one(&requests[i], stack, poller);
}

/* Reap a batch of the dead, and spawn each again. */
void fastspawn_respawn(struct request *requests, int count, int poller)
{
    siginfo_t info;
    for (int i = 0; i < count; i++) {
        waitid(P_PIDFD, (id_t)requests[i].pidfd, &info, WEXITED);
        close(requests[i].pidfd);
    }
    fastspawn_spawn(requests, count, poller);
}
