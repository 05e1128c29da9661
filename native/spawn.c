/* pidward.kernel._spawn: the Python face of birth.h. Types are in src/pidward/kernel/_spawn.pyi.
 *
 * Built by setup.py; by hand:
 *   gcc -O2 -std=gnu11 -Wall -Wextra -Werror -shared -fPIC -DPy_LIMITED_API=0x030b0000 \
 *       -I"$(python3 -c 'import sysconfig; print(sysconfig.get_path("include"))')" \
 *       native/spawn.c -o src/pidward/kernel/_spawn.abi3.so
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <string.h>

#include "birth.h"
#include "call.h"
#include "ending.h"

static const char INVOCATION[] = "INVOCATION_ID=", LISTEN_PID[] = "LISTEN_PID=", WATCHDOG_PID[] = "WATCHDOG_PID=",
                  LISTEN_PIDFDID[] = "LISTEN_PIDFDID=";
enum { INVOCATION_LENGTH = 32 };

/* What a thousand workers keep each for their next start is small: the plan as Python has it, which shares what is the
 * same. The kernel's form of it is made for the batch. */
typedef struct {
    PyObject_HEAD
    PyObject *args;
    int busy; /* in a batch now */
} Prepared;

/* A plan as the kernel takes it. The strings belong to the `args` that it was made from. */
typedef struct {
    struct plan plan;
    char invocation[sizeof INVOCATION + INVOCATION_LENGTH];
    char listen_pid[sizeof LISTEN_PID + DIGITS];
    char watchdog_pid[sizeof WATCHDOG_PID + DIGITS];
    char inode[sizeof LISTEN_PIDFDID + DIGITS];
} Form;

