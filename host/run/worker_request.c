/* SPDX-License-Identifier: Apache-2.0 */
#include "run/worker_request.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "escapement/internal/status.h"

/* ---- options as text: one table for reading and writing ---- */

typedef enum option_type { TEXT, NUMBER32, NUMBER64, REAL, FLAG } option_type;

typedef struct option_field {
  const char *name;
  option_type option_type;
  size_t offset;
} option_field;

#define OPTION(name, option_type) \
  { #name, option_type, offsetof(esc_run_options, name) }
static const option_field option_fields[] = {
    OPTION(output, TEXT),      OPTION(from, TEXT),
    OPTION(backend, TEXT),     OPTION(path, TEXT),
    OPTION(precision, TEXT),   OPTION(device, NUMBER32),
    OPTION(threads, NUMBER32), OPTION(slots, NUMBER32),
    OPTION(shard, NUMBER64),   OPTION(shards, NUMBER64),
    OPTION(force, FLAG),       OPTION(command_line, TEXT),
    OPTION(seconds_max, REAL), OPTION(checkpoint_seconds, REAL),
    OPTION(log, TEXT)};
#undef OPTION
enum { OPTION_COUNT = sizeof option_fields / sizeof option_fields[0], REQUEST_MAX = 1 << 23 };

static void write_pair(FILE *out, const char *name, const char *value) {
  fprintf(out, "%s%c%s%c", name, 0, value, 0);
}

/* Reals are printed in hexadecimal, which is exact. */
static void write_field(FILE *out, const option_field *f, const char *options) {
  char number[40];
  const char *text = number;
  const void *const value = options + f->offset;
  switch (f->option_type) {
    case TEXT: memcpy(&text, value, sizeof text); break;
    case NUMBER32: snprintf(number, sizeof number, "%d", *(const int *)value); break;
    case NUMBER64: snprintf(number, sizeof number, "%" PRId64, *(const int64_t *)value); break;
    case REAL: snprintf(number, sizeof number, "%a", *(const double *)value); break;
    case FLAG: snprintf(number, sizeof number, "%d", *(const bool *)value); break;
  }
  if (text) write_pair(out, f->name, text);
}

/* Texts point into the request. */
static void read_field(const option_field *f, const char *text, char *options) {
  void *const value = options + f->offset;
  switch (f->option_type) {
    case TEXT: memcpy(value, &text, sizeof text); break;
    case NUMBER32: *(int *)value = atoi(text); break;
    case NUMBER64: *(int64_t *)value = strtoll(text, NULL, 10); break;
    case REAL: *(double *)value = strtod(text, NULL); break;
    case FLAG: *(bool *)value = atoi(text) != 0; break;
  }
}

/* ---- the parent's side ---- */

esc_status esc_worker_request_write(const char *spec, const esc_run_options *options, int lock,
                                    int *descriptor) {
  char number[24];
  const int fd = memfd_create("escapement-worker", MFD_CLOEXEC);
  FILE *out = fd >= 0 ? fdopen(dup(fd), "w") : NULL;
  if (out) {
    snprintf(number, sizeof number, "%d", lock);
    write_pair(out, "lock", number);
    write_pair(out, "spec", spec);
    for (size_t i = 0; i < OPTION_COUNT; i++)
      write_field(out, &option_fields[i], (const char *)options);
  }
  if (out && fclose(out) == 0 && lseek(fd, 0, SEEK_SET) == 0) {
    *descriptor = fd;
    return ESC_OK;
  }
  const int error = errno;
  if (fd >= 0) close(fd);
  return ESC_FAIL(ESC_LIBRARY_FAILED, "cannot write a worker's request: %s", strerror(error));
}

/* ---- the worker's side ---- */

static esc_status read_all(int descriptor, esc_worker_request *r) {
  esc_status status = ESC_OK;
  ssize_t got = 1;
  ESC_TRY_ALLOCATE(r->text = malloc(REQUEST_MAX));
  while (got > 0 && r->size < REQUEST_MAX) {
    got = read(descriptor, r->text + r->size, REQUEST_MAX - r->size);
    if (got > 0) r->size += (size_t)got;
  }
  if (got != 0 || r->size == 0 || r->text[r->size - 1] != 0)
    status = ESC_FAIL(ESC_BAD_INPUT,
                      "worker: no valid request on standard input; workers are started by "
                      "`escapement run --devices`");
done:
  return status;
}

static void set_option(esc_worker_request *r, const char *name, const char *value) {
  if (!strcmp(name, "spec")) r->spec = value;
  if (!strcmp(name, "lock")) r->lock = atoi(value);
  for (size_t i = 0; i < OPTION_COUNT; i++)
    if (!strcmp(name, option_fields[i].name))
      read_field(&option_fields[i], value, (char *)&r->options);
}

static esc_status parse(esc_worker_request *r) {
  const char *const end = r->text + r->size;
  for (const char *name = r->text; name < end;) {
    const char *const value = name + strlen(name) + 1;
    if (value >= end) break;
    set_option(r, name, value);
    name = value + strlen(value) + 1;
  }
  if (r->spec && r->lock > STDERR_FILENO && r->options.output) return ESC_OK;
  return ESC_FAIL(ESC_BAD_INPUT, "worker: the request lacks spec, output or lock");
}

esc_status esc_worker_request_read(int descriptor, esc_worker_request *out) {
  esc_status status = ESC_OK;
  *out = (esc_worker_request){.lock = -1};
  esc_run_options_init(&out->options);
  ESC_TRY(read_all(descriptor, out));
  ESC_TRY(parse(out));
done:
  return status;
}
