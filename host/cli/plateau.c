/* escapement plateau: the bootstrap interval of every network, as measured. */
#include "escapement/plateau.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/options.h"
#include "escapement/number.h"
#include "spec/spec.h"
#include "spec/text.h"
#include "store/store.h"

static const char default_window[] = "0.3";

/* X(field, heading, what theory says of it) */
#define NUMBERS(X)                                          \
  X(m_start, "m at the start", "")                          \
  X(m_end, "m at the end", "below the window")              \
  X(drift, "drift of other layers", "O(m^2)")               \
  X(drift_over_m2, "  over m^2", "O(1)")                    \
  X(self_over_drive, "self-interaction / drive", "O(m^r)")  \
  X(self_exponent, "  exponent in m", "r")                  \
  X(orthogonal_over_drive, "T_perp term / drive", "O(m^2)") \
  X(orthogonal_exponent, "  exponent in m", "2")            \
  X(signal_exponent, "exponent of Q in |S|", "2(r-1)/r")    \
  X(growth, "C in dm/dt <= C m^(r-1)", "O(1)")              \
  X(exit_bound, "  time that C asks for / taken", "<= 1")   \
  X(chain_low, "chain norms / start, least", "O(1), not 0") \
  X(chain_high, "chain norms / start, most", "O(1)")        \
  X(gain_low, "|Gamma_l| mu_l / |S|, least", "O(1), not 0") \
  X(gain_high, "|Gamma_l| mu_l / |S|, most", "O(1)")        \
  X(output_over_gain, "|f| / prod mu_l, most", "O(1)")

typedef struct report {
  const char *file;
  esc_results *results;
  esc_spec *spec;
  double window;
  esc_plateau *plateau; /* (member) */
} report;

static esc_status read_window(const char *text, double *window) {
  const char *fault = esc_number_parse(text, strlen(text), window);
  if (!fault && !(*window > 0)) fault = "must be above 0";
  if (!fault) return ESC_OK;
  return ESC_FAIL(ESC_BAD_INPUT, "--window: '%s' %s", esc_show(text, strlen(text)).text, fault);
}

static esc_status read_file(report *r) {
  esc_status status = ESC_OK;
  ESC_TRY(esc_store_read(r->file, &r->results));
  const char *spec = esc_results_get(r->results, "spec");
  if (!r->results->snapshots || !spec) {
    status = ESC_FAIL(ESC_BAD_INPUT,
                      "%s: holds no snapshots; run the sweep with record.every or "
                      "record.per_decade",
                      r->file);
    goto done;
  }
  ESC_TRY(esc_spec_parse(r->file, spec, strlen(spec), 0, NULL, &r->spec));
  ESC_TRY_ALLOCATE(r->plateau = calloc((size_t)r->results->members + 1, sizeof *r->plateau));
  for (int64_t i = 0; i < r->results->members; i++)
    esc_plateau_measure(r->results, i, r->spec->problem.rate, r->window, &r->plateau[i]);
done:
  return status;
}

static json_t *member_to_json(const report *r, int64_t i) {
  const esc_plateau *p = &r->plateau[i];
  json_t *json = json_object();
  json_object_set_new(json, "member", json_integer(r->results->member[i]));
  json_object_set_new(json, "seed", json_integer(r->results->seed[i]));
  json_object_set_new(json, "bottleneck", json_integer(r->results->bottleneck[i]));
  json_object_set_new(json, "scale", json_real(r->results->scale[i]));
  json_object_set_new(json, "signal_initial", esc_json_number(r->results->signal_initial[i]));
  json_object_set_new(json, "lost_updates", esc_json_number(r->results->lost_updates[i]));
  json_object_set_new(json, "snapshots", json_integer(p->snapshots));
  json_object_set_new(json, "exit_step", json_integer(p->exit_step));
#define NUMBER(field, heading, theory) json_object_set_new(json, #field, esc_json_number(p->field));
  NUMBERS(NUMBER)
#undef NUMBER
  return json;
}

static esc_status print_json(const report *r) {
  json_t *json = json_object(), *members = json_array();
  for (int64_t i = 0; i < r->results->members; i++)
    json_array_append_new(members, member_to_json(r, i));
  json_object_set_new(json, "window", json_real(r->window));
  json_object_set_new(json, "members", members);
  return esc_json_print(json);
}

static int ascending(const void *a, const void *b) {
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* Least, median and most of a field (at `offset`) over the members of one group and scale
 * with finite values, from `first` on; `room` holds as many as there are members. */
static void print_field(const report *r, int64_t first, int64_t end, size_t offset,
                        const char *heading, const char *theory, double *room) {
  size_t n = 0;
  for (int64_t i = first; i < end; i++) {
    double value;
    memcpy(&value, (const char *)&r->plateau[i] + offset, sizeof value);
    if (isfinite(value)) room[n++] = value;
  }
  qsort(room, n, sizeof *room, ascending);
  if (n == 0)
    printf("  %-30s %11s %11s %11s   %s\n", heading, "-", "-", "-", theory);
  else
    printf("  %-30s %11.4g %11.4g %11.4g   %s\n", heading, room[0],
           (room[(n - 1) / 2] + room[n / 2]) / 2, room[n - 1], theory);
}

static void print_group(const report *r, int64_t first, int64_t end, double *room) {
  const esc_results *t = r->results;
  int64_t left = 0;
  double lost = 0;
  for (int64_t i = first; i < end; i++) {
    left += r->plateau[i].exit_step >= 0;
    lost = fmax(lost, t->lost_updates[i]);
  }
  printf(
      "r = %d, epsilon = %.4g: %lld networks, %lld left the window m <= %g; lost updates at most "
      "%.2g\n",
      t->bottleneck[first], t->scale[first], (long long)(end - first), (long long)left, r->window,
      lost);
  printf("  %-30s %11s %11s %11s   %s\n", "", "least", "median", "most", "theory");
#define FIELD(field, heading, theory) \
  print_field(r, first, end, offsetof(esc_plateau, field), heading, theory, room);
  NUMBERS(FIELD)
#undef FIELD
}

static bool same_group(const esc_results *t, int64_t i, int64_t j) {
  return t->group[i] == t->group[j] && t->scale[i] == t->scale[j];
}

static esc_status print_text(const report *r) {
  esc_status status = ESC_OK;
  const int64_t members = r->results->members;
  double *room = calloc((size_t)members + 1, sizeof *room);
  ESC_TRY_ALLOCATE(room);
  for (int64_t first = 0, end; first < members; first = end) {
    for (end = first + 1; end < members && same_group(r->results, first, end);) end++;
    print_group(r, first, end, room);
  }
done:
  free(room);
  return status;
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
      "What the proof of the critical-depth law assumes of a plateau, measured on every network "
      "of\n"
      "a result with snapshots, up to the first at which m, the largest operator norm of the "
      "small\n"
      "layers, is above the window: drift of the other layers, the terms of dS/dt, growth of m\n"
      "against its comparison equation, chain norms, and how each goes with m.",
      options};
  ESC_TRY(esc_options_parse(&command, argc, argv, &first, &help));
  if (help) return ESC_OK;
  if (argc - first != 1) return ESC_FAIL(ESC_BAD_INPUT, "plateau: takes one result file");
  r.file = argv[first];
  ESC_TRY(read_window(window, &r.window));
  ESC_TRY(read_file(&r));
  status = json ? print_json(&r) : print_text(&r);
done:
  free(r.plateau);
  esc_spec_free(r.spec);
  esc_results_free(r.results);
  return status;
}
