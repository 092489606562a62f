/* SPDX-License-Identifier: Apache-2.0 */
/* The table of result variables, used by all code that stores or reads them. */
#include "escapement/internal/results.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const esc_result_variable esc_result_variables[] = {
#define ROW(name, ctype, type, axis, units, text) \
  {#name, units, text, ESC_TYPE_##type, ESC_AXIS_##axis, offsetof(esc_results, name)},
    ESC_RESULT_LIST(ROW)
#undef ROW
};
const int esc_result_variable_count =
    (int)(sizeof esc_result_variables / sizeof esc_result_variables[0]);

size_t esc_type_size(esc_type type) {
  return type == ESC_TYPE_INT32 || type == ESC_TYPE_FLOAT32 ? 4 : 8;
}

int64_t esc_axis_length(const esc_results *results, esc_axis axis) {
  switch (axis) {
    case ESC_AXIS_THRESHOLD: return results->thresholds;
    case ESC_AXIS_LAYER: return results->layers;
    case ESC_AXIS_INTERFACE: return results->layers - 1;
    case ESC_AXIS_SNAPSHOT: return results->snapshots;
    case ESC_AXIS_UNIT:
    case ESC_AXIS_UNIT_BELOW: return results->width;
    case ESC_AXIS_INPUT: return results->inputs;
    default: return 1;
  }
}

static void **field(const esc_results *results, const esc_result_variable *v) {
  return (void **)((char *)results + v->field);
}

void *esc_result_data(const esc_results *results, const esc_result_variable *v) {
  return *field(results, v);
}

static size_t cell_size(const esc_results *results, const esc_result_variable *v) {
  return esc_type_size(v->type) * (size_t)esc_axis_length(results, v->axis);
}

esc_status esc_results_create(int64_t members, int thresholds, int layers, esc_results **out) {
  esc_status status = ESC_OK;
  const size_t rows = members > 0 ? (size_t)members : 1;
  esc_results *r = calloc(1, sizeof *r);
  ESC_TRY_ALLOCATE(r);
  r->members = members;
  r->thresholds = thresholds;
  r->layers = layers;
  r->threshold = calloc((size_t)thresholds, sizeof *r->threshold);
  r->member = calloc(rows, sizeof *r->member);
  ESC_TRY_ALLOCATE(r->threshold);
  ESC_TRY_ALLOCATE(r->member);
  for (int i = 0; i < esc_result_variable_count; i++) {
    const esc_result_variable *v = &esc_result_variables[i];
    *field(r, v) = calloc(rows, cell_size(r, v));
    ESC_TRY_ALLOCATE(*field(r, v));
  }
  *out = r;
  r = NULL;
done:
  esc_results_free(r);
  return status;
}

esc_status_counts esc_results_count_statuses(const esc_results *r) {
  esc_status_counts n = {0};
  for (int64_t i = 0; i < r->members; i++) {
    n.escaped += r->status[i] == ESC_MEMBER_ESCAPED;
    n.censored += r->status[i] == ESC_MEMBER_CENSORED;
    n.diverged += r->status[i] == ESC_MEMBER_DIVERGED;
    n.running += r->status[i] == ESC_MEMBER_RUNNING;
    n.waiting += r->status[i] == ESC_MEMBER_WAITING;
  }
  return n;
}

esc_status esc_results_add_snapshots(esc_results *r, int64_t snapshots) {
  esc_status status = ESC_OK;
  const size_t cells = (size_t)r->members * (size_t)snapshots;
  r->snapshots = snapshots;
  ESC_TRY_ALLOCATE(r->snapshot_step = calloc((size_t)snapshots + 1, sizeof *r->snapshot_step));
  for (int k = 0; k < ESC_OBSERVABLES; k++) {
    const size_t width = (size_t)esc_observable_length(r->layers, esc_observables[k].axis);
    const size_t count = cells * width;
    ESC_TRY_ALLOCATE(r->observable[k] = malloc((count + 1) * sizeof(double)));
    for (size_t i = 0; i < count; i++) r->observable[k][i] = (double)NAN;
    const size_t ends = (size_t)r->members * width;
    ESC_TRY_ALLOCATE(r->observable_end[k] = malloc((ends + 1) * sizeof(double)));
    for (size_t i = 0; i < ends; i++) r->observable_end[k][i] = (double)NAN;
  }
done:
  return status;
}

esc_status esc_results_add_grid(esc_results *r, const esc_grid *grid) {
  esc_status status = ESC_OK;
  ESC_TRY(esc_grid_copy(grid, &r->grid));
  ESC_TRY_ALLOCATE(r->point = calloc((size_t)r->members + 1, sizeof *r->point));
done:
  return status;
}

