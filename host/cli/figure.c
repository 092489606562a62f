/* SPDX-License-Identifier: Apache-2.0 */
/* escapement figure: trains the sweeps of a figure of the paper, compares them with theory, and
 * draws the figure.
 *
 * Sweeps are ordinary runs of specs embedded in the program. Each is resumed from its files, so
 * that a second call only repeats the analysis and the drawing. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/io.h"
#include "base/text.h"
#include "cli/cli.h"
#include "cli/figure_width.h"
#include "cli/options.h"
#include "cli/run_watch.h"
#include "draw/python.h"
#include "figure/figure.h"
#include "figure_draw.h"
#include "run/provenance.h"

enum {
  PATH_SIZE = 4096,
  OVERRIDES_MAX = 64,
  INDENT = 6,    /* of the second line of a check: the width of "PASS  " */
  COLUMNS = 100, /* of the table of checks */
};

typedef struct request {
  const char *directory, *preset, *backend, *width;
  int64_t threads;
  bool replot, json, quiet;
  const char *command_line;
  int first, last; /* figures */
  int overrides;   /* key=value for every spec, applied after the overrides of the figure */
  char *const *override;
} request;

static esc_status join(const request *r, const char *name, const char *suffix, char *path) {
  if (snprintf(path, PATH_SIZE, "%s/%s%s", r->directory, name, suffix) < PATH_SIZE) return ESC_OK;
  return ESC_FAIL(ESC_BAD_INPUT, "-o: the path is longer than %d bytes", (int)PATH_SIZE);
}

/* ---- training ---- */

/* "figure 2, sweep 1 of 3: training figure2-r", before the progress of the run. */
static void print_sweep(const request *r, const esc_figure_sweep *s) {
  int number = 0, count = 0;
  for (int i = 0; i < esc_figure_sweep_count; i++) {
    count += esc_figure_sweeps[i].figure == s->figure;
    if (&esc_figure_sweeps[i] == s) number = count;
  }
  if (!r->quiet)
    esc_log("figure %d, sweep %d of %d: training %s", s->figure, number, count, s->name);
}

/* Parses the spec of a sweep, with overrides, and writes its text to DIR/name.yaml for the user. */
static esc_status parse_spec(const request *r, const esc_figure_sweep *s, esc_spec **spec) {
  esc_status status = ESC_OK;
  char path[PATH_SIZE];
  const char *words[OVERRIDES_MAX];
  int count = 0;
  const char *text = esc_figure_spec(r->preset, s->spec);
  if (!text)
    return ESC_FAIL(ESC_BAD_INPUT, "--preset %s: unknown preset; allowed: small, large",
                    esc_quote(r->preset, strlen(r->preset)).text);
  ESC_TRY(join(r, s->name, ".yaml", path));
  ESC_TRY(esc_io_publish(path, text, strlen(text)));
  if (s->override) words[count++] = s->override;
  for (int i = 0; i < r->overrides && count < OVERRIDES_MAX; i++) words[count++] = r->override[i];
  ESC_TRY(esc_spec_parse(path, text, strlen(text), count, words, spec));
  status = esc_spec_refuse_grid(*spec, path);
done:
  return status;
}

/* Replaces the advice in the message of an interrupted run: `figure` always resumes, and has no
 * option --resume. */
static esc_status explain_stop(const char *name, esc_status status) {
  char why[900];
  snprintf(why, sizeof why, "%s", esc_error_message());
  char *const advice = strstr(why, "; the same command with --resume");
  if (!advice) return ESC_FAIL(status, "%s: %s", name, why);
  *advice = 0;
  return ESC_FAIL(status, "%s: %s; the same command continues from the checkpoint", name, why);
}

static esc_status train(const request *r, const esc_figure_sweep *s, const char *output) {
  esc_status status = ESC_OK;
  esc_spec *spec = NULL;
  esc_run_watch watch;
  esc_run_options options;
  ESC_TRY(parse_spec(r, s, &spec));
  print_sweep(r, s);
  ESC_TRY(esc_run_watch_begin(&watch, r->quiet));
  esc_run_options_init(&options);
  options.output = output;
  options.backend = r->backend;
  options.threads = (int)r->threads;
  options.resume = true;
  options.quiet = r->quiet;
  options.command_line = r->command_line;
  options.stop = watch.stop;
  options.callbacks = watch.callbacks;
  status = esc_sweep_run(spec, &options, NULL, NULL);
  const bool stopped = esc_run_watch_end(&watch);
  if (status == ESC_OK && stopped) status = ESC_FAIL(ESC_INTERRUPTED, "interrupted after its end");
  if (status != ESC_OK) status = explain_stop(s->name, status);
done:
  esc_spec_free(spec);
  return status;
}

