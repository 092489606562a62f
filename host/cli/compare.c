/* escapement compare: two result files of one sweep, variable by variable. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/options.h"
#include "cli/output.h"
#include "escapement/internal/observe.h"

/* What a variable's values of both files have in common. Largest differences are
 * NaN as soon as one of them is. */
typedef struct difference {
  int64_t values, equal;     /* equal: bit for bit */
  double absolute, relative; /* the largest; relative to the larger value */
  int64_t one_side;          /* escape_step alone: censored in one file, not in the other */
} difference;

typedef struct comparison {
  const esc_results *a, *b;
  const char *file_a, *file_b;
} comparison;

/* An attribute, for those who read. */
static const char *said(const esc_results *r, const char *attribute) {
  const char *text = esc_results_get(r, attribute);
  return text ? text : "unknown";
}

static esc_status refuse(const comparison *c, const char *what, const char *in_a,
                         const char *in_b) {
  return ESC_FAIL(ESC_BAD_INPUT,
                  "%.300s and %.300s hold different sweeps: %s is %s in the first and %s in the "
                  "second",
                  c->file_a, c->file_b, what, in_a, in_b);
}

static esc_status same_number(const comparison *c, const char *what, int64_t a, int64_t b) {
  char in_a[32], in_b[32];
  if (a == b) return ESC_OK;
  snprintf(in_a, sizeof in_a, "%" PRId64, a);
  snprintf(in_b, sizeof in_b, "%" PRId64, b);
  return refuse(c, what, in_a, in_b);
}

static esc_status same_real(const comparison *c, const char *what, double a, double b) {
  char in_a[32], in_b[32];
  if (a == b) return ESC_OK;
  snprintf(in_a, sizeof in_a, "%.17g", a);
  snprintf(in_b, sizeof in_b, "%.17g", b);
  return refuse(c, what, in_a, in_b);
}

/* Row i is the same network in both files. */
static esc_status same_member(const comparison *c, int64_t i) {
  esc_status status = ESC_OK;
  char what[64];
  const long long member = (long long)c->a->member[i];
  snprintf(what, sizeof what, "the member of row %lld", (long long)i);
  ESC_TRY(same_number(c, what, c->a->member[i], c->b->member[i]));
  snprintf(what, sizeof what, "the seed of member %lld", member);
  ESC_TRY(same_number(c, what, c->a->seed[i], c->b->seed[i]));
  snprintf(what, sizeof what, "the bottleneck of member %lld", member);
  ESC_TRY(same_number(c, what, c->a->bottleneck[i], c->b->bottleneck[i]));
  snprintf(what, sizeof what, "the scale of member %lld", member);
  ESC_TRY(same_real(c, what, c->a->scale[i], c->b->scale[i]));
done:
  return status;
}

static esc_status same_sweep(const comparison *c) {
  esc_status status = ESC_OK;
  ESC_TRY(same_number(c, "the number of members", c->a->members, c->b->members));
  ESC_TRY(same_number(c, "the number of thresholds", c->a->thresholds, c->b->thresholds));
  ESC_TRY(same_number(c, "the number of layers", c->a->layers, c->b->layers));
  for (int i = 0; i < c->a->thresholds; i++)
    ESC_TRY(same_real(c, "a threshold", c->a->threshold[i], c->b->threshold[i]));
  ESC_TRY(same_number(c, "the number of snapshots", c->a->snapshots, c->b->snapshots));
  for (int64_t k = 0; k < c->a->snapshots; k++)
    ESC_TRY(same_number(c, "a snapshot", c->a->snapshot_step[k], c->b->snapshot_step[k]));
  for (int64_t i = 0; i < c->a->members; i++) ESC_TRY(same_member(c, i));
done:
  return status;
}

/* Element i of a variable as a number; steps and counts are below 2^53. */
static double value_at(const void *data, esc_type type, int64_t i) {
  switch (type) {
    case ESC_TYPE_INT32: return ((const int32_t *)data)[i];
    case ESC_TYPE_INT64: return (double)((const int64_t *)data)[i];
    default: return ((const double *)data)[i];
  }
}

/* The larger one; a NaN is larger than any number, so that it is seen. */
static double larger(double a, double b) { return isnan(a) || a > b ? a : b; }

static void add_value(difference *d, double a, double b) {
  const double apart = fabs(a - b), size = larger(fabs(a), fabs(b));
  d->absolute = larger(apart, d->absolute);
  d->relative = larger(apart == 0 ? 0 : apart / size, d->relative);
}

/* Snapshots of two NaN are equal: both members had finished. */
static difference compare_observable(const comparison *c, int k, bool end) {
  const int length = esc_observable_length(c->a->layers, esc_observables[k].axis);
  difference d = {.values = c->a->members * (end ? 1 : c->a->snapshots) * length};
  const double *a = end ? c->a->observable_end[k] : c->a->observable[k];
  const double *b = end ? c->b->observable_end[k] : c->b->observable[k];
  for (int64_t i = 0; i < d.values; i++)
    if (!memcmp(&a[i], &b[i], sizeof *a) || (isnan(a[i]) && isnan(b[i])))
      d.equal++;
    else
      add_value(&d, a[i], b[i]);
  return d;
}

static difference compare_variable(const comparison *c, const esc_result_variable *v) {
  difference d = {.values = c->a->members * esc_axis_length(c->a, v->axis)};
  const bool steps = !strcmp(v->name, "escape_step"); /* -1 is no step, so not to be subtracted */
  const char *data_a = esc_result_data(c->a, v), *data_b = esc_result_data(c->b, v);
  const size_t size = esc_type_size(v->type);
  for (int64_t i = 0; i < d.values; i++) {
    const double a = value_at(data_a, v->type, i), b = value_at(data_b, v->type, i);
    if (!memcmp(data_a + (size_t)i * size, data_b + (size_t)i * size, size))
      d.equal++;
    else if (steps && (a < 0) != (b < 0))
      d.one_side++;
    else
      add_value(&d, a, b);
  }
  return d;
}

