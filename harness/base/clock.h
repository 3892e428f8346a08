/* SPDX-License-Identifier: Apache-2.0
 * Time: monotonic nanoseconds for measuring, ISO 8601 UTC for people. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

int64_t clock_ns(void);      /* CLOCK_MONOTONIC */
int64_t clock_wall_ns(void); /* since 1970-01-01 UTC */
#define CLOCK_ISO_BYTES 32
char *clock_iso(int64_t wall_ns, char buf[CLOCK_ISO_BYTES]); /* "2026-11-24T15:37:07.123Z" */

#endif
