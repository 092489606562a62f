/* SPDX-License-Identifier: Apache-2.0 */
/* Drawing scripts as child processes. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "draw/child.h"
#include "draw/python.h"
#include "scratch.h"

/* A shell that stands for the interpreter. */
static void make_interpreter(const char *text) {
  scratch_write(scratch("python"), text, strlen(text));
  assert_int_equal(chmod(scratch("python"), 0700), 0);
  setenv("ESCAPEMENT_PYTHON", scratch("python"), 1);
}

static void a_script_that_writes_before_it_reads_does_not_hang(void **state) {
  (void)state;
  enum { MUCH = 1 << 20 };
  char *input = malloc(MUCH + 1);
  assert_non_null(input);
  memset(input, 'x', MUCH);
  input[MUCH] = '\0';
  make_interpreter(
      "#!/bin/sh\nhead -c 1000000 /dev/zero | tr '\\0' y >&2\necho >&2\n"
      "test $(wc -c) = 1048576 && echo read all >&2\nexit 3\n");
  assert_int_equal(esc_python_run("pass", "plot", input, NULL), ESC_LIBRARY_FAILED);
  assert_message_names("read all", NULL);
  free(input);
}

static void a_script_that_reads_nothing_ends_with_its_own_words(void **state) {
  (void)state;
  make_interpreter("#!/bin/sh\necho first\necho the last >&2\nexit 2\n");
  assert_int_equal(esc_python_run("pass", "plot", "{}", NULL), ESC_BAD_INPUT);
  assert_message_names("the last", NULL);
}

static void the_interpreter_gets_no_variable_of_pythons(void **state) {
  (void)state;
  setenv("PYTHONPATH", "/", 1);
  setenv("PYTHONSTARTUP", "/", 1);
  make_interpreter("#!/bin/sh\nenv | grep -c ^PYTHON\nexit 2\n");
  assert_int_equal(esc_python_run("pass", "plot", "", NULL), ESC_BAD_INPUT);
  assert_message_names("0; no figure", NULL);
  unsetenv("PYTHONPATH");
  unsetenv("PYTHONSTARTUP");
}

static void a_check_loads_a_script_and_runs_nothing_of_it(void **state) {
  (void)state;
  unsetenv("ESCAPEMENT_PYTHON");
  esc_assert_ok(esc_python_check("if __name__ == '__main__':\n    sys.exit(3)\n", "figure"));
  assert_int_equal(esc_python_check("import no_such_module\n", "figure"), ESC_LIBRARY_FAILED);
  assert_message_names("ModuleNotFoundError: No module named 'no_such_module'", NULL);
}

static void a_program_that_is_not_there_is_told(void **state) {
  (void)state;
  char *const arguments[] = {(char *)"none", NULL};
  const esc_child_spec spec = {.program = scratch("none"), .arguments = arguments};
  pid_t child = 0;
  int input, output, error = 0;
  esc_assert_ok(esc_child_start(&spec, "test", &child, &input, &output, &error));
  assert_int_equal(error, ENOENT);
}

/* As a parent that is killed: it cannot pass anything on. The child writes to descriptor 9. */
static void a_child_is_stopped_when_its_parent_dies(void **state) {
  (void)state;
  int pipe_ends[2], input, output, error;
  char word[16] = "";
  assert_int_equal(pipe(pipe_ends), 0);
  const pid_t parent = fork();
  if (parent == 0) {
    dup2(pipe_ends[1], 9);
    close(pipe_ends[0]);
    close(pipe_ends[1]);
    char *const arguments[] = {(char *)"sh", (char *)"-c",
                               (char *)"trap 'echo stopped >&9; exit' TERM; kill -KILL $PPID; "
                                       "while :; do sleep 1 & wait; done",
                               NULL};
    const esc_child_spec spec = {.program = "/bin/sh", .arguments = arguments};
    pid_t child = 0;
    if (esc_child_start(&spec, "test", &child, &input, &output, &error) == ESC_OK)
      esc_child_wait(child);
    _exit(1);
  }
  close(pipe_ends[1]);
  for (size_t used = 0; used < 7;) {
    const ssize_t got = read(pipe_ends[0], word + used, 7 - used);
    if (got <= 0) break;
    used += (size_t)got;
  }
  assert_string_equal(word, "stopped");
  waitpid(parent, NULL, 0);
  close(pipe_ends[0]);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      CASE(a_script_that_writes_before_it_reads_does_not_hang),
      CASE(a_script_that_reads_nothing_ends_with_its_own_words),
      CASE(the_interpreter_gets_no_variable_of_pythons),
      CASE(a_check_loads_a_script_and_runs_nothing_of_it),
      CASE(a_program_that_is_not_there_is_told),
      CASE(a_child_is_stopped_when_its_parent_dies),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
