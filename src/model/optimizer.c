/* SPDX-License-Identifier: Apache-2.0 */
#include "escapement/internal/optimizer.h"

#include <string.h>

void esc_optimizer_rules_init(esc_optimizer_rules *r, const esc_problem *p) {
  const esc_optimizer *o = &p->optimizer;
  const bool adam = o->kind == ESC_OPTIMIZER_ADAM;
  memset(r, 0, sizeof *r);
  r->optimized = !esc_optimizer_is_plain(o);
  r->adam = adam;
  r->nesterov = o->nesterov;
  r->beta = (float)(adam ? o->adam_beta1 : o->momentum);
  r->one_minus_beta = (float)(1 - o->adam_beta1);
  r->beta2 = (float)o->adam_beta2;
  r->one_minus_beta2 = (float)(1 - o->adam_beta2);
  r->epsilon = (float)o->adam_epsilon;
  r->adam_beta1 = o->adam_beta1;
  r->adam_beta2 = o->adam_beta2;
  r->decay = o->decoupled ? 0 : (float)o->weight_decay;
  for (int l = 0; o->decoupled && l < p->shape.layers; l++)
    r->decoupled_decay[l] = (float)(o->weight_decay / esc_metric_gamma(p, l));
}
