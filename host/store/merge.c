/* SPDX-License-Identifier: Apache-2.0 */
#include "store/merge.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "escapement/internal/observe.h"
#include "escapement/internal/results_copy.h"
#include "store/segments.h"

/* Reads the shard's number and the number of shards. */
static esc_status read_shard(const char *name, const esc_results *r, int64_t *shard,
                             int64_t *shards) {
  long long i = -1, n = 0;
  const char *text = esc_results_attribute_text(r, "shard");
  if (!text || sscanf(text, "%lld/%lld", &i, &n) != 2 || i < 0 || i >= n)
    return ESC_FAIL(ESC_BAD_INPUT, "%s: has no valid attribute shard", name);
  *shard = i;
  *shards = n;
  return ESC_OK;
}

/* Checks that an attribute of part i equals that of the first part. */
static esc_status check_same_attribute(const esc_merge *m, int i, const char *attribute) {
  const char *first = esc_results_attribute_text(m->part[0], attribute);
  const char *here = esc_results_attribute_text(m->part[i], attribute);
  if (first && here && !strcmp(first, here)) return ESC_OK;
  return ESC_FAIL(ESC_BAD_INPUT, "%.300s and %.300s belong to different runs: they differ in %s",
                  m->name[0], m->name[i], attribute);
}

/* Sorts `part` and `name` by shard; refuses duplicates. With more shards than parts, one of the
 * first parts + 1 shards is missing, so that an array of parts + 1 is sufficient. */
static esc_status sort_parts(esc_merge *m, int64_t shards) {
  esc_status status = ESC_OK;
  int64_t shard = 0, others = 0;
  const int64_t places = shards < m->parts ? shards : m->parts + 1;
  const esc_results **part = calloc((size_t)places, sizeof *part);
  const char **name = calloc((size_t)places, sizeof *name);
  ESC_TRY_ALLOCATE(part);
  ESC_TRY_ALLOCATE(name);
  for (int i = 0; i < m->parts; i++) {
    ESC_TRY(read_shard(m->name[i], m->part[i], &shard, &others));
    if (shard >= places) continue;
    if (part[shard])
      status = ESC_FAIL(ESC_BAD_INPUT, "%.300s and %.300s are both shard %lld of %lld", name[shard],
                        m->name[i], (long long)shard, (long long)shards);
    if (status != ESC_OK) goto done;
    part[shard] = m->part[i];
    name[shard] = m->name[i];
  }
  for (int64_t i = 0; i < shards; i++) {
    if (i >= places || !part[i])
      status = ESC_FAIL(ESC_BAD_INPUT, "shard %lld of %lld is missing: %d files were given",
                        (long long)i, (long long)shards, m->parts);
    if (status != ESC_OK) goto done;
  }
  memcpy(m->part, part, (size_t)m->parts * sizeof *part);
  memcpy(m->name, name, (size_t)m->parts * sizeof *name);
done:
  free(part);
  free(name);
  return status;
}

/* Checks that every shard holds exactly its members. */
static esc_status check_members(const esc_merge *m) {
  for (int i = 0; i < m->parts; i++) {
    const esc_results *r = m->part[i];
    const int64_t count = (m->members - i + m->parts - 1) / m->parts;
    for (int64_t k = 0; k < r->members && k < count; k++)
      if (r->member[k] != i + k * m->parts)
        return ESC_FAIL(ESC_BAD_INPUT, "%s: row %lld holds member %lld instead of %lld", m->name[i],
                        (long long)k, (long long)r->member[k], (long long)(i + k * m->parts));
    if (r->members != count)
      return ESC_FAIL(ESC_BAD_INPUT, "%s: holds %lld members; its shard has %lld", m->name[i],
                      (long long)r->members, (long long)count);
  }
  return ESC_OK;
}

esc_status esc_merge_sort(esc_merge *m) {
  esc_status status = ESC_OK;
  int64_t shard = 0, shards = 0, others = 0;
  ESC_TRY(read_shard(m->name[0], m->part[0], &shard, &shards));
  for (int i = 0; i < m->parts; i++) {
    ESC_TRY(check_same_attribute(m, i, "spec"));
    ESC_TRY(check_same_attribute(m, i, "precision"));
    if (m->part[0]->grid || m->part[i]->grid) ESC_TRY(check_same_attribute(m, i, "grid"));
    ESC_TRY(read_shard(m->name[i], m->part[i], &shard, &others));
    if (others != shards)
      return ESC_FAIL(ESC_BAD_INPUT,
                      "%.300s and %.300s belong to different runs: %lld shards and %lld shards",
                      m->name[0], m->name[i], (long long)shards, (long long)others);
  }
  ESC_TRY(sort_parts(m, shards));
done:
  return status;
}

