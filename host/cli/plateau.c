/* escapement plateau: the bootstrap interval of every network, as measured. */
#include "escapement/internal/plateau.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "cli/cli.h"
#include "cli/options.h"
#include "cli/plateau_rows.h"
#include "escapement/internal/activation.h"
#include "escapement/internal/number.h"
#include "escapement/internal/theory.h"
#include "spec/spec.h"
#include "store/store.h"

static const char default_window[] = "0.3";

/* Of a member in the JSON, beside its exponents. */
#define MEMBER_NUMBERS(X)  \
  X(m_start)               \
  X(m_end)                 \
  X(drift)                 \
  X(drift_over_m2)         \
  X(self_over_drive)       \
  X(self_over_mr)          \
  X(orthogonal_over_drive) \
  X(growth) X(exit_bound) X(chain_low) X(chain_high) X(gain_low) X(gain_high) X(output_over_gain)

typedef struct report {
  const char *file;
  esc_spec *spec;
  esc_plateau_table table;
} report;

static esc_status read_window(const char *text, double *window) {
  const char *fault = esc_number_parse(text, strlen(text), window);
  if (!fault && !(*window > 0)) fault = "must be above 0";
  if (!fault) return ESC_OK;
  return ESC_FAIL(ESC_BAD_INPUT, "--window: '%s' %s", esc_show(text, strlen(text)).text, fault);
}

typedef struct rest {
  const esc_activation *activation;
  double c1;
} rest;

/* E[p^2 g^2], E[p g^3] and E[p^2] of the odd part p of sigma(g) - c_1 g. */
static void moments(void *context, double g, double out[3]) {
  const rest *r = context;
  const double plus = esc_activate_f64(r->activation, g).value;
  const double minus = esc_activate_f64(r->activation, -g).value;
  const double p = (plus - minus) / 2 - r->c1 * g;
  out[0] = p * p * g * g;
  out[1] = p * g * g * g;
  out[2] = p * p;
}

/* Standard deviation of the T_perp term over the drive at the start, where both are those of
 * the linear path: of the mean of T_perp (v.x) over |a| c_1, for M/2 pairs x, -x whose second
 * moment is exact (escapement/internal/observe.h), which takes out the part along (v.x)^2 - 1. With
 * several modes the larger of two bounds. */
static esc_status sampling_floor(const esc_spec *spec, double c1, double *floor) {
  esc_status status = ESC_OK;
  const esc_activation *a = &spec->problem.activation;
  rest r = {a, c1};
  double moment[3], error;
  *floor = 0;
  ESC_TRY(esc_gaussian_expectation(
      &(esc_gaussian_integral){moments, &r, 3, esc_activation_has_corner(a)}, 1e-8, moment,
      &error));
  const double variance = fmax(moment[0] - moment[1] * moment[1] / 2, moment[2]);
  *floor = sqrt(fmax(variance, 0) / (spec->record.samples / 2.0)) / fabs(c1);
done:
  return status;
}

static esc_status set_theory(report *r) {
  esc_status status = ESC_OK;
  esc_classification c;
  ESC_TRY(esc_classify(&r->spec->problem.activation, &c));
  r->table.rules.order = c.q;
  r->table.squared = r->spec->problem.loss == ESC_LOSS_SQUARED;
  r->table.odd = c.class_ == ESC_CLASS_B;
  ESC_TRY(sampling_floor(r->spec, c.c1, &r->table.rules.floor));
  r->table.rules.rate = r->spec->problem.rate;
done:
  return status;
}

static esc_status read_file(report *r) {
  esc_status status = ESC_OK;
  esc_plateau_table *t = &r->table;
  ESC_TRY(esc_store_read(r->file, &t->results));
  const char *spec = esc_results_get(t->results, "spec");
  if (!t->results->snapshots || !spec) {
    status = ESC_FAIL(ESC_BAD_INPUT,
                      "%s: holds no snapshots; run the sweep with record.every or "
                      "record.per_decade",
                      r->file);
    goto done;
  }
  ESC_TRY(esc_spec_parse(r->file, spec, strlen(spec), 0, NULL, &r->spec));
  ESC_TRY(esc_results_check(r->file, t->results, &r->spec->problem));
  ESC_TRY(set_theory(r));
  const size_t rows = (size_t)t->results->members + 1;
  ESC_TRY_ALLOCATE(t->plateau = calloc(rows, sizeof *t->plateau));
  for (int k = 0; k < 3; k++) ESC_TRY_ALLOCATE(t->work[k] = calloc(rows, sizeof *t->work[k]));
  ESC_TRY_ALLOCATE(t->index = calloc(rows, sizeof *t->index));
  for (int64_t i = 0; i < t->results->members; i++)
    esc_plateau_measure(t->results, i, &t->rules, &t->plateau[i]);
done:
  return status;
}

