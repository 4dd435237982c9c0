/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A VM of one vCPU that executes a table of operations
 */
#include <cpuid.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <linux/kvm.h>
#include "guest.h"
#include "vm.h"

#define MSR_PERF_CAPABILITIES   0x345

typedef struct CPUID {
    struct kvm_cpuid2 head;
    struct kvm_cpuid_entry2 entries[200];
} CPUID;

unsigned vm_pmu_version;
VMPMU vm_pmu;

void die(const char *what)
{
    printf("Bail out! %s: %s\n", what, strerror(errno));
    exit(1);
}

static int vm_must(int r, const char *what)
{
    if (r < 0) {
        die(what);
    }
    return r;
}

static uint32_t vm_code_address(const char *label)
{
    return label - guest_start + GUEST_CODE;
}

void vm_write32(VM *vm, unsigned address, uint32_t value)
{
    memcpy(vm->memory + address, &value, sizeof(value));
}

void vm_write64(VM *vm, unsigned address, uint64_t value)
{
    memcpy(vm->memory + address, &value, sizeof(value));
}

uint32_t vm_read32(VM *vm, unsigned address)
{
    uint32_t value;

    memcpy(&value, vm->memory + address, sizeof(value));
    return value;
}

static void vm_write_gate(VM *vm, unsigned vector, const char *label, int dpl)
{
    uint32_t to = vm_code_address(label);

    vm_write64(vm, GUEST_IDT + 8 * vector,
               (uint64_t)(to & 0xffff0000) << 32 | 0x8e0000000000 |
               (uint64_t)dpl << 45 | SEG_CODE0 << 16 | (to & 0xffff));
}

static void vm_write_memory(VM *vm)
{
    memcpy(vm->memory + GUEST_CODE, guest_start, guest_end - guest_start);
    vm_write64(vm, GUEST_GDT + SEG_CODE0, 0x00cf9b000000ffff);
    vm_write64(vm, GUEST_GDT + SEG_DATA0, 0x00cf93000000ffff);
    vm_write64(vm, GUEST_GDT + (SEG_CODE3 & ~7), 0x00cffb000000ffff);
    vm_write64(vm, GUEST_GDT + (SEG_DATA3 & ~7), 0x00cff3000000ffff);
    vm_write64(vm, GUEST_GDT + SEG_TSS,
               0x00008b0000000067 | (uint64_t)GUEST_TSS << 16);
    vm_write64(vm, GUEST_TSS + 4, GUEST_STACK0 | (uint64_t)SEG_DATA0 << 32);
    for (unsigned i = 0; i < 256; i++) {
        vm_write_gate(vm, i, guest_fault, 0);
    }
    vm_write_gate(vm, VECTOR_NMI, guest_nmi, 0);
    vm_write_gate(vm, VECTOR_SYSCALL, guest_syscall, 3);
}

static struct kvm_segment vm_segment(unsigned selector, unsigned type, bool s)
{
    return (struct kvm_segment) {
        .limit = s ? 0xffffffff : 0x67, .base = s ? 0 : GUEST_TSS,
        .selector = selector, .type = type, .present = 1, .db = s, .s = s,
        .g = s, .dpl = selector & 3,
    };
}

/* Fill in what KVM offers; returns the entry of leaf 0xA. */
static struct kvm_cpuid_entry2 *vm_get_cpuid(int kvm, CPUID *cpuid)
{
    *cpuid = (CPUID) { .head.nent = 200 };
    vm_must(ioctl(kvm, KVM_GET_SUPPORTED_CPUID, cpuid),
            "KVM_GET_SUPPORTED_CPUID");
    for (unsigned i = 0; i < cpuid->head.nent; i++) {
        if (cpuid->entries[i].function == 0xa) {
            return &cpuid->entries[i];
        }
    }
    printf("Bail out! KVM offers no CPUID leaf 0xA\n");
    exit(1);
}

void vm_set_cpuid(VM *vm)
{
    struct kvm_cpuid_entry2 *pmu;
    CPUID cpuid;

    pmu = vm_get_cpuid(vm->kvm, &cpuid);
    if (vm_pmu_version) {
        pmu->eax = (pmu->eax & ~0xffu) | vm_pmu_version;
    }
    vm_must(ioctl(vm->vcpu, KVM_SET_CPUID2, &cpuid), "KVM_SET_CPUID2");
}

