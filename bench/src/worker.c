/* The supervised program of the benchmarks: static, without libc, two pages of memory.
 *
 *   worker FIFO ID [options]
 *
 * All arguments after the first may also come as one string (a "#!" line passes just one); it is split at spaces.
 *
 * The first thing it does is to read CLOCK_MONOTONIC_RAW; then it writes one 32-byte record to FIFO (struct record).
 * A start is thus timed by the started program itself, and the harness's own scheduling does not count.
 *
 *   -s STATS      map STATS and keep a struct slot in it up to date: what this process has written
 *   -p PIDFILE    write the pid to PIDFILE
 *   -D COUNT      start COUNT daemons by double fork and setsid; they only pause
 *   -l BYTES SIZE write BYTES of 100-byte numbered lines to stdout, SIZE bytes a write(2); report FINISHED; pause
 *   -r HZ COUNT   write COUNT numbered lines (0: for ever), HZ a second; report FINISHED; pause
 *   -x MS CODE    exit with CODE after MS milliseconds
 *   -d            fork, and let the parent exit (for supervisors that expect daemons)
 *   -q            exit when there is nothing left to do
 *   -T            ignore SIGTERM
 *   -P            ignore SIGPIPE, and count failed writes
 */
#if !defined(__x86_64__)
#error "worker.c makes its system calls by hand, and so far only for x86-64"
#endif
#include <asm/unistd.h>

typedef unsigned int u32;
typedef unsigned long u64;

enum {
    EINTR = 4, EAGAIN = 11,
    O_WRONLY = 1, O_RDWR = 2, O_CREAT = 0100, O_TRUNC = 01000, O_NONBLOCK = 04000, O_CLOEXEC = 02000000,
    PROT_READ_WRITE = 3, MAP_SHARED = 1,
    CLOCK_MONOTONIC = 1, CLOCK_MONOTONIC_RAW = 4, TIMER_ABSTIME = 1,
    SIGPIPE = 13, SIGTERM = 15, SIG_IGN = 1, SA_RESTORER = 0x04000000,
    EXIT_USAGE = 64,
    LINE = 100, BUFFER = 65536, MAX_ARGUMENTS = 48, STATS_HEADER = 64, MAX_SLOTS = 65536,
};
#define NANO 1000000000UL
#define RECORD_MAGIC 0x314b5257u /* "WRK1" */

enum kind { STARTED = 1, FINISHED = 2, DAEMON = 3 };

struct timespec { long seconds, nanoseconds; };

/* What the harness reads from the FIFO. Smaller than PIPE_BUF, so records of many workers do not mix. */
struct record { u32 magic, pid, id, kind; u64 time_ns; u32 parent, extra; };

/* What a worker says about itself in the STATS file, where it stays when the worker and its supervisor are dead:
 * how many lines it wrote whole, and how many writes failed. */
struct slot { u32 pid, id; u64 written, started_ns; u32 failed, done; };

static struct {
    const char *stats, *pidfile;
    u64 daemons, bytes, write_size, hertz, lines, exit_after_ms;
    int exit_code, exits, floods, ticks, daemonises, quits;
} options;

static int fifo = -1;
static u32 my_pid, my_id;
static struct slot private_slot, *slot = &private_slot;
static char buffer[BUFFER];

static inline long syscall6(long number, long a, long b, long c, long d, long e, long f)
{
    register long r10 asm("r10") = d, r8 asm("r8") = e, r9 asm("r9") = f;
    long result;
    asm volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                 : "rcx", "r11", "memory");
    return result;
}
#define CALL0(name) syscall6(__NR_##name, 0, 0, 0, 0, 0, 0)
#define CALL1(name, a) syscall6(__NR_##name, (long)(a), 0, 0, 0, 0, 0)
#define CALL2(name, a, b) syscall6(__NR_##name, (long)(a), (long)(b), 0, 0, 0, 0)
#define CALL3(name, a, b, c) syscall6(__NR_##name, (long)(a), (long)(b), (long)(c), 0, 0, 0)
#define CALL4(name, a, b, c, d) syscall6(__NR_##name, (long)(a), (long)(b), (long)(c), (long)(d), 0, 0)

static u64 clock_ns(int clock)
{
    struct timespec now;
    CALL2(clock_gettime, clock, &now);
    return (u64)now.seconds * NANO + (u64)now.nanoseconds;
}

static void sleep_ns(u64 duration)
{
    struct timespec span = { (long)(duration / NANO), (long)(duration % NANO) };
    CALL2(nanosleep, &span, 0);
}

