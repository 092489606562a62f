/* SPDX-License-Identifier: Apache-2.0 */
/* State of a network in training as bytes, and back (state.h). */
#include "escapement/internal/state.h"

#include <string.h>

#include "escapement/internal/model.h"

typedef struct head {
  esc_track track;
  double signal, signal_error;
  double norm2_initial[ESC_LAYERS_MAX];
} head;

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "a state is a copy of memory");
_Static_assert(sizeof(head) == 8 * (1 + 1 + 2 + ESC_THRESHOLDS_MAX + 5 * ESC_LAYERS_MAX + 2 + 2 +
                                    ESC_LAYERS_MAX),
               "the head has no padding");

/* The reference engine always compensates. */
static bool has_compensation(const esc_problem *p, bool single) {
  return !single || p->update == ESC_UPDATE_COMPENSATED;
}

static size_t weight_bytes(const esc_problem *p, bool single) {
  return esc_weight_count(p->shape) * (single ? sizeof(float) : sizeof(double));
}

size_t esc_state_size(const esc_problem *p, bool single) {
  const size_t bytes =
      sizeof(head) + (has_compensation(p, single) ? 2 : 1) * weight_bytes(p, single);
  return (bytes + 7) / 8 * 8;
}

static void put_weights(const esc_model *m, const double *w, char *to) {
  const size_t count = esc_weight_count(m->problem->shape);
  if (!m->single) memcpy(to, w, count * sizeof *w);
  for (size_t i = 0; m->single && i < count; i++) {
    const float kept = (float)w[i];
    memcpy(to + i * sizeof kept, &kept, sizeof kept);
  }
}

static void get_weights(const esc_model *m, const char *from, double *w) {
  const size_t count = esc_weight_count(m->problem->shape);
  if (!m->single) memcpy(w, from, count * sizeof *w);
  for (size_t i = 0; m->single && i < count; i++) {
    float kept;
    memcpy(&kept, from + i * sizeof kept, sizeof kept);
    w[i] = (double)kept;
  }
}

void esc_state_pack(const esc_model *m, const esc_slot *slot, const double *w,
                    const double *compensation, void *state) {
  head h = {.track = slot->track, .signal = slot->signal, .signal_error = slot->signal_error};
  char *to = state;
  memcpy(h.norm2_initial, slot->norm2_initial, sizeof h.norm2_initial);
  memset(to, 0, esc_state_size(m->problem, m->single));
  memcpy(to, &h, sizeof h);
  put_weights(m, w, to + sizeof h);
  if (has_compensation(m->problem, m->single) && compensation)
    put_weights(m, compensation, to + sizeof h + weight_bytes(m->problem, m->single));
}

void esc_state_unpack(const esc_model *m, const esc_member *member, const void *state,
                      esc_slot *slot, double *w, double *compensation) {
  head h;
  const char *from = state;
  memcpy(&h, from, sizeof h);
  *slot = (esc_slot){.loaded = true,
                     .member = *member,
                     .track = h.track,
                     .signal = h.signal,
                     .signal_error = h.signal_error};
  memcpy(slot->norm2_initial, h.norm2_initial, sizeof h.norm2_initial);
  get_weights(m, from + sizeof h, w);
  if (has_compensation(m->problem, m->single) && compensation)
    get_weights(m, from + sizeof h + weight_bytes(m->problem, m->single), compensation);
}

bool esc_state_read_head(const void *state, size_t size, esc_slot *slot) {
  head h;
  if (size < sizeof h) return false;
  memcpy(&h, state, sizeof h);
  slot->track = h.track;
  slot->signal = h.signal;
  slot->signal_error = h.signal_error;
  return true;
}
