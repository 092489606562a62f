/* SPDX-License-Identifier: Apache-2.0 */
/* Activations that are given as polynomials on intervals. */
#include "escapement/internal/pieces.h"

#include <math.h>

#include "escapement/internal/status.h"

/* The last piece from z or below, by bisection; for a NaN the first. */
static const esc_activation_piece *find_piece(const esc_activation_pieces *pieces, double z) {
  int first = 0, end = pieces->count;
  while (end - first > 1) {
    const int middle = first + (end - first) / 2;
    if (z >= pieces->piece[middle].from)
      first = middle;
    else
      end = middle;
  }
  return &pieces->piece[first];
}

/* With p the polynomial of t, sigma' = p'/width and z sigma' = (t + centre/width) p'. The deficit
 * of the piece around 0 is evaluated without cancellation. */
esc_eval_f64 esc_pieces_evaluate(const esc_activation_pieces *pieces, double z) {
  const esc_activation_piece *p = find_piece(pieces, z);
  esc_eval_f64 e = esc_polynomial_eval_f64(p->coefficient, p->terms, (z - p->centre) / p->width);
  e.deficit -= p->centre / p->width * e.derivative;
  e.derivative /= p->width;
  return e;
}

double esc_pieces_second_derivative(const esc_activation_pieces *pieces, double z) {
  const esc_activation_piece *p = find_piece(pieces, z);
  const double t = (z - p->centre) / p->width;
  double sum = 0;
  for (int k = p->terms - 1; k >= 2; k--) sum = sum * t + k * (k - 1) * p->coefficient[k];
  return sum / (p->width * p->width);
}

static bool is_valid(const esc_activation_piece *p) {
  return isfinite(p->centre) && p->width > 0 && isfinite(p->width) && p->terms >= 1 &&
         p->terms <= ESC_POLYNOMIAL_TERMS_MAX;
}

esc_status esc_pieces_check(const esc_activation_pieces *pieces) {
  if (pieces->count < 1 || pieces->piece[0].from != -HUGE_VAL)
    return ESC_FAIL(ESC_BAD_INPUT, "pieces: the first is not from -infinity");
  for (int i = 0; i < pieces->count; i++) {
    if (!is_valid(&pieces->piece[i]))
      return ESC_FAIL(
          ESC_BAD_INPUT,
          "pieces: centre, width or terms of piece %d are out of range; allowed: finite, "
          "above 0, 1 to %d",
          i, ESC_POLYNOMIAL_TERMS_MAX);
    if (i > 0 && !(pieces->piece[i].from > pieces->piece[i - 1].from))
      return ESC_FAIL(ESC_BAD_INPUT, "pieces: piece %d does not start above piece %d", i, i - 1);
  }
  for (int k = 0; k < ESC_POLYNOMIAL_TERMS_MAX; k++)
    if (!isfinite(pieces->taylor[k]) || !(pieces->taylor_error[k] >= 0))
      return ESC_FAIL(ESC_BAD_INPUT, "pieces: a_%d or its error is not a number in range", k);
  return ESC_OK;
}

esc_status esc_activation_from_pieces(const esc_activation_pieces *pieces, esc_activation *out) {
  const esc_status status = esc_pieces_check(pieces);
  if (status == ESC_OK) *out = (esc_activation){.kind = ESC_ACTIVATION_PIECEWISE, .pieces = pieces};
  return status;
}
