/* SPDX-License-Identifier: Apache-2.0 */
/* Every kernel alone, against its twin on the host bit by bit and against double.
 *
 * Each kernel is a record of the table below and has to keep every law; `--list`
 * prints the table's names, and check_kernel_table.py holds them against the
 * sources. Built twice: on the SIMT harness (ESC_SIMT), where threads and blocks
 * run in several orders, and for a device. */
#include "kernel_double.h"

#define ID(name) (1u << ARRAY_##name)

typedef struct record {
  const char *kernel; /* as in its source */
  cudaError_t (*launch)(const scene *t, int l);
  void (*twin)(const scene *t, esc_chunk *chunk, int l);
  void (*near_double)(const scene *t, int l, double slack);
  unsigned outputs; /* poisoned before; w, compensation and track are changed in place */
  unsigned spoils;  /* an array in which a NaN is to be seen in the outputs; 0: none is */
  bool layered;     /* launched for each hidden layer */
  bool early;       /* track.finished tells who rests, not `update_mask` */
  bool all_slots;   /* works on those that rest, too */
} record;

/* The problem and the chunk go by value when it is launched; the rules too. */
#define LAUNCHER(name, call)                         \
  static cudaError_t name(const scene *t, int l) {   \
    const esc_device_problem p = scene_on_device(t); \
    (void)l;                                         \
    return call;                                     \
  }
LAUNCHER(launch_inputs, esc_launch_inputs(&p, &t->d_chunk, t->stream))
LAUNCHER(launch_activate, esc_launch_activate(&p, &t->d_chunk, l, t->stream))
LAUNCHER(launch_output, esc_launch_output(&p, &t->rules, &t->d_chunk, t->stream))
LAUNCHER(launch_output_gradient, esc_launch_output_gradient(&p, &t->d_chunk, t->stream))
LAUNCHER(launch_delta, esc_launch_delta(&p, &t->d_chunk, l, t->stream))
LAUNCHER(launch_update, esc_launch_update(&p, &t->d_chunk, t->stream))
LAUNCHER(launch_ledger, esc_launch_ledger(&p, &t->rules, &t->d_chunk, t->stream))

static const record records[] = {
    {.kernel = "esc_inputs_kernel",
     .launch = launch_inputs,
     .twin = inputs_twin,
     .near_double = inputs_double,
     .outputs = ID(x),
     .early = true},
    {.kernel = "esc_activate_kernel",
     .launch = launch_activate,
     .twin = activate_twin,
     .near_double = activate_double,
     .outputs = ID(h),
     .spoils = ID(z),
     .layered = true,
     .all_slots = true},
    {.kernel = "esc_output_kernel",
     .launch = launch_output,
     .twin = output_twin,
     .near_double = output_double,
     .outputs = ID(h) | ID(dloss) | ID(update_mask),
     .spoils = ID(x),
     .early = true},
    {.kernel = "esc_output_gradient_kernel",
     .launch = launch_output_gradient,
     .twin = output_gradient_twin,
     .near_double = output_gradient_double,
     .outputs = ID(g),
     .spoils = ID(dloss)},
    {.kernel = "esc_delta_kernel",
     .launch = launch_delta,
     .twin = delta_twin,
     .near_double = delta_double,
     .outputs = ID(delta) | ID(tile),
     .spoils = ID(z),
     .layered = true},
    {.kernel = "esc_update_kernel",
     .launch = launch_update,
     .twin = update_twin,
     .near_double = update_double,
     .outputs = ID(grad_norm_sq) | ID(nonzero_updates) | ID(rounded_away),
     .spoils = ID(g)},
    {.kernel = "esc_ledger_kernel",
     .launch = launch_ledger,
     .twin = ledger_twin,
     .near_double = ledger_double,
     .outputs = ID(deficit),
     .spoils = ID(tile)},
};
enum { RECORDS = sizeof records / sizeof records[0] };

#ifdef ESC_SIMT
static const char *const orders[] = {"forward", "reverse", "shuffled:1", "shuffled:2"};
enum { RUNS = sizeof orders / sizeof orders[0] };

