/* SPDX-License-Identifier: Apache-2.0 */
/* Overrides, the resolved text that reads back to the same spec, the printed
 * help, and files. */
#include "scratch.h"
#include "spec/schema.h"
#include "spec_text.h"

/* ---- overrides ---- */

static void an_override_replaces_a_value(void **state) {
  (void)state;
  esc_spec *s;
  esc_assert_ok(parse_with("train.batch=128", &s));
  assert_int_equal(s->problem.batch, 128);
  esc_spec_free(s);
  esc_assert_ok(parse_with("sweep.groups=[{bottleneck: 3, scales: [0.05]}]", &s));
  assert_true(s->groups == 1 && s->group[0].bottleneck == 3 && s->group[0].scale[0] == 0.05);
  esc_spec_free(s);
  esc_assert_ok(parse_with("name=a=b", &s));
  assert_string_equal(s->name, "a=b");
  esc_spec_free(s);
}

static void an_override_may_mend_the_file(void **state) {
  (void)state;
  const char *const override = "train.batch=7";
  esc_spec *s = NULL;
  const char *text = with_line(16, "  batch: nonsense");
  esc_assert_ok(esc_spec_parse("s", text, strlen(text), 1, &override, &s));
  assert_int_equal(s->problem.batch, 7);
  esc_spec_free(s);
}

static void overrides_can_be_a_whole_spec_but_for_one_key(void **state) {
  (void)state;
  const char *const all[] = {"network.layers=2",
                             "network.width=3",
                             "train.rate=1",
                             "train.batch=4",
                             "escape.thresholds=[0.1]",
                             "train.steps=5",
                             "sweep.groups=[{bottleneck: 1, scales: [1]}]"};
  esc_spec *s = NULL;
  esc_assert_ok(esc_spec_parse("s", "name: x\n", 8, 7, all, &s));
  assert_true(s->problem.shape.layers == 2 && s->problem.steps == 5);
  esc_spec_free(s);
}

static void the_last_override_of_a_key_counts(void **state) {
  (void)state;
  const char *const two[] = {"train.batch=1", "train.batch=2"};
  const char *text = with_line(0, "");
  esc_spec *s = NULL;
  esc_assert_ok(esc_spec_parse("s", text, strlen(text), 2, two, &s));
  assert_int_equal(s->problem.batch, 2);
  esc_spec_free(s);
}

static void an_override_is_checked_as_the_file_is_and_names_its_number(void **state) {
  (void)state;
  const char *const two[] = {"train.batch=1", "train.rate=1e400"};
  const char *text = with_line(0, "");
  esc_spec *s = NULL;
  assert_int_equal(esc_spec_parse("s", text, strlen(text), 2, two, &s), ESC_BAD_INPUT);
  check_message("argument 2: train.rate: '1e400' is too large", "<= 10");
  refuse_override("train.batch=0", "argument 1: train.batch: '0' is out of range", "1..1048576");
  refuse_override("train.batch=\"1\"", "argument 1: train.batch: \"1\" is a quoted string", "");
  refuse_override("train.batch=", "argument 1: train.batch: the value is empty", "");
  refuse_override("train.batch=&a 1", "argument 1: train.batch: anchors", "");
  refuse_override("train.batch=[1", "argument 1: train.batch: not valid YAML", "");
  refuse_override("train.batch=1\n---\n2", "argument 1: train.batch: a second document", "");
  refuse_override("sweep.groups=[{bottleneck: 9, scales: [1]}]",
                  "argument 1: sweep.groups[0].bottleneck: '9'", "0..4");
}

static void a_malformed_override_is_refused_by_name(void **state) {
  (void)state;
  refuse_override("train.batch", "argument 1: 'train.batch' is not of the form key=value", "");
  refuse_override("=3", "argument 1: '=3' is not of the form key=value", "");
  refuse_override("", "argument 1: '' is not of the form key=value", "");
  refuse_override("train.bacth=3", "argument 1: 'train.bacth' is an unknown key",
                  "did you mean train.batch?");
  refuse_override("batch=3", "argument 1: 'batch' is an unknown key", "did you mean train.batch?");
  refuse_override("train={rate: 1}", "argument 1: 'train' is a section", "allowed: metric, rate, ");
  refuse_override("train.impetus=1", "argument 1: 'train.impetus' is an unknown key",
                  "allowed: metric, rate, ");
  refuse_override("train.rate.x=1", "argument 1: 'train.rate.x' is an unknown key",
                  "allowed: metric, rate, ");
  refuse_override("sweep.groups[0].x=1", "argument 1: 'sweep.groups[0].x' is an unknown key",
                  "allowed: bottleneck, ");
  refuse_override("x=1", "argument 1: 'x' is an unknown key", "allowed: name, network, ");
  refuse_override("a\nb=1", "argument 1: 'a\\nb' is an unknown key", "");
}