static bool same_group(const esc_results *t, int64_t i, int64_t j) {
  return t->group[i] == t->group[j];
}

static bool same_block(const esc_results *t, int64_t i, int64_t j) {
  return same_group(t, i, j) && t->scale[i] == t->scale[j];
}

/* First member behind those that are the same as member `first`. */
static int64_t end_of(const esc_results *t, int64_t first,
                      bool (*same)(const esc_results *, int64_t, int64_t)) {
  int64_t end = first + 1;
  while (end < t->members && same(t, first, end)) end++;
  return end;
}

/* ---- JSON ---- */

static json_t *range_to_json(double low, double high) {
  if (!isfinite(low) || !isfinite(high)) return json_null();
  json_t *range = json_array();
  json_array_append_new(range, esc_json_number(low));
  json_array_append_new(range, esc_json_number(high));
  return range;
}

static void add_exponents(const esc_plateau_table *t, int64_t i, json_t *json) {
  json_t *errors = json_object(), *ranges = json_object(), *verdicts = json_object();
  for (int k = 0; k < ESC_PLATEAU_EXPONENTS; k++) {
    const char *name = esc_plateau_exponent_name[k];
    const esc_exponent *e = esc_plateau_exponent(&t->plateau[i], k);
    const bool measured = e->why == ESC_MEASURED;
    char verdict[160];
    esc_plateau_member_verdict(t, i, k, verdict, sizeof verdict);
    json_object_set_new(json, name, esc_json_number(e->value));
    json_object_set_new(errors, name, esc_json_number(e->error));
    json_object_set_new(ranges, name, measured ? range_to_json(e->low, e->high) : json_null());
    json_object_set_new(verdicts, name, json_string(verdict));
  }
  json_object_set_new(json, "errors", errors);
  json_object_set_new(json, "ranges", ranges);
  json_object_set_new(json, "verdicts", verdicts);
}

static json_t *member_to_json(const esc_plateau_table *t, int64_t i) {
  const esc_plateau *p = &t->plateau[i];
  json_t *json = json_object();
  json_object_set_new(json, "member", json_integer(t->results->member[i]));
  json_object_set_new(json, "seed", json_integer(t->results->seed[i]));
  json_object_set_new(json, "bottleneck", json_integer(t->results->bottleneck[i]));
  json_object_set_new(json, "scale", json_real(t->results->scale[i]));
  json_object_set_new(json, "signal_initial", esc_json_number(t->results->signal_initial[i]));
  json_object_set_new(json, "lost_updates", esc_json_number(t->results->lost_updates[i]));
  json_object_set_new(json, "snapshots", json_integer(p->snapshots));
  json_object_set_new(json, "exit_step", json_integer(p->exit_step));
#define NUMBER(field) json_object_set_new(json, #field, esc_json_number(p->field));
  MEMBER_NUMBERS(NUMBER)
#undef NUMBER
  add_exponents(t, i, json);
  return json;
}

static json_t *row_to_json(const esc_plateau_row *row) {
  json_t *json = json_object();
  json_object_set_new(json, "name", json_string(row->name));
  json_object_set_new(json, "theory", json_string(row->theory));
  json_object_set_new(json, "predicted", esc_json_number(row->predicted));
  json_object_set_new(json, "networks", json_integer(row->networks));
  json_object_set_new(json, "measured", json_integer(row->measured));
  json_object_set_new(json, "least", esc_json_number(row->least));
  json_object_set_new(json, "median", esc_json_number(row->median));
  json_object_set_new(json, "most", esc_json_number(row->most));
  json_object_set_new(json, "value", esc_json_number(row->estimate.value));
  json_object_set_new(json, "error", esc_json_number(row->estimate.error));
  json_object_set_new(json, "lower", esc_json_number(row->estimate.lower));
  json_object_set_new(json, "upper", esc_json_number(row->estimate.upper));
  json_object_set_new(json, "range", range_to_json(row->low, row->high));
  json_object_set_new(json, "verdict", json_string(row->verdict));
  return json;
}

