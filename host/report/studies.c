/* SPDX-License-Identifier: Apache-2.0 */
/* A study's section: its paragraph, picture and tables, and where its data came from. */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "report/html.h"
#include "report/report.h"

enum { TEXT_MAX = 1 << 20 };

static void put_row(FILE *out, const json_t *row, const char *tag) {
  size_t i;
  const json_t *cell;
  esc_html_print(out, "<tr>");
  json_array_foreach(row, i, cell) {
    esc_html_print(out, "<%s class=number>", tag);
    esc_html_math(out, json_is_string(cell) ? json_string_value(cell) : "");
    esc_html_print(out, "</%s>", tag);
  }
  esc_html_print(out, "</tr>\n");
}

static void put_table(FILE *out, const json_t *table) {
  size_t i;
  const json_t *row;
  esc_html_print(out, "<details><summary>");
  esc_html_math(out, esc_report_string(table, "caption"));
  esc_html_print(out, "</summary><div class=wide><table>");
  put_row(out, json_object_get(table, "columns"), "th");
  json_array_foreach(json_object_get(table, "rows"), i, row) { put_row(out, row, "td"); }
  esc_html_print(out, "</table></div></details>\n");
}

static void put_origin(FILE *out, const json_t *study) {
  const long long members = (long long)json_integer_value(json_object_get(study, "members"));
  esc_html_print(out,
                 "<p class=quiet><code>%s</code>: %lld network%s, %lld network-steps in %.0f s, %s "
                 "(%s), %s, commit %s</p>\n",
                 esc_report_string(study, "command"), members, esc_html_plural(members),
                 (long long)json_integer_value(json_object_get(study, "network_steps")),
                 json_number_value(json_object_get(study, "seconds")),
                 esc_report_string(study, "device"), esc_report_string(study, "engine"),
                 esc_report_string(study, "date"), esc_report_string(study, "commit"));
}

/* The paragraph that goes with the numbers; a study may be without. */
static esc_status put_paragraph(FILE *out, const char *path) {
  esc_status status = ESC_OK;
  char *text = NULL;
  size_t size = 0;
  if (!esc_io_exists(path)) return ESC_OK;
  ESC_TRY(esc_io_read_plain(path, TEXT_MAX, &text, &size));
  esc_html_paragraphs(out, text);
done:
  free(text);
  return status;
}

static esc_status put_study(esc_report *report, const char *folder, const char *name) {
  esc_status status = ESC_OK;
  FILE *out = report->body;
  char path[ESC_REPORT_PATH_SIZE];
  size_t i;
  const json_t *table;
  json_t *study = NULL;
  ESC_TRY(esc_report_path(folder, "result", ".json", path));
  ESC_TRY(esc_report_read(path, &study));
  esc_report_section(report, name, esc_report_string(study, "title"));
  ESC_TRY(esc_report_path(folder, "README", ".md", path));
  ESC_TRY(put_paragraph(out, path));
  ESC_TRY(esc_report_path(folder, name, ".png", path));
  esc_html_print(out, "<figure>\n");
  esc_report_caption(out, esc_report_string(study, "caption"));
  ESC_TRY(esc_html_picture(out, path, esc_report_string(study, "title")));
  esc_html_print(out, "</figure>\n");
  json_array_foreach(json_object_get(study, "tables"), i, table) { put_table(out, table); }
  put_origin(out, study);
done:
  json_decref(study);
  return status;
}

/* Exponents, which the others lean on, come first. */
static int by_name(const struct dirent **a, const struct dirent **b) {
  const bool first = !strcmp((*a)->d_name, "exponents"), other = !strcmp((*b)->d_name, "exponents");
  return first != other ? other - first : strcmp((*a)->d_name, (*b)->d_name);
}

static int is_visible(const struct dirent *entry) { return entry->d_name[0] != '.'; }

esc_status esc_report_studies(esc_report *report, const char *directory) {
  esc_status status = ESC_OK;
  struct dirent **entry = NULL;
  const int entries = scandir(directory, &entry, is_visible, by_name);
  if (entries < 0) return ESC_FAIL(ESC_BAD_INPUT, "--studies %s: cannot be read", directory);
  for (int i = 0; i < entries; i++) {
    char folder[ESC_REPORT_PATH_SIZE], result[ESC_REPORT_PATH_SIZE];
    ESC_TRY(esc_report_path(directory, entry[i]->d_name, "", folder));
    ESC_TRY(esc_report_path(folder, "result", ".json", result));
    if (!esc_io_exists(result)) continue;
    ESC_TRY(put_study(report, folder, entry[i]->d_name));
    report->counts.studies++;
  }
done:
  for (int i = 0; i < entries; i++) free(entry[i]);
  free(entry);
  return status;
}
