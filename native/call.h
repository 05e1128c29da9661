/* Any system call, as syscall(2) makes it. ctypes can do the same, for 0.5 MiB in each process that loads it. */
#pragma once
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <unistd.h>

enum { MOST_ARGUMENTS = 6 };

/* The argument as the kernel takes it; a buffer is held in `view` until it is released. -1 when it is no such thing. */
static int as_word(PyObject *argument, Py_buffer *view, long *word)
{
    *word = 0;
    if (argument == Py_None)
        return 0;
    if (PyLong_Check(argument)) {
        *word = (long)PyLong_AsUnsignedLongMask(argument);
        return PyErr_Occurred() ? -1 : 0;
    }
    if (PyObject_GetBuffer(argument, view, PyBUF_SIMPLE) < 0)
        return -1;
    *word = (long)view->buf;
    return 0;
}

/* call(number, *arguments): the kernel may write into the buffers, so they are bytearrays where it does. */
static PyObject *call(PyObject *module, PyObject *args)
{
    (void)module;
    Py_buffer views[1 + MOST_ARGUMENTS] = {0};
    long words[1 + MOST_ARGUMENTS] = {0}, result = -1;
    Py_ssize_t count = PyTuple_Size(args), held = 0;
    if (count < 1 || count > 1 + MOST_ARGUMENTS)
        return PyErr_Format(PyExc_TypeError, "a number and at most %d arguments", MOST_ARGUMENTS);
    while (held < count && as_word(PyTuple_GetItem(args, held), &views[held], &words[held]) == 0)
        held++;
    if (held == count) {
        Py_BEGIN_ALLOW_THREADS
        result = syscall(words[0], words[1], words[2], words[3], words[4], words[5], words[6]);
        Py_END_ALLOW_THREADS
        if (result < 0)
            PyErr_SetFromErrno(PyExc_OSError);
    }
    for (Py_ssize_t i = 0; i < held; i++)
        if (views[i].obj)
            PyBuffer_Release(&views[i]);
    return result < 0 ? NULL : PyLong_FromLong(result);
}
