/* SPDX-License-Identifier: Apache-2.0 */
/* Keys and values of a spec: types, ranges, defaults, rules between keys. */
#include "spec_text.h"

static void the_contracts_example_is_read(void **state) {
  (void)state;
  esc_spec *s = parse_good(
      "name: he-normal-slopes\n"
      "network: {layers: 6, width: 32, inputs: 32, activation: tanh}\n"
      "teacher: {amplitudes: [1.0]}\n"
      "init: {scheme: he-normal}            # he-normal | symmetric | blocks\n"
      "train: {metric: euclidean, rate: 0.01, batch: 64, steps: 400000, loss: squared}\n"
      "escape: {thresholds: [0.05, 0.1, 0.15], smoothing: 0.9}\n"
      "sweep:\n"
      "  seeds: 16\n"
      "  seed: 1\n"
      "  groups:\n"
      "    - {bottleneck: 3, scales: [0.1, 0.05, 0.025]}\n"
      "    - {bottleneck: 4, scales: {from: 0.05, to: 0.3, count: 6}}   # log-spaced\n"
      "record: {every: 0}\n");
  const esc_problem *p = &s->problem;
  assert_string_equal(s->name, "he-normal-slopes");
  assert_true(p->shape.layers == 6 && p->shape.width == 32 && p->shape.inputs == 32);
  assert_true(p->activation.kind == ESC_ACTIVATION_TANH && p->scheme == ESC_SCHEME_HE_NORMAL);
  assert_true(p->rate == 0.01 && p->batch == 64 && p->steps == 400000 && p->smoothing == 0.9);
  assert_true(p->thresholds == 3 && p->threshold[0] == 0.05 && p->threshold[2] == 0.15);
  assert_true(s->groups == 2 && s->group[0].scales == 3 && s->group[0].scale[2] == 0.025);
  assert_true(s->group[1].scales == 6 && s->group[1].small_layers == 0xf);
  assert_int_equal(esc_spec_count_members(s), 9 * 16);
  esc_spec_free(s);
}

static const char minimal[] =
    "network: {layers: 3, width: 5}\n"
    "train: {rate: 1, batch: 2, steps: 4e5}\n"
    "escape: {thresholds: [0.1]}\n"
    "sweep: {groups: [{bottleneck: 2, scales: [0.5]}]}\n";

static void defaults_fill_what_is_not_written(void **state) {
  (void)state;
  esc_spec *s = parse_good(minimal);
  const esc_problem *p = &s->problem;
  assert_string_equal(s->name, "sweep");
  assert_true(p->shape.inputs == 5 && p->activation.kind == ESC_ACTIVATION_TANH);
  assert_true(p->teacher.modes == 1 && p->teacher.amplitude[0] == 1);
  assert_true(p->teacher.directions == ESC_DIRECTIONS_AXES && p->scheme == ESC_SCHEME_HE_NORMAL);
  assert_true(p->scale_modes == 1 && p->scale[0] == 1 && p->scale[2] == 1);
  assert_true(p->metric == ESC_METRIC_EUCLIDEAN && p->loss == ESC_LOSS_SQUARED);
  assert_true(p->huber_delta == 1 && p->update == ESC_UPDATE_COMPENSATED && p->smoothing == 0);
  assert_true(s->seeds == 1 && s->seed == 1 && p->run_seed == 1 && s->record.every == 0);
  assert_false(s->allow_false_escapes);
  assert_int_equal(p->steps, 400000);
  esc_spec_free(s);
}

static void what_has_no_default_is_required(void **state) {
  (void)state;
  static const struct {
    int line;
    const char *message;
  } required[] = {{3, "spec.yaml:2: network.layers is missing"},
                  {4, "spec.yaml:2: network.width is missing"},
                  {15, "spec.yaml:13: train.rate is missing"},
                  {16, "spec.yaml:13: train.batch is missing"},
                  {17, "spec.yaml:13: train.steps is missing"},
                  {21, "spec.yaml:20: escape.thresholds is missing"},
                  {29, "spec.yaml:28: sweep.groups[0].scales is missing"}};
  for (size_t i = 0; i < sizeof required / sizeof required[0]; i++)
    refuse_text(with_line(required[i].line, ""), required[i].message, "it must be");
  refuse_text("name: a\n", "spec.yaml:1: network.layers is missing", "2..64");
  refuse_text(with_line(30, "    - {scales: [1]}"), "spec.yaml:30: sweep.groups[1].bottleneck", "");
  refuse_text(with_line(30, "    - {bottleneck: 1, scales: {from: 1, to: 2}}"),
              "spec.yaml:30: sweep.groups[1].scales.count is missing", "");
}