static void print_title(const comparison *c) {
  const esc_results *const file[2] = {c->a, c->b};
  printf("%lld members, %d thresholds, %d layers\n", (long long)c->a->members, c->a->thresholds,
         c->a->layers);
  for (int i = 0; i < 2; i++)
    printf("  %s: backend %s, precision %s\n", i ? c->file_b : c->file_a, said(file[i], "backend"),
           said(file[i], "precision"));
  printf("%-26s %9s %9s  %11s  %11s\n", "variable", "values", "equal", "largest", "relative");
}

static void print_row(const char *name, const difference *d) {
  printf("%-26s %9lld %9lld", name, (long long)d->values, (long long)d->equal);
  if (d->equal + d->one_side == d->values)
    printf("  %11s  %11s", "-", "-");
  else
    printf("  %11.3g  %11.3g", d->absolute, d->relative);
  if (d->one_side) printf("  %lld censored in one file only", (long long)d->one_side);
  putchar('\n');
}

static json_t *row_to_json(const char *name, const difference *d) {
  json_t *row = json_object();
  if (name) json_object_set_new(row, "name", json_string(name));
  json_object_set_new(row, "values", json_integer(d->values));
  json_object_set_new(row, "equal", json_integer(d->equal));
  json_object_set_new(row, "largest_absolute", esc_json_number(d->absolute));
  json_object_set_new(row, "largest_relative", esc_json_number(d->relative));
  return row;
}

static void add_to_json(json_t *json, const char *name, const difference *d) {
  json_array_append_new(json_object_get(json, "variables"), row_to_json(name, d));
  if (strcmp(name, "escape_step")) return;
  json_t *steps = row_to_json(NULL, d);
  json_object_set_new(steps, "censored_in_one", json_integer(d->one_side));
  json_object_set_new(json, "escape_step", steps);
}

/* Prints a row, or adds it to `json` where there is one; 1 if something differs. */
static int report(json_t *json, const char *name, const difference *d) {
  if (json)
    add_to_json(json, name, d);
  else
    print_row(name, d);
  return d->equal < d->values;
}

/* The whole table; counts what differs. */
static int compare_all(const comparison *c, json_t *json) {
  int different = 0;
  if (!json) print_title(c);
  for (int i = 0; i < esc_result_variable_count; i++) {
    const difference d = compare_variable(c, &esc_result_variables[i]);
    different += report(json, esc_result_variables[i].name, &d);
  }
  for (int k = 0; k < 2 * ESC_OBSERVABLES && c->a->snapshots; k++) {
    const esc_observable *o = &esc_observables[k % ESC_OBSERVABLES];
    const difference d = compare_observable(c, k % ESC_OBSERVABLES, k >= ESC_OBSERVABLES);
    different += report(json, k < ESC_OBSERVABLES ? o->name : o->end_name, &d);
  }
  return different;
}

static json_t *file_to_json(const char *file, const esc_results *r) {
  json_t *json = json_object();
  json_object_set_new(json, "file", esc_json_text(file));
  json_object_set_new(json, "backend", esc_json_text(said(r, "backend")));
  json_object_set_new(json, "precision", esc_json_text(said(r, "precision")));
  return json;
}

static esc_status print_comparison(const comparison *c, bool as_json, bool exact) {
  esc_status status = ESC_OK;
  json_t *json = as_json ? json_object() : NULL;
  if (json) json_object_set_new(json, "variables", json_array());
  const int different = compare_all(c, json);
  if (json) {
    json_object_set_new(json, "first", file_to_json(c->file_a, c->a));
    json_object_set_new(json, "second", file_to_json(c->file_b, c->b));
    json_object_set_new(json, "members", json_integer(c->a->members));
    json_object_set_new(json, "different", json_integer(different));
    ESC_TRY(esc_json_print(json));
  }
  if (exact && different)
    status = ESC_FAIL(ESC_CHECK_FAILED, "%d of %d variables differ", different,
                      esc_result_variable_count + (c->a->snapshots ? 2 * ESC_OBSERVABLES : 0));
done:
  return status;
}

esc_status esc_verb_compare(int argc, char **argv) {
  esc_status status = ESC_OK;
  bool json = false, exact = false, help = false;
  int first = 0, tables = 0;
  esc_results **table = NULL;
  const esc_option options[] = {
      {"exact", 0, NULL, "exit status 1 where any variable differs in a bit", .flag = &exact},
      {"json", 0, NULL, "one JSON object on stdout", .flag = &json},
      {0},
  };
  const esc_command command = {"compare A.h5 B.h5",
                               "Two results of one sweep: how many values are the same bits, and\n"
                               "the largest differences of the others.",
                               .options = options, .suffixes = ESC_RESULT_SUFFIXES};
  ESC_TRY(esc_options_parse(&command, argc, argv, &first, &help));
  if (help) return ESC_OK;
  if (argc - first != 2) return ESC_FAIL(ESC_BAD_INPUT, "compare: takes two result files");
  ESC_TRY(esc_tables_read(argc, argv, first, &tables, &table));
  const comparison c = {
      .a = table[0], .b = table[1], .file_a = argv[first], .file_b = argv[first + 1]};
  ESC_TRY(same_sweep(&c));
  ESC_TRY(print_comparison(&c, json, exact));
done:
  esc_tables_free(tables, table);
  return status;
}
