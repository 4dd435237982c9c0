/*
 * A vCPU whose PMU does what a stream of bytes says
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/error-report.h"
#include "qemu/timer.h"
#include "migration/vmstate.h"
#include "branches.h"
#include "counting.h"
#include "ds.h"
#include "msr-table.h"
#include "tcg-vcpu.h"
#include "vcpu.h"
#include "vpmc.h"

/* Guest memory: a few pages somewhere, and what may be done with them */
#define MEMORY          UINT64_C(0x10000)
#define PAGE_SIZE       4096
#define PAGES           4
/* More accesses than this to guest memory are not the work of one step. */
#define ACCESSES_MAX    200

static uint8_t memory[PAGES * PAGE_SIZE];
static bool present[PAGES], writable[PAGES];
static bool waits;
static unsigned accesses;
static int64_t now;
static unsigned reports;

uint64_t take(Stream *s, unsigned bytes)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < bytes && s->size; i++) {
        value |= (uint64_t)*s->data++ << (8 * i);
        s->size--;
    }
    return value;
}

/* What the PMU's files need of QEMU and of the files that are not here */

int64_t qemu_clock_get_ns(QEMUClockType type)
{
    return now;
}

void vcpu_pass_time(int64_t ns)
{
    now += ns;
}

void error_report(const char *format, ...)
{
    g_assert_cmpuint(strlen(format), >, 10);
    reports++;
}

/* The stream says what the simulation finds, see simulate(). */

void vpmu_simulation_begin(CPUX86State *env)
{
    g_assert_true(vpmu_simulates(env_archcpu(env)));
}

void vpmu_simulation_reset(CPUX86State *env)
{
}

uint64_t vpmu_supported_features(X86CPU *cpu, int word)
{
    return cpu->env.features[word];
}

uint64_t vpmu_read_ppmc(CPUX86State *env, unsigned p, uintptr_t retaddr)
{
    return softpmu_read(&env->vpmu_host.hw, p, vpmu_ring(env->hflags),
                        vpmu_level(env->hflags), 0);
}

void vpmu_sample(CPUX86State *env, PEBSSample *sample)
{
    const SoftPMUNote *note = &env->vpmu_host.hw.note;

    sample->ip = note->ip;
    sample->next_ip = env->eip;
    sample->load = note->load;
    sample->store = note->store;
}

/* The memory at @address, up to the end of its page or of @size bytes */
static uint8_t *memory_at(uint64_t address, unsigned *size, bool write)
{
    uint64_t offset = address - MEMORY;
    unsigned page = offset / PAGE_SIZE;

    if (offset >= sizeof(memory) || !present[page] ||
        (write && !writable[page])) {
        return NULL;
    }
    *size = MIN(*size, PAGE_SIZE - offset % PAGE_SIZE);
    return memory + offset;
}

/*
 * Only an index is written to the DS area, and records only where it has their
 * buffer: those of branches, smaller than those of PEBS, in the first.
 */
static void check_store(const CPUX86State *env, uint64_t address,
                        unsigned size)
{
    uint64_t area = env->vpmu.ds_area;
    DSBuffer ds;

    if (size == sizeof(ds.index)) {
        g_assert_true(address == area + offsetof(DSBuffer, index) ||
                      address == area + DS_PEBS_OFFSET +
                                 offsetof(DSBuffer, index));
        return;
    }
    area += size == 3 * sizeof(uint64_t) ? DS_BTS_OFFSET : DS_PEBS_OFFSET;
    for (unsigned i = 0; i < sizeof(ds); i++) {
        unsigned one = 1;

        ((uint8_t *)&ds)[i] = *memory_at(area + i, &one, false);
    }
    g_assert_cmphex(address, >=, GUINT64_FROM_LE(ds.base));
    g_assert_cmphex(address + size, <=, GUINT64_FROM_LE(ds.maximum));
}

