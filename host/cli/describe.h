/* SPDX-License-Identifier: Apache-2.0 */
/* The tables of options, keys and variables as JSON, for `--help=json`. tools/guide generates man
 * pages and completions from them, so that these agree with the parser. */
#ifndef ESC_DESCRIBE_H
#define ESC_DESCRIBE_H

#include <jansson.h>

#include "cli/options.h"

/* {usage, summary, options: [{name, letter, argument, help, minimum, maximum, values, suffixes}],
 * operands: {values, suffixes, overrides}}; NULL without memory. */
json_t *esc_describe_command(const esc_command *command);

/* {version, spec: [key], exit_statuses: [{status, meaning}], environment: [{name, help, internal}],
 * variables: [{name, type, dimensions, units, long_name}]}; NULL without memory. */
json_t *esc_describe_program(void);

#endif
