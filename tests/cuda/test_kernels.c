/* SPDX-License-Identifier: Apache-2.0 */
/* Every kernel alone: the same bits as its host reference, and close to double.
 *
 * Each kernel is a record of the table below and is tested for every property; `--list` prints
 * the table's names, which check_kernel_table.py compares with the sources. Built twice: on the
 * SIMT harness (ESC_SIMT), where threads and blocks run in several orders, and for a device. */
#include "kernel_double.h"

#define ID(name) (1u << ARRAY_##name)

typedef struct record {
  const char *kernel; /* as in its source */
  cudaError_t (*launch)(const fixture *t, int l);
  void (*reference)(const fixture *t, esc_chunk *chunk, int l);
  void (*check_double)(const fixture *t, int l, double slack);
  unsigned outputs;   /* poisoned before; w, compensation and track are changed in place */
  unsigned nan_input; /* an array whose NaN reaches the outputs; 0: none */
  bool optimized;     /* not launched for plain gradient descent */
  bool layered;       /* launched for each hidden layer */
  bool early;         /* reads the track, not the update mask */
  bool all_slots;     /* works on finished networks, too */
} record;

/* The launcher copies problem, chunk and rules into the kernel's arguments. */
#define LAUNCHER(name, call)                                \
  static cudaError_t name(const fixture *t, int l) {        \
    const esc_device_problem p = fixture_device_problem(t); \
    (void)l;                                                \
    return call;                                            \
  }
LAUNCHER(launch_inputs, esc_launch_inputs(&p, &t->d_chunk, t->stream))
LAUNCHER(launch_activate, esc_launch_activate(&p, &t->d_chunk, l, t->stream))
LAUNCHER(launch_output, esc_launch_output(&p, &t->rules, &t->d_chunk, t->stream))
LAUNCHER(launch_output_gradient, esc_launch_output_gradient(&p, &t->d_chunk, t->stream))
LAUNCHER(launch_delta, esc_launch_delta(&p, &t->d_chunk, l, t->stream))
LAUNCHER(launch_optimize, esc_launch_optimize(&p, &t->d_chunk, t->stream))
LAUNCHER(launch_update, esc_launch_update(&p, &t->d_chunk, t->stream))
LAUNCHER(launch_ledger, esc_launch_ledger(&p, &t->rules, &t->d_chunk, t->stream))

static const record records[] = {
    {.kernel = "esc_inputs_kernel",
     .launch = launch_inputs,
     .reference = inputs_reference,
     .check_double = inputs_check_double,
     .outputs = ID(x),
     .early = true},
    {.kernel = "esc_activate_kernel",
     .launch = launch_activate,
     .reference = activate_reference,
     .check_double = activate_check_double,
     .outputs = ID(h),
     .nan_input = ID(z),
     .layered = true,
     .all_slots = true},
    {.kernel = "esc_output_kernel",
     .launch = launch_output,
     .reference = output_reference,
     .check_double = output_check_double,
     .outputs = ID(h) | ID(dloss) | ID(update_mask),
     .nan_input = ID(x),
     .early = true},
    {.kernel = "esc_output_gradient_kernel",
     .launch = launch_output_gradient,
     .reference = output_gradient_reference,
     .check_double = output_gradient_check_double,
     .outputs = ID(g),
     .nan_input = ID(dloss)},
    {.kernel = "esc_delta_kernel",
     .launch = launch_delta,
     .reference = delta_reference,
     .check_double = delta_check_double,
     .outputs = ID(delta) | ID(tile_deficit),
     .nan_input = ID(z),
     .layered = true},
    {.kernel = "esc_optimize_kernel",
     .launch = launch_optimize,
     .reference = optimize_reference,
     .check_double = optimize_check_double,
     .outputs = ID(velocity_product) | ID(weight_norm_sq),
     .nan_input = ID(w),
     .optimized = true},
    {.kernel = "esc_update_kernel",
     .launch = launch_update,
     .reference = update_reference,
     .check_double = update_check_double,
     .outputs = ID(grad_norm_sq) | ID(nonzero_updates) | ID(rounded_away),
     .nan_input = ID(g)},
    {.kernel = "esc_ledger_kernel",
     .launch = launch_ledger,
     .reference = ledger_reference,
     .check_double = ledger_check_double,
     .outputs = ID(deficit),
     .nan_input = ID(tile_deficit)},
};
enum { RECORDS = sizeof records / sizeof records[0] };

