/* Rotations theta and off-block amplitudes omega on the plateau of several modes: their part of
 * the Jacobian, and Duhamel's form with frozen coefficients against the integrated flow. */
#include <cvodes/cvodes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "block_path.h"
#include "escapement/spectrum.h"

enum { MODES = ESC_BLOCK_MODES_MAX, PAIRS_MAX = MODES * (MODES - 1), SAMPLES = 200 };
static const double counts_as_zero = 1e-10, too_far = 0.1;

esc_status esc_block_pairs(const esc_block_problem *p, int *count, int *coordinate) {
  if (p->layers < 3)
    return ESC_FAIL(ESC_BAD_INPUT,
                    "with 2 layers there are no off-block amplitudes; allowed: 3 layers or more");
  *count = 0;
  for (int l = 0; l < 2; l++)
    for (int i = 0; i < p->modes; i++)
      for (int j = 0; j < p->modes; j++)
        if (i != j) coordinate[(*count)++] = (l * p->modes + i) * p->modes + j;
  *count /= 2;
  return ESC_OK;
}

esc_status esc_block_spectrum(const esc_block_problem *p, const esc_block_grid *grid,
                              const double *state, esc_schur *out) {
  esc_status status = ESC_OK;
  int pairs, coordinate[2 * PAIRS_MAX];
  const int n = esc_block_size(p);
  double *whole = malloc((size_t)(n * n) * sizeof *whole), *part = NULL;
  ESC_TRY_ALLOCATE(whole);
  ESC_TRY(esc_block_pairs(p, &pairs, coordinate));
  ESC_TRY_ALLOCATE(part = malloc((size_t)(4 * pairs * pairs) * sizeof *part));
  ESC_TRY(esc_block_jacobian(p, grid, state, whole));
  for (int i = 0; i < 2 * pairs; i++)
    for (int j = 0; j < 2 * pairs; j++)
      part[i * 2 * pairs + j] = whole[coordinate[i] * n + coordinate[j]];
  ESC_TRY(esc_schur_perron(pairs, pairs, part, counts_as_zero, out));
done:
  free(whole);
  free(part);
  return status;
}

esc_status esc_block_states(const esc_block_problem *p, const esc_block_grid *grid, int count,
                            const double *time, double *state) {
  esc_status status = ESC_OK;
  esc_block_path path;
  const size_t n = (size_t)esc_block_size(p);
  double t;
  ESC_TRY(esc_block_path_open(p, grid, &path));
  for (int i = 0; i < count; i++) {
    if (time[i] > 0)
      ESC_TRY(esc_block_path_check(&path, CVode(path.cvode, time[i], path.y, &t, CV_NORMAL)));
    memcpy(state + (size_t)i * n, N_VGetArrayPointer(path.y), n * sizeof *state);
  }
done:
  esc_block_path_close(&path);
  return status;
}

static double frozen(const esc_duhamel *d, double t) {
  return d->beta == 0 ? d->alpha * t : -d->alpha / d->beta * expm1(-d->beta * t);
}

static double departure(const esc_duhamel *d, double t, double y) {
  return fabs(frozen(d, t) - y) / fabs(y);
}

/* Coefficients at the start. */
static esc_status freeze(const esc_block_problem *p, const esc_block_grid *grid, int count,
                         const int *coordinate, esc_duhamel *out) {
  esc_status status = ESC_OK;
  const int n = esc_block_size(p);
  double *room = malloc((size_t)(n * (n + 2)) * sizeof *room);
  esc_block_signals unused;
  ESC_TRY_ALLOCATE(room);
  double *const start = room + n * n, *const rate = start + n;
  esc_block_start(p, start);
  ESC_TRY(esc_block_flow(p, grid, start, rate, &unused));
  ESC_TRY(esc_block_jacobian(p, grid, start, room));
  for (int i = 0; i < count; i++) {
    const int at = coordinate[i];
    out[i] = (esc_duhamel){.alpha = rate[at], .beta = -room[at * n + at]};
  }
done:
  free(room);
  return status;
}

esc_status esc_block_duhamel(const esc_block_problem *p, const esc_block_grid *grid, int count,
                             const int *coordinate, double horizon, int times, const double *time,
                             esc_duhamel *out, double *off) {
  esc_status status = ESC_OK;
  const size_t n = (size_t)esc_block_size(p);
  double sample[SAMPLES], *state = malloc(n * (size_t)(SAMPLES + times) * sizeof *state);
  ESC_TRY_ALLOCATE(state);
  for (int s = 0; s < SAMPLES; s++) sample[s] = horizon * (s + 1) / SAMPLES;
  ESC_TRY(freeze(p, grid, count, coordinate, out));
  ESC_TRY(esc_block_states(p, grid, SAMPLES, sample, state));
  if (times) ESC_TRY(esc_block_states(p, grid, times, time, state + n * SAMPLES));
  for (int i = 0; i < count; i++) {
    const double *y = state + coordinate[i];
    int s = 0;
    while (s < SAMPLES && departure(&out[i], sample[s], y[n * (size_t)s]) <= too_far) s++;
    out[i].until = s < SAMPLES ? sample[s] : horizon;
    for (int t = 0; t < times; t++)
      off[i * times + t] = departure(&out[i], time[t], y[n * (size_t)(SAMPLES + t)]);
  }
done:
  free(state);
  return status;
}