static json_t *rows_to_json(int rows, const esc_plateau_row *row) {
  json_t *json = json_array();
  for (int k = 0; k < rows; k++) json_array_append_new(json, row_to_json(&row[k]));
  return json;
}

static json_t *set_to_json(const esc_results *t, int64_t first, int64_t end) {
  json_t *json = json_object();
  json_object_set_new(json, "group", json_integer(t->group[first]));
  json_object_set_new(json, "bottleneck", json_integer(t->bottleneck[first]));
  json_object_set_new(json, "small_layers", json_integer(t->small_layers[first]));
  json_object_set_new(json, "members", json_integer(end - first));
  return json;
}

/* Adds a group and its blocks, one a scale. */
static void add_group(const esc_plateau_table *t, int64_t first, int64_t end, json_t *scalings,
                      json_t *groups) {
  esc_plateau_row scaling[ESC_PLATEAU_ROWS], row[ESC_PLATEAU_ROWS];
  const int n = esc_plateau_scaling_rows(t, first, end, scaling);
  json_t *over = set_to_json(t->results, first, end);
  json_object_set_new(over, "rows", rows_to_json(n, scaling));
  json_array_append_new(scalings, over);
  for (int64_t last; first < end; first = last) {
    last = end_of(t->results, first, same_block);
    json_t *block = set_to_json(t->results, first, last);
    json_t *rows = rows_to_json(esc_plateau_exponent_rows(t, first, last, row), row);
    json_t *others = rows_to_json(esc_plateau_number_rows(t, first, last, n, scaling, row), row);
    json_object_set_new(block, "scale", json_real(t->results->scale[first]));
    json_array_extend(rows, others);
    json_decref(others);
    json_object_set_new(block, "rows", rows);
    json_array_append_new(groups, block);
  }
}

static esc_status print_json(const report *r) {
  const esc_plateau_table *t = &r->table;
  json_t *json = json_object(), *members = json_array();
  json_t *groups = json_array(), *scalings = json_array();
  for (int64_t i = 0; i < t->results->members; i++)
    json_array_append_new(members, member_to_json(t, i));
  for (int64_t first = 0, end; first < t->results->members; first = end) {
    end = end_of(t->results, first, same_group);
    add_group(t, first, end, scalings, groups);
  }
  json_object_set_new(json, "window", json_real(t->rules.window));
  json_object_set_new(json, "sampling_floor", esc_json_number(t->rules.floor));
  json_object_set_new(json, "groups", groups);
  json_object_set_new(json, "scalings", scalings);
  json_object_set_new(json, "members", members);
  return esc_json_print(json);
}

/* ---- text ---- */

/* A number in a column of 9, "-" where there is none. */
static void print_number(double value, int digits) {
  if (isfinite(value))
    printf(" %9.*g", digits, value);
  else
    printf(" %9s", "-");
}

static void print_exponents(int rows, const esc_plateau_row *row, const char *heading) {
  printf("  %-36s %9s %9s %9s %11s  %s\n", heading, "mean", "error", "theory", "networks",
         "verdict");
  for (int k = 0; k < rows; k++) {
    char count[48];
    snprintf(count, sizeof count, "%lld of %lld", (long long)row[k].measured,
             (long long)row[k].networks);
    printf("    %-34s", row[k].heading);
    print_number(row[k].estimate.value, 4);
    print_number(row[k].estimate.error, 2);
    printf(" %9s %11s  %s", row[k].theory[0] ? row[k].theory : "-", count, row[k].verdict);
    if (isfinite(row[k].low))
      printf("; over %.2g..%.2g, %.1f decades", row[k].low, row[k].high,
             log10(row[k].high / row[k].low));
    putchar('\n');
  }
}

static void print_numbers(int rows, const esc_plateau_row *row) {
  printf("  %-36s %9s %9s %9s %11s  %s\n", "inside the window", "least", "median", "most", "theory",
         "verdict");
  for (int k = 0; k < rows; k++) {
    printf("    %-34s", row[k].heading);
    print_number(row[k].least, 4);
    print_number(row[k].median, 4);
    print_number(row[k].most, 4);
    printf(" %11s%s%s\n", row[k].theory, row[k].verdict[0] ? "  " : "", row[k].verdict);
  }
}

