/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Counter hand-over with /dev/kvm alone; TAP
 * usage: kvm-handover [-s] [NUMBER]  all tests, or one
 *        kvm-handover [-s] off       the module's parameter is off: exit
 *                                    status 0
 *        kvm-handover guest          a guest that counts, until it is killed
 *        kvm-handover [-s] figures   what it costs, with and without hand-over
 *        kvm-handover cpu            what the CPU has and what KVM offers
 *
 * All counts are known by construction.  They are of user mode, in which the
 * guest counts nothing but its loop.  They are exact, and cycles are
 * instructions, as in QEMU's emulator.
 *
 * With -s it is silicon that counts.  Cycles are not compared.  Each time that
 * user mode is interrupted one instruction and one branch too many may be
 * counted, so a count may be higher by as many as the guest's interruptions,
 * see vm_interruptions(), and is never lower.  What IRET and INT count in user
 * mode is found out first, with a VM that has no hand-over.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <linux/kvm.h>
#include <linux/perf_event.h>
#include "guest.h"
#include "vm.h"

#define TURNS       1000
#define USER        (EVTSEL_EN | EVTSEL_USR)
#define MAX_GP      32
#define NR_GP       vm_pmu.gp
#define ALL_GP      ((1ull << NR_GP) - 1)
#define MASK        0xffffffffffff

static const struct kvm_vpmu_handover defaults = { .size = sizeof(defaults) };
static unsigned failures;
static bool silicon;

/* What IRET to user mode and INT out of it count there, for each loop */
static struct {
    unsigned insns, branches, loads;
} edges = { 1, 1, 0 };

#define USER_INSNS(turns)       (2 * (uint64_t)(turns) + edges.insns)
#define USER_BRANCHES(turns)    ((uint64_t)(turns) + edges.branches)

/* Compare, and say what differs. */
#define EQUAL(a, b)     equal(a, b, #a, __LINE__)
#define TRUE(a)         equal(!!(a), 1, #a, __LINE__)
/* How many records, of those that there would be if none came late */
#define RECORDS(a, b)   (silicon ? TRUE(a) : EQUAL(a, b))
/* The same for what a guest has counted, in cycles or in anything else */
#define COUNT(vm, a, b) check_count(vm, a, b, #a, __LINE__)
#define CYCLES(a, b)    (silicon ? TRUE((a) > (b)) : EQUAL(a, (b) + \
                                                           USER_INSNS(TURNS)))

static void equal(uint64_t a, uint64_t b, const char *what, int line)
{
    if (a != b) {
        printf("# line %d: %s is %lld, not %lld\n", line, what, (long long)a,
               (long long)b);
        failures++;
    }
}

static void check_count(VM *vm, uint64_t a, uint64_t b, const char *what,
                        int line)
{
    uint64_t most = silicon && a > b ? vm_interruptions(vm) : 0;

    if (most && a - b <= most) {
        printf("# line %d: %s is %lld, %lld too many with at most %lld "
               "interruptions\n", line, what, (long long)a,
               (long long)(a - b), (long long)most);
    } else {
        equal(a, b, what, line);
    }
}

static uint64_t start_of(unsigned period)
{
    return -(uint64_t)period & MASK;
}

/*
 * Of @insns instructions, so many periods are over, and the counter has begun
 * another one.  Silicon goes on counting until the handler or the record sets
 * it anew, which discards that: less than a period, or an overflow was lost.
 */
static void check_periods(VM *vm, uint64_t insns, unsigned period,
                          unsigned periods, uint64_t counter)
{
    uint64_t counted = periods * (uint64_t)period +
                       ((counter - start_of(period)) & MASK);

    if (!silicon) {
        EQUAL(counted, insns);
        return;
    }
    printf("# %u periods of %u; %lld of %lld instructions are not counted\n",
           periods, period, (long long)(insns - counted), (long long)insns);
    TRUE(counted <= insns + vm_interruptions(vm));
    TRUE(insns < counted + periods * (uint64_t)period);
}

static void sleep_ms(unsigned ms)
{
    nanosleep(&(struct timespec) { ms / 1000, ms % 1000 * 1000000 }, NULL);
}

/* Stay on CPU 0, or go anywhere. */
static void pin(bool on)
{
    cpu_set_t cpus;

    memset(&cpus, on ? 0 : 0xff, sizeof(cpus));
    CPU_SET(0, &cpus);
    sched_setaffinity(0, sizeof(cpus), &cpus);
}

/*
 * Enter and leave the guest twice: what is seen on entry is acted on before
 * the next one.
 */
static void look(VM *vm)
{
    vm_execute(vm);
    vm_execute(vm);
}

/* A counter of the host's, of user mode; -1 if perf refuses it. */
static int host_counter(pid_t pid, int cpu, bool pinned, uint64_t config)
{
    struct perf_event_attr attr = {
        .size = sizeof(attr), .type = PERF_TYPE_RAW, .config = config,
        .pinned = pinned, .exclude_kernel = 1, .exclude_hv = 1,
        .read_format = PERF_FORMAT_TOTAL_TIME_ENABLED |
                       PERF_FORMAT_TOTAL_TIME_RUNNING,
    };

    return syscall(SYS_perf_event_open, &attr, pid, cpu, -1,
                   PERF_FLAG_FD_CLOEXEC);
}

/* The host makes records of this CPU's branches, far apart. */
static int host_records(int cpu)
{
    struct perf_event_attr attr = {
        .size = sizeof(attr), .type = PERF_TYPE_RAW, .config = EVENT_BRANCHES,
        .sample_period = 1ull << 40, .precise_ip = 1, .exclude_kernel = 1,
        .exclude_hv = 1,
    };

    return syscall(SYS_perf_event_open, &attr, -1, cpu, -1,
                   PERF_FLAG_FD_CLOEXEC);
}

/* Does it count all the time?  A pinned one that does not cannot be read. */
static bool host_counts(int fd)
{
    uint64_t value[3];

    return read(fd, value, sizeof(value)) == sizeof(value) && value[1] &&
           value[1] == value[2];
}

/* How many pinned counters of user-mode events this CPU still has. */
static unsigned host_free(void)
{
    int fd[MAX_GP];
    unsigned n = 0;

    for (unsigned i = 0; i < NR_GP; i++) {
        /* Not instructions or cycles: those may be on a fixed counter. */
        fd[i] = host_counter(0, -1, true, EVENT_BRANCHES);
    }
    for (unsigned i = 0; i < NR_GP; i++) {
        n += host_counts(fd[i]);
        close(fd[i]);
    }
    return n;
}

static void program(VM *vm, unsigned i, uint64_t event, uint64_t value)
{
    vm_op(vm, OP_WRMSR, MSR_PMC(i), value);
    vm_op(vm, OP_WRMSR, MSR_EVNTSEL(i), event | USER);
}

static void on(VM *vm, uint64_t counters)
{
    vm_op(vm, OP_WRMSR, MSR_GLOBAL_CTRL, counters);
}

static void loop(VM *vm, unsigned turns)
{
    vm_op(vm, OP_USER, 0, turns);
}

static void create_slice(VM *vm, unsigned ms)
{
    struct kvm_vpmu_handover args = defaults;

    args.slice_ns = ms * 1000000ull;
    vm_create(vm, &args);
    on(vm, 0);
    vm_execute(vm);
}

/* Nothing is released meanwhile, even where the emulator has to wait long. */
static void create(VM *vm)
{
    create_slice(vm, 10000);
}

