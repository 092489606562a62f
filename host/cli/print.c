/* SPDX-License-Identifier: Apache-2.0 */
/* Output of the commands: JSON on standard output, messages on standard error. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "cli/cli.h"

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

static void print_line(FILE *out, const char *text, size_t length) {
  fputs("escapement: ", out);
  esc_text_print_escaped(out, text, length, false);
  fputc('\n', out);
}

/* One write per line, because several processes of a run share standard error; several writes if
 * the memory for the line is missing. */
static void write_line(const char *text, size_t length) {
  char *line = NULL;
  size_t size = 0;
  FILE *whole = open_memstream(&line, &size);
  if (whole) print_line(whole, text, length);
  if (whole && fclose(whole) == 0)
    fwrite(line, 1, size, stderr);
  else
    print_line(stderr, text, length);
  free(line);
}

void esc_log_print(const char *text) { write_line(text, strlen(text)); }

static void print_message(void *context, const char *text) {
  (void)context;
  esc_log_print(text);
}

void esc_log_to_stderr(void) { esc_log_redirect((esc_log_receiver){print_message, NULL}); }
