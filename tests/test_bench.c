/* SPDX-License-Identifier: Apache-2.0 */
/* The benchmark's own judgement: what it calls wrong, and what it times. */
#include <stdatomic.h>

#include "bench/measure.h"
#include "bench/peak.h"
#include "cpu/cpu.h"
#include "cpu/network.h"
#include "problems.h"

/* Two layers of one weight each: unit of layer l = |change| + 0.01 * rate * steps. */
static esc_problem tiny(void) {
  esc_problem p = problem_make(2, 1, 1, 4);
  p.rate = 0.1;
  return p;
}

static esc_bench_check judge(const char *precision, const double want[2], const double got[2]) {
  static const double initial[2] = {1, 1};
  esc_bench_check check = {0};
  esc_problem p = tiny();
  esc_bench_check_weights(&p, precision, &(esc_bench_weights){2, initial, want, got}, &check);
  problem_free(&p);
  return check;
}

static void equal_weights_are_right(void **state) {
  (void)state;
  const double w[2] = {0.9, 1.1};
  const esc_bench_check c = judge("float32", w, w);
  assert_int_equal(c.compared, 2);
  assert_int_equal(c.wrong, 0);
  assert_true(c.error == 0 && c.tolerance > 0);
}

static void an_error_is_relative_to_what_the_weight_moved_by(void **state) {
  (void)state;
  const double want[2] = {0.9, 1.5}, got[2] = {0.9, 1.5001};
  const esc_bench_check c = judge("float32", want, got);
  assert_int_equal(c.wrong, 1);
  esc_assert_close(c.error, 1e-4 / (0.5 + 0.01 * 0.1 * 2), 1e-12, 1e-9);
  assert_true(c.error > c.tolerance);
  /* The same error where the weight moved 1000 times as far is rounding. */
  const double far_want[2] = {0.9, 501}, far_got[2] = {0.9, 501.0001};
  assert_int_equal(judge("float32", far_want, far_got).wrong, 0);
}

static void precision_sets_what_rounding_explains(void **state) {
  (void)state;
  const double want[2] = {0.9, 1.5}, got[2] = {0.9, 1.5001};
  assert_int_equal(judge("tf32, cuBLAS", want, got).wrong, 0);
  assert_int_equal(judge("float32, cuBLAS", want, got).wrong, 1);
  const double near_got[2] = {0.9, 1.5 + 1e-7};
  assert_int_equal(judge("float32", want, near_got).wrong, 0);
  assert_int_equal(judge("float64", want, near_got).wrong, 1);
}

static void what_is_no_number_is_wrong(void **state) {
  (void)state;
  const double want[2] = {0.9, 1.5}, odd[3] = {NAN, INFINITY, -INFINITY};
  esc_problem p = tiny();
  for (int i = 0; i < 3; i++) {
    const double got[2] = {0.9, odd[i]};
    const esc_bench_check c = judge("tf32", want, got);
    assert_int_equal(c.wrong, 1);
    assert_false(c.error <= c.tolerance);
    esc_bench_check loss = {0};
    esc_bench_check_loss(&p, "tf32", 0.5, odd[i], &loss);
    assert_int_equal(loss.wrong, 1);
  }
  problem_free(&p);
}

static void the_worst_error_is_kept(void **state) {
  (void)state;
  esc_problem p = tiny();
  esc_bench_check c = {0};
  esc_bench_check_loss(&p, "float32", 1, 1 + 1e-3, &c);
  esc_bench_check_loss(&p, "float32", 1, 1 + 1e-9, &c);
  assert_int_equal(c.compared, 2);
  assert_int_equal(c.wrong, 1);
  esc_assert_close(c.error, 1e-3, 1e-9, 0);
  esc_bench_check_loss(&p, "float32", 1, NAN, &c);
  esc_bench_check_loss(&p, "float32", 1, 2, &c); /* a NaN is not outdone */
  assert_int_equal(c.wrong, 3);
  assert_true(isnan(c.error));
  problem_free(&p);
}

static bool is_disturbed(esc_spread seconds, esc_spread ceiling) {
  const esc_bench_row row = {.seconds = seconds, .ceiling = ceiling};
  return esc_bench_is_disturbed(&row);
}

