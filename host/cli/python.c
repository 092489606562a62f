/* Drawing scripts, which travel inside the program, as processes of their own. */
#include "cli/python.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/io.h"

extern char **environ;

enum { ARGUMENTS_MAX = 8 };

enum { INTERPRETERS_MAX = 2, NO_MATPLOTLIB = 86 };

/* In front of every script: tells an interpreter without matplotlib, with which another one may
 * help, from a script that fails. */
static const char prelude[] =
    "import os, sys\n"
    "os.environ['MPLBACKEND'] = 'Agg'\n"
    "try:\n"
    "    import matplotlib\n"
    "except Exception as failure:\n"
    "    sys.stderr.write(f'{type(failure).__name__}: {failure}')\n"
    "    sys.exit(86)\n";

/* Interpreters to try, in this order. */
typedef struct interpreters {
  int count;
  char path[INTERPRETERS_MAX][PATH_MAX];
} interpreters;

static char last_used[PATH_MAX]; /* by the last run */

const char *esc_python(void) { return last_used; }

static const char system_python[] = "/usr/bin/python3";

/* Whether two paths name one file in one directory. The directory counts: the python3 of a virtual
 * environment is a link to the system's and has other packages. */
static bool same_directory(const char *a, const char *b) {
  char left[PATH_MAX], right[PATH_MAX], real_left[PATH_MAX], real_right[PATH_MAX];
  snprintf(left, sizeof left, "%s", a);
  snprintf(right, sizeof right, "%s", b);
  return realpath(dirname(left), real_left) && realpath(dirname(right), real_right) &&
         !strcmp(real_left, real_right);
}

/* Fills `path` with the first python3 on $PATH; false if there is none. */
static bool find_on_path(char path[PATH_MAX]) {
  const char *all = getenv("PATH");
  for (size_t length; all && *all; all += length + (all[length] == ':')) {
    length = strcspn(all, ":");
    if (length == 0 || length > PATH_MAX - 16) continue; /* the working directory: never */
    snprintf(path, PATH_MAX, "%.*s/python3", (int)length, all);
    if (access(path, X_OK) == 0) return true;
  }
  return false;
}

/* $ESCAPEMENT_PYTHON alone, or else python3 on $PATH and the system's. */
static interpreters find_interpreters(void) {
  interpreters found = {0};
  const char *named = getenv("ESCAPEMENT_PYTHON");
  if (named && *named) {
    snprintf(found.path[found.count++], PATH_MAX, "%s", named);
    return found;
  }
  if (find_on_path(found.path[0])) found.count++;
  if (!found.count || !same_directory(found.path[0], system_python))
    snprintf(found.path[found.count++], PATH_MAX, "%s", system_python);
  return found;
}

typedef struct script {
  pid_t child;
  int input, errors; /* our ends of its standard input and error */
} script;

/* Starts `python` on `text`, isolated (-I): modules come from the interpreter's own environment,
 * never from the working directory, PYTHONPATH or the user's site directory. *error is errno if
 * it cannot be started. */
static esc_status start(const char *python, const char *text, const char *verb,
                        char *const *arguments, script *s, int *error) {
  int input[2], errors[2];
  posix_spawn_file_actions_t actions;
  char *all[ARGUMENTS_MAX + 5] = {(char *)python, "-I", "-c", (char *)text};
  for (int i = 0; i < ARGUMENTS_MAX && arguments[i]; i++) all[4 + i] = arguments[i];
  if (pipe2(input, O_CLOEXEC) != 0) return ESC_FAIL(ESC_IO_FAILED, "%s: %s", verb, strerror(errno));
  if (pipe2(errors, O_CLOEXEC) != 0)
    return ESC_FAIL(ESC_IO_FAILED, "%s: %s", verb, strerror(errno));
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, input[0], STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, errors[1], STDERR_FILENO);
  *error = posix_spawnp(&s->child, python, &actions, NULL, all, environ);
  posix_spawn_file_actions_destroy(&actions);
  close(input[0]);
  close(errors[1]);
  s->input = input[1];
  s->errors = errors[0];
  if (!*error) return ESC_OK;
  close(s->input);
  close(s->errors);
  return ESC_OK;
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

/* Runs `python` on `text`. `words` gets the last line of what it wrote on standard error, or why it
 * could not be started; *code its exit status, NO_MATPLOTLIB if another interpreter may help. */
static esc_status run(const char *python, const char *text, const char *verb, const char *input,
                      char *const *arguments, char words[512], int *code) {
  script s;
  int ended = 0, error = 0;
  *code = NO_MATPLOTLIB;
  const esc_status status = start(python, text, verb, arguments, &s, &error);
  if (error) snprintf(words, 512, "cannot be started: %s", strerror(error));
  if (status != ESC_OK || error) return status;
  signal(SIGPIPE, SIG_IGN); /* a script that ends early says so through its exit status */
  esc_io_write_all(s.input, "the drawing script's standard input", input, strlen(input));
  close(s.input);
  last_words(s.errors, words);
  close(s.errors);
  while (waitpid(s.child, &ended, 0) < 0 && errno == EINTR) continue;
  *code = WIFEXITED(ended) ? WEXITSTATUS(ended) : 3;
  return ESC_OK;
}

/* Tries one interpreter after the other until one has matplotlib; the last one's *code. `tried`
 * gets what was wrong with each that has not. */
static esc_status run_first(const interpreters *all, const char *text, const char *verb,
                            const char *input, char *const *arguments, char words[512], int *code,
                            char *tried, size_t size) {
  esc_status status = ESC_OK;
  size_t length = 0;
  tried[0] = 0;
  *code = NO_MATPLOTLIB;
  for (int i = 0; i < all->count && *code == NO_MATPLOTLIB; i++) {
    ESC_TRY(run(all->path[i], text, verb, input, arguments, words, code));
    snprintf(last_used, sizeof last_used, "%s", all->path[i]);
    if (*code == NO_MATPLOTLIB && length < size)
      length += (size_t)snprintf(tried + length, size - length, "%s%.200s: %.200s", i ? "; " : "",
                                 all->path[i], words[0] ? words : "no message");
  }
done:
  return status;
}

esc_status esc_python_run(const char *script_text, const char *verb, const char *input,
                          char *const *arguments) {
  esc_status status = ESC_OK;
  char words[512] = "", tried[900], *text = NULL;
  int code = 0;
  const interpreters all = find_interpreters();
  if (asprintf(&text, "%s%s", prelude, script_text) < 0) text = NULL;
  ESC_TRY_ALLOCATE(text);
  ESC_TRY(run_first(&all, text, verb, input, arguments, words, &code, tried, sizeof tried));
  if (code == NO_MATPLOTLIB)
    status = ESC_FAIL(ESC_LIBRARY_FAILED,
                      "%s: no Python with matplotlib, so no figure was written; tried %s; install "
                      "matplotlib there (Debian: python3-matplotlib), or set ESCAPEMENT_PYTHON to "
                      "an interpreter that has it",
                      verb, tried);
  else if (code != 0)
    status = ESC_FAIL(code == 2 ? ESC_BAD_INPUT : ESC_LIBRARY_FAILED, "%s%s; no figure was written",
                      words[0] ? words : verb, words[0] ? "" : ": the drawing script ended early");
done:
  free(text);
  return status;
}
