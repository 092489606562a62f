/* The spec: a validated YAML file with overrides, ready to plan from.
 *
 * Everything a user can write is checked here, once; nothing deeper checks it
 * again. Errors are ESC_BAD_INPUT with one line: place ("sweep.yaml:12" or
 * "argument 3"), key, value, what is allowed. */
#ifndef ESC_SPEC_H
#define ESC_SPEC_H

#include <stdio.h>

#include "escapement/internal/observe.h"
#include "escapement/internal/problem.h"
#include "escapement/internal/status.h"

typedef struct esc_group {
  int bottleneck;        /* r, 0..L */
  uint64_t small_layers; /* which layers; the first r unless `layers` names others */
  int scales;
  double *scale; /* (scales), owned */
} esc_group;

typedef struct esc_spec {
  char *name;
  esc_problem problem;
  int64_t seeds; /* seeds seed, seed+1, ..., seed+seeds-1 for every scale of every group */
  uint64_t seed;
  int groups;
  esc_group *group;         /* owned */
  esc_record record;        /* samples: filled in where the user names none */
  bool allow_false_escapes; /* escape.false_escapes: allow */
} esc_spec;

enum { ESC_MEMBERS_MAX = 100000000 };

/* Reads `path`, applies `overrides` ("train.batch=128") in order, fills
 * defaults, checks everything. *out is owned by the caller. */
esc_status esc_spec_load(const char *path, int overrides, const char *const *override,
                         esc_spec **out);

/* The same from text in memory; `label` stands for the file's name in messages. */
esc_status esc_spec_parse(const char *label, const char *text, size_t length, int overrides,
                          const char *const *override, esc_spec **out);

/* The whole spec with every default filled in, as YAML that parses back to the
 * same spec; malloc'd, NULL when out of memory. */
char *esc_spec_resolved(const esc_spec *spec);

/* Members of the sweep: groups x scales x seeds. */
int64_t esc_spec_members(const esc_spec *spec);

/* Prints every key with type, range, default and help, from the schema table. */
void esc_spec_help(FILE *out);

void esc_spec_free(esc_spec *spec);

#endif