static void an_unknown_key_is_refused_with_the_nearest_one(void **state) {
  (void)state;
  refuse_text(with_line(16, "  bacth: 64"), "spec.yaml:16: unknown key 'train.bacth'",
              "did you mean train.batch?");
  refuse_text(with_line(16, "  layers: 64"), "spec.yaml:16: unknown key 'train.layers'",
              "did you mean network.layers?");
  refuse_text(with_line(31, "recrod:"), "spec.yaml:31: unknown key 'recrod'",
              "did you mean record?");
  refuse_text(with_line(28, "    - botleneck: 3"), "spec.yaml:28: unknown key", "[].bottleneck?");
  refuse_text(with_line(16, "  impetus: 1"), "spec.yaml:16: unknown key 'train.impetus'",
              "; allowed: metric, rate, batch");
  refuse_text(with_line(1, "train.batch: 3"), "spec.yaml:1: unknown key 'train.batch'", "nested");
}

/* ---- hostile scalars ---- */

static const char *const hostile[] = {
    "-0",   "0x1p3", "1_000",  "1.9",   "010",   "\xd9\xa1\xd9\xa2",
    "nan",  ".inf",  "\"\"",   "\"3\"", "'3'",   "~",
    "on",   "1,5",   "+1",     "",      "1e400", "9223372036854775808",
    "1e18", "[3]",   "{a: 3}", "- 3",   "null"};

static void hostile_values_are_refused_where_a_whole_number_belongs(void **state) {
  (void)state;
  char line[64];
  for (size_t i = 0; i < sizeof hostile / sizeof hostile[0]; i++) {
    snprintf(line, sizeof line, "  batch: %s", hostile[i]);
    refuse_text(with_line(16, line), "spec.yaml:16: ", "");
  }
  refuse_text(with_line(16, "  batch: 4e6"), "spec.yaml:16: train.batch: '4e6' is out of range",
              "1..1048576");
  accept(with_line(16, "  batch: 4e5"));
}

static void hostile_values_are_refused_where_a_number_belongs(void **state) {
  (void)state;
  char line[64];
  for (size_t i = 0; i < sizeof hostile / sizeof hostile[0]; i++) {
    if (!strcmp(hostile[i], "1.9")) continue;
    snprintf(line, sizeof line, "  rate: %s", hostile[i]);
    refuse_text(with_line(15, line), "spec.yaml:15: ", "");
    snprintf(line, sizeof line, "  thresholds: [0.1, %s]", hostile[i]);
    if (strcmp(hostile[i], "1,5") && hostile[i][0] && strcmp(hostile[i], "1e18") &&
        strcmp(hostile[i], "9223372036854775808"))
      refuse_text(with_line(21, line), "spec.yaml:21: ", "");
  }
  accept(with_line(15, "  rate: 1.9"));
}

/* ---- ranges ---- */

static void ends_of_ranges_are_as_stated(void **state) {
  (void)state;
  static const struct {
    int line;
    const char *least, *most, *below, *above;
  } range[] = {
      {4, "  width: 1", "  width: 4096", "  width: 0", "  width: 4097"},
      {5, "  inputs: 1", "  inputs: 4096", "  inputs: 0", "  inputs: 4097"},
      {15, "  rate: 1e-30", "  rate: 10", "  rate: 0", "  rate: 10.000001"},
      {16, "  batch: 1", "  batch: 1048576", "  batch: 0", "  batch: 1048577"},
      {17, "  steps: 1", "  steps: 1e15", "  steps: 0", "  steps: 1000000000000001"},
      {22, "  smoothing: 0", "  smoothing: 0.999999", "  smoothing: -0.1", "  smoothing: 1"},
      {25, "  seeds: 1", "  seeds: 1e7", "  seeds: 0", "  seeds: 100000001"},
      {26, "  seed: 0", "  seed: 9007199254740992", "  seed: -1", "  seed: 9007199254740993"},
      {30, "    - {bottleneck: 0, scales: [1]}", "    - {bottleneck: 4, scales: [1]}",
       "    - {bottleneck: -1, scales: [1]}", "    - {bottleneck: 5, scales: [1]}"},
      {29, "      scales: [1e-30]", "      scales: [10]", "      scales: [0]",
       "      scales: [10.1]"},
      {12, "  scales: 1e-30", "  scales: 1e6", "  scales: 0", "  scales: 1000001"},
      {32, "  every: 0", "  every: 1e15", "  every: -1", "  every: 1000000000000001"},
  };
  for (size_t i = 0; i < sizeof range / sizeof range[0]; i++) {
    char begin[32];
    snprintf(begin, sizeof begin, "spec.yaml:%d: ", range[i].line);
    accept(with_line(range[i].line, range[i].least));
    accept(with_line(range[i].line, range[i].most));
    refuse_text(with_line(range[i].line, range[i].below), begin, "is out of range; allowed: ");
    refuse_text(with_line(range[i].line, range[i].above), begin, "is out of range; allowed: ");
  }
}

