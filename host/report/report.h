/* SPDX-License-Identifier: Apache-2.0 */
/* The report: one HTML page of figures, their checks, studies, machine and versions.
 *
 * It is made of what `figure` and tools/study left: figureN.json and .png, and a folder a study
 * with result.json, .png and README.md. */
#ifndef ESC_REPORT_H
#define ESC_REPORT_H

#include <jansson.h>
#include <stdio.h>

#include "escapement/internal/status.h"

enum { ESC_REPORT_PATH_SIZE = 4096 };

typedef struct esc_report_counts {
  int figures, checks, failed, studies;
} esc_report_counts;

/* A page in the making: its sections, and the links to them. */
typedef struct esc_report {
  FILE *body, *links;
  esc_report_counts counts;
} esc_report;

/* Begins a section, and adds a link to it; `id` is its anchor. */
void esc_report_section(esc_report *report, const char *id, const char *title);

/* A section for every figure in `directory` (at least one). */
esc_status esc_report_figures(esc_report *report, const char *directory);

/* A section for every folder of `directory` that has a result.json, by name. */
esc_status esc_report_studies(esc_report *report, const char *directory);

/* This machine, this program and its libraries. */
void esc_report_machine(esc_report *report);

/* "directory/name" + suffix; a path that is too long is refused. */
esc_status esc_report_path(const char *directory, const char *name, const char *suffix,
                           char path[ESC_REPORT_PATH_SIZE]);

/* The JSON object in a file; owned by the caller. */
esc_status esc_report_read(const char *path, json_t **out);

/* A member that is a string; "" where it is not one. */
const char *esc_report_string(const json_t *object, const char *key);

/* A picture's caption, which comes before it: a paragraph a line. */
void esc_report_caption(FILE *out, const char *caption);

/* The whole page. `studies` may be NULL. */
esc_status esc_report_write(FILE *out, const char *figures, const char *studies,
                            esc_report_counts *counts);

#endif
