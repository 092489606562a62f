/* SPDX-License-Identifier: Apache-2.0 */
#include "run/provenance.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/version.h"

/* Variables that affect speed or the choice of device; recorded if set. */
static const char *const recorded_variables[] = {
    "OMP_NUM_THREADS",  "OMP_PROC_BIND",      "OMP_PLACES",     "OMP_STACKSIZE",
    "OMP_THREAD_LIMIT", "GOMP_CPU_AFFINITY",  "ESCAPEMENT_ISA", "CUDA_VISIBLE_DEVICES",
    "SLURM_JOB_ID",     "SLURM_ARRAY_TASK_ID"};

void esc_time_now(char text[32]) {
  const time_t now = time(NULL);
  struct tm utc;
  gmtime_r(&now, &utc);
  strftime(text, 32, "%Y-%m-%dT%H:%M:%SZ", &utc);
}

/* Writes ` word` quoted for a shell; returns the end. In single quotes only the quote itself is
 * special. */
static char *quote(const char *word, char *to) {
  static const char plain[] =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_@%+=:,./-";
  *to++ = ' ';
  if (*word && !word[strspn(word, plain)]) return stpcpy(to, word);
  *to++ = '\'';
  for (; *word; word++) {
    if (*word == '\'')
      to = stpcpy(to, "'\\''");
    else
      *to++ = *word;
  }
  return stpcpy(to, "'");
}

char *esc_command_line(int argc, char **argv) {
  size_t size = sizeof "escapement";
  for (int i = 0; i < argc; i++) size += 4 * strlen(argv[i]) + 3;
  char *text = malloc(size);
  if (!text) return NULL;
  char *end = stpcpy(text, "escapement");
  for (int i = 0; i < argc; i++) end = quote(argv[i], end);
  return text;
}

static void environment(char *text, size_t size) {
  size_t used = 0;
  text[0] = 0;
  for (size_t i = 0; i < sizeof recorded_variables / sizeof recorded_variables[0] && used < size;
       i++) {
    const char *value = getenv(recorded_variables[i]);
    if (value)
      used += (size_t)snprintf(text + used, size - used, "%s%s=%s", used ? " " : "",
                               recorded_variables[i], value);
  }
}

esc_status esc_provenance_set(esc_results *results, const char *command_line,
                              const char *start_time) {
  esc_status status = ESC_OK;
  char text[512], host[128] = "";
  ESC_TRY(esc_results_set_attribute(results, "title", "Escape steps of teacher-student networks"));
  ESC_TRY(esc_results_set_attribute(results, "version", esc_library_version()));
  ESC_TRY(esc_results_set_attribute(results, "commit", esc_commit()));
  ESC_TRY(esc_results_set_attribute(results, "compiler", esc_compiler()));
  ESC_TRY(esc_results_set_attribute(results, "command_line", command_line));
  gethostname(host, sizeof host - 1);
  ESC_TRY(esc_results_set_attribute(results, "host", host));
  environment(text, sizeof text);
  ESC_TRY(esc_results_set_attribute(results, "environment", text));
  ESC_TRY(esc_results_set_attribute(results, "start_time", start_time));
  esc_time_now(text);
  ESC_TRY(esc_results_set_attribute(results, "end_time", text));
done:
  return status;
}
