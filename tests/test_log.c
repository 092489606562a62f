/* SPDX-License-Identifier: Apache-2.0 */
/* Lines on standard error, which the processes of a run share. */
#include <fcntl.h>
#include <unistd.h>

#include "check.h"
#include "cli/cli.h"

/* A pipe of packets: one read is one write. */
static void a_note_is_one_write(void **state) {
  (void)state;
  char line[256] = "";
  int ends[2];
  assert_int_equal(pipe2(ends, O_DIRECT), 0);
  const int before = dup(STDERR_FILENO);
  dup2(ends[1], STDERR_FILENO);
  esc_log_to_stderr();
  esc_log("%s: of a \033 name", "a.h5");
  dup2(before, STDERR_FILENO);
  assert_true(read(ends[0], line, sizeof line - 1) > 0);
  assert_string_equal(line, "escapement: a.h5: of a \\x1b name\n");
  close(before);
  close(ends[0]);
  close(ends[1]);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(a_note_is_one_write)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
