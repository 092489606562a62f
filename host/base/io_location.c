/* SPDX-License-Identifier: Apache-2.0 */
#include "base/io_location.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"

enum { SYMLINKS_MAX = 40 };

bool esc_io_split(const char *path, char directory[PATH_MAX], char name[NAME_MAX + 1]) {
  const char *slash = strrchr(path, '/');
  const char *last = slash ? slash + 1 : path;
  const size_t length = slash ? (size_t)(slash - path) : 0;
  if (length >= PATH_MAX || strlen(last) > NAME_MAX) return false;
  if (!slash)
    strcpy(directory, ".");
  else if (length == 0)
    strcpy(directory, "/");
  else
    snprintf(directory, PATH_MAX, "%.*s", (int)length, path);
  strcpy(name, last);
  return true;
}

/* Names in these directories are devices or open files, whatever they link to. */
static bool is_device_directory(const char *directory) {
  return !strcmp(directory, "/dev") || !strcmp(directory, "/proc") ||
         !strncmp(directory, "/proc/", 6);
}

esc_status esc_io_locate(const char *path, const char *current, esc_io_location *at) {
  char directory[PATH_MAX];
  if (!esc_io_split(current, directory, at->name))
    return ESC_FAIL(ESC_BAD_INPUT, "%.200s...: the name is too long", path);
  if (!realpath(directory, at->directory))
    return ESC_FAIL(esc_io_status_of_errno(errno), "%s: cannot write: directory %s: %s", path,
                    directory, strerror(errno));
  if (is_device_directory(at->directory))
    return ESC_FAIL(ESC_BAD_INPUT, "%s: is a device, not a file; give the name of a file", path);
  return ESC_OK;
}

bool esc_io_join(char out[PATH_MAX], const char *directory, const char *name) {
  const char *slash = !strcmp(directory, "/") ? "" : "/";
  return snprintf(out, PATH_MAX, "%s%s%s", directory, slash, name) < PATH_MAX;
}

/* Follows links from `path` to the location of the file to be written. */
static esc_status resolve(const char *path, esc_io_location *at) {
  char current[PATH_MAX], link[PATH_MAX], full[PATH_MAX];
  if (strlen(path) >= PATH_MAX)
    return ESC_FAIL(ESC_BAD_INPUT, "%.200s...: the name is too long", path);
  strcpy(current, path);
  for (int i = 0; i < SYMLINKS_MAX; i++) {
    const esc_status status = esc_io_locate(path, current, at);
    if (status != ESC_OK) return status;
    if (!esc_io_join(full, at->directory, at->name)) break;
    const ssize_t length = readlink(full, link, sizeof link - 1);
    if (length < 0) return ESC_OK; /* not a link, or not existing yet */
    link[length] = '\0';
    if (link[0] == '/')
      strcpy(current, link);
    else if (!esc_io_join(current, at->directory, link))
      break;
  }
  return ESC_FAIL(ESC_BAD_INPUT, "%s: too many symbolic links, or a name that is too long", path);
}

esc_status esc_io_find_target(const char *path, esc_io_location *at, char full[PATH_MAX]) {
  struct stat info;
  if (!*path) return ESC_FAIL(ESC_BAD_INPUT, "the name of the file to write is empty");
  const esc_status status = resolve(path, at);
  if (status != ESC_OK) return status;
  if (!*at->name)
    return ESC_FAIL(ESC_BAD_INPUT, "%s: is the name of a directory; give the name of a file", path);
  if (!esc_io_join(full, at->directory, at->name))
    return ESC_FAIL(ESC_BAD_INPUT, "%.200s...: the name is too long", path);
  if (stat(full, &info) == 0) {
    if (S_ISDIR(info.st_mode))
      return ESC_FAIL(ESC_BAD_INPUT, "%s: is a directory; give the name of a file", path);
    if (!S_ISREG(info.st_mode))
      return ESC_FAIL(ESC_BAD_INPUT, "%s: is not a regular file; give another name", path);
  } else if (errno != ENOENT) {
    return ESC_FAIL(esc_io_status_of_errno(errno), "%s: cannot write: %s", path, strerror(errno));
  }
  return ESC_OK;
}

esc_status esc_io_resolve(const char *path, char *resolved, size_t size) {
  esc_io_location at;
  char full[PATH_MAX];
  const esc_status status = esc_io_find_target(path, &at, full);
  if (status != ESC_OK) return status;
  if (snprintf(resolved, size, "%s", full) >= (int)size)
    return ESC_FAIL(ESC_BAD_INPUT, "%.200s...: the path is too long", path);
  return ESC_OK;
}