/* Row k of shard i is member i + k * shards, and the row of that index in the merged result. */
static esc_status join_rows(esc_merge *m) {
  esc_status status = ESC_OK;
  const esc_results *first = m->part[0];
  ESC_TRY(esc_results_create(m->members, first->thresholds, first->layers, &m->merged));
  for (int t = 0; t < first->thresholds; t++) m->merged->threshold[t] = first->threshold[t];
  if (first->grid) ESC_TRY(esc_results_add_grid(m->merged, first->grid));
  for (int64_t j = 0; j < m->members; j++) {
    esc_results_copy_row(m->part[j % m->parts], j / m->parts, m->merged, j);
    m->merged->member[j] = j;
    if (first->grid) m->merged->point[j] = m->part[j % m->parts]->point[j / m->parts];
  }
done:
  return status;
}

static void copy_snapshots(const esc_merge *m, int64_t j) {
  const esc_results *from = m->part[j % m->parts];
  for (int o = 0; o < ESC_OBSERVABLES && from->snapshots; o++) {
    const int64_t length = esc_observable_length(from->layers, esc_observables[o].axis);
    memcpy(m->merged->observable[o] + j * m->merged->snapshots * length,
           from->observable[o] + j / m->parts * from->snapshots * length,
           (size_t)(from->snapshots * length) * sizeof(double));
    memcpy(m->merged->observable_end[o] + j * length,
           from->observable_end[o] + j / m->parts * length, (size_t)length * sizeof(double));
  }
}

/* The snapshots of a shard end with its longest member, so that the steps of one shard are a prefix
 * of the other's. */
static esc_status join_snapshots(esc_merge *m) {
  esc_status status = ESC_OK;
  int longest = 0;
  for (int i = 1; i < m->parts; i++)
    if (m->part[i]->snapshots > m->part[longest]->snapshots) longest = i;
  const esc_results *full = m->part[longest];
  if (full->snapshots == 0) return ESC_OK;
  for (int i = 0; i < m->parts; i++) {
    if (m->part[i]->members > 0 && m->part[i]->snapshots == 0)
      return ESC_FAIL(ESC_BAD_INPUT, "%.300s has snapshots and %.300s has none", m->name[longest],
                      m->name[i]);
    for (int64_t k = 0; k < m->part[i]->snapshots; k++)
      if (m->part[i]->snapshot_step[k] != full->snapshot_step[k])
        return ESC_FAIL(ESC_BAD_INPUT, "%.300s and %.300s have snapshots of different steps",
                        m->name[longest], m->name[i]);
  }
  ESC_TRY(esc_results_add_snapshots(m->merged, full->snapshots));
  memcpy(m->merged->snapshot_step, full->snapshot_step,
         (size_t)full->snapshots * sizeof *full->snapshot_step);
  for (int64_t j = 0; j < m->members; j++) copy_snapshots(m, j);
done:
  return status;
}

/* The weights of part i, which has as many networks of a member or fewer (snapshots). */
static void copy_weights(const esc_merge *m, int i, esc_weights_kind kind, float *network) {
  const esc_results *from = m->part[i];
  const int64_t entries = esc_axis_length(from, esc_weights_axis(kind));
  for (int64_t k = 0; k < from->members; k++)
    for (int64_t entry = 0; entry < entries; entry++) {
      esc_results_get_weights(from, kind, k, entry, network);
      esc_results_set_weights(m->merged, kind, i + k * m->parts, entry, network);
    }
}

