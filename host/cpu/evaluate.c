/* SPDX-License-Identifier: Apache-2.0 */
/* Memory of an evaluator. The forward and backward passes are in step.c, which is compiled once for
 * each instruction set. */
#include "cpu/evaluate.h"

#include <stdlib.h>
#include <string.h>

#include "cpu/network.h"

struct esc_cpu_evaluator {
  esc_cpu_shared shared;
  const esc_cpu_isa *isa;
  esc_cpu_network network;
  esc_cpu_work *work;
  double *g[ESC_EVALUATION_SUMS]; /* (weight), padded like the network's weights */
};

void esc_cpu_evaluator_free(esc_cpu_evaluator *e) {
  if (!e) return;
  for (int k = 0; k < ESC_EVALUATION_SUMS; k++) free(e->g[k]);
  esc_cpu_work_free(e->work);
  esc_cpu_network_free(&e->network);
  esc_cpu_shared_free(&e->shared);
  free(e);
}

esc_status esc_cpu_evaluator_create(const esc_problem *p, esc_cpu_evaluator **out) {
  esc_status status = ESC_OK;
  esc_cpu_evaluator *e = calloc(1, sizeof *e);
  ESC_TRY_ALLOCATE(e);
  ESC_TRY(esc_cpu_isa_select(&e->isa));
  ESC_TRY(esc_cpu_shared_init(&e->shared, p));
  ESC_TRY(esc_cpu_network_create(&e->shared, &e->network));
  ESC_TRY(esc_cpu_work_create(&e->shared, &e->work));
  for (int k = 0; k < ESC_EVALUATION_SUMS; k++)
    ESC_TRY_ALLOCATE(e->g[k] = calloc(e->shared.layout.w[p->shape.layers], sizeof(double)));
  *out = e;
  e = NULL;
done:
  esc_cpu_evaluator_free(e);
  return status;
}

double esc_cpu_evaluator_bytes(const esc_problem *p) {
  esc_cpu_layout layout; /* with the padding of the rows */
  esc_cpu_layout_init(&layout, p->shape);
  return esc_cpu_network_bytes(p) + esc_cpu_work_bytes(p) +
         (double)sizeof(double) * ESC_EVALUATION_SUMS * (double)layout.w[p->shape.layers];
}

void esc_cpu_evaluate(esc_cpu_evaluator *e, const esc_observer *observer,
                      const esc_eval_sample *sample, const double *weights, esc_evaluation *out) {
  const int layers = observer->problem->shape.layers;
  memset(out, 0, sizeof *out);
  for (int k = 0; k < ESC_EVALUATION_SUMS; k++)
    memset(e->g[k], 0, e->shared.layout.w[layers] * sizeof *e->g[k]);
  esc_cpu_network_set(&e->shared, &e->network, weights);
  const esc_cpu_evaluation evaluation = {observer, sample, e->g, out};
  e->isa->evaluate(&e->shared, &e->network, e->work, &evaluation);
  const esc_evaluation_sums sums = {
      {e->g[0], e->g[1], e->g[2], e->g[3]}, e->shared.layout.w, (size_t)e->shared.layout.in_pad[0]};
  esc_evaluation_finish(observer, sample, weights, &sums, out);
}