static void layers_are_two_to_sixty_four(void **state) {
  (void)state;
  refuse_text(with_line(3, "  layers: 1"), "spec.yaml:3: network.layers: '1' is out of range",
              "2..64");
  refuse_text(with_line(3, "  layers: 65"), "spec.yaml:3: network.layers: '65'", "2..64");
  esc_spec *s;
  assert_int_equal(parse_with("network.layers=64", &s), ESC_OK);
  esc_spec_free(s);
}

static void snapshots_come_at_even_or_at_log_spaced_steps(void **state) {
  (void)state;
  refuse_text(with_line(32, "  every: 100\n  per_decade: 5"), "spec.yaml:33: record.per_decade",
              "allowed: one of them");
  refuse_text(with_line(32, "  every: 100\n  samples: 63"), "spec.yaml:33: record.samples",
              "an even number of at least 2 network.inputs");
}

static void words_are_those_of_the_list(void **state) {
  (void)state;
  refuse_text(with_line(18, "  loss: huberr"), "spec.yaml:18: train.loss: 'huberr'",
              "(did you mean huber?); allowed: one of squared, logistic, huber");
  refuse_text(with_line(14, "  metric: Euclidean"), "spec.yaml:14: train.metric: ", "normalized");
  refuse_text(with_line(6, "  activation: tahn"), "spec.yaml:6: network.activation: 'tahn'",
              "(did you mean tanh?); allowed: one of linear, relu, tanh, erf, sin, gelu, swish, "
              "softplus, sigmoid, softplus-raw, sigmoid-raw, poly:a0,a1,...");
  accept(with_line(18, "  loss: \"logistic\""));
}

static void words_choose_the_enumerator_of_their_name(void **state) {
  (void)state;
  esc_spec *s = parse_good(with_line(14, "  metric: normalized"));
  assert_int_equal(s->problem.metric, ESC_METRIC_NORMALIZED);
  esc_spec_free(s);
  s = parse_good(with_line(11, "  scheme: symmetric"));
  assert_int_equal(s->problem.scheme, ESC_SCHEME_SYMMETRIC);
  esc_spec_free(s);
  s = parse_good(with_line(11, "  scheme: blocks"));
  assert_int_equal(s->problem.scheme, ESC_SCHEME_BLOCKS);
  esc_spec_free(s);
  s = parse_good(with_line(9, "  directions: random"));
  assert_int_equal(s->problem.teacher.directions, ESC_DIRECTIONS_RANDOM);
  esc_spec_free(s);
  s = parse_good(with_line(18, "  loss: logistic"));
  assert_int_equal(s->problem.loss, ESC_LOSS_LOGISTIC);
  esc_spec_free(s);
  s = parse_good(with_line(19, "  update: plain"));
  assert_int_equal(s->problem.update, ESC_UPDATE_PLAIN);
  esc_spec_free(s);
  s = parse_good(with_line(23, "  false_escapes: allow"));
  assert_true(s->allow_false_escapes);
  esc_spec_free(s);
  s = parse_good(with_line(22, "  smoothing: none"));
  assert_true(s->problem.smoothing == 0);
  esc_spec_free(s);
  s = parse_good(with_line(6, "  activation: poly:0,1,-0.5"));
  assert_int_equal(s->problem.activation.kind, ESC_ACTIVATION_POLYNOMIAL);
  assert_true(s->problem.activation.terms == 3 && s->problem.activation.coefficient[2] == -0.5);
  esc_spec_free(s);
}