#ifdef ESC_SIMT
static const char *const orders[] = {"forward", "reverse", "shuffled:1", "shuffled:2"};
enum { RUNS = sizeof orders / sizeof orders[0] };

static void set_order(int run) { assert_int_equal(esc_simt_set_order(orders[run]), 0); }
/* Launches of the kernel so far. */
static int64_t launches(const record *r) { return esc_simt_launches(r->kernel); }
#else
enum { RUNS = 2 };

static void set_order(int run) { (void)run; }
static int64_t launches(const record *r) { /* a device does not count them */
  static int64_t count;
  (void)r;
  return count++;
}
#endif

/* Runs the kernel once on the fixture's input. */
static void run_once(const record *r, fixture *t, int l) {
  const int64_t before = launches(r);
  fixture_upload(t);
  assert_cuda(r->launch(t, l));
  fixture_download(t);
  if (launches(r) > before) return;
  print_error("%s did not run\n", r->kernel);
  fail();
}

/* The setting with an optimizer that the kernel is launched for. Adam's step is exact on no
 * integers. */
static setting choose_optimizer(const record *r, const setting *set) {
  setting s = *set;
  const int count = s.integers ? FIRST_ADAM : OPTIMIZERS;
  s.optimizer %= count + 1;
  if (r->optimized && s.optimizer == 0) s.optimizer = 1 + (s.width + s.batch) % count;
  return s;
}

static void poison_outputs(const record *r, fixture *t) {
  for (int id = 0; id < ARRAYS; id++)
    if (r->outputs >> id & 1) fixture_poison(t, id);
}

/* In every order the bits of the host reference, and in every run the same ones. */
static void run_all(const record *r, fixture *t, int l) {
  fixture_copy(t, WANT, BEFORE);
  r->reference(t, &t->chunk[WANT], l);
  for (int run = 0; run < RUNS; run++) {
    set_order(run);
    run_once(r, t, l);
    fixture_compare(t, WANT);
    if (run == 0) fixture_copy(t, FIRST, GOT);
    fixture_check_repeat(t);
  }
  set_order(0);
}

/* One setting, for all of its layers. */
static void check(const record *r, const setting *set) {
  fixture t;
  const setting s = choose_optimizer(r, set);
  fixture_create(&t, &s, r->early);
  poison_outputs(r, &t);
  for (int l = 0; l < (r->layered ? set->layers - 1 : 1); l++) {
    run_all(r, &t, l);
    r->check_double(&t, l, set->integers ? 0 : 1);
  }
  fixture_destroy(&t);
}

/* All pairs of width and batch, of width and inputs, of batch and inputs; the other
 * options are cycled through. */
enum { WIDTHS = 9, BATCHES = 8, INPUTS = 5, SHAPES = WIDTHS * BATCHES };

static setting edge_setting(int i) {
  static const int width[] = {1, 3, 16, 17, 32, 33, 64, 65, 100};
  static const int batch[] = {1, 7, 16, 17, 63, 64, 65, 130};
  static const int inputs[] = {1, 3, 4, 5, 33}, layers[] = {2, 3, 5}, slots[] = {1, 2, 5};
  const int b = i / WIDTHS;
  return (setting){.layers = layers[(i + b) % 3],
                   .width = width[i % WIDTHS],
                   .inputs = inputs[i % INPUTS],
                   .batch = batch[b],
                   .slots = slots[(i / 3 + b) % 3],
                   .activation = (i + b) % ACTIVATIONS,
                   .loss = (i + b / 3) % 3,
                   .modes = 1 + i % 4,
                   .optimizer = i % (OPTIMIZERS + 1),
                   .random_directions = (i + b / 2) % 2,
                   .normalized = b % 2,
                   .compensated = i % 2,
                   .states = i};
}

static void equals_the_host_reference_at_edge_shapes(void **state) {
  for (int i = 0; i < SHAPES; i++) {
    const setting s = edge_setting(i);
    check(*state, &s);
  }
}

static void is_exact_on_small_integers(void **state) {
  for (int i = 0; i < SHAPES; i++) {
    setting s = edge_setting(i);
    s.integers = true;
    s.normalized = false; /* 1/N is no small integer, nor is the logistic loss one */
    s.loss = i % 2 ? ESC_LOSS_SQUARED : ESC_LOSS_HUBER;
    check(*state, &s);
  }
}