/* Weights of all parts; one without members may have none. */
static esc_status join_weights(esc_merge *m) {
  esc_status status = ESC_OK;
  float *network = NULL;
  const esc_results *first = NULL;
  for (int i = 0; i < m->parts; i++) {
    if (m->part[i]->members == 0) continue;
    if (!first) first = m->part[i];
    if (m->part[i]->weights != first->weights || m->part[i]->width != first->width ||
        m->part[i]->inputs != first->inputs)
      return ESC_FAIL(ESC_BAD_INPUT, "%.300s: holds other weights than the other shards",
                      m->name[i]);
  }
  if (!first || !first->weights) return ESC_OK;
  ESC_TRY_ALLOCATE(network = calloc(esc_weight_count(esc_results_shape(first)), sizeof *network));
  ESC_TRY(esc_results_add_weights(m->merged, first->weights, first->width, first->inputs));
  for (int i = 0; i < m->parts; i++)
    for (int k = 0; k < ESC_WEIGHTS_KINDS; k++)
      if (m->part[i]->members > 0 && esc_results_has_weights(first, (esc_weights_kind)k))
        copy_weights(m, i, (esc_weights_kind)k, network);
done:
  free(network);
  return status;
}

/* Points of a grid may have snapshots of different steps. */
static esc_status join_grid_snapshots(esc_merge *m) {
  esc_status status = ESC_OK;
  ESC_TRY(esc_results_add_union(m->parts, m->part, m->merged));
  for (int64_t j = 0; j < m->members; j++)
    esc_results_copy_snapshots(m->part[j % m->parts], j / m->parts, m->merged, j);
done:
  return status;
}

/* Whether an earlier part than i has the same text. */
static bool is_repeated(const esc_merge *m, int i, const char *name, const char *text) {
  for (int k = 0; k < i; k++) {
    const char *other = esc_results_attribute_text(m->part[k], name);
    if (other && !strcmp(other, text)) return true;
  }
  return false;
}

/* Concatenates the distinct texts of an attribute, in the order of shards. */
static esc_status join_attribute(esc_merge *m, const char *name) {
  esc_status status = ESC_OK;
  char *text = NULL;
  size_t size = 1;
  for (int i = 0; i < m->parts; i++) {
    const char *here = esc_results_attribute_text(m->part[i], name);
    size += here ? strlen(here) + 2 : 0;
  }
  ESC_TRY_ALLOCATE(text = calloc(1, size));
  char *end = text;
  for (int i = 0; i < m->parts; i++) {
    const char *here = esc_results_attribute_text(m->part[i], name);
    if (!here || is_repeated(m, i, name, here)) continue;
    end = stpcpy(stpcpy(end, end == text ? "" : "; "), here);
  }
  ESC_TRY(esc_results_set_attribute(m->merged, name, text));
done:
  free(text);
  return status;
}

/* The segments of all shards; those of a common earlier result once. */
static esc_status join_segments(esc_merge *m) {
  esc_status status = ESC_OK;
  json_t *segments = json_array(), *more = NULL;
  ESC_TRY_ALLOCATE(segments);
  for (int i = 0; i < m->parts; i++) {
    json_decref(more);
    ESC_TRY_ALLOCATE(more = esc_segments_from_results(m->part[i]));
    ESC_TRY(esc_segments_join(segments, more));
  }
  ESC_TRY(esc_segments_sort(&segments));
  ESC_TRY(esc_segments_store(segments, m->merged));
done:
  json_decref(more);
  json_decref(segments);
  return status;
}

static esc_status join_attributes(esc_merge *m) {
  esc_status status = ESC_OK;
  char text[64];
  for (int i = 0; i < m->part[0]->attributes; i++)
    ESC_TRY(join_attribute(m, m->part[0]->attribute[i].name));
  ESC_TRY(join_segments(m));
  ESC_TRY(esc_results_set_attribute(m->merged, "shard", "0/1"));
  snprintf(text, sizeof text, "%d", m->parts);
  ESC_TRY(esc_results_set_attribute(m->merged, "merged_shards", text));
done:
  return status;
}

esc_status esc_merge_join(esc_merge *m) {
  esc_status status = ESC_OK;
  ESC_TRY(check_members(m));
  ESC_TRY(join_rows(m));
  ESC_TRY(m->part[0]->grid ? join_grid_snapshots(m) : join_snapshots(m));
  ESC_TRY(join_weights(m));
  ESC_TRY(join_attributes(m));
done:
  if (status != ESC_OK) {
    esc_results_free(m->merged);
    m->merged = NULL;
  }
  return status;
}
