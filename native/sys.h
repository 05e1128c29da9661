/* System calls without libc: a result below zero is minus the errno, and nothing outside the registers is touched.
 *
 * A child made with CLONE_VM | CLONE_VFORK shares the caller's memory, thread-local errno included, and the shim is
 * linked without libc; both need exactly this. Numbers that are younger than some kernel headers are spelled out:
 * they are the same on every architecture.
 */
#ifndef PIDWARD_SYS_H
#define PIDWARD_SYS_H

#include <asm/unistd.h>

#ifndef __NR_clone3
#define __NR_clone3 435
#endif
#ifndef __NR_close_range
#define __NR_close_range 436
#endif

#define GATE_FD 3 /* where the shim finds its end of the gate */

#if defined(__x86_64__)

static inline long sys6(long number, long a, long b, long c, long d, long e, long f)
{
    long result;
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "0"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory", "cc");
    return result;
}

#elif defined(__aarch64__)

static inline long sys6(long number, long a, long b, long c, long d, long e, long f)
{
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    register long x4 __asm__("x4") = e;
    register long x5 __asm__("x5") = f;
    __asm__ volatile("svc #0"
                     : "+r"(x0)
                     : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
                     : "memory", "cc");
    return x0;
}

#else
#error "the native part is written for x86_64 and aarch64; elsewhere the pure-Python rung serves"
#endif

#define SYS_WITH_ZEROS(number, a, b, c, d, e, f, ...) \
    sys6(number, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))

/* sys(openat, AT_FDCWD, path, flags): arguments that are not given are 0. */
#define sys(name, ...) SYS_WITH_ZEROS(__NR_##name, __VA_ARGS__, 0, 0, 0, 0, 0, 0, 0)

#endif
