/* SPDX-License-Identifier: Apache-2.0 */
/* A figure's section: picture, checks, and where its data came from. */
#include <jansson.h>
#include <math.h>
#include <string.h>

#include "base/io.h"
#include "figure/figure.h"
#include "report/html.h"
#include "report/report.h"

static double number_of(const json_t *object, const char *key) {
  return json_number_value(json_object_get(object, key));
}

/* The typeset form of a check's text; files of older programs have the plain form only. */
static const char *typeset(const json_t *check, const char *key) {
  const char *text = esc_report_string(json_object_get(check, "typeset"), key);
  return *text ? text : esc_report_string(check, key);
}

/* "figure 4, " before a check's name is told by the section. */
static const char *without_figure(const char *name) {
  if (strncmp(name, "figure ", 7) != 0) return name;
  const size_t length = 7 + strspn(name + 7, "0123456789");
  return name + length + strspn(name + length, ",: ");
}

/* The index of a check's reason among those that differ: 0 for the first. */
static size_t reason_index(const json_t *checks, size_t check, bool *first) {
  size_t index = 0;
  const char *reason = esc_report_string(json_array_get(checks, check), "reason");
  for (size_t i = 0; i <= check; i++) {
    const char *other = esc_report_string(json_array_get(checks, i), "reason");
    bool known = false;
    for (size_t k = 0; k < i; k++)
      known = known || !strcmp(other, esc_report_string(json_array_get(checks, k), "reason"));
    if (!strcmp(other, reason)) {
      *first = i == check;
      return index;
    }
    index += !known;
  }
  return index;
}

/* With a minus sign instead of a hyphen. */
static void put_number(FILE *out, const char *format, double value) {
  char text[400];
  snprintf(text, sizeof text, format, value);
  for (const char *c = text; *c; c++) {
    if (*c == '-')
      esc_html_print(out, "−");
    else
      esc_html_span(out, c, 1);
  }
}

/* Three digits, and more where the tolerance is finer. */
static void put_got(FILE *out, double got, double tolerance) {
  double decimals = got != 0 ? 2 - floor(log10(fabs(got))) : 0;
  char format[16];
  if (tolerance > 0) decimals = fmax(decimals, 1 - floor(log10(tolerance)));
  snprintf(format, sizeof format, ": %%.%df", (int)fmin(fmax(decimals, 0), 6));
  put_number(out, got != 0 && fabs(got) < 1e-4 ? ": %.3g" : got == 0 ? ": %.0f" : format, got);
}

/* A check in a sentence. */
static void put_check(FILE *out, const json_t *check, size_t reason) {
  const bool pass = json_is_true(json_object_get(check, "pass"));
  const json_t *got = json_object_get(check, "got");
  const char *detail = typeset(check, "detail");
  esc_html_print(out, "<li><span class=\"%s\">%s</span> ", pass ? "pass" : "fail",
                 pass ? "PASS" : "FAIL");
  esc_html_math(out, without_figure(typeset(check, "name")));
  if (json_is_number(got))
    put_got(out, json_number_value(got), number_of(check, "tolerance"));
  else
    esc_html_print(out, ": not a number");
  put_number(out, ", expected %.6g", number_of(check, "expected"));
  put_number(out, " to within %.3g", number_of(check, "tolerance"));
  esc_html_print(out, "<sup>%c</sup>", (char)('a' + reason % 26));
  if (*detail) esc_html_print(out, " (");
  esc_html_math(out, detail);
  esc_html_print(out, "%s.</li>\n", *detail ? ")" : "");
}

static void put_reason(FILE *out, const json_t *check, size_t reason) {
  esc_html_print(out, "<sup>%c</sup> ", (char)('a' + reason % 26));
  esc_html_math(out, typeset(check, "reason"));
  esc_html_print(out, ".<br>\n");
}

/* Tolerances are derived for the presets of a figure: other sweeps are told. */
static void put_overrides(FILE *out, const json_t *overrides) {
  size_t i;
  const json_t *word;
  if (!json_array_size(overrides)) return;
  esc_html_print(out, "Those of the preset; overridden:");
  json_array_foreach(overrides, i, word) {
    if (json_is_string(word)) esc_html_print(out, " <code>%s</code>", json_string_value(word));
  }
  esc_html_print(out, ".<br>\n");
}

