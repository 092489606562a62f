/* SPDX-License-Identifier: Apache-2.0 */
/* Schema of the spec: the table of keys from which validation, defaults, overrides and the printed
 * help are derived. */
#ifndef ESC_SPEC_SCHEMA_H
#define ESC_SPEC_SCHEMA_H

#include <stdbool.h>
#include <stdio.h>

/* Type of a value, or of an element of a list. */
typedef enum esc_value_type {
  ESC_VALUE_SECTION, /* a mapping; its keys are the rows below "path." or "path[]." */
  ESC_VALUE_INTEGER,
  ESC_VALUE_NUMBER,
  ESC_VALUE_TEXT, /* range: bytes */
  ESC_VALUE_CHOICE,
  ESC_VALUE_ACTIVATION,
  ESC_VALUE_SWEPT, /* a mapping from keys of the spec to their values (grid.h) */
} esc_value_type;

/* Allowed shapes of a value; bits. */
enum {
  ESC_SHAPE_SCALAR = 1, /* also the meaning of 0 */
  ESC_SHAPE_LIST = 2,
  ESC_SHAPE_NESTED_LIST = 4, /* a list of lists */
  ESC_SHAPE_MAPPING = 8,     /* instead of the value: a mapping with the keys below "path." */
};

typedef struct esc_key {
  const char *path; /* "train.rate"; "[]" stands for each element of a list */
  esc_value_type type;
  unsigned shape;
  double lower, upper;               /* closed range, unless open: */
  bool lower_is_open, upper_is_open; /* lower or upper itself is not allowed */
  bool nonzero, distinct;
  const char *upper_key;    /* integer key of the spec whose value is the upper bound */
  int min_items, max_items; /* number of elements of a list */
  const char *choices; /* "plain|compensated": allowed words, or words allowed besides numbers */
  const char *default_value; /* as YAML */
  const char *default_rule;  /* text: a default that depends on other keys; without either default
                                the key is required */
  const char *unit, *help;
} esc_key;

extern const esc_key esc_schema[];
extern const int esc_schema_keys;

/* The row of `path`, or NULL. */
const esc_key *esc_schema_find(const char *path);

/* The name after `prefix` if `key` is one of the keys directly below it
 * ("train.", "" for the whole spec), else NULL. */
const char *esc_schema_child_name(const esc_key *key, const char *prefix);

/* Index of `text` among `choices`, or -1; and the choice at an index. */
int esc_choice_find(const char *choices, const char *text);
const char *esc_choice_get(const char *choices, int index, int *length);

/* Description of the allowed values ("a number > 0 and <= 10"). */
typedef struct esc_allowed {
  char text[320];
} esc_allowed;
esc_allowed esc_schema_allowed(const esc_key *key);

/* The keys directly below `prefix` ("train."). */
esc_allowed esc_schema_allowed_keys(const char *prefix);

/* " (did you mean train.batch?)" for an unknown `path` or a `text` that is not among `choices`; ""
 * without a similar one. */
typedef struct esc_hint {
  char text[96];
} esc_hint;
esc_hint esc_schema_hint(const char *path);
esc_hint esc_choice_hint(const char *choices, const char *text);

#endif
