/* SPDX-License-Identifier: Apache-2.0 */
/* A spec: one sweep, described by the keys that `escapement help` lists and checked as a whole.
 *
 *   network: {layers: 4, width: 64, activation: tanh}
 *   train: {rate: 0.05, batch: 256, steps: 100000}
 *   escape: {thresholds: [0.12]}
 *   sweep: {seeds: 32, groups: [{bottleneck: 3, scales: [0.1, 0.05]}]}
 *
 * Every error is ESC_BAD_INPUT with one line: where ("sweep.yaml:12" or "argument 3"), key, value,
 * what is allowed. */
#ifndef ESCAPEMENT_SPEC_H
#define ESCAPEMENT_SPEC_H

#include <stddef.h>
#include <stdint.h>

#include "escapement/status.h"

typedef struct esc_spec esc_spec;

/* One key of a spec, for interfaces that are built from the list. Texts are constant. */
typedef struct esc_spec_key {
  const char *path;          /* "train.rate"; "[]" stands for each element of a list */
  const char *default_value; /* as YAML; NULL: see default_rule */
  const char *default_rule; /* a default that depends on other keys; both NULL: the key is needed */
  const char *unit;         /* NULL: none */
  const char *help;
  char allowed[320]; /* "a number > 0 and <= 10" */
} esc_spec_key;

ESC_BEGIN_DECLS

/* Reads the YAML file `path`, applies `overrides` ("train.batch=128") in order, fills in the
 * defaults. *out is the caller's, to be freed with esc_spec_free. */
ESC_API esc_status esc_spec_load(const char *path, int overrides, const char *const *override,
                                 esc_spec **out);

/* The same from `length` bytes of text; `label` stands for the file's name in messages. */
ESC_API esc_status esc_spec_parse(const char *label, const char *text, size_t length, int overrides,
                                  const char *const *override, esc_spec **out);

/* The same from nothing but key=value pairs: "network.layers=4", "sweep.groups=[{bottleneck: 3,
 * scales: [0.1, 0.05]}]". */
ESC_API esc_status esc_spec_build(int pairs, const char *const *pair, esc_spec **out);

/* The whole spec with every default filled in, as YAML that parses back to the same spec; to be
 * freed with free(). NULL: out of memory. */
ESC_API char *esc_spec_resolved(const esc_spec *spec);

/* The sweep's name, the spec's `name`; valid as long as the spec. */
ESC_API const char *esc_spec_name(const esc_spec *spec);

/* Members of the sweep, groups x scales x seeds: one network each. */
ESC_API int64_t esc_spec_count_members(const esc_spec *spec);

/* NULL is fine. */
ESC_API void esc_spec_free(esc_spec *spec);

/* Number of keys that a spec can have, and key `index` of them, counted from 0. ESC_BAD_INPUT
 * beyond the last. */
ESC_API int esc_spec_count_keys(void);
ESC_API esc_status esc_spec_describe_key(int index, esc_spec_key *out);

ESC_END_DECLS

#endif
