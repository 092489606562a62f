#include "device.h"

#include <omp.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

/* "model name" of /proc/cpuinfo; Arm has none there, so the machine type stands in. */
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

void esc_device_name(char *text, size_t size) {
  char model[200];
  model_name(model, sizeof model);
  snprintf(text, size, "%s, %d processors", model, omp_get_num_procs());
}