static void a_name_is_printable_text_of_some_length(void **state) {
  (void)state;
  char line[256] = "name: ";
  memset(line + 6, 'n', 200);
  accept(with_line(1, line));
  line[206] = 'n';
  refuse_text(with_line(1, line), "spec.yaml:1: name: 'nnn",
              "is out of range; allowed: text of 1..200");
  refuse_text(with_line(1, "name: \"\""), "spec.yaml:1: name: \"\" is out of range", "");
  refuse_text(with_line(1, "name: \"a\\tb\""), "spec.yaml:1: name: ", "unprintable");
  refuse_text(with_line(1, "name: \"a\\Nb\""), "spec.yaml:1: name: ", "unprintable");
  refuse_text(with_line(1, "name: 12"), "spec.yaml:1: name: '12' is a number", "quotes");
  refuse_text(with_line(1, "name: ~"), "spec.yaml:1: name: '~' is not text", "quotes");
  refuse_text(with_line(1, "name: [a]"), "spec.yaml:1: name: a list", "");
  accept(with_line(1, "name: \"12\""));
  accept(with_line(1, "name: Größe 3 – ε"));
}

static void lists_have_bounded_lengths_and_no_duplicates(void **state) {
  (void)state;
  refuse_text(with_line(8, "  amplitudes: []"), "spec.yaml:8: teacher.amplitudes: a list of 0",
              "1..64");
  refuse_text(with_line(8, "  amplitudes: 1.0"),
              "spec.yaml:8: teacher.amplitudes: '1.0' is not a list", "");
  refuse_text(with_line(8, "  amplitudes: [[1]]"), "spec.yaml:8: teacher.amplitudes[0]: a list",
              "");
  refuse_text(with_line(8, "  amplitudes: [1, 0]"), "spec.yaml:8: teacher.amplitudes[1]: '0'",
              "not 0");
  refuse_text(with_line(21, "  thresholds: []"), "spec.yaml:21: escape.thresholds: ", "1..16");
  refuse_text(with_line(21, "  thresholds: [1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17]"),
              "spec.yaml:21: escape.thresholds: a list of 17 is too long", "1..16");
  refuse_text(with_line(21, "  thresholds: [0.1, 0.2, 1e-1]"),
              "spec.yaml:21: escape.thresholds: '1e-1' appears twice", "distinct");
  refuse_text(with_line(21, "  thresholds: [-0.1]"), "spec.yaml:21: escape.thresholds[0]: ", "> 0");
  refuse_text("network: 3\n", "spec.yaml:1: network: '3' is not a mapping", "keys layers, width");
}

static void a_bad_element_is_named_with_its_own_line(void **state) {
  (void)state;
  refuse_text(with_line(8, "  amplitudes:\n    - 1\n    - x"),
              "spec.yaml:10: teacher.amplitudes[1]: 'x'", "");
}

/* ---- rules between keys ---- */

static void there_are_no_more_modes_than_inputs(void **state) {
  (void)state;
  refuse_text(with_line(8, "  amplitudes: [1,2,3,4,5,6,7,8,9]"),
              "spec.yaml:8: teacher.amplitudes: 9 modes in 8 inputs", "");
  accept(with_line(8, "  amplitudes: [1,2,3,4,5,6,7,8]"));
}

static void symmetric_takes_one_mode(void **state) {
  (void)state;
  esc_spec *s = NULL;
  const char *const both[] = {"teacher.amplitudes=[1, 2]", "init.scheme=symmetric"};
  const char *text = with_line(0, "");
  assert_int_equal(esc_spec_parse("s", text, strlen(text), 2, both, &s), ESC_BAD_INPUT);
  check_message("argument 2: init.scheme: symmetric with 2 amplitudes", "exactly 1");
}

static esc_status parse_blocks(const char *amplitudes, const char *scales, esc_spec **out) {
  const char *const all[] = {"init.scheme=blocks", amplitudes, scales};
  const char *text = with_line(0, "");
  *out = NULL;
  return esc_spec_parse("spec.yaml", text, strlen(text), 3, all, out);
}

