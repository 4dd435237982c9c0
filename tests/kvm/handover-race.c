/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kvm-handover: another thread takes counters while the vCPU's gives them back
 */
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>
#include <linux/kvm.h>
#include "handover.h"

#define ROUNDS      300
/* In this time perf's memory of an event that was released is free. */
#define BURST_NS    30000000

/*
 * Three threads on one CPU.  The vCPU's has events made and released.  The
 * taker has the lowest priority, so the vCPU's thread interrupts it while it
 * takes the counters.  The hog has the highest: when the timer expires, it
 * interrupts the vCPU's thread while that releases the events, for as long as a
 * burst.
 */
static struct {
    VM *vm;
    sem_t take, taken;
    int timer;
    bool stop;
    unsigned errors;
} race;

static uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000ull + now.tv_nsec;
}

static void set_policy(int policy)
{
    struct sched_param param = {
        .sched_priority = policy == SCHED_FIFO ? 1 : 0,
    };

    if (sched_setscheduler(0, policy, &param)) {
        die("sched_setscheduler");
    }
}

static bool race_is_over(void)
{
    return __atomic_load_n(&race.stop, __ATOMIC_ACQUIRE);
}

/* When asked to, take all counters and give them back. */
static void *take_counters(void *opaque)
{
    set_policy(SCHED_IDLE);
    for (;;) {
        sem_wait(&race.take);
        if (race_is_over()) {
            return opaque;
        }
        race.errors += vm_handover(race.vm, KVM_VPMU_HANDOVER_FORCE, NR_GP,
                                   0) != 0;
        race.errors += vm_handover(race.vm, 0, 0, 0) != 0;
        sem_post(&race.taken);
    }
}

static void *hog_cpu(void *opaque)
{
    uint64_t expired, end;

    set_policy(SCHED_FIFO);
    while (!race_is_over()) {
        if (read(race.timer, &expired, sizeof(expired)) != sizeof(expired)) {
            die("timer");
        }
        end = now_ns() + BURST_NS;
        while (now_ns() < end) {
            /* Nothing of lower priority runs here meanwhile. */
        }
    }
    return opaque;
}

static void set_timer(uint64_t ns)
{
    const struct itimerspec time = { .it_value.tv_nsec = ns + 1 };

    if (timerfd_settime(race.timer, 0, &time, NULL)) {
        die("timer");
    }
}

/* Have an event made for each counter. */
static void make_events(VM *vm)
{
    for (unsigned i = 0; i < NR_GP; i++) {
        vm_set_msr(vm, MSR_EVNTSEL(i), EVENT_INSTRUCTIONS | USER);
    }
    guest_try_entry(vm);
}

/* How long it takes to take the counters, and to release the events */
static void measure(VM *vm, uint64_t *take, uint64_t *release)
{
    uint64_t start;

    make_events(vm);
    start = now_ns();
    EQUAL(vm_handover(vm, KVM_VPMU_HANDOVER_FORCE, NR_GP, 0), 0);
    *take = now_ns() - start;
    EQUAL(vm_handover(vm, 0, 0, 0), 0);
    make_events(vm);
    start = now_ns();
    vm_set_cpuid(vm);
    *release = now_ns() - start;
}

static void race_run(VM *vm)
{
    uint64_t take, release;

    measure(vm, &take, &release);
    for (unsigned i = 0; i < ROUNDS; i++) {
        make_events(vm);
        sem_post(&race.take);
        nanosleep(&(struct timespec) { .tv_nsec = rand() % take }, NULL);
        set_timer(rand() % release);
        vm_set_cpuid(vm);
        sem_wait(&race.taken);
    }
    printf("# taking takes %lld us, releasing %lld us; %lld events\n",
           (long long)take / 1000, (long long)release / 1000,
           (long long)vm_stat(vm, "hand-overs"));
    EQUAL(vm_stat(vm, "hand-overs"), (ROUNDS + 2) * NR_GP);
}

/*
 * User space may change CPUID until the vCPU has run, and with it the PMU,
 * whose events are then released.
 */
void test_reset_race(void)
{
    pthread_t taker, hog;
    VM vm;

    host_run_on(0, 0);
    vm_create_idle(&vm, &handover_defaults);
    guest_prevent_entry(&vm);
    race = (typeof(race)) {
        .vm = &vm, .timer = timerfd_create(CLOCK_MONOTONIC, 0),
    };
    sem_init(&race.take, 0, 0);
    sem_init(&race.taken, 0, 0);
    if (pthread_create(&taker, NULL, take_counters, NULL) ||
        pthread_create(&hog, NULL, hog_cpu, NULL)) {
        die("pthread_create");
    }
    race_run(&vm);
    __atomic_store_n(&race.stop, true, __ATOMIC_RELEASE);
    sem_post(&race.take);
    set_timer(0);
    pthread_join(taker, NULL);
    pthread_join(hog, NULL);
    EQUAL(race.errors, 0);
    guest_allow_entry();
    close(race.timer);
    vm_destroy(&vm);
    EQUAL(host_free(), NR_GP);
    host_run_anywhere();
}
