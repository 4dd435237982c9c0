/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kvm-handover: what the host does beside the guest
 */
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <linux/perf_event.h>
#include "handover.h"

void host_sleep_ms(unsigned ms)
{
    nanosleep(&(struct timespec) { ms / 1000, ms % 1000 * 1000000 }, NULL);
}

void host_run_on(pid_t thread, int cpu)
{
    cpu_set_t cpus;

    CPU_ZERO(&cpus);
    CPU_SET(cpu, &cpus);
    sched_setaffinity(thread, sizeof(cpus), &cpus);
}

void host_run_anywhere(void)
{
    cpu_set_t cpus;

    memset(&cpus, 0xff, sizeof(cpus));
    sched_setaffinity(0, sizeof(cpus), &cpus);
}

void host_run_elsewhere(int cpu)
{
    cpu_set_t cpus;

    memset(&cpus, 0xff, sizeof(cpus));
    CPU_CLR(cpu, &cpus);
    sched_setaffinity(0, sizeof(cpus), &cpus);
}

long host_cpus(void)
{
    return sysconf(_SC_NPROCESSORS_ONLN);
}

static int host_open_event(struct perf_event_attr *attr, pid_t pid, int cpu)
{
    return syscall(SYS_perf_event_open, attr, pid, cpu, -1,
                   PERF_FLAG_FD_CLOEXEC);
}

int host_counter(pid_t pid, int cpu, bool pinned, uint64_t config)
{
    struct perf_event_attr attr = {
        .size = sizeof(attr), .type = PERF_TYPE_RAW, .config = config,
        .pinned = pinned, .exclude_kernel = 1, .exclude_hv = 1,
        .read_format = PERF_FORMAT_TOTAL_TIME_ENABLED |
                       PERF_FORMAT_TOTAL_TIME_RUNNING,
    };

    return host_open_event(&attr, pid, cpu);
}

int host_counter_cpu0(void)
{
    return host_counter(-1, 0, true, EVENT_BRANCHES);
}

int host_records(int cpu)
{
    struct perf_event_attr attr = {
        .size = sizeof(attr), .type = PERF_TYPE_RAW, .config = EVENT_BRANCHES,
        .sample_period = 1ull << 40, .precise_ip = 1, .exclude_kernel = 1,
        .exclude_hv = 1,
    };

    return host_open_event(&attr, -1, cpu);
}

int host_trace_counter(const char *name)
{
    struct perf_event_attr attr = {
        .size = sizeof(attr), .type = PERF_TYPE_TRACEPOINT,
    };
    char path[128];
    int fd;

    snprintf(path, sizeof(path),
             "/sys/kernel/debug/tracing/events/kvm_vpmu/%s/id", name);
    attr.config = host_read_number(path);
    fd = host_open_event(&attr, 0, -1);
    if (fd < 0) {
        die(name);
    }
    return fd;
}

uint64_t host_trace_count(int fd)
{
    uint64_t count;

    if (read(fd, &count, sizeof(count)) != sizeof(count)) {
        die("trace counter");
    }
    return count;
}

bool host_counts(int fd)
{
    uint64_t value[3];

    return read(fd, value, sizeof(value)) == sizeof(value) && value[1] &&
           value[1] == value[2];
}

unsigned host_free(void)
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

unsigned host_read_number(const char *path)
{
    FILE *file = fopen(path, "r");
    unsigned number;

    if (!file || fscanf(file, "%u", &number) != 1) {
        die(path);
    }
    fclose(file);
    return number;
}

unsigned host_set_limit(const char *name, unsigned value)
{
    char path[64];
    unsigned before;
    FILE *file;

    snprintf(path, sizeof(path), "/proc/sys/kernel/%s", name);
    before = host_read_number(path);
    file = fopen(path, "w");
    if (!file || fprintf(file, "%u\n", value) < 0 || fclose(file)) {
        die(path);
    }
    return before;
}
