/* SPDX-License-Identifier: Apache-2.0 */
/* A private directory for a test's files, made before it and removed after it. */
#ifndef ESC_SCRATCH_H
#define ESC_SCRATCH_H

#include <dirent.h>
#include <ftw.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"

static char scratch_directory[256];

/* cmocka's setup: makes the directory under $TMPDIR or /tmp. */
static inline int scratch_enter(void **state) {
  (void)state;
  const char *parent = getenv("TMPDIR");
  snprintf(scratch_directory, sizeof scratch_directory, "%s/escapement.XXXXXX",
           parent && *parent ? parent : "/tmp");
  return mkdtemp(scratch_directory) ? 0 : -1;
}

static inline int scratch_remove(const char *path, const struct stat *info, int kind,
                                 struct FTW *at) {
  (void)info, (void)kind, (void)at;
  return remove(path);
}

/* cmocka's teardown. */
static inline int scratch_leave(void **state) {
  (void)state;
  return nftw(scratch_directory, scratch_remove, 8, FTW_DEPTH | FTW_PHYS);
}

/* A test that has the directory to itself. */
#define CASE(test) cmocka_unit_test_setup_teardown(test, scratch_enter, scratch_leave)

/* The path of `name` in the directory; the last 8 answers stay valid. */
static inline const char *scratch(const char *name) {
  static char path[8][1024];
  static unsigned turn;
  char *out = path[turn++ % 8];
  snprintf(out, sizeof path[0], "%s/%s", scratch_directory, name);
  return out;
}

/* Number of entries in the directory. */
static inline int scratch_count(void) {
  int entries = 0;
  DIR *directory = opendir(scratch_directory);
  assert_non_null(directory);
  for (struct dirent *entry; (entry = readdir(directory));)
    if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) entries++;
  closedir(directory);
  return entries;
}

static inline void scratch_write(const char *path, const void *bytes, size_t size) {
  FILE *file = fopen(path, "wb");
  assert_non_null(file);
  assert_int_equal(fwrite(bytes, 1, size, file), size);
  assert_int_equal(fclose(file), 0);
}

/* Reads a whole file; malloc'd. */
static inline char *scratch_read(const char *path, size_t *size) {
  struct stat info;
  FILE *file = fopen(path, "rb");
  assert_non_null(file);
  assert_int_equal(fstat(fileno(file), &info), 0);
  char *bytes = malloc((size_t)info.st_size + 1);
  assert_non_null(bytes);
  *size = fread(bytes, 1, (size_t)info.st_size, file);
  assert_int_equal(*size, info.st_size);
  fclose(file);
  return bytes;
}

/* From now on writing beyond `bytes` of a file fails; RLIM_INFINITY ends that. */
static inline void scratch_limit_files(rlim_t bytes) {
  struct rlimit limit;
  signal(SIGXFSZ, SIG_IGN);
  assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
  limit.rlim_cur = bytes < limit.rlim_max ? bytes : limit.rlim_max;
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* The last message names all of these; NULL ends the list. */
static inline void assert_message_names(const char *first, ...) {
  va_list more;
  va_start(more, first);
  for (const char *part = first; part; part = va_arg(more, const char *)) {
    if (strstr(esc_error_message(), part)) continue;
    fprintf(stderr, "\"%s\" does not say \"%s\"\n", esc_error_message(), part);
    fail();
  }
  va_end(more);
}

#endif
