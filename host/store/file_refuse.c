/* SPDX-License-Identifier: Apache-2.0 */
/* Message for a file of another kind where a result is expected. */
#include "store/file_refuse.h"

#include <string.h>

#include "base/file_kind.h"
#include "store/checkpoint.h"
#include "store/journal.h"

/* Length of `path` without `suffix`: the path of the result that the file belongs to. */
static int length_before_suffix(const char *path, const char *suffix) {
  const size_t length = strlen(path), cut = strlen(suffix);
  return (int)(length > cut && !strcmp(path + length - cut, suffix) ? length - cut : length);
}

static esc_status refuse_journal(const char *path) {
  esc_journal_summary summary;
  const esc_status status = esc_journal_read(path, NULL, &summary);
  if (status != ESC_OK) return status;
  if (summary.weights)
    return ESC_FAIL(ESC_BAD_INPUT,
                    "%s: is an escapement journal with weights of a run that has not ended: "
                    "continue with `escapement run SPEC -o %.*s --resume`",
                    path, length_before_suffix(path, ".weights"), path);
  if (summary.snapshots)
    return ESC_FAIL(ESC_BAD_INPUT,
                    "%s: is an escapement journal with %lld snapshots of a run that has not ended: "
                    "continue with `escapement run SPEC -o %.*s --resume`",
                    path, (long long)summary.records, length_before_suffix(path, ".snapshots"),
                    path);
  return ESC_FAIL(
      ESC_BAD_INPUT,
      "%s: is an escapement journal with %lld of %lld finished members of a run that %s: "
      "continue with `escapement run SPEC -o %.*s --resume`",
      path, (long long)summary.records, (long long)summary.members,
      summary.locked ? "is writing it now" : "has not ended",
      length_before_suffix(path, ".journal"), path);
}

static void count_network(void *context, esc_member_key member, int64_t step) {
  (void)member, (void)step;
  ++*(int64_t *)context;
}

static esc_status accept_any_identity(void *context, const char *path, esc_identity summary) {
  (void)context, (void)path, (void)summary;
  return ESC_OK;
}

static esc_status refuse_checkpoint(const char *path) {
  int64_t networks = 0;
  const esc_checkpoint_reader reader = {&networks, accept_any_identity, NULL};
  const esc_status status = esc_checkpoint_read(path, &reader, count_network);
  if (status != ESC_OK) return status;
  return ESC_FAIL(
      ESC_BAD_INPUT,
      "%s: is an escapement checkpoint of %lld networks in flight of a run that has not "
      "ended: continue with `escapement run SPEC -o %.*s --resume`",
      path, (long long)networks, length_before_suffix(path, ".checkpoint"), path);
}

esc_status esc_file_refuse(const char *path, const char *bytes, size_t size) {
  const char *format = esc_file_format_name(bytes, size);
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
