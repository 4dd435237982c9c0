/*
 * The runtime of the bare-metal tests
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Eight CPUs at most, 64-bit mode, interrupts off, everything open to ring 3.
 * Results go to the first serial port as TAP, the end to isa-debug-exit.
 *
 * With "-append ring3" programs count in ring 3 only.
 *
 * With KVM an instruction that KVM executes in the guest's place does not
 * retire.  KVM adds it to the counts of instructions and branches, and to no
 * other, if they are on when it has been executed.  So they have the WRMSR that
 * starts the counters and not the one that stops them; without KVM it is the
 * other way round.
 */
#ifndef TESTS_VPMU_RT_H
#define TESTS_VPMU_RT_H

#define MAX_CPUS        8
#define STACK_SIZE      16384
#define AP_START        0x8000

#define SEL_KERNEL      0x08
#define SEL_KDATA       0x10
#define SEL_USER32      0x1b
#define SEL_UDATA       0x23
#define SEL_USER        0x2b
#define SEL_KERNEL32    0x38
#define SEL_TSS         0x40
/* 32-bit code that does not begin at 0 */
#define SEL_BASED_KERNEL (SEL_TSS + 16 * MAX_CPUS)
#define SEL_BASED_USER  (SEL_BASED_KERNEL + 0xb)
#define SEGMENT_BASE    0x100000
/* From here on 16 descriptors that a program may use as it likes */
#define SEL_FREE        (SEL_BASED_KERNEL + 16)

/* The vector by which run() comes back from ring 3 */
#define VECTOR_DONE     0x80

#define MSR_GLOBAL_CTRL 0x38f

/* Events, as an event select has them in its low 16 bits. */
#define EV_INSNS        0x00c0
#define EV_CYCLES       0x003c
#define EV_BRANCHES     0x00c4
#define EV_TAKEN        0x01c4
#define EV_CALLS        0x02c4
#define EV_RETURNS      0x08c4
#define EV_NOT_TAKEN    0x10c4
#define EV_COND         0x11c4
#define EV_NEAR_TAKEN   0x20c4
#define EV_FAR          0x40c4
#define EV_INDIRECT     0x80c4
#define EV_INTERRUPTS   0x01cb
#define EV_LOAD_LATENCY 0x01cd
#define EV_LOADS        0x81d0
#define EV_STORES       0x82d0

/* The same of AMD; conditional branches from Zen on, AMD_INTERRUPTS: Zen 2 */
#define AMD_INSNS       0x00c0
#define AMD_CYCLES      0x0076
#define AMD_BRANCHES    0x00c2
#define AMD_TAKEN       0x00c4
#define AMD_FAR         0x00c6
#define AMD_RETURNS     0x00c8
#define AMD_COND        0x00d1
#define AMD_INTERRUPTS  0x002c
#define AMD_K7_INTERRUPTS 0x00cf
#define AMD_LOADS       0x0129
#define AMD_STORES      0x0229

/* Pages that a test may map and unmap, see rt_window(). */
#define WINDOW          0x40000000
#define WINDOW_PAGES    8

#define APIC            0xfee00000
#define APIC_ID         0x20
#define APIC_EOI        0xb0
#define APIC_SPIV       0xf0
#define APIC_IRR        0x200
#define APIC_ICR        0x300
#define APIC_ICR2       0x310
#define APIC_SELF_SMI   0x40200
#define APIC_LVTT       0x320
#define APIC_LVTPC      0x340
#define APIC_TIMER_INIT 0x380
#define APIC_TIMER_DIV  0x3e0
#define APIC_MASKED     0x10000
#define APIC_NMI        0x400

#ifndef ASSEMBLY

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ARRAY_SIZE(a)   (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b)       ((a) < (b) ? (a) : (b))