/* Count instructions on these, in one table; compare each. */
static void count_all(VM *vm, unsigned counters)
{
    unsigned result[MAX_GP] = { 0 };

    for (unsigned i = 0; i < NR_GP; i++) {
        if (counters >> i & 1) {
            program(vm, i, EVENT_INSTRUCTIONS, 0);
        }
    }
    on(vm, counters);
    loop(vm, TURNS);
    on(vm, 0);
    for (unsigned i = 0; i < NR_GP; i++) {
        result[i] = vm_op(vm, OP_RDMSR, MSR_PMC(i), 0);
    }
    vm_execute(vm);
    for (unsigned i = 0; i < NR_GP; i++) {
        if (counters >> i & 1) {
            COUNT(vm, vm_result(vm, result[i]), USER_INSNS(TURNS));
        }
    }
}

/* --- the tests --- */

static void test_features(void)
{
    int kvm = open("/dev/kvm", O_RDWR);

    EQUAL(ioctl(kvm, KVM_CHECK_EXTENSION, KVM_CAP_X86_VPMU_HANDOVER),
          KVM_VPMU_HANDOVER_HAS_ENABLE | KVM_VPMU_HANDOVER_HAS_RESERVE |
          KVM_VPMU_HANDOVER_HAS_MAP | KVM_VPMU_HANDOVER_HAS_STATS |
          KVM_VPMU_HANDOVER_HAS_DIRECT);
    close(kvm);
}

static int enable(int vm, const void *args, uint64_t arg1, uint32_t flags)
{
    struct kvm_enable_cap cap = {
        .cap = KVM_CAP_X86_VPMU_HANDOVER, .flags = flags,
        .args = { (uintptr_t)args, arg1 },
    };

    return ioctl(vm, KVM_ENABLE_CAP, &cap) ? errno : 0;
}

static void test_errors(void)
{
    struct { struct kvm_vpmu_handover args; uint64_t more; } longer = {
        .args.size = sizeof(longer),
    };
    static struct { struct kvm_vpmu_handover args; char more[4096]; } longest = {
        .args.size = sizeof(longest),
    };
    struct kvm_vpmu_handover args = defaults;
    struct kvm_enable_cap no_pmu = {
        .cap = KVM_CAP_PMU_CAPABILITY, .args = { KVM_PMU_CAP_DISABLE },
    };
    int kvm = open("/dev/kvm", O_RDWR), vm = ioctl(kvm, KVM_CREATE_VM, 0);

    EQUAL(enable(vm, NULL, 0, 0), EFAULT);
    EQUAL(enable(vm, &args, 1, 0), EINVAL);
    EQUAL(enable(vm, &args, 0, 1), EINVAL);
    args.size--;
    EQUAL(enable(vm, &args, 0, 0), EINVAL);
    EQUAL(enable(vm, &longest, 0, 0), E2BIG);
    args = defaults;
    args.flags = 2;
    EQUAL(enable(vm, &args, 0, 0), EINVAL);
    args = defaults;
    args.reserved[4] = 1;
    EQUAL(enable(vm, &args, 0, 0), EINVAL);
    longer.more = 1;
    EQUAL(enable(vm, &longer, 0, 0), E2BIG);
    args = defaults;
    args.host_gp = NR_GP + 1;
    EQUAL(enable(vm, &args, 0, 0), ERANGE);
    args.host_gp = 0;
    args.host_fixed = 1 << vm_pmu.fixed;
    EQUAL(enable(vm, &args, 0, 0), ERANGE);
    args.host_fixed = 0;
    args.slice_ns = 61000000000;
    EQUAL(enable(vm, &args, 0, 0), ERANGE);

    /* What all of them have left alone: it can be enabled once it is right. */
    longer.more = 0;
    EQUAL(enable(vm, &longer, 0, 0), 0);
    close(vm);

    vm = ioctl(kvm, KVM_CREATE_VM, 0);
    EQUAL(ioctl(vm, KVM_ENABLE_CAP, &no_pmu), 0);
    EQUAL(enable(vm, &defaults, 0, 0), ENXIO);
    close(vm);

    vm = ioctl(kvm, KVM_CREATE_VM, 0);
    close(ioctl(vm, KVM_CREATE_VCPU, 0));
    EQUAL(enable(vm, &defaults, 0, 0), EEXIST);
    close(vm);
    close(kvm);
}

static void test_attribute(void)
{
    static struct { struct kvm_vpmu_handover_map map; char more[4096]; } longest;
    struct kvm_vpmu_handover_map map = { 0 };
    struct kvm_device_attr attr = {
        .group = KVM_VPMU_HANDOVER_ATTRS, .attr = KVM_VPMU_HANDOVER_MAP,
        .addr = (uintptr_t)&map,
    };
    VM vm;

    vm_create(&vm, NULL);
    EQUAL(ioctl(vm.vcpu, KVM_HAS_DEVICE_ATTR, &attr), -1);
    EQUAL(errno, ENXIO);
    vm_destroy(&vm);

    create(&vm);
    EQUAL(ioctl(vm.vcpu, KVM_HAS_DEVICE_ATTR, &attr), 0);
    EQUAL(ioctl(vm.vcpu, KVM_GET_DEVICE_ATTR, &attr), -1);
    EQUAL(errno, EINVAL);
    longest.map.size = sizeof(longest);
    attr.addr = (uintptr_t)&longest;
    EQUAL(ioctl(vm.vcpu, KVM_GET_DEVICE_ATTR, &attr), -1);
    EQUAL(errno, E2BIG);
    EQUAL(ioctl(vm.vcpu, KVM_SET_DEVICE_ATTR, &attr), -1);
    EQUAL(errno, EPERM);
    attr.attr = 1;
    EQUAL(ioctl(vm.vcpu, KVM_HAS_DEVICE_ATTR, &attr), -1);
    EQUAL(errno, ENXIO);
    attr.attr = KVM_VPMU_HANDOVER_MAP;
    attr.flags = 1;
    EQUAL(ioctl(vm.vcpu, KVM_GET_DEVICE_ATTR, &attr), -1);
    EQUAL(errno, EINVAL);
    vm_map(&vm, &map);
    EQUAL(map.nr_gp, NR_GP);
    EQUAL(map.nr_fixed, vm_pmu.fixed);
    EQUAL(map.host_gp, 0);
    EQUAL(map.gp[0].path, KVM_VPMU_PATH_IDLE);
    vm_destroy(&vm);
}

static void test_counts(void)
{
    unsigned insns, cycles, branches, fixed, rdpmc;
    VM vm;

    create(&vm);
    program(&vm, 0, EVENT_INSTRUCTIONS, 0);
    program(&vm, 1, EVENT_CYCLES, 0x123456789);
    program(&vm, 2, EVENT_BRANCHES, 0);
    vm_op(&vm, OP_WRMSR, MSR_FIXED(0), 5);
    vm_op(&vm, OP_WRMSR, MSR_FIXED_CTRL, 0x002);
    on(&vm, 7 | 1ull << 32);
    loop(&vm, TURNS);
    rdpmc = vm_op(&vm, OP_RDPMC, 0, 0);
    on(&vm, 0);
    insns = vm_op(&vm, OP_RDMSR, MSR_PMC(0), 0);
    cycles = vm_op(&vm, OP_RDMSR, MSR_PMC(1), 0);
    branches = vm_op(&vm, OP_RDMSR, MSR_PMC(2), 0);
    fixed = vm_op(&vm, OP_RDMSR, MSR_FIXED(0), 0);
    vm_execute(&vm);
    COUNT(&vm, vm_result(&vm, insns), USER_INSNS(TURNS));
    COUNT(&vm, vm_result(&vm, rdpmc), USER_INSNS(TURNS));
    CYCLES(vm_result(&vm, cycles), 0x123456789);
    COUNT(&vm, vm_result(&vm, branches), USER_BRANCHES(TURNS));
    COUNT(&vm, vm_result(&vm, fixed), 5 + USER_INSNS(TURNS));
    vm_destroy(&vm);
}

