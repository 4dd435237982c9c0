/*
 * Running cases, whatever they measure
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "case.h"

bool case_runs_in(const struct test_case *c, bool user)
{
    if ((on_kvm && c->where & NOT_KVM) || (on_amd && c->where & NOT_AMD) ||
        (ring3_only && c->where & OTHER)) {
        return false;
    }
    return user ? c->where & USER : c->where & KERNEL && !ring3_only;
}

void for_each_case(void (*try)(const struct test_case *c, bool user))
{
    for (const struct test_case *c = cases; c < cases_end; c++) {
        for (unsigned user = 0; user < 2; user++) {
            if (case_runs_in(c, user)) {
                try(c, user);
            }
        }
    }
}

void before_hole(struct cpu *cpu)
{
    rt_window(0);
}

/* Code that starts @before bytes before the end of the window's first page. */
static void copy_to_page_end(unsigned before, const uint8_t *code, size_t size)
{
    rt_window(3);
    memcpy((void *)(uintptr_t)(WINDOW + 0x1000 - before), code, size);
    rt_window(1);
}

void before_page(struct cpu *cpu)
{
    static const uint8_t code[] = { 0x90, 0x90, 0x90, 0xc3 };

    copy_to_page_end(2, code, sizeof(code));
}

void before_page_mid(struct cpu *cpu)
{
    static const uint8_t code[] = {
        0x90, 0x90, 0xb8, 1, 2, 3, 4, 0x90, 0xc3
    };

    copy_to_page_end(4, code, sizeof(code));
}
