/* SPDX-License-Identifier: Apache-2.0 */
#include "draw/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* Variables of this process without some; the strings are the process' own. NULL without memory. */
static char **make_environment(const char *leave_out) {
  size_t count = 0, kept = 0;
  while (environ[count]) count++;
  char **made = calloc(count + 1, sizeof *made);
  for (size_t i = 0; made && i < count; i++)
    if (!leave_out || strncmp(environ[i], leave_out, strlen(leave_out)) != 0)
      made[kept++] = environ[i];
  return made;
}

/* Ours and the child's ends of its pipes, and one that tells why a program was not started. */
typedef struct pipes {
  int input[2], output[2], started[2];
} pipes;

static void close_all(pipes *p) {
  int *const end[] = {&p->input[0],  &p->input[1],   &p->output[0],
                      &p->output[1], &p->started[0], &p->started[1]};
  for (size_t i = 0; i < sizeof end / sizeof end[0]; i++) {
    if (*end[i] >= 0) close(*end[i]);
    *end[i] = -1;
  }
}

static bool open_pipes(pipes *p) {
  *p = (pipes){{-1, -1}, {-1, -1}, {-1, -1}};
  return pipe2(p->started, O_CLOEXEC) == 0 && pipe2(p->input, O_CLOEXEC) == 0 &&
         pipe2(p->output, O_CLOEXEC) == 0 && fcntl(p->input[1], F_SETFL, O_NONBLOCK) == 0 &&
         fcntl(p->output[0], F_SETFL, O_NONBLOCK) == 0;
}

static void redirect(const pipes *p) {
  dup2(p->input[0], STDIN_FILENO);
  dup2(p->output[1], STDOUT_FILENO);
  dup2(p->output[1], STDERR_FILENO);
}

/* In the child, between fork and exec. */
static void become(const esc_child_spec *spec, const pipes *p, pid_t parent, char **environment) {
  sigset_t none;
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (getppid() != parent) _exit(143); /* it ended meanwhile */
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  signal(SIGPIPE, SIG_DFL);
  redirect(p);
  execvpe(spec->program, spec->arguments, environment);
  const int error = errno;
  if (write(p->started[1], &error, sizeof error) < 0) _exit(126);
  _exit(127);
}

esc_status esc_child_start(const esc_child_spec *spec, const char *command, pid_t *child,
                           int *input, int *output, int *error) {
  esc_status status = ESC_OK;
  pipes p;
  const pid_t parent = getpid();
  char **environment = make_environment(spec->leave_out);
  *error = 0;
  if (!open_pipes(&p) || !environment || (*child = fork()) < 0) {
    status =
        ESC_FAIL(ESC_IO_FAILED, "%s: cannot start %s: %s", command, spec->program, strerror(errno));
    goto done;
  }
  if (*child == 0) become(spec, &p, parent, environment);
  close(p.started[1]);
  p.started[1] = -1;
  if (read(p.started[0], error, sizeof *error) != sizeof *error) *error = 0;
  if (*error) {
    esc_child_wait(*child);
    goto done;
  }
  signal(SIGPIPE, SIG_IGN); /* a child that ends early says so through its exit status */
  *input = p.input[1];
  *output = p.output[0];
  p.input[1] = p.output[0] = -1;
done:
  close_all(&p);
  free(environment);
  return status;
}

int esc_child_wait(pid_t child) {
  int ended = 0;
  while (waitpid(child, &ended, 0) < 0)
    if (errno != EINTR) return 0x7f00;
  return ended;
}
