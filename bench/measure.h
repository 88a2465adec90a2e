// SPDX-License-Identifier: Apache-2.0
// Clocks for the benchmarks: latencies in a histogram of fixed size, and the CPU time of this
// process or of a tree of other processes. Nothing here allocates per measurement.
#pragma once

#include <stdint.h>
#include <sys/types.h>

// Buckets at least 1/64 of their value apart: a percentile is right to 1.6 %.
enum { MEASURE_STEPS = 64, MEASURE_BUCKETS = MEASURE_STEPS * 58 };

struct measure_latency {
    uint64_t count;
    uint64_t bucket[MEASURE_BUCKETS];
};

uint64_t measure_now_ns(void); // monotonic clock

void measure_add(struct measure_latency *l, uint64_t ns);

// Latency in microseconds that `per_mille` of 1000 measurements do not exceed; 0 for none at all.
double measure_quantile_us(const struct measure_latency *l, unsigned per_mille);

double measure_own_cpu_us(void); // user and system time of this process so far

// User and system time, in microseconds, of process `root` and all its descendants, with those
// they have waited for; negative when `root` does not exist. Reads /proc/*/stat: a clock tick
// (commonly 10 ms) fine. Blocks on the proc file system only.
double measure_tree_cpu_us(pid_t root);
