/* SPDX-License-Identifier: Apache-2.0 */
/* Initial weights from a result or a NumPy archive. */
#include "run/initial.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file_kind.h"
#include "base/io.h"
#include "store/npz.h"
#include "store/store.h"

/* ---- a result ---- */

/* Index of the wanted network along the axis of its kind. */
static esc_status find_entry(const esc_init_file *init, const esc_results *r, int64_t *entry) {
  *entry = 0;
  if (init->kind == ESC_WEIGHTS_SNAPSHOTS) {
    for (int64_t k = 0; k < r->snapshots; k++, ++*entry)
      if (r->snapshot_step[k] == init->step) return ESC_OK;
    return ESC_FAIL(ESC_BAD_INPUT, "%s: init.step: has no snapshot of step %lld", init->path,
                    (long long)init->step);
  }
  if (init->kind == ESC_WEIGHTS_ESCAPE) {
    for (int k = 0; k < r->thresholds; k++, ++*entry)
      if (r->threshold[k] == init->threshold) return ESC_OK;
    return ESC_FAIL(ESC_BAD_INPUT, "%s: init.threshold: has no threshold %g", init->path,
                    init->threshold);
  }
  return ESC_OK;
}

static esc_status check_result(const esc_spec *spec, const esc_results *r) {
  const esc_init_file *init = &spec->init;
  const esc_shape shape = spec->problem.shape;
  if (!esc_results_has_weights(r, init->kind))
    return ESC_FAIL(ESC_BAD_INPUT,
                    "%s: init.weights: holds no weights of the kind %s; record them with "
                    "record.weights: [%s]",
                    init->path, esc_weights_word(init->kind), esc_weights_word(init->kind));
  if (r->layers == shape.layers && r->width == shape.width && r->inputs == shape.inputs)
    return ESC_OK;
  return ESC_FAIL(ESC_BAD_INPUT,
                  "%s: has networks of %d layers, width %d and %d inputs, but the spec describes "
                  "%d, %d and %d",
                  init->path, r->layers, r->width, r->inputs, shape.layers, shape.width,
                  shape.inputs);
}

static esc_status read_result(const esc_spec *spec, char checksum[ESC_CHECKSUM_TEXT_SIZE],
                              esc_initial_networks **out) {
  esc_status status = ESC_OK;
  esc_results *r = NULL;
  int64_t entry;
  ESC_TRY(esc_store_read(spec->init.path, &r));
  ESC_TRY(check_result(spec, r));
  ESC_TRY(find_entry(&spec->init, r, &entry));
  ESC_TRY(esc_results_checksum(r, checksum));
  ESC_TRY(esc_initial_networks_create(r->members, esc_weight_count(spec->problem.shape), true, true,
                                      out));
  for (int64_t i = 0; i < r->members; i++) {
    esc_results_get_weights(r, spec->init.kind, i, entry,
                            (*out)->w32 + (size_t)i * (*out)->weights);
    (*out)->keyed[i] =
        (esc_keyed_network){{(uint64_t)r->seed[i], (uint64_t)r->small_layers[i], r->scale[i]}, i};
  }
done:
  esc_results_free(r);
  return status;
}

/* ---- a NumPy archive ---- */

typedef struct layer_arrays {
  esc_npz_array layer[ESC_LAYERS_MAX];
  int64_t networks;
  bool single; /* all are in float */
} layer_arrays;

/* The array of layer l: (network, row, column) of the spec's shape. */
static esc_status find_layer(const esc_spec *spec, const esc_npz *npz, int l,
                             layer_arrays *arrays) {
  esc_status status = ESC_OK;
  const char *name = esc_weights_name(spec->init.kind, l);
  const esc_shape shape = spec->problem.shape;
  esc_npz_array *a = &arrays->layer[l];
  bool found;
  ESC_TRY(esc_npz_find(npz, name, a, &found));
  if (!found)
    return ESC_FAIL(ESC_BAD_INPUT, "%s: has no array %s, the weights of layer %d of %d",
                    spec->init.path, name, l + 1, shape.layers);
  if (l == 0) arrays->networks = a->rank == 3 ? a->length[0] : 0;
  if (a->rank != 3 || a->length[0] != arrays->networks || a->length[1] != esc_fan_out(shape, l) ||
      a->length[2] != esc_fan_in(shape, l))
    return ESC_FAIL(ESC_BAD_INPUT,
                    "%s: %s has the wrong shape; allowed: (networks, %d, %d), with as many "
                    "networks as the first layer",
                    spec->init.path, name, esc_fan_out(shape, l), esc_fan_in(shape, l));
  if (a->type != ESC_TYPE_FLOAT32 && a->type != ESC_TYPE_FLOAT64)
    return ESC_FAIL(ESC_BAD_INPUT, "%s: %s holds integers; allowed: float32 or float64",
                    spec->init.path, name);
  arrays->single = arrays->single && a->type == ESC_TYPE_FLOAT32;
done:
  return status;
}

