/* SPDX-License-Identifier: Apache-2.0 */
/* Training from a program, with public headers alone: specs, runs, results in memory. */
#include <omp.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include "escapement/escapement.h"
#include "scratch.h"

static const char *const pairs[] = {"network.layers=3",
                                    "network.width=8",
                                    "network.activation=tanh",
                                    "train.rate=0.05",
                                    "train.batch=8",
                                    "train.steps=400",
                                    "escape.thresholds=[0.12, 1.0e-9]",
                                    "escape.false_escapes=allow",
                                    "sweep.seeds=3",
                                    "sweep.groups=[{bottleneck: 2, scales: [0.5, 0.1]}]",
                                    "record.every=100",
                                    "record.weights=[start, snapshots, escape, end]"};
enum { PAIRS = sizeof pairs / sizeof pairs[0], MEMBERS = 6 };

static esc_spec *make_spec(void) {
  esc_spec *spec = NULL;
  esc_assert_ok(esc_spec_build(PAIRS, pairs, &spec));
  return spec;
}

static esc_run_options with_output(const char *output) {
  esc_run_options options;
  esc_run_options_init(&options);
  options.output = output;
  options.slots = 2;
  return options;
}

static esc_results *train(const esc_run_options *options) {
  esc_spec *spec = make_spec();
  esc_results *results = NULL;
  esc_assert_ok(esc_sweep_run(spec, options, NULL, &results));
  esc_spec_free(spec);
  return results;
}

/* Fails unless every value is the same bit for bit. */
static void assert_equal_results(const esc_results *a, const esc_results *b) {
  assert_int_equal(esc_results_count_columns(a), esc_results_count_columns(b));
  for (int i = 0; i < esc_results_count_columns(a); i++) {
    esc_column x, y;
    size_t bytes;
    esc_assert_ok(esc_results_column(a, i, &x));
    esc_assert_ok(esc_results_find_column(b, x.name, &y));
    bytes = x.type == ESC_TYPE_INT32 || x.type == ESC_TYPE_FLOAT32 ? 4 : 8;
    for (int d = 0; d < x.rank; d++) {
      assert_int_equal(x.length[d], y.length[d]);
      bytes *= (size_t)x.length[d];
    }
    assert_memory_equal(x.data, y.data, bytes);
  }
}

static void every_status_has_a_meaning_and_other_numbers_have_none(void **state) {
  (void)state;
  assert_string_equal(esc_status_text(ESC_OK), "done");
  assert_string_equal(esc_status_text((esc_status)(ESC_OUT_OF_TIME + 1)), "unknown status");
}

/* ---- specs ---- */

static void a_spec_is_built_key_by_key_or_parsed_from_its_text(void **state) {
  (void)state;
  esc_spec *built = make_spec(), *parsed = NULL;
  char *text = esc_spec_resolved(built), *again;
  assert_non_null(text);
  assert_int_equal(esc_spec_count_members(built), MEMBERS);
  esc_assert_ok(esc_spec_parse("text", text, strlen(text), 0, NULL, &parsed));
  again = esc_spec_resolved(parsed);
  assert_string_equal(text, again);
  free(text);
  free(again);
  esc_spec_free(built);
  esc_spec_free(parsed);
}

static void a_wrong_key_is_refused_by_name(void **state) {
  (void)state;
  const char *const wrong[] = {"network.depth=3"};
  esc_spec *spec = NULL;
  assert_int_equal(esc_spec_build(1, wrong, &spec), ESC_BAD_INPUT);
  assert_non_null(strstr(esc_error_message(), "network.depth"));
  assert_null(spec);
}

static void every_key_of_a_spec_is_described(void **state) {
  (void)state;
  esc_spec_key key;
  assert_true(esc_spec_count_keys() > 20);
  for (int i = 0; i < esc_spec_count_keys(); i++) {
    esc_assert_ok(esc_spec_describe_key(i, &key));
    assert_true(key.path[0] && key.help[0]);
  }
  assert_int_equal(esc_spec_describe_key(esc_spec_count_keys(), &key), ESC_BAD_INPUT);
}