bool vpmu_access(CPUX86State *env, uint64_t address, void *buffer,
                 unsigned size, bool write)
{
    g_assert_cmpuint(size, <=, PEBS_RECORD_MAX);
    g_assert_cmpuint(++accesses, <=, ACCESSES_MAX);
    if (buffer && write) {
        check_store(env, address, size);
    }
    for (unsigned pass = 0; pass < (buffer ? 2 : 1); pass++) {
        for (unsigned done = 0, part; done < size; done += part) {
            uint8_t *at;

            part = size - done;
            at = memory_at(address + done, &part, write);
            if (!at) {
                g_assert_cmpuint(pass, ==, 0);
                return false;
            }
            if (pass && write) {
                memcpy(at, (uint8_t *)buffer + done, part);
            } else if (pass) {
                memcpy((uint8_t *)buffer + done, at, part);
            }
        }
    }
    return true;
}

bool vpmu_waits_for_memory(CPUX86State *env)
{
    return waits;
}

void vpmu_raise_pmi(CPUX86State *env)
{
}

/* Whoever takes a branch calls vpmu_sync() behind it, see vcpu_check(). */
void vpmu_request_sync(CPUX86State *env)
{
    g_assert_true(env->vpmu.bts_due);
}

void vpmu_leave_before_fetch(CPUX86State *env, bool leave)
{
}

/* What a guest sees, and what must be true */

unsigned vcpu_snapshot(X86CPU *cpu, uint64_t values[VCPU_REGISTERS_MAX])
{
    const VPMURegisterTable *table = vpmu_is_amd(cpu) ? &vpmu_amd_table :
                                                        &vpmu_intel_table;
    unsigned n = 0;

    for (unsigned r = 0; r < table->nr; r++) {
        const VPMURegister *reg = &table->rows[r];

        /* vpmu_rdmsr() would look each number up, which takes most of the time. */
        for (unsigned i = 0; reg->read && i < reg->nr; i++) {
            if (reg->exists(cpu, i)) {
                g_assert_cmpuint(n, <, VCPU_REGISTERS_MAX);
                values[n++] = reg->read(&cpu->env, reg, i, 0);
            }
        }
    }
    return n;
}

/* Addresses may have become those of another paging mode. */
static bool is_address(uint32_t msr)
{
    return msr == MSR_IA32_DS_AREA ||
           (msr >= MSR_LASTBRANCH_0_FROM_IP &&
            msr < MSR_LASTBRANCH_0_TO_IP + LBR_DEPTH) ||
           (msr >= MSR_ARCH_LBR_FROM_0 && msr < MSR_ARCH_LBR_TO_0 + LBR_DEPTH);
}

/*
 * The guest could have put there what its registers have: it can write what it
 * reads, unless the register is read-only.
 */
static void check_registers(X86CPU *cpu)
{
    const VPMURegisterTable *table = vpmu_is_amd(cpu) ? &vpmu_amd_table :
                                                        &vpmu_intel_table;

    for (unsigned r = 0; r < table->nr; r++) {
        const VPMURegister *reg = &table->rows[r];
        uint64_t value;

        /* Of several, they are alike. */
        if (reg->read && reg->write && !is_address(reg->msr) &&
            vpmu_rdmsr(&cpu->env, reg->msr, &value, 0) == VPMU_DONE) {
            g_assert_cmphex(value & ~reg->bits(cpu), ==, 0);
        }
    }
}

void vcpu_check(X86CPU *cpu)
{
    CPUX86State *env = &cpu->env;
    const Handover *h = &env->vpmu_host.handover;
    const SoftPMU *pmu = &env->vpmu_host.hw;

    g_assert_cmpint(vpmu_level(env->hflags), ==, pmu->level);
    g_assert_cmpint(!!(env->hflags & HF_VPMU_BRANCH_MASK), ==, pmu->branches);
    g_assert_cmpint(!!(env->hflags & HF_VPMU_SIM_MASK), ==, !!pmu->sim);
    g_assert_cmphex(pmu->overflowed, ==, 0);
    g_assert_false(env->vpmu.bts_due);
    g_assert_cmphex(env->vpmu.waiting & ~cpu->vpmu.vpmcs, ==, 0);
    for (unsigned v = 0; v < VPMU_NR; v++) {
        int p = h->phys[v];

        g_assert_cmphex(pmu->counter[v].value, <=, SOFTPMU_VALUE_MASK);
        g_assert_cmphex(*vpmu_value(env, v), <=, SOFTPMU_VALUE_MASK);
        if (p != HANDOVER_NONE) {
            g_assert_cmpint(h->virt[p], ==, v);
            g_assert_cmphex(h->reserved & VPMU_MASK_OF(p), ==, 0);
            g_assert_cmpint(pmu->config[p].on, ==, vpmu_is_enabled(env, v));
        }
    }
    accesses = 0;
}