/* seed, small_layers and scale of each network; *keyed: whether the file has them. */
static esc_status find_keys(const esc_spec *spec, const esc_npz *npz, int64_t networks,
                            esc_npz_array key[3], bool *keyed) {
  static const char *const names[] = {"seed", "small_layers", "scale"};
  esc_status status = ESC_OK;
  bool found = true;
  *keyed = spec->init.match == ESC_INIT_MATCH_KEY;
  for (int i = 0; i < 3 && *keyed; i++) {
    const bool integer = i < 2;
    ESC_TRY(esc_npz_find(npz, names[i], &key[i], &found));
    if (!found)
      return ESC_FAIL(ESC_BAD_INPUT,
                      "%s: has no array %s, which init.match: key compares; give it, or use "
                      "init.match: index or single",
                      spec->init.path, names[i]);
    const bool is_integer = key[i].type == ESC_TYPE_INT32 || key[i].type == ESC_TYPE_INT64;
    if (key[i].rank != 1 || key[i].length[0] != networks || is_integer != integer)
      return ESC_FAIL(ESC_BAD_INPUT, "%s: %s has the wrong type or shape; allowed: %lld %s",
                      spec->init.path, names[i], (long long)networks,
                      integer ? "integers" : "floats");
  }
done:
  return status;
}

static void copy_layer(const esc_spec *spec, const layer_arrays *arrays, int l,
                       esc_initial_networks *out) {
  const size_t from = esc_weight_offset(spec->problem.shape, l),
               count = esc_weight_offset(spec->problem.shape, l + 1) - from;
  for (size_t i = 0; i < (size_t)out->networks; i++)
    for (size_t k = 0; k < count; k++) {
      const double w = esc_npz_number(&arrays->layer[l], (int64_t)(i * count + k));
      if (out->w32)
        out->w32[i * out->weights + from + k] = (float)w;
      else
        out->w64[i * out->weights + from + k] = w;
    }
}

static esc_status read_npz(const esc_spec *spec, char checksum[ESC_CHECKSUM_TEXT_SIZE],
                           esc_initial_networks **out) {
  esc_status status = ESC_OK;
  esc_npz *npz = NULL;
  layer_arrays arrays = {.single = true};
  esc_npz_array key[3];
  bool keyed;
  const esc_shape shape = spec->problem.shape;
  if (spec->init.kind == ESC_WEIGHTS_SNAPSHOTS || spec->init.kind == ESC_WEIGHTS_ESCAPE)
    return ESC_FAIL(ESC_BAD_INPUT, "%s: init.weights: %s; allowed for an .npz file: start, end",
                    spec->init.path, esc_weights_word(spec->init.kind));
  ESC_TRY(esc_npz_open(spec->init.path, &npz));
  for (int l = 0; l < shape.layers; l++) ESC_TRY(find_layer(spec, npz, l, &arrays));
  ESC_TRY(find_keys(spec, npz, arrays.networks, key, &keyed));
  ESC_TRY(esc_initial_networks_create(arrays.networks, esc_weight_count(shape), arrays.single,
                                      keyed, out));
  for (int l = 0; l < shape.layers; l++) copy_layer(spec, &arrays, l, *out);
  for (int64_t i = 0; keyed && i < arrays.networks; i++)
    (*out)->keyed[i] =
        (esc_keyed_network){{(uint64_t)esc_npz_integer(&key[0], i),
                             (uint64_t)esc_npz_integer(&key[1], i), esc_npz_number(&key[2], i)},
                            i};
  esc_npz_checksum(npz, checksum);
done:
  esc_npz_close(npz);
  return status;
}