/* ---- runs ---- */

static void without_an_output_results_are_in_memory_and_nothing_is_written(void **state) {
  (void)state;
  esc_run_options options = with_output(NULL);
  assert_int_equal(chdir(scratch_directory), 0);
  esc_results *results = train(&options);
  esc_column steps;
  esc_assert_ok(esc_results_find_column(results, "escape_step", &steps));
  assert_int_equal(steps.type, ESC_TYPE_INT64);
  assert_int_equal(steps.rank, 2);
  assert_string_equal(steps.dimension[0], "member");
  assert_string_equal(steps.dimension[1], "threshold");
  assert_int_equal(steps.length[0], MEMBERS);
  assert_int_equal(steps.length[1], 2);
  for (int64_t i = 0; i < MEMBERS; i++)
    assert_int_equal(((const int64_t *)steps.data)[2 * i + 1], -1); /* 1e-9 is never reached */
  assert_int_equal(scratch_count(), 0);
  assert_int_equal(chdir("/"), 0);
  esc_results_free(results);
}

static void a_file_has_the_results_that_the_run_returned(void **state) {
  (void)state;
  esc_run_options options = with_output(scratch("a.h5"));
  esc_results *returned = train(&options), *read = NULL, *copy = NULL;
  bool verified = false;
  esc_assert_ok(esc_results_read(scratch("a.h5"), NULL, &read));
  assert_equal_results(returned, read);
  esc_assert_ok(esc_results_write(read, scratch("b.h5")));
  esc_assert_ok(esc_results_read(scratch("b.h5"), &verified, &copy));
  assert_true(verified);
  assert_equal_results(returned, copy);
  esc_results_free(returned);
  esc_results_free(read);
  esc_results_free(copy);
}

enum { COLUMNS_MAX = 256 };

static int columns_of(const esc_results *results, esc_column column[COLUMNS_MAX]) {
  const int columns = esc_results_count_columns(results);
  assert_true(columns <= COLUMNS_MAX);
  for (int i = 0; i < columns; i++) esc_assert_ok(esc_results_column(results, i, &column[i]));
  return columns;
}

static void results_are_built_of_their_own_arrays(void **state) {
  (void)state;
  const esc_run_options options = with_output(NULL);
  esc_results *trained = train(&options), *built = NULL;
  esc_column column[COLUMNS_MAX];
  const int columns = columns_of(trained, column);
  const esc_text_attribute attribute[] = {{"name", "mine"}, {"digest", "not mine"}};
  char a[ESC_CHECKSUM_TEXT_SIZE], b[ESC_CHECKSUM_TEXT_SIZE];
  esc_assert_ok(esc_results_build(columns, column, 2, attribute, &built));
  assert_equal_results(trained, built);
  esc_assert_ok(esc_results_checksum(trained, a));
  esc_assert_ok(esc_results_checksum(built, b));
  assert_string_equal(a, b);
  assert_string_equal(esc_results_attribute_text(built, "name"), "mine");
  assert_null(esc_results_attribute_text(built, "digest"));
  esc_results_free(trained);
  esc_results_free(built);
}

/* Two members, one threshold: the required columns. Their arrays have room for a third of each,
 * which a wrong column claims. */
static const int64_t built_seed[3] = {1, 2}, built_step[6] = {7, -1}, built_steps_run[3] = {7, 9};
static const int32_t built_bottleneck[3] = {3, 3};
static const double built_scale[3] = {0.1, 0.1}, built_threshold[3] = {0.5};
static const esc_column required[] = {
    {"threshold", "", "", ESC_TYPE_FLOAT64, 1, {"threshold"}, {1}, built_threshold, true},
    {"seed", "", "", ESC_TYPE_INT64, 1, {"member"}, {2}, built_seed, false},
    {"bottleneck", "", "", ESC_TYPE_INT32, 1, {"member"}, {2}, built_bottleneck, false},
    {"scale", "", "", ESC_TYPE_FLOAT64, 1, {"member"}, {2}, built_scale, false},
    {"escape_step", "", "", ESC_TYPE_INT64, 2, {"member"}, {2, 1}, built_step, false},
    {"steps_run", "", "", ESC_TYPE_INT64, 1, {"member"}, {2}, built_steps_run, false}};
