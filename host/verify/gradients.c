/* The reference's gradient against differences of its loss, for every activation and
 * loss: odd width, d != N, two modes off the axes, samples of different weight. */
#include <math.h>

#include "verify/scene.h"
#include "verify/verify.h"

/* Loss at the scene's weights. The samples' own losses are added up here. */
static double loss_at(esc_verify_scene *s, double *unused) {
  double loss = 0;
  for (int b = 0; b < s->batch.samples; b++) {
    esc_gradient one = {.g = unused};
    const esc_batch sample = {.samples = 1, .x = s->x + (ptrdiff_t)b * s->problem.shape.inputs};
    esc_reference_gradient(&s->problem, s->directions, s->w, &sample, s->work, &one);
    loss += s->weight[b] * one.loss;
  }
  return loss;
}

/* Order four in w_i: h = 1e-3 leaves h^4 l^(5)/30 and 1e-16/h of rounding. */
static double quotient(esc_verify_scene *s, size_t i, double *unused) {
  static const double shift[4] = {-2, -1, 1, 2};
  const double h = 1e-3, w = s->w[i];
  double at[4];
  for (int k = 0; k < 4; k++) {
    s->w[i] = w + shift[k] * h;
    at[k] = loss_at(s, unused);
  }
  s->w[i] = w;
  return (at[0] - 8 * at[1] + 8 * at[2] - at[3]) / (12 * h);
}

enum { WEIGHTS = 5 * 3 + 5 * 5 + 5 };

static esc_status check(int kind, int loss, esc_verify_worst *worst) {
  esc_status status = ESC_OK;
  esc_verify_scene s;
  double unused[WEIGHTS];
  esc_problem p = esc_verify_problem(3, 5, 3, 6);
  p.activation = esc_verify_activation(kind);
  p.loss = (esc_loss_kind)loss;
  p.huber_delta = 0.9;
  esc_verify_modes(&p, 2);
  ESC_TRY(esc_verify_scene_open(&p, &s));
  esc_verify_scene_gradient(&s);
  esc_verify_take(worst, s.gradient.loss - loss_at(&s, unused), 1e-14, "loss: %s, %s",
                  esc_verify_activation_name(kind), esc_verify_loss_name(loss));
  for (size_t i = 0; i < WEIGHTS; i++)
    esc_verify_take(worst, s.g[i] - quotient(&s, i, unused), 2e-10 + 1e-9 * fabs(s.g[i]),
                    "%s, %s, weight %zu", esc_verify_activation_name(kind),
                    esc_verify_loss_name(loss), i);
done:
  esc_verify_scene_close(&s);
  return status;
}

static esc_status gradients(const esc_verify_target *t, esc_verify_worst *worst) {
  esc_status status = ESC_OK;
  (void)t;
  for (int kind = 0; kind < ESC_ACTIVATION_COUNT; kind++)
    for (int loss = 0; loss < ESC_VERIFY_LOSSES; loss++) ESC_TRY(check(kind, loss, worst));
done:
  return status;
}

const esc_verify_check esc_verify_gradients[] = {
    {"gradients: differences of the loss", gradients},
    {0},
};