/* A vCPU */

static void set_amd(X86CPU *cpu, Stream *s)
{
    static const uint32_t signatures[] = {
        0x00000f00, 0x00600f00, 0x00800f00, 0x00830f10, 0x00a10f10,
    };
    unsigned kind = take(s, 1) % ARRAY_SIZE(signatures);

    cpu->env.is_amd = true;
    cpu->env.cpuid_version = signatures[kind];
    cpu->vpmu.version = kind == 4 ? 2 : 1;
    cpu->vpmu.total_gp = kind ? 6 : 4;
    cpu->env.features[FEAT_8000_0001_ECX] =
        (kind ? CPUID_EXT3_PERFCORE : 0) | (kind & 1 ? CPUID_EXT3_SVM : 0);
}

static void set_intel(X86CPU *cpu, Stream *s)
{
    static const uint8_t models[] = { 23, 26, 58, 94, 106, 143, 134, 95 };
    static const uint8_t lbrs[] = { 0, 5, 6, 7, 63 };
    unsigned model = models[take(s, 1) % ARRAY_SIZE(models)];
    unsigned kind = take(s, 1);

    cpu->env.cpuid_version = (model >> 4) << 16 | 6 << 8 | (model & 15) << 4;
    cpu->vpmu.version = 2 + (kind & 3);
    cpu->vpmu.total_gp = 1 + (kind >> 2) % VPMU_NR_GP;
    cpu->vpmu.nr_fixed = VPMU_NR_FIXED;
    cpu->vpmu.lbr_format = lbrs[take(s, 1) % ARRAY_SIZE(lbrs)];
    kind = take(s, 1);
    cpu->vpmu.pebs_format = kind & 7 ? 1 + (kind & 3) : 0;
    cpu->vpmu.pebs = cpu->vpmu.pebs_format ? ON_OFF_AUTO_ON : ON_OFF_AUTO_OFF;
    cpu->vpmu.pebs_baseline = cpu->vpmu.pebs_format == 4 && kind & 8 ?
                              ON_OFF_AUTO_ON : ON_OFF_AUTO_OFF;
    cpu->vpmu.bts = cpu->vpmu.pebs_format && kind & 16 ? ON_OFF_AUTO_ON :
                                                         ON_OFF_AUTO_OFF;
    cpu->env.features[FEAT_1_ECX] = CPUID_EXT_PDCM;
    cpu->env.features[FEAT_PERF_CAPABILITIES] =
        cpu->vpmu.lbr_format | cpu->vpmu.pebs_format << 8 |
        (vpmu_has_baseline(cpu) ? VPMU_CAP_PEBS_BASELINE : 0) |
        (cpu->vpmu.pebs_format ? VPMU_CAP_PEBS_TRAP : 0) |
        (kind & 32 ? 0 : VPMU_CAP_FW_WRITE);
}

VPMUCounterMask vcpu_ppmcs(const X86CPU *cpu)
{
    return ((1u << cpu->vpmu.total_gp) - 1) |
           ((1u << cpu->vpmu.nr_fixed) - 1) << VPMU_NR_GP;
}

