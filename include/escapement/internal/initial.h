/* SPDX-License-Identifier: Apache-2.0 */
/* Initial weights from a file (init.scheme: file): networks in memory, and which of them starts a
 * member. */
#ifndef ESCAPEMENT_INITIAL_H
#define ESCAPEMENT_INITIAL_H

#include "escapement/internal/problem.h"
#include "escapement/internal/status.h"

/* The network of the file that starts a member, in the order of the words of init.match:
 *   key     that of the same seed, small layers and scale
 *   index   that of the same index in the sweep
 *   single  the only one, for all members */
typedef enum esc_init_match {
  ESC_INIT_MATCH_KEY,
  ESC_INIT_MATCH_INDEX,
  ESC_INIT_MATCH_SINGLE
} esc_init_match;

typedef struct esc_keyed_network {
  esc_member_key key;
  int64_t index;
} esc_keyed_network;

typedef struct esc_initial_networks {
  esc_init_match match;
  int64_t networks;
  size_t weights;           /* of a network */
  float *w32;               /* (network, weight), flat as in esc_weight_offset; owned, or NULL: */
  double *w64;              /* the same in double; owned */
  esc_keyed_network *keyed; /* (networks) sorted by key; owned; NULL: the file has no keys */
} esc_initial_networks;

/* Allocates zeroed networks, in float if `single`, with keys if `keyed`. */
esc_status esc_initial_networks_create(int64_t networks, size_t weights, bool single, bool keyed,
                                       esc_initial_networks **out);
void esc_initial_networks_free(esc_initial_networks *initial); /* NULL is allowed */

/* Sorts the keys, which are then ready to be found. False if one appears twice: *twice. */
bool esc_initial_networks_sort(esc_initial_networks *initial, esc_member_key *twice);

/* Index of the network that starts `member`, or -1. */
int64_t esc_initial_networks_find(const esc_initial_networks *initial, const esc_member *member);

/* Copies its weights; NaN where there is none. */
void esc_initial_networks_copy(const esc_initial_networks *initial, const esc_member *member,
                               double *weights);

#endif
