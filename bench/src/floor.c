/* The physical floor: the least that a supervisor can do. Epoll on pidfds, waitid(P_PIDFD), vfork-like clone and exec.
 *
 *   floor COUNT PROGRAM ARGUMENTS...      "%i" in an argument becomes the worker's number, from 0
 *
 * Environment:
 *   FLOOR_LOG=DIR        stdout of worker i goes through a pipe that this loop copies to DIR/<i>.log
 *   FLOOR_ROTATE=BYTES   rotated at this size
 *   FLOOR_SPLICE=1       copied by splice(2) in place of read and write
 *   FLOOR_FAST=1         CLONE_FILES, and close_range(CLOSE_RANGE_UNSHARE) in the child: the descriptor table of the
 *                        supervisor, which grows with the number of workers, is never copied
 *
 * SIGTERM kills all, reaps, exits.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

enum { PIPE_SIZE = 1 << 20, COPY_SIZE = 1 << 18, STACK_SIZE = 1 << 16, EVENTS = 256, NULL_FD = 3 };
enum source { DEATH, OUTPUT, ASKED_TO_LEAVE };

struct worker {
    int pidfd, output, log, rotations;
    long log_bytes;
    char **arguments;
};

static int count, poller;
static struct worker *workers;
static const char *log_dir;
static long rotate_at;
static int by_splice, fast;

static int child_stdout;
static char child_stack[STACK_SIZE] __attribute__((aligned(16)));

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void watch(int fd, enum source source, int index)
{
    struct epoll_event event = { .events = EPOLLIN, .data.u64 = (uint64_t)source << 32 | (uint32_t)index };
    if (epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event))
        die("epoll_ctl");
}

/* Runs in the child, on a stack of its own but in the parent's memory. */
static int run_worker(void *argument)
{
    struct worker *worker = argument;
    sigset_t nothing;
    /* The table is shared until here. Nothing above NULL_FD is copied, so the pipe is not: only without logs. */
    if (fast && syscall(SYS_close_range, (unsigned)NULL_FD + 1, ~0u, CLOSE_RANGE_UNSHARE))
        _exit(126);
    sigemptyset(&nothing);
    sigprocmask(SIG_SETMASK, &nothing, 0);
    setsid();
    dup2(NULL_FD, 0);
    dup2(child_stdout, 1);
    dup2(child_stdout, 2);
    execv(worker->arguments[0], worker->arguments);
    _exit(127);
}

static void open_log(struct worker *worker, int index)
{
    char path[512], old[600];
    snprintf(path, sizeof path, "%s/%d.log", log_dir, index);
    if (worker->log >= 0) {
        close(worker->log);
        snprintf(old, sizeof old, "%s.%d", path, ++worker->rotations);
        rename(path, old);
    }
    /* splice(2) refuses files opened with O_APPEND */
    worker->log = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | (by_splice ? 0 : O_APPEND), 0644);
    if (by_splice)
        lseek(worker->log, 0, SEEK_END);
    worker->log_bytes = 0;
}

static void spawn(int index)
{
    struct worker *worker = &workers[index];
    int ends[2];
    child_stdout = NULL_FD;
    if (log_dir) {
        if (pipe2(ends, O_CLOEXEC))
            die("pipe2");
        fcntl(ends[0], F_SETFL, O_NONBLOCK);
        fcntl(ends[0], F_SETPIPE_SZ, PIPE_SIZE);
        child_stdout = ends[1];
    }
    int flags = CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD | (fast ? CLONE_FILES : 0);
    if (clone(run_worker, child_stack + STACK_SIZE, flags, worker, &worker->pidfd) < 0)
        die("clone");
    watch(worker->pidfd, DEATH, index);
    if (log_dir) {
        close(ends[1]);
        worker->output = ends[0];
        if (worker->log < 0)
            open_log(worker, index);
        watch(worker->output, OUTPUT, index);
    }
}

/* Copy what the pipe holds now. Returns 0 when it is empty or closed. */
static int copy_output(int index)
{
    static char data[COPY_SIZE];
    struct worker *worker = &workers[index];
    ssize_t size;
    if (worker->output < 0)
        return 0;
    if (by_splice) {
        size = splice(worker->output, 0, worker->log, 0, PIPE_SIZE, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    } else {
        size = read(worker->output, data, sizeof data);
        if (size > 0 && write(worker->log, data, (size_t)size) != size)
            die("write");
    }
    if (size > 0) {
        worker->log_bytes += size;
        if (rotate_at && worker->log_bytes >= rotate_at)
            open_log(worker, index);
    } else if (size == 0) {
        close(worker->output);
        worker->output = -1;
    }
    return size > 0;
}

static void replace(int index)
{
    struct worker *worker = &workers[index];
    siginfo_t info;
    if (waitid(P_PIDFD, (id_t)worker->pidfd, &info, WEXITED))
        die("waitid");
    close(worker->pidfd);
    while (copy_output(index))
        ;
    if (worker->output >= 0)
        close(worker->output);
    worker->output = -1;
    spawn(index);
}

static void leave(void)
{
    siginfo_t info;
    for (int i = 0; i < count; i++)
        syscall(SYS_pidfd_send_signal, workers[i].pidfd, SIGKILL, 0, 0);
    for (int i = 0; i < count; i++)
        waitid(P_PIDFD, (id_t)workers[i].pidfd, &info, WEXITED);
    exit(0);
}

static char *numbered(char *argument, int index)
{
    char text[1024], *mark = strstr(argument, "%i");
    if (!mark)
        return argument;
    snprintf(text, sizeof text, "%.*s%d%s", (int)(mark - argument), argument, index, mark + 2);
    return strdup(text);
}

static void start_all(int argument_count, char **arguments)
{
    workers = calloc((size_t)count + 1, sizeof *workers);
    for (int i = 0; i < count; i++) {
        workers[i].log = workers[i].output = -1;
        workers[i].arguments = calloc((size_t)argument_count + 1, sizeof(char *));
        for (int k = 0; k < argument_count; k++)
            workers[i].arguments[k] = numbered(arguments[k], i);
        spawn(i);
    }
}

int main(int argument_count, char **arguments)
{
    struct epoll_event events[EVENTS];
    sigset_t term;
    if (argument_count < 3)
        return 64;
    count = atoi(arguments[1]);
    log_dir = getenv("FLOOR_LOG");
    rotate_at = getenv("FLOOR_ROTATE") ? atol(getenv("FLOOR_ROTATE")) : 0;
    by_splice = getenv("FLOOR_SPLICE") != 0;
    fast = getenv("FLOOR_FAST") != 0 && !log_dir;
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null != NULL_FD && dup3(null, NULL_FD, O_CLOEXEC) < 0)
        die("/dev/null");
    poller = epoll_create1(EPOLL_CLOEXEC);
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    sigprocmask(SIG_BLOCK, &term, 0);
    watch(signalfd(-1, &term, SFD_CLOEXEC), ASKED_TO_LEAVE, 0);
    start_all(argument_count - 2, arguments + 2);
    for (;;) {
        int ready = epoll_wait(poller, events, EVENTS, -1);
        for (int i = 0; i < ready; i++) {
            int index = (int)(uint32_t)events[i].data.u64;
            switch (events[i].data.u64 >> 32) {
            case ASKED_TO_LEAVE: leave(); break;
            case OUTPUT: copy_output(index); break;
            case DEATH: replace(index); break;
            }
        }
    }
}
