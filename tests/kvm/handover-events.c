/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kvm-handover: the host's perf events and its scheduler
 */
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>
#include "handover.h"

/* Host events of the CPU come and go; they win, but no count is wrong. */
void test_host_events(void)
{
    int fd[MAX_GP], used = 0, room = NR_GP - 4;
    uint64_t value;
    VM vm;

    host_run_on(0, 0);
    guest_create_slice(&vm, 10);
    guest_program_insns(&vm, 4);
    guest_enable(&vm, 15);
    guest_run(&vm, TURNS);
    /* As many as there is room for: at most, perf moves the guest's. */
    for (; used < room; used++) {
        fd[used] = host_counter_cpu0();
        guest_run(&vm, TURNS);
    }
    for (int i = 0; i < room; i++) {
        TRUE(host_counts(fd[i]));
    }
    for (unsigned i = 0; i < 4; i++) {
        COUNT(&vm, guest_value(&vm, i), (1 + room) * USER_INSNS(TURNS));
    }
    EQUAL(vm_stat(&vm, "starved-ns"), 0);
    /* More: the guest starves, which can be seen, and nothing else happens. */
    for (; used < (int)NR_GP; used++) {
        fd[used] = host_counter_cpu0();
    }
    guest_enter_twice(&vm);
    host_sleep_ms(30);
    guest_enter_twice(&vm);
    TRUE(vm_stat(&vm, "starved-ns") > 4 * 20000000ull);
    while (used > room) {
        close(fd[--used]);
    }
    host_sleep_ms(30);
    guest_enter_twice(&vm);
    value = guest_value(&vm, 3);
    guest_run(&vm, TURNS);
    COUNT(&vm, guest_value(&vm, 3), value + USER_INSNS(TURNS));
    while (used) {
        close(fd[--used]);
    }
    vm_destroy(&vm);
    host_run_anywhere();
}

/* perf moves a counter that will overflow with the next instruction. */
void test_one_left(void)
{
    const unsigned later = 1 << 20;
    struct kvm_vpmu_handover_map map;
    unsigned result;
    int before, fd;
    VM vm;

    host_run_on(0, 0);
    guest_create(&vm);
    guest_rearm(&vm, period_start(later));
    guest_program(&vm, 0, EVENT_INSTRUCTIONS | EVTSEL_INT, period_start(1));
    guest_enable(&vm, 1);
    vm_execute(&vm);
    vm_map(&vm, &map);
    before = map.gp[0].ppmc;
    fd = host_counter_cpu0();
    guest_loop(&vm, TURNS);
    guest_enable(&vm, 0);
    result = guest_read(&vm, 0);
    vm_execute(&vm);
    vm_map(&vm, &map);
    TRUE(map.gp[0].ppmc != before);
    EQUAL(vm_read32(&vm, GUEST_NMIS), 1);
    if (!silicon) {
        EQUAL(vm_result(&vm, result),
              period_start(later) + USER_INSNS(TURNS) - 1);
    }
    close(fd);
    vm_destroy(&vm);
    host_run_anywhere();
}

/* Each vPMC has the pPMC of its own index while that is free. */
void test_own_index(void)
{
    static const unsigned vpmcs[] = { 6, 2, 5 };
    struct kvm_vpmu_handover_map map;
    uint64_t enabled = 0;
    VM vm;

    guest_create(&vm);
    for (unsigned i = 0; i < 3; i++) {
        guest_program(&vm, vpmcs[i], EVENT_INSTRUCTIONS, 0);
        enabled |= 1 << vpmcs[i];
        guest_enable(&vm, enabled);
        guest_run(&vm, TURNS);
    }
    vm_map(&vm, &map);
    for (unsigned i = 0; i < 3; i++) {
        EQUAL(map.gp[vpmcs[i]].ppmc, vpmcs[i]);
        EQUAL(map.gp[vpmcs[i]].path, KVM_VPMU_PATH_FAST);
        COUNT(&vm, guest_value(&vm, vpmcs[i]), (3 - i) * USER_INSNS(TURNS));
    }
    EQUAL(vm_stat(&vm, "moves"), 0);
    vm_destroy(&vm);
}

/*
 * The guest has its counter count something else.  As long as that is the one
 * of the same index, perf is not asked; on another one, perf has to choose it.
 */
