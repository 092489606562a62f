/* SPDX-License-Identifier: Apache-2.0 */
/* What the verbs share: JSON, result tables, signals, notes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "cli/cli.h"
#include "store/store.h"

esc_status esc_json_print(json_t *object) {
  esc_status status = ESC_OK;
  char *text = object ? json_dumps(object, JSON_INDENT(2) | JSON_REAL_PRECISION(17)) : NULL;
  char *safe = NULL;
  ESC_TRY_ALLOCATE(text);
  ESC_TRY_ALLOCATE(safe = esc_text_escape_json(text));
  printf("%s\n", safe);
done:
  free(text);
  free(safe);
  json_decref(object);
  return status;
}

esc_status esc_tables_read(int argc, char **argv, int first, int *tables, esc_results ***table) {
  esc_status status = ESC_OK;
  *tables = 0;
  *table = NULL;
  if (first >= argc) return ESC_FAIL(ESC_BAD_INPUT, "%s: needs a result file (OUT.h5)", argv[0]);
  ESC_TRY_ALLOCATE(*table = calloc((size_t)(argc - first), sizeof(esc_results *)));
  for (int i = first; i < argc; i++) {
    bool foreign = false;
    ESC_TRY(esc_store_read_any(argv[i], &foreign, &(*table)[*tables]));
    if (foreign)
      esc_log(
          "warning: %s is not as escapement wrote it (its seal is missing or broken); its "
          "numbers are taken as they are",
          argv[i]);
    ++*tables;
  }
done:
  return status;
}

void esc_tables_free(int tables, esc_results **table) {
  for (int i = 0; i < tables; i++) esc_results_free(table[i]);
  free(table);
}

static void put_line(FILE *out, const char *text, size_t length) {
  fputs("escapement: ", out);
  esc_text_print_escaped(out, text, length, false);
  fputc('\n', out);
}

/* The line as one write, because several processes of a run share standard error; in pieces where
 * there is no memory for it. */
static void put_line_whole(const char *text, size_t length) {
  char *line = NULL;
  size_t size = 0;
  FILE *whole = open_memstream(&line, &size);
  if (whole) put_line(whole, text, length);
  if (whole && fclose(whole) == 0)
    fwrite(line, 1, size, stderr);
  else
    put_line(stderr, text, length);
  free(line);
}

void esc_log_print(const char *text) { put_line_whole(text, strlen(text)); }

static void print_message(void *context, const char *text) {
  (void)context;
  esc_log_print(text);
}

void esc_log_to_stderr(void) { esc_log_redirect((esc_log_receiver){print_message, NULL}); }