static void blocks_divide_the_width(void **state) {
  (void)state;
  esc_spec *s;
  assert_int_equal(parse_blocks("teacher.amplitudes=[1, 2, 3]", "init.scales=1", &s),
                   ESC_BAD_INPUT);
  check_message("argument 1: init.scheme: blocks with width 8 and 3 amplitudes", "multiple");
  esc_assert_ok(parse_blocks("teacher.amplitudes=[1, 2]", "init.scales=1", &s));
  esc_spec_free(s);
}

static void initial_scales_are_one_for_each_layer(void **state) {
  (void)state;
  esc_spec *s = parse_good(with_line(12, "  scales: [1, 2, 0.5, 4]"));
  assert_int_equal(s->problem.scale_modes, 1);
  assert_true(s->problem.scale[0] == 1 && s->problem.scale[3] == 4);
  esc_spec_free(s);
  s = parse_good(with_line(12, "  scales: 0.25"));
  assert_true(s->problem.scale[0] == 0.25 && s->problem.scale[3] == 0.25);
  esc_spec_free(s);
  refuse_text(with_line(12, "  scales: [1, 2, 3]"),
              "spec.yaml:12: init.scales: 3 scales for 4 layers", "");
  refuse_text(with_line(12, "  scales: [1, 2, 3, 0]"), "spec.yaml:12: init.scales[3]: '0'",
              ">= 1e-30");
  refuse_text(with_line(12, "  scales: [[1, 2, 3, 4]]"),
              "spec.yaml:12: init.scales: ", "only with scheme blocks");
}

static void blocks_may_have_a_row_of_scales_for_each_mode(void **state) {
  (void)state;
  esc_spec *s;
  const char *two = "teacher.amplitudes=[1, 2]";
  esc_assert_ok(parse_blocks(two, "init.scales=[[1, 2, 3, 4], [5, 6, 7, 8]]", &s));
  assert_int_equal(s->problem.scale_modes, 2);
  for (int i = 0; i < 8; i++) assert_true(s->problem.scale[i] == i + 1);
  esc_spec_free(s);
  assert_int_equal(parse_blocks(two, "init.scales=[[1, 2, 3, 4]]", &s), ESC_BAD_INPUT);
  check_message("argument 3: init.scales: 1 lists for 2 amplitudes", "");
  assert_int_equal(parse_blocks(two, "init.scales=[[1, 2, 3, 4], [5, 6]]", &s), ESC_BAD_INPUT);
  check_message("argument 3: init.scales: 2 scales for 4 layers", "");
  assert_int_equal(parse_blocks(two, "init.scales=[[1, 2, 3, 4], 5]", &s), ESC_BAD_INPUT);
  check_message("argument 3: init.scales[1]: '5' is not a list", "");
  assert_int_equal(parse_blocks(two, "init.scales=[1, [2]]", &s), ESC_BAD_INPUT);
  check_message("argument 3: init.scales[1]: a list is not a single value", "");
  assert_int_equal(parse_blocks(two, "init.scales=[[]]", &s), ESC_BAD_INPUT);
}

static void a_huber_delta_needs_the_huber_loss(void **state) {
  (void)state;
  refuse_text(with_line(19, "  huber_delta: 1"), "spec.yaml:19: train.huber_delta: ", "loss huber");
  esc_spec *s = parse_good(with_line(18, "  loss: huber\n  huber_delta: 0.3"));
  assert_true(s->problem.loss == ESC_LOSS_HUBER && s->problem.huber_delta == 0.3);
  esc_spec_free(s);
  refuse_text(with_line(18, "  loss: huber\n  huber_delta: 0"),
              "spec.yaml:19: train.huber_delta: ", "> 0");
}

static esc_spec *parse_train(const char *line) { return parse_good(with_line(18, line)); }

