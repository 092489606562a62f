/* SPDX-License-Identifier: Apache-2.0 */
/* Result files named on the command line. */
#include <stdlib.h>

#include "base/file_kind.h"
#include "base/io.h"
#include "cli/cli.h"
#include "store/store.h"

esc_status esc_table_read(const char *path, esc_results **table) {
  bool unverified = false;
  const esc_status status = esc_store_read_any(path, &unverified, table);
  if (status == ESC_OK && unverified)
    esc_log("warning: %s: the checksum is missing or wrong, so the numbers are not verified", path);
  return status;
}

esc_status esc_tables_read(int argc, char **argv, int first, int *tables, esc_results ***table) {
  esc_status status = ESC_OK;
  *tables = 0;
  *table = NULL;
  if (first >= argc) return ESC_FAIL(ESC_BAD_INPUT, "%s: needs a result file (OUT.h5)", argv[0]);
  ESC_TRY_ALLOCATE(*table = calloc((size_t)(argc - first), sizeof(esc_results *)));
  for (int i = first; i < argc; i++) {
    ESC_TRY(esc_table_read(argv[i], &(*table)[*tables]));
    ++*tables;
  }
done:
  return status;
}

json_t *esc_unfinished_to_json(const esc_unfinished *u) {
  static const char *const basis[] = {[ESC_BASIS_COMPLETE] = "complete",
                                      [ESC_BASIS_CHECKPOINT] = "checkpoint",
                                      [ESC_BASIS_SCALES] = "complete scales"};
  char text[5000];
  json_t *object = json_object();
  esc_unfinished_print(u, text, sizeof text);
  json_object_set_new(object, "file", esc_json_text(u->output));
  json_object_set_new(object, "members", json_integer(u->members));
  json_object_set_new(object, "finished", json_integer(esc_unfinished_count_finished(u)));
  json_object_set_new(object, "escaped", json_integer(u->count.escaped));
  json_object_set_new(object, "censored", json_integer(u->count.censored));
  json_object_set_new(object, "diverged", json_integer(u->count.diverged));
  json_object_set_new(object, "running", json_integer(u->count.running));
  json_object_set_new(object, "waiting", json_integer(u->count.waiting));
  json_object_set_new(object, "active", json_boolean(u->lock.is_held));
  json_object_set_new(object, "basis", json_string(basis[u->basis]));
  json_object_set_new(object, "text", esc_json_text(text));
  return object;
}

/* Whether `path` names an unfinished run: a journal or checkpoint, or a result that is not there
 * yet. */
static bool is_unfinished(const char *path, char *output, size_t size) {
  const esc_file_kind kind = esc_file_kind_at(path);
  const bool sidecar = kind == ESC_FILE_JOURNAL || kind == ESC_FILE_CHECKPOINT;
  return (sidecar || !esc_io_exists(path)) && esc_unfinished_exists(path, output, size);
}

esc_status esc_table_refuse_grid(const char *path) {
  char output[4096], point[4200];
  int begun = 0;
  if (esc_io_exists(path)) return ESC_OK;
  (void)esc_unfinished_exists(path, output, sizeof output);
  const bool trains = esc_unfinished_find_point(output, point, sizeof point, &begun);
  if (!begun) return ESC_OK;
  return ESC_FAIL(ESC_BAD_INPUT,
                  "%s: a grid that is not finished: %d %s; give the file of one point, %s%s; the "
                  "end of the run joins them",
                  output, begun, begun > 1 ? "points have files" : "point has files",
                  trains ? "such as " : "OUT.h5.point-ID beside it", trains ? point : "");
}

static esc_status read_unfinished(const char *output, esc_results **table, json_t *list) {
  esc_status status = ESC_OK;
  esc_unfinished u = {0};
  ESC_TRY(esc_unfinished_read(output, NULL, &u));
  if (u.damaged_bytes)
    esc_log("warning: %s: the journal has %lld damaged bytes; their members count as waiting",
            output, (long long)u.damaged_bytes);
  json_array_append_new(list, esc_unfinished_to_json(&u));
  *table = u.results;
  u.results = NULL;
done:
  esc_unfinished_free(&u);
  return status;
}

esc_status esc_tables_read_unfinished(int argc, char **argv, int first, int *tables,
                                      esc_results ***table, json_t **unfinished) {
  esc_status status = ESC_OK;
  char output[4096];
  *tables = 0;
  *table = NULL;
  if (first >= argc) return ESC_FAIL(ESC_BAD_INPUT, "%s: needs a result file (OUT.h5)", argv[0]);
  ESC_TRY_ALLOCATE(*unfinished = json_array());
  ESC_TRY_ALLOCATE(*table = calloc((size_t)(argc - first), sizeof(esc_results *)));
  for (int i = first; i < argc; i++) {
    esc_results **const to = &(*table)[*tables];
    ESC_TRY(esc_table_refuse_grid(argv[i]));
    if (is_unfinished(argv[i], output, sizeof output))
      ESC_TRY(read_unfinished(output, to, *unfinished));
    else
      ESC_TRY(esc_table_read(argv[i], to));
    ++*tables;
  }
done:
  return status;
}

void esc_tables_free(int tables, esc_results **table) {
  for (int i = 0; i < tables; i++) esc_results_free(table[i]);
  free(table);
}
