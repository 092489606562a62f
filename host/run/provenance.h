/* SPDX-License-Identifier: Apache-2.0 */
/* Provenance of a result: attributes for judging and repeating it. */
#ifndef ESC_PROVENANCE_H
#define ESC_PROVENANCE_H

#include "escapement/internal/results.h"

/* The time now, ISO 8601 in UTC. */
void esc_time_now(char text[32]);

/* "escapement run ...", quoted for a POSIX shell; owned by the caller, NULL when out of memory. */
char *esc_command_line(int argc, char **argv);

/* Sets title, version, commit, compiler, command_line, host, environment,
 * start_time and end_time (now). */
esc_status esc_provenance_set(esc_results *results, const char *command_line,
                              const char *start_time);

#endif
