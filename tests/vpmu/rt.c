/*
 * The runtime of the bare-metal tests
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "rt.h"
#include <stdarg.h>

#define SERIAL          0x3f8
#define DEBUG_EXIT      0x501

struct cpu cpus[MAX_CPUS];
unsigned nr_cpus = 1;
unsigned pmu_version, pmu_gp, pmu_fixed, pmu_width;
bool pmu_simulates;
uint64_t pmu_counters;
bool (*trap_hook)(struct frame *frame);
bool ring3_only, on_kvm, on_amd;

static volatile unsigned cpus_up; /* volatile: CPUs wait for each other */
static uint8_t window[WINDOW_PAGES][4096] __attribute__((aligned(4096)));
static unsigned results, failures;

void *memset(void *p, int c, size_t n)
{
    asm volatile("rep stosb" : "+D"(p), "+c"(n) : "a"(c) : "memory");
    return p;
}

void *memcpy(void *to, const void *from, size_t n)
{
    void *p = to;

    asm volatile("rep movsb" : "+D"(p), "+S"(from), "+c"(n) : : "memory");
    return to;
}

/* Output */

static void put(char c)
{
    while (!(inb(SERIAL + 5) & 0x20)) {
        pause();
    }
    outb(SERIAL, c);
}

static void put_number(uint64_t value, unsigned base)
{
    char digits[20];
    unsigned n = 0;

    do {
        digits[n++] = "0123456789abcdef"[value % base];
        value /= base;
    } while (value);
    while (n) {
        put(digits[--n]);
    }
}

/* %s, %u (unsigned), %d (int), %lu and %lx (64 bits), %x. */
static void vprint(const char *format, va_list ap)
{
    for (; *format; format++) {
        bool is_long = false;

        if (*format != '%') {
            put(*format);
            continue;
        }
        if (*++format == 'l') {
            is_long = true;
            format++;
        }
        switch (*format) {
        case 's':
            for (const char *s = va_arg(ap, const char *); *s; s++) {
                put(*s);
            }
            break;
        case 'd': {
            int value = va_arg(ap, int);

            if (value < 0) {
                put('-');
                value = -value;
            }
            put_number(value, 10);
            break;
        }
        default:
            put_number(is_long ? va_arg(ap, uint64_t) : va_arg(ap, unsigned),
                       *format == 'x' ? 16 : 10);
        }
    }
}

void print(const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    vprint(format, ap);
    va_end(ap);
}

static bool vresult(bool ok, const char *format, va_list ap)
{
    failures += !ok;
    print("%sok %u - ", ok ? "" : "not ", ++results);
    vprint(format, ap);
    return ok;
}

bool result(bool ok, const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    vresult(ok, format, ap);
    va_end(ap);
    print("\n");
    return ok;
}

bool check(uint64_t got, uint64_t want, const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    vresult(got == want, format, ap);
    va_end(ap);
    if (got != want) {
        print(" # got 0x%lx want 0x%lx", got, want);
    }
    print("\n");
    return got == want;
}

void keeps(uint32_t msr, uint64_t value, uint64_t want, const char *what)
{
    uint64_t got = ~want;

    if (!try_wrmsr(msr, value)) {
        result(false, "write 0x%lx to 0x%x (%s)", value, msr, what);
        return;
    }
    try_rdmsr(msr, &got);
    check(got, want, "write 0x%lx to 0x%x (%s)", value, msr, what);
}

void result_state(void (*write)(uint8_t index, uint8_t value), uint8_t index)
{
    write(index, results);
    write(index + 1, results >> 8);
    write(index + 2, failures);
    write(index + 3, failures >> 8);
}

void result_resume(uint8_t (*read)(uint8_t index), uint8_t index)
{
    results = read(index) | read(index + 1) << 8;
    failures = read(index + 2) | read(index + 3) << 8;
}

void skip(const char *name, const char *why)
{
    print("ok %u - %s # SKIP %s\n", ++results, name, why);
}

void finish(void)
{
    print("1..%u\n", results);
    outb(DEBUG_EXIT, failures != 0);
    for (;;) {
        asm volatile("cli; hlt");
    }
}

