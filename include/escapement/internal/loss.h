/* SPDX-License-Identifier: Apache-2.0 */
/* Losses of one example, l(f, t) for prediction f and target t, with their
 * derivative in f (docs/theory, section 0.3): squared, logistic, Huber, in float and
 * double. All are convex in f, and a NaN in f or t goes through to both.
 * The formulas are in loss_template.h. */
#ifndef ESCAPEMENT_LOSS_H
#define ESCAPEMENT_LOSS_H

#include "escapement/internal/activation.h"
#include "escapement/internal/portable.h"
#include "escapement/internal/problem.h"

#define ESC_REAL float
#define ESC_OF(name) name##_f32
#include "escapement/internal/loss_template.h"
#undef ESC_REAL
#undef ESC_OF

#define ESC_REAL double
#define ESC_OF(name) name##_f64
#include "escapement/internal/loss_template.h"
#undef ESC_REAL
#undef ESC_OF

#endif