/* ---- reading ---- */

static esc_status load(const request *r, const esc_figure_sweep *s, esc_figure_run *out) {
  esc_status status = ESC_OK;
  char path[PATH_SIZE];
  *out = (esc_figure_run){.sweep = s};
  ESC_TRY(join(r, s->name, ".h5", path));
  if (!r->replot) ESC_TRY(train(r, s, path));
  ESC_TRY(esc_table_read(path, &out->results));
  const char *spec = esc_results_attribute_text(out->results, "spec");
  if (!spec) return ESC_FAIL(ESC_BAD_INPUT, "%s: the attribute 'spec' is missing", path);
  ESC_TRY(esc_spec_parse(path, spec, strlen(spec), 0, NULL, &out->spec));
  ESC_TRY(esc_spec_refuse_grid(out->spec, path));
  ESC_TRY(esc_results_check(path, out->results, &out->spec->problem));
done:
  return status;
}

/* ---- output files ---- */

static esc_status draw(const request *r, const char *name, const char *text) {
  esc_status status = ESC_OK;
  char data[PATH_SIZE], png[PATH_SIZE], pdf[PATH_SIZE], caption[PATH_SIZE];
  ESC_TRY(join(r, name, ".json", data));
  ESC_TRY(join(r, name, ".png", png));
  ESC_TRY(join(r, name, ".pdf", pdf));
  ESC_TRY(join(r, name, ".txt", caption));
  ESC_TRY(esc_io_publish(data, text, strlen(text)));
  char *const arguments[] = {(char *)(r->width ? r->width : "double"), png, pdf, caption, NULL};
  status = esc_python_run(figure_draw, name, text, arguments);
done:
  return status;
}

/* Spec, device, engine and times of a sweep. */
static json_t *origin_json(const esc_figure_run *run) {
  static const char *const attributes[] = {"device", "backend",    "engine",   "precision",
                                           "commit", "start_time", "end_time", "spec"};
  json_t *json = json_object();
  double steps = 0;
  for (int64_t i = 0; i < run->results->members; i++) steps += (double)run->results->steps_run[i];
  json_object_set_new(json, "name", json_string(run->sweep->name));
  json_object_set_new(json, "members", json_integer(run->results->members));
  json_object_set_new(json, "network_steps", json_real(steps));
  for (size_t i = 0; i < sizeof attributes / sizeof attributes[0]; i++) {
    const char *text = esc_results_attribute_text(run->results, attributes[i]);
    if (text) json_object_set_new(json, attributes[i], esc_json_text(text));
  }
  return json;
}

static json_t *origins_json(const esc_figure *f) {
  json_t *runs = json_array();
  for (int i = 0; i < f->runs; i++) json_array_append_new(runs, origin_json(&f->run[i]));
  return runs;
}

/* A word of a command, quoted if a shell would split it. */
static void put_word(FILE *out, const char *word) {
  static const char plain[] =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789=.,:_/+-";
  const bool quoted = word[strspn(word, plain)] != '\0';
  fprintf(out, quoted ? " '%s'" : " %s", word);
}

/* The part of the command that changes the numbers of the figure; owned by the caller, NULL without
 * memory. */
static char *options_text(const request *r) {
  char *text = NULL;
  size_t size = 0;
  FILE *out = open_memstream(&text, &size);
  if (!out) return NULL;
  if (strcmp(r->preset, "small") != 0) fprintf(out, " --preset %s", r->preset);
  for (int i = 0; i < r->overrides; i++) put_word(out, r->override[i]);
  fclose(out);
  return text;
}

static json_t *overrides_json(const request *r) {
  json_t *list = json_array();
  for (int i = 0; i < r->overrides; i++) json_array_append_new(list, esc_json_text(r->override[i]));
  return list;
}

static json_t *figure_json(const request *r, const esc_figure *f) {
  json_t *json = json_object();
  if (r->overrides) json_object_set_new(json, "overrides", overrides_json(r));
  json_object_set_new(json, "number", json_integer(f->number));
  json_object_set_new(json, "title", json_string(f->title));
  json_object_set(json, "checks", f->checks);
  return json;
}

/* Adds the paths of the written files to a figure of the summary. */
static esc_status add_files(const request *r, const char *name, json_t *figure) {
  static const char *const suffix[] = {".png", ".pdf", ".json"};
  esc_status status = ESC_OK;
  json_t *files = json_array();
  char path[PATH_SIZE];
  json_object_set_new(figure, "files", files);
  for (size_t i = 0; i < sizeof suffix / sizeof suffix[0]; i++) {
    ESC_TRY(join(r, name, suffix[i], path));
    json_array_append_new(files, esc_json_text(path));
  }
done:
  return status;
}