#define MSR_CORE_LBR_FROM       0x40
#define MSR_CORE_LBR_TO         0x60
#define MSR_PERFCTR0            0xc1
#define MSR_PERFEVTSEL0         0x186
#define MSR_MISC_ENABLE         0x1a0
#define MSR_LBR_SELECT          0x1c8
#define MSR_LBR_TOS             0x1c9
#define MSR_DEBUGCTL            0x1d9
#define MSR_FIXED_CTR0          0x309
#define MSR_PERF_CAPABILITIES   0x345
#define MSR_FIXED_CTR_CTRL      0x38d
#define MSR_GLOBAL_STATUS       0x38e
#define MSR_GLOBAL_OVF_CTRL     0x390
#define MSR_GLOBAL_STATUS_SET   0x391
#define MSR_GLOBAL_INUSE        0x392
#define MSR_PEBS_ENABLE         0x3f1
#define MSR_PEBS_DATA_CFG       0x3f2
#define MSR_PEBS_LD_LAT         0x3f6
#define MSR_PMC0                0x4c1
#define MSR_DS_AREA             0x600
#define MSR_LBR_FROM            0x680
#define MSR_LBR_TO              0x6c0
#define MSR_LBR_INFO            0xdc0
#define MSR_ARCH_LBR_INFO       0x1200
#define MSR_ARCH_LBR_CTL        0x14ce
#define MSR_ARCH_LBR_DEPTH      0x14cf
#define MSR_ARCH_LBR_FROM       0x1500
#define MSR_ARCH_LBR_TO         0x1600
/* AMD: of K7, of PerfCtrCore (two apart), of PerfMonV2 */
#define MSR_K7_CTL0             0xc0010000
#define MSR_K7_CTR0             0xc0010004
#define MSR_AMD_CTL0            0xc0010200
#define MSR_AMD_CTR0            0xc0010201
#define MSR_AMD_STATUS          0xc0000300
#define MSR_AMD_GLOBAL_CTL      0xc0000301
#define MSR_AMD_STATUS_CLR      0xc0000302
#define MSR_AMD_STATUS_SET      0xc0000303

#define EVTSEL_USR      (1u << 16)
#define EVTSEL_OS       (1u << 17)
#define EVTSEL_EDGE     (1u << 18)
#define EVTSEL_INT      (1u << 20)
#define EVTSEL_EN       (1u << 22)
#define EVTSEL_INV      (1u << 23)
#define EVTSEL_CMASK(n) ((uint32_t)(n) << 24)
#define EVTSEL_ADAPTIVE (UINT64_C(1) << 34)

#define COUNTER_MASK    ((UINT64_C(1) << 48) - 1)

/* GLOBAL_STATUS */
#define LBR_FROZEN      (UINT64_C(1) << 58)
#define FROZEN          (UINT64_C(1) << 59)
#define OVF_BUF         (UINT64_C(1) << 62)
#define COND_CHGD       (UINT64_C(1) << 63)

#define DEBUGCTL_LBR    (1 << 0)
#define DEBUGCTL_BTF    (1 << 1)
#define DEBUGCTL_BTS    (3 << 6)        /* and TR */
#define DEBUGCTL_BTINT  (1 << 8)
#define DEBUGCTL_OFF_OS (1 << 9)
#define DEBUGCTL_OFF_USR (1 << 10)
#define DEBUGCTL_FREEZE_LBRS (1 << 11)
#define DEBUGCTL_FREEZE (1 << 12)

#define FLAGS_IF        0x200
#define FLAGS_IOPL3     0x3000

/* What boot.S pushes for trap(). */
struct frame {
    uint64_t r15, r14, r13, r12, r11, r10, r9, r8;
    uint64_t rdi, rsi, rbp, rbx, rdx, rcx, rax;
    uint64_t vector, error, rip, cs, flags, rsp, ss;
};

