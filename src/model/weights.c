/* SPDX-License-Identifier: Apache-2.0 */
/* Recorded weights of a result: names, arrays, copies to and from a flat network. */
#include "escapement/internal/weights.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "escapement/internal/results.h"

/* Texts of the columns are constant, so each layer has its own. */
/* clang-format off */
#define EACH_LAYER(X, k) \
  X(k, 1) X(k, 2) X(k, 3) X(k, 4) X(k, 5) X(k, 6) X(k, 7) X(k, 8) \
  X(k, 9) X(k, 10) X(k, 11) X(k, 12) X(k, 13) X(k, 14) X(k, 15) X(k, 16) \
  X(k, 17) X(k, 18) X(k, 19) X(k, 20) X(k, 21) X(k, 22) X(k, 23) X(k, 24) \
  X(k, 25) X(k, 26) X(k, 27) X(k, 28) X(k, 29) X(k, 30) X(k, 31) X(k, 32) \
  X(k, 33) X(k, 34) X(k, 35) X(k, 36) X(k, 37) X(k, 38) X(k, 39) X(k, 40) \
  X(k, 41) X(k, 42) X(k, 43) X(k, 44) X(k, 45) X(k, 46) X(k, 47) X(k, 48) \
  X(k, 49) X(k, 50) X(k, 51) X(k, 52) X(k, 53) X(k, 54) X(k, 55) X(k, 56) \
  X(k, 57) X(k, 58) X(k, 59) X(k, 60) X(k, 61) X(k, 62) X(k, 63) X(k, 64)
/* clang-format on */
#define NAME(word, number) "weights_" word "_" #number,
#define TEXT(when, number) "weights of layer " #number " " when,
#define WHEN_SNAPSHOTS "at the snapshot; NaN after the member's last one"
#define WHEN_ESCAPE "at the escape step, before its update; NaN where there is none"
#define WHEN_END "at the end of training"

static const char *const word[ESC_WEIGHTS_KINDS] = {"start", "snapshots", "escape", "end"};
static const char *const name[ESC_WEIGHTS_KINDS][ESC_LAYERS_MAX] = {{EACH_LAYER(NAME, "start")},
                                                                    {EACH_LAYER(NAME, "snapshots")},
                                                                    {EACH_LAYER(NAME, "escape")},
                                                                    {EACH_LAYER(NAME, "end")}};
static const char *const long_name[ESC_WEIGHTS_KINDS][ESC_LAYERS_MAX] = {
    {EACH_LAYER(TEXT, "at initialisation")},
    {EACH_LAYER(TEXT, WHEN_SNAPSHOTS)},
    {EACH_LAYER(TEXT, WHEN_ESCAPE)},
    {EACH_LAYER(TEXT, WHEN_END)}};

const char *esc_weights_word(esc_weights_kind kind) { return word[kind]; }
const char *esc_weights_name(esc_weights_kind kind, int layer) { return name[kind][layer]; }
const char *esc_weights_long_name(esc_weights_kind kind, int layer) {
  return long_name[kind][layer];
}

esc_shape esc_results_shape(const esc_results *r) {
  return (esc_shape){.layers = r->layers, .width = r->width, .inputs = r->inputs};
}

esc_axis esc_weights_axis(esc_weights_kind kind) {
  if (kind == ESC_WEIGHTS_SNAPSHOTS) return ESC_AXIS_SNAPSHOT;
  return kind == ESC_WEIGHTS_ESCAPE ? ESC_AXIS_THRESHOLD : ESC_AXIS_NONE;
}

bool esc_results_has_weights(const esc_results *r, esc_weights_kind kind) {
  return r->weights >> kind & 1;
}

static size_t layer_count(const esc_results *r, int l) {
  const esc_shape shape = esc_results_shape(r);
  return esc_weight_offset(shape, l + 1) - esc_weight_offset(shape, l);
}

/* Numbers from 1, the coordinates of units and inputs. */
static esc_status create_numbers(esc_results *r) {
  esc_status status = ESC_OK;
  const int count = r->width > r->inputs ? r->width : r->inputs;
  ESC_TRY_ALLOCATE(r->number = calloc((size_t)count, sizeof *r->number));
  for (int i = 0; i < count; i++) r->number[i] = i + 1;
done:
  return status;
}

static esc_status create_kind(esc_results *r, esc_weights_kind kind) {
  esc_status status = ESC_OK;
  const size_t networks = (size_t)r->members * (size_t)esc_axis_length(r, esc_weights_axis(kind));
  for (int l = 0; l < r->layers; l++) {
    const size_t count = networks * layer_count(r, l);
    float *const array = malloc((count + 1) * sizeof *array);
    ESC_TRY_ALLOCATE(array);
    for (size_t i = 0; i < count; i++) array[i] = NAN;
    r->weight[kind][l] = array;
  }
done:
  return status;
}

esc_status esc_results_add_weights(esc_results *r, unsigned kinds, int width, int inputs) {
  esc_status status = ESC_OK;
  if (r->snapshots == 0) kinds &= ~(1u << ESC_WEIGHTS_SNAPSHOTS);
  if (kinds == 0) return ESC_OK;
  r->width = width;
  r->inputs = inputs;
  r->weights = kinds;
  ESC_TRY(create_numbers(r));
  for (int k = 0; k < ESC_WEIGHTS_KINDS; k++)
    if (esc_results_has_weights(r, (esc_weights_kind)k))
      ESC_TRY(create_kind(r, (esc_weights_kind)k));
done:
  return status;
}

/* Layer l of network `entry` of member i. */
static float *find_layer(const esc_results *r, esc_weights_kind kind, int64_t i, int64_t entry,
                         int l) {
  const int64_t entries = esc_axis_length(r, esc_weights_axis(kind));
  return r->weight[kind][l] + (size_t)(i * entries + entry) * layer_count(r, l);
}

void esc_results_set_weights(esc_results *r, esc_weights_kind kind, int64_t i, int64_t entry,
                             const float *flat) {
  for (int l = 0; l < r->layers; flat += layer_count(r, l), l++)
    memcpy(find_layer(r, kind, i, entry, l), flat, layer_count(r, l) * sizeof *flat);
}

void esc_results_get_weights(const esc_results *r, esc_weights_kind kind, int64_t i, int64_t entry,
                             float *flat) {
  for (int l = 0; l < r->layers; flat += layer_count(r, l), l++)
    memcpy(flat, find_layer(r, kind, i, entry, l), layer_count(r, l) * sizeof *flat);
}