enum { REQUIRED = sizeof required / sizeof required[0] };

/* Of the required columns; status and member follow from them. */
static void columns_that_are_missing_follow_and_wrong_ones_are_refused(void **state) {
  (void)state;
  esc_column wrong[REQUIRED], status;
  esc_results *built = NULL;
  esc_assert_ok(esc_results_build(REQUIRED, required, 0, NULL, &built));
  esc_assert_ok(esc_results_find_column(built, "status", &status));
  assert_int_equal(((const int32_t *)status.data)[0], ESC_MEMBER_ESCAPED);
  assert_int_equal(((const int32_t *)status.data)[1], ESC_MEMBER_CENSORED);
  esc_results_free(built);
  built = NULL;
  for (int i = 0; i < REQUIRED; i++) {
    for (int fault = 0; fault < 5; fault++) {
      memcpy(wrong, required, sizeof required);
      if (fault == 0) wrong[i].name = "another";
      if (fault == 1) wrong[i].type = (esc_type)((required[i].type + 1) % 3);
      if (fault == 2) wrong[i].length[required[i].rank - 1] = 3;
      if (fault == 3) wrong[i].data = NULL;
      if (fault == 4) wrong[i].name = NULL;
      assert_int_equal(esc_results_build(REQUIRED, wrong, 0, NULL, &built), ESC_BAD_INPUT);
      assert_null(built);
    }
  }
}

/* The required columns and another. */
static void refuse_with(esc_column added, const char *message) {
  esc_column column[REQUIRED + 1];
  esc_results *built = NULL;
  memcpy(column, required, sizeof required);
  column[REQUIRED] = added;
  assert_int_equal(esc_results_build(REQUIRED + 1, column, 0, NULL, &built), ESC_BAD_INPUT);
  assert_non_null(strstr(esc_error_message(), message));
  assert_null(built);
}

static void columns_that_contradict_the_others_are_refused(void **state) {
  (void)state;
  static const int32_t status[2] = {0, 77}, layer[2] = {2, 1};
  static const int64_t none[1] = {0};
  refuse_with(required[1], "two columns seed");
  refuse_with((esc_column){"status", "", "", ESC_TYPE_INT32, 1, {"member"}, {2}, status, false},
              "status is 77 at value number 2; allowed: 0 to 2");
  refuse_with((esc_column){"snapshot", "", "", ESC_TYPE_INT64, 1, {"snapshot"}, {-1}, none, true},
              "snapshot has the length -1");
  refuse_with((esc_column){"layer", "", "", ESC_TYPE_INT32, 1, {"layer"}, {2}, layer, true},
              "layer is 2 at value number 1");
  refuse_with((esc_column){"interface", "", "", ESC_TYPE_INT32, 1, {"interface"}, {2}, layer, true},
              "interface has not the type or shape");
}

