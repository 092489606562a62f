/* SPDX-License-Identifier: Apache-2.0 */
/* JSON of numbers that may not be finite and of text that may not be UTF-8. */
#ifndef ESC_JSON_H
#define ESC_JSON_H

#include <jansson.h>

/* A number, or null where it is not finite. */
json_t *esc_json_number(double value);

/* Text, the whole of it; bytes that are not UTF-8 as '?'. NULL without memory. */
json_t *esc_json_text(const char *text);

#endif
