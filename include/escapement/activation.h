/* SPDX-License-Identifier: Apache-2.0 */
/* Activations: by name, by coefficients or by the pieces of a function, and their values. */
#ifndef ESCAPEMENT_PUBLIC_ACTIVATION_H
#define ESCAPEMENT_PUBLIC_ACTIVATION_H

#include <stdbool.h>
#include <stddef.h>

#include "escapement/activation_list.h"
#include "escapement/export.h"
#include "escapement/limits.h"
#include "escapement/status.h"

ESC_BEGIN_DECLS

typedef enum esc_activation_kind {
#define ESC_ACTIVATION_ENUM(context, name, ...) ESC_ACTIVATION_##name,
  ESC_ACTIVATIONS(ESC_ACTIVATION_ENUM, )
#undef ESC_ACTIVATION_ENUM
      ESC_ACTIVATION_COUNT,
  ESC_ACTIVATION_PIECEWISE = ESC_ACTIVATION_COUNT /* no name, no training: theory only */
} esc_activation_kind;

/* A polynomial of t = (z - centre) / width, valid from `from` to the next piece. */
typedef struct esc_activation_piece {
  double from, centre, width;
  int terms;                                    /* 1 to ESC_POLYNOMIAL_TERMS_MAX */
  double coefficient[ESC_POLYNOMIAL_TERMS_MAX]; /* of t^0, t^1, ...; NaN: sigma is not known */
} esc_activation_piece;

/* A smooth function of the caller's, fitted by polynomials. */
typedef struct esc_activation_pieces {
  int count;
  const esc_activation_piece *piece; /* (count), ascending; the first is from -infinity */
  bool odd;                          /* sigma(-z) = -sigma(z) */
  /* a_0, a_1, ... of the Taylor series at 0; one of at most twice its error counts as 0. */
  double taylor[ESC_POLYNOMIAL_TERMS_MAX], taylor_error[ESC_POLYNOMIAL_TERMS_MAX];
} esc_activation_pieces;

typedef struct esc_activation {
  esc_activation_kind kind;
  int terms; /* polynomial only */
  union {
    double coefficient[ESC_POLYNOMIAL_TERMS_MAX]; /* a_0, a_1, ...; polynomial only */
    const esc_activation_pieces *pieces;          /* piecewise only; not owned */
  };
} esc_activation;

/* Bytes that hold any name that esc_activation_print writes. */
enum { ESC_ACTIVATION_NAME_MAX = 32 * ESC_POLYNOMIAL_TERMS_MAX };

/* Reads `tanh`, another name of the table above, the alias `silu` of `swish` (letters in either
 * case), or `poly:a0,a1,...` with up to ESC_POLYNOMIAL_TERMS_MAX decimal numbers. ESC_BAD_INPUT
 * that lists the names where `text` is none of these. */
ESC_API esc_status esc_activation_from_text(const char *text, esc_activation *out);

/* The polynomial sigma(z) = coefficient[0] + coefficient[1] z + ... of `terms` terms, 1 to
 * ESC_POLYNOMIAL_TERMS_MAX. ESC_BAD_INPUT for another number of terms or a coefficient that is not
 * finite. */
ESC_API esc_status esc_activation_from_coefficients(int terms, const double *coefficient,
                                                    esc_activation *out);

/* The function of `pieces`, which the caller keeps, unchanged, as long as the activation is used.
 * Only the functions of theory.h and blocks.h, and those below, take it. ESC_BAD_INPUT for pieces
 * that do not ascend from -infinity, or with a width, number of terms or Taylor coefficient out of
 * range. */
ESC_API esc_status esc_activation_from_pieces(const esc_activation_pieces *pieces,
                                              esc_activation *out);

/* Writes the name that esc_activation_from_text reads back to the same activation, cut to `size`
 * bytes; ESC_ACTIVATION_NAME_MAX always suffice. "function", which is not read back, for one of
 * pieces. */
ESC_API void esc_activation_print(const esc_activation *activation, char *text, size_t size);

/* sigma(-z) = -sigma(z), and so for teacher, student and all their differences. */
ESC_API bool esc_activation_is_odd(const esc_activation *activation);

typedef struct esc_activation_value {
  double value;      /* sigma(z) */
  double derivative; /* sigma'(z); of relu at 0: 0 */
  double deficit;    /* kappa(z) = sigma(z) - z sigma'(z) */
} esc_activation_value;

/* The activation at z, in double precision to a few units in the last place, or to the accuracy of
 * its pieces. */
ESC_API esc_activation_value esc_activation_evaluate(const esc_activation *activation, double z);

ESC_END_DECLS

#endif
