/*
 * There is one thread, and the vCPUs run while it waits
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_FUZZ_STUB_MAIN_LOOP_H
#define TESTS_FUZZ_STUB_MAIN_LOOP_H

#define BQL_LOCK_GUARD()

typedef struct QemuCond {
    bool signalled;
} QemuCond;

static inline void qemu_cond_init(QemuCond *cond)
{
    cond->signalled = false;
}

static inline void qemu_cond_signal(QemuCond *cond)
{
    cond->signalled = true;
}

/* The machine does what its vCPUs were asked for, see qmp-machine.c. */
void qemu_cond_wait_bql(QemuCond *cond);

static inline void qemu_cond_destroy(QemuCond *cond)
{
    g_assert_true(cond->signalled);
}

#endif /* TESTS_FUZZ_STUB_MAIN_LOOP_H */