static esc_status make(const request *r, int number, json_t *figures, int *failed) {
  esc_status status = ESC_OK;
  esc_figure f = {.number = number};
  json_t *drawing = NULL;
  char name[16], *text = NULL, *options = NULL;
  snprintf(name, sizeof name, "figure%d", number);
  ESC_TRY_ALLOCATE(options = options_text(r));
  f.options = options;
  for (int i = 0; i < esc_figure_sweep_count; i++)
    if (esc_figure_sweeps[i].figure == number)
      ESC_TRY(load(r, &esc_figure_sweeps[i], &f.run[f.runs++]));
  ESC_TRY(esc_figure_make(&f));
  drawing = figure_json(r, &f);
  json_object_set_new(drawing, "common_legend", json_boolean(f.common_legend));
  json_object_set_new(drawing, "caption", json_string(f.caption_text));
  json_object_set_new(drawing, "runs", origins_json(&f));
  json_object_set(drawing, "panels", f.panels);
  ESC_TRY_ALLOCATE(text = json_dumps(drawing, JSON_INDENT(1) | JSON_REAL_PRECISION(17)));
  ESC_TRY(draw(r, name, text));
  json_array_append_new(figures, figure_json(r, &f));
  ESC_TRY(add_files(r, name, json_array_get(figures, json_array_size(figures) - 1)));
  *failed += f.failed;
done:
  free(text);
  free(options);
  json_decref(drawing);
  esc_figure_free(&f);
  return status;
}

static void print_check(FILE *out, const json_t *check) {
  const char *pass = json_is_true(json_object_get(check, "pass")) ? "PASS" : "FAIL";
  const char *detail = json_string_value(json_object_get(check, "detail"));
  char line[2048];
  snprintf(line, sizeof line, "%s: expected %.6g, got %.6g, tolerance %.3g",
           json_string_value(json_object_get(check, "name")),
           json_number_value(json_object_get(check, "expected")),
           json_number_value(json_object_get(check, "got")),
           json_number_value(json_object_get(check, "tolerance")));
  fprintf(out, "%s  ", pass);
  esc_text_print_wrapped(out, line, INDENT, COLUMNS);
  fprintf(out, "%*s", (int)INDENT, "");
  snprintf(line, sizeof line, "%s%s%s", json_string_value(json_object_get(check, "reason")),
           detail ? "; " : "", detail ? detail : "");
  esc_text_print_wrapped(out, line, INDENT, COLUMNS);
}

/* The tolerances of a figure are derived for its preset; overrides are therefore printed. */
static void print_overrides(FILE *out, const json_t *overrides) {
  char line[2048];
  size_t i, used = 0;
  const json_t *word;
  if (!json_array_size(overrides)) return;
  json_array_foreach(overrides, i, word) {
    if (used < sizeof line)
      used += (size_t)snprintf(
          line + used, sizeof line - used, "%s %s",
          i ? "" : "the tolerances are those of the preset, without these overrides:",
          json_string_value(word));
  }
  esc_text_print_wrapped(out, line, 0, COLUMNS);
}

/* Lists the written files. */
static void print_files(const json_t *figures) {
  size_t i, k;
  const json_t *figure, *file;
  json_array_foreach(figures, i, figure) {
    printf("figure %lld:", (long long)json_integer_value(json_object_get(figure, "number")));
    json_array_foreach(json_object_get(figure, "files"), k, file) {
      printf(" %s", json_string_value(file));
    }
    printf("\n");
  }
}

static void print_checks(FILE *out, const json_t *figures) {
  size_t i, k, passed = 0, all = 0;
  const json_t *figure, *check;
  json_array_foreach(figures, i, figure) {
    fprintf(out, "%sfigure %lld: %s\n", i ? "\n" : "",
            (long long)json_integer_value(json_object_get(figure, "number")),
            json_string_value(json_object_get(figure, "title")));
    print_overrides(out, json_object_get(figure, "overrides"));
    json_array_foreach(json_object_get(figure, "checks"), k, check) {
      print_check(out, check);
      passed += json_is_true(json_object_get(check, "pass"));
      all++;
    }
  }
  fprintf(out, "\n%zu of %zu checks passed\n", passed, all);
}

static esc_status write_checks(const request *r, const json_t *figures) {
  esc_status status = ESC_OK;
  char path[PATH_SIZE], *text = NULL;
  size_t size = 0;
  FILE *out = open_memstream(&text, &size);
  ESC_TRY_ALLOCATE(out);
  print_checks(out, figures);
  fclose(out);
  ESC_TRY(join(r, "checks", ".txt", path));
  ESC_TRY(esc_io_publish(path, text, size));
done:
  free(text);
  return status;
}

