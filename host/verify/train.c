/* SPDX-License-Identifier: Apache-2.0 */
#include "verify/train.h"

#include <stdlib.h>

#include "verify/fixture.h"

typedef struct trainer {
  const esc_engine_ops *ops;
  const esc_problem *problem;
  void *engine;
  int members, next, running;
  int *occupant; /* (slot) member in it, -1 for none */
  esc_results *results;
  double *w;
} trainer;

/* Stores the results of the finished member, and frees its slot. */
static esc_status retire(trainer *s, int slot) {
  esc_status status = ESC_OK;
  const size_t weights = esc_weight_count(s->problem->shape);
  const int member = s->occupant[slot];
  ESC_TRY(s->ops->report(s->engine, slot, s->results, member));
  if (s->w) ESC_TRY(s->ops->weights(s->engine, slot, s->w + (size_t)member * weights));
  s->occupant[slot] = -1;
  s->running--;
done:
  return status;
}

esc_member esc_verify_train_member(int i) { return esc_verify_member((uint64_t)i + 1, 1, 0.5); }

static esc_status refill(trainer *s, int slot) {
  const esc_member member = esc_verify_train_member(s->next);
  s->occupant[slot] = s->next++;
  s->running++;
  return s->ops->load(s->engine, slot, &member);
}

static esc_status work(trainer *s, const esc_verify_layout *layout) {
  esc_status status = ESC_OK;
  const atomic_bool stop = false;
  do {
    for (int i = 0; i < layout->slots; i++) {
      if (s->occupant[i] >= 0 && esc_slot_finished(s->ops->slot(s->engine, i)))
        ESC_TRY(retire(s, i));
      if (s->occupant[i] < 0 && s->next < s->members) ESC_TRY(refill(s, i));
    }
    ESC_TRY(s->ops->advance(s->engine, layout->block, &stop));
  } while (s->running > 0);
done:
  return status;
}

esc_status esc_verify_train(const esc_engine_ops *ops, const esc_problem *p, int members,
                            const esc_verify_layout *layout, esc_results **out, double *w) {
  esc_status status = ESC_OK;
  const esc_engine_setup setup = {
      .slots = layout->slots, .threads = layout->threads, .device = layout->device};
  trainer s = {.ops = ops, .problem = p, .members = members, .w = w};
  ESC_TRY_ALLOCATE(s.occupant = malloc((size_t)layout->slots * sizeof *s.occupant));
  for (int i = 0; i < layout->slots; i++) s.occupant[i] = -1;
  ESC_TRY(esc_results_create(members, p->thresholds, p->shape.layers, &s.results));
  ESC_TRY(ops->create(ops, p, &setup, &s.engine));
  ESC_TRY(work(&s, layout));
  *out = s.results;
  s.results = NULL;
done:
  ops->destroy(s.engine);
  esc_results_free(s.results);
  free(s.occupant);
  return status;
}
