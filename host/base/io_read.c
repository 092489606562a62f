/* SPDX-License-Identifier: Apache-2.0 */
/* Reading of files, and what an errno of opening one means. */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"

enum { READ_BYTES_FIRST = 1 << 16 };

esc_status esc_io_status_of_errno(int error) {
  switch (error) {
    case ENOENT:
    case ENOTDIR:
    case EISDIR:
    case EACCES:
    case EPERM:
    case EROFS:
    case ELOOP:
    case ENXIO:
    case ENODEV:
    case ENAMETOOLONG: return ESC_BAD_INPUT;
    default: return ESC_IO_FAILED;
  }
}

bool esc_io_exists(const char *path) {
  struct stat info;
  return stat(path, &info) == 0;
}

esc_status esc_io_open(const char *path, int *fd, size_t *size) {
  struct stat info;
  *fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  if (*fd < 0 || fstat(*fd, &info) != 0)
    return ESC_FAIL(esc_io_status_of_errno(errno), "%s: cannot open: %s", path, strerror(errno));
  if (!S_ISREG(info.st_mode)) return ESC_FAIL(ESC_BAD_INPUT, "%s: is not a regular file", path);
  *size = (size_t)info.st_size;
  return ESC_OK;
}

esc_status esc_io_read_at(int fd, const char *path, void *bytes, size_t size, size_t offset) {
  char *to = bytes;
  while (size > 0) {
    const ssize_t got = pread(fd, to, size, (off_t)offset);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0)
      return ESC_FAIL(ESC_IO_FAILED, "%s: cannot read: %s", path,
                      got < 0 ? strerror(errno) : "unexpected end of file");
    to += got;
    offset += (size_t)got;
    size -= (size_t)got;
  }
  return ESC_OK;
}

/* Grows the buffer for at least one more byte than `used`, up to limit + 2. */
static bool grow(char **bytes, size_t used, size_t *capacity, size_t limit) {
  if (used + 1 < *capacity) return true;
  const size_t wanted = *capacity > limit / 2 ? limit + 2 : 2 * *capacity;
  char *more = realloc(*bytes, wanted);
  if (!more) return false;
  *bytes = more;
  *capacity = wanted;
  return true;
}

/* Reads `fd` to its end, at most limit + 1 bytes, which detects a file that is too long. */
static esc_status read_to_end(int fd, const char *path, size_t limit, size_t expected, char **bytes,
                              size_t *size) {
  esc_status status = ESC_OK;
  size_t used = 0, capacity = expected + 2;
  char *buffer = malloc(capacity);
  ESC_TRY_ALLOCATE(buffer);
  for (;;) {
    if (!grow(&buffer, used, &capacity, limit)) {
      status = ESC_FAIL(ESC_NO_MEMORY, "%s: out of memory after %zu bytes", path, used);
      goto done;
    }
    const ssize_t got = read(fd, buffer + used, capacity - used - 1);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      status =
          ESC_FAIL(esc_io_status_of_errno(errno), "%s: cannot read: %s", path, strerror(errno));
      goto done;
    }
    used += (size_t)got;
    if (got == 0 || used > limit) break;
  }
  buffer[used] = '\0';
  *size = used;
  *bytes = buffer;
  buffer = NULL;
done:
  free(buffer);
  return status;
}

esc_status esc_io_read(const char *path, size_t limit, char **bytes, size_t *size) {
  struct stat info;
  char *buffer = NULL;
  size_t used = 0;
  esc_status status = ESC_OK;
  const size_t bytes_max = limit < PTRDIFF_MAX - 2 ? limit : PTRDIFF_MAX - 2;
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0 || fstat(fd, &info) != 0) {
    status = ESC_FAIL(esc_io_status_of_errno(errno), "%s: cannot open: %s", path, strerror(errno));
    goto done;
  }
  const bool plain = S_ISREG(info.st_mode);
  used = plain ? (size_t)info.st_size : 0;
  if (used <= bytes_max)
    ESC_TRY(read_to_end(fd, path, bytes_max, plain ? used : READ_BYTES_FIRST, &buffer, &used));
  if (used > bytes_max) {
    status = ESC_FAIL(ESC_BAD_INPUT, "%s: larger than the %zu bytes allowed", path, bytes_max);
    goto done;
  }
  *bytes = buffer;
  *size = used;
  buffer = NULL;
done:
  free(buffer);
  if (fd >= 0) close(fd);
  return status;
}

esc_status esc_io_read_plain(const char *path, size_t limit, char **bytes, size_t *size) {
  esc_status status = ESC_OK;
  char *buffer = NULL;
  size_t length = 0;
  int fd = -1;
  ESC_TRY(esc_io_open(path, &fd, &length));
  if (length > limit) {
    status = ESC_FAIL(ESC_BAD_INPUT, "%s: larger than the %zu bytes allowed", path, limit);
    goto done;
  }
  ESC_TRY_ALLOCATE(buffer = malloc(length + 1));
  ESC_TRY(esc_io_read_at(fd, path, buffer, length, 0));
  buffer[length] = '\0';
  *size = length;
  *bytes = buffer;
  buffer = NULL;
done:
  free(buffer);
  if (fd >= 0) close(fd);
  return status;
}
