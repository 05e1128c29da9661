/* Says when its first instruction ran, and becomes another program: how `pidward demo` measures a restart.
 *
 *   first FIFO PROGRAM ARGV...
 *
 * Writes "PID NANOSECONDS\n" to the FIFO, the time on CLOCK_BOOTTIME, and executes PROGRAM. Static and without libc, so
 * that nothing runs before it: no dynamic linker, no start-up code. When nobody reads the FIFO, nothing is said.
 */
#include <stdint.h>

#include "sys.h"

#if defined(__x86_64__)
enum { NR_clock_gettime = 228 };
__asm__(".globl _start\n_start:\n\txor %ebp, %ebp\n\tmov %rsp, %rdi\n\tand $-16, %rsp\n\tcall begin\n\tud2\n");
#else
enum { NR_clock_gettime = 113 };
__asm__(".globl _start\n_start:\n\tmov x29, xzr\n\tmov x0, sp\n\tbl begin\n\tbrk #1\n");
#endif

enum { BOOTTIME = 7, FAILED = 127, HERE = -100, WRITE_NOW = 1 | 04000 /* O_WRONLY | O_NONBLOCK */ };

static char *number(uint64_t value, char *end)
{
    do
        *--end = (char)('0' + value % 10);
    while (value /= 10);
    return end;
}

/* The stack as the kernel leaves it: argc, argv, NULL, envp, NULL. */
void __attribute__((noreturn, used)) begin(char **stack)
{
    struct {
        int64_t seconds, nanoseconds;
    } now = {0, 0};
    sys(clock_gettime, BOOTTIME, &now);

    long argc = (long)stack[0];
    char **argv = stack + 1, **environment = argv + argc + 1;
    if (argc >= 4) {
        char line[64], *start = line + sizeof line;
        *--start = '\n';
        start = number((uint64_t)now.seconds * 1000000000U + (uint64_t)now.nanoseconds, start);
        *--start = ' ';
        start = number((uint64_t)sys(getpid, 0), start);
        long fifo = sys(openat, HERE, argv[1], WRITE_NOW);
        if (fifo >= 0) {
            sys(write, fifo, start, line + sizeof line - start);
            sys(close, fifo);
        }
        sys(execve, argv[2], argv + 3, environment);
    }
    for (;;)
        sys(exit_group, FAILED);
}
