/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kvm-handover: a page of the guest's memory that user space supplies late
 */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <linux/userfaultfd.h>
#include "handover.h"

#define PAGE        4096
#define LATE_MS     2000

static struct {
    VM *vm;
    int fd;
    uint8_t page[PAGE];
    bool supplied;
} fault;

static void *run_guest(void *opaque)
{
    guest_run(fault.vm, TURNS);
    return opaque;
}

static void *supply_page(void *opaque)
{
    struct uffdio_copy copy = {
        .dst = (uintptr_t)fault.vm->memory + GUEST_DS,
        .src = (uintptr_t)fault.page, .len = PAGE,
    };

    host_sleep_ms(LATE_MS);
    __atomic_store_n(&fault.supplied, true, __ATOMIC_RELEASE);
    if (ioctl(fault.fd, UFFDIO_COPY, &copy)) {
        die("UFFDIO_COPY");
    }
    return opaque;
}

/* From now on the page of the DS area is missing. */
static void remove_page(VM *vm)
{
    struct uffdio_api api = { .api = UFFD_API };
    struct uffdio_register range = {
        .range = { (uintptr_t)vm->memory + GUEST_DS, PAGE },
        .mode = UFFDIO_REGISTER_MODE_MISSING,
    };

    fault.vm = vm;
    fault.supplied = false;
    memcpy(fault.page, vm->memory + GUEST_DS, PAGE);
    fault.fd = syscall(SYS_userfaultfd, O_CLOEXEC);
    if (fault.fd < 0 || ioctl(fault.fd, UFFDIO_API, &api) ||
        ioctl(fault.fd, UFFDIO_REGISTER, &range) ||
        madvise(vm->memory + GUEST_DS, PAGE, MADV_REMOVE)) {
        die("userfaultfd");
    }
}

/*
 * KVM needs the DS area, and waits for its page.  Nobody else waits for that:
 * not who changes the reservation meanwhile.
 * @slow: records are made, of another counter; otherwise they are dropped
 */
static void check_late_page(bool slow)
{
    pthread_t vcpu, supplier;
    struct pollfd ready;
    unsigned made;
    int host;
    VM vm;

    host_run_on(0, 0);
    guest_create_slice(&vm, 10);
    pebs_program(&vm, PEBS_PERIOD);
    guest_enable(&vm, 1);
    host = slow ? host_counter_cpu0() : host_records(0);
    guest_enter_twice(&vm);
    remove_page(&vm);
    if (pthread_create(&vcpu, NULL, run_guest, NULL)) {
        die("pthread_create");
    }
    ready = (struct pollfd) { .fd = fault.fd, .events = POLLIN };
    EQUAL(poll(&ready, 1, 60000), 1);
    if (pthread_create(&supplier, NULL, supply_page, NULL)) {
        die("pthread_create");
    }
    EQUAL(vm_handover(&vm, 0, 1, 0), 0);
    EQUAL(vm_handover(&vm, 0, 0, 0), 0);
    TRUE(!__atomic_load_n(&fault.supplied, __ATOMIC_ACQUIRE));
    pthread_join(vcpu, NULL);
    pthread_join(supplier, NULL);
    close(fault.fd);
    made = pebs_take_records(&vm);
    EQUAL(!made, !slow);
    EQUAL(vm_stat(&vm, "pebs-records-slow"), made);
    check_periods(&vm, USER_INSNS(TURNS), PEBS_PERIOD,
                  made + vm_stat(&vm, "pebs-records-dropped"),
                  guest_value(&vm, 0));
    close(host);
    vm_destroy(&vm);
    host_run_anywhere();
}

/* All records are dropped, and each time the counter is reloaded. */
void test_late_page(void)
{
    check_late_page(false);
}

/* Slots are rearranged, and records rewritten. */
void test_late_page_slow(void)
{
    check_late_page(true);
}