/* Print leaf 0xA, also in hexadecimal; SDM volume 2, "CPUID". */
static void vm_print_pmu(const char *name, unsigned a, unsigned b, unsigned c,
                         unsigned d)
{
    printf("# %s: version %u, %u general-purpose and %u fixed counters of "
           "%u bits\n", name, a & 0xff, a >> 8 & 0xff, d & 0x1f,
           a >> 16 & 0xff);
    printf("# %s: CPUID leaf 0xA %08x %08x %08x %08x\n", name, a, b, c, d);
}

void vm_probe(bool print)
{
    struct {
        struct kvm_msrs head;
        struct kvm_msr_entry entry;
    } msr = { .head.nmsrs = 1, .entry.index = MSR_PERF_CAPABILITIES };
    int kvm = vm_must(open("/dev/kvm", O_RDWR | O_CLOEXEC), "/dev/kvm"), file;
    struct kvm_cpuid_entry2 *pmu;
    unsigned a, b, c, d;
    uint64_t value;
    CPUID cpuid;

    pmu = vm_get_cpuid(kvm, &cpuid);
    vm_must(ioctl(kvm, KVM_GET_MSRS, &msr), "KVM_GET_MSRS");
    vm_pmu.gp = pmu->eax >> 8 & 0xff;
    vm_pmu.fixed = pmu->edx & 0x1f;
    vm_pmu.pebs = (msr.entry.data >> 8 & 0xf) >= 4;
    close(kvm);
    if (!print) {
        return;
    }
    __cpuid_count(0xa, 0, a, b, c, d);
    vm_print_pmu("CPU", a, b, c, d);
    vm_print_pmu("KVM", pmu->eax, pmu->ebx, pmu->ecx, pmu->edx);
    file = open("/dev/cpu/0/msr", O_RDONLY);
    if (file < 0 || pread(file, &value, sizeof(value),
                          MSR_PERF_CAPABILITIES) != sizeof(value)) {
        printf("# CPU: IA32_PERF_CAPABILITIES unknown, /dev/cpu/0/msr: %s\n",
               strerror(errno));
    } else {
        printf("# CPU: IA32_PERF_CAPABILITIES 0x%llx\n",
               (unsigned long long)value);
    }
    close(file);
    printf("# KVM: IA32_PERF_CAPABILITIES 0x%llx, %sPEBS for guests\n",
           (unsigned long long)msr.entry.data, vm_pmu.pebs ? "" : "no ");
}

static void vm_set_sregs(VM *vm)
{
    struct kvm_sregs sregs;

    vm_must(ioctl(vm->vcpu, KVM_GET_SREGS, &sregs), "KVM_GET_SREGS");
    sregs.cs = vm_segment(SEG_CODE0, 11, true);
    sregs.ss = vm_segment(SEG_DATA0, 3, true);
    /* Those of user mode: IRET clears others. */
    sregs.ds = sregs.es = vm_segment(SEG_DATA3, 3, true);
    sregs.fs = sregs.gs = sregs.ds;
    sregs.tr = vm_segment(SEG_TSS, 11, false);
    sregs.gdt.base = GUEST_GDT;
    sregs.gdt.limit = 0x2f;
    sregs.idt.base = GUEST_IDT;
    sregs.idt.limit = 0x7ff;
    sregs.cr0 |= 1;
    vm_must(ioctl(vm->vcpu, KVM_SET_SREGS, &sregs), "KVM_SET_SREGS");
}

/* SDM volume 3, "32-Bit Paging"; the local APIC is in a page of 4 MiB. */
void vm_enable_paging(VM *vm)
{
    const uint32_t apic = APIC_SVR & ~0x3fffffu;
    struct kvm_sregs sregs;

    for (unsigned page = 0; page < GUEST_MEMORY; page += 0x1000) {
        vm_write32(vm, PAGE_ENTRY(page), page | PAGE_MAPPED);
    }
    vm_write32(vm, GUEST_DIRECTORY, GUEST_PAGES | PAGE_MAPPED);
    vm_write32(vm, GUEST_DIRECTORY + (apic >> 22) * 4, apic | 0x80 | PAGE_MAPPED);
    vm_must(ioctl(vm->vcpu, KVM_GET_SREGS, &sregs), "KVM_GET_SREGS");
    sregs.cr3 = GUEST_DIRECTORY;
    sregs.cr4 |= 0x10;
    sregs.cr0 |= 0x80000000;
    vm_must(ioctl(vm->vcpu, KVM_SET_SREGS, &sregs), "KVM_SET_SREGS");
}