static void set_order(int run) { assert_int_equal(esc_simt_set_order(orders[run]), 0); }
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

/* Runs the kernel on what the scene holds; leaves what came back. */
static void run_once(const record *r, scene *t, int l) {
  const int64_t before = launches(r);
  scene_upload(t);
  assert_cuda(r->launch(t, l));
  scene_download(t);
  if (launches(r) > before) return;
  print_error("%s did not run\n", r->kernel);
  fail();
}

static void poison_outputs(const record *r, scene *t) {
  for (int id = 0; id < ARRAYS; id++)
    if (r->outputs >> id & 1) scene_poison(t, id);
}

/* In every order the bits of the twin, and always the same ones. */
static void run_all(const record *r, scene *t, int l) {
  scene_copy(t, WANT, BEFORE);
  r->twin(t, &t->chunk[WANT], l);
  for (int run = 0; run < RUNS; run++) {
    set_order(run);
    run_once(r, t, l);
    scene_compare(t, WANT);
    if (run == 0) scene_copy(t, FIRST, GOT);
    scene_repeats(t);
  }
  set_order(0);
}

/* One setting, at all of its layers. */
static void check(const record *r, const setting *set) {
  scene t;
  scene_open(&t, set, r->early);
  poison_outputs(r, &t);
  for (int l = 0; l < (r->layered ? set->layers - 1 : 1); l++) {
    run_all(r, &t, l);
    r->near_double(&t, l, set->integers ? 0 : 1);
  }
  scene_close_all(&t);
}

/* All pairs of width and batch, of width and inputs, of batch and inputs; what else
 * there is takes turns. */
enum { WIDTHS = 9, BATCHES = 8, INPUTS = 5, SHAPES = WIDTHS * BATCHES };

static setting awkward(int i) {
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
                   .random_directions = (i + b / 2) % 2,
                   .normalized = b % 2,
                   .compensated = i % 2,
                   .states = i};
}

static void has_the_canonical_bits_near_double_at_awkward_shapes(void **state) {
  for (int i = 0; i < SHAPES; i++) {
    const setting s = awkward(i);
    check(*state, &s);
  }
}

static void is_exact_on_small_integers(void **state) {
  for (int i = 0; i < SHAPES; i++) {
    setting s = awkward(i);
    s.integers = true;
    s.normalized = false; /* 1/N is no small integer, nor is the logistic loss one */
    s.loss = i % 2 ? ESC_LOSS_SQUARED : ESC_LOSS_HUBER;
    check(*state, &s);
  }
}

