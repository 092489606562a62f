/* A figure's section: picture, checks, and where its data came from. */
#include <jansson.h>

#include "figure/figure.h"
#include "report/html.h"
#include "report/report.h"
#include "store/io.h"

static double number_of(const json_t *object, const char *key) {
  return json_number_value(json_object_get(object, key));
}

static void put_check(FILE *out, const json_t *check, esc_report_counts *counts) {
  const bool pass = json_is_true(json_object_get(check, "pass"));
  counts->checks++;
  counts->failed += !pass;
  fprintf(out, "<tr><td class=\"%s\">%s</td><td>", pass ? "pass" : "fail", pass ? "PASS" : "FAIL");
  esc_html_text(out, esc_report_string(check, "name"));
  const json_t *got = json_object_get(check, "got");
  fprintf(out, "</td><td class=number>%.6g</td><td class=number>", number_of(check, "expected"));
  if (json_is_number(got))
    fprintf(out, "%.6g", json_number_value(got));
  else
    fputs("not a number", out);
  fprintf(out, "</td><td class=number>%.3g</td><td class=reason>", number_of(check, "tolerance"));
  esc_html_text(out, esc_report_string(check, "reason"));
  fputs("</td></tr>\n", out);
}

static void put_run(FILE *out, const json_t *run) {
  fputs("<details><summary>", out);
  esc_html_text(out, esc_report_string(run, "name"));
  fprintf(out, ": %lld networks, %.3g network-steps, ",
          (long long)json_integer_value(json_object_get(run, "members")),
          number_of(run, "network_steps"));
  esc_html_text(out, esc_report_string(run, "device"));
  fprintf(out, " (%s: %s, %s), %.10s, commit %.12s</summary><pre>",
          esc_report_string(run, "backend"), esc_report_string(run, "engine"),
          esc_report_string(run, "precision"), esc_report_string(run, "end_time"),
          esc_report_string(run, "commit"));
  esc_html_text(out, esc_report_string(run, "spec"));
  fputs("</pre></details>\n", out);
}

static esc_status put_figure(esc_report *report, const json_t *figure, const char *picture) {
  esc_status status = ESC_OK;
  FILE *out = report->body;
  char id[32], title[400];
  size_t i;
  const json_t *item;
  const int number = (int)json_integer_value(json_object_get(figure, "number"));
  snprintf(id, sizeof id, "figure%d", number);
  snprintf(title, sizeof title, "Figure %d. %s", number, esc_report_string(figure, "title"));
  esc_report_section(report, id, title);
  ESC_TRY(esc_html_picture(out, picture, esc_report_string(figure, "title")));
  fputs(
      "<div class=wide><table><tr><th></th><th>check</th><th class=number>expected</th>"
      "<th class=number>got</th><th class=number>tolerance</th><th>why that tolerance</th></tr>\n",
      out);
  json_array_foreach(json_object_get(figure, "checks"), i, item) {
    put_check(out, item, &report->counts);
  }
  fputs("</table></div>\n", out);
  json_array_foreach(json_object_get(figure, "runs"), i, item) { put_run(out, item); }
  report->counts.figures++;
done:
  return status;
}

esc_status esc_report_figures(esc_report *report, const char *directory) {
  esc_status status = ESC_OK;
  json_t *figure = NULL;
  for (int n = 1; n <= ESC_FIGURES; n++) {
    char name[16], data[ESC_REPORT_PATH_SIZE], picture[ESC_REPORT_PATH_SIZE];
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
