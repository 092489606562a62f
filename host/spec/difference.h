/* SPDX-License-Identifier: Apache-2.0 */
/* Comparison of two resolved specs (spec.h), key by key. Such a text has a line "section:" for
 * each section and "  key: value" for each of its keys (host/spec/resolve.c); deeper lines belong
 * to the sweep. */
#ifndef ESC_SPEC_DIFFERENCE_H
#define ESC_SPEC_DIFFERENCE_H

#include <stdbool.h>

#include "base/text.h"
#include "spec/spec.h"

/* The first key that differs. Long values are shown from their first difference. */
typedef struct esc_spec_difference {
  esc_quoted key, first, second; /* value "absent": the spec lacks the key */
} esc_spec_difference;

/* True if a key differs that is not among `allowed` (ended by NULL; the name of a section includes
 * all its keys). */
bool esc_spec_differ(const char *first, const char *second, const char *const *allowed,
                     esc_spec_difference *out);

/* ESC_OK if the spec `now` (resolved text: now_text) describes the same experiment as `before` and
 * has all its members; *out (owned by the caller) is then `before`, parsed. Else ESC_BAD_INPUT with
 * the difference from `before`, the spec in the file `path`, and the allowed changes. */
esc_status esc_spec_check_growth(const char *path, const char *before, const esc_spec *now,
                                 const char *now_text, esc_spec **out);

#endif
