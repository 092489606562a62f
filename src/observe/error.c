/* Sampling errors of a response's means.
 *
 * The unit is a pair x, -x. The sample makes the second moment exact, and with it the mean of
 * every quadratic form of the inputs; the spread of these is no error. So the pair's value is
 * regressed on the forms that it is nearly made of, (v.x)^2, (v.x)(b.x) and (b.x)^2 with b.x
 * the linear part of f, and the error is that of the residuals' mean. b is fitted to the same
 * sample and follows f too closely, by the leverage |x|^2/n; b.x is taken half-way towards
 * what the sample without the pair would say, so that residuals keep their size (HC2 of
 * the regression of f on x). Forms left out make the error too large, never too small. */
#include <math.h>
#include <string.h>

#include "escapement/loss.h"
#include "escapement/observe.h"

enum { MEANS = 4, FORMS = 3, SPARE = 8 };

/* (unit) each, in the sample's workspace. */
typedef struct units {
  int count;
  double *odd, *value[MEANS], *form[FORMS];
} units;

static double dot(int n, const double *a, const double *b) {
  double sum = 0;
  for (int i = 0; i < n; i++) sum += a[i] * b[i];
  return sum;
}

/* The odd part of f, and what each of the four means is the mean of. */
static void fill_values(const esc_observer *o, const esc_sample *s, double mean, units *u) {
  const esc_problem *p = o->problem;
  for (int i = 0; i < u->count; i++) {
    const int other = s->mirrored ? i : u->count + i;
    const double f = s->output[i], mirror = s->mirrored ? -f : s->output[other];
    const double target = s->mirrored ? -s->target[i] : s->target[other];
    const double even = (f + mirror) / 2;
    u->odd[i] = (f - mirror) / 2;
    u->value[0][i] = (esc_loss_eval_f64(p->loss, p->huber_delta, f, s->target[i]).value +
                      esc_loss_eval_f64(p->loss, p->huber_delta, mirror, target).value) /
                     2;
    u->value[1][i] = even;
    u->value[2][i] = (f * f + mirror * mirror) / 2 - 2 * mean * even;
    u->value[3][i] = s->signal[i] * u->odd[i];
  }
}

/* The three forms, each without its mean. */
static void fill_forms(const esc_observer *o, const esc_sample *s, units *u) {
  const int n = u->count, d = o->problem->shape.inputs;
  double b[ESC_INPUTS_MAX] = {0};
  for (int i = 0; i < n; i++)
    for (int j = 0; j < d; j++)
      b[j] += u->odd[i] * (double)s->x[(size_t)i * (size_t)d + (size_t)j] / n;
  for (int i = 0; i < n; i++) {
    const float *x = s->x + (size_t)i * (size_t)d;
    double fit = 0, size2 = 0;
    for (int j = 0; j < d; j++) {
      fit += b[j] * (double)x[j];
      size2 += (double)(x[j] * x[j]);
    }
    const double linear = u->odd[i] - (u->odd[i] - fit) / sqrt(fmax(1 - size2 / n, 1e-2));
    u->form[0][i] = s->signal[i] * s->signal[i];
    u->form[1][i] = s->signal[i] * linear;
    u->form[2][i] = linear * linear;
  }
  for (int k = 0; k < FORMS; k++) {
    double mean = 0;
    for (int i = 0; i < n; i++) mean += u->form[k][i] / n;
    for (int i = 0; i < n; i++) u->form[k][i] -= mean;
  }
}

/* Takes from x what it has of the vectors 0..count-1, which are of length 1. */
static void remove_forms(const units *u, int count, double *x) {
  for (int k = 0; k < count; k++) {
    const double along = dot(u->count, u->form[k], x);
    for (int i = 0; i < u->count; i++) x[i] -= along * u->form[k][i];
  }
}

/* What a form must keep of its squared length to count as another one. Forms that coincide but
 * for their leverage corrections (v and b parallel, as always with one input) keep less; removing
 * such a remainder would remove the residuals themselves. */
static const double independent_min = 1e-3;

/* Makes the forms orthonormal; returns how many are independent. */
static int orthonormalise(units *u) {
  int count = 0;
  for (int k = 0; k < FORMS; k++) {
    const double before = dot(u->count, u->form[k], u->form[k]);
    remove_forms(u, count, u->form[k]);
    const double length2 = dot(u->count, u->form[k], u->form[k]);
    if (!(length2 > independent_min * before)) continue;
    for (int i = 0; i < u->count; i++) u->form[count][i] = u->form[k][i] / sqrt(length2);
    count++;
  }
  return count;
}

static double error_of(const units *u, int forms, double *value) {
  const int n = u->count;
  double mean = 0;
  for (int i = 0; i < n; i++) mean += value[i] / n;
  for (int i = 0; i < n; i++) value[i] -= mean;
  remove_forms(u, forms, value);
  return sqrt(dot(n, value, value) / (n - 1 - forms) / n);
}

bool esc_sample_has_errors(int samples, int inputs) { return samples / 2 >= inputs + SPARE; }

/* For `count` independent evaluations: half of a sample, or what stands for its mirror images. */
static units describe(esc_arena *a, int count) {
  units u = {.count = count};
  u.odd = ESC_CARVE(a, double, count);
  for (int k = 0; k < MEANS; k++) u.value[k] = ESC_CARVE(a, double, count);
  for (int k = 0; k < FORMS; k++) u.form[k] = ESC_CARVE(a, double, count);
  return u;
}

esc_arena esc_sample_workspace(int samples) {
  esc_arena a = {0};
  describe(&a, samples / 2);
  return a;
}

void esc_response_errors(const esc_observer *o, const esc_sample *s, esc_response *out) {
  double *const error[MEANS] = {&out->loss_error, &out->output_mean_error,
                                &out->output_variance_error, &out->signal_error};
  const int count = s->mirrored ? s->samples : s->samples / 2;
  for (int k = 0; k < MEANS; k++) *error[k] = (double)NAN;
  if (!esc_sample_has_errors(2 * count, o->problem->shape.inputs)) return;
  esc_arena *const workspace = (esc_arena *)&s->workspace;
  const size_t mark = esc_arena_mark(workspace);
  units u = describe(workspace, count);
  fill_values(o, s, out->output_mean, &u);
  fill_forms(o, s, &u);
  const int forms = orthonormalise(&u);
  for (int k = 0; k < MEANS; k++) *error[k] = error_of(&u, forms, u.value[k]);
  esc_arena_release(workspace, mark);
}
