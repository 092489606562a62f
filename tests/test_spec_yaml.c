/* SPDX-License-Identifier: Apache-2.0 */
/* Texts that are no valid spec are refused with their line, without delay. */
#include <time.h>

#include "spec_text.h"

static void anchors_aliases_and_tags_are_refused(void **state) {
  (void)state;
  refuse_text(with_line(16, "  batch: &b 64"), "spec.yaml:16: ", "anchors");
  refuse_text(with_line(16, "  batch: *b"), "spec.yaml:16: ", "aliases");
  refuse_text(with_line(16, "  batch: !!int 64"), "spec.yaml:16: ", "tags");
  refuse_text(with_line(8, "  amplitudes: ! [1.0]"), "spec.yaml:8: ", "tags");
  refuse_text(with_line(8, "  amplitudes: &x [*x]"), "spec.yaml:8: ", "anchors");
  refuse_text(with_line(31, "record: !!map"), "spec.yaml:31: ", "tags");
  refuse_text(with_line(16, "  <<: {batch: 64}"), "spec.yaml:16: unknown key 'train.<<'", "");
}

static void a_duplicate_key_is_refused_with_its_line(void **state) {
  (void)state;
  refuse_text(with_line(17, "  batch: 65"), "spec.yaml:17: key 'batch' appears twice",
              "first in line 16");
  refuse_text(with_line(31, "train:"), "spec.yaml:31: key 'train' appears twice", "line 13");
  refuse_text(with_line(30, "    - {bottleneck: 4, scales: {from: 1, to: 1, from: 1}}"),
              "spec.yaml:30: key 'from' appears twice", "");
}

static void a_key_must_be_plain_text(void **state) {
  (void)state;
  refuse_text(with_line(16, "  [batch]: 64"), "spec.yaml:16: a key must be plain text", "");
  refuse_text(with_line(16, "  ? {a: b}\n  : 64"), "spec.yaml:16: a key must be plain text", "");
}

static void a_second_document_is_refused(void **state) {
  (void)state;
  refuse_text("name: a\n---\nname: b\n", "spec.yaml:2: a second document", "");
  refuse_text("name: a\n...\n---\nname: b\n", "spec.yaml:3: a second document", "");
}

static void an_empty_document_is_refused(void **state) {
  (void)state;
  refuse_text("", "spec.yaml:1: the file is empty", "key: value");
  refuse_text("\n", "spec.yaml:1: the file holds only blank lines and comments", "key: value");
  refuse_text("# only a comment\r\n \r\n", "spec.yaml:1: the file holds only blank", "comments");
  refuse_text("---\n", "spec.yaml:1: the document is empty", "key: value");
  refuse_text("--- # no\n...\n", "spec.yaml:1: the document is empty", "");
}

static void what_is_no_mapping_is_no_spec(void **state) {
  (void)state;
  refuse_text("just words\n", "spec.yaml:1: a single value, not a spec", "mapping");
  refuse_text("# c\n\n- a\n- b\n", "spec.yaml:3: a list, not a spec", "mapping");
  refuse_text("\"\"\n", "spec.yaml:1: a single value, not a spec", "mapping");
}

static void directives_are_refused(void **state) {
  (void)state;
  refuse_text("%YAML 1.1\n---\nname: a\n", "spec.yaml:1: directives", "");
  refuse_text("# c\n\n%TAG ! x\n---\nname: a\n", "spec.yaml:3: directives", "");
}

static void bytes_that_are_no_text_are_refused_with_their_line(void **state) {
  (void)state;
  static const char nul[] = "name: a\nnetwork:\n  layers: \0003\n";
  refuse_bytes(nul, sizeof nul - 1, "spec.yaml:3: NUL", "");
  refuse_text("name: a\nx: \xff\n", "spec.yaml:2: not valid UTF-8", "");
  refuse_text("name: a\r\nx: \xc0\x80\r\n", "spec.yaml:2: not valid UTF-8", "");
  refuse_text("name: a\rx: \xed\xa0\x80\r", "spec.yaml:2: not valid UTF-8", "");
  refuse_text("name: a\nx: b\nz: \xe2\x82", "spec.yaml:3: not valid UTF-8", "");
  refuse_text("name: a\x07\n", "spec.yaml:1: not valid UTF-8", "control");
  refuse_text("name: a\n# \xe2\x80\xa8 %\n", "spec.yaml:2: the character U+2028", "");
  refuse_text("name: \"a\\0b\"\n", "spec.yaml:1: NUL", "");
}

static void syntax_errors_name_a_line_that_exists(void **state) {
  (void)state;
  refuse_text(with_line(3, "\tlayers: 4"), "spec.yaml:3: not valid YAML", "");
  refuse_text(with_line(8, "  amplitudes: [1.0"), "spec.yaml:9: not valid YAML", "from line 8 on");
  refuse_text("name: a\nx: [1", "spec.yaml:2: not valid YAML", "from line 2 on");
  refuse_text("name: \"a\n", "spec.yaml:1: not valid YAML", "quoted scalar");
}