/* The first is a row that was seen: 9 to 7491 us. */
static void a_row_with_a_repeat_far_from_the_median_is_disturbed(void **state) {
  (void)state;
  const esc_spread steady = {.median = 10, .low = 5, .high = 20};
  assert_true(is_disturbed((esc_spread){.median = 12, .low = 9, .high = 7491}, steady));
  assert_true(is_disturbed((esc_spread){.median = 10, .low = 4.9, .high = 11}, steady));
  assert_true(is_disturbed(steady, (esc_spread){.median = 10, .low = 9, .high = 20.1}));
  assert_true(is_disturbed((esc_spread){.median = (double)NAN, .low = 1, .high = 2}, steady));
  assert_false(is_disturbed(steady, steady));
}

static void a_spread_is_median_and_extremes(void **state) {
  (void)state;
  double odd[5] = {3, 1, 9, 2, 5}, even[4] = {4, 1, 3, 2};
  const esc_spread a = esc_spread_of(odd, 5), b = esc_spread_of(even, 4);
  assert_true(a.median == 3 && a.low == 1 && a.high == 9);
  assert_true(b.median == 2.5 && b.low == 1 && b.high == 4);
}

/* A ceiling that needs no measuring. */
static const double flat_rate = 1e9;
static esc_status flat_flop(void *ceiling, double *flop_per_s) {
  (void)ceiling;
  *flop_per_s = flat_rate;
  return ESC_OK;
}
static const esc_ceiling_ops flat = {.flop = flat_flop};

static esc_bench_meter meter_until(const atomic_bool *stop) {
  return (esc_bench_meter){.ops = &flat, .seconds = 0.01, .stop = stop};
}

static esc_bench_row measure(const esc_engine_ops *ops, int members) {
  const atomic_bool stop = false;
  const esc_bench_case c = {.shape = {3, 8, 5},
                            .batch = 16,
                            .activation = {.kind = ESC_ACTIVATION_TANH},
                            .members = members,
                            .setup = {.threads = 2}};
  const esc_bench_meter meter = meter_until(&stop);
  esc_bench_row row;
  esc_assert_ok(esc_bench_measure(&c, ops, &meter, &row));
  return row;
}

static void an_engine_that_is_right_has_a_row(void **state) {
  (void)state;
  const esc_bench_row row = measure(&esc_cpu_engine, 5);
  const int64_t weights = 8 * 5 + 8 * 8 + 8;
  assert_int_equal(row.check.wrong, 0);
  assert_int_equal(row.check.compared, 3 * (weights + 1));
  assert_true(row.check.error > 0 && row.check.error <= row.check.tolerance);
  assert_true(row.steps >= ESC_BENCH_REPEATS);
  assert_true(row.seconds.low <= row.seconds.median && row.seconds.median <= row.seconds.high);
  esc_assert_close(row.flop_per_step, 2 * 16 * (2 * (8 * 5 + 72) + 72), 0, 1e-15);
  esc_assert_close(esc_bench_fraction(&row) * flat_rate * row.seconds.median, row.flop_per_step, 0,
                   1e-12);
}

static void one_network_is_checked_too(void **state) {
  (void)state;
  const esc_bench_row row = measure(&esc_cpu_engine, 1);
  assert_int_equal(row.check.compared, 8 * 5 + 8 * 8 + 8 + 1);
  assert_int_equal(row.check.wrong, 0);
}

/* The last network's last weight is off by a hundredth of what it moved. */
static esc_status spoilt_weights(const void *engine, int slot, double *w) {
  const esc_status status = esc_cpu_engine.weights(engine, slot, w);
  if (slot == 4) w[8 * 5 + 8 * 8 + 7] += 1e-4;
  return status;
}

/* Slot 2 takes no steps. */
static esc_status lazy_load(void *engine, int slot, const esc_member *member) {
  return slot == 2 ? ESC_OK : esc_cpu_engine.load(engine, slot, member);
}

