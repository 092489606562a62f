/* SPDX-License-Identifier: Apache-2.0 */
/* The scheduler with a made-up engine of several chunks, on a made-up clock: a device that trains
 * the blocks of all chunks one after the other, each for a second, in which a network makes one
 * step; and a host that needs a tenth of a second for each report. */
#include "run/scheduler.h"

#include "check.h"

enum { CHUNK = 2, CHUNKS = 3, SLOTS = CHUNK * CHUNKS - 1, MEMBERS = 40 };

typedef struct fake {
  esc_slot slot[SLOTS];
  bool in_flight[CHUNKS];
  double ends[CHUNKS]; /* of the chunk's block */
  double host, device; /* time; when the device has made all blocks */
  double idle;         /* of the device, between blocks */
  double idle_before;  /* the same, until the last member was loaded */
} fake;

static fake *made; /* by create, until the test's end */

static int slots_end(int chunk) { return chunk == CHUNKS - 1 ? SLOTS : (chunk + 1) * CHUNK; }

static bool has_training(const fake *f, int chunk) {
  for (int i = chunk * CHUNK; i < slots_end(chunk); i++)
    if (esc_slot_trains(&f->slot[i])) return true;
  return false;
}

static esc_status create(const esc_engine_ops *ops, const esc_problem *p,
                         const esc_engine_setup *setup, void **out) {
  (void)ops, (void)p;
  assert_int_equal(setup->slots, SLOTS);
  assert_non_null(made = calloc(1, sizeof *made));
  *out = made;
  return ESC_OK;
}

static esc_status load(void *handle, int slot, const esc_member *member) {
  fake *f = handle;
  assert_false(f->in_flight[slot / CHUNK]);
  esc_slot_load(&f->slot[slot], member);
  f->idle_before = f->idle;
  return ESC_OK;
}

static int chunk_slots(const void *handle) {
  (void)handle;
  return CHUNK;
}

static double fails_at = INFINITY; /* host time from which no block can be started */

static esc_status submit(void *handle, int chunk, int64_t steps, const atomic_bool *stop) {
  fake *f = handle;
  (void)stop;
  if (f->host > fails_at) return ESC_FAIL(ESC_DEVICE_FAILED, "the device is lost");
  assert_true(steps > 0);
  assert_false(f->in_flight[chunk]);
  if (!has_training(f, chunk)) return ESC_OK;
  if (f->device > 0 && f->host > f->device) f->idle += f->host - f->device;
  f->device = fmax(f->device, f->host) + 1;
  f->ends[chunk] = f->device;
  f->in_flight[chunk] = true;
  return ESC_OK;
}

/* Seeds need 1, 2 or 3 steps. */
static esc_status collect(void *handle, int chunk) {
  fake *f = handle;
  if (!f->in_flight[chunk]) return ESC_OK;
  f->in_flight[chunk] = false;
  f->host = fmax(f->host, f->ends[chunk]);
  for (int i = chunk * CHUNK; i < slots_end(chunk); i++) {
    esc_slot *s = &f->slot[i];
    if (!esc_slot_trains(s)) continue;
    if (++s->track.step > (int64_t)s->member.seed % 3)
      esc_track_finish(&s->track, ESC_MEMBER_CENSORED);
  }
  return ESC_OK;
}

static const esc_slot *slot(const void *handle, int index) {
  return &((const fake *)handle)->slot[index];
}

static esc_status report(const void *handle, int index, esc_results *results, int64_t i) {
  fake *f = made;
  assert_ptr_equal(handle, f);
  assert_false(f->in_flight[index / CHUNK]);
  assert_int_equal(results->steps_run[i], 0);
  results->steps_run[i] = f->slot[index].track.step;
  results->status[i] = f->slot[index].track.status;
  f->slot[index].loaded = false;
  f->host += 0.1;
  return ESC_OK;
}

