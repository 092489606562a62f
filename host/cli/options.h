/* SPDX-License-Identifier: Apache-2.0 */
/* Options of a command: one table gives parsing, --help and one-line errors. */
#ifndef ESC_OPTIONS_H
#define ESC_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "escapement/internal/status.h"

typedef struct esc_option {
  const char *name;     /* "--name" without the dashes; NULL ends the table */
  char letter;          /* 'o' for -o, 0 for none */
  const char *argument; /* placeholder of the value in --help; NULL for a flag */
  const char *help;
  /* Exactly one is set; it receives the value. */
  bool *flag;
  const char **text;
  int64_t *number; /* min..max */
  int64_t min, max;
  /* For completions only; the command checks the value. */
  const char *words;    /* "auto|cpu": allowed names */
  const char *suffixes; /* "h5|nc": allowed suffixes of a file; ESC_FOLDER: a folder */
} esc_option;

#define ESC_FOLDER "/"
#define ESC_ENGINE_WORDS "reference|cpu|cuda"
#define ESC_PATH_WORDS "fused|fused-3xtf32|cublas|interleaved|padded"
#define ESC_PRECISION_WORDS "fp32|tf32"

typedef struct esc_command {
  const char *usage;   /* "run SPEC [-o OUT.h5] [options] [key=value ...]" */
  const char *summary; /* a sentence or two for --help */
  const esc_option *options;
  /* Operands, for completions as above. */
  const char *words, *suffixes;
  bool overrides; /* operands key=value are allowed */
} esc_command;

/* Names of activations, "linear|relu|...". */
const char *esc_activation_words(void);

/* --help, which every command has. */
extern const esc_option esc_help_option;

/* Parses argv[1..]. Operands are moved to the end; *first is the index of the first operand. --help
 * prints the help and sets *help; --help=json prints esc_describe_command. Errors are ESC_BAD_INPUT
 * with the name of the argument. */
esc_status esc_options_parse(const esc_command *command, int argc, char **argv, int *first,
                             bool *help);

#endif