static void the_optimizer_is_plain_gradient_descent_unless_told_otherwise(void **state) {
  (void)state;
  esc_spec *s = parse_good(with_line(0, ""));
  assert_true(esc_optimizer_is_plain(&s->problem.optimizer));
  esc_spec_free(s);
  s = parse_train(
      "  momentum: 0.9\n  nesterov: true\n  weight_decay: 1e-3\n"
      "  decoupled_decay: true");
  const esc_optimizer *o = &s->problem.optimizer;
  assert_true(o->kind == ESC_OPTIMIZER_SGD && o->momentum == 0.9 && o->nesterov);
  assert_true(o->weight_decay == 1e-3 && o->decoupled);
  esc_spec_free(s);
  s = parse_train("  optimizer: adam\n  adam_beta1: 0.8");
  o = &s->problem.optimizer;
  assert_true(o->kind == ESC_OPTIMIZER_ADAM && o->adam_beta1 == 0.8 && o->adam_beta2 == 0.999);
  assert_true(o->adam_epsilon == 1e-8 && o->momentum == 0 && !o->nesterov && !o->decoupled);
  esc_spec_free(s);
}

static void what_an_optimizer_does_not_read_is_refused(void **state) {
  (void)state;
  static const struct {
    const char *line, *where, *allowed;
  } row[] = {
      {"  momentum: 1", "train.momentum: '1' is out of range", ">= 0 and < 1"},
      {"  momentum: -0.1", "train.momentum: '-0.1' is out of range", ">= 0 and < 1"},
      {"  momentum: .nan", "train.momentum: '.nan' ", ">= 0 and < 1"},
      {"  momentum: 0.99999999", "train.momentum: 0.9999999", "at most 0.99999994"},
      {"  nesterov: true", "train.nesterov: true without momentum", "train.momentum > 0"},
      {"  nesterov: yes", "train.nesterov: 'yes' is none of the words", "false, true"},
      {"  weight_decay: -1e-3", "train.weight_decay: '-1e-3' is out of range", ">= 0"},
      {"  weight_decay: .inf", "train.weight_decay: '.inf' ", ">= 0"},
      {"  decoupled_decay: 1", "train.decoupled_decay: '1' is none of the words", "false, true"},
      {"  optimizer: adamw", "train.optimizer: 'adamw' ", "one of sgd, adam"},
      {"  adam_beta1: 0.5", "train.adam_beta1: given, but", "only with optimizer adam"},
      {"  adam_epsilon: 1e-6", "train.adam_epsilon: given, but", "only with optimizer adam"},
  };
  for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
    char start[128];
    snprintf(start, sizeof start, "spec.yaml:18: %s", row[i].where);
    refuse_text(with_line(18, row[i].line), start, row[i].allowed);
  }
  refuse_text(with_line(18, "  optimizer: adam\n  momentum: 0.5"),
              "spec.yaml:19: train.momentum: given, but train.optimizer is not sgd", "");
  refuse_text(with_line(18, "  optimizer: adam\n  adam_epsilon: 0"),
              "spec.yaml:19: train.adam_epsilon: '0' is out of range", ">= 1e-30");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_contracts_example_is_read),
      cmocka_unit_test(defaults_fill_what_is_not_written),
      cmocka_unit_test(what_has_no_default_is_required),
      cmocka_unit_test(an_unknown_key_is_refused_with_the_nearest_one),
      cmocka_unit_test(hostile_values_are_refused_where_a_whole_number_belongs),
      cmocka_unit_test(hostile_values_are_refused_where_a_number_belongs),
      cmocka_unit_test(ends_of_ranges_are_as_stated),
      cmocka_unit_test(layers_are_two_to_sixty_four),
      cmocka_unit_test(snapshots_come_at_even_or_at_log_spaced_steps),
      cmocka_unit_test(words_are_those_of_the_list),
      cmocka_unit_test(words_choose_the_enumerator_of_their_name),
      cmocka_unit_test(a_name_is_printable_text_of_some_length),
      cmocka_unit_test(lists_have_bounded_lengths_and_no_duplicates),
      cmocka_unit_test(a_bad_element_is_named_with_its_own_line),
      cmocka_unit_test(there_are_no_more_modes_than_inputs),
      cmocka_unit_test(symmetric_takes_one_mode),
      cmocka_unit_test(blocks_divide_the_width),
      cmocka_unit_test(initial_scales_are_one_for_each_layer),
      cmocka_unit_test(blocks_may_have_a_row_of_scales_for_each_mode),
      cmocka_unit_test(a_huber_delta_needs_the_huber_loss),
      cmocka_unit_test(the_optimizer_is_plain_gradient_descent_unless_told_otherwise),
      cmocka_unit_test(what_an_optimizer_does_not_read_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