static void test_all_counters(void)
{
    struct kvm_vpmu_handover_map map;
    VM vm;

    create(&vm);
    count_all(&vm, ALL_GP);
    vm_map(&vm, &map);
    for (unsigned i = 0; i < NR_GP; i++) {
        TRUE(map.gp[i].ppmc >= 0 && map.gp[i].ppmc < NR_GP);
        EQUAL(map.gp[i].path, KVM_VPMU_PATH_IDLE);
    }
    EQUAL(vm_stat(&vm, "hand-overs"), NR_GP);
    vm_destroy(&vm);
}

/* On and off, other rings, another value: perf is asked for nothing. */
static void test_reuse(void)
{
    unsigned n = 50, result, asked;
    VM vm;

    create(&vm);
    program(&vm, 0, EVENT_INSTRUCTIONS, 0);
    on(&vm, 1);
    loop(&vm, TURNS);
    vm_execute(&vm);
    asked = vm_stat(&vm, "control-writes-reprogrammed");
    for (unsigned i = 0; i < n; i++) {
        /* How much the other ring counts is not known; it is overwritten. */
        vm_op(&vm, OP_WRMSR, MSR_EVNTSEL(0), EVENT_INSTRUCTIONS | EVTSEL_OS |
              EVTSEL_EN);
        loop(&vm, 10);
        vm_op(&vm, OP_WRMSR, MSR_EVNTSEL(0), EVENT_INSTRUCTIONS | EVTSEL_USR);
        vm_op(&vm, OP_WRMSR, MSR_PMC(0), 1000);
        loop(&vm, 10);
        vm_op(&vm, OP_WRMSR, MSR_EVNTSEL(0), EVENT_INSTRUCTIONS | USER);
        loop(&vm, TURNS);
        on(&vm, 0);
        loop(&vm, 10);
        on(&vm, 1);
        loop(&vm, TURNS);
        result = vm_op(&vm, OP_RDMSR, MSR_PMC(0), 0);
    }
    vm_execute(&vm);
    COUNT(&vm, vm_result(&vm, result), 1000 + 2 * USER_INSNS(TURNS));
    EQUAL(vm_stat(&vm, "hand-overs"), 1);
    EQUAL(vm_stat(&vm, "control-writes-reprogrammed"), asked);
    TRUE(vm_stat(&vm, "control-writes-direct") >= 5 * n);
    TRUE(vm_stat(&vm, "reuses") >= 2 * n);
    vm_destroy(&vm);
}

/* Another event that may be on any counter: the same placeholder. */
static void test_other_event(void)
{
    unsigned insns, branches, loads;
    VM vm;

    create(&vm);
    program(&vm, 0, EVENT_INSTRUCTIONS, 0);
    on(&vm, 1);
    loop(&vm, TURNS);
    insns = vm_op(&vm, OP_RDMSR, MSR_PMC(0), 0);
    program(&vm, 0, EVENT_BRANCHES, 0);
    loop(&vm, TURNS);
    branches = vm_op(&vm, OP_RDMSR, MSR_PMC(0), 0);
    program(&vm, 0, EVENT_LOADS, 0);
    loop(&vm, TURNS);
    loads = vm_op(&vm, OP_RDMSR, MSR_PMC(0), 0);
    vm_execute(&vm);
    COUNT(&vm, vm_result(&vm, insns), USER_INSNS(TURNS));
    COUNT(&vm, vm_result(&vm, branches), USER_BRANCHES(TURNS));
    /* The loop itself has none. */
    COUNT(&vm, vm_result(&vm, loads), edges.loads);
    EQUAL(vm_stat(&vm, "hand-overs"), 1);
    /* The first event, and the one that may not be anywhere. */
    EQUAL(vm_stat(&vm, "control-writes-reprogrammed"), 2);
    vm_destroy(&vm);
}

/* Overflows, without and with a handler that sets the counter anew. */
static void test_overflow(void)
{
    /* Silicon comes late by hundreds of instructions. */
    const unsigned period = 301, longer = silicon ? 10 * period : period;
    unsigned result;
    VM vm;

    create(&vm);
    program(&vm, 0, EVENT_INSTRUCTIONS | EVTSEL_INT, start_of(period));
    on(&vm, 1);
    loop(&vm, TURNS);
    on(&vm, 0);
    result = vm_op(&vm, OP_RDMSR, MSR_PMC(0), 0);
    vm_execute(&vm);
    EQUAL(vm_read32(&vm, GUEST_NMIS), 1);
    EQUAL(vm_read32(&vm, GUEST_STATUS), 1);
    COUNT(&vm, vm_result(&vm, result), USER_INSNS(TURNS) - period);
    EQUAL(vm_stat(&vm, "pmis"), 1);
    vm_destroy(&vm);

    create(&vm);
    vm_write64(&vm, GUEST_REARM_MSR, MSR_PMC(0));
    vm_write64(&vm, GUEST_REARM, start_of(longer));
    program(&vm, 0, EVENT_INSTRUCTIONS | EVTSEL_INT, start_of(longer));
    on(&vm, 1);
    loop(&vm, 10 * TURNS);
    on(&vm, 0);
    result = vm_op(&vm, OP_RDMSR, MSR_PMC(0), 0);
    vm_execute(&vm);
    RECORDS(vm_read32(&vm, GUEST_NMIS), USER_INSNS(10 * TURNS) / longer);
    check_periods(&vm, USER_INSNS(10 * TURNS), longer,
                  vm_read32(&vm, GUEST_NMIS), vm_result(&vm, result));
    EQUAL(vm_stat(&vm, "hand-overs"), 1);
    vm_destroy(&vm);
}

static unsigned read_number(const char *path)
{
    FILE *file = fopen(path, "r");
    unsigned number;

    if (!file || fscanf(file, "%u", &number) != 1) {
        die(path);
    }
    fclose(file);
    return number;
}

/* A limit of perf's, /proc/sys/kernel/NAME, is @value from now on. */
static unsigned set_limit(const char *name, unsigned value)
{
    char path[64];
    unsigned before;
    FILE *file;

    snprintf(path, sizeof(path), "/proc/sys/kernel/%s", name);
    before = read_number(path);
    file = fopen(path, "w");
    if (!file || fprintf(file, "%u\n", value) < 0 || fclose(file)) {
        die(path);
    }
    return before;
}

/* Counts how often this thread asks perf to go on with an event. */
static int resumed_counter(void)
{
    struct perf_event_attr attr = {
        .size = sizeof(attr), .type = PERF_TYPE_TRACEPOINT,
        .config = read_number("/sys/kernel/debug/tracing/events/kvm_vpmu/"
                              "kvm_vpmu_resumed/id"),
    };
    int fd = syscall(SYS_perf_event_open, &attr, 0, -1, -1,
                     PERF_FLAG_FD_CLOEXEC);

    if (fd < 0) {
        die("counter of kvm_vpmu_resumed");
    }
    return fd;
}

