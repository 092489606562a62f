/* SPDX-License-Identifier: Apache-2.0 */
/* The spec: a validated YAML file with overrides.
 *
 * All user input is validated here, once. Errors are ESC_BAD_INPUT with one line: location
 * ("sweep.yaml:12" or "argument 3"), key, value, allowed values. */
#ifndef ESC_SPEC_H
#define ESC_SPEC_H

#include <stdio.h>

#include "escapement/internal/grid.h"
#include "escapement/internal/initial.h"
#include "escapement/internal/observe.h"
#include "escapement/internal/problem.h"
#include "escapement/internal/status.h"
#include "escapement/spec.h"

typedef struct esc_group {
  int bottleneck;        /* r, 0..L */
  uint64_t small_layers; /* bit mask; the first r layers unless `layers` is given */
  int scales;
  double *scale; /* (scales), owned */
} esc_group;

/* Initial weights from a file; path NULL: none. */
typedef struct esc_init_file {
  char *path;        /* owned */
  char checksum[17]; /* checksum of its weights; "": not known yet */
  esc_weights_kind kind;
  int64_t step;     /* of a snapshot */
  double threshold; /* of an escape */
  esc_init_match match;
} esc_init_file;

/* sweep.grid and sweep.zip: the sweep of each point. */
typedef struct esc_spec_grid {
  esc_grid *grid;          /* keys and values; owned */
  struct esc_spec **point; /* (grid->points) specs without a grid; owned */
  char *resolved;          /* text of the whole spec; owned */
} esc_spec_grid;

/* With a grid, the fields other than `grid` are those of its first point; grid->point has the
 * values that depend on a swept key. */
struct esc_spec {
  char *name;
  esc_problem problem;
  esc_init_file init;
  int64_t seeds; /* seeds seed, seed+1, ..., seed+seeds-1 for every scale of every group */
  uint64_t seed;
  int groups;
  esc_group *group;         /* owned */
  esc_record record;        /* samples: filled in if the user gives none */
  bool allow_false_escapes; /* escape.false_escapes: allow */
  esc_spec_grid *grid;      /* NULL: no grid; owned */
};

enum { ESC_MEMBERS_MAX = 100000000 };

/* Number of points, 1 without a grid, and the spec of one. */
int esc_spec_count_points(const esc_spec *spec);
const esc_spec *esc_spec_point(const esc_spec *spec, int point);

/* Weight layers of the deepest networks. */
int esc_spec_layers_max(const esc_spec *spec);

/* ESC_BAD_INPUT for a spec with a grid, which `who` cannot use. */
esc_status esc_spec_refuse_grid(const esc_spec *spec, const char *who);

/* Prints every key with type, range, default and help, from the schema table. */
void esc_spec_help(FILE *out);

#endif