__attribute__((noreturn)) static void quit(int code)
{
    for (;;)
        CALL1(exit_group, code);
}

__attribute__((noreturn)) static void pause_for_ever(void)
{
    for (;;)
        CALL0(pause);
}

static void ignore(int signal)
{
    struct { long handler; u64 flags; long restorer; u64 mask; } action = { SIG_IGN, SA_RESTORER, 0, 0 };
    CALL4(rt_sigaction, signal, &action, 0, sizeof action.mask);
}

static u64 number(const char *text)
{
    u64 value = 0;
    while (*text >= '0' && *text <= '9')
        value = value * 10 + (u64)(*text++ - '0');
    return value;
}

/* Print value right-aligned with leading zeros. */
static void print_padded(char *at, u64 value, int width)
{
    while (width--) {
        at[width] = (char)('0' + value % 10);
        value /= 10;
    }
}

static void report(u32 pid, enum kind kind, u64 time_ns, u32 extra)
{
    struct record record = { RECORD_MAGIC, pid, my_id, kind, time_ns, (u32)CALL0(getppid), extra };
    if (fifo >= 0)
        CALL3(write, fifo, &record, sizeof record);
}

/* "L <id 6> <pid 7> <sequence 10> abc...": who wrote it and which line of his it is, in exactly LINE bytes. */
static void make_line(char *line, u64 sequence)
{
    for (int i = 0; i < LINE - 1; i++)
        line[i] = (char)('a' + i % 26);
    line[LINE - 1] = '\n';
    line[0] = 'L';
    line[1] = line[8] = line[16] = line[27] = ' ';
    print_padded(line + 2, my_id, 6);
    print_padded(line + 9, my_pid, 7);
    print_padded(line + 17, sequence, 10);
}

/* Arguments as they are, but those with spaces taken apart. Returns how many. */
static int split_arguments(int count, char **given, char **arguments)
{
    static char copy[2048];
    char *room = copy, *const end = copy + sizeof copy - 1;
    int found = 0;
    arguments[found++] = given[0];
    for (int i = 1; i < count; i++) {
        const char *text = given[i];
        while (*text && found < MAX_ARGUMENTS - 1) {
            while (*text == ' ')
                text++;
            if (!*text || room >= end)
                break;
            arguments[found++] = room;
            while (*text && *text != ' ' && room < end)
                *room++ = *text++;
            *room++ = 0;
        }
    }
    return found;
}

static void read_options(int count, char **arguments)
{
    arguments[count] = arguments[count + 1] = ""; /* an option at the end finds empty values */
    for (int i = 3; i < count; i++) {
        if (arguments[i][0] != '-')
            continue;
        switch (arguments[i][1]) {
        case 's': options.stats = arguments[++i]; break;
        case 'p': options.pidfile = arguments[++i]; break;
        case 'D': options.daemons = number(arguments[++i]); break;
        case 'l':
            options.floods = 1;
            options.bytes = number(arguments[++i]);
            options.write_size = number(arguments[++i]);
            break;
        case 'r':
            options.ticks = 1;
            options.hertz = number(arguments[++i]);
            options.lines = number(arguments[++i]);
            break;
        case 'x':
            options.exits = 1;
            options.exit_after_ms = number(arguments[++i]);
            options.exit_code = (int)number(arguments[++i]);
            break;
        case 'd': options.daemonises = 1; break;
        case 'q': options.quits = 1; break;
        case 'T': ignore(SIGTERM); break;
        case 'P': ignore(SIGPIPE); break;
        }
    }
}