static void takes_every_activation_loss_and_teacher(void **state) {
  for (int a = 0; a < ACTIVATIONS; a++)
    for (int loss = ESC_LOSS_SQUARED; loss <= ESC_LOSS_HUBER; loss++)
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

static void takes_the_largest_of_everything(void **state) {
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

static const setting middling = {.layers = 3,
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

/* Bit for bit, but for `update_mask`, which says so. */
static void leaves_networks_alone_that_rest(void **state) {
  const record *r = *state;
  setting s = middling;
  scene t;
  if (r->all_slots) skip_because("it works on all slots, a network that rests is not read");
  s.states = ALL_REST;
  scene_open(&t, &s, r->early);
  poison_outputs(r, &t);
  for (int i = 0; i < s.slots; i++) t.chunk[BEFORE].update_mask[i] = 0;
  for (int l = 0; l < (r->layered ? s.layers - 1 : 1); l++) {
    run_once(r, &t, l);
    scene_compare(&t, BEFORE);
  }
  scene_close_all(&t);
}

/* Puts a NaN first among slot's elements of the array. */
static void spoil(scene *t, int id, int slot) {
  array *a = &t->array[id];
  const size_t at = (size_t)slot * a->each;
  unsigned char *to = a->bytes[BEFORE] + GUARD;
  if (a->kind == FLOAT) ((float *)(void *)to)[at] = NAN;
  if (a->kind == DOUBLE) ((double *)(void *)to)[at] = (double)NAN;
}

/* What came back is what FIRST holds for all slots but one; how many NaNs are in that. */
static int compare_others(const scene *t, size_t slot, unsigned outputs) {
  int nans = 0;
  for (int id = 0; id < ARRAYS; id++) {
    const array *a = &t->array[id];
    for (size_t i = 0; i < a->count; i++)
      if (array_slot(a, i, t->set.slots) == slot)
        nans += (outputs >> id & 1) && element_is_nan(a, a->bytes[GOT], i);
      else if (!same_bits(a, i, a->bytes[GOT], a->bytes[FIRST]))
        scene_fail(t, a->name, i);
  }
  return nans;
}

static void keeps_a_nan_within_its_network(void **state) {
  const record *r = *state;
  scene t;
  if (!r->spoils) skip_because("it reads no reals");
  scene_open(&t, &middling, r->early);
  poison_outputs(r, &t);
  run_all(r, &t, 0);
  for (int id = 0; id < ARRAYS; id++)
    if (r->spoils >> id & 1) spoil(&t, id, 1);
  scene_copy(&t, WANT, BEFORE);
  r->twin(&t, &t.chunk[WANT], 0);
  run_once(r, &t, 0);
  scene_compare(&t, WANT);
  assert_true(compare_others(&t, 1, r->outputs) > 0);
  scene_close_all(&t);
}

/* The loss of slot 1 is lost: it has diverged, the others have not. */
static void check_diverged(scene *t) {
  const record *r = records;
  while (r->twin != output_twin) r++;
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

/* A weight, a pre-activation and an input; every activation and loss lets it through. */
static void a_nan_marks_its_network_diverged_and_no_other(void **state) {
  static const int arrays[] = {ARRAY_w, ARRAY_z, ARRAY_x};
  (void)state;
  for (int a = 0; a < ACTIVATIONS; a++)
    for (int loss = ESC_LOSS_SQUARED; loss <= ESC_LOSS_HUBER; loss++)
      for (int i = 0; i < 3; i++) {
        setting s = middling;
        scene t;
        s.layers = 2;
        s.batch = 20;
        s.activation = a;
        s.loss = loss;
        scene_open(&t, &s, true);
        t.rules.thresholds = 1;
        t.rules.threshold[0] = -1; /* nobody escapes */
        if (arrays[i] == ARRAY_w)
          t.chunk[BEFORE].w[weight_at(&t, 1, 1)] = (float)NAN;
        else
          spoil(&t, arrays[i], 1);
        check_diverged(&t);
        scene_close_all(&t);
      }
}

/* The laws, each for every record. */
static const struct law {
  const char *name;
  CMUnitTestFunction check;
} laws[] = {
#define LAW(name) \
  { #name, name }
    LAW(has_the_canonical_bits_near_double_at_awkward_shapes),
    LAW(is_exact_on_small_integers),
    LAW(takes_every_activation_loss_and_teacher),
    LAW(takes_the_largest_of_everything),
    LAW(leaves_networks_alone_that_rest),
    LAW(keeps_a_nan_within_its_network),
#undef LAW
};
enum { LAWS = sizeof laws / sizeof laws[0] };

static int run_laws(void) {
  static char name[RECORDS * LAWS][120];
  struct CMUnitTest tests[RECORDS * LAWS + 1];
  for (int i = 0; i < RECORDS * LAWS; i++) {
    const record *r = &records[i / LAWS];
    const struct law *law = &laws[i % LAWS];
    snprintf(name[i], sizeof name[i], "%s %s", r->kernel, law->name);
    tests[i] = (struct CMUnitTest){.name = name[i], .test_func = law->check};
    tests[i].initial_state = (void *)(uintptr_t)r;
  }
  tests[RECORDS * LAWS] =
      (struct CMUnitTest)cmocka_unit_test(a_nan_marks_its_network_diverged_and_no_other);
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
           error != cudaSuccess ? cudaGetErrorString(error) : "none is there");
    return 77;
  }
  return run_laws();
}
