/* SPDX-License-Identifier: Apache-2.0 */
/* Merging the files of a sharded run under the output's lock. In this layer, above store and spec,
 * because the number of members follows from the spec in the files. */
#include "run/merge.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "base/log.h"
#include "escapement/internal/library.h"
#include "spec/spec.h"
#include "store/merge.h"
#include "store/store.h"

/* Counts the members of the spec in the parts, and checks the parts' shapes, because rows of
 * another length must not be copied. */
static esc_status count_members(esc_merge *m) {
  esc_status status = ESC_OK;
  esc_spec *spec = NULL;
  const char *text = esc_results_attribute_text(m->part[0], "spec");
  ESC_TRY(esc_spec_parse(m->name[0], text, strlen(text), 0, NULL, &spec));
  m->members = esc_spec_count_members(spec);
  for (int i = 0; i < m->parts; i++)
    ESC_TRY(esc_results_check_layers(m->name[i], m->part[i], &spec->problem,
                                     esc_spec_layers_max(spec)));
done:
  esc_spec_free(spec);
  return status;
}

static esc_status join_parts(int parts, const esc_results *const *part, const char *const *name,
                             esc_results **out) {
  esc_status status = ESC_OK;
  esc_merge m = {.parts = parts};
  if (parts < 1) return ESC_FAIL(ESC_BAD_INPUT, "merge: needs at least one shard's result");
  ESC_TRY_ALLOCATE(m.part = calloc((size_t)parts, sizeof *m.part));
  ESC_TRY_ALLOCATE(m.name = calloc((size_t)parts, sizeof *m.name));
  memcpy(m.part, part, (size_t)parts * sizeof *part);
  memcpy(m.name, name, (size_t)parts * sizeof *name);
  ESC_TRY(esc_merge_sort(&m));
  ESC_TRY(count_members(&m));
  ESC_TRY(esc_merge_join(&m));
  *out = m.merged;
done:
  free(m.part);
  free(m.name);
  return status;
}

esc_status esc_results_merge(int parts, const esc_results *const *part, const char *const *name,
                             esc_results **out) {
  const esc_library_scope scope = esc_library_enter();
  const esc_status status = join_parts(parts, part, name, out);
  esc_library_leave(scope);
  return status;
}

static void summarise(const esc_results *whole, int shards, esc_merge_summary *summary) {
  const esc_status_counts n = esc_results_count_statuses(whole);
  *summary = (esc_merge_summary){.members = whole->members,
                                 .shards = shards,
                                 .escaped = n.escaped,
                                 .censored = n.censored,
                                 .diverged = n.diverged};
}

static esc_status read_parts(const esc_merge_request *r, esc_results **part) {
  esc_status status = ESC_OK;
  for (int i = 0; i < r->files; i++) ESC_TRY(esc_store_read(r->file[i], &part[i]));
done:
  return status;
}

/* Merges the parts and writes the result under the lock of the output, with symbolic links
 * resolved. */
static esc_status publish(const esc_merge_request *r, esc_results *const *part,
                          const esc_lock *held, esc_merge_summary *summary) {
  esc_status status = ESC_OK;
  esc_results *whole = NULL;
  esc_lock *lock = NULL;
  char output[PATH_MAX];
  ESC_TRY(esc_io_check_writable(r->output));
  ESC_TRY(esc_io_resolve(r->output, output, sizeof output));
  const esc_lock_request request = {
      .output = output, .inherited = -1, .log = esc_log, .held = held};
  ESC_TRY(esc_lock_acquire(&request, &lock));
  if (!r->force && esc_io_exists(r->output)) {
    status = ESC_FAIL(ESC_BAD_INPUT, "%s: already exists; replace it with --force", r->output);
    goto done;
  }
  ESC_TRY(join_parts(r->files, (const esc_results *const *)part, r->file, &whole));
  ESC_TRY(esc_store_write(r->output, whole));
  summarise(whole, r->files, summary);
done:
  esc_lock_release(lock);
  esc_results_free(whole);
  return status;
}

esc_status esc_files_merge_held(const esc_merge_request *r, const esc_lock *held,
                                esc_merge_summary *summary) {
  esc_status status = ESC_OK;
  const esc_library_scope scope = esc_library_enter();
  esc_results **part = calloc((size_t)r->files + 1, sizeof *part);
  ESC_TRY_ALLOCATE(part);
  ESC_TRY(read_parts(r, part));
  ESC_TRY(publish(r, part, held, summary));
done:
  for (int i = 0; part && i < r->files; i++) esc_results_free(part[i]);
  free(part);
  esc_library_leave(scope);
  return status;
}

esc_status esc_files_merge(const esc_merge_request *r, esc_merge_summary *summary) {
  return esc_files_merge_held(r, NULL, summary);
}
