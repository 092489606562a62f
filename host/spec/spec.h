/* SPDX-License-Identifier: Apache-2.0 */
/* The spec: a validated YAML file with overrides.
 *
 * All user input is validated here, once. Errors are ESC_BAD_INPUT with one line: location
 * ("sweep.yaml:12" or "argument 3"), key, value, allowed values. */
#ifndef ESC_SPEC_H
#define ESC_SPEC_H

#include <stdio.h>

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
};

enum { ESC_MEMBERS_MAX = 100000000 };

/* Prints every key with type, range, default and help, from the schema table. */
void esc_spec_help(FILE *out);

#endif