static esc_status print_summary(const request *r, json_t *figures) {
  if (!r->json) {
    print_checks(stdout, figures);
    print_files(figures);
    return ESC_OK;
  }
  json_t *object = json_object();
  json_object_set(object, "figures", figures);
  return esc_json_print(object);
}

static esc_status make_all(const request *r) {
  esc_status status = ESC_OK;
  int failed = 0;
  json_t *figures = json_array();
  ESC_TRY_ALLOCATE(figures);
  if (mkdir(r->directory, 0777) != 0 && errno != EEXIST)
    return ESC_FAIL(ESC_BAD_INPUT, "-o %s: %s", r->directory, strerror(errno));
  if (!r->replot)
    ESC_TRY(esc_python_check(figure_draw, "figure")); /* fails before minutes of training */
  for (int n = r->first; n <= r->last; n++) ESC_TRY(make(r, n, figures, &failed));
  ESC_TRY(write_checks(r, figures));
  ESC_TRY(print_summary(r, figures));
  if (failed)
    status = ESC_FAIL(ESC_CHECK_FAILED, "%d check%s failed", failed, failed == 1 ? "" : "s");
done:
  json_decref(figures);
  return status;
}

static esc_status read_number(request *r, const char *text) {
  r->first = 1;
  r->last = ESC_FIGURES;
  if (!strcmp(text, "all")) return ESC_OK;
  r->first = r->last = text[0] - '0';
  if (strlen(text) == 1 && r->first >= 1 && r->first <= ESC_FIGURES) return ESC_OK;
  return ESC_FAIL(ESC_BAD_INPUT, "figure: '%s': unknown figure; allowed: 1 to %d, or all",
                  esc_quote(text, strlen(text)).text, (int)ESC_FIGURES);
}

static esc_status parse(request *r, int argc, char **argv, int *first, bool *help) {
  const esc_option options[] = {
      {"output", 'o', "DIR", "directory for data, images and checks", .text = &r->directory,
       .suffixes = ESC_FOLDER},
      {"preset", 0, "small|large",
       "set of sweeps: small (minutes on two CPU cores) or large (for a GPU) (default: small)",
       .text = &r->preset, .words = "small|large"},
      {"backend", 0, "NAME", "auto, reference, cpu or cuda (default: auto)", .text = &r->backend,
       .words = "auto|" ESC_ENGINE_WORDS},
      {"threads", 0, "N", "CPU threads (default: all processors)", .number = &r->threads, .min = 1,
       .max = 4096},
      {"width", 0, "WIDTH", ESC_FIGURE_WIDTH_HELP " (default: double)", .text = &r->width,
       .words = ESC_FIGURE_WIDTH_WORDS},
      {"replot", 0, NULL, "draw from the data in DIR; train nothing", .flag = &r->replot},
      {"quiet", 'q', NULL, "no progress on standard error", .flag = &r->quiet},
      {"json", 0, NULL, "print the checks as one JSON object", .flag = &r->json},
      {0},
  };
  const esc_command command = {
      "figure 1..5|all -o DIR [options] [key=value ...]",
      "Trains the sweeps of a figure of the paper, compares them with theory and draws\n"
      "the figure. Writes data (.h5, .json), images (.png, .pdf), a caption (.txt), and\n"
      "checks.txt: expected and measured value of each check, its tolerance and the\n"
      "reason for the tolerance. key=value replaces a value of every spec. Exit status\n"
      "1 if a check fails.",
      .options = options, .words = "1|2|3|4|5|all", .overrides = true};
  return esc_options_parse(&command, argc, argv, first, help);
}

esc_status esc_command_figure(int argc, char **argv) {
  esc_status status = ESC_OK;
  bool help = false;
  int first = 0;
  char *command_line = NULL;
  request r = {.preset = "small", .backend = "auto"};
  ESC_TRY(parse(&r, argc, argv, &first, &help));
  if (help) return ESC_OK;
  if (first >= argc)
    return ESC_FAIL(ESC_BAD_INPUT, "figure: the figure is missing; allowed: 1 to 5, or all");
  if (!r.directory) return ESC_FAIL(ESC_BAD_INPUT, "figure: -o DIR is missing");
  ESC_TRY(esc_figure_width_check(r.width));
  ESC_TRY(read_number(&r, argv[first]));
  r.overrides = argc - first - 1;
  r.override = argv + first + 1;
  if (r.overrides >= OVERRIDES_MAX)
    return ESC_FAIL(ESC_BAD_INPUT, "figure: at most %d overrides key=value", OVERRIDES_MAX - 1);
  ESC_TRY_ALLOCATE(command_line = esc_command_line(argc, argv));
  r.command_line = command_line;
  status = make_all(&r);
done:
  free(command_line);
  return status;
}