/* perf stops an event that overflows more than once a tick, until the next. */
static void test_throttled(void)
{
    const unsigned period = silicon ? 3010 : 301, turns = 10 * TURNS;
    /* Only with this one set can the other be changed. */
    unsigned percent = set_limit("perf_cpu_time_max_percent", 25);
    unsigned rate = set_limit("perf_event_max_sample_rate", 1);
    unsigned sampled, counted;
    uint64_t resumed = 0;
    int fd = resumed_counter();
    VM vm;

    create(&vm);
    vm_write64(&vm, GUEST_REARM_MSR, MSR_PMC(0));
    vm_write64(&vm, GUEST_REARM, start_of(period));
    program(&vm, 0, EVENT_INSTRUCTIONS | EVTSEL_INT, start_of(period));
    program(&vm, 1, EVENT_INSTRUCTIONS, 0);
    on(&vm, 3);
    loop(&vm, turns);
    on(&vm, 0);
    sampled = vm_op(&vm, OP_RDMSR, MSR_PMC(0), 0);
    counted = vm_op(&vm, OP_RDMSR, MSR_PMC(1), 0);
    vm_execute(&vm);
    set_limit("perf_event_max_sample_rate", rate);
    set_limit("perf_cpu_time_max_percent", percent);
    RECORDS(vm_read32(&vm, GUEST_NMIS), USER_INSNS(turns) / period);
    check_periods(&vm, USER_INSNS(turns), period, vm_read32(&vm, GUEST_NMIS),
                  vm_result(&vm, sampled));
    COUNT(&vm, vm_result(&vm, counted), USER_INSNS(turns));
    EQUAL(vm_stat(&vm, "hand-overs"), 2);
    TRUE(read(fd, &resumed, sizeof(resumed)) == sizeof(resumed));
    printf("# %u overflows, resumed %lld times\n",
           vm_read32(&vm, GUEST_NMIS), (long long)resumed);
    TRUE(resumed > 1);
    close(fd);
    vm_destroy(&vm);
}

/* What is not used for a slice goes back, and comes again. */
static void test_lazy_release(void)
{
    VM vm;

    create_slice(&vm, 100);
    count_all(&vm, 3);
    EQUAL(vm_stat(&vm, "lazy-releases"), 0);
    sleep_ms(300);
    on(&vm, 1);
    vm_execute(&vm);
    /* Counter 0 is wanted, and has given its own back just as 1 has. */
    EQUAL(vm_stat(&vm, "lazy-releases"), 2);
    EQUAL(vm_stat(&vm, "hand-overs"), 3);
    COUNT(&vm, vm_do(&vm, OP_RDMSR, MSR_PMC(1), 0), USER_INSNS(TURNS));
    count_all(&vm, 3);
    vm_destroy(&vm);
}

/* The host takes counters and gives them back while the guest counts. */
static void test_reserve(void)
{
    struct kvm_vpmu_handover_map map;
    unsigned starved = 0, before;
    uint64_t value;
    VM vm;

    create(&vm);
    for (unsigned i = 0; i < NR_GP; i++) {
        program(&vm, i, EVENT_INSTRUCTIONS, 0);
    }
    on(&vm, ALL_GP);
    loop(&vm, TURNS);
    vm_execute(&vm);
    EQUAL(host_free(), 0);
    EQUAL(vm_handover(&vm, 0, 2, 0), EBUSY);
    EQUAL(host_free(), 0);
    EQUAL(vm_handover(&vm, KVM_VPMU_HANDOVER_FORCE, 2, 0), 0);
    /* At once, before the vCPU runs again */
    EQUAL(host_free(), 2);

    loop(&vm, TURNS);
    vm_execute(&vm);
    vm_map(&vm, &map);
    EQUAL(map.host_gp, 2);
    for (unsigned i = 0; i < NR_GP; i++) {
        bool counts = map.gp[i].path != KVM_VPMU_PATH_STARVED;

        starved += !counts;
        value = vm_do(&vm, OP_RDMSR, MSR_PMC(i), 0);
        COUNT(&vm, value, (1 + counts) * USER_INSNS(TURNS));
    }
    EQUAL(starved, 2);
    EQUAL(vm_stat(&vm, "evictions"), 2);
    TRUE(vm_stat(&vm, "starved-ns"));

    before = vm_stat(&vm, "hand-overs");
    EQUAL(vm_handover(&vm, 0, 0, 0), 0);
    loop(&vm, TURNS);
    vm_execute(&vm);
    EQUAL(vm_stat(&vm, "hand-overs"), before + 2);
    vm_map(&vm, &map);
    for (unsigned i = 0; i < NR_GP; i++) {
        TRUE(map.gp[i].path != KVM_VPMU_PATH_STARVED);
    }
    EQUAL(host_free(), 0);
    vm_destroy(&vm);
}

/* The host has had counters before there was a vCPU. */
static void test_reserved_at_start(void)
{
    struct kvm_vpmu_handover args = defaults;
    unsigned starved = 0;
    struct kvm_vpmu_handover_map map;
    VM vm;

    args.host_gp = NR_GP - 3;
    vm_create(&vm, &args);
    for (unsigned i = 0; i < NR_GP; i++) {
        program(&vm, i, EVENT_INSTRUCTIONS, 0);
    }
    on(&vm, ALL_GP);
    vm_execute(&vm);
    vm_map(&vm, &map);
    EQUAL(map.host_gp, NR_GP - 3);
    for (unsigned i = 0; i < NR_GP; i++) {
        starved += map.gp[i].path == KVM_VPMU_PATH_STARVED;
    }
    EQUAL(starved, NR_GP - 3);
    EQUAL(host_free(), NR_GP - 3);
    vm_destroy(&vm);
}

/* Instructions on fixed 0, cycles on fixed 1; they have these paths then. */
static void loop_fixed(VM *vm, unsigned path0, unsigned path1)
{
    struct kvm_vpmu_handover_map map;

    vm_op(vm, OP_WRMSR, MSR_FIXED_CTRL, 0x022);
    on(vm, 3ull << 32);
    loop(vm, TURNS);
    vm_execute(vm);
    vm_map(vm, &map);
    EQUAL(map.fixed[0].path, path0);
    EQUAL(map.fixed[1].path, path1);
    EQUAL(map.fixed[1].ppmc, path1 == KVM_VPMU_PATH_FAST ? 33 : -1);
}

/* A reserved fixed counter, and one that somebody else has: no spill. */
static void test_fixed(void)
{
    int fd;
    VM vm;

    create(&vm);
    EQUAL(vm_handover(&vm, 0, 0, 1), 0);
    loop_fixed(&vm, KVM_VPMU_PATH_STARVED, KVM_VPMU_PATH_FAST);
    EQUAL(vm_do(&vm, OP_RDMSR, MSR_FIXED(0), 0), 0);
    CYCLES(vm_do(&vm, OP_RDMSR, MSR_FIXED(1), 0), 0);
    vm_destroy(&vm);

    /* cycles, pinned to the CPU, as the NMI watchdog does */
    pin(true);
    fd = host_counter(-1, 0, true, EVENT_CYCLES);
    create_slice(&vm, 10);
    loop_fixed(&vm, KVM_VPMU_PATH_FAST, KVM_VPMU_PATH_STARVED);
    EQUAL(vm_do(&vm, OP_RDMSR, MSR_FIXED(1), 0), 0);
    EQUAL(host_free(), NR_GP);
    close(fd);
    sleep_ms(30);
    look(&vm);
    loop_fixed(&vm, KVM_VPMU_PATH_FAST, KVM_VPMU_PATH_FAST);
    CYCLES(vm_do(&vm, OP_RDMSR, MSR_FIXED(1), 0), 0);
    vm_destroy(&vm);
    pin(false);
}