static void print_block_head(const esc_plateau_table *t, int64_t first, int64_t end) {
  int64_t left = 0;
  double lost = 0;
  for (int64_t i = first; i < end; i++) {
    left += t->plateau[i].exit_step >= 0;
    lost = fmax(lost, t->results->lost_updates[i]);
  }
  printf(
      "r = %d, epsilon = %.4g: networks: %lld, of which %lld left the window m <= %g; lost "
      "updates at most %.2g\n",
      t->results->bottleneck[first], t->results->scale[first], (long long)(end - first),
      (long long)left, t->rules.window, lost);
}

static void print_group(const esc_plateau_table *t, int64_t first, int64_t end) {
  esc_plateau_row scaling[ESC_PLATEAU_ROWS], row[ESC_PLATEAU_ROWS];
  const int64_t start = first;
  const bool scales = t->results->scale[first] != t->results->scale[end - 1];
  const int n = esc_plateau_scaling_rows(t, first, end, scaling);
  for (int64_t last; first < end; first = last) {
    last = end_of(t->results, first, same_block);
    print_block_head(t, first, last);
    print_exponents(esc_plateau_exponent_rows(t, first, last, row), row, "exponents along the run");
    print_numbers(esc_plateau_number_rows(t, first, last, n, scaling, row), row);
  }
  if (!scales) {
    printf("r = %d, over the scales: there is one only\n\n", t->results->bottleneck[start]);
    return;
  }
  printf("r = %d, over the scales\n", t->results->bottleneck[start]);
  print_exponents(ESC_PLATEAU_EXPONENTS, scaling, "exponents at the start");
  print_exponents(n - ESC_PLATEAU_EXPONENTS, scaling + ESC_PLATEAU_EXPONENTS,
                  "exponents in epsilon of");
  putchar('\n');
}

static void print_text(const esc_plateau_table *t) {
  for (int64_t first = 0, end; first < t->results->members; first = end) {
    end = end_of(t->results, first, same_group);
    print_group(t, first, end);
  }
  printf(
      "Exponents along the run: snapshots inside the window with S > 0 and m above %d times its\n"
      "start; at least %d, over a factor of %d. error: one standard error, networks being the\n"
      "independent units, with the bend of the curve or the next order in m; consistent: theory's\n"
      "number is within the 95%% interval. Bounded: no factor of 2 or more a decade of epsilon.\n",
      ESC_EXPONENT_START, ESC_EXPONENT_SNAPSHOTS, ESC_EXPONENT_FACTOR);
}

esc_status esc_verb_plateau(int argc, char **argv) {
  esc_status status = ESC_OK;
  const char *window = default_window;
  bool json = false, help = false;
  int first = 0;
  report r = {0};
  const esc_option options[] = {
      {"window", 0, "M", "the plateau ends where m passes this (0.3)", .text = &window},
      {"json", 0, NULL, "one JSON object on stdout, with every network", .flag = &json},
      {0},
  };
  const esc_command command = {
      "plateau OUT.h5 [--window M]",
      "Measures, on every network of a result with snapshots, what the proof of the\n"
      "critical-depth law assumes of a plateau, up to the first snapshot at which m, the largest\n"
      "operator norm of the small layers, is above the window: drift of the other layers, the\n"
      "terms of dS/dt, growth of m against its comparison equation, chain norms. Each exponent\n"
      "has an error, the range over which it is measured, and a verdict, or the reason why it\n"
      "cannot be measured.",
      options};
  ESC_TRY(esc_options_parse(&command, argc, argv, &first, &help));
  if (help) return ESC_OK;
  if (argc - first != 1) return ESC_FAIL(ESC_BAD_INPUT, "plateau: takes one result file");
  r.file = argv[first];
  ESC_TRY(read_window(window, &r.table.rules.window));
  ESC_TRY(read_file(&r));
  if (json)
    status = print_json(&r);
  else
    print_text(&r.table);
done:
  free(r.table.plateau);
  for (int k = 0; k < 3; k++) free(r.table.work[k]);
  free(r.table.index);
  esc_spec_free(r.spec);
  esc_results_free(r.table.results);
  return status;
}
