/* SPDX-License-Identifier: Apache-2.0 */
/* State of a network in training as bytes, and back (state.h). */
#include "escapement/internal/state.h"

#include <string.h>

#include "escapement/internal/model.h"

/* The bytes of esc_track before the field that only momentum has. */
enum { TRACK_BYTES = offsetof(esc_track, product) };

typedef struct start {
  double signal, signal_error;
  double norm2_initial[ESC_LAYERS_MAX];
} start;

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "a state is a copy of memory");
_Static_assert(TRACK_BYTES == 8 * (1 + 1 + 2 + ESC_THRESHOLDS_MAX + 5 * ESC_LAYERS_MAX + 2),
               "the track has no padding");
_Static_assert(sizeof(start) == 8 * (2 + ESC_LAYERS_MAX), "the start has no padding");

enum { ARRAYS = sizeof(esc_state_arrays) / sizeof(double *) };

/* Which arrays of esc_state_arrays a state has. The reference engine always compensates. */
static void list_arrays(const esc_problem *p, bool single, bool has[ARRAYS]) {
  has[0] = true;
  has[1] = !single || p->update == ESC_UPDATE_COMPENSATED;
  has[2] = esc_optimizer_has_velocity(&p->optimizer);
  has[3] = esc_optimizer_has_second_moment(&p->optimizer);
}

static bool has_product(const esc_problem *p) { return p->optimizer.momentum != 0; }

static size_t array_bytes(const esc_problem *p, bool single) {
  return esc_weight_count(p->shape) * (single ? sizeof(float) : sizeof(double));
}

size_t esc_state_size(const esc_problem *p, bool single) {
  size_t bytes =
      TRACK_BYTES + sizeof(start) + (has_product(p) ? sizeof((esc_track){0}.product) : 0);
  bool has[ARRAYS];
  list_arrays(p, single, has);
  for (int i = 0; i < ARRAYS; i++) bytes += has[i] ? array_bytes(p, single) : 0;
  return (bytes + 7) / 8 * 8;
}

static void put_array(const esc_model *m, const double *w, char *to) {
  const size_t count = esc_weight_count(m->problem->shape);
  if (!m->single) memcpy(to, w, count * sizeof *w);
  for (size_t i = 0; m->single && i < count; i++) {
    const float kept = (float)w[i];
    memcpy(to + i * sizeof kept, &kept, sizeof kept);
  }
}

static void get_array(const esc_model *m, const char *from, double *w) {
  const size_t count = esc_weight_count(m->problem->shape);
  if (!m->single) memcpy(w, from, count * sizeof *w);
  for (size_t i = 0; m->single && i < count; i++) {
    float kept;
    memcpy(&kept, from + i * sizeof kept, sizeof kept);
    w[i] = (double)kept;
  }
}

void esc_state_pack(const esc_model *m, const esc_slot *slot, const esc_state_arrays *arrays,
                    void *state) {
  start s = {.signal = slot->signal, .signal_error = slot->signal_error};
  const double *const array[ARRAYS] = {arrays->w, arrays->compensation, arrays->velocity,
                                       arrays->second_moment};
  bool has[ARRAYS];
  char *to = state;
  list_arrays(m->problem, m->single, has);
  memcpy(s.norm2_initial, slot->norm2_initial, sizeof s.norm2_initial);
  memset(to, 0, esc_state_size(m->problem, m->single));
  memcpy(to, &slot->track, TRACK_BYTES);
  memcpy(to + TRACK_BYTES, &s, sizeof s);
  to += TRACK_BYTES + sizeof s;
  if (has_product(m->problem)) {
    memcpy(to, slot->track.product, sizeof slot->track.product);
    to += sizeof slot->track.product;
  }
  for (int i = 0; i < ARRAYS; i++) {
    if (!has[i]) continue;
    if (array[i]) put_array(m, array[i], to);
    to += array_bytes(m->problem, m->single);
  }
}

void esc_state_continue(void *state) {
  esc_track track;
  memcpy(&track, state, TRACK_BYTES);
  esc_track_continue(&track);
  memcpy(state, &track, TRACK_BYTES);
}

void esc_state_unpack(const esc_model *m, const esc_member *member, const void *state,
                      esc_slot *slot, const esc_state_arrays *arrays) {
  start s;
  double *const array[ARRAYS] = {arrays->w, arrays->compensation, arrays->velocity,
                                 arrays->second_moment};
  bool has[ARRAYS];
  const char *from = state;
  list_arrays(m->problem, m->single, has);
  *slot = (esc_slot){.loaded = true, .measured = true, .member = *member};
  memcpy(&slot->track, from, TRACK_BYTES);
  slot->track.step_limit = INT64_MAX;
  memcpy(&s, from + TRACK_BYTES, sizeof s);
  slot->signal = s.signal;
  slot->signal_error = s.signal_error;
  memcpy(slot->norm2_initial, s.norm2_initial, sizeof s.norm2_initial);
  from += TRACK_BYTES + sizeof s;
  if (has_product(m->problem)) {
    memcpy(slot->track.product, from, sizeof slot->track.product);
    from += sizeof slot->track.product;
  }
  for (int i = 0; i < ARRAYS; i++) {
    if (!has[i]) continue;
    if (array[i]) get_array(m, from, array[i]);
    from += array_bytes(m->problem, m->single);
  }
}

bool esc_state_read_head(const void *state, size_t size, esc_slot *slot) {
  start s;
  if (size < TRACK_BYTES + sizeof s) return false;
  memcpy(&slot->track, state, TRACK_BYTES);
  memcpy(&s, (const char *)state + TRACK_BYTES, sizeof s);
  slot->signal = s.signal;
  slot->signal_error = s.signal_error;
  return true;
}
