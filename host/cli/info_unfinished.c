/* SPDX-License-Identifier: Apache-2.0 */
/* Contents of an unfinished run, for `info OUT.h5` where there is no result yet. */
#include <stdio.h>
#include <stdlib.h>

#include "cli/cli.h"
#include "cli/info_progress.h"

static esc_status print_json(const esc_unfinished *u, const char *spec) {
  json_t *object = esc_unfinished_to_json(u);
  json_object_set_new(object, "kind", json_string("unfinished run"));
  json_object_set_new(object, "damaged_bytes", json_integer(u->damaged_bytes));
  json_object_set(object, "segments", u->segments);
  json_object_set_new(object, "spec", esc_json_text(spec));
  return esc_json_print(object);
}

static void print_text(const esc_unfinished *u, const char *spec) {
  char text[5000], whole[4096];
  const bool is_part = esc_unfinished_whole(u->output, whole, sizeof whole);
  esc_unfinished_print(u, text, sizeof text);
  printf("%s\n", text);
  if (u->damaged_bytes)
    printf("damaged: %lld bytes of its journals; the rest is intact\n",
           (long long)u->damaged_bytes);
  if (json_array_size(u->segments)) printf("\nsegments:\n");
  esc_info_print_segments(u->segments);
  if (u->lock.is_held)
    printf("\nwatch it: escapement watch %s\n", u->output);
  else
    printf("\ncontinue with: escapement run SPEC -o %s --resume%s\n", whole,
           u->parts || is_part ? " --devices LIST" : "");
  printf("\nspec:\n%s", spec);
}

esc_status esc_info_unfinished(const char *output, bool json) {
  esc_status status = ESC_OK;
  esc_unfinished u = {0};
  char *spec = NULL;
  ESC_TRY(esc_unfinished_read(output, NULL, &u));
  ESC_TRY_ALLOCATE(spec = esc_spec_resolved(u.spec));
  if (json)
    ESC_TRY(print_json(&u, spec));
  else
    print_text(&u, spec);
done:
  free(spec);
  esc_unfinished_free(&u);
  return status;
}
