/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/watch_cells.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "figure/figure.h"

enum { LAYERS = 192, MARGIN = 8 /* columns of the plot's axis */, CELLS_MORE = 64 };

/* ---- cells ---- */

static bool is_in_cell(const esc_watch_cell *c, const esc_results *r, int64_t i) {
  return c->bottleneck == r->bottleneck[i] && c->small_layers == r->small_layers[i] &&
         c->scale == r->scale[i];
}

/* The cell of member i; `before`: that of member i - 1, mostly the same, or NULL. NULL without
 * memory. */
static esc_watch_cell *find_cell(esc_watch_cells *t, const esc_results *r, int64_t i,
                                 esc_watch_cell *before) {
  if (before && is_in_cell(before, r, i)) return before;
  for (int k = 0; k < t->cells; k++)
    if (is_in_cell(&t->cell[k], r, i)) return &t->cell[k];
  if (t->cells % CELLS_MORE == 0) {
    const size_t cells = (size_t)t->cells + CELLS_MORE;
    void *larger = realloc(t->cell, cells * sizeof *t->cell);
    if (!larger) return NULL;
    t->cell = larger;
  }
  esc_watch_cell *c = &t->cell[t->cells++];
  *c = (esc_watch_cell){
      .bottleneck = r->bottleneck[i], .small_layers = r->small_layers[i], .scale = r->scale[i]};
  return c;
}

static int compare_cells(const void *left, const void *right) {
  const esc_watch_cell *a = left, *b = right;
  if (a->bottleneck != b->bottleneck) return a->bottleneck < b->bottleneck ? -1 : 1;
  if (a->small_layers != b->small_layers) return a->small_layers < b->small_layers ? -1 : 1;
  return (a->scale > b->scale) - (a->scale < b->scale);
}

/* Index of the lowest threshold. */
static int lowest(const esc_results *r) {
  int k = 0;
  for (int i = 1; i < r->thresholds; i++)
    if (r->threshold[i] < r->threshold[k]) k = i;
  return k;
}

esc_status esc_watch_cells_create(const esc_results *r, esc_watch_cells *t) {
  esc_status status = ESC_OK;
  esc_watch_cell *c = NULL;
  const int k = lowest(r);
  *t = (esc_watch_cells){.threshold = r->thresholds ? r->threshold[k] : (double)NAN};
  for (int64_t i = 0; i < r->members; i++) {
    ESC_TRY_ALLOCATE(c = find_cell(t, r, i, c));
    c->members++;
    if (r->status[i] >= 0 && r->status[i] < 5) c->state[r->status[i]]++;
    const int64_t step = r->thresholds ? r->escape_step[i * r->thresholds + k] : -1;
    if (step < 0) continue;
    c->crossed++;
    c->steps += (double)step;
  }
  if (t->cells) qsort(t->cell, (size_t)t->cells, sizeof *t->cell, compare_cells);
done:
  return status;
}

void esc_watch_cells_free(esc_watch_cells *t) {
  free(t->cell);
  *t = (esc_watch_cells){.cells = 0};
}

int64_t esc_watch_cell_unknown(const esc_watch_cell *c) {
  return c->state[ESC_MEMBER_RUNNING] + c->state[ESC_MEMBER_WAITING];
}

static double mean(const esc_watch_cell *c) {
  return c->crossed ? c->steps / (double)c->crossed : (double)NAN;
}

/* Its mean is of the members that escaped, and others are missing. */
static bool is_biased(const esc_watch_cell *c) {
  return c->crossed && (esc_watch_cell_unknown(c) || c->state[ESC_MEMBER_CENSORED]);
}

/* ---- table ---- */

static int characters(const char *text) {
  int count = 0;
  for (; *text; text++) count += (*text & 0xc0) != 0x80;
  return count;
}

static int layers_width(const esc_watch_cells *t) {
  char text[LAYERS];
  int width = (int)strlen("layers");
  for (int i = 0; i < t->cells; i++) {
    esc_layers_list(t->cell[i].small_layers, text, sizeof text);
    if (characters(text) > width) width = characters(text);
  }
  return width;
}

static void print_row(FILE *out, const esc_watch_cell *c, int width) {
  char layers[LAYERS], steps[32] = "-";
  esc_layers_list(c->small_layers, layers, sizeof layers);
  if (c->crossed) snprintf(steps, sizeof steps, "%.1f", mean(c));
  fprintf(out, "%3d  %*s%s  %-9g %8lld %8lld %8lld %8lld %9lld %9lld %10s%s\n", c->bottleneck,
          width - characters(layers), "", layers, c->scale, (long long)c->members,
          (long long)c->state[ESC_MEMBER_WAITING], (long long)c->state[ESC_MEMBER_RUNNING],
          (long long)c->state[ESC_MEMBER_ESCAPED], (long long)c->state[ESC_MEMBER_CENSORED],
          (long long)c->state[ESC_MEMBER_DIVERGED], steps, is_biased(c) ? "*" : "");
}

