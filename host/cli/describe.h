/* SPDX-License-Identifier: Apache-2.0 */
/* The program's own tables as JSON, for `--help=json`: tools/guide makes man pages and completions
 * of them, so that these cannot differ from what is parsed. */
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
