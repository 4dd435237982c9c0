/*
 * Let libFuzzer look for migration streams that should have been refused
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Every field of the PMU's sections is arbitrary, and so are QEMU's own fields
 * for its registers.  A stream is refused with a message, or loaded; then the
 * guest goes on, and all rules hold.
 */
#include "vcpu.h"
#include "migration/vmstate.h"

static void take_section(X86CPU *cpu, const VMStateDescription *section,
                         Stream *s)
{
    for (const VMStateField *f = section->fields; f->name; f++) {
        /* Most fields as they are, or few streams get far */
        if (take(s, 1) & 3) {
            continue;
        }
        for (unsigned i = 0; i < f->num; i++) {
            uint64_t value = GUINT64_TO_LE(take(s, f->is_bool ? 1 : f->size));
            char *at = (char *)cpu + f->offset + i * f->size;

            if (f->is_bool) {
                *(bool *)at = value;
            } else {
                memcpy(at, &value, f->size);
            }
        }
    }
    for (unsigned i = 0; section->subsections && section->subsections[i];
         i++) {
        if (take(s, 1) & 1) {
            take_section(cpu, section->subsections[i], s);
        }
    }
}

static void take_qemu_registers(CPUX86State *env, Stream *s)
{
    unsigned which = take(s, 1);

    if (which & 1) {
        env->msr_ia32_misc_enable = take(s, 8);
    }
    if (which & 2) {
        env->msr_fixed_ctr_ctrl = take(s, 8);
    }
    if (which & 4) {
        env->msr_global_ctrl = take(s, 8);
    }
    if (which & 8) {
        env->msr_global_status = take(s, 8);
    }
    for (unsigned i = 0; i < MAX_FIXED_COUNTERS && which & 16; i++) {
        env->msr_fixed_counters[i] = take(s, 8);
    }
    for (unsigned i = 0; i < MAX_GP_COUNTERS && which & 32; i++) {
        env->msr_gp_counters[i] = take(s, 8);
    }
    for (unsigned i = 0; i < MAX_GP_COUNTERS && which & 64; i++) {
        env->msr_gp_evtsel[i] = take(s, 8);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static X86CPU cpu;
    Stream s = { data, size };

    vcpu_init(&cpu, NULL, &s);
    vmstate_vpmu.pre_save(&cpu);
    take_section(&cpu, &vmstate_vpmu, &s);
    take_qemu_registers(&cpu.env, &s);
    if (!vcpu_load(&cpu)) {
        vcpu_check(&cpu);
        vcpu_run(&cpu, &s);
    }
    return 0;
}
