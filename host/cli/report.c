/* SPDX-License-Identifier: Apache-2.0 */
/* escapement report: figures, checks and studies as one HTML page. */
#include "report/report.h"

#include <stdlib.h>
#include <sys/stat.h>

#include "base/io.h"
#include "cli/cli.h"
#include "cli/options.h"
#include "cli/output.h"
#include "report/html.h"

static esc_status publish(const char *figures, const char *studies, const char *output,
                          esc_report_counts *counts) {
  esc_status status = ESC_OK;
  char *text = NULL;
  size_t size = 0;
  FILE *page = open_memstream(&text, &size);
  ESC_TRY_ALLOCATE(page);
  status = esc_report_write(page, figures, studies, counts);
  if (fclose(page) != 0 && status == ESC_OK)
    status = ESC_FAIL(ESC_NO_MEMORY, "report: out of memory (page)");
  if (status == ESC_OK) ESC_TRY(esc_io_publish(output, text, size));
done:
  free(text);
  return status;
}

esc_status esc_command_report(int argc, char **argv) {
  esc_status status = ESC_OK;
  bool help = false;
  int first = 0;
  const char *output = NULL, *studies = NULL;
  esc_report_counts counts = {0};
  struct stat info;
  const esc_option options[] = {
      {"output", 'o', "FILE.html", "HTML page, with its images embedded", .text = &output,
       .suffixes = "html"},
      {"studies", 0, "DIR", "directory of studies, laid out as runs/studies", .text = &studies,
       .suffixes = ESC_FOLDER},
      {0},
  };
  const esc_command command = {
      "report FIGURES -o FILE.html [options]",
      "Writes one self-contained HTML page with the figures of `figure -o FIGURES`,\n"
      "their checks, specs and machines, and studies. Exit status 1 if one of the\n"
      "checks failed.",
      .options = options, .suffixes = ESC_FOLDER};
  ESC_TRY(esc_options_parse(&command, argc, argv, &first, &help));
  if (help) return ESC_OK;
  if (argc - first != 1)
    return ESC_FAIL(ESC_BAD_INPUT, "report: one directory of figures is required");
  if (stat(argv[first], &info) == 0 && !S_ISDIR(info.st_mode))
    return ESC_FAIL(ESC_BAD_INPUT,
                    "report: %s is a file; allowed: a directory written by `escapement figure -o`. "
                    "For a result file use `escapement fit` or `escapement plot`",
                    argv[first]);
  if (!output) return ESC_FAIL(ESC_BAD_INPUT, "report: -o FILE.html is missing");
  ESC_TRY(esc_output_check(output, "HTML", "html|htm", true));
  ESC_TRY(esc_io_check_writable(output));
  ESC_TRY(publish(argv[first], studies, output, &counts));
  printf("%s: %d figure%s, %d of %d check%s passed, %d %s\n", output, counts.figures,
         esc_html_plural(counts.figures), counts.checks - counts.failed, counts.checks,
         esc_html_plural(counts.checks), counts.studies, counts.studies == 1 ? "study" : "studies");
  if (counts.failed) status = ESC_FAIL(ESC_CHECK_FAILED, "report: %d checks failed", counts.failed);
done:
  return status;
}