void esc_watch_print_table(FILE *out, const esc_watch_cells *t, int lines, bool active) {
  const int width = layers_width(t);
  const int shown = lines > 0 && lines < t->cells ? lines - 1 : t->cells;
  bool biased = false;
  fprintf(out, "  r  %*s  %-9s %8s %8s %8s %8s %9s %9s %10s\n", width, "layers", "scale", "members",
          "waiting", active ? "training" : "saved", "escaped", "censored", "diverged", "mean t*");
  for (int i = 0; i < shown; i++) {
    print_row(out, &t->cell[i], width);
    biased = biased || is_biased(&t->cell[i]);
  }
  if (shown < t->cells)
    fprintf(out, "     ... %d more scales: a higher window, or --once, shows them\n",
            t->cells - shown);
  if (biased)
    fputs("* of the members that escaped, the fast ones first: too small until all have\n", out);
}

/* ---- plot ---- */

/* Range of the logarithms of an axis. */
typedef struct range {
  double low, high;
} range;

static void extend(range *r, double x) {
  r->low = fmin(r->low, x);
  r->high = fmax(r->high, x);
}

/* Room about a single value. */
static void widen(range *r) {
  static const double decades = 0.1;
  if (r->high > r->low) return;
  r->low -= decades;
  r->high += decades;
}

/* Cell of a grid with `cells` cells. */
static int place(const range *r, double x, int cells) {
  return (int)lround((x - r->low) / (r->high - r->low) * (cells - 1));
}

static bool is_drawn(const esc_watch_cell *c) { return c->crossed && c->scale > 0; }

static double log_mean(const esc_watch_cell *c) { return log10(fmax(mean(c), 0.5)); }

/* '3' for r = 3, 'a' for r = 10, ... */
static char symbol(int bottleneck) {
  static const char symbols[] = "0123456789abcdefghijklmnopqrstuvwxyz";
  if (bottleneck >= 0 && bottleneck < 36) return symbols[bottleneck];
  return '+';
}

static void print_grid(FILE *out, const char *grid, int height, int width, const range *y) {
  for (int row = 0; row < height; row++) {
    char label[16] = "";
    if (row == 0 || row == height - 1)
      snprintf(label, sizeof label, "%.3g", pow(10, row ? y->low : y->high));
    const char *cells = grid + (size_t)row * (size_t)width;
    int used = width;
    while (used > 0 && cells[used - 1] == ' ') used--;
    fprintf(out, "%*s |%.*s\n", MARGIN - 2, label, used, cells);
  }
}

static void print_axis(FILE *out, int width, const range *x) {
  char low[32], high[32];
  snprintf(low, sizeof low, "%.3g", pow(10, x->low));
  snprintf(high, sizeof high, "%.3g", pow(10, x->high));
  const int gap = width - (int)strlen(low) - (int)strlen(high);
  fprintf(out, "%*s +", MARGIN - 2, "");
  for (int i = 0; i < width; i++) fputc('-', out);
  fprintf(out, "\n%*s%s%*s%s\n", MARGIN, "", low, gap > 1 ? gap : 1, "", high);
}

/* Points go over the marks of incomplete ones. */
static void fill_grid(const esc_watch_cells *t, const range *x, const range *y, int height,
                      int width, char *grid) {
  memset(grid, ' ', (size_t)height * (size_t)width);
  for (int marks = 1; marks >= 0; marks--)
    for (int i = 0; i < t->cells; i++) {
      const esc_watch_cell *c = &t->cell[i];
      const char digit = symbol(c->bottleneck);
      if (!is_drawn(c) || (marks && !is_biased(c))) continue;
      const int column = place(x, log10(c->scale), width - 1) + marks;
      const int row = height - 1 - place(y, log_mean(c), height);
      if (marks)
        grid[row * width + column] = '*';
      else
        grid[row * width + column] = digit;
    }
}

void esc_watch_print_plot(FILE *out, const esc_watch_cells *t, int lines, int columns) {
  const int height = lines - 3, width = (columns < 72 ? columns : 72) - MARGIN;
  range x = {INFINITY, -INFINITY}, y = {INFINITY, -INFINITY};
  for (int i = 0; i < t->cells; i++) {
    if (!is_drawn(&t->cell[i])) continue;
    extend(&x, log10(t->cell[i].scale));
    extend(&y, log_mean(&t->cell[i]));
  }
  char *grid =
      height > 1 && width > 16 && x.low <= x.high ? malloc((size_t)height * (size_t)width) : NULL;
  if (!grid) return;
  widen(&x);
  widen(&y);
  fill_grid(t, &x, &y, height, width, grid);
  fprintf(out,
          "mean t* at threshold %g against epsilon, both logarithmic; digits: r; *: not final\n",
          t->threshold);
  print_grid(out, grid, height, width, &y);
  print_axis(out, width, &x);
  free(grid);
}
