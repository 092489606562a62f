/* Drawing scripts, which travel inside the program, as processes of their own. */
#include "cli/python.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/io.h"

extern char **environ;

enum { ARGUMENTS_MAX = 8 };

const char *esc_python(void) {
  const char *named = getenv("ESCAPEMENT_PYTHON");
  return named && *named ? named : "/usr/bin/python3";
}

typedef struct script {
  pid_t child;
  int input, errors; /* our ends of its standard input and error */
} script;

static esc_status start(const char *text, const char *verb, char *const *arguments, script *s) {
  int input[2], errors[2];
  posix_spawn_file_actions_t actions;
  char *all[ARGUMENTS_MAX + 4] = {(char *)esc_python(), "-c", (char *)text};
  for (int i = 0; i < ARGUMENTS_MAX && arguments[i]; i++) all[3 + i] = arguments[i];
  if (pipe2(input, O_CLOEXEC) != 0) return ESC_FAIL(ESC_IO_FAILED, "%s: %s", verb, strerror(errno));
  if (pipe2(errors, O_CLOEXEC) != 0)
    return ESC_FAIL(ESC_IO_FAILED, "%s: %s", verb, strerror(errno));
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, input[0], STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, errors[1], STDERR_FILENO);
  const int failed = posix_spawnp(&s->child, esc_python(), &actions, NULL, all, environ);
  posix_spawn_file_actions_destroy(&actions);
  close(input[0]);
  close(errors[1]);
  s->input = input[1];
  s->errors = errors[0];
  if (!failed) return ESC_OK;
  close(s->input);
  close(s->errors);
  return ESC_FAIL(ESC_LIBRARY_FAILED,
                  "%s: cannot start %s: %s; install python3-matplotlib, or set ESCAPEMENT_PYTHON",
                  verb, esc_python(), strerror(failed));
}

/* The last line that the script wrote on standard error: its own message, or
 * the end of Python's traceback. */
static void last_words(int errors, char line[512]) {
  char byte;
  size_t used = 0;
  bool fresh = true;
  line[0] = 0;
  while (read(errors, &byte, 1) == 1) {
    if (fresh) used = 0;
    fresh = byte == '\n';
    if (!fresh && used < 511) {
      line[used++] = byte;
      line[used] = 0;
    }
  }
}

esc_status esc_python_run(const char *script_text, const char *verb, const char *input,
                          char *const *arguments) {
  script s;
  int ended = 0;
  char words[512];
  const esc_status status = start(script_text, verb, arguments, &s);
  if (status != ESC_OK) return status;
  signal(SIGPIPE, SIG_IGN); /* a script that ends early says so through its exit status */
  esc_io_write_all(s.input, "the drawing script's standard input", input, strlen(input));
  close(s.input);
  last_words(s.errors, words);
  close(s.errors);
  while (waitpid(s.child, &ended, 0) < 0 && errno == EINTR) continue;
  const int code = WIFEXITED(ended) ? WEXITSTATUS(ended) : 3;
  if (code == 0) return ESC_OK;
  return ESC_FAIL(code == 2 ? ESC_BAD_INPUT : ESC_LIBRARY_FAILED, "%s%s; no figure was written",
                  words[0] ? words : verb, words[0] ? "" : ": the drawing script ended early");
}
