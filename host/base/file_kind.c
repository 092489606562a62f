#include "base/file_kind.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "store/checkpoint.h"
#include "store/journal.h"

enum { ENOUGH = 4096 };

static bool begins(const char *bytes, size_t size, const char *magic, size_t length) {
  return size >= length && !memcmp(bytes, magic, length);
}

/* Name of a format that is none of the program's own; NULL if it is not known. */
static const char *format_of(const char *bytes, size_t size) {
  static const struct {
    const char *magic;
    size_t length;
    const char *name;
  } formats[] = {
      {"\x89PNG", 4, "a figure (PNG)"},
      {"%PDF", 4, "a figure (PDF)"},
      {"<svg", 4, "a figure (SVG)"},
      {"<?xml", 5, "an XML file, a figure (SVG) perhaps"},
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
    if (begins(bytes, size, formats[i].magic, formats[i].length)) return formats[i].name;
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
      if (begins(bytes + at, size - at, sections[i], strlen(sections[i]))) return true;
  }
  return false;
}

esc_file_kind esc_file_kind_of(const char *bytes, size_t size) {
  static const char hdf5[] = "\x89HDF\r\n\x1a\n";
  if (size == 0) return ESC_FILE_EMPTY;
  if (begins(bytes, size, hdf5, size < 8 ? size : 8)) return ESC_FILE_HDF5;
  if (esc_journal_is(bytes, size)) return ESC_FILE_JOURNAL;
  if (esc_checkpoint_is(bytes, size)) return ESC_FILE_CHECKPOINT;
  const size_t seen = size < ENOUGH ? size : ENOUGH;
  if (!is_text(bytes, seen) || format_of(bytes, size)) return ESC_FILE_OTHER;
  return has_section(bytes, seen) ? ESC_FILE_SPEC : ESC_FILE_TEXT;
}

esc_file_kind esc_file_kind_at(const char *path) {
  char bytes[ENOUGH];
  size_t size = 0;
  int fd = -1;
  esc_file_kind kind = ESC_FILE_OTHER;
  struct stat info; /* a pipe is not to be opened twice */
  if (stat(path, &info) != 0 || !S_ISREG(info.st_mode)) return kind;
  if (esc_io_open(path, &fd, &size) == ESC_OK) {
    if (size > sizeof bytes) size = sizeof bytes;
    if (esc_io_read_at(fd, path, bytes, size, 0) == ESC_OK) kind = esc_file_kind_of(bytes, size);
  }
  if (fd >= 0) close(fd);
  return kind;
}

/* The path of the result that a file beside it belongs to: up to `suffix`. */
static int length_without(const char *path, const char *suffix) {
  const size_t length = strlen(path), cut = strlen(suffix);
  return (int)(length > cut && !strcmp(path + length - cut, suffix) ? length - cut : length);
}

static esc_status refuse_journal(const char *path) {
  esc_journal_summary found;
  const esc_status status = esc_journal_read(path, NULL, &found);
  if (status != ESC_OK) return status;
  if (found.snapshots)
    return ESC_FAIL(ESC_BAD_INPUT,
                    "%s: is an escapement journal with %lld snapshots of a run that has not ended: "
                    "continue with `escapement run SPEC -o %.*s --resume`",
                    path, (long long)found.records, length_without(path, ".snapshots"), path);
  return ESC_FAIL(
      ESC_BAD_INPUT,
      "%s: is an escapement journal with %lld of %lld finished members of a run that %s: "
      "continue with `escapement run SPEC -o %.*s --resume`",
      path, (long long)found.records, (long long)found.members,
      found.locked ? "is writing it now" : "has not ended", length_without(path, ".journal"), path);
}

static void count_network(void *context, esc_member_key member, int64_t step) {
  (void)member, (void)step;
  ++*(int64_t *)context;
}

static esc_status accept(void *context, const char *path, esc_identity found) {
  (void)context, (void)path, (void)found;
  return ESC_OK;
}

static esc_status refuse_checkpoint(const char *path) {
  int64_t networks = 0;
  const esc_checkpoint_reader reader = {&networks, accept, NULL};
  const esc_status status = esc_checkpoint_read(path, &reader, count_network);
  if (status != ESC_OK) return status;
  return ESC_FAIL(
      ESC_BAD_INPUT,
      "%s: is an escapement checkpoint of %lld networks in flight of a run that has not "
      "ended: continue with `escapement run SPEC -o %.*s --resume`",
      path, (long long)networks, length_without(path, ".checkpoint"), path);
}

esc_status esc_file_refuse(const char *path, const char *bytes, size_t size) {
  const char *format = format_of(bytes, size);
  switch (esc_file_kind_of(bytes, size)) {
    case ESC_FILE_EMPTY:
      return ESC_FAIL(ESC_BAD_INPUT, "%s: the file is empty, not a result", path);
    case ESC_FILE_JOURNAL: return refuse_journal(path);
    case ESC_FILE_CHECKPOINT: return refuse_checkpoint(path);
    case ESC_FILE_SPEC:
      return ESC_FAIL(ESC_BAD_INPUT,
                      "%s: is a YAML spec, not a result: train it with `escapement run %s`", path,
                      path);
    case ESC_FILE_HDF5:
      return ESC_FAIL(ESC_BAD_INPUT, "%s: is an HDF5 file, but not a result of escapement", path);
    case ESC_FILE_TEXT:
      return ESC_FAIL(ESC_BAD_INPUT, "%s: is a text file, not an HDF5 file, so not a result", path);
    default:
      return ESC_FAIL(ESC_BAD_INPUT, "%s: is %s, not an HDF5 file, so not a result", path,
                      format ? format : "of an unknown format");
  }
}
