/* SPDX-License-Identifier: Apache-2.0 */
/* Text of files in the report's page, and on a terminal. */
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "check.h"
#include "report/html.h"

static char *page;
static size_t size;

static FILE *open_page(void) {
  FILE *out = open_memstream(&page, &size);
  assert_non_null(out);
  return out;
}

static void expect(FILE *out, const char *wanted) {
  fclose(out);
  assert_string_equal(page, wanted);
  free(page);
}

static void strings_of_a_format_are_escaped_and_the_format_is_not(void **state) {
  (void)state;
  FILE *out = open_page();
  esc_html_print(out, "<b title=\"%s\">%s</b>", "\" onload='x", "<script>&amp;</script>");
  expect(out, "<b title=\"&quot; onload=&#39;x\">&lt;script&gt;&amp;amp;&lt;/script&gt;</b>");
}

static void numbers_have_their_conversions(void **state) {
  (void)state;
  FILE *out = open_page();
  esc_html_print(out, "%d|%lld|%.3g|%.0f|%c|%.4s|100%%", -3, 1LL << 40, 0.12345, 2.5, '<',
                 "<script>");
  expect(out, "-3|1099511627776|0.123|2|&lt;|&lt;scr|100%");
}

static void what_cannot_be_seen_is_shown(void **state) {
  (void)state;
  FILE *out = open_page();
  esc_html_text(out, "a\x1b\xc2\x9b\xe2\x80\xae\xff\xc3(\r\n\tb");
  expect(out, "a\\x1b\\u009b\\u202e\\xff\\xc3(\\r\n\tb");
}

/* Braces that are deeper than any formula would end the stack. */
static void deep_braces_are_text(void **state) {
  (void)state;
  enum { DEEP = 100000 };
  char *text = malloc(DEEP + 3);
  assert_non_null(text);
  memset(text, '{', DEEP + 2);
  text[0] = text[DEEP + 1] = '$';
  text[DEEP + 2] = '\0';
  FILE *out = open_page();
  esc_html_math(out, text);
  fclose(out);
  assert_true(size < 50 * DEEP);
  free(page);
  free(text);
}

static void names_of_mathematics_are_escaped(void **state) {
  (void)state;
  FILE *out = open_page();
  esc_html_math(out, "$\\<$$\\&$");
  expect(out,
         "<math><mi mathvariant=\"normal\">&lt;</mi></math>"
         "<math><mi mathvariant=\"normal\">&amp;</mi></math>");
}

static void json_is_escaped_by_its_own_rules(void **state) {
  (void)state;
  char *text = esc_text_escape_json("{\"a\": \"\xce\xb5\xc2\x9b\xe2\x80\xae\x7f\"}\n");
  assert_string_equal(text, "{\"a\": \"\xce\xb5\\u009b\\u202e\\u007f\"}\n");
  free(text);
}

static void a_character_is_not_cut_at_the_end_of_a_buffer(void **state) {
  (void)state;
  static const char text[] = "a\xe2\x80\xae\xf0\x9f\x98\x80";
  const size_t whole[] = {0, 1, 1, 1, 4, 4, 4, 4, 8};
  for (size_t length = 0; length < sizeof whole / sizeof whole[0]; length++)
    assert_int_equal(esc_text_whole_characters(text, length), whole[length]);
  assert_int_equal(esc_text_whole_characters("\xff\x80\x80\x80", 4), 4); /* never a character */
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(strings_of_a_format_are_escaped_and_the_format_is_not),
      cmocka_unit_test(numbers_have_their_conversions),
      cmocka_unit_test(what_cannot_be_seen_is_shown),
      cmocka_unit_test(deep_braces_are_text),
      cmocka_unit_test(names_of_mathematics_are_escaped),
      cmocka_unit_test(json_is_escaped_by_its_own_rules),
      cmocka_unit_test(a_character_is_not_cut_at_the_end_of_a_buffer),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
