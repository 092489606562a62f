/* SPDX-License-Identifier: Apache-2.0 */
/* escapement plot: fits in C; plot.py, embedded in the program, reads the fits as JSON on standard
 * input and draws them. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/cli.h"
#include "cli/figure_width.h"
#include "cli/options.h"
#include "cli/output.h"
#include "draw/python.h"
#include "escapement/fit.h"
#include "escapement/internal/results.h"
#include "plot_script.h"
#include "spec/spec.h"

/* Whether member i is at the point of the grid that the group is of. */
static bool is_at_point(const esc_results *r, int64_t i, const esc_fit_group *g) {
  for (int k = 0; k < g->keys; k++) {
    const int key = r->grid ? esc_grid_find_key(r->grid, g->key[k].name) : -1;
    if (key < 0 || strcmp(esc_grid_value(r->grid, r->point[i], key), g->key[k].value) != 0)
      return false;
  }
  return true;
}

/* Escape steps of the members at one point of the fit, for the spread over seeds. */
static void add_members(json_t *point, const esc_fit_group *g, double scale, int tables,
                        esc_results **table) {
  json_t *steps = json_array(), *steps_run = json_array();
  for (int t = 0; t < tables; t++) {
    const esc_results *r = table[t];
    for (int64_t i = 0; i < r->members; i++) {
      if (r->bottleneck[i] != g->bottleneck || r->small_layers[i] != g->small_layers) continue;
      if (fabs(r->scale[i] - scale) > 1e-12 * scale) continue; /* as in the fit */
      if (r->status[i] == ESC_MEMBER_DIVERGED || r->status[i] == ESC_MEMBER_WAITING) continue;
      if (!is_at_point(r, i, g)) continue;
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

/* Swept keys have no one value: the caption lists theirs. */
static void set_swept(json_t *setup, const esc_grid *grid) {
  static const struct {
    const char *key, *name;
  } names[] = {{"network.activation", "activation"},
               {"network.layers", "layers"},
               {"network.width", "width"},
               {"train.batch", "batch"},
               {"train.rate", "rate"},
               {"init.scheme", "init"}};
  json_t *swept = json_array();
  for (int k = 0; k < grid->keys; k++) json_array_append_new(swept, json_string(grid->key[k]));
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
    if (esc_grid_find_key(grid, names[i].key) >= 0)
      json_object_set_new(setup, names[i].name, json_null());
  json_object_set_new(setup, "swept", swept);
}

/* Network and training of the sweep, for the caption; NULL if the file has no spec. */
static json_t *setup_json(const esc_results *results) {
  static const char *const schemes[] = {"he-normal", "symmetric", "blocks", "file"};
  const char *text = esc_results_attribute_text(results, "spec");
  esc_spec *spec = NULL;
  char activation[128];
  if (!text || esc_spec_parse("spec", text, strlen(text), 0, NULL, &spec) != ESC_OK) return NULL;
  const esc_problem *p = &spec->problem;
  json_t *setup = json_object();
  esc_activation_print(&p->activation, activation, sizeof activation);
  json_object_set_new(setup, "activation", json_string(activation));
  json_object_set_new(setup, "layers", json_integer(p->shape.layers));
  json_object_set_new(setup, "width", json_integer(p->shape.width));
  json_object_set_new(setup, "batch", json_integer(p->batch));
  json_object_set_new(setup, "rate", json_real(p->rate));
  json_object_set_new(setup, "init", json_string(schemes[p->scheme]));
  if (spec->grid) set_swept(setup, spec->grid->grid);
  esc_spec_free(spec);
  return setup;
}

static json_t *drawing(const esc_fit *fit, int tables, esc_results **table) {
  json_t *object = json_object(), *groups = esc_fit_to_json(fit);
  json_t *setup = setup_json(table[0]);
  const char *title = esc_results_attribute_text(table[0], "name");
  for (int i = 0; i < fit->groups; i++) {
    const esc_fit_group *g = &fit->group[i];
    json_t *points = json_object_get(json_array_get(groups, (size_t)i), "points");
    for (int k = 0; k < g->points; k++)
      add_members(json_array_get(points, (size_t)k), g, g->point[k].scale, tables, table);
  }
  json_object_set_new(object, "title", esc_json_text(title ? title : ""));
  if (setup) json_object_set_new(object, "setup", setup);
  json_object_set_new(object, "groups", groups);
  return object;
}

/* Adds the command line, for the caption. */
static void set_command(json_t *object, int files, char *const *file, const char *figure) {
  size_t used = 0;
  char text[1024];
  used = (size_t)snprintf(text, sizeof text, "escapement plot");
  for (int i = 0; i < files && used < sizeof text; i++)
    used += (size_t)snprintf(text + used, sizeof text - used, " %s", file[i]);
  if (used < sizeof text) snprintf(text + used, sizeof text - used, " -o %s", figure);
  json_object_set_new(object, "command", esc_json_text(text));
}

static esc_status draw(const char *figure, const char *width, const char *caption, json_t *object) {
  esc_status status = ESC_OK;
  char *const arguments[] = {(char *)figure, (char *)(width ? width : ""),
                             (char *)(caption ? caption : ""), NULL};
  char *text = json_dumps(object, JSON_REAL_PRECISION(17));
  ESC_TRY_ALLOCATE(text);
  status = esc_python_run(plot_script, "plot", text, arguments);
done:
  free(text);
  return status;
}

/* True for links and for different paths of one file. */
static bool same_file(const struct stat *a, const struct stat *b) {
  return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

static esc_status refuse_input_as_output(int files, char *const *file, const char *option,
                                         const char *figure) {
  struct stat output, input;
  if (!figure || stat(figure, &output) != 0) return ESC_OK;
  for (int i = 0; i < files; i++)
    if (stat(file[i], &input) == 0 && same_file(&input, &output))
      return ESC_FAIL(ESC_BAD_INPUT, "%s %s: would replace the result file %s; choose another file",
                      option, figure, file[i]);
  return ESC_OK;
}

/* Axes are logarithmic. Diverged members are not counted in n. */
static bool is_drawable(const esc_fit_point *p) {
  return p->n + p->running > 0 && p->scale > 0 && isfinite(p->scale);
}

static int64_t count_status(const esc_results *r, int32_t status) {
  int64_t count = 0;
  for (int64_t i = 0; i < r->members; i++) count += r->status[i] == status;
  return count;
}

static esc_status refuse_nothing_to_draw(const esc_fit *fit, int tables, esc_results **table,
                                         char *const *file) {
  int64_t members = 0, diverged = 0, waiting = 0;
  char more[32] = "";
  for (int g = 0; g < fit->groups; g++)
    for (int p = 0; p < fit->group[g].points; p++)
      if (is_drawable(&fit->group[g].point[p])) return ESC_OK;
  for (int t = 0; t < tables; t++) {
    members += table[t]->members;
    diverged += count_status(table[t], ESC_MEMBER_DIVERGED);
    waiting += count_status(table[t], ESC_MEMBER_WAITING);
  }
  if (tables > 1) snprintf(more, sizeof more, " and %d more", tables - 1);
  if (members == 0)
    return ESC_FAIL(ESC_BAD_INPUT, "%s%s: nothing to draw: no members", file[0], more);
  if (waiting > 0)
    return ESC_FAIL(ESC_BAD_INPUT,
                    "%s%s: nothing to draw yet: %lld of %lld members are not known; see "
                    "`escapement watch`",
                    file[0], more, (long long)waiting, (long long)members);
  if (diverged < members)
    return ESC_FAIL(ESC_BAD_INPUT,
                    "%s%s: nothing to draw: no finite member has a threshold and a scale above 0",
                    file[0], more);
  return ESC_FAIL(ESC_BAD_INPUT, "%s%s: nothing to draw: all %lld members diverged", file[0], more,
                  (long long)members);
}

/* Status of a file; all 0 if it does not exist. */
static struct stat status_of(const char *path) {
  struct stat found;
  if (stat(path, &found) != 0) memset(&found, 0, sizeof found);
  return found;
}

/* ESCAPEMENT_PYTHON may be any program, so its exit status is not enough. plot.py replaces the file
 * of the figure, which changes the inode; another program may write in place. */
static esc_status check_written(const char *figure, const struct stat *before) {
  const struct stat after = status_of(figure);
  const bool written = !same_file(&after, before) ||
                       after.st_mtim.tv_sec != before->st_mtim.tv_sec ||
                       after.st_mtim.tv_nsec != before->st_mtim.tv_nsec;
  if (S_ISREG(after.st_mode) && after.st_size > 0 && written) return ESC_OK;
  return ESC_FAIL(
      ESC_LIBRARY_FAILED,
      "plot: %s: exit status 0, but %s was not written; ESCAPEMENT_PYTHON has to be a Python "
      "interpreter",
      esc_python(), figure);
}

typedef struct request {
  const char *figure, *width, *caption;
} request;

static esc_status parse(request *r, int argc, char **argv, int *first, bool *help) {
  const esc_option options[] = {
      {"output", 'o', "FIG.png", "figure file: .png, .svg or .pdf", .text = &r->figure,
       .suffixes = "png|svg|pdf"},
      {"width", 0, "WIDTH", ESC_FIGURE_WIDTH_HELP, .text = &r->width,
       .words = ESC_FIGURE_WIDTH_WORDS},
      {"caption", 0, "FILE.txt", "write the caption, as text: symbols, errors, sizes, slopes",
       .text = &r->caption, .suffixes = "txt"},
      {0},
  };
  const esc_command command = {
      "plot OUT.h5... -o FIG.png",
      "Draws t* against epsilon on logarithmic axes: seeds, seed means, least-squares\n"
      "and predicted slopes. One panel if the times at all thresholds are alike,\n"
      "otherwise one panel per threshold. An unfinished run is drawn as far as it is\n"
      "known.",
      .options = options, .suffixes = ESC_RESULT_SUFFIXES};
  return esc_options_parse(&command, argc, argv, first, help);
}

/* Outputs need a known format, and must differ from the input `files`. */
static esc_status check_outputs(const request *r, int files, char *const *file) {
  esc_status status = ESC_OK;
  if (!r->figure) return ESC_FAIL(ESC_BAD_INPUT, "plot: -o FIG.png (or .svg, .pdf) is missing");
  ESC_TRY(esc_output_check(r->figure, "a picture", "png|svg|pdf", false));
  ESC_TRY(esc_figure_width_check(r->width));
  if (r->caption && !strcmp(r->caption, r->figure))
    return ESC_FAIL(ESC_BAD_INPUT, "--caption %s: is the file of the figure; choose another file",
                    r->caption);
  ESC_TRY(refuse_input_as_output(files, file, "-o", r->figure));
  ESC_TRY(refuse_input_as_output(files, file, "--caption", r->caption));
done:
  return status;
}

esc_status esc_command_plot(int argc, char **argv) {
  esc_status status = ESC_OK;
  request r = {0};
  bool help = false;
  int first = 0, tables = 0;
  esc_results **table = NULL;
  esc_fit fit = {0};
  json_t *object = NULL, *unfinished = NULL;
  ESC_TRY(parse(&r, argc, argv, &first, &help));
  if (help) return ESC_OK;
  ESC_TRY(check_outputs(&r, argc - first, argv + first));
  ESC_TRY(esc_tables_read_unfinished(argc, argv, first, &tables, &table, &unfinished));
  ESC_TRY(esc_results_fit(tables, (const esc_results *const *)table,
                          (const char *const *)(argv + first), &fit));
  ESC_TRY(refuse_nothing_to_draw(&fit, tables, table, argv + first));
  ESC_TRY_ALLOCATE(object = drawing(&fit, tables, table));
  if (json_array_size(unfinished)) json_object_set(object, "unfinished", unfinished);
  set_command(object, argc - first, argv + first, r.figure);
  const struct stat before = status_of(r.figure);
  ESC_TRY(draw(r.figure, r.width, r.caption, object));
  ESC_TRY(check_written(r.figure, &before));
  for (size_t i = 0; i < json_array_size(unfinished); i++)
    esc_log("%s", json_string_value(json_object_get(json_array_get(unfinished, i), "text")));
  printf("%s\n", r.figure);
done:
  json_decref(object);
  json_decref(unfinished);
  esc_fit_free(&fit);
  esc_tables_free(tables, table);
  return status;
}
