/* escapement plot: fits in C, drawn by plot.py, which travels inside the
 * program and gets the numbers as JSON on its standard input. */
#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/options.h"
#include "plot_script.h"
#include "store/io.h"

extern char **environ;

/* Steps of the members at one point of the fit, for the spread over seeds. */
static void add_members(json_t *point, const esc_fit_group *g, double scale, int tables,
                        esc_results **table) {
  json_t *steps = json_array(), *steps_run = json_array();
  for (int t = 0; t < tables; t++) {
    const esc_results *r = table[t];
    for (int64_t i = 0; i < r->members; i++) {
      if (r->bottleneck[i] != g->bottleneck || r->scale[i] != scale) continue;
      if (g->sweep_group >= 0 && r->group[i] != g->sweep_group) continue;
      if (r->status[i] == ESC_MEMBER_DIVERGED) continue;
      for (int k = 0; k < r->thresholds; k++)
        if (r->threshold[k] == g->threshold) {
          json_array_append_new(steps, json_integer(r->escape_step[i * r->thresholds + k]));
          json_array_append_new(steps_run, json_integer(r->steps_run[i]));
        }
    }
  }
  json_object_set_new(point, "steps", steps);
  json_object_set_new(point, "steps_run", steps_run);
}

static json_t *drawing(const esc_fit *fit, int tables, esc_results **table) {
  json_t *object = json_object(), *groups = esc_fit_to_json(fit), *thresholds = json_array();
  for (int i = 0; i < fit->groups; i++) {
    const esc_fit_group *g = &fit->group[i];
    json_t *points = json_object_get(json_array_get(groups, (size_t)i), "points");
    bool listed = false;
    for (int k = 0; k < g->points; k++)
      add_members(json_array_get(points, (size_t)k), g, g->point[k].scale, tables, table);
    for (int k = 0; k < i; k++) listed = listed || fit->group[k].threshold == g->threshold;
    if (!listed) json_array_append_new(thresholds, json_real(g->threshold));
  }
  json_object_set_new(object, "title", json_string(""));
  json_object_set_new(object, "thresholds", thresholds);
  json_object_set_new(object, "groups", groups);
  return object;
}

static const char *python(void) {
  const char *named = getenv("ESCAPEMENT_PYTHON");
  return named && *named ? named : "/usr/bin/python3";
}

/* Starts the script with a pipe to its standard input. */
static esc_status start_script(const char *figure, pid_t *child, int *input) {
  int ends[2];
  posix_spawn_file_actions_t actions;
  char *arguments[] = {(char *)python(), "-c", (char *)plot_script, (char *)figure, NULL};
  if (pipe(ends) != 0) return ESC_FAIL(ESC_IO_FAILED, "plot: pipe: %s", strerror(errno));
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, ends[0], STDIN_FILENO);
  posix_spawn_file_actions_addclose(&actions, ends[0]);
  posix_spawn_file_actions_addclose(&actions, ends[1]);
  const int failed = posix_spawnp(child, python(), &actions, NULL, arguments, environ);
  posix_spawn_file_actions_destroy(&actions);
  close(ends[0]);
  *input = ends[1];
  if (!failed) return ESC_OK;
  close(ends[1]);
  return ESC_FAIL(ESC_LIBRARY_FAILED,
                  "plot: cannot start %s: %s; install python3-matplotlib, or set ESCAPEMENT_PYTHON",
                  python(), strerror(failed));
}

static esc_status draw(const char *figure, json_t *object) {
  esc_status status = ESC_OK;
  pid_t child = 0;
  int input = -1, ended = 0;
  char *text = json_dumps(object, JSON_REAL_PRECISION(17));
  ESC_TRY_ALLOCATE(text);
  ESC_TRY(start_script(figure, &child, &input));
  signal(SIGPIPE, SIG_IGN); /* a script that ends early says so through its exit status */
  status = esc_io_write_all(input, "plot's standard input", text, strlen(text));
  close(input);
  while (waitpid(child, &ended, 0) < 0 && errno == EINTR) continue;
  const int code = WIFEXITED(ended) ? WEXITSTATUS(ended) : 3;
  if (code == 2)
    status = ESC_FAIL(ESC_BAD_INPUT, "plot: no figure was written");
  else if (code != 0)
    status =
        ESC_FAIL(ESC_LIBRARY_FAILED, "plot: drawing failed (%s); no figure was written", python());
done:
  free(text);
  return status;
}

esc_status esc_verb_plot(int argc, char **argv) {
  esc_status status = ESC_OK;
  const char *figure = NULL;
  bool help = false;
  int first = 0, tables = 0;
  esc_results **table = NULL;
  esc_fit fit = {0};
  json_t *object = NULL;
  const esc_option options[] = {
      {"output", 'o', "FIG.png", "the figure: .png, .svg or .pdf", .text = &figure},
      {0},
  };
  const esc_command command = {
      "plot OUT.h5... -o FIG.png",
      "Draws t* against epsilon on log axes: seeds, seed means and the predicted slopes.", options};
  ESC_TRY(esc_options_parse(&command, argc, argv, &first, &help));
  if (help) return ESC_OK;
  if (!figure) return ESC_FAIL(ESC_BAD_INPUT, "plot: needs -o FIG.png (or .svg, .pdf)");
  ESC_TRY(esc_tables_read(argc, argv, first, &tables, &table));
  ESC_TRY(esc_fit_results(tables, (const esc_results *const *)table, &fit));
  ESC_TRY_ALLOCATE(object = drawing(&fit, tables, table));
  ESC_TRY(draw(figure, object));
  printf("%s\n", figure);
done:
  json_decref(object);
  esc_fit_free(&fit);
  esc_tables_free(tables, table);
  return status;
}