/* Host events of the CPU come and go; they win, but no count is wrong. */
static void test_host_events(void)
{
    int fd[MAX_GP], used = 0, room = NR_GP - 4;
    uint64_t value;
    VM vm;

    pin(true);
    create_slice(&vm, 10);
    for (unsigned i = 0; i < 4; i++) {
        program(&vm, i, EVENT_INSTRUCTIONS, 0);
    }
    on(&vm, 15);
    loop(&vm, TURNS);
    vm_execute(&vm);
    /* As many as there is room for: the guest's are moved at most. */
    for (; used < room; used++) {
        fd[used] = host_counter(-1, 0, true, EVENT_BRANCHES);
        loop(&vm, TURNS);
        vm_execute(&vm);
    }
    for (int i = 0; i < room; i++) {
        TRUE(host_counts(fd[i]));
    }
    for (unsigned i = 0; i < 4; i++) {
        COUNT(&vm, vm_do(&vm, OP_RDMSR, MSR_PMC(i), 0),
              (1 + room) * USER_INSNS(TURNS));
    }
    EQUAL(vm_stat(&vm, "starved-ns"), 0);
    /* More: the guest starves, which is seen, and nothing else happens. */
    for (; used < (int)NR_GP; used++) {
        fd[used] = host_counter(-1, 0, true, EVENT_BRANCHES);
    }
    look(&vm);
    sleep_ms(30);
    look(&vm);
    TRUE(vm_stat(&vm, "starved-ns") > 4 * 20000000ull);
    while (used > room) {
        close(fd[--used]);
    }
    sleep_ms(30);
    look(&vm);
    value = vm_do(&vm, OP_RDMSR, MSR_PMC(3), 0);
    loop(&vm, TURNS);
    vm_execute(&vm);
    COUNT(&vm, vm_do(&vm, OP_RDMSR, MSR_PMC(3), 0),
          value + USER_INSNS(TURNS));
    while (used) {
        close(fd[--used]);
    }
    vm_destroy(&vm);
    pin(false);
}

/* perf moves a counter that is to overflow with the next instruction. */
static void test_one_left(void)
{
    const unsigned later = 1 << 20;
    struct kvm_vpmu_handover_map map;
    unsigned result;
    int before, fd;
    VM vm;

    pin(true);
    create(&vm);
    vm_write64(&vm, GUEST_REARM_MSR, MSR_PMC(0));
    vm_write64(&vm, GUEST_REARM, start_of(later));
    program(&vm, 0, EVENT_INSTRUCTIONS | EVTSEL_INT, start_of(1));
    on(&vm, 1);
    vm_execute(&vm);
    vm_map(&vm, &map);
    before = map.gp[0].ppmc;
    fd = host_counter(-1, 0, true, EVENT_BRANCHES);
    loop(&vm, TURNS);
    on(&vm, 0);
    result = vm_op(&vm, OP_RDMSR, MSR_PMC(0), 0);
    vm_execute(&vm);
    vm_map(&vm, &map);
    TRUE(map.gp[0].ppmc != before);
    EQUAL(vm_read32(&vm, GUEST_NMIS), 1);
    if (!silicon) {
        EQUAL(vm_result(&vm, result), start_of(later) + USER_INSNS(TURNS) - 1);
    }
    close(fd);
    vm_destroy(&vm);
    pin(false);
}

/* The vCPU's thread goes from one CPU to the other. */
static void test_migration(void)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    cpu_set_t cpu;
    unsigned n = 40;
    VM vm;

    create(&vm);
    program(&vm, 0, EVENT_INSTRUCTIONS, 0);
    program(&vm, 5, EVENT_BRANCHES, 0);
    on(&vm, 0x21);
    vm_execute(&vm);
    for (unsigned i = 0; i < n; i++) {
        CPU_ZERO(&cpu);
        CPU_SET(i % cpus, &cpu);
        sched_setaffinity(0, sizeof(cpu), &cpu);
        loop(&vm, TURNS);
        vm_execute(&vm);
    }
    pin(false);
    COUNT(&vm, vm_do(&vm, OP_RDMSR, MSR_PMC(0), 0), n * USER_INSNS(TURNS));
    COUNT(&vm, vm_do(&vm, OP_RDMSR, MSR_PMC(5), 0), n * USER_BRANCHES(TURNS));
    EQUAL(vm_stat(&vm, "hand-overs"), 2);
    vm_destroy(&vm);
}

/* The host measures its own code at the same time; both are right. */
static void test_beside(void)
{
    uint64_t before[3], after[3];
    unsigned count = TURNS;
    VM vm;
    int fd;

    create(&vm);
    EQUAL(vm_handover(&vm, 0, 2, 0), 0);
    program(&vm, 0, EVENT_INSTRUCTIONS, 0);
    on(&vm, 1);
    vm_execute(&vm);
    fd = host_counter(0, -1, true, EVENT_BRANCHES | 0x2000); /* taken */
    for (unsigned i = 0; i < 10; i++) {
        loop(&vm, TURNS);
        vm_execute(&vm);
    }
    TRUE(read(fd, before, sizeof(before)) == sizeof(before));
    asm volatile("1: dec %0; jnz 1b" : "+r"(count));
    TRUE(read(fd, after, sizeof(after)) == sizeof(after));
    /* The event does not exclude guests, so it has counted their jumps. */
    TRUE(after[0] - before[0] >= TURNS - 1);
    TRUE(after[0] - before[0] < TURNS + 50);
    TRUE(before[0] >= 10 * (TURNS - 1));
    EQUAL(after[1], after[2]);
    COUNT(&vm, vm_do(&vm, OP_RDMSR, MSR_PMC(0), 0), 10 * USER_INSNS(TURNS));
    close(fd);
    vm_destroy(&vm);
}

/* A record of each so many instructions of the user's */
#define PERIOD      100

/* vPMC 0 makes them, but for GLOBAL_CTRL.  There is never a PMI. */
static void program_pebs(VM *vm, unsigned period)
{
    vm_write64(vm, GUEST_DS + DS_PEBS_BASE, GUEST_RECORDS);
    vm_write64(vm, GUEST_DS + DS_PEBS_INDEX, GUEST_RECORDS);
    vm_write64(vm, GUEST_DS + DS_PEBS_MAX, GUEST_TABLE);
    vm_write64(vm, GUEST_DS + DS_PEBS_THRESHOLD, GUEST_TABLE);
    vm_write64(vm, GUEST_DS + DS_PEBS_RESET, start_of(period));
    /* QEMU's emulator drops a record for which the host has to find memory. */
    for (unsigned page = GUEST_DS; page < GUEST_TABLE; page += 0x1000) {
        vm_op(vm, OP_STORE, page, 0);
    }
    vm_op(vm, OP_WRMSR, MSR_DS_AREA, GUEST_DS);
    vm_op(vm, OP_WRMSR, MSR_PEBS_ENABLE, 1);
    program(vm, 0, EVENT_INSTRUCTIONS, start_of(period));
}

/* How many there are since this was last called. */
static unsigned take_records(VM *vm)
{
    unsigned bytes = vm_read32(vm, GUEST_DS + DS_PEBS_INDEX) - GUEST_RECORDS;

    vm_write64(vm, GUEST_DS + DS_PEBS_INDEX, GUEST_RECORDS);
    EQUAL(bytes % RECORD_SIZE, 0);
    return bytes / RECORD_SIZE;
}

