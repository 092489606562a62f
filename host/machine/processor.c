/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/processor.h"

#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>

#include "machine/control_group.h"

/* "model name" of /proc/cpuinfo; on Arm, which has none, the machine type. */
static void model_name(char *text, size_t size) {
  struct utsname machine;
  char line[256];
  snprintf(text, size, "%s", uname(&machine) == 0 ? machine.machine : "unknown processor");
  FILE *file = fopen("/proc/cpuinfo", "re");
  while (file && fgets(line, sizeof line, file))
    if (!strncmp(line, "model name", 10) && strchr(line, ':')) {
      line[strcspn(line, "\n")] = 0;
      snprintf(text, size, "%s", strchr(line, ':') + 2);
      break;
    }
  if (file) fclose(file);
}

void esc_processor_name(char *text, size_t size) {
  char model[200];
  model_name(model, sizeof model);
  const int processors = esc_processor_count();
  snprintf(text, size, "%s, %d processor%s", model, processors, processors == 1 ? "" : "s");
}

/* Processors to which OpenMP binds threads (OMP_PLACES, GOMP_CPU_AFFINITY); `all` where it does not
 * bind them. */
static int bound_processors(int all) {
  int bound = 0;
  for (int i = 0; i < omp_get_num_places(); i++) bound += omp_get_place_num_procs(i);
  return bound > 0 && bound < all ? bound : all;
}

int esc_processor_count_below(const char *root) {
  const double quota = ceil(esc_control_group_processors(root));
  const int own = bound_processors(omp_get_num_procs());
  return quota < own ? (int)fmax(quota, 1) : own;
}

int esc_processor_count(void) { return esc_processor_count_below(""); }

/* The number behind `key` in a file of lines "key number", else infinity. */
static double read_number(const char *path, const char *key) {
  char line[256];
  double number = INFINITY;
  FILE *file = fopen(path, "re");
  while (file && fgets(line, sizeof line, file))
    if (!strncmp(line, key, strlen(key)) && sscanf(line + strlen(key), "%lf", &number) == 1) break;
  if (file) fclose(file);
  return number;
}

double esc_memory_available(void) {
  const double system = 1024 * read_number("/proc/meminfo", "MemAvailable:");
  struct rlimit limit;
  double own = INFINITY;
  if (getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
    own = (double)limit.rlim_cur - 1024 * read_number("/proc/self/status", "VmSize:");
  return fmin(system, fmin(esc_control_group_memory(""), own));
}
