/* SPDX-License-Identifier: Apache-2.0 */
/* Memory of an evaluator; the passes themselves are in step.c, once an instruction set. */
#include "cpu/evaluate.h"

#include <stdlib.h>
#include <string.h>

#include "cpu/network.h"

struct esc_cpu_evaluator {
  esc_cpu_shared shared;
  const esc_cpu_isa *isa;
  esc_cpu_network network;
  esc_cpu_work *work;
  double *g[ESC_EVALUATION_SUMS]; /* (weight) padded as the network's */
};

void esc_cpu_evaluator_free(esc_cpu_evaluator *r) {
  if (!r) return;
  for (int k = 0; k < ESC_EVALUATION_SUMS; k++) free(r->g[k]);
  esc_cpu_work_free(r->work);
  esc_cpu_network_free(&r->network);
  esc_cpu_shared_free(&r->shared);
  free(r);
}

esc_status esc_cpu_evaluator_create(const esc_problem *p, esc_cpu_evaluator **out) {
  esc_status status = ESC_OK;
  esc_cpu_evaluator *r = calloc(1, sizeof *r);
  ESC_TRY_ALLOCATE(r);
  r->isa = esc_cpu_isa_find(getenv("ESCAPEMENT_ISA"));
  if (!r->isa) r->isa = esc_cpu_isa_find(NULL);
  ESC_TRY(esc_cpu_shared_init(&r->shared, p));
  ESC_TRY(esc_cpu_network_create(&r->shared, &r->network));
  ESC_TRY(esc_cpu_work_create(&r->shared, &r->work));
  for (int k = 0; k < ESC_EVALUATION_SUMS; k++)
    ESC_TRY_ALLOCATE(r->g[k] = calloc(r->shared.layout.w[p->shape.layers], sizeof(double)));
  *out = r;
  r = NULL;
done:
  esc_cpu_evaluator_free(r);
  return status;
}

double esc_cpu_evaluator_bytes(const esc_problem *p) {
  return esc_cpu_network_bytes(p) + esc_cpu_work_bytes(p) +
         8.0 * ESC_EVALUATION_SUMS * (double)esc_weight_count(p->shape);
}

void esc_cpu_evaluate(esc_cpu_evaluator *r, const esc_observer *observer,
                      const esc_eval_sample *sample, const double *weights, esc_evaluation *out) {
  const int layers = observer->problem->shape.layers;
  memset(out, 0, sizeof *out);
  for (int k = 0; k < ESC_EVALUATION_SUMS; k++)
    memset(r->g[k], 0, r->shared.layout.w[layers] * sizeof *r->g[k]);
  esc_cpu_network_set(&r->shared, &r->network, weights);
  const esc_cpu_evaluation evaluation = {observer, sample, r->g, out};
  r->isa->evaluate(&r->shared, &r->network, r->work, &evaluation);
  const esc_evaluation_sums sums = {
      {r->g[0], r->g[1], r->g[2], r->g[3]}, r->shared.layout.w, (size_t)r->shared.layout.in_pad[0]};
  esc_evaluation_finish(observer, sample, weights, &sums, out);
}