/* The resolved specs of two lists of overrides are the same text. */
static void check_same_overrides(int count, const char *const *elements, const char *whole) {
  const char *text = with_line(0, "");
  esc_spec *a = NULL, *b = NULL;
  esc_assert_ok(esc_spec_parse("s", text, strlen(text), count, elements, &a));
  esc_assert_ok(esc_spec_parse("s", text, strlen(text), 1, &whole, &b));
  char *left = esc_spec_resolved(a), *right = esc_spec_resolved(b);
  assert_string_equal(left, right);
  free(left);
  free(right);
  esc_spec_free(a);
  esc_spec_free(b);
}

static void an_element_of_a_list_is_overridden_by_its_index(void **state) {
  (void)state;
  check_same_overrides(1, (const char *const[]){"sweep.groups[0].scales=[0.2]"},
                       "sweep.groups=[{bottleneck: 3, scales: [0.2]}, {bottleneck: 4, scales: "
                       "{from: 0.05, to: 0.3, count: 6}}]");
  check_same_overrides(
      2, (const char *const[]){"sweep.groups[0].scales[1]=0.06", "sweep.groups[1].scales.count=2"},
      "sweep.groups=[{bottleneck: 3, scales: [0.1, 0.06]}, {bottleneck: 4, "
      "scales: [0.05, 0.3]}]");
  check_same_overrides(1, (const char *const[]){"sweep.groups[1]={bottleneck: 1, scales: [1]}"},
                       "sweep.groups=[{bottleneck: 3, scales: [0.1, 0.05]}, {bottleneck: 1, "
                       "scales: [1]}]");
  check_same_overrides(1, (const char *const[]){"escape.thresholds[1]=0.2"},
                       "escape.thresholds=[0.05, 0.2]");
  check_same_overrides(1, (const char *const[]){"teacher.amplitudes[0]=0.5"},
                       "teacher.amplitudes=[0.5]");
  check_same_overrides(2, (const char *const[]){"init.scales=[1, 2, 3, 4]", "init.scales[3]=0.5"},
                       "init.scales=[1, 2, 3, 0.5]");
}

static void an_element_of_a_default_is_overridden_too(void **state) {
  (void)state;
  const char *const override = "teacher.amplitudes[0]=0.5";
  const char *text = with_line(8, "");
  esc_spec *s = NULL;
  esc_assert_ok(esc_spec_parse("s", text, strlen(text), 1, &override, &s));
  assert_true(s->problem.teacher.modes == 1 && s->problem.teacher.amplitude[0] == 0.5);
  esc_spec_free(s);
}

static void an_index_out_of_range_is_refused_with_the_range(void **state) {
  (void)state;
  refuse_override("sweep.groups[2].scales=[1]",
                  "argument 1: 'sweep.groups[2].scales': sweep.groups has 2 elements",
                  "allowed indices: 0 to 1");
  refuse_override(
      "escape.thresholds[2]=0.3",
      "argument 1: 'escape.thresholds[2]': escape.thresholds has 2 elements in spec.yaml:21",
      "0 to 1");
  refuse_override("teacher.amplitudes[999999]=1",
                  "argument 1: 'teacher.amplitudes[999999]': teacher.amplitudes has 1 element in",
                  "0 to 0");
  refuse_override("teacher.amplitudes[9999999]=1",
                  "argument 1: 'teacher.amplitudes[9999999]' is not a key",
                  "sweep.groups[0].scales[1]");
}

