/* The two questions asked at a death, on the way to the spawn: how did it end, and did it leave anybody behind?
 *
 * Python has no waitid(2) with rusage, and through ctypes the first call after a rest takes some 70 us: everything that
 * ctypes touches is cold by then.
 */
#pragma once
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/* waitid(pidfd, options) -> (signo, code, status, user s, system s, max RSS KiB); signo is 0 when nothing ended. */
static PyObject *wait_by_pidfd(PyObject *module, PyObject *args)
{
    (void)module;
    enum { BY_PIDFD = 3 };
    int pidfd, options;
    siginfo_t info = {0};
    struct rusage usage = {0};
    if (!PyArg_ParseTuple(args, "ii", &pidfd, &options))
        return NULL;
    if (syscall(SYS_waitid, BY_PIDFD, pidfd, &info, options, &usage) < 0)
        return PyErr_SetFromErrno(PyExc_OSError);
    return Py_BuildValue("iiiddl", info.si_signo, info.si_code, info.si_status,
                         (double)usage.ru_utime.tv_sec + (double)usage.ru_utime.tv_usec / 1e6,
                         (double)usage.ru_stime.tv_sec + (double)usage.ru_stime.tv_usec / 1e6, usage.ru_maxrss);
}

/* Read the start of a small file of the kernel's; -1 and errno when that fails. */
static ssize_t start_of(const char *path, char *text, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    ssize_t got = read(fd, text, size);
    int failed = errno;
    close(fd);
    errno = failed;
    return got;
}

/* read_start(path) -> the first bytes of a small file of the kernel's. */
static PyObject *read_start(PyObject *module, PyObject *args)
{
    (void)module;
    const char *path;
    char text[256];
    if (!PyArg_ParseTuple(args, "s", &path))
        return NULL;
    ssize_t size = start_of(path, text, sizeof text);
    return size < 0 ? PyErr_SetFromErrno(PyExc_OSError) : PyBytes_FromStringAndSize(text, size);
}

/* ended(pidfd, options, path) -> None when nothing ended, else what waitid gives and the start of the file. */
static PyObject *ended(PyObject *module, PyObject *args)
{
    (void)module;
    enum { BY_PIDFD = 3 };
    int pidfd, options;
    const char *path;
    char text[256];
    siginfo_t info = {0};
    struct rusage usage = {0};
    if (!PyArg_ParseTuple(args, "iis", &pidfd, &options, &path))
        return NULL;
    if (syscall(SYS_waitid, BY_PIDFD, pidfd, &info, options, &usage) < 0)
        return PyErr_SetFromErrno(PyExc_OSError);
    if (info.si_signo == 0)
        Py_RETURN_NONE;
    ssize_t size = start_of(path, text, sizeof text);
    if (size < 0)
        return PyErr_SetFromErrno(PyExc_OSError);
    return Py_BuildValue("iiddly#", info.si_code, info.si_status,
                         (double)usage.ru_utime.tv_sec + (double)usage.ru_utime.tv_usec / 1e6,
                         (double)usage.ru_stime.tv_sec + (double)usage.ru_stime.tv_usec / 1e6, usage.ru_maxrss, text,
                         (Py_ssize_t)size);
}
