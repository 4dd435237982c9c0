/*
 * Let libFuzzer look for accesses to the PMU's registers that break a rule
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A write that faults changes nothing; what can be read can be written and
 * reads back; a migration changes nothing that the guest sees.  vcpu.c has what
 * a stream means and the other rules.
 */
#include "vcpu.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static X86CPU cpu;
    Stream s = { data, size };

    vcpu_init(&cpu, NULL, &s);
    vcpu_run(&cpu, &s);
    return 0;
}