static void an_element_is_checked_as_in_the_file(void **state) {
  (void)state;
  refuse_override("sweep.groups[0].scales[1]=0", "argument 1: sweep.groups[0].scales[1]: '0'",
                  ">= 1e-30");
  refuse_override("escape.thresholds[0]=0.1",
                  "spec.yaml:21: escape.thresholds: '0.1' appears twice", "");
  refuse_override("sweep.groups[0]=3", "argument 1: sweep.groups[0]: '3' is not a mapping", "");
}

static void a_path_that_leads_nowhere_is_refused(void **state) {
  (void)state;
  refuse_override("sweep.groups.0.scales=[1]",
                  "argument 1: 'sweep.groups.0.scales' is inside the list sweep.groups",
                  "sweep.groups[0]");
  refuse_override("sweep.groups[].bottleneck=1",
                  "argument 1: 'sweep.groups[].bottleneck' is not a key",
                  "sweep.groups[0].scales[1]");
  refuse_override("sweep.groups[0].scalse=[1]",
                  "argument 1: 'sweep.groups[0].scalse' is an unknown key",
                  "sweep.groups[].scales");
  refuse_override("train.batch[0]=1",
                  "argument 1: 'train.batch[0]' has more brackets than train.batch", "no list");
  refuse_override("escape.thresholds[0][0]=1",
                  "argument 1: 'escape.thresholds[0][0]' has more brackets",
                  "a list of single values");
  refuse_override("init.scales[0]=1",
                  "argument 1: 'init.scales[0]': init.scales is a single value in spec.yaml:12",
                  "init.scales=...");
  refuse_override("sweep.groups[1].scales[0]=1",
                  "argument 1: 'sweep.groups[1].scales[0]': sweep.groups[1].scales is a mapping",
                  "");
  refuse_override("sweep.groups[0].scales.from=1",
                  "spec.yaml:29: sweep.groups[0].scales: must be a mapping", "");
  refuse_override("sweep.groups[0].layers[0]=1",
                  "argument 1: 'sweep.groups[0].layers[0]': the spec has no sweep.groups[0].layers",
                  "");
  static const char *const malformed[] = {"[0]=1",
                                          "sweep[0=1",
                                          "sweep.groups[x]=1",
                                          "a]=1",
                                          "sweep.groups[0]scales=1",
                                          "sweep..x=1",
                                          "sweep.groups[-1]=1",
                                          ".=1",
                                          "train.batch.=1"};
  for (size_t i = 0; i < sizeof malformed / sizeof malformed[0]; i++)
    refuse_override(malformed[i], "argument 1: '", "");
}

static void an_override_below_what_is_no_section_is_refused_there(void **state) {
  (void)state;
  const char *const override = "record.every=0";
  const char *text = "name: x\nrecord: 3\n";
  esc_spec *s = NULL;
  assert_int_equal(esc_spec_parse("s", text, strlen(text), 1, &override, &s), ESC_BAD_INPUT);
  check_message("s:2: record: ", "mapping");
}

/* ---- resolved ---- */

static void check_same_problem(const esc_problem *a, const esc_problem *b) {
  esc_problem x = *a, y = *b;
  assert_int_equal(a->scale_modes, b->scale_modes);
  assert_memory_equal(a->scale, b->scale,
                      (size_t)(a->scale_modes * a->shape.layers) * sizeof *a->scale);
  x.scale = y.scale = NULL;
  assert_memory_equal(&x, &y, sizeof x); /* both came zeroed, padding and all */
}

static void check_same_spec(const esc_spec *a, const esc_spec *b) {
  assert_string_equal(a->name, b->name);
  check_same_problem(&a->problem, &b->problem);
  assert_true(a->seeds == b->seeds && a->seed == b->seed && a->groups == b->groups);
  assert_true(a->record.every == b->record.every && a->record.weights == b->record.weights);
  assert_true(!a->init.path == !b->init.path && a->init.kind == b->init.kind);
  assert_true(a->init.step == b->init.step && a->init.match == b->init.match);
  if (a->init.path) assert_string_equal(a->init.path, b->init.path);
  assert_string_equal(a->init.checksum, b->init.checksum);
  assert_true(a->allow_false_escapes == b->allow_false_escapes);
  for (int g = 0; g < a->groups; g++) {
    const esc_group *x = &a->group[g], *y = &b->group[g];
    assert_true(x->bottleneck == y->bottleneck && x->small_layers == y->small_layers);
    assert_int_equal(x->scales, y->scales);
    assert_memory_equal(x->scale, y->scale, (size_t)x->scales * sizeof *x->scale);
  }
}

