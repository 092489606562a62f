/* SPDX-License-Identifier: Apache-2.0 */
/* The public functions on results: fit, compare, merge, plateau. */
#include "escapement/compare.h"
#include "escapement/fit.h"
#include "escapement/merge.h"
#include "escapement/plateau.h"
#include "made_sweep.h"
#include "scratch.h"
#include "spec_text.h"
#include "store/store.h"

static const char *const names[] = {"first", "second", "third"};

static void assert_refused(esc_status status, const char *what) {
  assert_int_equal(status, ESC_BAD_INPUT);
  assert_message_names(what, NULL);
}

static esc_results *power_law(int r) {
  design d = plain;
  d.bottleneck = r;
  d.seeds = 2;
  return sweep(&d, exact_power, &r);
}

/* ---- fit ---- */

static void a_fit_finds_the_slope_of_the_law(void **state) {
  (void)state;
  esc_results *r = power_law(4);
  esc_fit fit;
  esc_assert_ok(esc_results_fit(1, (const esc_results *const *)&r, names, &fit));
  assert_int_equal(fit.groups, 1);
  assert_string_equal(esc_law_name(fit.group[0].law), "power");
  esc_assert_close(fit.group[0].slope, -2, 0, 1e-12);
  drop(&fit, 1, &r);
}

static void a_warning_is_a_sentence_for_the_groups_that_have_it(void **state) {
  (void)state;
  esc_results *r = power_law(4);
  esc_fit fit;
  char text[256];
  esc_assert_ok(esc_results_fit(1, (const esc_results *const *)&r, names, &fit));
  assert_true(esc_fit_warning_print(&fit.group[0], ESC_FIT_FEW_SEEDS, text, sizeof text));
  assert_non_null(strstr(text, "2 seeds: the length of the interval is uncertain by 71%"));
  assert_false(esc_fit_warning_print(&fit.group[0], ESC_FIT_ONE_SIDED, text, sizeof text));
  assert_string_equal(text, "");
  drop(&fit, 1, &r);
}

static void results_of_other_experiments_are_not_fitted_together(void **state) {
  (void)state;
  esc_results *r[] = {power_law(4), power_law(4), power_law(4)};
  esc_fit fit;
  for (int i = 0; i < 3; i++)
    esc_assert_ok(esc_results_set_attribute(
        r[i], "spec", i < 2 ? "train:\n  rate: 0.1\n" : "train:\n  rate: 0.2\n"));
  assert_refused(esc_results_fit(3, (const esc_results *const *)r, names, &fit),
                 "first and third are different experiments: train.rate is 0.1 in the first");
  drop(&fit, 3, r);
}

/* ---- compare ---- */

static void a_comparison_counts_what_differs_in_each_variable(void **state) {
  (void)state;
  esc_results *a = power_law(4), *b = power_law(4);
  esc_comparison c;
  b->final_loss[3] = 0.5;
  b->escape_step[2] = -1;
  esc_assert_ok(esc_results_compare(a, b, names, &c));
  assert_int_equal(c.different, 2);
  for (int i = 0; i < c.rows; i++) {
    const esc_comparison_row *row = &c.row[i];
    const bool loss = !strcmp(row->name, "final_loss"), step = !strcmp(row->name, "escape_step");
    assert_int_equal(row->values - row->equal, loss || step);
    assert_int_equal(row->censored_in_one, step);
    esc_assert_close(row->absolute, loss ? 0.5 : 0, 0, 0);
  }
  esc_comparison_free(&c);
  esc_results_free(a);
  esc_results_free(b);
}

static void results_of_other_members_are_not_compared(void **state) {
  (void)state;
  esc_results *a = power_law(4), *b = power_law(4);
  esc_comparison c;
  b->seed[1]++;
  assert_refused(esc_results_compare(a, b, names, &c), "the seed of member 1");
  esc_comparison_free(&c);
  esc_results_free(a);
  esc_results_free(b);
}

/* ---- merge ---- */

enum { SHARDS = 3 };

/* Members `shard`, shard + SHARDS, ... of the sweep of a spec of 4 layers and 11 members, each with
 * numbers of its own; all of them for shards = 1. */
static esc_results *shard_of(int shard, int shards) {
  char text[16];
  esc_results *r;
  esc_spec *spec = parse_good(
      "network: {layers: 4, width: 8}\ntrain: {rate: 0.1, batch: 8, steps: 10}\n"
      "escape: {thresholds: [0.1, 0.2]}\nsweep: {seeds: 11, groups: [{bottleneck: 1, scales: "
      "[1]}]}\n");
  char *resolved = esc_spec_resolved(spec);
  const int members = (11 - shard + shards - 1) / shards;
  esc_assert_ok(esc_results_create(members, 2, 4, &r));
  for (int t = 0; t < 2; t++) r->threshold[t] = spec->problem.threshold[t];
  for (int i = 0; i < members; i++) {
    r->member[i] = shard + i * shards;
    r->seed[i] = r->member[i] + 1;
    r->status[i] = (int32_t)r->member[i] % 3;
    r->escape_step[2 * i + 1] = 7 * r->member[i];
    r->norm2_final[4 * i + 3] = 0.1 * (double)r->member[i];
  }
  snprintf(text, sizeof text, "%d/%d", shard, shards);
  esc_assert_ok(esc_results_set_attribute(r, "spec", resolved));
  esc_assert_ok(esc_results_set_attribute(r, "precision", "float32"));
  esc_assert_ok(esc_results_set_attribute(r, "shard", text));
  free(resolved);
  esc_spec_free(spec);
  return r;
}