void vcpu_init(X86CPU *cpu, const X86CPU *like, Stream *s)
{
    unsigned kind = take(s, 1);
    CPUState cs = cpu->cs;

    memset(cpu, 0, sizeof(*cpu));
    cpu->cs = cs;
    if (like) {
        cpu->vpmu = like->vpmu;
        cpu->env.is_amd = like->env.is_amd;
        cpu->env.cpuid_version = like->env.cpuid_version;
        memcpy(cpu->env.features, like->env.features,
               sizeof(cpu->env.features));
        cpu->env.hflags = like->env.hflags &
                          ~(HF_VPMU_MASK | HF_VPMU_BRANCH_MASK |
                            HF_VPMU_SIM_MASK);
        cpu->env.efer = like->env.efer;
        memcpy(cpu->env.cr, like->env.cr, sizeof(cpu->env.cr));
    } else {
        cpu->vpmu.software = true;
        if (kind & 1 << 7) {
            set_amd(cpu, s);
        } else {
            set_intel(cpu, s);
        }
        cpu->vpmu.nr_gp = cpu->vpmu.total_gp;
        cpu->vpmu.policy = kind & 1;
        cpu->vpmu.simulation = kind & 1 << 6 ? VPMU_SIMULATION_SIMPLE :
                                               VPMU_SIMULATION_NONE;
        cpu->vpmu.vpmcs = vcpu_ppmcs(cpu);
        memset(memory, 0, sizeof(memory));
        memset(present, true, sizeof(present));
        memset(writable, true, sizeof(writable));
        waits = false;
        now = 0;
    }
    if (cpu->vpmu.policy) {
        vcpu_plug(cpu, kind >> 1 & 3, s);
    } else {
        handover_init(&cpu->env.vpmu_host.handover, vcpu_ppmcs(cpu), 0,
                      HANDOVER_FOREVER);
    }
    vpmu_reset(cpu);
    vcpu_check(cpu);
}

/* Registers */

/*
 * A register of the PMU, or rarely any
 * @reg: its row; NULL: it is none of those in that row
 */
static uint32_t take_msr(X86CPU *cpu, Stream *s, const VPMURegister **reg)
{
    const VPMURegisterTable *table = vpmu_is_amd(cpu) ? &vpmu_amd_table :
                                                        &vpmu_intel_table;
    unsigned nr = take(s, 1);
    unsigned i = take(s, 1);
    const VPMURegister *row = &table->rows[nr % table->nr];
    unsigned step = row->step ?: 1;

    *reg = NULL;
    if (nr == 255) {
        return take(s, 4);
    }
    /* One more than there are */
    i %= row->nr * step + 1;
    if (i % step == 0 && i / step < row->nr) {
        *reg = row;
    }
    return row->msr + i;
}

static uint64_t take_value(X86CPU *cpu, Stream *s, const VPMURegister *reg)
{
    unsigned kind = take(s, 1);

    switch (kind & 7) {
    case 0:
        return take(s, 8);
    case 1:
        return UINT64_C(1) << (kind >> 2 & 63);
    case 2:
        return -(uint64_t)(kind >> 3) & SOFTPMU_VALUE_MASK;
    case 3:
        return MEMORY + take(s, 2) % sizeof(memory);
    case 4:
        /* On, and an event of all models */
        return take(s, 4) | (kind & 8 ? 0x4300c0 : 0x4300c4);
    case 5:
        return take(s, 4);
    default:
        return take(s, 8) & (reg && reg->bits ? reg->bits(cpu) : 0);
    }
}

/* Does a register have what was written to it? */
static bool keeps(X86CPU *cpu, const VPMURegister *reg, uint32_t msr)
{
    bool arch = msr >= MSR_ARCH_LBR_INFO_0 &&
                msr < MSR_ARCH_LBR_TO_0 + LBR_DEPTH &&
                msr != MSR_ARCH_LBR_CTL && msr != MSR_ARCH_LBR_DEPTH;

    return reg && reg->write && reg->read != vpmu_read_zero &&
           msr != MSR_IA32_DEBUGCTL && /* ignores some bits */
           (!arch || msr - reg->msr < cpu->env.vpmu.lbr.depth);
}

/* What was written reads back, and what was read can be written. */
static void check_write(X86CPU *cpu, const VPMURegister *reg, uint32_t msr,
                        uint64_t value)
{
    CPUX86State *env = &cpu->env;
    uint64_t first = 0, again = 0;

    /* Writes to these numbers are sign-extended. */
    if ((msr >= MSR_P6_PERFCTR0 && msr < MSR_P6_PERFCTR0 + VPMU_NR_GP) ||
        vpmu_rdmsr(env, msr, &first, 0) != VPMU_DONE) {
        return;
    }
    if (keeps(cpu, reg, msr)) {
        g_assert_cmphex(first, ==, vpmu_is_amd(cpu) && reg->bits ?
                                   value & reg->bits(cpu) : value);
    }
    g_assert_cmpint(vpmu_wrmsr(env, msr, first), ==, VPMU_DONE);
    vpmu_rdmsr(env, msr, &again, 0);
    g_assert_cmphex(again, ==, first);
}