static void supports_every_activation_loss_and_teacher(void **state) {
  for (int a = 0; a < ACTIVATIONS; a++)
    for (int loss = ESC_LOSS_SQUARED; loss < ESC_LOSSES; loss++)
      for (int random = 0; random < 2; random++) {
        const setting s = {.layers = 3,
                           .width = 19,
                           .inputs = 7,
                           .batch = 21,
                           .slots = 2,
                           .activation = a,
                           .loss = loss,
                           .modes = 1 + a % 7,
                           .random_directions = random,
                           .states = ALL_TRAIN};
        check(*state, &s);
      }
}

static void supports_the_largest_sizes(void **state) {
  static const setting largest[] = {
      {.layers = 3, .width = 30, .inputs = 5, .batch = 2 * ESC_ACCUMULATION_BLOCK + 90, .slots = 2},
      {.layers = 2, .width = 60, .inputs = 5, .batch = ESC_ACCUMULATION_BLOCK + 1, .slots = 2},
      {.layers = 2,
       .width = 90,
       .inputs = 5,
       .batch = 2 * ESC_ACCUMULATION_BLOCK + 130,
       .slots = 1},
      {.layers = ESC_LAYERS_MAX, .width = 3, .inputs = 2, .batch = 5, .slots = 9},
      {.layers = 2, .width = ESC_WIDTH_MAX, .inputs = 2, .batch = 3, .slots = 2},
      {.layers = 2, .width = 2, .inputs = ESC_INPUTS_MAX, .batch = 3, .slots = 2},
      {.layers = 2, .width = 5, .inputs = 70, .batch = 9, .slots = 3, .modes = ESC_MODES_MAX},
      {.layers = 2, .width = 3, .inputs = 2, .batch = 5, .slots = 37},
  };
  for (size_t i = 0; i < sizeof largest / sizeof largest[0]; i++) {
    setting s = largest[i];
    s.activation = ESC_ACTIVATION_TANH;
    s.modes = s.modes > 0 ? s.modes : 1;
    s.random_directions = true;
    s.states = 2 * (int)i;
    check(*state, &s);
  }
}

static const setting medium_setting = {.layers = 3,
                                       .width = 20,
                                       .inputs = 6,
                                       .batch = 70,
                                       .slots = 5,
                                       .activation = ESC_ACTIVATION_ERF,
                                       .modes = 2,
                                       .random_directions = true,
                                       .compensated = true,
                                       .states = ALL_TRAIN};

static void skip_because(const char *why) {
  print_message("skipped: %s\n", why);
  skip();
}

/* Bit for bit, except for the update mask. */
static void leaves_finished_networks_unchanged(void **state) {
  const record *r = *state;
  setting s = choose_optimizer(r, &medium_setting);
  fixture t;
  if (r->all_slots) skip_because("it works on all slots; nothing reads a finished network");
  s.states = ALL_FINISHED;
  fixture_create(&t, &s, r->early);
  poison_outputs(r, &t);
  for (int i = 0; i < s.slots; i++) t.chunk[BEFORE].update_mask[i] = 0;
  for (int l = 0; l < (r->layered ? s.layers - 1 : 1); l++) {
    run_once(r, &t, l);
    fixture_compare(&t, BEFORE);
  }
  fixture_destroy(&t);
}

/* Puts a NaN first among the slot's elements of the array. */
static void set_nan(fixture *t, int id, int slot) {
  array *a = &t->array[id];
  const size_t index = (size_t)slot * a->each;
  unsigned char *to = a->bytes[BEFORE] + GUARD;
  if (a->kind == FLOAT) ((float *)(void *)to)[index] = NAN;
  if (a->kind == DOUBLE) ((double *)(void *)to)[index] = (double)NAN;
}

/* All slots but one have the bits of FIRST; returns the number of NaNs in that slot's outputs. */
static int compare_others(const fixture *t, size_t slot, unsigned outputs) {
  int nans = 0;
  for (int id = 0; id < ARRAYS; id++) {
    const array *a = &t->array[id];
    for (size_t i = 0; i < a->count; i++)
      if (array_slot(a, i, t->set.slots) == slot)
        nans += (outputs >> id & 1) && element_is_nan(a, a->bytes[GOT], i);
      else if (!same_bits(a, i, a->bytes[GOT], a->bytes[FIRST]))
        fixture_fail(t, a->name, i);
  }
  return nans;
}

