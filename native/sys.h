/* System calls without libc: a result below zero is minus the errno, and nothing outside the registers is touched.
 *
 * A child made with CLONE_VM | CLONE_VFORK shares the caller's memory, thread-local errno included, and the shim is
 * linked without libc; both need exactly this. The numbers are spelled out, as old headers lack the younger calls and
 * freestanding compilers all headers.
 */
#ifndef PIDWARD_SYS_H
#define PIDWARD_SYS_H

enum { NR_clone3 = 435, NR_close_range = 436 }; /* as everywhere since 5.1 */

#if defined(__x86_64__)

enum {
    NR_read = 0, NR_write = 1, NR_close = 3, NR_fstat = 5, NR_rt_sigaction = 13, NR_rt_sigprocmask = 14, NR_getpid = 39, NR_sendto = 44,
    NR_socketpair = 53, NR_execve = 59, NR_fcntl = 72, NR_chdir = 80, NR_umask = 95, NR_setsid = 112,
    NR_getgroups = 115, NR_setgroups = 116, NR_setresuid = 117, NR_getresuid = 118, NR_setresgid = 119,
    NR_getresgid = 120, NR_setpriority = 141, NR_exit_group = 231, NR_waitid = 247, NR_openat = 257,
    NR_dup3 = 292, NR_prlimit64 = 302, NR_getrandom = 318,
    NR_capget = 125, NR_capset = 126, NR_sched_setscheduler = 144, NR_prctl = 157, NR_sched_setaffinity = 203,
    NR_sched_getaffinity = 204, NR_ioprio_set = 251,
};

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

enum { /* include/uapi/asm-generic/unistd.h */
    NR_dup3 = 24, NR_fcntl = 25, NR_chdir = 49, NR_openat = 56, NR_close = 57, NR_read = 63, NR_write = 64, NR_fstat = 80,
    NR_exit_group = 94, NR_waitid = 95, NR_rt_sigaction = 134, NR_rt_sigprocmask = 135, NR_setpriority = 140,
    NR_setresuid = 147, NR_getresuid = 148, NR_setresgid = 149, NR_getresgid = 150, NR_setsid = 157,
    NR_getgroups = 158, NR_setgroups = 159, NR_umask = 166, NR_getpid = 172, NR_socketpair = 199, NR_sendto = 206,
    NR_execve = 221, NR_prlimit64 = 261, NR_getrandom = 278,
    NR_ioprio_set = 30, NR_capget = 90, NR_capset = 91, NR_sched_setscheduler = 119, NR_sched_setaffinity = 122,
    NR_sched_getaffinity = 123, NR_prctl = 167,
};

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
#define sys(name, ...) SYS_WITH_ZEROS(NR_##name, __VA_ARGS__, 0, 0, 0, 0, 0, 0, 0)

#endif