/* Of two layers, two units and an input: a part of them would be lost. */
static void weights_that_are_not_whole_are_refused(void **state) {
  (void)state;
  static const float weights[8] = {1, 2, 3, 4, 5, 6, 7, 8};
  esc_column column[REQUIRED + 2], found;
  esc_results *built = NULL;
  const esc_column first = {"weights_end_1", "",      "",   ESC_TYPE_FLOAT32, 3, {"member"},
                            {2, 2, 1},       weights, false},
                   last = {"weights_end_2", "",      "",   ESC_TYPE_FLOAT32, 3, {"member"},
                           {2, 1, 2},       weights, false};
  refuse_with(first, "column weights_end_1 without weights_end_2");
  refuse_with(last, "column weights_end_2 without weights_end_1");
  memcpy(column, required, sizeof required);
  column[REQUIRED] = first;
  column[REQUIRED + 1] = last;
  esc_assert_ok(esc_results_build(REQUIRED + 2, column, 0, NULL, &built));
  esc_assert_ok(esc_results_find_column(built, "weights_end_2", &found));
  assert_memory_equal(found.data, weights, 4 * sizeof weights[0]);
  esc_results_free(built);
  built = NULL;
  for (int fault = 0; fault < 5; fault++) {
    column[REQUIRED] = first;
    column[REQUIRED + 1] = last;
    if (fault == 0) column[REQUIRED].rank = 0;
    if (fault == 1) column[REQUIRED].rank = 77;
    if (fault == 2) column[REQUIRED].length[1] = (int64_t)1 << 62;
    if (fault == 3) column[REQUIRED + 1].length[2] = 1;
    if (fault == 4) column[REQUIRED + 1].type = ESC_TYPE_FLOAT64;
    assert_int_equal(esc_results_build(REQUIRED + 2, column, 0, NULL, &built), ESC_BAD_INPUT);
    assert_non_null(strstr(esc_error_message(), "has not the type or shape"));
    assert_null(built);
  }
}

static void attributes_need_a_name_and_a_text(void **state) {
  (void)state;
  char longest[257] = {0};
  memset(longest, 'a', 256);
  const esc_text_attribute wrong[] = {{"", "x"}, {NULL, "x"}, {longest, "x"}, {"a", NULL}};
  esc_results *built = NULL;
  for (int i = 0; i < 4; i++)
    assert_int_equal(esc_results_build(REQUIRED, required, 1, &wrong[i], &built), ESC_BAD_INPUT);
  longest[255] = 0;
  esc_assert_ok(esc_results_build(REQUIRED, required, 1, &wrong[2], &built));
  esc_results_free(built);
}

typedef struct turns {
  int locked, unlocked, most;
} turns;

static void lock(void *context) {
  turns *t = context;
  const int held = ++t->locked - t->unlocked;
  if (held > t->most) t->most = held;
}

static void unlock(void *context) { ((turns *)context)->unlocked++; }

static void each_use_of_hdf5_is_guarded_and_not_nested(void **state) {
  (void)state;
  turns t = {0};
  const esc_hdf5_guard guard = {&t, lock, unlock};
  const esc_run_options options = with_output(scratch("g.h5"));
  esc_results *read = NULL;
  esc_hdf5_guard_set(&guard);
  esc_results_free(train(&options));
  const int trained = t.locked;
  assert_true(trained > 0);
  esc_assert_ok(esc_results_read(scratch("g.h5"), NULL, &read));
  assert_int_equal(t.locked, trained + 1);
  esc_hdf5_guard_set(NULL);
  esc_results_free(read);
  esc_assert_ok(esc_results_read(scratch("g.h5"), NULL, &read));
  assert_int_equal(t.locked, trained + 1);
  assert_int_equal(t.locked, t.unlocked);
  assert_int_equal(t.most, 1);
  esc_results_free(read);
}

/* Stops at the first report. */
static bool cancel(void *context, const esc_progress *progress) {
  int *reports = context;
  assert_int_equal(progress->members, MEMBERS);
  ++*reports;
  return false;
}

