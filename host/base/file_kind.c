/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file_kind.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"

enum { PROBE_BYTES = 4096 };

static bool has_magic(const char *bytes, size_t size, const char *magic, size_t length) {
  return size >= length && !memcmp(bytes, magic, length);
}

const char *esc_file_format_name(const char *bytes, size_t size) {
  static const struct {
    const char *magic;
    size_t length;
    const char *name;
  } formats[] = {
      {"\x89PNG", 4, "a figure (PNG)"},
      {"%PDF", 4, "a figure (PDF)"},
      {"<svg", 4, "a figure (SVG)"},
      {"<?xml", 5, "an XML file, perhaps an SVG figure"},
      {"CDF\x01", 4, "a netCDF-3 file"},
      {"CDF\x02", 4, "a netCDF-3 file"},
      {"CDF\x05", 4, "a netCDF-3 file"},
      {"\x1f\x8b", 2, "a gzip archive"},
      {"PK\x03\x04", 4, "a zip archive"},
      {"\x7f"
       "ELF",
       4, "a program"},
  };
  for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++)
    if (has_magic(bytes, size, formats[i].magic, formats[i].length)) return formats[i].name;
  return NULL;
}

static bool is_text(const char *bytes, size_t size) {
  for (size_t i = 0; i < size; i++)
    if ((unsigned char)bytes[i] < 32 && !strchr("\t\n\r\f", bytes[i])) return false;
  return true;
}

/* Whether a line begins with a section of a spec. */
static bool has_section(const char *bytes, size_t size) {
  static const char *const sections[] = {"network:", "sweep:", "train:", "teacher:"};
  for (size_t at = 0; at < size; at++) {
    if (at > 0 && bytes[at - 1] != '\n') continue;
    for (size_t i = 0; i < sizeof sections / sizeof sections[0]; i++)
      if (has_magic(bytes + at, size - at, sections[i], strlen(sections[i]))) return true;
  }
  return false;
}

esc_file_kind esc_file_kind_of(const char *bytes, size_t size) {
  static const char hdf5[] = "\x89HDF\r\n\x1a\n";
  if (size == 0) return ESC_FILE_EMPTY;
  if (has_magic(bytes, size, hdf5, size < 8 ? size : 8)) return ESC_FILE_HDF5;
  if (has_magic(bytes, size, ESC_JOURNAL_MAGIC, sizeof ESC_JOURNAL_MAGIC)) return ESC_FILE_JOURNAL;
  if (has_magic(bytes, size, ESC_CHECKPOINT_MAGIC, sizeof ESC_CHECKPOINT_MAGIC))
    return ESC_FILE_CHECKPOINT;
  const size_t seen = size < PROBE_BYTES ? size : PROBE_BYTES;
  if (!is_text(bytes, seen) || esc_file_format_name(bytes, size)) return ESC_FILE_OTHER;
  return has_section(bytes, seen) ? ESC_FILE_SPEC : ESC_FILE_TEXT;
}

esc_file_kind esc_file_kind_at(const char *path) {
  char bytes[PROBE_BYTES];
  size_t size = 0;
  int fd = -1;
  esc_file_kind kind = ESC_FILE_OTHER;
  struct stat info; /* a pipe must not be opened twice */
  if (stat(path, &info) != 0 || !S_ISREG(info.st_mode)) return kind;
  if (esc_io_open(path, &fd, &size) == ESC_OK) {
    if (size > sizeof bytes) size = sizeof bytes;
    if (esc_io_read_at(fd, path, bytes, size, 0) == ESC_OK) kind = esc_file_kind_of(bytes, size);
  }
  if (fd >= 0) close(fd);
  return kind;
}