static size_t state_size(const esc_problem *p) { return p ? 8 : 0; }
static void describe(const void *handle, char *text, size_t size) {
  (void)handle;
  snprintf(text, size, "made up");
}
static void destroy(void *handle) { (void)handle; }

static const esc_engine_ops engine = {.create = create,
                                      .load = load,
                                      .chunk_slots = chunk_slots,
                                      .submit = submit,
                                      .collect = collect,
                                      .slot = slot,
                                      .report = report,
                                      .state_size = state_size,
                                      .describe = describe,
                                      .destroy = destroy};

static int64_t retirements; /* reported ones */
static void count_retirement(void *context, const esc_train_event *event) {
  (void)context;
  retirements += event->kind == ESC_EVENT_RETIREMENT;
}

/* Trains all members, or stops after the first round. */
static esc_status train(const atomic_bool *stop, esc_progress *progress, bool done[MEMBERS]) {
  const esc_problem p = {.shape = {2, 1, 1}, .thresholds = 1, .steps = 100};
  esc_member member[MEMBERS];
  int64_t order[MEMBERS];
  esc_plan plan = {.members = MEMBERS, .member = member, .order = order};
  esc_results *results = NULL;
  char text[128];
  esc_schedule schedule = {.engine = &engine,
                           .setup = {.slots = SLOTS, .threads = 1},
                           .stop = stop,
                           .done = done,
                           .event = count_retirement};
  retirements = 0;
  for (int i = 0; i < MEMBERS; i++) {
    member[i] = (esc_member){.index = i, .seed = (uint64_t)i};
    order[i] = i;
  }
  esc_assert_ok(esc_results_create(MEMBERS, 1, 2, &results));
  const esc_status status = esc_schedule_train(&p, &plan, &schedule, results, progress, text);
  for (int i = 0; i < MEMBERS; i++)
    assert_int_equal(results->steps_run[i], done[i] ? 1 + i % 3 : 0);
  esc_results_free(results);
  return status;
}

static void the_device_does_not_idle_while_finished_members_are_replaced(void **state) {
  (void)state;
  const atomic_bool stop = false;
  bool done[MEMBERS] = {false};
  esc_progress progress;
  esc_assert_ok(train(&stop, &progress, done));
  assert_int_equal(progress.censored, MEMBERS);
  assert_true(made->host > 30 && made->device > 30);
  esc_assert_close(made->idle_before, 0, 0, 0);
  free(made);
}

/* Their members would be trained again. */
static void a_stopped_run_reports_what_has_finished_in_all_chunks(void **state) {
  (void)state;
  const atomic_bool stop = true;
  bool done[MEMBERS] = {false};
  esc_progress progress;
  assert_int_equal(train(&stop, &progress, done), ESC_INTERRUPTED);
  for (int i = 0; i < CHUNKS; i++) assert_false(made->in_flight[i]);
  for (int i = 0; i < SLOTS; i++) assert_false(esc_slot_finished(&made->slot[i]));
  assert_true(progress.censored > 0);
  assert_int_equal(retirements, progress.censored);
  free(made);
}

/* They are saved. */
static void members_that_retired_before_the_engine_failed_are_reported(void **state) {
  (void)state;
  const atomic_bool stop = false;
  bool done[MEMBERS] = {false};
  esc_progress progress;
  fails_at = 5;
  assert_int_equal(train(&stop, &progress, done), ESC_DEVICE_FAILED);
  assert_string_equal(esc_error_message(), "the device is lost");
  assert_in_range(progress.censored, 1, MEMBERS - 1);
  assert_int_equal(retirements, progress.censored);
  fails_at = INFINITY;
  free(made);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_device_does_not_idle_while_finished_members_are_replaced),
      cmocka_unit_test(a_stopped_run_reports_what_has_finished_in_all_chunks),
      cmocka_unit_test(members_that_retired_before_the_engine_failed_are_reported),
  };
  return cmocka_run_group_tests_name("scheduler", tests, NULL, NULL);
}
