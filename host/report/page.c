/* SPDX-License-Identifier: Apache-2.0 */
/* The page around the sections. They are written first: the summary on top counts them. */
#include <stdlib.h>

#include "report/html.h"
#include "report/report.h"
#include "report_style.h"

/* A browser runs no script of this page and loads nothing for it, whatever text is in it. */
static const char policy[] =
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; "
    "form-action 'none'";

static void put_head(FILE *out, const esc_report_counts *counts) {
  esc_html_print(out,
                 "<!DOCTYPE html>\n<html lang=en><head><meta charset=utf-8>\n"
                 "<meta http-equiv=Content-Security-Policy content=\"%s\">\n"
                 "<meta name=viewport content=\"width=device-width\">\n"
                 "<title>Saddle escape in deep networks: report</title>\n<style>\n",
                 policy);
  fputs(report_style, out); /* the program's own */
  esc_html_print(out,
                 "</style></head><body>\n<h1>Saddle escape in deep networks</h1>\n"
                 "<p class=quiet>Figures of the paper <cite>A Theory of Saddle Escape in Deep "
                 "Nonlinear Networks</cite> (arXiv 2605.01288), trained, compared with theory and "
                 "drawn by escapement; and studies beyond it. ");
  esc_html_math(out,
                "The law: with $r$ layers at the small scale $\\varepsilon$, the escape time is "
                "$t^* = \\Theta(\\varepsilon^{-(r-2)})$.");
  esc_html_print(out, "</p>\n<p class=\"summary%s\">%d of %d check%s passed in %d figure%s",
                 counts->failed ? " fail" : "", counts->checks - counts->failed, counts->checks,
                 esc_html_plural(counts->checks), counts->figures,
                 esc_html_plural(counts->figures));
  if (counts->studies)
    esc_html_print(out, "; %d %s", counts->studies, counts->studies == 1 ? "study" : "studies");
  esc_html_print(out, ".</p>\n");
}

static esc_status write_sections(esc_report *report, const char *figures, const char *studies) {
  esc_status status = ESC_OK;
  ESC_TRY(esc_report_figures(report, figures));
  if (studies) ESC_TRY(esc_report_studies(report, studies));
  esc_report_machine(report);
done:
  return status;
}

esc_status esc_report_write(FILE *out, const char *figures, const char *studies,
                            esc_report_counts *counts) {
  esc_status status = ESC_OK;
  char *body = NULL, *links = NULL;
  size_t body_size = 0, links_size = 0;
  esc_report report = {open_memstream(&body, &body_size), open_memstream(&links, &links_size), {0}};
  if (report.body && report.links)
    status = write_sections(&report, figures, studies);
  else
    status = ESC_FAIL(ESC_NO_MEMORY, "report: no memory for the page");
  if (report.body) fclose(report.body);
  if (report.links) fclose(report.links);
  if (status == ESC_OK) {
    put_head(out, &report.counts);
    esc_html_print(out, "<nav><ul>\n");
    fwrite(links, 1, links_size, out); /* escaped when they were made, as is the body */
    esc_html_print(out, "</ul></nav>\n");
    fwrite(body, 1, body_size, out);
    esc_html_print(out, "</body></html>\n");
  }
  *counts = report.counts;
  free(body);
  free(links);
  return status;
}