/* Records, of a vPMC that has the pPMC of its own index. */
static void test_pebs(void)
{
    struct kvm_vpmu_handover_map map;
    unsigned result, records;
    uint32_t ip;
    VM vm;

    create(&vm);
    program_pebs(&vm, PERIOD);
    on(&vm, 1);
    loop(&vm, TURNS);
    on(&vm, 0);
    result = vm_op(&vm, OP_RDMSR, MSR_PMC(0), 0);
    vm_execute(&vm);
    vm_map(&vm, &map);
    EQUAL(map.gp[0].ppmc, 0);
    records = take_records(&vm);
    RECORDS(records, USER_INSNS(TURNS) / PERIOD);
    for (unsigned i = 0; i < records; i++) {
        ip = vm_read32(&vm, GUEST_RECORDS + i * RECORD_SIZE + RECORD_IP);
        TRUE(ip > GUEST_CODE && ip < GUEST_GDT);
        EQUAL(vm_read32(&vm, GUEST_RECORDS + i * RECORD_SIZE +
                        RECORD_COUNTERS), 1);
    }
    check_periods(&vm, USER_INSNS(TURNS), PERIOD, records,
                  vm_result(&vm, result));
    EQUAL(vm_stat(&vm, "pebs-records-dropped"), 0);
    vm_destroy(&vm);
}

/* Go on counting for one loop; the vPMC has this path then. */
static void loop_pebs(VM *vm, unsigned path)
{
    struct kvm_vpmu_handover_map map;

    look(vm);
    loop(vm, TURNS);
    vm_execute(vm);
    vm_map(vm, &map);
    EQUAL(map.gp[0].path, path);
}

/* Another pPMC, or a host that makes records: it counts, but has none. */
static void test_pebs_dropped(void)
{
    const unsigned each = USER_INSNS(TURNS) / PERIOD;
    unsigned records, dropped;
    VM vm;
    int fd;

    pin(true);
    create_slice(&vm, 10);
    program_pebs(&vm, PERIOD);
    on(&vm, 1);
    vm_execute(&vm);
    loop_pebs(&vm, KVM_VPMU_PATH_FAST);
    records = take_records(&vm);
    RECORDS(records, each);

    fd = host_counter(-1, 0, true, EVENT_BRANCHES);
    loop_pebs(&vm, KVM_VPMU_PATH_SLOW);
    EQUAL(take_records(&vm), 0);
    RECORDS(vm_stat(&vm, "pebs-records-dropped"), each);
    close(fd);
    sleep_ms(30);
    loop_pebs(&vm, KVM_VPMU_PATH_FAST);
    records += take_records(&vm);
    RECORDS(records, 2 * each);

    fd = host_records(0);
    TRUE(fd >= 0);
    loop_pebs(&vm, KVM_VPMU_PATH_SLOW);
    EQUAL(take_records(&vm), 0);
    dropped = vm_stat(&vm, "pebs-records-dropped");
    RECORDS(dropped, 2 * each);
    close(fd);
    sleep_ms(30);
    loop_pebs(&vm, KVM_VPMU_PATH_FAST);
    records += take_records(&vm);
    RECORDS(records, 3 * each);

    /* A DS area that cannot be read: the hardware's 0 for the reload */
    fd = host_counter(-1, 0, true, EVENT_BRANCHES);
    look(&vm);
    vm_op(&vm, OP_WRMSR, MSR_DS_AREA, GUEST_MEMORY + 0x1000);
    loop(&vm, TURNS);
    vm_execute(&vm);
    EQUAL(vm_stat(&vm, "pebs-records-dropped"), dropped + 1);
    /* It has begun a period in the middle of it, then. */
    check_periods(&vm, 6 * USER_INSNS(TURNS), PERIOD, records + dropped,
                  vm_do(&vm, OP_RDMSR, MSR_PMC(0), 0));
    EQUAL(vm_read32(&vm, GUEST_NMIS), 0);
    EQUAL(vm_read32(&vm, GUEST_STATUS), 0);
    EQUAL(vm_stat(&vm, "pmis"), 0);
    EQUAL(vm_stat(&vm, "starved-ns"), 0);
    close(fd);
    vm_destroy(&vm);
    pin(false);
}

static struct {
    VM *vm;
    bool stop;
    unsigned changes, errors;
} operator;

/* Reserves all but four counters; has events of its own come and go. */
static void *operate(void *opaque)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    pid_t vcpu = *(pid_t *)opaque;
    cpu_set_t cpu;

    for (unsigned i = 0; !__atomic_load_n(&operator.stop, __ATOMIC_ACQUIRE);
         i++) {
        const unsigned gp[] = { NR_GP - 4, 0, NR_GP - 5, 1 };
        int pinned = host_counter(-1, i % cpus, true, EVENT_BRANCHES);
        int other = host_counter(vcpu, -1, false, EVENT_INSTRUCTIONS);

        operator.errors += vm_handover(operator.vm, 0, gp[i % 4], 0) != 0;
        CPU_ZERO(&cpu);
        CPU_SET(i / 2 % cpus, &cpu);
        sched_setaffinity(vcpu, sizeof(cpu), &cpu);
        sleep_ms(1);
        close(pinned);
        close(other);
        __atomic_add_fetch(&operator.changes, 1, __ATOMIC_RELEASE);
    }
    return NULL;
}

/* So long that things happen within; their records fit into the buffer. */
#define LONG        (30 * TURNS)

/*
 * All that an operator and the host can do, at once.  Returns how many long
 * loops the guest has done meanwhile; counts the records that it has made.
 */
static unsigned count_meanwhile(VM *vm, unsigned *records)
{
    pid_t self = gettid();
    unsigned n = 0;
    pthread_t thread;

    memset(&operator, 0, sizeof(operator));
    operator.vm = vm;
    if (pthread_create(&thread, NULL, operate, &self)) {
        die("pthread_create");
    }
    while (__atomic_load_n(&operator.changes, __ATOMIC_ACQUIRE) < 50) {
        loop(vm, LONG);
        vm_execute(vm);
        n++;
        if (records) {
            *records += take_records(vm);
        }
    }
    __atomic_store_n(&operator.stop, true, __ATOMIC_RELEASE);
    pthread_join(thread, NULL);
    pin(false);
    printf("# the host did something %u times, moves %lld, starved %lld ns\n",
           operator.changes, (long long)vm_stat(vm, "moves"),
           (long long)vm_stat(vm, "starved-ns"));
    EQUAL(operator.errors, 0);
    return n;
}

static void test_all_at_once(void)
{
    unsigned n;
    VM vm;

    create(&vm);
    for (unsigned i = 0; i < 4; i++) {
        program(&vm, i, EVENT_INSTRUCTIONS, 0);
    }
    on(&vm, 15);
    vm_execute(&vm);
    n = count_meanwhile(&vm, NULL);
    TRUE(n);
    for (unsigned i = 0; i < 4; i++) {
        COUNT(&vm, vm_do(&vm, OP_RDMSR, MSR_PMC(i), 0),
              n * USER_INSNS(LONG));
    }
    vm_destroy(&vm);
}

