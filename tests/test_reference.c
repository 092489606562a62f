/* SPDX-License-Identifier: Apache-2.0 */
/* The reference engine against numbers from elsewhere and finite differences. */
#include "escapement/internal/model.h"
#include "escapement/internal/reference.h"
#include "problems.h"

/* The check network of docs/theory, section 9.3: N=3, d=2, L=3, a=1.2, v=e_1,
 * W_l[i][j] = .6 sin(1+i+2j+3l), X[j][b] = 1.5 sin(2+3j+5b), five equal weights. */
typedef struct check_network {
  esc_problem problem;
  double w[18], x[10], g[18], directions[2];
  esc_gradient gradient;
} check_network;

static check_network evaluate(const char *activation, esc_loss_kind loss) {
  check_network c = {.problem = problem_make(3, 3, 2, 5), .directions = {1, 0}};
  problem_activation(&c.problem, activation);
  c.problem.teacher.amplitude[0] = 1.2;
  c.problem.loss = loss;
  for (int l = 0; l < 3; l++)
    for (int i = 0; i < esc_fan_out(c.problem.shape, l); i++)
      for (int j = 0; j < esc_fan_in(c.problem.shape, l); j++)
        c.w[esc_weight_offset(c.problem.shape, l) +
            (size_t)(i * esc_fan_in(c.problem.shape, l) + j)] =
            .6 * sin(1 + i + 2 * j + 3 * (l + 1));
  for (int b = 0; b < 5; b++)
    for (int j = 0; j < 2; j++) c.x[2 * b + j] = 1.5 * sin(2 + 3 * j + 5 * b);
  c.gradient.g = c.g;
  esc_reference_work *work = esc_reference_work_create(&c.problem);
  assert_non_null(work);
  esc_reference_gradient(&c.problem, c.directions, c.w, &(esc_batch){.samples = 5, .x = c.x}, work,
                         &c.gradient);
  esc_reference_work_free(work);
  problem_free(&c.problem);
  return c;
}

/* docs/theory, section 9.3 has 15 digits; what cancels in f - T costs one or two of them. */
static const double digits = 5e-13;

static void tanh_squared_gives_the_reference_values(void **state) {
  (void)state;
  const check_network c = evaluate("tanh", ESC_LOSS_SQUARED);
  esc_assert_close(c.gradient.loss, .36683818770414, 1e-14, digits);
  esc_assert_close(c.gradient.grad_norm_sq[0], .116969281224323, 0, digits);
  esc_assert_close(c.gradient.grad_norm_sq[1], .365893706796484, 0, digits);
  esc_assert_close(c.gradient.grad_norm_sq[2], .0803749762316304, 0, digits);
  esc_assert_close(c.gradient.deficit[0], -.0161192237295039, 0, digits);
  esc_assert_close(c.gradient.deficit[1], .000972717166747007, 0, 5e-13);
}

static void other_losses_and_activations_give_the_reference_values(void **state) {
  (void)state;
  static const struct {
    const char *activation;
    esc_loss_kind kind;
    double loss, first, second;
  } row[] = {
      {"tanh", ESC_LOSS_HUBER, .192324333042694, -.00501337474173092, .000303563097038021},
      {"tanh", ESC_LOSS_LOGISTIC, .686955901596398, -.00833939987923799, .000488806840648631},
      {"gelu", ESC_LOSS_SQUARED, .327829174023217, 8.52888248215738e-5, -1.98106642501326e-4},
      {"softplus-raw", ESC_LOSS_SQUARED, .760832331182533, .0172262168420378, .039651521254137},
  };
  for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
    const check_network c = evaluate(row[i].activation, row[i].kind);
    esc_assert_close(c.gradient.loss, row[i].loss, 0, 2e-14);
    esc_assert_close(c.gradient.deficit[0], row[i].first, 0, digits);
    esc_assert_close(c.gradient.deficit[1], row[i].second, 0, 5e-13);
  }
}

/* Delta' - Delta under gamma = (3, 1, 1/3), eta = .1, from the two states of docs/theory,
 * section 9.3. */
