/* SPDX-License-Identifier: Apache-2.0 */
/* Mathematics between dollars, as the report sets it. */
#include <string.h>

#include "check.h"
#include "report/html.h"

static char *typeset(const char *text) {
  char *page = NULL;
  size_t size = 0;
  FILE *out = open_memstream(&page, &size);
  assert_non_null(out);
  esc_html_math(out, text);
  fclose(out);
  return page;
}

static void expect(const char *text, const char *page) {
  char *got = typeset(text);
  assert_string_equal(got, page);
  free(got);
}

static void test_scripts_stand_over_each_other(void **state) {
  (void)state;
  expect("times $a_1^{L-1}$.",
         "times <span "
         "class=unbroken><math><msubsup><mi>a</mi><mn>1</mn><mrow><mi>L</mi><mo>−</mo><mn>1</mn></"
         "mrow>"
         "</msubsup></math>.</span>");
  expect("$t^*$", "<math><msup><mi>t</mi><mo>∗</mo></msup></math>");
  expect("$\\eta<0.1$", "<math><mi>η</mi><mo>&lt;</mo><mn>0.1</mn></math>");
}

static void test_what_is_no_mathematics_is_text(void **state) {
  (void)state;
  expect("5 $ < 6", "5 $ &lt; 6");
  expect("", "");
  expect("a & b", "a &amp; b");
}

/* Whatever stands between dollars, the page stays well formed. */
static void test_unfinished_mathematics_closes_its_elements(void **state) {
  (void)state;
  static const char *const texts[] = {"$$",      "$}$",    "$}{$", "$a_$",
                                      "$_$",     "$^{$",   "$\\$", "$\\nosuch$",
                                      "$a_1_2$", "$\xce$", "$ $",  "$<script>$"};
  for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
    char *page = typeset(texts[i]);
    int depth = 0;
    for (const char *c = page; *c; c++)
      if (*c == '<') depth += c[1] == '/' ? -1 : 1;
    assert_int_equal(depth, 0);
    assert_null(strstr(page, "<script"));
    free(page);
  }
}

static void test_markdown_keeps_no_marks(void **state) {
  (void)state;
  char *page = NULL;
  size_t size = 0;
  FILE *out = open_memstream(&page, &size);
  assert_non_null(out);
  esc_html_paragraphs(out, "# Title\n\n**Width** of `a*b`\nand $N$. 2 * 3 ** 4\n\nSecond.");
  fclose(out);
  assert_string_equal(page,
                      "<p><strong>Width</strong> of <code>a*b</code>\nand "
                      "<math><mi>N</mi></math>. 2 * 3 ** 4\n</p>\n<p>Second.</p>\n");
  free(page);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_scripts_stand_over_each_other),
      cmocka_unit_test(test_what_is_no_mathematics_is_text),
      cmocka_unit_test(test_unfinished_mathematics_closes_its_elements),
      cmocka_unit_test(test_markdown_keeps_no_marks),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