/* Each period ends with a record or with one that was dropped. */
static void test_pebs_at_once(void)
{
    unsigned records, dropped, n;
    VM vm;

    create_slice(&vm, 10);
    program_pebs(&vm, PERIOD);
    program(&vm, 1, EVENT_INSTRUCTIONS, 0);
    on(&vm, 3);
    loop(&vm, LONG);
    vm_execute(&vm);
    records = take_records(&vm);
    n = 1 + count_meanwhile(&vm, &records);
    dropped = vm_stat(&vm, "pebs-records-dropped");
    printf("# %u records, %u dropped\n", records, dropped);
    TRUE(records);
    TRUE(dropped);
    check_periods(&vm, n * USER_INSNS(LONG), PERIOD, records + dropped,
                  vm_do(&vm, OP_RDMSR, MSR_PMC(0), 0));
    COUNT(&vm, vm_do(&vm, OP_RDMSR, MSR_PMC(1), 0), n * USER_INSNS(LONG));
    vm_destroy(&vm);
}

/*
 * From another CPU it keeps the one it is told from making records for a guest:
 * it takes pPMC 0, or has records made for the host, for a while.
 */
static void *take_and_give(void *cpu)
{
    cpu_set_t cpus;
    bool records;
    int fd;

    memset(&cpus, 0xff, sizeof(cpus));
    CPU_CLR(*(int *)cpu, &cpus);
    sched_setaffinity(0, sizeof(cpus), &cpus);
    while (!__atomic_load_n(&operator.stop, __ATOMIC_ACQUIRE)) {
        records = operator.changes++ % 2;
        fd = records ? host_records(*(int *)cpu) :
             host_counter(-1, *(int *)cpu, true, EVENT_BRANCHES);
        operator.errors += fd < 0;
        /* Long enough for KVM to ask for records in vain */
        sleep_ms(records ? 30 : 3);
        close(fd);
        sleep_ms(12);
    }
    return NULL;
}

/* The guest does not leave its loop for it, other than by being made to. */
static void test_pebs_midway(void)
{
    /* Silicon is so much faster. */
    const unsigned scale = silicon ? 10 : 1;
    const unsigned period = 100003 * scale, turns = 20000000 * scale;
    unsigned records, dropped;
    pthread_t thread;
    int cpu = 0;
    VM vm;

    pin(true);
    create_slice(&vm, 5);
    program_pebs(&vm, period);
    on(&vm, 1);
    vm_execute(&vm);
    memset(&operator, 0, sizeof(operator));
    if (pthread_create(&thread, NULL, take_and_give, &cpu)) {
        die("pthread_create");
    }
    loop(&vm, turns);
    vm_execute(&vm);
    __atomic_store_n(&operator.stop, true, __ATOMIC_RELEASE);
    pthread_join(thread, NULL);
    pin(false);
    EQUAL(operator.errors, 0);
    records = take_records(&vm);
    dropped = vm_stat(&vm, "pebs-records-dropped");
    printf("# %u records, %u dropped, %u changes\n", records, dropped,
           operator.changes);
    TRUE(dropped);
    check_periods(&vm, USER_INSNS(turns), period, records + dropped,
                  vm_do(&vm, OP_RDMSR, MSR_PMC(0), 0));
    vm_destroy(&vm);
}

/* A process that is killed while its guest counts leaves nothing behind. */
static void test_killed(void)
{
    int ready[2], status;
    char byte;
    pid_t child;
    VM vm;

    if (pipe(ready)) {
        die("pipe");
    }
    child = fork();
    if (!child) {
        create(&vm);
        for (unsigned i = 0; i < NR_GP; i++) {
            program(&vm, i, EVENT_INSTRUCTIONS, 0);
        }
        on(&vm, ALL_GP);
        vm_execute(&vm);
        if (write(ready[1], "", 1) != 1) {
            die("write");
        }
        for (;;) {
            loop(&vm, 1000000);
            vm_execute(&vm);
        }
    }
    EQUAL(read(ready[0], &byte, 1), 1);
    sleep_ms(50);
    kill(child, SIGKILL);
    EQUAL(waitpid(child, &status, 0), child);
    TRUE(WIFSIGNALED(status));
    EQUAL(host_free(), NR_GP);
    close(ready[0]);
    close(ready[1]);
}

/* A PMU without GLOBAL_CTRL. */
static void test_version_1(void)
{
    unsigned result;
    VM vm;

    vm_pmu_version = 1;
    vm_create(&vm, &defaults);
    vm_pmu_version = 0;
    program(&vm, 0, EVENT_INSTRUCTIONS, 0);
    loop(&vm, TURNS);
    vm_op(&vm, OP_WRMSR, MSR_EVNTSEL(0), EVENT_INSTRUCTIONS | EVTSEL_USR);
    loop(&vm, TURNS);
    result = vm_op(&vm, OP_RDMSR, MSR_PMC(0), 0);
    vm_execute(&vm);
    COUNT(&vm, vm_result(&vm, result), USER_INSNS(TURNS));
    EQUAL(vm_stat(&vm, "hand-overs"), 1);
    vm_destroy(&vm);
}

/* A VM that has not asked: KVM's own way, no figures. */
static void test_not_asked(void)
{
    unsigned result;
    VM vm;

    vm_create(&vm, NULL);
    on(&vm, 0);
    program(&vm, 0, EVENT_INSTRUCTIONS, 0);
    on(&vm, 1);
    loop(&vm, TURNS);
    on(&vm, 0);
    result = vm_op(&vm, OP_RDMSR, MSR_PMC(0), 0);
    vm_execute(&vm);
    COUNT(&vm, vm_result(&vm, result), USER_INSNS(TURNS));
    EQUAL(vm_stat(&vm, "hand-overs"), 0);
    EQUAL(vm_stat(&vm, "control-writes-direct"), 0);
    EQUAL(vm_handover(&vm, 0, 2, 0), EEXIST);
    vm_destroy(&vm);
}

/* The module's parameter is off: nothing of it is to be seen. */
static int check_off(void)
{
    int kvm = open("/dev/kvm", O_RDWR);
    VM vm;

    EQUAL(ioctl(kvm, KVM_CHECK_EXTENSION, KVM_CAP_X86_VPMU_HANDOVER), 0);
    close(kvm);
    vm_create(&vm, NULL);
    EQUAL(vm_handover(&vm, 0, 0, 0), EINVAL);
    count_all(&vm, ALL_GP);
    vm_destroy(&vm);
    return failures != 0;
}

/* A guest that counts with all counters but two until it is killed. */
static void run_guest(void)
{
    VM vm;

    create(&vm);
    if (vm_handover(&vm, 0, 2, 0)) {
        die("KVM_ENABLE_CAP");
    }
    for (unsigned i = 0; i < NR_GP - 2; i++) {
        program(&vm, i, EVENT_INSTRUCTIONS, 0);
    }
    on(&vm, ALL_GP);
    for (;;) {
        loop(&vm, 1000000);
        vm_execute(&vm);
    }
}

/* --- what it costs --- */

#define WRITES      200

/* Something that the guest does over and over. */
static void repeat(VM *vm, int what, unsigned n)
{
    static const uint64_t config = EVENT_INSTRUCTIONS | EVTSEL_INT;

    for (unsigned i = 0; i < n; i++) {
        switch (what) {
        case 0:
            on(vm, i % 2);
            break;
        case 6:
            on(vm, i % 2 ? 15 : 0);
            break;
        case 1:
            vm_op(vm, OP_WRMSR, MSR_EVNTSEL(0),
                  config | (i % 2 ? USER : EVTSEL_EN | EVTSEL_OS));
            break;
        case 2:
            vm_op(vm, OP_WRMSR, MSR_EVNTSEL(0),
                  config | (i % 2 ? USER : EVTSEL_USR));
            break;
        case 3:
            vm_op(vm, OP_WRMSR, MSR_PMC(0), 1000 + i);
            break;
        case 4:
            vm_op(vm, OP_RDMSR, MSR_PMC(0), 0);
            break;
        case 5:
            vm_op(vm, OP_WRMSR, MSR_PMC(0), -(uint64_t)10 & MASK);
            loop(vm, 20);
            break;
        }
    }
}