/* Weights have a finite norm when training starts. */
bool esc_results_is_padded(const esc_results *r, int64_t i, int layer) {
  return r->grid && isnan(r->norm2_initial[i * r->layers + layer]);
}

void esc_results_free(esc_results *results) {
  if (!results) return;
  esc_grid_free(results->grid);
  free(results->point);
  for (int k = 0; k < ESC_OBSERVABLES; k++) {
    free(results->observable[k]);
    free(results->observable_end[k]);
  }
  free(results->snapshot_step);
  for (int k = 0; k < ESC_WEIGHTS_KINDS; k++)
    for (int l = 0; l < results->layers; l++) free(results->weight[k][l]);
  free(results->number);
  for (int i = 0; i < esc_result_variable_count; i++)
    free(*field(results, &esc_result_variables[i]));
  for (int i = 0; i < results->attributes; i++) {
    free(results->attribute[i].name);
    free(results->attribute[i].text);
  }
  free(results->attribute);
  free(results->threshold);
  free(results->observed);
  free(results->member);
  free(results);
}

static esc_attribute *find_attribute(const esc_results *results, const char *name) {
  for (int i = 0; i < results->attributes; i++)
    if (!strcmp(results->attribute[i].name, name)) return &results->attribute[i];
  return NULL;
}

/* Adds an attribute, whose strings become the results'. */
static esc_status add_attribute(esc_results *results, char *name, char *text) {
  const size_t count = (size_t)results->attributes + 1;
  esc_attribute *more = realloc(results->attribute, count * sizeof *more);
  if (!more) return ESC_FAIL(ESC_NO_MEMORY, "out of memory (attribute %s)", name);
  more[results->attributes++] = (esc_attribute){name, text};
  results->attribute = more;
  return ESC_OK;
}

esc_status esc_results_set_attribute(esc_results *results, const char *name, const char *text) {
  esc_status status = ESC_OK;
  esc_attribute *const known = find_attribute(results, name);
  char *copy = strdup(text), *own_name = known ? NULL : strdup(name);
  ESC_TRY_ALLOCATE(copy);
  if (known) {
    free(known->text);
    known->text = copy;
    return ESC_OK;
  }
  ESC_TRY_ALLOCATE(own_name);
  ESC_TRY(add_attribute(results, own_name, copy));
  return ESC_OK;
done:
  free(copy);
  free(own_name);
  return status;
}

const char *esc_results_attribute_text(const esc_results *results, const char *name) {
  const esc_attribute *a = find_attribute(results, name);
  return a ? a->text : NULL;
}

size_t esc_results_row_size(int thresholds, int layers) {
  const esc_results shape = {.thresholds = thresholds, .layers = layers};
  size_t size = 0;
  for (int i = 0; i < esc_result_variable_count; i++)
    size += cell_size(&shape, &esc_result_variables[i]);
  return size;
}

esc_status esc_results_check_layers(const char *path, const esc_results *r, const esc_problem *p,
                                    int layers) {
  if (r->thresholds != p->thresholds || r->layers != layers)
    return ESC_FAIL(ESC_BAD_INPUT,
                    "%.300s: has %d thresholds and %d layers, but its spec describes %d and %d",
                    path, r->thresholds, r->layers, p->thresholds, layers);
  for (int k = 0; k < r->thresholds; k++)
    if (!(r->threshold[k] == p->threshold[k]))
      return ESC_FAIL(ESC_BAD_INPUT, "%.300s: threshold %d is %.17g, in its spec %.17g", path,
                      k + 1, r->threshold[k], p->threshold[k]);
  for (int64_t i = 0; i < r->members; i++)
    if (r->bottleneck[i] < 0 || r->bottleneck[i] > r->layers)
      return ESC_FAIL(ESC_BAD_INPUT, "%.300s: row %lld has %d small layers of %d", path,
                      (long long)i, r->bottleneck[i], r->layers);
  return ESC_OK;
}

esc_status esc_results_check(const char *path, const esc_results *r, const esc_problem *p) {
  return esc_results_check_layers(path, r, p, p->shape.layers);
}

void esc_results_pack(const esc_results *results, int64_t i, void *row) {
  char *to = row;
  for (int k = 0; k < esc_result_variable_count; k++) {
    const esc_result_variable *v = &esc_result_variables[k];
    const size_t size = cell_size(results, v);
    memcpy(to, (const char *)*field(results, v) + (size_t)i * size, size);
    to += size;
  }
}

void esc_results_unpack(esc_results *results, int64_t i, const void *row) {
  const char *from = row;
  for (int k = 0; k < esc_result_variable_count; k++) {
    const esc_result_variable *v = &esc_result_variables[k];
    const size_t size = cell_size(results, v);
    memcpy((char *)*field(results, v) + (size_t)i * size, from, size);
    from += size;
  }
}
