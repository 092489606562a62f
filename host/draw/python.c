/* SPDX-License-Identifier: Apache-2.0 */
/* Drawing scripts, which travel inside the program, as separate processes.
 *
 * The interpreter sees nothing of where it was started: isolated (-I), without the environment's
 * PYTHON* variables, and with / as its directory while matplotlib is loaded, which else would read
 * a matplotlibrc that lies about. */
#include "draw/python.h"

#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "draw/child.h"

enum { ARGUMENTS_MAX = 8 };

enum { INTERPRETERS_MAX = 2, NO_MATPLOTLIB = 86 };

/* In front of every script: tells an interpreter without matplotlib, with which another one may
 * help, from a script that fails. A stop lets the script take its temporary file away. */
static const char prelude[] =
    "import os, signal, sys\n"
    "signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(143))\n"
    "os.environ['MPLBACKEND'] = 'Agg'\n"
    "os.environ.pop('MATPLOTLIBRC', None)\n"
    "here = os.open('.', os.O_RDONLY)\n"
    "try:\n"
    "    os.chdir('/')\n"
    "    import matplotlib\n"
    "    os.fchdir(here)\n"
    "except Exception as failure:\n"
    "    sys.stderr.write(f'{type(failure).__name__}: {failure}')\n"
    "    sys.exit(86)\n";

/* Behind that, where the script is loaded and not run. */
static const char only_load[] = "__name__ = 'loaded'\n";

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
    if (*all != '/' || length > PATH_MAX - 16) continue; /* the working directory: never */
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

/* A drawing to be made. */
typedef struct job {
  const char *text, *command, *input;
  char *const *arguments;
} job;

/* How it ended. */
typedef struct outcome {
  int code;        /* exit status; NO_MATPLOTLIB if another interpreter may help */
  char words[512]; /* the last line that it wrote, or why it could not be started */
} outcome;

typedef struct script {
  pid_t child;
  int input, output; /* our ends of its standard input, and of its standard output and error */
  const char *unread;
  size_t left;      /* bytes of the input that it has not read */
  char line[512];   /* the last line that it wrote */
  size_t used;      /* of the line */
  bool is_complete; /* the next byte begins another */
} script;

static esc_status start(const char *python, const job *j, script *s, int *error) {
  char *all[ARGUMENTS_MAX + 5] = {(char *)python, "-I", "-c", (char *)j->text};
  for (int i = 0; i < ARGUMENTS_MAX && j->arguments && j->arguments[i]; i++)
    all[4 + i] = j->arguments[i];
  const esc_child_spec spec = {.program = python, .arguments = all, .leave_out = "PYTHON"};
  return esc_child_start(&spec, j->command, &s->child, &s->input, &s->output, error);
}

static void close_input(script *s) {
  if (s->input >= 0) close(s->input);
  s->input = -1;
}

/* Writes as much of the input as the pipe accepts; a script that ends early reads no more. */
static void feed(script *s) {
  const ssize_t written = write(s->input, s->unread, s->left);
  if (written < 0 && (errno == EINTR || errno == EAGAIN)) return;
  if (written > 0) {
    s->unread += written;
    s->left -= (size_t)written;
  }
  if (written <= 0 || s->left == 0) close_input(s);
}

/* Keeps the last line of what was written: the script's own message, or the end of Python's
 * traceback. False at the end. */
static bool listen_to(script *s) {
  char bytes[4096];
  const ssize_t got = read(s->output, bytes, sizeof bytes);
  if (got < 0 && (errno == EINTR || errno == EAGAIN)) return true;
  for (ssize_t i = 0; i < got; i++) {
    if (s->is_complete && bytes[i] != '\n') s->used = 0;
    s->is_complete = bytes[i] == '\n';
    if (!s->is_complete && s->used < sizeof s->line - 1) s->line[s->used++] = bytes[i];
    s->line[s->used] = '\0';
  }
  return got > 0;
}

/* Both pipes at once: a script that writes much before it reads would else wait for ever. */
static void talk(script *s) {
  for (bool open = true; open;) {
    struct pollfd pipes[2] = {{.fd = s->output, .events = POLLIN},
                              {.fd = s->input, .events = POLLOUT}};
    if (poll(pipes, 2, -1) < 0 && errno != EINTR) return;
    if (s->input >= 0 && pipes[1].revents) feed(s);
    if (pipes[0].revents) open = listen_to(s);
  }
}

/* Runs the job with the interpreter `python`. */
static esc_status run(const char *python, const job *j, outcome *out) {
  script s = {.unread = j->input, .left = strlen(j->input), .input = -1, .output = -1};
  int error = 0;
  out->code = NO_MATPLOTLIB;
  const esc_status status = start(python, j, &s, &error);
  if (error) snprintf(out->words, sizeof out->words, "cannot be started: %s", strerror(error));
  if (status != ESC_OK || error) return status;
  if (s.left == 0) close_input(&s);
  talk(&s);
  close_input(&s);
  close(s.output);
  snprintf(out->words, sizeof out->words, "%s", s.line);
  const int ended = esc_child_wait(s.child);
  out->code = WIFEXITED(ended) ? WEXITSTATUS(ended) : 3;
  return ESC_OK;
}

/* Tries one interpreter after the other until one has matplotlib; the last one's outcome. `tried`
 * gets what was wrong with each that has not. */
static esc_status run_first(const interpreters *all, const job *j, outcome *out, char *tried,
                            size_t size) {
  esc_status status = ESC_OK;
  size_t length = 0;
  tried[0] = 0;
  *out = (outcome){.code = NO_MATPLOTLIB};
  for (int i = 0; i < all->count && out->code == NO_MATPLOTLIB; i++) {
    ESC_TRY(run(all->path[i], j, out));
    snprintf(last_used, sizeof last_used, "%s", all->path[i]);
    if (out->code == NO_MATPLOTLIB && length < size)
      length += (size_t)snprintf(tried + length, size - length, "%s%.200s: %.200s", i ? "; " : "",
                                 all->path[i], out->words[0] ? out->words : "no message");
  }
done:
  return status;
}

/* Runs a job whose text is `more` and the script, both behind the prelude. */
static esc_status run_script(const char *more, job j) {
  esc_status status = ESC_OK;
  char tried[900], *text = NULL;
  outcome end;
  const interpreters all = find_interpreters();
  if (asprintf(&text, "%s%s%s", prelude, more, j.text) < 0) text = NULL;
  ESC_TRY_ALLOCATE(text);
  j.text = text;
  ESC_TRY(run_first(&all, &j, &end, tried, sizeof tried));
  if (end.code == NO_MATPLOTLIB)
    status = ESC_FAIL(ESC_LIBRARY_FAILED,
                      "%s: no Python with matplotlib, so no figure was written; tried %s; install "
                      "matplotlib there (Debian: python3-matplotlib), or set ESCAPEMENT_PYTHON to "
                      "an interpreter that has it",
                      j.command, tried);
  else if (end.code != 0)
    status = ESC_FAIL(end.code == 2 ? ESC_BAD_INPUT : ESC_LIBRARY_FAILED,
                      "%s%s; no figure was written", end.words[0] ? end.words : j.command,
                      end.words[0] ? "" : ": the drawing script ended early");
done:
  free(text);
  return status;
}

esc_status esc_python_run(const char *script_text, const char *command, const char *input,
                          char *const *arguments) {
  return run_script("", (job){script_text, command, input, arguments});
}

esc_status esc_python_check(const char *script_text, const char *command) {
  return run_script(only_load, (job){script_text, command, "", NULL});
}