/* The sum of the line NMI of /proc/interrupts, which has a number per CPU */
static uint64_t host_nmis(void)
{
    FILE *file = fopen("/proc/interrupts", "r");
    uint64_t sum = 0, n;
    char name[16];

    if (!file) {
        die("/proc/interrupts");
    }
    while (fscanf(file, "%15s", name) == 1) {
        if (!strcmp(name, "NMI:")) {
            while (fscanf(file, "%" SCNu64, &n) == 1) {
                sum += n;
            }
            break;
        }
    }
    fclose(file);
    return sum;
}

static int vm_enable_handover(VM *vm, const struct kvm_vpmu_handover *args)
{
    struct kvm_enable_cap cap = {
        .cap = KVM_CAP_X86_VPMU_HANDOVER,
        .args = { (uintptr_t)args },
    };

    return ioctl(vm->vm, KVM_ENABLE_CAP, &cap);
}

void vm_create_idle(VM *vm, const struct kvm_vpmu_handover *args)
{
    struct kvm_userspace_memory_region region = {
        .memory_size = GUEST_MEMORY,
    };
    int size;

    *vm = (VM) { 0 };
    vm->nmis = host_nmis();
    vm->kvm = vm_must(open("/dev/kvm", O_RDWR | O_CLOEXEC), "/dev/kvm");
    vm->vm = vm_must(ioctl(vm->kvm, KVM_CREATE_VM, 0), "KVM_CREATE_VM");
    if (args) {
        vm_must(vm_enable_handover(vm, args), "KVM_ENABLE_CAP");
    }
    vm_must(ioctl(vm->vm, KVM_CREATE_IRQCHIP), "KVM_CREATE_IRQCHIP");
    vm->memory = mmap(NULL, GUEST_MEMORY, PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (vm->memory == MAP_FAILED) {
        die("mmap");
    }
    region.userspace_addr = (uintptr_t)vm->memory;
    vm_must(ioctl(vm->vm, KVM_SET_USER_MEMORY_REGION, &region),
            "KVM_SET_USER_MEMORY_REGION");
    vm->vcpu = vm_must(ioctl(vm->vm, KVM_CREATE_VCPU, 0), "KVM_CREATE_VCPU");
    size = vm_must(ioctl(vm->kvm, KVM_GET_VCPU_MMAP_SIZE, 0), "mmap size");
    vm->run = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, vm->vcpu,
                   0);
    if (vm->run == MAP_FAILED) {
        die("mmap of the vCPU");
    }
    vm_write_memory(vm);
    vm_set_cpuid(vm);
    vm_set_sregs(vm);
}

void vm_create(VM *vm, const struct kvm_vpmu_handover *args)
{
    vm_create_idle(vm, args);
    vm_op(vm, OP_STORE, APIC_SVR, 0x1ff);
    vm_op(vm, OP_STORE, APIC_LVTPC, LVT_NMI);
    /*
     * An INT that needs a page which EPT does not map yet leaves the guest and
     * is then injected, so it does not retire.  Have these pages mapped.
     */
    vm_op(vm, OP_USER, 0, 1);
    vm_execute(vm);
}

void vm_destroy(VM *vm)
{
    munmap(vm->run, ioctl(vm->kvm, KVM_GET_VCPU_MMAP_SIZE, 0));
    munmap(vm->memory, GUEST_MEMORY);
    close(vm->vcpu);
    close(vm->vm);
    close(vm->kvm);
}

int vm_handover(VM *vm, unsigned flags, unsigned gp, unsigned fixed)
{
    struct kvm_vpmu_handover args = {
        .size = sizeof(args), .flags = flags, .host_gp = gp,
        .host_fixed = fixed,
    };

    return vm_enable_handover(vm, &args) ? errno : 0;
}

unsigned vm_op(VM *vm, unsigned op, uint32_t reg, uint64_t value)
{
    unsigned at = GUEST_TABLE + vm->used * OP_SIZE;

    if (at + 2 * OP_SIZE > GUEST_MEMORY) {
        printf("Bail out! the table is full\n");
        exit(1);
    }
    vm_write64(vm, at, op | (uint64_t)reg << 32);
    vm_write64(vm, at + 8, value);
    return vm->used++;
}

uint64_t vm_result(VM *vm, unsigned entry)
{
    uint64_t value;

    memcpy(&value, vm->memory + GUEST_TABLE + entry * OP_SIZE + 8,
           sizeof(value));
    return value;
}

void vm_start(VM *vm)
{
    struct kvm_regs regs = {
        .rip = vm_code_address(guest_entry), .rsp = GUEST_STACK0, .rflags = 2,
    };

    vm_op(vm, OP_END, 0, 0);
    vm->used = 0;
    vm_must(ioctl(vm->vcpu, KVM_SET_REGS, &regs), "KVM_SET_REGS");
}