/* The resolved text gives the same spec and the same text again. */
static void check_round_trip(const char *text, int overrides, const char *const *override) {
  esc_spec *s = NULL;
  esc_assert_ok(esc_spec_parse("spec.yaml", text, strlen(text), overrides, override, &s));
  char *resolved = esc_spec_resolved(s);
  assert_non_null(resolved);
  esc_spec *again = parse_good(resolved);
  char *twice = esc_spec_resolved(again);
  check_same_spec(s, again);
  assert_string_equal(resolved, twice);
  free(resolved);
  free(twice);
  esc_spec_free(s);
  esc_spec_free(again);
}

static void the_resolved_text_reads_back_to_the_same_spec(void **state) {
  (void)state;
  check_round_trip(with_line(0, ""), 0, NULL);
  check_round_trip(with_line(6, "  activation: poly:0,1,-0.1,1e-7"), 0, NULL);
  check_round_trip(with_line(18, "  loss: huber\n  huber_delta: 0.3"), 0, NULL);
  check_round_trip(with_line(18, "  momentum: 0.9\n  nesterov: true\n  weight_decay: 0.1"), 0,
                   NULL);
  check_round_trip(with_line(18, "  optimizer: adam\n  weight_decay: 0.1\n  decoupled_decay: true"),
                   0, NULL);
  check_round_trip(with_line(30, "    - {bottleneck: 2, layers: [4, 2], scales: [0.3]}"), 0, NULL);
  check_round_trip(with_line(30, "    - {bottleneck: 0, scales: [1e-30]}"), 0, NULL);
  check_round_trip(with_line(12, "  scales: [1, 0.1, 1e-5, 1e5]"), 0, NULL);
  check_round_trip(with_line(23, "  false_escapes: allow"), 0, NULL);
}

static void names_that_need_quotes_read_back(void **state) {
  (void)state;
  static const char *const name[] = {
      "name: '12'",     "name: \"a: b # c\"", "name: '\"\\'",      "name: \"- x\"",
      "name: ' ~ '",    "name: \"{[&*!%@`\"", "name: \"Größe ε\"", "name: 'it''s'",
      "name: \"null\"", "name: \"\\\\n\"",    "name: '--- |'"};
  for (size_t i = 0; i < sizeof name / sizeof name[0]; i++)
    check_round_trip(with_line(1, name[i]), 0, NULL);
}

static void nested_scales_and_every_word_read_back(void **state) {
  (void)state;
  const char *const all[] = {"teacher.amplitudes=[1.5, -0.1]",
                             "teacher.directions=random",
                             "init.scheme=blocks",
                             "init.scales=[[1, 0.1, 0.3, 4], [0.7, 6, 7, 1e-9]]",
                             "train.metric=normalized",
                             "train.loss=logistic",
                             "train.update=plain",
                             "escape.smoothing=none",
                             "sweep.seed=9007199254740992"};
  check_round_trip(with_line(0, ""), 9, all);
}

static void the_largest_resolved_text_can_still_be_read(void **state) {
  (void)state;
  static char groups[200000];
  const char *ladder =
      "{bottleneck: %d, scales: {from: 1.2345678901234567e-30, to: 1e-20, count: %d}}";
  strcpy(groups, "sweep.groups=[");
  for (int r = 1; r <= 3; r++) {
    sprintf(groups + strlen(groups), ladder, r, r < 3 ? 10000 : 9747);
    strcat(groups, ", ");
  }
  for (int g = 0; g < 253; g++)
    sprintf(groups + strlen(groups), "{bottleneck: 64, scales: [1.%03d1e-%d]}%s", g, g % 20 + 1,
            g < 252 ? ", " : "]");
  const char *const all[] = {"network.layers=64", "network.inputs=64", "network.width=64", groups};
  check_round_trip(with_line(0, ""), 4, all);
}

