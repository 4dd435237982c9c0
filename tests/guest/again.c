/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Count what a program does in user mode, several times.  Each turn counts as
 * "perf stat" does and prints as "perf stat -x ';'", but perf takes longer to
 * start than the program to run.
 *
 * Usage: again TURNS PROGRAM EVENT...
 */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_EVENTS 16

static void die(const char *what)
{
    perror(what);
    exit(1);
}

/* The event that perf calls @name */
static void find(const char *name, struct perf_event_attr *attr)
{
    static const struct {
        const char *name;
        unsigned number;
    } generic[] = {
        { "instructions", PERF_COUNT_HW_INSTRUCTIONS },
        { "branches", PERF_COUNT_HW_BRANCH_INSTRUCTIONS },
        { "cycles", PERF_COUNT_HW_CPU_CYCLES },
        { "ref-cycles", PERF_COUNT_HW_REF_CPU_CYCLES },
    };
    unsigned select, mask;

    if (sscanf(name, "cpu/event=%x,umask=%x/", &select, &mask) == 2) {
        attr->type = PERF_TYPE_RAW;
        attr->config = select | mask << 8;
        return;
    }
    for (unsigned i = 0; i < sizeof generic / sizeof generic[0]; i++) {
        if (!strcmp(name, generic[i].name)) {
            attr->type = PERF_TYPE_HARDWARE;
            attr->config = generic[i].number;
            return;
        }
    }
    errno = EINVAL;
    die(name);
}

/* A counter of @name in process @pid, which begins when that calls exec */
static int start(const char *name, pid_t pid)
{
    struct perf_event_attr attr = {
        .size = sizeof attr,
        .disabled = 1,
        .inherit = 1,
        .enable_on_exec = 1,
        .exclude_kernel = 1,
        .exclude_hv = 1,
        .read_format = PERF_FORMAT_TOTAL_TIME_ENABLED |
                       PERF_FORMAT_TOTAL_TIME_RUNNING,
    };
    int fd;

    find(name, &attr);
    fd = syscall(SYS_perf_event_open, &attr, pid, -1, -1, PERF_FLAG_FD_CLOEXEC);
    if (fd < 0) {
        die(name);
    }
    return fd;
}

static void print(const char *name, int fd)
{
    /* count, time on, time counted */
    uint64_t value[3];

    if (read(fd, value, sizeof value) != sizeof value) {
        die(name);
    }
    close(fd);
    /*
     * On a busy host the guest's clock may stand still for longer than the
     * program takes.
     */
    printf("%" PRIu64 ";;%s:u;%" PRIu64 ";%.2f\n", value[0], name, value[2],
           value[1] == value[2] ? 100 : 100.0 * value[2] / value[1]);
}

/* A process that executes @program when the other end of the pipe is closed */
static pid_t prepare(const char *program, int pipes[2])
{
    char go;
    pid_t pid;

    if (pipe2(pipes, O_CLOEXEC)) {
        die("again");
    }
    pid = fork();
    if (pid < 0) {
        die("again");
    }
    if (!pid) {
        close(pipes[1]);
        if (read(pipes[0], &go, 1)) {
            die("again");
        }
        execlp(program, program, NULL);
        perror(program);
        _exit(1);
    }
    return pid;
}

static void turn(const char *program, char **events, int nr)
{
    int fds[MAX_EVENTS], pipes[2], status;
    pid_t pid = prepare(program, pipes);

    for (int i = 0; i < nr; i++) {
        fds[i] = start(events[i], pid);
    }
    close(pipes[0]);
    close(pipes[1]);
    if (waitpid(pid, &status, 0) != pid || status) {
        fprintf(stderr, "%s ended with 0x%x\n", program, status);
        exit(1);
    }
    for (int i = 0; i < nr; i++) {
        print(events[i], fds[i]);
    }
}

int main(int argc, char **argv)
{
    if (argc < 4 || argc - 3 > MAX_EVENTS) {
        fprintf(stderr, "usage: again TURNS PROGRAM EVENT...\n");
        return 1;
    }
    for (int i = atoi(argv[1]); i > 0; i--) {
        turn(argv[2], argv + 3, argc - 3);
    }
    return 0;
}