static void one_update_moves_the_imbalance_to_its_reference_value(void **state) {
  (void)state;
  check_network c = evaluate("tanh", ESC_LOSS_SQUARED);
  const double gamma[3] = {3, 1, 1. / 3}, after[2] = {1.26009196817377, .0630152073054666};
  double norm2[3] = {0};
  for (int l = 0; l < 3; l++)
    for (size_t i = esc_weight_offset(c.problem.shape, l);
         i < esc_weight_offset(c.problem.shape, l + 1); i++)
      norm2[l] += pow(c.w[i] - .1 * gamma[l] * c.g[i], 2);
  for (int l = 0; l < 2; l++)
    esc_assert_close(norm2[l + 1] / gamma[l + 1] - norm2[l] / gamma[l], after[l], 0, digits);
}

typedef struct finite_case {
  esc_problem problem;
  double w[64], x[12], weight[4], directions[3], g[64];
} finite_case;

static double loss_at(finite_case *c, esc_reference_work *work) {
  double loss = 0;
  for (int b = 0; b < 4; b++) {
    double g[64];
    esc_gradient one = {.g = g};
    esc_reference_gradient(&c->problem, c->directions, c->w,
                           &(esc_batch){.samples = 1, .x = c->x + (ptrdiff_t)3 * b}, work, &one);
    loss += c->weight[b] * one.loss;
  }
  return loss;
}

/* Fourth-order central differences: truncation h^4, rounding 1e-16/h. */
static void check_gradient(finite_case *c) {
  const double h = 1e-3;
  esc_reference_work *work = esc_reference_work_create(&c->problem);
  assert_non_null(work);
  esc_gradient gradient = {.g = c->g};
  const esc_batch batch = {.samples = 4, .x = c->x, .weight = c->weight};
  esc_reference_gradient(&c->problem, c->directions, c->w, &batch, work, &gradient);
  for (size_t i = 0; i < esc_weight_offset(c->problem.shape, c->problem.shape.layers); i++) {
    const double w = c->w[i];
    double value[4];
    static const double shift[4] = {-2, -1, 1, 2};
    for (int k = 0; k < 4; k++) {
      c->w[i] = w + shift[k] * h;
      value[k] = loss_at(c, work);
    }
    c->w[i] = w;
    esc_assert_close(c->g[i], (value[0] - 8 * value[1] + 8 * value[2] - value[3]) / (12 * h), 2e-10,
                     1e-9);
  }
  esc_reference_work_free(work);
}

static void gradients_equal_finite_differences_for_every_activation_and_loss(void **state) {
  (void)state;
  for (int a = 0; a < ACTIVATIONS; a++)
    for (int loss = ESC_LOSS_SQUARED; loss < ESC_LOSSES; loss++) {
      finite_case c = {.problem = problem_make(4, 4, 3, 4),
                       .weight = {.1, .2, .3, .4},
                       .directions = {.6, 0, -.8}};
      problem_activation(&c.problem, activation_names[a]);
      c.problem.loss = (esc_loss_kind)loss;
      c.problem.huber_delta = 0.9;
      for (int i = 0; i < 64; i++) c.w[i] = .7 * sin(1.3 * i + .2);
      for (int i = 0; i < 12; i++) c.x[i] = 1.1 * cos(2.1 * i + .4);
      check_gradient(&c);
      problem_free(&c.problem);
    }
}

/* mean[u . kappa] = <G_{l+1}, W_{l+1}> - <G_l, W_l>, the reason for the identity of docs/theory,
 * section 1.1. */
static void deficit_is_the_difference_of_gradient_weight_products(void **state) {
  (void)state;
  const check_network c = evaluate("swish", ESC_LOSS_SQUARED);
  double product[3] = {0};
  for (int l = 0; l < 3; l++)
    for (size_t i = esc_weight_offset(c.problem.shape, l);
         i < esc_weight_offset(c.problem.shape, l + 1); i++)
      product[l] += c.w[i] * c.g[i];
  for (int l = 0; l < 2; l++)
    esc_assert_close(c.gradient.deficit[l], product[l + 1] - product[l], 1e-16, 1e-12);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(tanh_squared_gives_the_reference_values),
      cmocka_unit_test(other_losses_and_activations_give_the_reference_values),
      cmocka_unit_test(one_update_moves_the_imbalance_to_its_reference_value),
      cmocka_unit_test(gradients_equal_finite_differences_for_every_activation_and_loss),
      cmocka_unit_test(deficit_is_the_difference_of_gradient_weight_products),
  };
  return cmocka_run_group_tests_name("reference", tests, NULL, NULL);
}