static void a_cancelled_run_is_resumed_to_the_bits_of_an_undisturbed_one(void **state) {
  (void)state;
  int reports = 0;
  esc_spec *spec = make_spec();
  esc_run_report report;
  esc_run_options options = with_output(scratch("c.h5"));
  options.callbacks.context = &reports;
  options.callbacks.progress = cancel;
  assert_int_equal(esc_sweep_run(spec, &options, NULL, NULL), ESC_INTERRUPTED);
  assert_int_equal(reports, 1);
  assert_non_null(strstr(esc_error_message(), "saved in"));
  options = with_output(scratch("c.h5"));
  options.resume = true;
  esc_results *resumed = NULL;
  esc_assert_ok(esc_sweep_run(spec, &options, &report, &resumed));
  assert_int_equal(report.members, MEMBERS);
  options = with_output(NULL);
  esc_results *undisturbed = train(&options);
  assert_equal_results(resumed, undisturbed);
  esc_results_free(resumed);
  esc_results_free(undisturbed);
  esc_spec_free(spec);
}

static void a_stop_that_came_before_the_run_ends_it(void **state) {
  (void)state;
  esc_stop *stop = NULL;
  esc_spec *spec = make_spec();
  esc_run_options options = with_output(NULL);
  esc_assert_ok(esc_stop_create(&stop));
  esc_stop_request(stop);
  options.stop = stop;
  assert_int_equal(esc_sweep_run(spec, &options, NULL, NULL), ESC_INTERRUPTED);
  esc_stop_free(stop);
  esc_spec_free(spec);
}

static void *train_in_memory(void *results) {
  const esc_run_options options = with_output(NULL);
  *(esc_results **)results = train(&options);
  return NULL;
}

static void runs_in_two_threads_have_the_bits_of_one(void **state) {
  (void)state;
  pthread_t other;
  esc_results *a = NULL, *b = NULL;
  assert_int_equal(pthread_create(&other, NULL, train_in_memory, &a), 0);
  train_in_memory(&b);
  pthread_join(other, NULL);
  assert_equal_results(a, b);
  esc_results_free(a);
  esc_results_free(b);
}

static void threads_that_cannot_be_started_leave_the_callers_openmp_alone(void **state) {
  (void)state;
  const esc_run_options options = with_output(NULL);
  omp_set_num_threads(7);
  setenv("OMP_STACKSIZE", "100000G", 1); /* no thread can have it, so one is used */
  esc_results_free(train(&options));
  unsetenv("OMP_STACKSIZE");
  assert_int_equal(omp_get_max_threads(), 7);
}

/* OpenMP's threads are not in the child, which would wait for them without end. */
static void a_child_of_fork_trains_too(void **state) {
  (void)state;
  esc_run_options options = with_output(NULL);
  esc_results_free(train(&options));
  const pid_t child = fork();
  if (child == 0) {
    esc_results_free(train(&options));
    _exit(0);
  }
  int ended = 1;
  assert_int_equal(waitpid(child, &ended, 0), child);
  assert_int_equal(ended, 0);
}

static void note(void *context, const char *text) {
  char *last = context;
  snprintf(last, 256, "%s", text);
}

static void messages_go_to_the_caller(void **state) {
  (void)state;
  char last[256] = "";
  esc_run_options options = with_output(scratch("d.h5"));
  esc_run_report report;
  esc_spec *spec = make_spec();
  esc_results_free(train(&options));
  options.resume = true;
  options.callbacks.context = last;
  options.callbacks.message = note;
  esc_assert_ok(esc_sweep_run(spec, &options, &report, NULL));
  assert_true(report.complete);
  assert_non_null(strstr(last, "is complete: nothing to do"));
  esc_spec_free(spec);
}

typedef struct heard {
  int snapshots, ends;
  int64_t last[MEMBERS];
  double signal[MEMBERS]; /* at the end */
} heard;

static void hear(void *context, const esc_snapshot *snapshot) {
  heard *h = context;
  h->snapshots++;
  h->ends += snapshot->is_end;
  assert_true(snapshot->step >= h->last[snapshot->member]);
  h->last[snapshot->member] = snapshot->step;
  for (int k = 0; k < snapshot->values; k++)
    if (!strcmp(snapshot->value[k].name, "signal")) {
      assert_null(snapshot->value[k].dimension);
      h->signal[snapshot->member] = snapshot->value[k].value[0];
    }
}

