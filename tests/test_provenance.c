/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of a result is a command: a shell splits it into the same words again. */
#include "run/provenance.h"

#include "check.h"

/* The words that a shell makes of `command`, a line each. */
static char *words_of(const char *command) {
  static char out[4096];
  char *script = NULL;
  assert_true(asprintf(&script, "printf '<%%s>' %s", command) > 0);
  FILE *shell = popen(script, "r");
  assert_non_null(shell);
  out[fread(out, 1, sizeof out - 1, shell)] = '\0';
  assert_int_equal(pclose(shell), 0);
  free(script);
  return out;
}

static void check_words(int count, const char *const *word) {
  char want[4096] = "<escapement>";
  for (int i = 0; i < count; i++) sprintf(want + strlen(want), "<%s>", word[i]);
  char *command = esc_command_line(count, (char **)word);
  assert_non_null(command);
  assert_string_equal(words_of(command), want);
  free(command);
}

static void a_shell_reads_back_every_word(void **state) {
  (void)state;
  static const char *const words[] = {"run",   "a b.yaml", "it's",       "'",         "''\"",
                                      "$HOME", "`id`",     "a;b&c|d<e>", "(x)",       "~",
                                      "#no",   "a\\b",     "!x",         "new\nline", "",
                                      "tab\t", "*?[a]",    "{1,2}",      "\xc3\xa9",  "=x"};
  check_words(sizeof words / sizeof words[0], words);
}

static void every_byte_of_a_word_is_read_back(void **state) {
  (void)state;
  for (int byte = 1; byte < 256; byte++) {
    const char text[] = {'a', (char)byte, 'b', 0}, *const words[] = {"run", text};
    if (byte != '\n') check_words(2, words);
  }
}

static void plain_words_are_not_quoted(void **state) {
  (void)state;
  static const char *const words[] = {"run", "runs/a-b_c.yaml", "-o", "x.h5", "train.rate=1e-3"};
  char *command = esc_command_line(5, (char **)words);
  assert_string_equal(command, "escapement run runs/a-b_c.yaml -o x.h5 train.rate=1e-3");
  free(command);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_shell_reads_back_every_word),
      cmocka_unit_test(every_byte_of_a_word_is_read_back),
      cmocka_unit_test(plain_words_are_not_quoted),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