static void write_register(X86CPU *cpu, Stream *s)
{
    static CPUX86State before;
    const VPMURegister *reg;
    uint32_t msr = take_msr(cpu, s, &reg);
    uint64_t value = take_value(cpu, s, reg);

    before = cpu->env;
    switch (vpmu_wrmsr(&cpu->env, msr, value)) {
    case VPMU_DONE:
        check_write(cpu, reg, msr, value);
        if (reg && reg->read == vpmu_read_counter) {
            unsigned v = reg->counter + (msr - reg->msr) / (reg->step ?: 1);

            /* Its record no longer waits. */
            g_assert_cmphex(cpu->env.vpmu.waiting & VPMU_MASK_OF(v), ==, 0);
        }
        break;
    default:
        g_assert_cmpmem(&cpu->env, sizeof(before), &before, sizeof(before));
    }
}

static void read_anything(X86CPU *cpu, Stream *s)
{
    static CPUX86State before;
    const VPMURegister *reg;
    uint64_t value = 0;

    before = cpu->env;
    vpmu_rdmsr(&cpu->env, take_msr(cpu, s, &reg), &value, 0);
    if (vpmu_rdpmc(&cpu->env, take(s, 4), &value, 0) == VPMU_DONE) {
        g_assert_cmphex(value, <=, SOFTPMU_VALUE_MASK);
    }
    g_assert_cmpmem(&cpu->env, sizeof(before), &before, sizeof(before));
}

/* Instructions */

/*
 * An access or a branch of the instruction that runs.  What it makes overflow
 * is known before.
 */
static void simulate(CPUX86State *env, Stream *s)
{
    SoftPMU *pmu = &env->vpmu_host.hw;
    unsigned ring = vpmu_ring(env->hflags);
    SimOutcome outcome = take(s, 4) & ((1u << SIM_NR_CLASSES) - 1);
    bool overflows = softpmu_sim_overflows(pmu, ring, outcome);
    VPMUCounterMask before = pmu->overflowed;
    VPMUCounterMask now = softpmu_sim_count(pmu, ring, outcome);

    g_assert_cmpint(overflows, ==, !!now);
    g_assert_cmphex(pmu->overflowed, ==, before | now);
}

static void check_note(const SoftPMUNote *is, const SoftPMUNote *expected)
{
    g_assert_cmphex(is->ip, ==, expected->ip);
    g_assert_cmphex(is->next, ==, expected->next);
    g_assert_cmphex(is->load, ==, expected->load);
    g_assert_cmphex(is->store, ==, expected->store);
    g_assert_cmpuint(is->load_found.level, ==, expected->load_found.level);
    g_assert_cmpint(is->load_found.walked, ==, expected->load_found.walked);
    g_assert_cmpuint(is->store_found.level, ==, expected->store_found.level);
    g_assert_cmpint(is->store_found.walked, ==, expected->store_found.walked);
}

static void retire(X86CPU *cpu, Stream *s)
{
    CPUX86State *env = &cpu->env;
    SoftPMU *pmu = &env->vpmu_host.hw;
    unsigned what = take(s, 1);
    SoftPMUCharge charge = SOFTPMU_CHARGE_INSN |
        (what & 1 ? SOFTPMU_CHARGE_LOAD : 0) |
        (what & 2 ? SOFTPMU_CHARGE_STORE : 0) |
        SOFTPMU_CHARGE_KIND((what >> 2) % SOFTPMU_BR_NR);

    for (unsigned n = 1 + (what >> 5); n; n--) {
        VPMUCounterMask waiting = env->vpmu.waiting;

        env->eip++;
        pmu->note = (SoftPMUNote) {
            .ip = env->eip,
            .load = what & 1 ? MEMORY : 0,
            .store = what & 2 ? MEMORY : 0,
            .load_found.level = (what >> 2) % (SIM_MEMORY + 1),
            .store_found.walked = what & 2,
        };
        if (env->hflags & HF_VPMU_SIM_MASK) {
            simulate(env, s);
        }
        softpmu_charge(pmu, vpmu_ring(env->hflags), vpmu_level(env->hflags),
                       charge);
        vpmu_sync(env);
        vpmu_commit(env);
        if (env->vpmu.waiting & ~waiting) {
            /* It will be about this instruction. */
            g_assert_cmphex(pmu->note.ip, ==, env->eip);
            check_note(&env->vpmu.waiting_note, &pmu->note);
        }
    }
}