static void a_byte_order_mark_and_line_ends_of_any_kind_are_fine(void **state) {
  (void)state;
  char text[4096] = "\xef\xbb\xbf";
  size_t used = strlen(text);
  for (const char *from = with_line(0, ""); *from; from++) {
    if (*from == '\n') text[used++] = '\r';
    text[used++] = *from;
  }
  text[used] = '\0';
  accept(text);
}

static void a_text_needs_no_nul_behind_it(void **state) {
  (void)state;
  const char *text = with_line(0, "");
  esc_spec *spec = NULL;
  char *exact = malloc(strlen(text));
  memcpy(exact, text, strlen(text));
  esc_assert_ok(parse_bytes(exact, strlen(text), &spec));
  esc_spec_free(spec);
  free(exact);
}

static void messages_stay_one_line_whatever_the_text(void **state) {
  (void)state;
  char text[6000] = "\"a\\nb\\e[31m\\u2028";
  refuse_text("\"a\\nb\\e[31m\": 1\n", "spec.yaml:1: unknown key 'a\\nb\\x1b[31m'", "");
  refuse_text(with_line(6, "  activation: \"a\\nb\\x85\""),
              "spec.yaml:6: network.activation: \"a\\nb\\u0085\" is not an activation", "tanh");
  memset(text + strlen(text), 'x', 900);
  strcat(text, "\": 1\n");
  refuse_text(text, "spec.yaml:1: ", "");
}

static void a_long_file_name_keeps_its_end_in_messages(void **state) {
  (void)state;
  char label[1001];
  esc_spec *spec = NULL;
  memset(label, 'd', 1000);
  strcpy(label + 990, "/spec.yaml");
  assert_int_equal(esc_spec_parse(label, "a: 1", 4, 0, NULL, &spec), ESC_BAD_INPUT);
  check_message("...ddd", "d/spec.yaml:1: unknown key 'a'");
}

/* ---- bombs ---- */

/* Processor time: a loaded machine changes nothing. */
static double seconds(void) { return (double)clock() / CLOCKS_PER_SEC; }

/* `head`, then `part` up to `size` bytes, is refused in time linear in the size: what is not takes
 * hours, so the limit is far from both. */
static void refuse_bomb(const char *head, const char *part, size_t size, const char *more) {
  char *text = malloc(size + 1), *at = stpcpy(text, head);
  while ((size_t)(at - text) + strlen(part) <= size) at = stpcpy(at, part);
  const double start = seconds();
  refuse_bytes(text, (size_t)(at - text), "spec.yaml:", more);
  const double taken = seconds() - start;
  free(text);
  assert_true(taken < 60);
}

enum { MEGABYTE = 1 << 20 };

static void bombs_are_refused_at_once(void **state) {
  (void)state;
  refuse_bomb("name: &a [x]\nb: [", "*a,", MEGABYTE, "anchors");
  refuse_bomb("b: [", "*a,", MEGABYTE, "aliases");
  refuse_bomb("", "[", 60000, "nested deeper than 16");
  refuse_bomb("", "{a: ", 60000, "nested deeper than 16");
  refuse_bomb("", "- ", 60000, "nested deeper than 16");
  refuse_bomb("", "? ", 60000, "a key must be plain text");
  refuse_bomb("%", "TAG !a! b\n%", MEGABYTE, "directives");
  refuse_bomb("a: [", "1,", MEGABYTE, "more than 100000");
  refuse_bomb("a: [", "1,", 2 * MEGABYTE, "longer than 1048576");
  refuse_bomb("", "x ", MEGABYTE, "not a spec");
  refuse_bomb("a: \"", "\\x41", MEGABYTE, "not valid YAML");
  refuse_bomb("a: [1", "\n", MEGABYTE, "not valid YAML");
}

static void a_mapping_of_many_keys_is_refused(void **state) {
  (void)state;
  char text[2000] = "";
  for (int i = 0; i < 65; i++) snprintf(text + strlen(text), 20, "key%d: 1\n", i);
  refuse_text(text, "spec.yaml:65: more than 64 keys", "");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(anchors_aliases_and_tags_are_refused),
      cmocka_unit_test(a_duplicate_key_is_refused_with_its_line),
      cmocka_unit_test(a_key_must_be_plain_text),
      cmocka_unit_test(a_second_document_is_refused),
      cmocka_unit_test(an_empty_document_is_refused),
      cmocka_unit_test(what_is_no_mapping_is_no_spec),
      cmocka_unit_test(directives_are_refused),
      cmocka_unit_test(bytes_that_are_no_text_are_refused_with_their_line),
      cmocka_unit_test(syntax_errors_name_a_line_that_exists),
      cmocka_unit_test(a_byte_order_mark_and_line_ends_of_any_kind_are_fine),
      cmocka_unit_test(a_text_needs_no_nul_behind_it),
      cmocka_unit_test(messages_stay_one_line_whatever_the_text),
      cmocka_unit_test(a_long_file_name_keeps_its_end_in_messages),
      cmocka_unit_test(bombs_are_refused_at_once),
      cmocka_unit_test(a_mapping_of_many_keys_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
