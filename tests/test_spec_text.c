/* SPDX-License-Identifier: Apache-2.0 */
/* Text that editors and spreadsheets make of a spec: the message names the fault and the cure. */
#include <fcntl.h>
#include <pthread.h>

#include "scratch.h"
#include "spec_text.h"

/* ASCII `text` in characters of `size` bytes, the low one at `offset`; static. */
static const char *widened(const char *text, size_t size, size_t offset) {
  static char out[1 << 14];
  const size_t length = strlen(text);
  assert_true(length * size < sizeof out);
  memset(out, 0, sizeof out);
  for (size_t i = 0; i < length; i++) out[i * size + offset] = text[i];
  return out;
}

static void refuse_widened(size_t size, size_t offset, const char *name) {
  const char *text = with_line(0, "");
  refuse_bytes(widened(text, size, offset), size * strlen(text), "spec.yaml:1: the text is ", name);
}

static void text_of_wide_characters_is_refused_by_the_name_of_its_encoding(void **state) {
  (void)state;
  refuse_widened(2, 0, "UTF-16LE; allowed: UTF-8 (`iconv -f UTF-16LE -t UTF-8` converts it)");
  refuse_widened(2, 1, "UTF-16BE");
  refuse_widened(4, 0, "UTF-32LE");
  refuse_widened(4, 3, "UTF-32BE");
}

static void a_byte_order_mark_names_the_encoding_of_the_shortest_text(void **state) {
  (void)state;
  refuse_bytes("\xff\xfe", 2, "spec.yaml:1: the text is UTF-16LE", "iconv");
  refuse_bytes("\xfe\xff\0a", 4, "spec.yaml:1: the text is UTF-16BE", "iconv");
  refuse_bytes("\xff\xfe\0\0", 4, "spec.yaml:1: the text is UTF-32LE", "iconv");
  refuse_bytes("\0\0\xfe\xff", 4, "spec.yaml:1: the text is UTF-32BE", "iconv");
}

static void a_tab_as_indentation_is_named(void **state) {
  (void)state;
  refuse_text("network:\n\tlayers: 4\n", "spec.yaml:2: ", "indented by a tab; allowed: spaces");
  refuse_text(with_line(3, "\tlayers: 4"), "spec.yaml:3: ", "indented by a tab");
  refuse_text(with_line(4, "  \twidth: 8"), "spec.yaml:4: ", "indented by a tab");
  refuse_text("network:\r\n  layers: 4\r\n\twidth: 8\r\n", "spec.yaml:3: ", "indented by a tab");
}

static void tabs_elsewhere_are_blanks(void **state) {
  (void)state;
  accept(with_line(3, "  layers:\t4\t# four"));
  accept(with_line(8, "  amplitudes: [1.0,\n\t0.5]"));
}

static void a_decimal_comma_is_named(void **state) {
  (void)state;
  refuse_text(with_line(15, "  rate: 0,05"), "spec.yaml:15: train.rate: '0,05'", "decimal comma");
  refuse_text(with_line(15, "  rate: -1,5e-3"), "spec.yaml:15: train.rate: ", "decimal comma");
  refuse_override("train.rate=0,05", "argument 1: train.rate: '0,05'", "decimal comma");
}

static void a_decimal_comma_in_braces_is_named(void **state) {
  (void)state;
  refuse_text("network: {layers: 3, width: 8}\ntrain: {rate: 0,05, batch: 8}\n",
              "spec.yaml:2: train.rate: '0,05'", "decimal comma; allowed: a decimal point, 0.05");
  refuse_text(with_line(30, "    - {bottleneck: 4, scales: {from: 0,05, to: 0.3, count: 6}}"),
              "spec.yaml:30: sweep.groups[1].scales.from: '0,05'", "decimal comma");
}

static void a_comma_between_more_than_two_parts_is_no_decimal_comma(void **state) {
  (void)state;
  refuse_text(with_line(15, "  rate: 1,2,3"), "spec.yaml:15: train.rate: '1,2,3' is not", "");
  refuse_text("network: {layers: 3, width: 8}\ntrain: {batch, 05}\n",
              "spec.yaml:2: unknown key 'train.05'", "");
}

/* ---- what is read ---- */

static esc_status load(const char *path) {
  esc_spec *spec = NULL;
  const esc_status status = esc_spec_load(path, 0, NULL, &spec);
  esc_spec_free(spec);
  return status;
}

static void a_device_or_directory_is_refused_unread(void **state) {
  (void)state;
  assert_int_equal(load("/dev/zero"), ESC_BAD_INPUT);
  check_message("/dev/zero: is a device, not a YAML spec", "allowed: a file or a pipe");
  assert_int_equal(load("/dev/null"), ESC_BAD_INPUT);
  assert_int_equal(load(scratch_directory), ESC_BAD_INPUT);
  check_message(scratch_directory, "is a directory, not a YAML spec");
}

typedef struct feed {
  const char *path, *text;
  int64_t times; /* that the text is written, unless the reader stops reading */
} feed;

static void *write_feed(void *context) {
  const feed *f = context;
  const int fd = open(f->path, O_WRONLY);
  for (int64_t i = 0; i < f->times; i++)
    if (write(fd, f->text, strlen(f->text)) < 0) break;
  close(fd);
  return NULL;
}

static esc_status load_through_pipe(feed f) {
  pthread_t writer;
  signal(SIGPIPE, SIG_IGN);
  assert_int_equal(mkfifo(f.path, 0600), 0);
  assert_int_equal(pthread_create(&writer, NULL, write_feed, &f), 0);
  const esc_status status = load(f.path);
  assert_int_equal(pthread_join(writer, NULL), 0);
  return status;
}

static void a_pipe_is_read_to_its_end(void **state) {
  (void)state;
  esc_assert_ok(load_through_pipe((feed){scratch("spec.pipe"), with_line(0, ""), 1}));
}

static void an_endless_pipe_is_refused_at_the_limit(void **state) {
  (void)state;
  const feed endless = {scratch("endless.pipe"), "# and so on, and so on\n", INT64_MAX};
  assert_int_equal(load_through_pipe(endless), ESC_BAD_INPUT);
  check_message(scratch_directory, "1048576 bytes");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(text_of_wide_characters_is_refused_by_the_name_of_its_encoding),
      cmocka_unit_test(a_byte_order_mark_names_the_encoding_of_the_shortest_text),
      cmocka_unit_test(a_tab_as_indentation_is_named),
      cmocka_unit_test(tabs_elsewhere_are_blanks),
      cmocka_unit_test(a_decimal_comma_is_named),
      cmocka_unit_test(a_decimal_comma_in_braces_is_named),
      cmocka_unit_test(a_comma_between_more_than_two_parts_is_no_decimal_comma),
      CASE(a_device_or_directory_is_refused_unread),
      CASE(a_pipe_is_read_to_its_end),
      CASE(an_endless_pipe_is_refused_at_the_limit),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
