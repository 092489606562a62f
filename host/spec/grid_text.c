/* SPDX-License-Identifier: Apache-2.0 */
/* Texts of a grid: the values of its points, and the whole spec. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "escapement/internal/number.h"
#include "spec/grid_axes.h"
#include "spec/validate.h"

/* ---- values ---- */

/* Whether a validated scalar is a number rather than one of the words of its key. */
static bool is_number(const esc_key *row, const esc_node *node) {
  const bool typed = row->type == ESC_VALUE_INTEGER || row->type == ESC_VALUE_NUMBER;
  return typed && node->kind == ESC_NODE_SCALAR && !(row->choices && node->word >= 0);
}

static void print_number(FILE *out, const esc_key *row, const esc_node *node) {
  char text[ESC_NUMBER_SIZE];
  if (row->type == ESC_VALUE_INTEGER)
    snprintf(text, sizeof text, "%lld", (long long)node->integer);
  else
    esc_number_print(node->number, text, sizeof text);
  fputs(text, out);
}

/* Text that YAML reads as the same scalar inside brackets. */
static void print_scalar(FILE *out, const esc_node *node) {
  static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.+-";
  if (!node->quoted && node->text[0] && node->text[strspn(node->text, plain)] == 0) {
    fputs(node->text, out);
    return;
  }
  putc('"', out);
  for (const char *c = node->text; *c; c++) {
    if (*c == '"' || *c == '\\') putc('\\', out);
    putc(*c, out);
  }
  putc('"', out);
}

/* A value as the user wrote it. */
static void print_given(FILE *out, const esc_node *node) {
  if (node->kind == ESC_NODE_SCALAR) {
    print_scalar(out, node);
    return;
  }
  putc('[', out);
  for (int i = 0; i < node->children; i++) {
    if (i) fputs(", ", out);
    print_given(out, node->child[i]);
  }
  putc(']', out);
}

/* A validated value of a swept key: numbers in one form, words with quotes only in a spec. */
static void print_value(FILE *out, const esc_key *row, const esc_node *node) {
  if (is_number(row, node))
    print_number(out, row, node);
  else if (node->kind == ESC_NODE_SCALAR)
    fputs(node->text, out);
  else
    print_given(out, node);
}

/* malloc'd; NULL: out of memory. */
static char *value_text(const esc_key *row, const esc_node *node) {
  char *text = NULL;
  size_t length = 0;
  FILE *out = open_memstream(&text, &length);
  if (!out) return NULL;
  print_value(out, row, node);
  const bool failed = ferror(out) != 0;
  if (fclose(out) == 0 && !failed) return text;
  free(text);
  return NULL;
}

esc_status esc_grid_axes_list(const esc_grid_axes *axes, const esc_node *const *tree,
                              esc_grid **out) {
  esc_status status = ESC_OK;
  esc_grid *grid = NULL;
  char *text = NULL;
  ESC_TRY(esc_grid_create(axes->count, axes->points, &grid));
  for (int k = 0; k < axes->count; k++) {
    const esc_key *row = axes->axis[k].row;
    bool numeric = true;
    for (int i = 0; i < axes->points; i++) {
      const esc_node *node = esc_node_find(tree[i], row->path);
      numeric = numeric && is_number(row, node);
      free(text);
      ESC_TRY_ALLOCATE(text = value_text(row, node));
      ESC_TRY(esc_grid_set_value(grid, i, k, text));
    }
    ESC_TRY(esc_grid_set_key(grid, k, row->path, numeric));
  }
  *out = grid;
  grid = NULL;
done:
  free(text);
  esc_grid_free(grid);
  return status;
}

/* ---- the whole spec ---- */

typedef struct span {
  const char *text; /* NULL: none */
  size_t length;
} span;

/* The lines below "section:" of a resolved spec. */
static span find_section(const char *resolved, const char *section) {
  char head[80];
  snprintf(head, sizeof head, "\n%s:\n", section);
  const char *const found = strstr(resolved, head), *end;
  if (!found) return (span){NULL, 0};
  const char *const from = end = found + strlen(head);
  while (*end == ' ') end += strcspn(end, "\n") + 1;
  return (span){from, (size_t)(end - from)};
}