static void write_pidfile(void)
{
    char text[8];
    int skip = 0;
    print_padded(text, my_pid, 7);
    text[7] = '\n';
    while (text[skip] == '0')
        skip++;
    int file = (int)CALL3(open, options.pidfile, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    CALL3(write, file, text + skip, 8 - skip);
    CALL1(close, file);
}

/* Take the next free slot of the shared STATS file. Without one the counts stay private. */
static void take_slot(u64 started_ns)
{
    int file = (int)CALL3(open, options.stats, O_RDWR, 0);
    if (file < 0)
        return;
    long size = STATS_HEADER + MAX_SLOTS * (long)sizeof(struct slot);
    char *shared = (char *)syscall6(__NR_mmap, 0, size, PROT_READ_WRITE, MAP_SHARED, file, 0);
    CALL1(close, file);
    if ((u64)shared > (u64)-4096L)
        return;
    u32 index = __atomic_fetch_add((u32 *)shared, 1, __ATOMIC_SEQ_CST);
    if (index >= MAX_SLOTS)
        return;
    slot = (struct slot *)(shared + STATS_HEADER) + index;
    slot->pid = my_pid;
    slot->id = my_id;
    slot->started_ns = started_ns;
}

/* Daemons as in the textbook: a new session, orphaned, nothing of the worker left but the cgroup. */
static void start_daemons(void)
{
    for (u64 i = 0; i < options.daemons; i++) {
        long child = CALL0(fork);
        if (child == 0) {
            CALL0(setsid);
            if (CALL0(fork) == 0) {
                report((u32)CALL0(getpid), DAEMON, clock_ns(CLOCK_MONOTONIC_RAW), (u32)i);
                pause_for_ever();
            }
            quit(0);
        }
        int status;
        CALL4(wait4, child, &status, 0, 0);
    }
}

/* Write all of data to stdout, however long that takes. Returns 0 when stdout is gone. */
static int write_all(const char *data, u64 size)
{
    for (u64 done = 0; done < size;) {
        long written = CALL3(write, 1, data + done, size - done);
        if (written > 0) {
            done += (u64)written;
        } else if (written == -EINTR || written == -EAGAIN) {
            sleep_ns(1000000);
        } else {
            slot->failed++;
            return 0;
        }
    }
    return 1;
}

/* As fast as stdout takes it. */
static void flood(void)
{
    u64 sequence = 0, step = options.write_size / LINE * LINE;
    if (step < LINE)
        step = LINE;
    if (step > BUFFER / LINE * LINE)
        step = BUFFER / LINE * LINE;
    for (u64 at = 0; at < step; at += LINE)
        make_line(buffer + at, 0);
    for (u64 left = options.bytes; left;) {
        u64 size = left < step ? left : step;
        for (u64 at = 0; at < size; at += LINE)
            print_padded(buffer + at + 17, sequence++, 10);
        if (!write_all(buffer, size)) {
            report(my_pid, FINISHED, clock_ns(CLOCK_MONOTONIC_RAW), 1);
            quit(1);
        }
        left -= size;
        slot->written = sequence;
    }
    slot->done = 1;
    report(my_pid, FINISHED, clock_ns(CLOCK_MONOTONIC_RAW), 0);
}

/* At an even pace. Every line has a number, those whose write failed too. */
static void tick(void)
{
    u64 period = NANO / (options.hertz ? options.hertz : 1), next = clock_ns(CLOCK_MONOTONIC);
    for (u64 sequence = 0; !options.lines || sequence < options.lines;) {
        make_line(buffer, sequence++);
        if (write_all(buffer, LINE))
            slot->written++;
        next += period;
        struct timespec until = { (long)(next / NANO), (long)(next % NANO) };
        CALL4(clock_nanosleep, CLOCK_MONOTONIC, TIMER_ABSTIME, &until, 0);
    }
    slot->done = 1;
    report(my_pid, FINISHED, clock_ns(CLOCK_MONOTONIC_RAW), 0);
}

__attribute__((used, noreturn)) void worker_main(long *stack)
{
    u64 started_ns = clock_ns(CLOCK_MONOTONIC_RAW);
    static char *arguments[MAX_ARGUMENTS + 2];
    int count = split_arguments((int)stack[0], (char **)(stack + 1), arguments);
    if (count < 3)
        quit(EXIT_USAGE);
    fifo = (int)CALL3(open, arguments[1], O_WRONLY | O_NONBLOCK | O_CLOEXEC, 0);
    my_id = (u32)number(arguments[2]);
    read_options(count, arguments);
    if (options.daemonises) {
        if (CALL0(fork) > 0)
            quit(0);
        CALL0(setsid);
    }
    my_pid = (u32)CALL0(getpid);
    report(my_pid, STARTED, started_ns, 0);
    if (options.pidfile)
        write_pidfile();
    if (options.stats)
        take_slot(started_ns);
    start_daemons();
    if (options.exits) {
        sleep_ns(options.exit_after_ms * 1000000);
        quit(options.exit_code);
    }
    if (options.floods)
        flood();
    if (options.ticks)
        tick();
    if (options.quits)
        quit(0);
    pause_for_ever();
}

/* The kernel enters with argc on top of the stack and no return address. */
asm(".globl _start\n"
    "_start: xor %ebp, %ebp\n"
    "  mov %rsp, %rdi\n"
    "  and $-16, %rsp\n"
    "  call worker_main\n");
