/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"

#include <stdio.h>
#include <time.h>

static int64_t read_clock(clockid_t id) {
    struct timespec t;
    (void)clock_gettime(id, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int64_t clock_ns(void) {
    return read_clock(CLOCK_MONOTONIC);
}

int64_t clock_wall_ns(void) {
    return read_clock(CLOCK_REALTIME);
}

char *clock_iso(int64_t wall_ns, char buf[CLOCK_ISO_BYTES]) {
    int64_t ns = (wall_ns % 1000000000 + 1000000000) % 1000000000; /* before 1970, too, time runs forward */
    time_t s = (time_t)(wall_ns / 1000000000 - (wall_ns % 1000000000 < 0));
    struct tm tm;
    (void)gmtime_r(&s, &tm);
    (void)snprintf(buf, CLOCK_ISO_BYTES, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", (tm.tm_year + 1900) % 10000,
                   (tm.tm_mon + 1) % 100, tm.tm_mday % 100, tm.tm_hour % 100, tm.tm_min % 100, tm.tm_sec % 100,
                   (int)(ns / 1000000));
    return buf;
}
