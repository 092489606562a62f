/* SPDX-License-Identifier: Apache-2.0 */
/* Result files named on the command line. */
#include <stdlib.h>

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

void esc_tables_free(int tables, esc_results **table) {
  for (int i = 0; i < tables; i++) esc_results_free(table[i]);
  free(table);
}
