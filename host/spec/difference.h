/* SPDX-License-Identifier: Apache-2.0 */
/* Two resolved specs (spec.h) compared key by key. Such a text has a line "section:" for
 * each section and "  key: value" for each of its keys (host/spec/resolve.c); what is
 * deeper belongs to the sweep. */
#ifndef ESC_SPEC_DIFFERENCE_H
#define ESC_SPEC_DIFFERENCE_H

#include <stdbool.h>

#include "base/text.h"
#include "spec/spec.h"

/* The first key that differs. Long values are shown from where they begin to. */
typedef struct esc_spec_difference {
  esc_quoted key, first, second; /* a value "absent": that spec lacks the key */
} esc_spec_difference;

/* True if a key differs that is not among `allowed` (ended by NULL; a section's name
 * stands for all its keys). */
bool esc_spec_differ(const char *first, const char *second, const char *const *allowed,
                     esc_spec_difference *out);

/* ESC_OK if the spec `now` (resolved: now_text) describes the same experiment as `before`
 * and has all of its members: then nothing that was trained changes, and *out (owned by
 * the caller) is `before`, parsed. Else ESC_BAD_INPUT: what of `before`, which is that of
 * the file `path`, differs, and what may. */
esc_status esc_spec_check_growth(const char *path, const char *before, const esc_spec *now,
                                 const char *now_text, esc_spec **out);

#endif