static char **pointers(PyObject *tuple)
{
    Py_ssize_t count = PyTuple_Size(tuple);
    char **list = PyMem_Calloc((size_t)count + 1, sizeof *list);
    if (list == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    for (Py_ssize_t i = 0; i < count; i++)
        if (PyBytes_AsStringAndSize(PyTuple_GetItem(tuple, i), &list[i], NULL) < 0) {
            PyMem_Free(list);
            return NULL;
        }
    return list;
}

/* Put an entry of our own, "NAME=" for now, in the place of the shared one; returns where its value goes, NULL when
 * the environment has no such entry. */
static char *own_entry(char **envp, const char *name, char *own)
{
    size_t length = strlen(name);
    char *value = NULL;
    for (char **entry = envp; *entry; entry++)
        if (strncmp(*entry, name, length) == 0) {
            strcpy(own, name);
            value = own + length;
            *entry = own;
        }
    return value;
}

/* The variables that are new at each start. */
static void own_entries(Form *self)
{
    struct plan *plan = &self->plan;
    plan->invocation = own_entry(plan->envp, INVOCATION, self->invocation);
    plan->listen_pid = own_entry(plan->envp, LISTEN_PID, self->listen_pid);
    plan->watchdog_pid = own_entry(plan->envp, WATCHDOG_PID, self->watchdog_pid);
    plan->inode = own_entry(plan->envp, LISTEN_PIDFDID, self->inode);
}

static int read_limits(struct plan *plan, PyObject *limits)
{
    plan->limit_count = (size_t)PyTuple_Size(limits);
    plan->limits = PyMem_Calloc(plan->limit_count + 1, sizeof *plan->limits);
    if (plan->limits == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    for (size_t i = 0; i < plan->limit_count; i++) {
        struct limit *limit = &plan->limits[i];
        long long soft, hard;
        if (!PyArg_ParseTuple(PyTuple_GetItem(limits, (Py_ssize_t)i), "iLL", &limit->resource, &soft, &hard))
            return -1;
        limit->value[0] = (uint64_t)soft;
        limit->value[1] = (uint64_t)hard;
    }
    return 0;
}

static int read_passed(struct plan *plan, PyObject *descriptors)
{
    plan->passed_count = (size_t)PyTuple_Size(descriptors);
    plan->passed = PyMem_Calloc(plan->passed_count + 1, sizeof *plan->passed);
    if (plan->passed == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    for (size_t i = 0; i < plan->passed_count; i++) {
        PyObject *pair = PyTuple_GetItem(descriptors, (Py_ssize_t)i);
        if (!PyArg_ParseTuple(pair, "ii", &plan->passed[i].number, &plan->passed[i].source))
            return -1;
    }
    return 0;
}

static const char *unless_empty(const char *text)
{
    return *text ? text : NULL;
}

/* To be emptied also when this fails. */
static int fill(Form *self, PyObject *args)
{
    struct plan *plan = &self->plan;
    PyObject *argv, *env, *limits, *nice, *descriptors;
    const char *cwd, *oom_score_adj, *cgroup;
    int gate;
    if (!PyArg_ParseTuple(args, "yO!O!yiyyyO!OyyO!iiI:Prepared", &plan->path, &PyTuple_Type, &argv, &PyTuple_Type, &env,
                          &cwd, &plan->umask, &plan->input, &plan->output, &plan->error, &PyTuple_Type, &limits,
                          &nice, &oom_score_adj, &cgroup, &PyTuple_Type, &descriptors, &gate, &plan->gate_number,
                          &plan->optional))
        return -1;
    plan->cwd = unless_empty(cwd);
    plan->oom_score_adj = unless_empty(oom_score_adj);
    plan->cgroup = unless_empty(cgroup);
    plan->gate = (enum gate)gate;
    if (nice != Py_None) {
        plan->has_nice = 1;
        plan->nice = (int)PyLong_AsLong(nice);
        if (PyErr_Occurred())
            return -1;
    }
    plan->argv = pointers(argv);
    plan->envp = plan->argv ? pointers(env) : NULL;
    if (plan->envp == NULL || read_limits(plan, limits) < 0 || read_passed(plan, descriptors) < 0)
        return -1;
    own_entries(self);
    return 0;
}

static void empty(Form *self)
{
    PyMem_Free(self->plan.argv);
    PyMem_Free(self->plan.envp);
    PyMem_Free(self->plan.limits);
    PyMem_Free(self->plan.passed);
}

static PyObject *prepared_new(PyTypeObject *type, PyObject *args, PyObject *Py_UNUSED(keywords))
{
    allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    Form trial = {0}; /* what is wrong with a plan is said now */
    Prepared *self = fill(&trial, args) < 0 ? NULL : (Prepared *)allocate(type, 0);
    empty(&trial);
    if (self != NULL) {
        Py_INCREF(args);
        self->args = args;
    }
    return (PyObject *)self;
}

static void prepared_dealloc(PyObject *object)
{
    Prepared *self = (Prepared *)object;
    PyTypeObject *type = Py_TYPE(object);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    Py_XDECREF(self->args);
    release(object);
    Py_DECREF(type);
}

static PyType_Slot prepared_slots[] = {
    {Py_tp_doc, (void *)"A plan that the kernel can be asked to carry out."},
    {Py_tp_new, (void *)prepared_new},
    {Py_tp_dealloc, (void *)prepared_dealloc},
    {0, NULL},
};

static PyType_Spec prepared_spec = {
    .name = "pidward.kernel._spawn.Prepared",
    .basicsize = sizeof(Prepared),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = prepared_slots,
};

/* (pid, pidfd, invocation, gate or -1), and the errno of each refusable if there was one, of what was born, (stage, errno) of what was not */
static PyObject *outcome(const struct birth *b)
{
    if (b->error)
        return Py_BuildValue("(si)", b->stage, b->error);
    const char *invocation = b->plan->invocation ? b->plan->invocation : "";
    int refused = 0;
    for (int i = 0; i < REFUSABLE; i++)
        refused |= b->refused[i];
    if (!refused)
        return Py_BuildValue("(iisi)", b->pid, b->pidfd, invocation, b->gate);
    return Py_BuildValue("(iisiiii)", b->pid, b->pidfd, invocation, b->gate, b->refused[LIMITS], b->refused[NICE],
                         b->refused[OOM_SCORE_ADJ]);
}

static PyObject *outcomes(const struct batch *batch)
{
    PyObject *result = PyList_New((Py_ssize_t)batch->count);
    for (size_t i = 0; result && i < batch->count; i++) {
        PyObject *one = outcome(&batch->births[i]);
        if (one == NULL)
            Py_CLEAR(result);
        else
            PyList_SetItem(result, (Py_ssize_t)i, one);
    }
    return result;
}

/* Fill the births from a list of Prepared and mark those as busy; returns how many were marked. */
static size_t take(PyObject *type, PyObject *list, Form *forms, struct batch *batch)
{
    for (size_t i = 0; i < batch->count; i++) {
        PyObject *item = PyList_GetItem(list, (Py_ssize_t)i);
        if (Py_TYPE(item) != (PyTypeObject *)type) {
            PyErr_SetString(PyExc_TypeError, "expected a sequence of Prepared");
            return i;
        }
        Prepared *prepared = (Prepared *)item;
        if (prepared->busy) {
            PyErr_SetString(PyExc_ValueError, "a Prepared may be in one batch at a time, and once");
            return i;
        }
        prepared->busy = 1;
        batch->births[i].plan = &forms[i].plan;
        if (fill(&forms[i], prepared->args) < 0)
            return i + 1;
    }
    return batch->count;
}

static void let_go(PyObject *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        ((Prepared *)PyList_GetItem(list, (Py_ssize_t)i))->busy = 0;
}

static PyObject *spawn(PyObject *module, PyObject *args)
{
    PyObject **type = PyModule_GetState(module), *sequence, *result = NULL;
    struct batch batch = {0};
    int threads;
    unsigned long long ignored;
    if (!PyArg_ParseTuple(args, "OiiiK:spawn", &sequence, &threads, &batch.reserve.number, &batch.reserve.placeholder,
                          &ignored))
        return NULL;
    PyObject *list = PySequence_List(sequence); /* ours, so that nobody shortens it meanwhile */
    if (list == NULL)
        return NULL;
    batch.ignored = ignored;
    batch.count = (size_t)PyList_Size(list);
    batch.births = PyMem_Calloc(batch.count + 1, sizeof *batch.births);
    Form *forms = PyMem_Calloc(batch.count + 1, sizeof *forms);
    if (batch.births == NULL || forms == NULL) {
        PyErr_NoMemory();
    } else {
        size_t taken = take(*type, list, forms, &batch);
        if (!PyErr_Occurred()) {
            Py_BEGIN_ALLOW_THREADS
            bear_batch(&batch, threads);
            Py_END_ALLOW_THREADS
            result = outcomes(&batch);
        }
        let_go(list, taken);
        for (size_t i = 0; i < taken; i++)
            empty(&forms[i]);
    }
    PyMem_Free(forms);
    PyMem_Free(batch.births);
    Py_DECREF(list);
    return result;
}

static PyObject *grants(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(nothing))
{
    int can = granted();
    return Py_BuildValue("(NN)", PyBool_FromLong(can & CAN_SPAWN), PyBool_FromLong(can & CAN_PLACE));
}

static PyObject *ignored(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(nothing))
{
    return PyLong_FromUnsignedLongLong(ignored_signals());
}

static PyMethodDef functions[] = {
    {"call", call, METH_VARARGS, "call(number, *arguments) -> result of syscall(2); pointers are None or buffers"},
    {"ignored", ignored, METH_NOARGS, "ignored() -> set of bits: bit N - 1 for signal N"},
    {"granted", grants, METH_NOARGS, "granted() -> (clone3 and close_range work, CLONE_INTO_CGROUP does)"},
    {"ended", ended, METH_VARARGS, "ended(pidfd, options, path) -> None | code, status, user, system, max RSS KiB, text"},
    {"read_start", read_start, METH_VARARGS, "read_start(path) -> up to 256 bytes"},
    {"spawn", spawn, METH_VARARGS, "spawn(batch, threads, reserved, placeholder, ignored) -> outcomes in order"},
    {"waitid", wait_by_pidfd, METH_VARARGS, "waitid(pidfd, options) -> signo, code, status, user, system, max RSS KiB"},
    {NULL, NULL, 0, NULL},
};

static int execute(PyObject *module)
{
    PyObject **type = PyModule_GetState(module);
    *type = PyType_FromModuleAndSpec(module, &prepared_spec, NULL);
    return *type == NULL ? -1 : PyModule_AddType(module, (PyTypeObject *)*type);
}

static int clear(PyObject *module)
{
    PyObject **type = PyModule_GetState(module);
    Py_CLEAR(*type);
    return 0;
}

static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, (void *)execute},
    {0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "pidward.kernel._spawn",
    .m_doc = "Processes born by clone3, many in one call.",
    .m_size = sizeof(PyObject *),
    .m_methods = functions,
    .m_slots = slots,
    .m_clear = clear,
};

PyMODINIT_FUNC PyInit__spawn(void)
{
    return PyModuleDef_Init(&definition);
}