/* Fast, but half of the work: every second call does nothing. */
static esc_status idle_advance(void *engine, int64_t steps, const atomic_bool *stop) {
  static int calls;
  return calls++ % 2 ? ESC_OK : esc_cpu_engine.advance(engine, steps, stop);
}

static void an_engine_that_is_wrong_is_caught(void **state) {
  (void)state;
  esc_engine_ops spoilt = esc_cpu_engine, lazy = esc_cpu_engine, idle = esc_cpu_engine;
  spoilt.weights = spoilt_weights;
  assert_int_equal(measure(&spoilt, 5).check.wrong, 1);
  lazy.load = lazy_load;
  assert_true(measure(&lazy, 5).check.wrong > 0);
  idle.advance = idle_advance;
  assert_true(measure(&idle, 5).check.wrong >= 5);
}

static void an_interrupt_ends_it(void **state) {
  (void)state;
  const atomic_bool stop = true;
  const esc_bench_case c = {.shape = {3, 8, 5}, .batch = 16, .members = 2, .setup = {.threads = 1}};
  const esc_bench_meter meter = meter_until(&stop);
  esc_bench_row row;
  assert_int_equal(esc_bench_measure(&c, &esc_cpu_engine, &meter, &row), ESC_INTERRUPTED);
}

static void members_that_do_not_fit_are_refused(void **state) {
  (void)state;
  const atomic_bool stop = false;
  const esc_bench_case c = {
      .shape = {8, 4096, 64}, .batch = 16, .members = 1000000, .setup = {.threads = 1}};
  const esc_bench_meter meter = meter_until(&stop);
  esc_bench_row row;
  assert_int_equal(esc_bench_measure(&c, &esc_cpu_engine, &meter, &row), ESC_NO_MEMORY);
}

/* A multiply-add in a register takes no more than 100 and no less than 1/64 of a
 * nanosecond on anything that can build this. */
static void every_instruction_set_has_its_ceiling(void **state) {
  (void)state;
  static const char *const name[] = {"generic", "avx2", "avx512"};
  for (int i = 0; i < 3; i++) {
    if (!esc_cpu_isa_find(name[i])) continue;
    float sink = NAN;
    esc_peak_loop *loop = esc_peak_find(name[i]);
    assert_non_null(loop);
    const double one = loop(1, &sink), ten = loop(10, &sink);
    esc_assert_close(ten, 10 * one, 0, 1e-15);
    assert_true(isfinite(sink));
  }
  assert_null(esc_peak_find("sse9"));
}

static void the_cpu_ceiling_is_a_rate(void **state) {
  (void)state;
  void *ceiling = NULL;
  double flop = NAN, copy = NAN;
  char text[120];
  esc_assert_ok(esc_cpu_ceiling.open(&(esc_engine_setup){.threads = 2}, &ceiling));
  esc_assert_ok(esc_cpu_ceiling.flop(ceiling, &flop));
  esc_assert_ok(esc_cpu_ceiling.copy(ceiling, &copy));
  esc_cpu_ceiling.describe(ceiling, text, sizeof text);
  esc_cpu_ceiling.close(ceiling);
  assert_true(flop > 1e7 && flop < 1e14);
  assert_true(copy > 1e7 && copy < 1e13);
  assert_non_null(strstr(text, "2 threads"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(equal_weights_are_right),
      cmocka_unit_test(an_error_is_relative_to_what_the_weight_moved_by),
      cmocka_unit_test(precision_sets_what_rounding_explains),
      cmocka_unit_test(what_is_no_number_is_wrong),
      cmocka_unit_test(the_worst_error_is_kept),
      cmocka_unit_test(a_spread_is_median_and_extremes),
      cmocka_unit_test(a_row_with_a_repeat_far_from_the_median_is_disturbed),
      cmocka_unit_test(an_engine_that_is_right_has_a_row),
      cmocka_unit_test(one_network_is_checked_too),
      cmocka_unit_test(an_engine_that_is_wrong_is_caught),
      cmocka_unit_test(an_interrupt_ends_it),
      cmocka_unit_test(members_that_do_not_fit_are_refused),
      cmocka_unit_test(every_instruction_set_has_its_ceiling),
      cmocka_unit_test(the_cpu_ceiling_is_a_rate),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