void vm_run(VM *vm)
{
    while (ioctl(vm->vcpu, KVM_RUN, 0) < 0) {
        if (errno != EINTR) {
            die("KVM_RUN");
        }
    }
}

static void vm_debug(VM *vm, unsigned control)
{
    struct kvm_guest_debug debug = { .control = control };

    vm_must(ioctl(vm->vcpu, KVM_SET_GUEST_DEBUG, &debug),
            "KVM_SET_GUEST_DEBUG");
}

bool vm_step(VM *vm)
{
    vm_debug(vm, KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP);
    vm_run(vm);
    vm_debug(vm, 0);
    return vm->run->exit_reason == KVM_EXIT_DEBUG;
}

void vm_finish(VM *vm)
{
    struct kvm_regs regs;

    vm_run(vm);
    if (vm->run->exit_reason != KVM_EXIT_IO ||
        vm->run->io.port != GUEST_PORT ||
        ((uint8_t *)vm->run)[vm->run->io.data_offset]) {
        vm_must(ioctl(vm->vcpu, KVM_GET_REGS, &regs), "KVM_GET_REGS");
        printf("Bail out! the guest failed, exit reason %u, eip %llx\n",
               vm->run->exit_reason, regs.rip);
        exit(1);
    }
}

void vm_execute(VM *vm)
{
    vm_start(vm);
    vm_finish(vm);
}

uint64_t vm_do(VM *vm, unsigned op, uint32_t reg, uint64_t value)
{
    unsigned entry = vm_op(vm, op, reg, value);

    vm_execute(vm);
    return vm_result(vm, entry);
}

uint64_t vm_get_msr(VM *vm, uint32_t reg)
{
    struct {
        struct kvm_msrs head;
        struct kvm_msr_entry entry;
    } msr = { { .nmsrs = 1 }, { .index = reg } };

    if (ioctl(vm->vcpu, KVM_GET_MSRS, &msr) != 1) {
        die("KVM_GET_MSRS");
    }
    return msr.entry.data;
}

bool vm_has_nmi(VM *vm)
{
    struct kvm_vcpu_events events;

    vm_must(ioctl(vm->vcpu, KVM_GET_VCPU_EVENTS, &events),
            "KVM_GET_VCPU_EVENTS");
    return events.nmi.pending || events.nmi.injected;
}

void vm_set_msr(VM *vm, uint32_t reg, uint64_t value)
{
    struct {
        struct kvm_msrs head;
        struct kvm_msr_entry entry;
    } msr = { { .nmsrs = 1 }, { .index = reg, .data = value } };

    if (ioctl(vm->vcpu, KVM_SET_MSRS, &msr) != 1) {
        die("KVM_SET_MSRS");
    }
}

void vm_map(VM *vm, struct kvm_vpmu_handover_map *map)
{
    struct kvm_device_attr attr = {
        .group = KVM_VPMU_HANDOVER_ATTRS, .attr = KVM_VPMU_HANDOVER_MAP,
        .addr = (uintptr_t)map,
    };

    map->size = sizeof(*map);
    vm_must(ioctl(vm->vcpu, KVM_GET_DEVICE_ATTR, &attr), "KVM_GET_DEVICE_ATTR");
}

uint64_t vm_stat(VM *vm, const char *name)
{
    int fd = vm_must(ioctl(vm->vcpu, KVM_GET_STATS_FD, NULL),
                     "KVM_GET_STATS_FD");
    struct kvm_stats_header head;
    uint64_t value = 0;
    bool found = false;

    vm_must(pread(fd, &head, sizeof(head), 0), "statistics");
    for (unsigned i = 0; i < head.num_desc && !found; i++) {
        struct {
            struct kvm_stats_desc desc;
            char name[256];
        } entry;
        unsigned size = sizeof(entry.desc) + head.name_size;

        vm_must(pread(fd, &entry, size, head.desc_offset + i * size),
                "statistic");
        if (!strcmp(entry.name, name)) {
            vm_must(pread(fd, &value, sizeof(value),
                          head.data_offset + entry.desc.offset), "value");
            found = true;
        }
    }
    close(fd);
    if (!found) {
        printf("Bail out! there is no statistic %s\n", name);
        exit(1);
    }
    return value;
}

uint64_t vm_interruptions(VM *vm)
{
    return vm_stat(vm, "irq_exits") + vm_stat(vm, "pf_taken") +
           vm_stat(vm, "irq_injections") + vm_stat(vm, "nmi_injections") +
           host_nmis() - vm->nmis;
}