static void branch(X86CPU *cpu, Stream *s)
{
    CPUX86State *env = &cpu->env;
    unsigned what = take(s, 1);
    VPMUPlace from = { .eip = take(s, 4), .hflags = env->hflags ^ (what & 3) };

    switch (what >> 2 & 7) {
    case 0:
        vpmu_far_branch(env, &from);
        break;
    case 1:
        vpmu_debug_exception(env, &from);
        break;
    case 2:
        softpmu_receive(&env->vpmu_host.hw, vpmu_ring(env->hflags));
        break;
    default:
        vpmu_near_branch(env, 1 + (what >> 2) % (SOFTPMU_BR_NR - 1), env->eip,
                         from.eip, what >> 7);
    }
    /* Its block has ended. */
    vpmu_sync(env);
    vpmu_commit(env);
}

static void change_mode(X86CPU *cpu, Stream *s)
{
    CPUX86State *env = &cpu->env;
    unsigned what = take(s, 1);

    vpmu_sync(env);
    env->hflags = (env->hflags & ~(HF_CPL_MASK | HF_CS64_MASK |
                                   HF_GUEST_MASK)) |
                  (what & 1 ? HF_CPL_MASK : 0) |
                  (what & 2 ? HF_CS64_MASK : 0) |
                  (what & 4 ? HF_GUEST_MASK : 0);
    env->efer = what & 8 ? MSR_EFER_SVME : 0;
    vpmu_update(env);
}

/* Memory */

static void poke(Stream *s)
{
    unsigned what = take(s, 1);
    unsigned offset = take(s, 2) % (sizeof(memory) - 8);
    uint64_t value = what & 1 ? MEMORY + take(s, 2) : take(s, 8);

    value = GUINT64_TO_LE(value);
    memcpy(memory + offset, &value, 8);
    if (what & 2) {
        present[what >> 6] = what & 4;
        writable[what >> 6] = what & 8;
        waits = what & 16;
    }
}

/*
 * The DS area at the start of memory, with buffers that work, and a counter
 * that is about to make a record
 */
static void set_up_ds(X86CPU *cpu)
{
    static const struct {
        uint32_t msr;
        uint64_t value;
    } registers[] = {
        { MSR_IA32_DS_AREA, MEMORY }, { MSR_IA32_PEBS_ENABLE, 1 },
        { MSR_IA32_PMC0, SOFTPMU_VALUE_MASK }, { MSR_P6_EVNTSEL0, 0x5300c0 },
        { MSR_CORE_PERF_GLOBAL_CTRL, 1 },
    };
    /* A record at each event, and neither buffer ends with a record */
    uint64_t fields[8 + VPMU_NR] = {
        MEMORY + 1024, MEMORY + 1024, MEMORY + 1124, MEMORY + 1048,
        MEMORY + 4000, MEMORY + 4000, MEMORY + 4450, MEMORY + 4300,
    };

    memset(fields + 8, 0xff, sizeof(fields) - 8 * sizeof(fields[0]));
    for (unsigned i = 0; i < ARRAY_SIZE(fields); i++) {
        fields[i] = GUINT64_TO_LE(fields[i]);
    }
    memcpy(memory, fields, sizeof(fields));
    for (unsigned i = 0; i < ARRAY_SIZE(registers); i++) {
        vpmu_wrmsr(&cpu->env, registers[i].msr, registers[i].value);
    }
}

/* Reset, INIT and migration */

static void restart(X86CPU *cpu, Stream *s)
{
    static CPUX86State before;
    CPUX86State *env = &cpu->env;

    before = *env;
    if (take(s, 1) & 1) {
        env->hflags = 0;
        vpmu_after_init(cpu, &before);
        return;
    }
    memset(&env->msr_fixed_ctr_ctrl, 0,
           offsetof(CPUX86State, vpmu_host) -
           offsetof(CPUX86State, msr_fixed_ctr_ctrl));
    env->hflags = 0;
    vpmu_reset(cpu);
}

