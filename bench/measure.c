// SPDX-License-Identifier: Apache-2.0
// Clocks for the benchmarks. Invariant of the CPU accounting: a process that ends and is waited for
// during a run moves its time into its parent's, so the sum over a tree never loses it.
#include "measure.h"

#include <ctype.h>
#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { PROCESSES_MAX = 32768 };

struct process {
    pid_t pid, parent;
    uint64_t ticks;
    bool counted;
};

uint64_t measure_now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

// Values below MEASURE_STEPS have a bucket each; above, every power of two has MEASURE_STEPS.
static unsigned bucket_of(uint64_t ns)
{
    unsigned shift;

    if (ns < MEASURE_STEPS) {
        return (unsigned)ns;
    }
    shift = 63u - (unsigned)__builtin_clzll(ns) - 6u;
    return MEASURE_STEPS * shift + (unsigned)(ns >> shift);
}

static uint64_t value_of(unsigned bucket)
{
    unsigned shift = bucket / MEASURE_STEPS;

    if (shift <= 1) {
        return bucket;
    }
    shift -= 1;
    return (uint64_t)(bucket - MEASURE_STEPS * shift) << shift;
}

void measure_add(struct measure_latency *l, uint64_t ns)
{
    unsigned bucket = bucket_of(ns);

    l->bucket[bucket < MEASURE_BUCKETS ? bucket : MEASURE_BUCKETS - 1]++;
    l->count++;
}

double measure_quantile_us(const struct measure_latency *l, unsigned per_mille)
{
    uint64_t wanted = (l->count * per_mille + 999) / 1000;
    uint64_t seen = 0;

    if (l->count == 0) {
        return 0;
    }
    for (unsigned i = 0; i < MEASURE_BUCKETS; i++) {
        seen += l->bucket[i];
        if (seen >= wanted) {
            return (double)value_of(i) / 1000.0;
        }
    }
    return 0;
}

double measure_own_cpu_us(void)
{
    struct rusage u;

    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e6 +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

// Reads one /proc/PID/stat. The command's name may hold spaces and brackets: start after the last.
static bool read_process(const char *pid, struct process *ret)
{
    char path[64], line[1024];
    unsigned long utime, stime;
    long cutime, cstime;
    const char *after;
    int parent;
    FILE *f;
    bool whole;

    snprintf(path, sizeof(path), "/proc/%.20s/stat", pid);
    f = fopen(path, "re");
    if (f == NULL) {
        return false;
    }
    whole = fgets(line, sizeof(line), f) != NULL;
    fclose(f);
    after = whole ? strrchr(line, ')') : NULL;
    if (after == NULL ||
        sscanf(after + 1, " %*c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu %ld %ld", &parent,
               &utime, &stime, &cutime, &cstime) != 5) {
        return false;
    }
    ret->pid = (pid_t)atoi(pid);
    ret->parent = parent;
    ret->ticks = (uint64_t)utime + stime + (uint64_t)cutime + (uint64_t)cstime;
    ret->counted = false;
    return true;
}

static size_t read_processes(struct process *ret, size_t max)
{
    DIR *proc = opendir("/proc");
    struct dirent *entry;
    size_t n = 0;

    if (proc == NULL) {
        return 0;
    }
    while (n < max && (entry = readdir(proc)) != NULL) {
        if (isdigit((unsigned char)entry->d_name[0]) && read_process(entry->d_name, &ret[n])) {
            n++;
        }
    }
    closedir(proc);
    return n;
}

static bool is_counted(const struct process *all, size_t n, pid_t pid)
{
    for (size_t i = 0; i < n; i++) {
        if (all[i].pid == pid) {
            return all[i].counted;
        }
    }
    return false;
}

double measure_tree_cpu_us(pid_t root)
{
    static struct process all[PROCESSES_MAX];
    size_t n = read_processes(all, PROCESSES_MAX);
    uint64_t ticks = 0;
    bool found = false, more = true;

    for (size_t i = 0; i < n; i++) {
        found = found || (all[i].counted = all[i].pid == root);
    }
    // A generation of descendants for each turn.
    while (more) {
        more = false;
        for (size_t i = 0; i < n; i++) {
            if (!all[i].counted && is_counted(all, n, all[i].parent)) {
                all[i].counted = more = true;
            }
        }
    }
    for (size_t i = 0; i < n; i++) {
        ticks += all[i].counted ? all[i].ticks : 0;
    }
    return found ? (double)ticks * 1e6 / (double)sysconf(_SC_CLK_TCK) : -1;
}
