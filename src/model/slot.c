/* A member's beginning and end, for every engine. */
#include "escapement/internal/slot.h"

#include <stdlib.h>

#include "escapement/internal/model.h"

esc_status esc_model_init(esc_model *model, const esc_problem *p, bool single) {
  esc_status status = ESC_OK;
  *model = (esc_model){.problem = p, .single = single};
  ESC_TRY_ALLOCATE(model->directions = calloc((size_t)p->teacher.modes * (size_t)p->shape.inputs,
                                              sizeof *model->directions));
  esc_teacher_directions(p, model->directions);
done:
  return status;
}

void esc_model_free(esc_model *model) { free(model->directions); }

void esc_slot_load(esc_slot *slot, const esc_member *member) {
  slot->member = *member;
  slot->loaded = slot->fresh = true;
  esc_track_start(&slot->track);
}

static void draw_weights(const esc_model *m, const esc_member *member, double *w) {
  const esc_shape shape = m->problem->shape;
  esc_initial_weights(m->problem, member, m->directions, w);
  if (!m->single) return;
  for (size_t i = 0; i < esc_weight_count(shape); i++) w[i] = (double)(float)w[i];
}

void esc_slot_start(esc_slot *s, const esc_model *m, double *w, esc_arena *workspace) {
  const esc_shape shape = m->problem->shape;
  draw_weights(m, &s->member, w);
  for (int l = 0; l < shape.layers; l++) {
    esc_sum norm2 = {0, 0};
    for (size_t i = esc_weight_offset(shape, l); i < esc_weight_offset(shape, l + 1); i++)
      esc_sum_add(&norm2, w[i] * w[i]);
    s->norm2_initial[l] = esc_sum_get(&norm2);
  }
  s->signal =
      esc_initial_signal(m->problem, &s->member, m->directions, w, workspace, &s->signal_error);
  s->fresh = false;
}

void esc_slot_report(const esc_slot *s, const esc_model *m, const double *w, const double *low,
                     double *initial, esc_results *results, int64_t i) {
  const esc_shape shape = m->problem->shape;
  double change2[ESC_LAYERS_MAX];
  draw_weights(m, &s->member, initial);
  for (int l = 0; l < shape.layers; l++) {
    esc_sum change = {0, 0};
    for (size_t k = esc_weight_offset(shape, l); k < esc_weight_offset(shape, l + 1); k++) {
      const double moved = (w[k] - initial[k]) + (low ? low[k] : 0);
      esc_sum_add(&change, moved * (2 * initial[k] + moved));
    }
    change2[l] = esc_sum_get(&change);
  }
  esc_track_report(&s->track, m->problem, &s->member, s->norm2_initial, change2, s->signal,
                   s->signal_error, results, i);
}