/* Steps 0, 100, ..., 400 of each member, and its end. */
static void each_snapshot_goes_to_the_caller(void **state) {
  (void)state;
  heard h = {0};
  esc_run_options options = with_output(NULL);
  options.callbacks.context = &h;
  options.callbacks.snapshot = hear;
  esc_results *results = train(&options);
  esc_column signal;
  esc_assert_ok(esc_results_find_column(results, "signal_end", &signal));
  assert_int_equal(h.snapshots, 6 * MEMBERS);
  assert_int_equal(h.ends, MEMBERS);
  for (int i = 0; i < MEMBERS; i++) assert_true(h.signal[i] == ((const double *)signal.data)[i]);
  esc_results_free(results);
}

static void options_that_exclude_each_other_are_refused(void **state) {
  (void)state;
  esc_spec *spec = make_spec();
  esc_run_options options = with_output(NULL);
  options.devices = "cpu,cpu"; /* its parts are files */
  assert_int_equal(esc_sweep_run(spec, &options, NULL, NULL), ESC_BAD_INPUT);
  options = with_output(NULL);
  options.resume = true; /* nothing to resume from */
  assert_int_equal(esc_sweep_run(spec, &options, NULL, NULL), ESC_BAD_INPUT);
  options = with_output(NULL);
  options.shard = 2;
  options.shards = 2;
  assert_int_equal(esc_sweep_run(spec, &options, NULL, NULL), ESC_BAD_INPUT);
  options.shards = 0; /* the whole sweep has no shard 2 */
  assert_int_equal(esc_sweep_run(spec, &options, NULL, NULL), ESC_BAD_INPUT);
  esc_spec_free(spec);
}

static void a_dry_run_tells_costs_and_writes_nothing(void **state) {
  (void)state;
  esc_dry_run dry;
  esc_spec *spec = make_spec();
  esc_run_options options = with_output(scratch("e.h5"));
  esc_assert_ok(esc_sweep_dry_run(spec, &options, &dry));
  assert_int_equal(dry.members, MEMBERS);
  assert_int_equal(dry.cells, 2);
  assert_true(dry.seconds_per_step > 0 && dry.host_bytes > 0 && dry.result_bytes > 0);
  assert_int_equal(dry.cell[1].members, 3);
  assert_true(dry.cell[1].threshold_step[0] > 0);
  assert_int_equal(scratch_count(), 0);
  esc_dry_run_free(&dry);
  esc_spec_free(spec);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      CASE(every_status_has_a_meaning_and_other_numbers_have_none),
      CASE(a_spec_is_built_key_by_key_or_parsed_from_its_text),
      CASE(a_wrong_key_is_refused_by_name),
      CASE(every_key_of_a_spec_is_described),
      CASE(without_an_output_results_are_in_memory_and_nothing_is_written),
      CASE(a_file_has_the_results_that_the_run_returned),
      CASE(results_are_built_of_their_own_arrays),
      CASE(columns_that_are_missing_follow_and_wrong_ones_are_refused),
      CASE(columns_that_contradict_the_others_are_refused),
      CASE(weights_that_are_not_whole_are_refused),
      CASE(attributes_need_a_name_and_a_text),
      CASE(each_use_of_hdf5_is_guarded_and_not_nested),
      CASE(a_cancelled_run_is_resumed_to_the_bits_of_an_undisturbed_one),
      CASE(a_stop_that_came_before_the_run_ends_it),
      CASE(runs_in_two_threads_have_the_bits_of_one),
      CASE(threads_that_cannot_be_started_leave_the_callers_openmp_alone),
      CASE(a_child_of_fork_trains_too),
      CASE(messages_go_to_the_caller),
      CASE(each_snapshot_goes_to_the_caller),
      CASE(options_that_exclude_each_other_are_refused),
      CASE(a_dry_run_tells_costs_and_writes_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
