/* SPDX-License-Identifier: Apache-2.0 */
/* escapement compare: two result files of one sweep, variable by variable. */
#include "escapement/compare.h"

#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/options.h"
#include "cli/output.h"

typedef struct files {
  esc_results *const *result;
  const char *const *name;
} files;

/* An attribute, or "unknown". */
static const char *attribute_text(const esc_results *r, const char *attribute) {
  const char *text = esc_results_attribute_text(r, attribute);
  return text ? text : "unknown";
}

static void print_title(const files *f, const esc_comparison *c) {
  printf("%lld members, %d thresholds, %d layers\n", (long long)c->members, c->thresholds,
         c->layers);
  for (int i = 0; i < 2; i++)
    printf("  %s: backend %s, precision %s\n", f->name[i], attribute_text(f->result[i], "backend"),
           attribute_text(f->result[i], "precision"));
  printf("%-26s %9s %9s  %11s  %11s\n", "variable", "values", "equal", "largest", "relative");
}

static void print_row(const esc_comparison_row *d) {
  printf("%-26s %9lld %9lld", d->name, (long long)d->values, (long long)d->equal);
  if (d->equal + d->censored_in_one == d->values)
    printf("  %11s  %11s", "-", "-");
  else
    printf("  %11.3g  %11.3g", d->absolute, d->relative);
  if (d->censored_in_one) printf("  %lld censored in one file only", (long long)d->censored_in_one);
  putchar('\n');
}

/* `named`: with the key "name". */
static json_t *row_to_json(const esc_comparison_row *d, bool named) {
  json_t *row = json_object();
  if (named) json_object_set_new(row, "name", json_string(d->name));
  json_object_set_new(row, "values", json_integer(d->values));
  json_object_set_new(row, "equal", json_integer(d->equal));
  json_object_set_new(row, "largest_absolute", esc_json_number(d->absolute));
  json_object_set_new(row, "largest_relative", esc_json_number(d->relative));
  return row;
}

static void add_to_json(json_t *json, const esc_comparison_row *d) {
  json_array_append_new(json_object_get(json, "variables"), row_to_json(d, true));
  if (strcmp(d->name, "escape_step")) return;
  json_t *steps = row_to_json(d, false);
  json_object_set_new(steps, "censored_in_one", json_integer(d->censored_in_one));
  json_object_set_new(json, "escape_step", steps);
}

static json_t *file_to_json(const char *file, const esc_results *r) {
  json_t *json = json_object();
  json_object_set_new(json, "file", esc_json_text(file));
  json_object_set_new(json, "backend", esc_json_text(attribute_text(r, "backend")));
  json_object_set_new(json, "precision", esc_json_text(attribute_text(r, "precision")));
  return json;
}

static esc_status print_json(const files *f, const esc_comparison *c) {
  json_t *json = json_object();
  json_object_set_new(json, "variables", json_array());
  for (int i = 0; i < c->rows; i++) add_to_json(json, &c->row[i]);
  json_object_set_new(json, "first", file_to_json(f->name[0], f->result[0]));
  json_object_set_new(json, "second", file_to_json(f->name[1], f->result[1]));
  json_object_set_new(json, "members", json_integer(c->members));
  json_object_set_new(json, "different", json_integer(c->different));
  return esc_json_print(json);
}

static void print_text(const files *f, const esc_comparison *c) {
  print_title(f, c);
  for (int i = 0; i < c->rows; i++) print_row(&c->row[i]);
}

esc_status esc_command_compare(int argc, char **argv) {
  esc_status status = ESC_OK;
  bool json = false, exact = false, help = false;
  int first = 0, tables = 0;
  esc_results **table = NULL;
  esc_comparison c = {0};
  const esc_option options[] = {
      {"exact", 0, NULL, "exit status 1 if any variable differs in a bit", .flag = &exact},
      {"json", 0, NULL, "print one JSON object", .flag = &json},
      {0},
  };
  const esc_command command = {"compare A.h5 B.h5",
                               "Compares two results of one sweep: for each variable, the number "
                               "of bitwise\nequal values and the largest differences.",
                               .options = options, .suffixes = ESC_RESULT_SUFFIXES};
  ESC_TRY(esc_options_parse(&command, argc, argv, &first, &help));
  if (help) return ESC_OK;
  if (argc - first != 2)
    return ESC_FAIL(ESC_BAD_INPUT, "compare: two result files are required, %d given",
                    argc - first);
  ESC_TRY(esc_tables_read(argc, argv, first, &tables, &table));
  const files f = {.result = table, .name = (const char *const *)(argv + first)};
  ESC_TRY(esc_results_compare(table[0], table[1], f.name, &c));
  if (json)
    ESC_TRY(print_json(&f, &c));
  else
    print_text(&f, &c);
  if (exact && c.different)
    status = ESC_FAIL(ESC_CHECK_FAILED, "%d of %d variables differ", c.different, c.rows);
done:
  esc_comparison_free(&c);
  esc_tables_free(tables, table);
  return status;
}