/* boot.S knows the offsets. */
struct run {
    void (*code)(void);
    uint64_t mask;              /* for GLOBAL_CTRL */
    uint64_t flags;             /* EFLAGS to run with */
    uint64_t user;              /* in ring 3, not 0 */
    void *rdi, *rsi;
    uint64_t *rsp0;
    void *user_stack;
};

/*
 * What run() itself retires while the counters are on, by class.
 * Ring 0: CALL, 2 XOR, MOV, WRMSR, and the code's own RET.
 * Ring 3: the user's RET and INT; the kernel's IRET, 2 XOR, MOV, WRMSR.
 */
void run(struct run *r);

struct gate {
    uint16_t offset0, selector;
    uint8_t ist, type;
    uint16_t offset1;
    uint32_t offset2, zero;
};

struct cpu {
    unsigned index;
    struct gate idt[256] __attribute__((aligned(16)));
    uint32_t tss[27];
    uint64_t rsp0_stack[512] __attribute__((aligned(64)));
    uint64_t rsp0;
    uint64_t user_stack[512] __attribute__((aligned(64)));
    uint8_t buffer[2][8192] __attribute__((aligned(4096)));
};

/* boot.S */
extern char ap_trampoline[], ap_trampoline_end[], stubs[], gdt[];
extern char user_exit[], user_done[];
extern char *const ctrl_places[3];
extern char insn_wrmsr[], insn_rdmsr[], insn_rdpmc[], try_failed[];
extern uint64_t window_pt[];
void cpu_start(unsigned index);
void trap(struct frame *frame);
/* Handlers that do nothing but return; 1 instruction each. */
void h_iret(void);
void h_sysret(void);

extern struct cpu cpus[MAX_CPUS];
extern unsigned nr_cpus;

/* Only ring 3 is counted. */
extern bool ring3_only;
/*
 * According to CPUID this is a guest of KVM.  An instruction that KVM executes
 * in the guest's place counts as an instruction (as several with REP), perhaps
 * as a branch, and as nothing else.
 */
extern bool on_kvm;

/* The processor is AMD's. */
extern bool on_amd;

/* CPUID leaf 0xA; on AMD version 1, with PerfMonV2 version 2 */
extern unsigned pmu_version, pmu_gp, pmu_fixed, pmu_width;
/* Intel: caches and branch prediction are simulated. */
extern bool pmu_simulates;
/* The bits of all counters in GLOBAL_CTRL. */
extern uint64_t pmu_counters;

/* The test: main() on the first CPU, ap_main() on the others. */
void main(void);
void ap_main(struct cpu *cpu);
/* Called by trap() for vectors that it does not know. */
extern bool (*trap_hook)(struct frame *frame);

/* CPUID leaf 1 */
unsigned cpu_family(void);

/* The registers of general-purpose counter @i: control and value */
uint32_t msr_select(unsigned i);
uint32_t msr_value(unsigned i);
/* GLOBAL_CTRL; there is none on AMD without PerfMonV2. */
uint32_t msr_global_ctrl(void);

bool try_wrmsr(uint32_t msr, uint64_t value);
bool try_rdmsr(uint32_t msr, uint64_t *value);
bool try_rdpmc(uint32_t index, uint64_t *value);

/* Set a vector's handler, in assembly; NULL: trap(). */
void set_gate(struct cpu *cpu, unsigned vector, void (*handler)(void));
/* The same, callable from ring 0 only, absent, or without clearing IF. */
enum { GATE_KERNEL = 0x8e, GATE_USER = 0xee, GATE_ABSENT = 0x6e,
       GATE_TRAP = 0xef };
void set_gate_type(struct cpu *cpu, unsigned vector, void (*handler)(void),
                   unsigned type);

/* SYSCALL's handler, in assembly, and the flags that it clears. */
void set_syscall(void (*handler)(void), uint64_t mask);

/* Map pages of the window, bit 0 of @pages the first one. */
void rt_window(unsigned pages);

/* The task register tells the CPUs apart, and reading it leaves no trace. */
struct cpu *this_cpu(void);