static void the_resolved_text_of_plain_descent_is_that_of_version_0_1(void **state) {
  (void)state;
  esc_spec *s = parse_good(with_line(0, ""));
  char *text = esc_spec_resolved(s);
  assert_null(strstr(text, "momentum"));
  assert_null(strstr(text, "optimizer"));
  free(text);
  esc_spec_free(s);
}

/* The resolved texts of specs that between them have every key: those of a file of weights exclude
 * init.scales, one of their kinds another's, and the keys of an optimizer another's. */
static char *join_resolved(int overrides, const char *const *override) {
  static const char *const escape[] = {"init.scheme=file", "init.file=a", "init.weights=escape",
                                       "init.threshold=0.1", "init.scales=1"};
  static const char *const adam[] = {"train.optimizer=adam", "train.adam_beta1=0.8"};
  esc_spec *s[4] = {parse_good(with_line(18,
                                         "  loss: huber\n  momentum: 0.9\n  nesterov: true\n"
                                         "  weight_decay: 0.1\n  decoupled_decay: true"))};
  char *text[4], *joined = NULL;
  const char *plain = with_line(0, "");
  esc_assert_ok(esc_spec_parse("s", plain, strlen(plain), overrides, override, &s[1]));
  esc_assert_ok(esc_spec_parse("s", plain, strlen(plain), 5, escape, &s[2]));
  esc_assert_ok(esc_spec_parse("s", plain, strlen(plain), 2, adam, &s[3]));
  for (int i = 0; i < 4; i++) text[i] = esc_spec_resolved(s[i]);
  assert_true(asprintf(&joined, "%s%s%s%s", text[0], text[1], text[2], text[3]) > 0);
  for (int i = 0; i < 4; i++) {
    free(text[i]);
    esc_spec_free(s[i]);
  }
  return joined;
}

static void a_file_of_weights_is_in_the_resolved_text(void **state) {
  (void)state;
  const char *const all[] = {
      "init.scheme=file",  "init.file='w \"1\".npz'",          "init.weights=start",
      "init.match=single", "init.checksum='0123456789012345'", "record.weights=[escape, end]",
      "init.scales=1.0"};
  check_round_trip(with_line(0, ""), 7, all);
}

static void every_key_is_in_the_resolved_text(void **state) {
  (void)state;
  const char *const file[] = {"init.scheme=file",       "init.file=a b.h5",
                              "init.weights=snapshots", "init.step=7",
                              "init.scales=1",          "init.checksum='0123456789abcdef'",
                              "record.every=7",         "record.weights=[end, start]"};
  char *text = join_resolved(8, file);
  for (int i = 0; i < esc_schema_keys; i++) {
    char key[64];
    const char *dot = strrchr(esc_schema[i].path, '.');
    if (strstr(esc_schema[i].path, "scales.")) continue; /* ladders are written out */
    if (esc_schema[i].type == ESC_VALUE_SWEPT) continue; /* only with a grid: test_spec_grid */
    snprintf(key, sizeof key, "%s:", dot ? dot + 1 : esc_schema[i].path);
    if (!strstr(text, key)) fprintf(stderr, "not there: %s\n", esc_schema[i].path);
    assert_non_null(strstr(text, key));
  }
  free(text);
}

/* ---- help ---- */

/* Wrapped lines of `text` as one, in place. */
static void join_lines(char *text) {
  char *to = text;
  for (const char *c = text; *c; c++) {
    const bool is_space = *c == ' ' || *c == '\n';
    if (!is_space || (to > text && to[-1] != ' ')) *to++ = (char)(is_space ? ' ' : *c);
  }
  *to = 0;
}

static void the_help_has_every_key(void **state) {
  (void)state;
  char *text = NULL;
  size_t length = 0;
  FILE *out = open_memstream(&text, &length);
  esc_spec_help(out);
  fclose(out);
  join_lines(text);
  for (int i = 0; i < esc_schema_keys; i++) {
    assert_non_null(strstr(text, esc_schema[i].path));
    assert_non_null(strstr(text, esc_schema[i].help));
  }
  assert_non_null(strstr(text, "a number >= 1e-30 and <= 10; required"));
  assert_non_null(strstr(text, "0..network.layers"));
  assert_non_null(strstr(text, "default: he-normal"));
  free(text);
}

/* ---- files ---- */

