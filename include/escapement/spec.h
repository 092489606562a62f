/* SPDX-License-Identifier: Apache-2.0 */
/* The spec: the description of one sweep by the keys that `escapement help` lists, fully validated.
 *
 *   network: {layers: 4, width: 64, activation: tanh}
 *   train: {rate: 0.05, batch: 256, steps: 100000}
 *   escape: {thresholds: [0.12]}
 *   sweep: {seeds: 32, groups: [{bottleneck: 3, scales: [0.1, 0.05]}]}
 *
 * Every error is ESC_BAD_INPUT with a message of one line: location ("sweep.yaml:12" or "argument
 * 3"), key, value, allowed values. */
#ifndef ESCAPEMENT_SPEC_H
#define ESCAPEMENT_SPEC_H

#include <stddef.h>
#include <stdint.h>

#include "escapement/status.h"

typedef struct esc_spec esc_spec;

/* One key of a spec, for user interfaces generated from the list of keys. Texts are constant. */
typedef struct esc_spec_key {
  const char *path;          /* "train.rate"; "[]" stands for any element of a list */
  const char *default_value; /* as YAML; NULL: see default_rule */
  const char *default_rule; /* default that depends on other keys; both NULL: the key is required */
  const char *unit;         /* NULL: dimensionless */
  const char *help;
  char allowed[320]; /* "a number > 0 and <= 10" */
} esc_spec_key;

ESC_BEGIN_DECLS

/* Reads the YAML file `path`, applies the overrides ("train.batch=128") in order, and fills in the
 * defaults. The caller owns *out; free with esc_spec_free. */
ESC_API esc_status esc_spec_load(const char *path, int overrides, const char *const *override,
                                 esc_spec **out);

/* The same for `length` bytes of text; `label` replaces the file name in messages. */
ESC_API esc_status esc_spec_parse(const char *label, const char *text, size_t length, int overrides,
                                  const char *const *override, esc_spec **out);

/* The same for key=value pairs alone: "network.layers=4", "sweep.groups=[{bottleneck: 3,
 * scales: [0.1, 0.05]}]". */
ESC_API esc_status esc_spec_build(int pairs, const char *const *pair, esc_spec **out);

/* The complete spec with every default, as YAML that parses to the same spec. Free with free().
 * NULL: out of memory. */
ESC_API char *esc_spec_resolved(const esc_spec *spec);

/* Name of the sweep (key `name`); valid as long as the spec. */
ESC_API const char *esc_spec_name(const esc_spec *spec);

/* Number of members (networks) of the sweep: groups x scales x seeds. */
ESC_API int64_t esc_spec_count_members(const esc_spec *spec);

/* NULL is allowed. */
ESC_API void esc_spec_free(esc_spec *spec);

/* Number of keys that a spec can have, and description of key `index`, counted from 0.
 * ESC_BAD_INPUT if there is none. */
ESC_API int esc_spec_count_keys(void);
ESC_API esc_status esc_spec_describe_key(int index, esc_spec_key *out);

ESC_END_DECLS

#endif
