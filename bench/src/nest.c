/* nest PROGRAM ARGUMENTS...: the root of one peer's process tree.
 *
 * It is a child subreaper, so whatever the peer makes, daemonised or not, stays below this one process; the harness
 * finds all of a peer by walking the tree from here. It reaps what lands on it, and after SIGTERM it leaves as soon
 * as it has no child left. It gets that SIGTERM by itself when the harness dies.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int count, char **arguments)
{
    sigset_t awaited, before;
    int shall_leave = 0;
    if (count < 2)
        return 64;
    sigemptyset(&awaited);
    sigaddset(&awaited, SIGTERM);
    sigaddset(&awaited, SIGCHLD);
    sigprocmask(SIG_BLOCK, &awaited, &before);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (fork() == 0) {
        sigprocmask(SIG_SETMASK, &before, 0);
        execvp(arguments[1], arguments + 1);
        _exit(127);
    }
    for (;;) {
        int signal, reaped;
        sigwait(&awaited, &signal);
        shall_leave |= signal == SIGTERM;
        while ((reaped = waitpid(-1, 0, WNOHANG)) > 0)
            ;
        if (shall_leave && reaped < 0 && errno == ECHILD)
            return 0;
    }
}