void vcpu_copy_qemu_registers(CPUX86State *to, const CPUX86State *from)
{
    to->msr_ia32_misc_enable = from->msr_ia32_misc_enable;
    to->msr_fixed_ctr_ctrl = from->msr_fixed_ctr_ctrl;
    to->msr_global_ctrl = from->msr_global_ctrl;
    to->msr_global_status = from->msr_global_status;
    memcpy(to->msr_fixed_counters, from->msr_fixed_counters,
           sizeof(to->msr_fixed_counters));
    memcpy(to->msr_gp_counters, from->msr_gp_counters,
           sizeof(to->msr_gp_counters));
    memcpy(to->msr_gp_evtsel, from->msr_gp_evtsel, sizeof(to->msr_gp_evtsel));
}

int vcpu_load(X86CPU *cpu)
{
    int ret;

    reports = 0;
    ret = vmstate_vpmu.post_load(cpu, vmstate_vpmu.version_id);
    if (!ret) {
        ret = vpmu_after_load(cpu);
    }
    g_assert_cmpuint(reports, ==, ret ? 1 : 0);
    return ret;
}

static void copy_section(X86CPU *to, X86CPU *from,
                         const VMStateDescription *section)
{
    if (section->needed && !section->needed(from)) {
        return;
    }
    for (const VMStateField *f = section->fields; f->name; f++) {
        memcpy((char *)to + f->offset, (char *)from + f->offset,
               f->size * f->num);
    }
    for (unsigned i = 0; section->subsections && section->subsections[i];
         i++) {
        copy_section(to, from, section->subsections[i]);
    }
}

void vcpu_migrate(X86CPU *cpu, Stream *s)
{
    static X86CPU to;
    uint64_t values[VCPU_REGISTERS_MAX], there[VCPU_REGISTERS_MAX];
    unsigned n;

    to.cs = cpu->cs;
    vcpu_init(&to, cpu, s);
    vpmu_before_save(cpu);
    n = vcpu_snapshot(cpu, values);
    vmstate_vpmu.pre_save(cpu);
    vcpu_copy_qemu_registers(&to.env, &cpu->env);
    copy_section(&to, cpu, &vmstate_vpmu);
    g_assert_cmpint(vcpu_load(&to), ==, 0);
    g_assert_cmpuint(vcpu_snapshot(&to, there), ==, n);
    g_assert_cmpmem(there, n * sizeof(there[0]), values,
                    n * sizeof(values[0]));
    g_assert_cmphex(to.env.vpmu.waiting, ==, cpu->env.vpmu.waiting);
    if (cpu->env.vpmu.waiting) {
        check_note(&to.env.vpmu.waiting_note, &cpu->env.vpmu.waiting_note);
    }
    *cpu = to;
}

void vcpu_step(X86CPU *cpu, Stream *s)
{
    unsigned what = take(s, 1);

    now += what >> 4;
    switch (what & VCPU_WHAT) {
    case 0 ... 4:
        write_register(cpu, s);
        break;
    case 5:
        read_anything(cpu, s);
        break;
    case 6 ... 7:
        retire(cpu, s);
        break;
    case 8:
        branch(cpu, s);
        break;
    case 9:
        change_mode(cpu, s);
        break;
    case 10:
        poke(s);
        break;
    case 11:
        set_up_ds(cpu);
        break;
    case VCPU_OTHERS:
        vcpu_host(cpu, s);
        break;
    case 13:
        restart(cpu, s);
        break;
    case 14:
        vcpu_migrate(cpu, s);
        break;
    case 15:
        vpmu_retry_record(&cpu->env);
        break;
    }
    vcpu_check(cpu);
}

void vcpu_check_registers(X86CPU *cpu)
{
    check_registers(cpu);
    g_assert_true(vpmu_registers_are_valid(&cpu->env));
}

void vcpu_run(X86CPU *cpu, Stream *s)
{
    while (s->size) {
        vcpu_step(cpu, s);
    }
    vcpu_check_registers(cpu);
}