/* An event in the host's kernel while the guest does it @n times. */
static uint64_t kernel_events(VM *vm, int what, unsigned n, uint64_t config)
{
    struct perf_event_attr attr = {
        .size = sizeof(attr), .type = PERF_TYPE_HARDWARE, .config = config,
        .exclude_user = 1, .exclude_guest = 1, .pinned = 1,
    };
    int fd = syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0);
    uint64_t value = 0;

    for (unsigned i = 0; i < 4; i++) {
        program(vm, i, EVENT_INSTRUCTIONS, 0);
    }
    on(vm, 1);
    vm_execute(vm);
    repeat(vm, what, n);
    ioctl(fd, PERF_EVENT_IOC_RESET, 0);
    vm_execute(vm);
    if (read(fd, &value, sizeof(value)) != sizeof(value)) {
        die("counter of the kernel's events");
    }
    close(fd);
    return value;
}

/* Of one time, out of the smallest of some measurements: others disturb. */
static long long figure(VM *vm, int what, uint64_t config)
{
    uint64_t once = UINT64_MAX, twice = UINT64_MAX, value;

    for (unsigned i = 0; i < (silicon ? 20 : 1); i++) {
        value = kernel_events(vm, what, WRITES, config);
        once = value < once ? value : once;
        value = kernel_events(vm, what, 2 * WRITES, config);
        twice = value < twice ? value : twice;
    }
    return (long long)(twice - once) / WRITES;
}

static void print_figures(void)
{
    static const char *const what[] = {
        "GLOBAL_CTRL, on and off", "event select, other rings",
        "event select, on and off", "counter, written", "counter, read",
        "counter, written, and PMI", "GLOBAL_CTRL, 4 on and off",
    };
    static const struct {
        const char *name;
        uint64_t config;
    } event[] = {
        { "instructions", PERF_COUNT_HW_INSTRUCTIONS },
        { "cycles", PERF_COUNT_HW_CPU_CYCLES },
    };
    VM vm[2];

    vm_create(&vm[0], NULL);
    vm_create(&vm[1], &defaults);
    for (unsigned e = 0; e < (silicon ? 2 : 1); e++) {
        printf("# host kernel %-12s for each    KVM  hand-over\n",
               event[e].name);
        for (unsigned i = 0; i < sizeof(what) / sizeof(*what); i++) {
            printf("# %-30s %10lld", what[i],
                   figure(&vm[0], i, event[e].config));
            printf(" %10lld\n", figure(&vm[1], i, event[e].config));
        }
    }
    vm_destroy(&vm[0]);
    vm_destroy(&vm[1]);
}

/* --- what the silicon counts --- */

/* The loop in a VM without hand-over; interruptions can only add to it. */
static unsigned learn_edge(uint64_t event, unsigned loops)
{
    unsigned result[20];
    uint64_t least = UINT64_MAX;
    VM vm;

    vm_create(&vm, NULL);
    on(&vm, 1);
    for (unsigned i = 0; i < 20; i++) {
        program(&vm, 0, event, 0);
        loop(&vm, TURNS);
        result[i] = vm_op(&vm, OP_RDMSR, MSR_PMC(0), 0);
    }
    vm_execute(&vm);
    for (unsigned i = 0; i < 20; i++) {
        if (vm_result(&vm, result[i]) < least) {
            least = vm_result(&vm, result[i]);
        }
    }
    vm_destroy(&vm);
    if (least < loops || least > loops + 2) {
        printf("Bail out! without hand-over, event 0x%llx counts %lld in a "
               "loop of %u\n", (long long)event, (long long)least, loops);
        exit(1);
    }
    return least - loops;
}

static void learn_edges(void)
{
    edges.insns = learn_edge(EVENT_INSTRUCTIONS, 2 * TURNS);
    edges.branches = learn_edge(EVENT_BRANCHES, TURNS);
    edges.loads = learn_edge(EVENT_LOADS, 0);
    printf("# IRET and INT count %u instructions, %u branches, %u loads\n",
           edges.insns, edges.branches, edges.loads);
}

static const struct {
    const char *name;
    void (*run)(void);
    bool pebs;
} tests[] = {
    { "the kernel says what it can do", test_features },
    { "a wrong request is refused, and changes nothing", test_errors },
    { "the map can be read", test_attribute },
    { "counts are exact", test_counts },
    { "all counters are handed over", test_all_counters },
    { "a counter is reused", test_reuse },
    { "another event takes the same counter", test_other_event },
    { "a counter overflows", test_overflow },
    { "perf throttles a counter", test_throttled },
    { "what is not used goes back", test_lazy_release },
    { "the host takes counters and gives them back", test_reserve },
    { "the host has counters from the start", test_reserved_at_start },
    { "a fixed counter does not become another one", test_fixed },
    { "events of the host come and go", test_host_events },
    { "a counter that is about to overflow is moved", test_one_left },
    { "the vCPU goes to another CPU", test_migration },
    { "the host counts beside the guest", test_beside },
    { "a counter makes records", test_pebs, true },
    { "records of other counters are dropped", test_pebs_dropped, true },
    { "all that the host can do at once", test_all_at_once },
    { "no record is lost meanwhile without being counted", test_pebs_at_once,
      true },
    { "a counter is lost in the middle of a loop", test_pebs_midway, true },
    { "a process that is killed leaves no counter behind", test_killed },
    { "a PMU of version 1", test_version_1 },
    { "a VM that has not asked is as it was", test_not_asked },
};

int main(int argc, char **argv)
{
    unsigned nr = sizeof(tests) / sizeof(*tests), failed = 0;
    const char *what = "";
    unsigned only;

    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc > 1 && !strcmp(argv[1], "-s")) {
        silicon = true;
        argc--, argv++;
    }
    if (argc > 1) {
        what = argv[1];
    }
    only = atoi(what);
    vm_probe(!strcmp(what, "cpu"));
    if (!strcmp(what, "cpu")) {
        return 0;
    }
    if (NR_GP < 6 || NR_GP > MAX_GP || vm_pmu.fixed < 3) {
        printf("Bail out! KVM offers %u general-purpose and %u fixed counters; "
               "6 and 3 are needed\n", NR_GP, vm_pmu.fixed);
        return 1;
    }
    if (!strcmp(what, "guest")) {
        run_guest();
    }
    if (silicon) {
        learn_edges();
    }
    if (!strcmp(what, "off")) {
        return check_off();
    }
    if (!strcmp(what, "figures")) {
        print_figures();
        return 0;
    }
    for (unsigned i = 0; i < nr; i++) {
        if (only && only != i + 1) {
            continue;
        }
        if (tests[i].pebs && !vm_pmu.pebs) {
            printf("ok %u - %s # SKIP KVM offers no PEBS on this CPU\n", i + 1,
                   tests[i].name);
            continue;
        }
        failures = 0;
        tests[i].run();
        printf("%sok %u - %s\n", failures ? "not " : "", i + 1, tests[i].name);
        failed += failures != 0;
    }
    printf("1..%u\n", nr);
    return failed != 0;
}
