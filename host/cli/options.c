/* SPDX-License-Identifier: Apache-2.0 */
/* Parses the options of a command with getopt_long; error messages have one line. */
#include "cli/options.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "cli/cli.h"
#include "cli/describe.h"
#include "spec/schema.h"

enum {
  OPTIONS_MAX = 24,
  HELP = 1,
  LONG_BASE = 256,
  HELP_INDENT = 29, /* of an option's description */
  HELP_COLUMNS = 80,
};

const char *esc_activation_words(void) { return esc_schema_find("network.activation")->choices; }

static void print_option(const esc_option *o) {
  char left[64];
  snprintf(left, sizeof left, "%c%c%s --%s%s%s", o->letter ? '-' : ' ', o->letter ? o->letter : ' ',
           o->letter ? "," : " ", o->name, o->argument ? " " : "", o->argument ? o->argument : "");
  printf("  %-*s ", HELP_INDENT - 3, left);
  esc_text_print_wrapped(stdout, o->help, HELP_INDENT, HELP_COLUMNS);
}

static void print_usage(const char *usage) {
  static const char start[] = "Usage: escapement ";
  printf("%s", start);
  esc_text_print_wrapped(stdout, usage, sizeof start - 1, HELP_COLUMNS);
}

/* As text, or as JSON for tools/guide. */
static esc_status print_help(const esc_command *command, const char *format) {
  if (format && !strcmp(format, "json")) return esc_json_print(esc_describe_command(command));
  if (format) return ESC_FAIL(ESC_BAD_INPUT, "--help=%.40s: allowed: --help, --help=json", format);
  print_usage(command->usage);
  printf("%s\n\n", command->summary);
  for (const esc_option *o = command->options; o->name; o++) print_option(o);
  print_option(&esc_help_option);
  return ESC_OK;
}

static esc_status store_number(const esc_option *o, const char *value) {
  char *end = NULL;
  const bool digits = value[0] >= '0' && value[0] <= '9' && strlen(value) < 18;
  const long long number = digits ? strtoll(value, &end, 10) : -1;
  if (!digits || *end || number < o->min || number > o->max)
    return ESC_FAIL(ESC_BAD_INPUT, "--%s %s: must be a whole number from %lld to %lld", o->name,
                    esc_quote(value, strlen(value)).text, (long long)o->min, (long long)o->max);
  *o->number = number;
  return ESC_OK;
}

static esc_status store_value(const esc_option *o, const char *value) {
  if (o->flag) *o->flag = true;
  if (o->text) *o->text = value;
  return o->number ? store_number(o, value) : ESC_OK;
}

static esc_status refuse_option(const esc_command *command, const char *word) {
  const esc_option *nearest = NULL;
  int best = 4;
  for (const esc_option *o = command->options; o->name; o++) {
    const int distance = esc_text_edit_distance(word + strspn(word, "-"), o->name);
    if (distance < best) {
      best = distance;
      nearest = o;
    }
  }
  return ESC_FAIL(ESC_BAD_INPUT, "%s: unknown option%s%s%s; see 'escapement %.*s --help'",
                  esc_quote(word, strlen(word)).text, nearest ? "; did you mean --" : "",
                  nearest ? nearest->name : "", nearest ? "?" : "",
                  (int)strcspn(command->usage, " "), command->usage);
}

esc_status esc_options_parse(const esc_command *command, int argc, char **argv, int *first,
                             bool *help) {
  struct option table[OPTIONS_MAX + 2] = {{"help", optional_argument, NULL, HELP}};
  char letters[2 * OPTIONS_MAX + 3] = ":h";
  int count = 0;
  for (const esc_option *o = command->options; o->name && count < OPTIONS_MAX; o++, count++) {
    const int kind = o->argument ? required_argument : no_argument;
    table[count + 1] = (struct option){o->name, kind, NULL, LONG_BASE + count};
    if (o->letter) strcat(letters, (char[3]){o->letter, o->argument ? ':' : 0, 0});
  }
  *help = false;
  optind = 0; /* glibc: start afresh */
  opterr = 0;
  for (int c; (c = getopt_long(argc, argv, letters, table, NULL)) != -1;) {
    const char *word = argv[optind > 1 ? optind - 1 : 1];
    if (c == HELP || c == 'h') {
      *help = true;
      return print_help(command, optarg);
    }
    if (c == ':') return ESC_FAIL(ESC_BAD_INPUT, "%s: a value is missing", word);
    if (c == '?') return refuse_option(command, word);
    int found = c - LONG_BASE;
    for (int i = 0; c < LONG_BASE && i < count; i++)
      if (command->options[i].letter == c) found = i;
    const esc_status status = store_value(&command->options[found], optarg);
    if (status != ESC_OK) return status;
  }
  *first = optind;
  return ESC_OK;
}
