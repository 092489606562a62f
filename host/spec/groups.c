/* SPDX-License-Identifier: Apache-2.0 */
/* Groups of the sweep: layers, scales, and the check for duplicate networks. */
#include "spec/groups.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "spec/validate.h"

/* ---- which layers ---- */

static uint64_t first_layers(int n) { return n == 0 ? 0 : ~UINT64_C(0) >> (64 - n); }

static esc_status read_layers(const esc_node *node, int index, esc_group *group) {
  const esc_node *layers = esc_node_get(node, "layers");
  group->small_layers = layers ? 0 : first_layers(group->bottleneck);
  if (!layers) return ESC_OK;
  if (layers->children != group->bottleneck)
    return ESC_FAIL(ESC_BAD_INPUT,
                    "%s: sweep.groups[%d].layers: names %d layers; allowed: as many as "
                    "bottleneck, %d",
                    esc_node_location(layers).text, index, layers->children, group->bottleneck);
  for (int i = 0; i < layers->children; i++)
    group->small_layers |= UINT64_C(1) << (layers->child[i]->integer - 1);
  return ESC_OK;
}

/* ---- which scales ---- */

void esc_log_spacing_fill(double from, double to, int count, double *scale) {
  const double step = count > 1 ? log(to / from) / (count - 1) : 0;
  const double scale_min = fmin(from, to), scale_max = fmax(from, to);
  for (int i = 0; i < count; i++) scale[i] = fmin(fmax(from * exp(step * i), scale_min), scale_max);
  scale[count - 1] = to;
  scale[0] = from;
}

static esc_status check_log_spacing(const esc_node *scales, int index, double from, double to,
                                    int64_t count) {
  if (count > 1 || from == to) return ESC_OK;
  return ESC_FAIL(ESC_BAD_INPUT,
                  "%s: sweep.groups[%d].scales.count: 1 scale cannot go from %g to %g; allowed: "
                  "at least 2, or from = to",
                  esc_node_location(esc_node_get(scales, "count")).text, index, from, to);
}

static esc_status read_log_spacing(const esc_node *scales, int index, esc_group *group) {
  const double from = esc_node_get(scales, "from")->number;
  const double to = esc_node_get(scales, "to")->number;
  const int64_t count = esc_node_get(scales, "count")->integer;
  const esc_status status = check_log_spacing(scales, index, from, to, count);
  if (status != ESC_OK) return status;
  group->scales = (int)count;
  group->scale = calloc((size_t)count, sizeof *group->scale);
  if (!group->scale) return ESC_FAIL(ESC_NO_MEMORY, "out of memory (scales)");
  esc_log_spacing_fill(from, to, group->scales, group->scale);
  return ESC_OK;
}

static esc_status read_list(const esc_node *scales, esc_group *group) {
  group->scales = scales->children;
  group->scale = calloc((size_t)group->scales, sizeof *group->scale);
  if (!group->scale) return ESC_FAIL(ESC_NO_MEMORY, "out of memory (scales)");
  for (int i = 0; i < group->scales; i++) group->scale[i] = scales->child[i]->number;
  return ESC_OK;
}

static esc_status read_group(const esc_node *node, int index, esc_group *group) {
  const esc_node *scales = esc_node_get(node, "scales");
  esc_status status = ESC_OK;
  group->bottleneck = (int)esc_node_get(node, "bottleneck")->integer;
  ESC_TRY(read_layers(node, index, group));
  ESC_TRY(scales->kind == ESC_NODE_MAPPING ? read_log_spacing(scales, index, group)
                                           : read_list(scales, group));
done:
  return status;
}

/* ---- duplicate networks ---- */

/* One scale of one group; entries with the same layers and scale are duplicates. */
typedef struct entry {
  uint64_t layers;
  double scale;
  int group, index;
} entry;

static int compare(const void *left, const void *right) {
  const entry *a = left, *b = right;
  if (a->layers != b->layers) return a->layers < b->layers ? -1 : 1;
  if (a->scale != b->scale) return a->scale < b->scale ? -1 : 1;
  if (a->group != b->group) return a->group < b->group ? -1 : 1;
  return (a->index > b->index) - (a->index < b->index);
}

static esc_status refuse_duplicate(const esc_node *groups, const entry *first,
                                   const entry *second) {
  const esc_node *scales = esc_node_get(groups->child[second->group], "scales");
  const esc_node *node = scales->kind == ESC_NODE_LIST ? scales->child[second->index] : scales;
  return ESC_FAIL(ESC_BAD_INPUT,
                  "%s: sweep.groups[%d].scales: %g appears twice for the same layers, first in "
                  "sweep.groups[%d]; allowed: each network once",
                  esc_node_location(node).text, second->group, second->scale, first->group);
}

static esc_status check_duplicates(const esc_node *groups, const esc_spec *spec, size_t scales) {
  esc_status status = ESC_OK;
  size_t used = 0;
  entry *all = calloc(scales, sizeof *all); /* (scales) of all groups */
  ESC_TRY_ALLOCATE(all);
  for (int g = 0; g < spec->groups; g++)
    for (int i = 0; i < spec->group[g].scales; i++)
      all[used++] = (entry){spec->group[g].small_layers, spec->group[g].scale[i], g, i};
  qsort(all, used, sizeof *all, compare);
  for (size_t i = 1; i < used; i++)
    if (all[i].layers == all[i - 1].layers && all[i].scale == all[i - 1].scale)
      ESC_TRY(refuse_duplicate(groups, &all[i - 1], &all[i]));
done:
  free(all);
  return status;
}

/* ---- limits ---- */

static esc_status check_scales(const esc_node *groups, int64_t scales) {
  if (scales <= ESC_SCALES_MAX) return ESC_OK;
  return ESC_FAIL(ESC_BAD_INPUT,
                  "%s: sweep.groups: more than %d scales in all groups together; allowed: at most "
                  "%d (seeds are not counted)",
                  esc_node_location(groups).text, ESC_SCALES_MAX, ESC_SCALES_MAX);
}

static esc_status check_members(const esc_node *root, const esc_spec *spec, int64_t scales) {
  const esc_node *seeds = esc_node_find(root, "sweep.seeds");
  if (scales * spec->seeds <= ESC_MEMBERS_MAX) return ESC_OK;
  return ESC_FAIL(ESC_BAD_INPUT,
                  "%s: sweep.seeds: %lld seeds x %lld scales = %lld networks; allowed: at most %d "
                  "networks",
                  esc_node_location(seeds).text, (long long)spec->seeds, (long long)scales,
                  (long long)(scales * spec->seeds), ESC_MEMBERS_MAX);
}

esc_status esc_groups_read(const esc_node *root, esc_spec *spec) {
  const esc_node *groups = esc_node_find(root, "sweep.groups");
  esc_status status = ESC_OK;
  int64_t scales = 0;
  spec->group = calloc((size_t)groups->children, sizeof *spec->group);
  ESC_TRY_ALLOCATE(spec->group);
  spec->groups = groups->children;
  for (int g = 0; g < spec->groups; g++) {
    ESC_TRY(read_group(groups->child[g], g, &spec->group[g]));
    scales += spec->group[g].scales;
    ESC_TRY(check_scales(groups, scales));
  }
  ESC_TRY(check_members(root, spec, scales));
  ESC_TRY(check_duplicates(groups, spec, (size_t)scales));
done:
  return status;
}