/* Traps */

void set_gate_type(struct cpu *cpu, unsigned vector, void (*handler)(void),
                   unsigned type)
{
    uint64_t address = handler ? (uint64_t)handler :
                                 (uint64_t)(stubs + vector * 16);

    cpu->idt[vector] = (struct gate) {
        .offset0 = address,
        .offset1 = address >> 16,
        .offset2 = address >> 32,
        .selector = SEL_KERNEL,
        .type = type,
    };
}

void set_gate(struct cpu *cpu, unsigned vector, void (*handler)(void))
{
    set_gate_type(cpu, vector, handler, GATE_USER);
}

void set_syscall(void (*handler)(void), uint64_t mask)
{
    wrmsr(0xc0000081, (uint64_t)SEL_KERNEL << 32 |
                      (uint64_t)SEL_USER32 << 48);      /* STAR */
    wrmsr(0xc0000082, (uint64_t)handler);               /* LSTAR */
    wrmsr(0xc0000084, mask);                            /* FMASK */
}

void trap(struct frame *frame)
{
    if (frame->vector == 13 && (frame->rip == (uint64_t)insn_wrmsr ||
                                frame->rip == (uint64_t)insn_rdmsr ||
                                frame->rip == (uint64_t)insn_rdpmc)) {
        frame->rip = (uint64_t)try_failed;
        return;
    }
    if (trap_hook && trap_hook(frame)) {
        return;
    }
    print("Bail out! exception %lu error 0x%lx at 0x%lx, ring %lu\n",
          frame->vector, frame->error, frame->rip, frame->cs & 3);
    outb(DEBUG_EXIT, 2);
}

void rt_window(unsigned pages)
{
    for (unsigned i = 0; i < WINDOW_PAGES; i++) {
        window_pt[i] = (uint64_t)window[i] + (pages & (1u << i) ? 7 : 6);
        asm volatile("invlpg (%0)" : : "r"(WINDOW + i * 4096ul) : "memory");
    }
}

/* CPUs */

static unsigned count_cpus(void)
{
    unsigned n;

    outw(0x510, 5); /* fw_cfg: number of CPUs */
    n = inb(0x511);
    return n > MAX_CPUS ? MAX_CPUS : n;
}

bool command_line_is(const char *what)
{
    outw(0x510, 0x15); /* fw_cfg: command line */
    while (*what && inb(0x511) == *what) {
        what++;
    }
    return !*what && !inb(0x511);
}

static void wait_a_bit(void)
{
    for (int i = 0; i < 100000; i++) {
        pause();
    }
}

struct cpu *this_cpu(void)
{
    uint16_t tr;

    asm volatile("str %0" : "=r"(tr));
    return &cpus[(tr - SEL_TSS) / 16];
}

void restart_cpus(void)
{
    cpus_up = 1;
    memcpy((void *)(uintptr_t)AP_START, ap_trampoline,
           ap_trampoline_end - ap_trampoline);
    apic_write(APIC_ICR, 0xc4500);                      /* INIT */
    wait_a_bit();
    apic_write(APIC_ICR, 0xc4600 | AP_START >> 12);     /* SIPI */
    while (cpus_up < nr_cpus) {
        pause();
    }
}

void start_cpus(void)
{
    if (nr_cpus > 1 && cpus_up == 1) {
        restart_cpus();
    }
}

uint32_t msr_select(unsigned i)
{
    return !on_amd ? MSR_PERFEVTSEL0 + i :
           pmu_gp > 4 || pmu_version > 1 ? MSR_AMD_CTL0 + 2 * i :
                                           MSR_K7_CTL0 + i;
}

uint32_t msr_value(unsigned i)
{
    return !on_amd ? MSR_PMC0 + i :
           pmu_gp > 4 || pmu_version > 1 ? MSR_AMD_CTR0 + 2 * i :
                                           MSR_K7_CTR0 + i;
}

uint32_t msr_global_ctrl(void)
{
    return on_amd ? MSR_AMD_GLOBAL_CTL : MSR_GLOBAL_CTRL;
}

