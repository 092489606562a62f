/* SPDX-License-Identifier: Apache-2.0 */
/* What can be written in a spec: one table of keys, which alone drives the
 * check of values and unknown keys, defaults, overrides and the printed help. */
#ifndef ESC_SPEC_SCHEMA_H
#define ESC_SPEC_SCHEMA_H

#include <stdbool.h>
#include <stdio.h>

/* What one value, or one element of a list, is. */
typedef enum esc_value_type {
  ESC_VALUE_SECTION, /* a mapping; its keys are the rows below "path." or "path[]." */
  ESC_VALUE_INTEGER,
  ESC_VALUE_NUMBER,
  ESC_VALUE_TEXT, /* range: bytes */
  ESC_VALUE_CHOICE,
  ESC_VALUE_ACTIVATION,
} esc_value_type;

/* How values may come; bits. */
enum {
  ESC_SHAPE_SCALAR = 1, /* also what 0 means */
  ESC_SHAPE_LIST = 2,
  ESC_SHAPE_NESTED_LIST = 4, /* a list of lists */
  ESC_SHAPE_MAPPING = 8,     /* in place of the value: a mapping of the rows below "path." */
};

typedef struct esc_key {
  const char *path; /* "train.rate"; "[]" stands for each element of a list */
  esc_value_type type;
  unsigned shape;
  double lower, upper;               /* both allowed, unless... */
  bool lower_is_open, upper_is_open; /* ...lower or upper itself is not */
  bool nonzero, distinct;
  const char *upper_key;     /* an integer key of the spec whose value is the upper end */
  int min_items, max_items;  /* elements of a list */
  const char *choices;       /* "plain|compensated": words allowed, or allowed beside numbers */
  const char *default_value; /* the default, as YAML */
  const char *default_rule;  /* in words: a default that depends on the rest; NULL with no
                             `standard`: the key is required */
  const char *unit, *help;
} esc_key;

extern const esc_key esc_schema[];
extern const int esc_schema_keys;

/* The row of `path`, or NULL. */
const esc_key *esc_schema_find(const char *path);

/* The name after `prefix` if `key` is one of the keys directly below it
 * ("train.", "" for the whole spec), else NULL. */
const char *esc_schema_child_name(const esc_key *key, const char *prefix);

/* Place of `text` among `words`, or -1; and the word at a place. */
int esc_choice_find(const char *choices, const char *text);
const char *esc_choice_get(const char *choices, int index, int *length);

/* What is allowed, in words ("a number > 0 and <= 10"). */
typedef struct esc_allowed {
  char text[320];
} esc_allowed;
esc_allowed esc_schema_allowed(const esc_key *key);

/* The keys directly below `prefix` ("train."). */
esc_allowed esc_schema_allowed_keys(const char *prefix);

/* " (did you mean train.batch?)" for an unknown `path` or a `text` that is none
 * of `words`; "" if nothing is near. */
typedef struct esc_hint {
  char text[96];
} esc_hint;
esc_hint esc_schema_hint(const char *path);
esc_hint esc_choice_hint(const char *choices, const char *text);

#endif
