/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "escapement/compare.h"
#include "escapement/internal/library.h"
#include "escapement/internal/observe.h"

typedef struct result_pair {
  const esc_results *a, *b;
  const char *const *name; /* of a and b */
} result_pair;

static esc_status refuse(const result_pair *c, const char *what, const char *in_a,
                         const char *in_b) {
  return ESC_FAIL(ESC_BAD_INPUT,
                  "%.300s and %.300s hold different sweeps: %s is %s in the first and %s in the "
                  "second",
                  c->name[0], c->name[1], what, in_a, in_b);
}

static esc_status check_number(const result_pair *c, const char *what, int64_t a, int64_t b) {
  char in_a[32], in_b[32];
  if (a == b) return ESC_OK;
  snprintf(in_a, sizeof in_a, "%" PRId64, a);
  snprintf(in_b, sizeof in_b, "%" PRId64, b);
  return refuse(c, what, in_a, in_b);
}

static esc_status check_real(const result_pair *c, const char *what, double a, double b) {
  char in_a[32], in_b[32];
  if (a == b) return ESC_OK;
  snprintf(in_a, sizeof in_a, "%.17g", a);
  snprintf(in_b, sizeof in_b, "%.17g", b);
  return refuse(c, what, in_a, in_b);
}

/* Checks that row i is the same network in both results. */
static esc_status check_member(const result_pair *c, int64_t i) {
  esc_status status = ESC_OK;
  char what[64];
  const long long member = (long long)c->a->member[i];
  snprintf(what, sizeof what, "the member of row %lld", (long long)i);
  ESC_TRY(check_number(c, what, c->a->member[i], c->b->member[i]));
  snprintf(what, sizeof what, "the seed of member %lld", member);
  ESC_TRY(check_number(c, what, c->a->seed[i], c->b->seed[i]));
  snprintf(what, sizeof what, "the bottleneck of member %lld", member);
  ESC_TRY(check_number(c, what, c->a->bottleneck[i], c->b->bottleneck[i]));
  snprintf(what, sizeof what, "the scale of member %lld", member);
  ESC_TRY(check_real(c, what, c->a->scale[i], c->b->scale[i]));
done:
  return status;
}

/* Words of the kinds of weights that a result holds. */
static const char *print_kinds(const esc_results *r, char text[64]) {
  char *end = text;
  strcpy(text, "none");
  for (int k = 0; k < ESC_WEIGHTS_KINDS; k++)
    if (esc_results_has_weights(r, (esc_weights_kind)k))
      end = stpcpy(stpcpy(end, end == text ? "" : ", "), esc_weights_word((esc_weights_kind)k));
  return text;
}

static esc_status check_weights(const result_pair *c) {
  esc_status status = ESC_OK;
  char in_a[64], in_b[64];
  if (c->a->weights != c->b->weights)
    return refuse(c, "record.weights", print_kinds(c->a, in_a), print_kinds(c->b, in_b));
  ESC_TRY(check_number(c, "the number of units", c->a->width, c->b->width));
  ESC_TRY(check_number(c, "the number of inputs", c->a->inputs, c->b->inputs));
done:
  return status;
}

/* Checks that the members of both results are at the same points of the same grid. */
static esc_status check_grid(const result_pair *c) {
  esc_status status = ESC_OK;
  const esc_results *a = c->a, *b = c->b;
  const char *const text_a = esc_results_attribute_text(a, "grid");
  const char *const text_b = esc_results_attribute_text(b, "grid");
  if (!a->grid && !b->grid) return ESC_OK;
  if (!a->grid || !b->grid || !text_a || !text_b || strcmp(text_a, text_b) != 0)
    return refuse(c, "the grid", a->grid ? "one" : "absent", b->grid ? "another" : "absent");
  for (int64_t i = 0; i < a->members; i++)
    ESC_TRY(check_number(c, "the point of a member", a->point[i], b->point[i]));
done:
  return status;
}

