/* Processes with a number of one's choice, fast enough for tens of thousands.
 *
 * clone3(2) with CLONE_VM: nothing is copied, which makes a process of some 30 us where a fork of Python takes 400.
 * The new process blocks all signals, leads a session of its own, holds no descriptor, and pauses, exits or executes a
 * program. A signal sent to it stays pending, where /proc/PID/status shows it: no handler, no race, nothing missed.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/futex.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { STACK_SIZE = 8192, LIVING_AT_ONCE = 64, NEVER = -1 };

struct life {
    char **program; /* to execute, with the environment; or a null pointer */
    char **environment;
    int exit_code; /* exit at once with it, or NEVER: pause */
    volatile int settled; /* a futex */
};

/* Raw calls only: with CLONE_VM libc's thread-local errno is the parent's. The fourth argument is always 0. */
static long call(long number, long a, long b, long c)
{
    long result;
#if defined(__x86_64__)
    register long fourth asm("r10") = 0;
    asm volatile("syscall"
                 : "=a"(result)
                 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(fourth)
                 : "rcx", "r11", "memory");
#else
    result = syscall(number, a, b, c, 0);
#endif
    return result;
}

static void live(struct life *life)
{
    char **program = life->program, **environment = life->environment;
    int exit_code = life->exit_code;
    call(SYS_setsid, 0, 0, 0);
    call(SYS_close_range, 0, ~0u, 0);
    life->settled = 1; /* the last use: it is on the parent's stack, so the wake-up may come to nobody */
    call(SYS_futex, (long)&life->settled, FUTEX_WAKE_PRIVATE, 1);
    if (program) {
        call(SYS_execve, (long)program[0], (long)program, (long)environment);
        call(SYS_exit_group, 127, 0, 0);
    }
    if (exit_code != NEVER)
        call(SYS_exit_group, exit_code, 0, 0);
    for (;;)
        call(SYS_ppoll, 0, 0, 0);
}

static long clone_and_live(struct clone_args *how, struct life *life)
{
#if defined(__x86_64__)
    static char stacks[LIVING_AT_ONCE][STACK_SIZE] __attribute__((aligned(16)));
    static unsigned next;
    long result;
    how->flags |= CLONE_VM;
    how->stack = (uintptr_t)stacks[next++ % LIVING_AT_ONCE];
    how->stack_size = STACK_SIZE;
    register void *function asm("r12") = (void *)live;
    register void *argument asm("r13") = life;
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
#else
    long result = syscall(SYS_clone3, how, sizeof *how);
    if (result == 0)
        live(life);
    life->settled = 1; /* a copy of it is the child's */
    return result < 0 ? -errno : result;
#endif
}

/* Make a process.
 *
 * wanted: its number, or 0 for any. Needs CAP_SYS_ADMIN or CAP_CHECKPOINT_RESTORE in the namespace; -EEXIST if taken.
 * sibling: a child of our parent, no relation of ours; else our child.
 * pidfd: where to put its pidfd.
 * Returns its number, or -errno. With a program it returns when that runs, or could not be run; it exits with 127 then.
 */
int forced_spawn(int wanted, int sibling, int exit_code, char **program, char **environment, int *pidfd)
{
    struct life life = { program, environment, exit_code, 0 };
    pid_t tid = wanted;
    struct clone_args how = {
        .flags = CLONE_PIDFD | (sibling ? CLONE_PARENT : 0) | (program ? CLONE_VFORK : 0),
        .pidfd = (uintptr_t)pidfd,
        .exit_signal = sibling ? 0 : SIGCHLD, /* a sibling's is ours */
        .set_tid = wanted ? (uintptr_t)&tid : 0,
        .set_tid_size = wanted ? 1 : 0,
    };
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    long pid = clone_and_live(&how, &life);
    while (pid > 0 && !life.settled) /* asleep: a loop with sched_yield(2) costs a tick when the CPU is shared */
        syscall(SYS_futex, &life.settled, FUTEX_WAIT_PRIVATE, 0, 0);
    pthread_sigmask(SIG_SETMASK, &before, 0);
    return (int)pid;
}