/* The value of "section.name" in a resolved spec. */
static span find_value(const char *resolved, const char *path) {
  char section[64], head[80];
  const char *const dot = strchr(path, '.');
  snprintf(section, sizeof section, "%.*s", (int)(dot - path), path);
  const int length = snprintf(head, sizeof head, "  %s: ", dot + 1);
  const span lines = find_section(resolved, section);
  for (const char *at = lines.text; at && at < lines.text + lines.length;
       at += strcspn(at, "\n") + 1)
    if (!strncmp(at, head, (size_t)length)) return (span){at + length, strcspn(at + length, "\n")};
  return (span){NULL, 0};
}

/* The value that the key has at all points. */
static span find_common(const esc_grid_axes *axes, const char *const *resolved, const char *path) {
  const span first = find_value(resolved[0], path);
  for (int i = 1; i < axes->points && first.text; i++) {
    const span next = find_value(resolved[i], path);
    if (next.length != first.length || memcmp(first.text, next.text, first.length) != 0)
      return (span){NULL, 0};
  }
  return first;
}

static bool is_swept(const esc_grid_axes *axes, const char *path) {
  for (int i = 0; i < axes->count; i++)
    if (!strcmp(axes->axis[i].row->path, path)) return true;
  return false;
}

/* Prints the line of a key that is not swept, after the head of its section. */
static void print_key(FILE *out, const esc_grid_axes *axes, const esc_node *base,
                      const char *const *resolved, const char *path, bool *headed) {
  const char *const name = strchr(path, '.') + 1;
  const span common = find_common(axes, resolved, path);
  const esc_node *given = esc_node_find(base, path);
  if (!common.text && !given) return;
  if (!*headed) fprintf(out, "%.*s:\n", (int)(name - path - 1), path);
  *headed = true;
  fprintf(out, "  %s: ", name);
  if (common.text)
    fprintf(out, "%.*s", (int)common.length, common.text);
  else
    print_given(out, given);
  fputs("\n", out);
}

/* Keys directly below a section have one dot and no brackets. */
static void print_sections(FILE *out, const esc_grid_axes *axes, const esc_node *base,
                           const char *const *resolved) {
  bool headed = false;
  for (int i = 0; i < esc_schema_keys; i++) {
    const char *const path = esc_schema[i].path, *const dot = strchr(path, '.');
    if (esc_schema[i].type == ESC_VALUE_SECTION && !dot) headed = false;
    if (!dot || strpbrk(dot + 1, ".[") || !strncmp(path, "sweep.", 6)) continue;
    if (!is_swept(axes, path)) print_key(out, axes, base, resolved, path, &headed);
  }
}

static void print_axis(FILE *out, const esc_grid_axis *axis) {
  fprintf(out, "    %s: ", axis->row->path);
  print_given(out, axis->values);
  fputs("\n", out);
}

static void print_axes(FILE *out, const esc_grid_axes *axes, bool zipped) {
  bool headed = false;
  for (int i = 0; i < axes->count; i++) {
    if (axes->axis[i].zipped != zipped) continue;
    if (!headed) fprintf(out, "  %s:\n", zipped ? "zip" : "grid");
    headed = true;
    print_axis(out, &axes->axis[i]);
  }
}

char *esc_grid_print_spec(const esc_grid_axes *axes, const esc_node *base,
                          const char *const *resolved) {
  char *text = NULL;
  size_t length = 0;
  FILE *out = open_memstream(&text, &length);
  if (!out) return NULL;
  const span sweep = find_section(resolved[0], "sweep");
  fprintf(out, "%.*s\n", (int)strcspn(resolved[0], "\n"), resolved[0]); /* the name */
  print_sections(out, axes, base, resolved);
  fprintf(out, "sweep:\n%.*s", (int)sweep.length, sweep.text);
  print_axes(out, axes, false);
  print_axes(out, axes, true);
  const bool failed = ferror(out) != 0;
  if (fclose(out) == 0 && !failed) return text;
  free(text);
  return NULL;
}