static void assert_is_whole(const esc_results *merged) {
  esc_results *whole = shard_of(0, 1);
  esc_comparison c;
  esc_assert_ok(esc_results_compare(whole, merged, names, &c));
  assert_int_equal(c.different, 0);
  esc_comparison_free(&c);
  esc_results_free(whole);
}

static void shards_in_any_order_make_the_whole(void **state) {
  (void)state;
  esc_results *part[SHARDS] = {shard_of(2, SHARDS), shard_of(0, SHARDS), shard_of(1, SHARDS)},
              *whole;
  esc_assert_ok(esc_results_merge(SHARDS, (const esc_results *const *)part, names, &whole));
  assert_is_whole(whole);
  esc_results_free(whole);
  for (int i = 0; i < SHARDS; i++) esc_results_free(part[i]);
}

static void a_shard_that_is_missing_is_named(void **state) {
  (void)state;
  esc_results *part[2] = {shard_of(2, SHARDS), shard_of(0, SHARDS)}, *whole;
  assert_refused(esc_results_merge(2, (const esc_results *const *)part, names, &whole),
                 "shard 1 of 3 is missing");
  assert_refused(esc_results_merge(0, NULL, NULL, &whole), "at least one");
  for (int i = 0; i < 2; i++) esc_results_free(part[i]);
}

static void files_of_shards_become_the_file_of_the_whole(void **state) {
  (void)state;
  const char *const file[SHARDS] = {scratch("0.h5"), scratch("1.h5"), scratch("2.h5")};
  esc_merge_request request = {.output = scratch("whole.h5"), .files = SHARDS, .file = file};
  esc_merge_summary summary;
  esc_results *whole;
  for (int i = 0; i < SHARDS; i++) {
    esc_results *part = shard_of(i, SHARDS);
    esc_assert_ok(esc_store_write(file[i], part));
    esc_results_free(part);
  }
  esc_assert_ok(esc_files_merge(&request, &summary));
  assert_int_equal(summary.members, 11);
  assert_int_equal(summary.escaped, 4);
  assert_int_equal(summary.diverged, 3);
  esc_assert_ok(esc_store_read(request.output, &whole));
  assert_is_whole(whole);
  esc_results_free(whole);
  assert_refused(esc_files_merge(&request, &summary), "already exists");
  request.force = true;
  esc_assert_ok(esc_files_merge(&request, &summary));
  assert_int_equal(scratch_count(), SHARDS + 1); /* no lock is left */
}

/* ---- plateau ---- */

static void a_plateau_needs_snapshots_and_a_window(void **state) {
  (void)state;
  esc_results *r = shard_of(0, 1);
  esc_plateau_table t;
  assert_refused(esc_plateau_table_measure(r, "file.h5", ESC_PLATEAU_WINDOW, &t),
                 "file.h5: holds no snapshots");
  esc_assert_ok(esc_results_add_snapshots(r, 3));
  assert_refused(esc_plateau_table_measure(r, "file.h5", 0, &t), "window");
  esc_results_free(r);
}

static void what_cannot_be_measured_has_its_reason(void **state) {
  (void)state;
  esc_results *r = shard_of(0, 1);
  esc_plateau_table t;
  char text[160];
  esc_assert_ok(esc_results_add_snapshots(r, 3));
  esc_assert_ok(esc_plateau_table_measure(r, "file.h5", ESC_PLATEAU_WINDOW, &t));
  esc_plateau_verdict_print(&t, 5, 0, text, sizeof text);
  assert_string_equal(text, "not measurable: m is not a number at the start: no layer is small");
  esc_plateau_table_free(&t);
  esc_results_free(r);
}

/* Group 0 at scales 1 and 2, group 1 at scale 2. */
static void each_scale_of_each_group_is_a_set(void **state) {
  (void)state;
  esc_results *r = shard_of(0, 1);
  esc_plateau_table t;
  for (int i = 0; i < 11; i++) {
    r->group[i] = i > 8;
    r->scale[i] = i < 5 ? 1 : 2;
  }
  esc_assert_ok(esc_results_add_snapshots(r, 3));
  esc_assert_ok(esc_plateau_table_measure(r, "file.h5", ESC_PLATEAU_WINDOW, &t));
  const int64_t size[] = {5, 4, 2};
  assert_int_equal(t.groups, 2);
  assert_int_equal(t.sets, 3);
  for (int i = 0; i < 3; i++) assert_int_equal(t.set[i].members, size[i]);
  assert_int_equal(t.group[0].sets, 2);
  assert_int_equal(t.group[1].first_set, 2);
  esc_plateau_table_free(&t);
  esc_results_free(r);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_fit_finds_the_slope_of_the_law),
      cmocka_unit_test(a_warning_is_a_sentence_for_the_groups_that_have_it),
      cmocka_unit_test(results_of_other_experiments_are_not_fitted_together),
      cmocka_unit_test(a_comparison_counts_what_differs_in_each_variable),
      cmocka_unit_test(results_of_other_members_are_not_compared),
      cmocka_unit_test(shards_in_any_order_make_the_whole),
      cmocka_unit_test(a_shard_that_is_missing_is_named),
      CASE(files_of_shards_become_the_file_of_the_whole),
      cmocka_unit_test(a_plateau_needs_snapshots_and_a_window),
      cmocka_unit_test(what_cannot_be_measured_has_its_reason),
      cmocka_unit_test(each_scale_of_each_group_is_a_set),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
