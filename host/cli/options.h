/* Options of a verb: one table gives parsing, --help and one-line errors. */
#ifndef ESC_OPTIONS_H
#define ESC_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "escapement/internal/status.h"

typedef struct esc_option {
  const char *name;     /* "--name" without the dashes; NULL ends the table */
  char letter;          /* 'o' for -o, 0 for none */
  const char *argument; /* its name in --help; NULL for a flag */
  const char *help;
  /* One of these takes the value. */
  bool *flag;
  const char **text;
  int64_t *number; /* min..max */
  int64_t min, max;
} esc_option;

typedef struct esc_command {
  const char *usage;   /* "run SPEC [-o OUT.h5] [options] [key=value ...]" */
  const char *summary; /* a sentence or two for --help */
  const esc_option *options;
} esc_command;

/* Parses argv[1..]; what is not an option is moved to the end, and *first is
 * the place of the first of those. With --help prints it to stdout and sets
 * *help. Errors are ESC_BAD_INPUT, naming the argument. */
esc_status esc_options_parse(const esc_command *command, int argc, char **argv, int *first,
                             bool *help);

#endif
