/* SPDX-License-Identifier: Apache-2.0 */
/* escapement plateau: the bootstrap interval of every network, as measured. */
#include "escapement/plateau.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "cli/cli.h"
#include "cli/options.h"
#include "cli/output.h"
#include "escapement/internal/number.h"
#include "escapement/internal/results.h"
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
  esc_results *results;
  esc_plateau_table table;
} report;

static esc_status read_window(const char *text, double *window) {
  const char *fault = esc_number_parse(text, strlen(text), window);
  if (!fault && !(*window > 0)) fault = "must be above 0";
  if (!fault) return ESC_OK;
  return ESC_FAIL(ESC_BAD_INPUT, "--window: '%s' %s", esc_quote(text, strlen(text)).text, fault);
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
    const char *name = esc_plateau_exponent_name(k);
    const esc_exponent *e = esc_plateau_exponent(&t->network[i].plateau, k);
    const bool measured = e->why == ESC_MEASURED;
    char verdict[160];
    esc_plateau_verdict_print(t, i, k, verdict, sizeof verdict);
    json_object_set_new(json, name, esc_json_number(e->value));
    json_object_set_new(errors, name, esc_json_number(e->error));
    json_object_set_new(ranges, name, measured ? range_to_json(e->low, e->high) : json_null());
    json_object_set_new(verdicts, name, json_string(verdict));
  }
  json_object_set_new(json, "errors", errors);
  json_object_set_new(json, "ranges", ranges);
  json_object_set_new(json, "verdicts", verdicts);
}

static json_t *member_to_json(const report *r, int64_t i) {
  const esc_plateau_table *t = &r->table;
  const esc_plateau_network *n = &t->network[i];
  const esc_plateau *p = &n->plateau;
  json_t *json = json_object();
  json_object_set_new(json, "member", json_integer(n->member));
  json_object_set_new(json, "seed", json_integer(n->seed));
  json_object_set_new(json, "bottleneck", json_integer(n->bottleneck));
  json_object_set_new(json, "scale", json_real(n->scale));
  json_object_set_new(json, "signal_initial", esc_json_number(r->results->signal_initial[i]));
  json_object_set_new(json, "lost_updates", esc_json_number(r->results->lost_updates[i]));
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

static json_t *set_to_json(const esc_plateau_set *s, bool one_scale) {
  json_t *json = json_object();
  json_object_set_new(json, "group", json_integer(s->group));
  json_object_set_new(json, "bottleneck", json_integer(s->bottleneck));
  json_object_set_new(json, "small_layers", json_integer(s->small_layers));
  json_object_set_new(json, "members", json_integer(s->members));
  if (one_scale) json_object_set_new(json, "scale", json_real(s->scale));
  json_object_set_new(json, "rows", rows_to_json(s->rows, s->row));
  return json;
}

static esc_status print_json(const report *r) {
  const esc_plateau_table *t = &r->table;
  json_t *json = json_object(), *members = json_array();
  json_t *groups = json_array(), *scalings = json_array();
  for (int64_t i = 0; i < t->members; i++) json_array_append_new(members, member_to_json(r, i));
  for (int i = 0; i < t->sets; i++) json_array_append_new(groups, set_to_json(&t->set[i], true));
  for (int i = 0; i < t->groups; i++)
    json_array_append_new(scalings, set_to_json(&t->group[i], false));
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

static void print_set(const esc_plateau_set *s, double window) {
  printf(
      "r = %d, epsilon = %.4g: networks: %lld, of which %lld left the window m <= %g; lost "
      "updates at most %.2g\n",
      s->bottleneck, s->scale, (long long)s->members, (long long)s->left, window, s->lost_updates);
  print_exponents(ESC_PLATEAU_EXPONENTS, s->row, "exponents along the run");
  print_numbers(s->rows - ESC_PLATEAU_EXPONENTS, s->row + ESC_PLATEAU_EXPONENTS);
}

static void print_group(const esc_plateau_table *t, const esc_plateau_set *g) {
  const int64_t last = g->first + g->members - 1;
  for (int i = 0; i < g->sets; i++) print_set(&t->set[g->first_set + i], t->rules.window);
  if (t->network[g->first].scale == t->network[last].scale) {
    printf("r = %d, over the scales: there is one only\n\n", g->bottleneck);
    return;
  }
  printf("r = %d, over the scales\n", g->bottleneck);
  print_exponents(ESC_PLATEAU_EXPONENTS, g->row, "exponents at the start");
  print_exponents(g->rows - ESC_PLATEAU_EXPONENTS, g->row + ESC_PLATEAU_EXPONENTS,
                  "exponents in epsilon of");
  putchar('\n');
}

static void print_text(const esc_plateau_table *t) {
  for (int i = 0; i < t->groups; i++) print_group(t, &t->group[i]);
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
  double limit;
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
      .options = options, .suffixes = ESC_RESULT_SUFFIXES};
  ESC_TRY(esc_options_parse(&command, argc, argv, &first, &help));
  if (help) return ESC_OK;
  if (argc - first != 1) return ESC_FAIL(ESC_BAD_INPUT, "plateau: takes one result file");
  ESC_TRY(read_window(window, &limit));
  ESC_TRY(esc_store_read(argv[first], &r.results));
  ESC_TRY(esc_plateau_table_measure(r.results, argv[first], limit, &r.table));
  if (json)
    status = print_json(&r);
  else
    print_text(&r.table);
done:
  esc_plateau_table_free(&r.table);
  esc_results_free(r.results);
  return status;
}