/* Start the other CPUs, if there are; they run ap_main(). */
void start_cpus(void);
/* INIT and start them again. */
void restart_cpus(void);

/* Run code on @cpu with the counters in @mask on, in ring 3 or 0. */
void run_code(struct cpu *cpu, void (*code)(void), bool user, uint64_t flags,
              uint64_t mask);

static inline unsigned ring_of(bool user)
{
    return user ? 3 : 0;
}

/* Let pending interrupts in. */
static inline void accept_interrupts(void)
{
    asm volatile("sti; nop; nop; cli" : : : "memory");
}

/* Is this what -append has? */
bool command_line_is(const char *what);

void print(const char *format, ...);
/* One result.  @format names the test; after a failure say why. */
bool result(bool ok, const char *format, ...);
/* result() that compares. */
bool check(uint64_t got, uint64_t want, const char *format, ...);
/* The result of a write to an MSR, after which it must have the value @want. */
void keeps(uint32_t msr, uint64_t value, uint64_t want, const char *what);
/* Keep the number of results in four bytes from @index on, and go on there. */
void result_state(void (*write)(uint8_t index, uint8_t value), uint8_t index);
void result_resume(uint8_t (*read)(uint8_t index), uint8_t index);
void skip(const char *name, const char *why);
void __attribute__((noreturn)) finish(void);

void *memset(void *p, int c, size_t n);
void *memcpy(void *to, const void *from, size_t n);

static inline uint64_t rdmsr(uint32_t msr)
{
    uint32_t low, high;

    asm volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
    return low | (uint64_t)high << 32;
}

static inline void wrmsr(uint32_t msr, uint64_t value)
{
    asm volatile("wrmsr" : : "c"(msr), "a"((uint32_t)value),
                 "d"((uint32_t)(value >> 32)) : "memory");
}

static inline uint64_t rdpmc(uint32_t index)
{
    uint32_t low, high;

    asm volatile("rdpmc" : "=a"(low), "=d"(high) : "c"(index));
    return low | (uint64_t)high << 32;
}

static inline void cpuid(uint32_t leaf, uint32_t *r)
{
    asm volatile("cpuid" : "=a"(r[0]), "=b"(r[1]), "=c"(r[2]), "=d"(r[3])
                 : "a"(leaf), "c"(0));
}

static inline uint64_t read_cr4(void)
{
    uint64_t value;

    asm volatile("mov %%cr4, %0" : "=r"(value));
    return value;
}

static inline void write_cr4(uint64_t value)
{
    asm volatile("mov %0, %%cr4" : : "r"(value) : "memory");
}

static inline void outb(uint16_t port, uint8_t value)
{
    asm volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static inline uint8_t inb(uint16_t port)
{
    uint8_t value;

    asm volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

/* Memory that a reset leaves as it is */
static inline uint8_t cmos_read(uint8_t index)
{
    outb(0x70, index);
    return inb(0x71);
}

static inline void cmos_write(uint8_t index, uint8_t value)
{
    outb(0x70, index);
    outb(0x71, value);
}

static inline void outl(uint16_t port, uint32_t value)
{
    asm volatile("outl %0, %1" : : "a"(value), "Nd"(port));
}

static inline void outw(uint16_t port, uint16_t value)
{
    asm volatile("outw %0, %1" : : "a"(value), "Nd"(port));
}

static inline uint32_t apic_read(unsigned reg)
{
    /* volatile: a device */
    return *(volatile uint32_t *)(uintptr_t)(APIC + reg);
}

static inline void apic_write(unsigned reg, uint32_t value)
{
    /* volatile: a device */
    *(volatile uint32_t *)(uintptr_t)(APIC + reg) = value;
}

static inline void pause(void)
{
    asm volatile("pause" : : : "memory");
}

#endif /* !ASSEMBLY */
#endif /* TESTS_VPMU_RT_H */