/* Folded, unless one failed. */
static void put_checks(FILE *out, const json_t *figure, esc_report_counts *counts) {
  const json_t *checks = json_object_get(figure, "checks");
  const json_t *overrides = json_object_get(figure, "overrides");
  size_t i;
  int failed = 0;
  bool first = false;
  const json_t *check;
  json_array_foreach(checks, i, check) failed += !json_is_true(json_object_get(check, "pass"));
  const int all = (int)json_array_size(checks);
  esc_html_print(out, "<details%s><summary>%d of %d check%s passed</summary><ul class=checks>\n",
                 failed ? " open" : "", all - failed, all, esc_html_plural(all));
  json_array_foreach(checks, i, check) { put_check(out, check, reason_index(checks, i, &first)); }
  esc_html_print(out, "</ul><p class=reason>Tolerances:<br>\n");
  put_overrides(out, overrides);
  json_array_foreach(checks, i, check) {
    const size_t index = reason_index(checks, i, &first);
    if (first) put_reason(out, check, index);
  }
  esc_html_print(out, "</p></details>\n");
  counts->checks += all;
  counts->failed += failed;
}

static void put_run(FILE *out, const json_t *run) {
  const long long members = (long long)json_integer_value(json_object_get(run, "members"));
  esc_html_print(out,
                 "<details><summary>%s: %lld network%s, %.3g network-steps, %s (%s: %s, %s), "
                 "<time>%.10s</time>, commit %.12s</summary><pre>%s</pre></details>\n",
                 esc_report_string(run, "name"), members, esc_html_plural(members),
                 number_of(run, "network_steps"), esc_report_string(run, "device"),
                 esc_report_string(run, "backend"), esc_report_string(run, "engine"),
                 esc_report_string(run, "precision"), esc_report_string(run, "end_time"),
                 esc_report_string(run, "commit"), esc_report_string(run, "spec"));
}

/* Reasons are compared with each other. */
static esc_status refuse_too_many(const json_t *figure) {
  enum { CHECKS_MAX = 1000 };
  const size_t checks = json_array_size(json_object_get(figure, "checks"));
  if (checks <= CHECKS_MAX) return ESC_OK;
  return ESC_FAIL(ESC_BAD_INPUT, "report: a figure has %zu checks; allowed: up to %d", checks,
                  (int)CHECKS_MAX);
}

static esc_status put_figure(esc_report *report, const json_t *figure, const char *picture) {
  esc_status status = ESC_OK;
  FILE *out = report->body;
  char id[32], title[400];
  size_t i;
  const json_t *item;
  const int number = (int)json_integer_value(json_object_get(figure, "number"));
  ESC_TRY(refuse_too_many(figure));
  snprintf(id, sizeof id, "figure%d", number);
  snprintf(title, sizeof title, "Figure %d. %s", number, esc_report_string(figure, "title"));
  esc_report_section(report, id, title);
  esc_html_print(out, "<figure>\n");
  esc_report_caption(out, esc_report_string(figure, "caption"));
  ESC_TRY(esc_html_picture(out, picture, esc_report_string(figure, "title")));
  esc_html_print(out, "</figure>\n");
  put_checks(out, figure, &report->counts);
  json_array_foreach(json_object_get(figure, "runs"), i, item) { put_run(out, item); }
  report->counts.figures++;
done:
  return status;
}

esc_status esc_report_figures(esc_report *report, const char *directory) {
  esc_status status = ESC_OK;
  json_t *figure = NULL;
  for (int n = 1; n <= ESC_FIGURES; n++) {
    char name[24], data[ESC_REPORT_PATH_SIZE], picture[ESC_REPORT_PATH_SIZE];
    snprintf(name, sizeof name, "figure%d", n);
    ESC_TRY(esc_report_path(directory, name, ".json", data));
    ESC_TRY(esc_report_path(directory, name, ".png", picture));
    if (!esc_io_exists(data)) continue;
    ESC_TRY(esc_report_read(data, &figure));
    ESC_TRY(put_figure(report, figure, picture));
    json_decref(figure);
    figure = NULL;
  }
  if (report->counts.figures == 0)
    status = ESC_FAIL(ESC_BAD_INPUT,
                      "%s: has no figure1.json to figure%d.json; "
                      "'escapement figure all -o %s' makes them",
                      directory, (int)ESC_FIGURES, directory);
done:
  json_decref(figure);
  return status;
}