unsigned cpu_family(void)
{
    uint32_t r[4];
    unsigned family;

    cpuid(1, r);
    family = r[0] >> 8 & 0xf;
    return family < 0xf ? family : family + (r[0] >> 20 & 0xff);
}

/* CPUID leaves 0x80000001 and 0x80000022 */
static void read_cpuid_amd(void)
{
    uint32_t r[4];

    cpuid(0x80000001, r);
    pmu_version = 1;
    pmu_gp = r[2] & 1u << 23 ? 6 : 4;
    pmu_width = 48;
    cpuid(0x80000000, r);
    if (r[0] >= 0x80000022) {
        cpuid(0x80000022, r);
        if (r[0] & 1) {
            pmu_version = 2;
            pmu_gp = r[1] & 0xf;
        }
    }
    pmu_counters = (1u << pmu_gp) - 1;
    for (unsigned i = 0; i < 3; i++) {
        memcpy(ctrl_places[i], &(uint32_t){ MSR_AMD_GLOBAL_CTL }, 4);
    }
}

static void read_cpuid(void)
{
    uint32_t r[4];

    cpuid(0, r);
    on_amd = r[1] == 0x68747541; /* "Auth" */
    if (on_amd) {
        read_cpuid_amd();
        return;
    }
    cpuid(0xa, r);
    pmu_version = r[0] & 0xff;
    pmu_gp = (r[0] >> 8) & 0xff;
    pmu_simulates = !(r[1] & 1 << 6);
    pmu_width = (r[0] >> 16) & 0xff;
    pmu_fixed = r[3] & 0x1f;
    pmu_counters = ((1u << pmu_gp) - 1) | UINT64_C(7) << 32;
    cpuid(0x40000000, r);
    on_kvm = r[1] == 0x4b4d564b; /* "KVMK" */
}

/* Called by boot.S on every CPU. */
void cpu_start(unsigned index)
{
    struct cpu *cpu = &cpus[index];
    uint64_t tss = (uint64_t)cpu->tss;
    uint64_t rsp0 = (uint64_t)&cpu->rsp0;
    uint64_t *descriptor = (uint64_t *)(gdt + SEL_TSS + index * 16);
    struct {
        uint16_t limit;
        uint64_t base;
    } __attribute__((packed)) idtr = {
        .limit = sizeof(cpu->idt) - 1,
        .base = (uint64_t)cpu->idt,
    };

    cpu->index = index;
    for (unsigned v = 0; v < 256; v++) {
        set_gate(cpu, v, NULL);
    }
    set_gate(cpu, VECTOR_DONE, (void (*)(void))user_done);
    asm volatile("lidt %0" : : "m"(idtr));

    cpu->tss[1] = rsp0;
    cpu->tss[2] = rsp0 >> 32;
    cpu->tss[25] = sizeof(cpu->tss) << 16;
    descriptor[0] = (sizeof(cpu->tss) - 1) | (tss & 0xffffff) << 16 |
                    UINT64_C(0x89) << 40 | (tss >> 24 & 0xff) << 56;
    descriptor[1] = tss >> 32;
    asm volatile("ltr %w0" : : "r"(SEL_TSS + index * 16));

    apic_write(APIC_SPIV, 0x1ff);
    if (index) {
        __atomic_fetch_add(&cpus_up, 1, __ATOMIC_SEQ_CST);
        ap_main(cpu);
        return;
    }
    cpus_up = 1;
    outb(0x21, 0xff); /* the old interrupt controllers: nothing */
    outb(0xa1, 0xff);
    nr_cpus = count_cpus();
    read_cpuid();
    ring3_only = command_line_is("ring3");
    main();
    finish();
}

void run_code(struct cpu *cpu, void (*code)(void), bool user, uint64_t flags,
              uint64_t mask)
{
    struct run r = {
        .code = code,
        .mask = mask,
        .flags = flags | 2,
        .user = user,
        .rdi = cpu->buffer[0],
        .rsi = cpu->buffer[1],
        .rsp0 = &cpu->rsp0,
        .user_stack = &cpu->user_stack[ARRAY_SIZE(cpu->user_stack)],
    };

    run(&r);
}
