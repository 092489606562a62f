/* SPDX-License-Identifier: Apache-2.0 */
#include "escapement/internal/initial.h"

#include <math.h>
#include <stdlib.h>

esc_status esc_initial_networks_create(int64_t networks, size_t weights, bool single, bool keyed,
                                       esc_initial_networks **out) {
  esc_status status = ESC_OK;
  const size_t count = (size_t)networks * weights;
  esc_initial_networks *n = calloc(1, sizeof *n);
  ESC_TRY_ALLOCATE(n);
  n->networks = networks;
  n->weights = weights;
  if (single)
    ESC_TRY_ALLOCATE(n->w32 = calloc(count + 1, sizeof *n->w32));
  else
    ESC_TRY_ALLOCATE(n->w64 = calloc(count + 1, sizeof *n->w64));
  if (keyed) ESC_TRY_ALLOCATE(n->keyed = calloc((size_t)networks + 1, sizeof *n->keyed));
  *out = n;
  n = NULL;
done:
  esc_initial_networks_free(n);
  return status;
}

void esc_initial_networks_free(esc_initial_networks *n) {
  if (!n) return;
  free(n->w32);
  free(n->w64);
  free(n->keyed);
  free(n);
}

static int compare_keys(const void *first, const void *second) {
  const esc_member_key a = ((const esc_keyed_network *)first)->key,
                       b = ((const esc_keyed_network *)second)->key;
  if (a.seed != b.seed) return a.seed < b.seed ? -1 : 1;
  if (a.small_layers != b.small_layers) return a.small_layers < b.small_layers ? -1 : 1;
  return a.scale < b.scale ? -1 : a.scale > b.scale;
}

bool esc_initial_networks_sort(esc_initial_networks *n, esc_member_key *twice) {
  if (!n->keyed) return true;
  qsort(n->keyed, (size_t)n->networks, sizeof *n->keyed, compare_keys);
  for (int64_t i = 1; i < n->networks; i++)
    if (esc_member_key_equal(n->keyed[i - 1].key, n->keyed[i].key)) {
      *twice = n->keyed[i].key;
      return false;
    }
  return true;
}

int64_t esc_initial_networks_find(const esc_initial_networks *n, const esc_member *m) {
  const esc_keyed_network wanted = {esc_member_key_of(m), 0};
  if (n->match == ESC_INIT_MATCH_SINGLE) return n->networks == 1 ? 0 : -1;
  if (n->match == ESC_INIT_MATCH_INDEX) return m->index < n->networks ? m->index : -1;
  const esc_keyed_network *found =
      n->keyed ? bsearch(&wanted, n->keyed, (size_t)n->networks, sizeof wanted, compare_keys)
               : NULL;
  return found ? found->index : -1;
}

void esc_initial_networks_copy(const esc_initial_networks *n, const esc_member *m, double *w) {
  const int64_t index = esc_initial_networks_find(n, m);
  const size_t first = index < 0 ? 0 : (size_t)index * n->weights;
  for (size_t i = 0; i < n->weights; i++)
    w[i] = index < 0 ? (double)NAN : n->w32 ? (double)n->w32[first + i] : n->w64[first + i];
}
