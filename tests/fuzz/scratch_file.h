/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes as a file, in memory where there is /dev/shm. */
#ifndef ESC_FUZZ_SCRATCH_FILE_H
#define ESC_FUZZ_SCRATCH_FILE_H

#include <fcntl.h>
#include <unistd.h>

#include "fuzz.h"

/* "<directory>/escapement-fuzz-<pid><suffix>" */
static inline const char *scratch_path(const char *suffix) {
  static char path[4][128];
  static int turn;
  turn = (turn + 1) % 4;
  snprintf(path[turn], sizeof path[turn], "%s/escapement-fuzz-%ld%s",
           access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp", (long)getpid(), suffix);
  return path[turn];
}

static inline void write_scratch(const char *path, const uint8_t *data, size_t size) {
  const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  DEMAND(fd >= 0 && write(fd, data, size) == (ssize_t)size);
  close(fd);
}

#endif