static void a_file_is_read_and_named_in_messages(void **state) {
  (void)state;
  const char *path = scratch("good.yaml"), *text = with_line(0, "");
  esc_spec *s = NULL;
  scratch_write(path, text, strlen(text));
  esc_assert_ok(esc_spec_load(path, 0, NULL, &s));
  assert_int_equal(s->problem.batch, 64);
  esc_spec_free(s);
  text = with_line(16, "  batch: x");
  scratch_write(path, text, strlen(text));
  assert_int_equal(esc_spec_load(path, 0, NULL, &s), ESC_BAD_INPUT);
  assert_non_null(strstr(esc_error_message(), "/good.yaml:16: train.batch: 'x'"));
}

static void refuse_file(const char *path, const char *more) {
  esc_spec *s = NULL;
  assert_int_equal(esc_spec_load(path, 0, NULL, &s), ESC_BAD_INPUT);
  assert_null(s);
  check_message("", more);
}

static void what_is_no_readable_file_is_refused(void **state) {
  (void)state;
  static char large[(1 << 20) + 1];
  memset(large, '\n', sizeof large);
  refuse_file("", "empty");
  refuse_file(scratch("missing.yaml"), "missing.yaml");
  refuse_file(scratch_directory, "directory");
  scratch_write(scratch("large.yaml"), large, sizeof large);
  refuse_file(scratch("large.yaml"), "1048576");
  scratch_write(scratch("empty.yaml"), "", 0);
  refuse_file(scratch("empty.yaml"), "empty.yaml:1: the file is empty");
}

/* The superuser reads everything, so it steps aside for the test. */
static void an_unreadable_file_is_refused(void **state) {
  (void)state;
  const uid_t user = geteuid(), nobody = 65534;
  const char *path = scratch("secret.yaml");
  scratch_write(path, "name: x\n", 8);
  assert_int_equal(chmod(path, 0), 0);
  assert_int_equal(chmod(scratch_directory, 0711), 0);
  if (user == 0 && seteuid(nobody) != 0) {
    fprintf(stderr, "skipped: this user may read every file\n");
    skip();
  }
  esc_spec *s = NULL;
  const esc_status status = esc_spec_load(path, 0, NULL, &s);
  assert_int_equal(seteuid(user), 0);
  assert_int_equal(status, ESC_BAD_INPUT);
  check_message(path, "Permission denied");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(an_override_replaces_a_value),
      cmocka_unit_test(an_override_may_mend_the_file),
      cmocka_unit_test(overrides_can_be_a_whole_spec_but_for_one_key),
      cmocka_unit_test(the_last_override_of_a_key_counts),
      cmocka_unit_test(an_override_is_checked_as_the_file_is_and_names_its_number),
      cmocka_unit_test(a_malformed_override_is_refused_by_name),
      cmocka_unit_test(an_element_of_a_list_is_overridden_by_its_index),
      cmocka_unit_test(an_element_of_a_default_is_overridden_too),
      cmocka_unit_test(an_index_out_of_range_is_refused_with_the_range),
      cmocka_unit_test(an_element_is_checked_as_in_the_file),
      cmocka_unit_test(a_path_that_leads_nowhere_is_refused),
      cmocka_unit_test(an_override_below_what_is_no_section_is_refused_there),
      cmocka_unit_test(the_resolved_text_reads_back_to_the_same_spec),
      cmocka_unit_test(names_that_need_quotes_read_back),
      cmocka_unit_test(nested_scales_and_every_word_read_back),
      cmocka_unit_test(the_largest_resolved_text_can_still_be_read),
      cmocka_unit_test(a_file_of_weights_is_in_the_resolved_text),
      cmocka_unit_test(the_resolved_text_of_plain_descent_is_that_of_version_0_1),
      cmocka_unit_test(every_key_is_in_the_resolved_text),
      cmocka_unit_test(the_help_has_every_key),
      cmocka_unit_test_setup_teardown(a_file_is_read_and_named_in_messages, scratch_enter,
                                      scratch_leave),
      cmocka_unit_test_setup_teardown(what_is_no_readable_file_is_refused, scratch_enter,
                                      scratch_leave),
      cmocka_unit_test_setup_teardown(an_unreadable_file_is_refused, scratch_enter, scratch_leave),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