static esc_status check_sweep(const result_pair *c) {
  esc_status status = ESC_OK;
  ESC_TRY(check_number(c, "the number of members", c->a->members, c->b->members));
  ESC_TRY(check_number(c, "the number of thresholds", c->a->thresholds, c->b->thresholds));
  ESC_TRY(check_number(c, "the number of layers", c->a->layers, c->b->layers));
  for (int i = 0; i < c->a->thresholds; i++)
    ESC_TRY(check_real(c, "a threshold", c->a->threshold[i], c->b->threshold[i]));
  ESC_TRY(check_grid(c));
  ESC_TRY(check_number(c, "the number of snapshots", c->a->snapshots, c->b->snapshots));
  for (int64_t k = 0; k < c->a->snapshots; k++)
    ESC_TRY(check_number(c, "a snapshot", c->a->snapshot_step[k], c->b->snapshot_step[k]));
  for (int64_t i = 0; i < c->a->members; i++) ESC_TRY(check_member(c, i));
  ESC_TRY(check_weights(c));
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

/* The larger number; NaN if one is NaN. */
static double larger(double a, double b) { return isnan(a) || a > b ? a : b; }

static void add_value(esc_comparison_row *d, double a, double b) {
  const double apart = fabs(a - b), size = larger(fabs(a), fabs(b));
  d->absolute = larger(apart, d->absolute);
  d->relative = larger(apart == 0 ? 0 : apart / size, d->relative);
}

/* NaN in both is equal: both members had finished before. */
static esc_comparison_row compare_observable(const result_pair *c, int k, bool end) {
  const int length = esc_observable_length(c->a->layers, esc_observables[k].axis);
  esc_comparison_row d = {.name = end ? esc_observables[k].end_name : esc_observables[k].name,
                          .values = c->a->members * (end ? 1 : c->a->snapshots) * length};
  const double *a = end ? c->a->observable_end[k] : c->a->observable[k];
  const double *b = end ? c->b->observable_end[k] : c->b->observable[k];
  for (int64_t i = 0; i < d.values; i++)
    if (!memcmp(&a[i], &b[i], sizeof *a) || (isnan(a[i]) && isnan(b[i])))
      d.equal++;
    else
      add_value(&d, a[i], b[i]);
  return d;
}

/* Layer l of one kind; NaN in both is equal. */
static esc_comparison_row compare_weights(const result_pair *c, esc_weights_kind kind, int l) {
  const esc_shape shape = esc_results_shape(c->a);
  const float *a = c->a->weight[kind][l], *b = c->b->weight[kind][l];
  const size_t count = esc_weight_offset(shape, l + 1) - esc_weight_offset(shape, l);
  esc_comparison_row d = {
      .name = esc_weights_name(kind, l),
      .values = c->a->members * esc_axis_length(c->a, esc_weights_axis(kind)) * (int64_t)count};
  for (int64_t i = 0; i < d.values; i++)
    if (!memcmp(&a[i], &b[i], sizeof *a) || (isnan(a[i]) && isnan(b[i])))
      d.equal++;
    else
      add_value(&d, (double)a[i], (double)b[i]);
  return d;
}

static esc_comparison_row compare_variable(const result_pair *c, const esc_result_variable *v) {
  esc_comparison_row d = {.name = v->name,
                          .values = c->a->members * esc_axis_length(c->a, v->axis)};
  const bool steps =
      !strcmp(v->name, "escape_step"); /* -1 is not a step and must not be subtracted */
  const char *data_a = esc_result_data(c->a, v), *data_b = esc_result_data(c->b, v);
  const size_t size = esc_type_size(v->type);
  for (int64_t i = 0; i < d.values; i++) {
    const double a = value_at(data_a, v->type, i), b = value_at(data_b, v->type, i);
    if (!memcmp(data_a + (size_t)i * size, data_b + (size_t)i * size, size))
      d.equal++;
    else if (steps && (a < 0) != (b < 0))
      d.censored_in_one++;
    else
      add_value(&d, a, b);
  }
  return d;
}

static void add_row(esc_comparison *out, esc_comparison_row row) {
  out->different += row.equal < row.values;
  out->row[out->rows++] = row;
}

static esc_status compare_all(const result_pair *c, esc_comparison *out) {
  esc_status status = ESC_OK;
  const int observables = c->a->snapshots ? 2 * ESC_OBSERVABLES : 0,
            weights = ESC_WEIGHTS_KINDS * c->a->layers;
  *out = (esc_comparison){
      .members = c->a->members, .thresholds = c->a->thresholds, .layers = c->a->layers};
  ESC_TRY(check_sweep(c));
  ESC_TRY_ALLOCATE(out->row = calloc((size_t)(esc_result_variable_count + observables + weights),
                                     sizeof *out->row));
  for (int i = 0; i < esc_result_variable_count; i++)
    add_row(out, compare_variable(c, &esc_result_variables[i]));
  for (int k = 0; k < observables; k++)
    add_row(out, compare_observable(c, k % ESC_OBSERVABLES, k >= ESC_OBSERVABLES));
  for (int k = 0; k < weights; k++)
    if (esc_results_has_weights(c->a, (esc_weights_kind)(k / c->a->layers)))
      add_row(out, compare_weights(c, (esc_weights_kind)(k / c->a->layers), k % c->a->layers));
done:
  return status;
}

esc_status esc_results_compare(const esc_results *a, const esc_results *b,
                               const char *const name[2], esc_comparison *out) {
  const result_pair c = {.a = a, .b = b, .name = name};
  const esc_library_scope scope = esc_library_enter();
  const esc_status status = compare_all(&c, out);
  esc_library_leave(scope);
  return status;
}

void esc_comparison_free(esc_comparison *comparison) {
  free(comparison->row);
  *comparison = (esc_comparison){0};
}