void test_same_index(void)
{
    struct kvm_vpmu_handover_map map;
    int created, fd;
    VM vm;

    host_run_on(0, 0);
    guest_create(&vm);
    guest_program(&vm, 0, EVENT_INSTRUCTIONS, 0);
    guest_enable(&vm, 1);
    guest_run(&vm, TURNS);
    vm_map(&vm, &map);
    EQUAL(map.gp[0].ppmc, 0);
    created = host_trace_counter("kvm_vpmu_created");
    for (unsigned i = 0; i < 10; i++) {
        guest_program(&vm, 0, EVENT_NEAR_TAKEN, 0);
        guest_run(&vm, TURNS);
        EQUAL(guest_value(&vm, 0), TURNS - 1);
        guest_program(&vm, 0, EVENT_INSTRUCTIONS, 0);
        guest_run(&vm, TURNS);
        COUNT(&vm, guest_value(&vm, 0), USER_INSNS(TURNS));
    }
    guest_program(&vm, 0, EVENT_NEAR_TAKEN, 0);
    guest_run(&vm, TURNS);
    EQUAL(host_trace_count(created), 0);

    fd = host_counter_cpu0();
    guest_run(&vm, TURNS);
    vm_map(&vm, &map);
    TRUE(map.gp[0].ppmc > 0);
    EQUAL(guest_value(&vm, 0), 2 * (TURNS - 1));
    guest_program(&vm, 0, EVENT_INSTRUCTIONS, 0);
    guest_run(&vm, TURNS);
    COUNT(&vm, guest_value(&vm, 0), USER_INSNS(TURNS));
    EQUAL(host_trace_count(created), 1);
    EQUAL(vm_stat(&vm, "starved-ns"), 0);
    close(created);
    close(fd);
    vm_destroy(&vm);
    host_run_anywhere();
}

/* The vCPU's thread goes from CPU to CPU. */
void test_migration(void)
{
    long cpus = host_cpus();
    unsigned n = 40;
    VM vm;

    guest_create(&vm);
    guest_program(&vm, 0, EVENT_INSTRUCTIONS, 0);
    guest_program(&vm, 5, EVENT_BRANCHES, 0);
    guest_enable(&vm, 0x21);
    vm_execute(&vm);
    for (unsigned i = 0; i < n; i++) {
        host_run_on(0, i % cpus);
        guest_run(&vm, TURNS);
    }
    host_run_anywhere();
    COUNT(&vm, guest_value(&vm, 0), n * USER_INSNS(TURNS));
    COUNT(&vm, guest_value(&vm, 5), n * USER_BRANCHES(TURNS));
    EQUAL(vm_stat(&vm, "hand-overs"), 2);
    vm_destroy(&vm);
}

static void *run_in_thread(void *opaque)
{
    guest_run(opaque, TURNS);
    return NULL;
}

/* The VM's threads change places, as they do when one of them ends. */
void test_other_thread(void)
{
    struct kvm_vpmu_handover_map map;
    pthread_t thread;
    VM vm;

    guest_create(&vm);
    guest_program_insns(&vm, 2);
    guest_enable(&vm, 3);
    guest_run(&vm, TURNS);
    for (unsigned i = 0; i < 3; i++) {
        if (pthread_create(&thread, NULL, run_in_thread, &vm)) {
            die("pthread_create");
        }
        pthread_join(thread, NULL);
    }
    vm_map(&vm, &map);
    EQUAL(map_starved(&map), 0);
    guest_run(&vm, TURNS);
    COUNT(&vm, guest_value(&vm, 0), 5 * USER_INSNS(TURNS));
    COUNT(&vm, guest_value(&vm, 1), 5 * USER_INSNS(TURNS));
    EQUAL(vm_stat(&vm, "starved-ns"), 0);
    vm_destroy(&vm);
}

/* The host measures its own code at the same time; both counts are right. */
void test_beside(void)
{
    uint64_t before[3], after[3];
    unsigned count = TURNS;
    VM vm;
    int fd;

    guest_create(&vm);
    EQUAL(vm_handover(&vm, 0, 2, 0), 0);
    guest_program(&vm, 0, EVENT_INSTRUCTIONS, 0);
    guest_enable(&vm, 1);
    vm_execute(&vm);
    fd = host_counter(0, -1, true, EVENT_NEAR_TAKEN);
    for (unsigned i = 0; i < 10; i++) {
        guest_run(&vm, TURNS);
    }
    TRUE(read(fd, before, sizeof(before)) == sizeof(before));
    asm volatile("1: dec %0; jnz 1b" : "+r"(count));
    TRUE(read(fd, after, sizeof(after)) == sizeof(after));
    /* The event does not exclude guests, so it has counted their jumps. */
    TRUE(after[0] - before[0] >= TURNS - 1);
    TRUE(after[0] - before[0] < TURNS + 50);
    TRUE(before[0] >= 10 * (TURNS - 1));
    EQUAL(after[1], after[2]);
    COUNT(&vm, guest_value(&vm, 0), 10 * USER_INSNS(TURNS));
    close(fd);
    vm_destroy(&vm);
}

/* A process that is killed while its guest counts leaves nothing behind. */
void test_killed(void)
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
        guest_create(&vm);
        guest_program_insns(&vm, NR_GP);
        guest_enable(&vm, ALL_GP);
        vm_execute(&vm);
        if (write(ready[1], "", 1) != 1) {
            die("write");
        }
        guest_run_forever(&vm);
    }
    EQUAL(read(ready[0], &byte, 1), 1);
    host_sleep_ms(50);
    kill(child, SIGKILL);
    EQUAL(waitpid(child, &status, 0), child);
    TRUE(WIFSIGNALED(status));
    EQUAL(host_free(), NR_GP);
    close(ready[0]);
    close(ready[1]);
}