/* ---- either ---- */

static esc_status read_any(const esc_spec *spec, char checksum[ESC_CHECKSUM_TEXT_SIZE],
                           esc_initial_networks **out) {
  const char *path = spec->init.path;
  char head[8] = "";
  size_t size = 0;
  esc_status status = ESC_OK;
  int fd = -1;
  if (esc_file_kind_at(path) == ESC_FILE_OTHER && esc_io_exists(path)) {
    ESC_TRY(esc_io_open(path, &fd, &size));
    if (size >= 4) ESC_TRY(esc_io_read_at(fd, path, head, 4, 0));
  }
  status =
      memcmp(head, "PK", 2) == 0 ? read_npz(spec, checksum, out) : read_result(spec, checksum, out);
done:
  if (fd >= 0) close(fd);
  return status;
}

static esc_status compare_checksum(const esc_init_file *init, const char *checksum) {
  if (!init->checksum[0] || !strcmp(init->checksum, checksum)) return ESC_OK;
  return ESC_FAIL(
      ESC_BAD_INPUT,
      "%s: its checksum is %s, but init.checksum is %s: it is not the file that the spec "
      "names",
      init->path, checksum, init->checksum);
}

static esc_status check_count(const esc_spec *spec, const esc_initial_networks *n) {
  const int64_t members = esc_spec_count_members(spec);
  if (spec->init.match == ESC_INIT_MATCH_INDEX && n->networks != members)
    return ESC_FAIL(ESC_BAD_INPUT,
                    "%s: init.match: index: has %lld networks, but the sweep has %lld members",
                    spec->init.path, (long long)n->networks, (long long)members);
  if (spec->init.match == ESC_INIT_MATCH_SINGLE && n->networks != 1)
    return ESC_FAIL(ESC_BAD_INPUT, "%s: init.match: single: has %lld networks; allowed: 1",
                    spec->init.path, (long long)n->networks);
  return ESC_OK;
}

esc_status esc_initial_networks_read(const esc_spec *spec, char checksum[ESC_CHECKSUM_TEXT_SIZE],
                                     esc_initial_networks **out) {
  esc_status status = ESC_OK;
  esc_initial_networks *n = NULL;
  esc_member_key twice;
  ESC_TRY(read_any(spec, checksum, &n));
  ESC_TRY(compare_checksum(&spec->init, checksum));
  n->match = spec->init.match;
  ESC_TRY(check_count(spec, n));
  if (!esc_initial_networks_sort(n, &twice) && n->match == ESC_INIT_MATCH_KEY) {
    status = ESC_FAIL(ESC_BAD_INPUT,
                      "%s: has two networks of seed %llu and scale %g; use init.match: index",
                      spec->init.path, (unsigned long long)twice.seed, twice.scale);
    goto done;
  }
  *out = n;
  n = NULL;
done:
  esc_initial_networks_free(n);
  return status;
}

static bool is_finite(const esc_initial_networks *n, int64_t index) {
  const size_t first = (size_t)index * n->weights;
  for (size_t i = first; i < first + n->weights; i++)
    if (!isfinite(n->w32 ? (double)n->w32[i] : n->w64[i]) ||
        !isfinite((float)(n->w32 ? (double)n->w32[i] : n->w64[i])))
      return false;
  return true;
}

esc_status esc_initial_networks_check(const esc_spec *spec, const esc_initial_networks *n,
                                      const esc_plan *plan) {
  for (int64_t i = 0; n && i < plan->members; i++) {
    const esc_member *m = &plan->member[i];
    const int64_t index = esc_initial_networks_find(n, m);
    if (index >= 0 && is_finite(n, index)) continue;
    return ESC_FAIL(
        ESC_BAD_INPUT, "%s: %s the member of seed %llu, bottleneck %d and scale %g%s",
        spec->init.path, index < 0 ? "has no network for" : "the weights are not finite for",
        (unsigned long long)m->seed, m->bottleneck, m->scale, index < 0 ? " (init.match)" : "");
  }
  return ESC_OK;
}