static void confines_a_nan_to_its_network(void **state) {
  const record *r = *state;
  fixture t;
  const setting s = choose_optimizer(r, &medium_setting);
  if (!r->nan_input) skip_because("it reads no reals");
  fixture_create(&t, &s, r->early);
  poison_outputs(r, &t);
  run_all(r, &t, 0);
  for (int id = 0; id < ARRAYS; id++)
    if (r->nan_input >> id & 1) set_nan(&t, id, 1);
  fixture_copy(&t, WANT, BEFORE);
  r->reference(&t, &t.chunk[WANT], 0);
  run_once(r, &t, 0);
  fixture_compare(&t, WANT);
  assert_true(compare_others(&t, 1, r->outputs) > 0);
  fixture_destroy(&t);
}

/* The loss of slot 1 is a NaN: that network has diverged, the others have not. */
static void check_diverged(fixture *t) {
  const record *r = records;
  while (r->reference != output_reference) r++;
  poison_outputs(r, t);
  run_all(r, t, 0);
  for (int i = 0; i < t->set.slots; i++) {
    const esc_track *got = &t->chunk[GOT].track[i];
    assert_true(i == 1 ? isnan(got->loss) : isfinite(got->loss));
    if (i == 1) assert_int_equal(got->status, ESC_MEMBER_DIVERGED);
    assert_int_equal(got->finished, i == 1);
    assert_int_equal(t->chunk[GOT].update_mask[i], i != 1);
    for (int k = 0; i == 1 && k < t->problem.thresholds; k++)
      assert_true(got->escape_step[k] == t->chunk[BEFORE].track[i].escape_step[k]);
  }
}

/* A NaN in a weight, a pre-activation or an input passes through every activation and loss. */
static void a_nan_marks_only_its_network_diverged(void **state) {
  static const int arrays[] = {ARRAY_w, ARRAY_z, ARRAY_x};
  (void)state;
  for (int a = 0; a < ACTIVATIONS; a++)
    for (int loss = ESC_LOSS_SQUARED; loss < ESC_LOSSES; loss++)
      for (int i = 0; i < 3; i++) {
        setting s = medium_setting;
        fixture t;
        s.layers = 2;
        s.batch = 20;
        s.activation = a;
        s.loss = loss;
        fixture_create(&t, &s, true);
        t.rules.thresholds = 1;
        t.rules.threshold[0] = -1; /* no network escapes */
        if (arrays[i] == ARRAY_w)
          t.chunk[BEFORE].w[weight_index(&t, 1, 1)] = (float)NAN;
        else
          set_nan(&t, arrays[i], 1);
        check_diverged(&t);
        fixture_destroy(&t);
      }
}

/* Properties, each tested for every record. */
static const struct property {
  const char *name;
  CMUnitTestFunction check;
} properties[] = {
#define PROPERTY(name) \
  { #name, name }
    PROPERTY(equals_the_host_reference_at_edge_shapes),   PROPERTY(is_exact_on_small_integers),
    PROPERTY(supports_every_activation_loss_and_teacher), PROPERTY(supports_the_largest_sizes),
    PROPERTY(leaves_finished_networks_unchanged),         PROPERTY(confines_a_nan_to_its_network),
#undef PROPERTY
};
enum { PROPERTIES = sizeof properties / sizeof properties[0] };

static int run_properties(void) {
  static char name[RECORDS * PROPERTIES][120];
  struct CMUnitTest tests[RECORDS * PROPERTIES + 1];
  for (int i = 0; i < RECORDS * PROPERTIES; i++) {
    const record *r = &records[i / PROPERTIES];
    const struct property *property = &properties[i % PROPERTIES];
    snprintf(name[i], sizeof name[i], "%s %s", r->kernel, property->name);
    tests[i] = (struct CMUnitTest){.name = name[i], .test_func = property->check};
    tests[i].initial_state = (void *)(uintptr_t)r;
  }
  tests[RECORDS * PROPERTIES] =
      (struct CMUnitTest)cmocka_unit_test(a_nan_marks_only_its_network_diverged);
  return cmocka_run_group_tests_name("kernels", tests, NULL, NULL);
}

int main(int argc, char **argv) {
  int devices = 0;
  if (argc == 2 && strcmp(argv[1], "--list") == 0) {
    for (int i = 0; i < RECORDS; i++) puts(records[i].kernel);
    return 0;
  }
  const cudaError_t error = cudaGetDeviceCount(&devices);
  if (error != cudaSuccess || devices == 0) {
    printf("skipped: no CUDA device: %s\n",
           error != cudaSuccess ? cudaGetErrorString(error) : "none is visible");
    return 77;
  }
  return run_properties();
}
