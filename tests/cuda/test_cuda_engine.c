/* SPDX-License-Identifier: Apache-2.0 */
/* The CUDA engine: its results against the CPU engine's, its memory, and failures of the device.
 * Built twice: on the SIMT harness (ESC_SIMT) and for a device. */
#include "cpu/cpu.h"
#include "cuda/chunk.h"
#include "cuda/cuda.h"
#include "optimizers.h"
#include "problems.h"
#ifdef ESC_SIMT
#include "esc_simt.h"
#endif

#ifdef ESC_SIMT
enum { FUSED_STEPS = 5 }; /* a step on the harness is slow */
#else
enum { FUSED_STEPS = 400 };
#endif

/* Trains members with seeds 1..count together, `block` steps a call of advance. */
static esc_results *train(const esc_engine_ops *engine, const esc_problem *p, int count,
                          int64_t block) {
  const atomic_bool stop = false;
  const esc_engine_setup setup = {.slots = count, .threads = 2};
  esc_results *r = NULL;
  void *e = NULL;
  int running = count;
  esc_assert_ok(esc_results_create(count, p->thresholds, p->shape.layers, &r));
  esc_assert_ok(engine->create(engine, p, &setup, &e));
  for (int i = 0; i < count; i++) {
    const esc_member m = member_make((uint64_t)i + 1, 1, 0.5);
    esc_assert_ok(engine->load(e, i, &m));
  }
  while (running > 0) {
    esc_assert_ok(engine->advance(e, block, &stop));
    running = 0;
    for (int i = 0; i < count; i++) running += !esc_slot_finished(engine->slot(e, i));
  }
  for (int i = 0; i < count; i++) esc_assert_ok(engine->report(e, i, r, i));
  engine->destroy(e);
  return r;
}

static esc_problem escape_problem(int layers, int width, int inputs, int batch) {
  esc_problem p = problem_make(layers, width, inputs, batch);
  p.steps = 3000;
  p.smoothing = 0.9;
  p.thresholds = 2;
  p.threshold[0] = 0.15;
  p.threshold[1] = 0.08;
  return p;
}

static bool same_bits(const esc_results *a, const esc_results *b) {
  for (int i = 0; i < esc_result_variable_count; i++) {
    const esc_result_variable *v = &esc_result_variables[i];
    const size_t size =
        (size_t)a->members * (size_t)esc_axis_length(a, v->axis) * esc_type_size(v->type);
    if (memcmp(esc_result_data(a, v), esc_result_data(b, v), size) != 0) {
      print_message("differs: %s\n", v->name);
      return false;
    }
  }
  return true;
}

/* Steps of a block of advance(). */
typedef struct block_steps {
  int64_t cpu, cuda;
} block_steps;

/* Checks that `count` networks have the same bits in the CPU engine and in `engine`. */
static void check_same_as_cpu(const esc_engine_ops *engine, const esc_problem *p, int count,
                              block_steps block) {
  esc_results *cpu = train(&esc_cpu_engine, p, count, block.cpu);
  esc_results *cuda = train(engine, p, count, block.cuda);
  assert_true(same_bits(cpu, cuda));
  esc_results_free(cpu);
  esc_results_free(cuda);
}

/* Shapes of the fused paths: every padded width, in the kernel for networks without padding and in
 * that for others; fewer inputs than features, as many, and several panels of them; part of a tile
 * of samples, one tile and several. */
static const struct {
  int layers, width, inputs, batch, simt_steps;
} fused_shapes[] = {{2, 16, 16, 64, 12}, {3, 8, 5, 130, 6},  {4, 32, 32, 7, 8},  {3, 12, 37, 70, 3},
                    {3, 33, 30, 200, 2}, {3, 48, 48, 70, 2}, {2, 1, 1, 65, 8},   {3, 64, 66, 65, 2},
                    {3, 11, 14, 130, 3}, {2, 13, 13, 70, 3}, {3, 27, 32, 65, 2}, {3, 64, 64, 65, 2},
                    {3, 8, 8, 130, 6},   {3, 12, 12, 70, 3}};
enum { FUSED_SHAPES = sizeof fused_shapes / sizeof fused_shapes[0] };

static esc_problem fused_problem(int i, esc_update update) {
  esc_problem p = escape_problem(fused_shapes[i].layers, fused_shapes[i].width,
                                 fused_shapes[i].inputs, fused_shapes[i].batch);
  p.update = update;
  p.teacher.modes = i == 6 ? 1 : 1 + i % 3;
  p.teacher.amplitude[1] = p.teacher.amplitude[2] = 0.5;
  p.teacher.directions = (esc_directions)(i / 2 % 2);
  p.steps = FUSED_STEPS;
  return p;
}

/* Every sum of path fused has the order of order.h, on a device too. */
static void path_fused_equals_the_cpu_engine_bit_for_bit(void **state) {
  (void)state;
  for (int i = 0; i < FUSED_SHAPES; i++)
    for (int update = i < 2 ? ESC_UPDATE_PLAIN : ESC_UPDATE_COMPENSATED;
         update <= ESC_UPDATE_COMPENSATED; update++) {
      esc_problem p = fused_problem(i, (esc_update)update);
      check_same_as_cpu(&esc_cuda_fused_engine, &p, 2, (block_steps){50, 4});
#ifdef ESC_SIMT
      assert_true(esc_simt_launches("esc_fused_kernel") > 0);
#endif
      problem_free(&p);
    }
}

/* Panels of 8 and 12 inputs do not start at a multiple of ESC_PARTIALS. At this rate |G_1|^2 is
 * most of the ledger, so that its last bit is seen. */
static void sums_over_the_first_layer_do_not_depend_on_its_panels(void **state) {
  (void)state;
  for (int width = 5; width <= 9; width += 4) {
    esc_problem p = escape_problem(2, width, 120, 3);
    p.rate = 10;
    p.steps = 3;
    check_same_as_cpu(&esc_cuda_fused_engine, &p, 16, (block_steps){50, 3});
    problem_free(&p);
  }
}

/* Momentum, weight decay and Adam too, in networks of one panel of inputs and of several. */
static void path_fused_equals_it_with_every_optimizer(void **state) {
  (void)state;
  for (int i = 0; i < OPTIMIZERS; i++) {
    esc_problem p = i % 2 ? escape_problem(2, 12, 37, 9) : escape_problem(3, 16, 5, 20);
    p.optimizer = optimizers[i].optimizer;
    p.metric = (esc_metric)(i / 2 % 2);
    p.update = (esc_update)(i % 3 > 0);
    p.rate = 0.01;
    p.steps = FUSED_STEPS;
    check_same_as_cpu(&esc_cuda_fused_engine, &p, 2, (block_steps){50, 3});
    problem_free(&p);
  }
}

/* With padding: sigma(0) is not 0 for all. */
static void path_fused_equals_it_for_every_activation_and_loss(void **state) {
  (void)state;
  for (int a = 0; a < ACTIVATIONS; a++) {
    esc_problem p = escape_problem(3, 13, 19, 70);
    problem_activation(&p, activation_names[a]);
    p.loss = (esc_loss_kind)(a % 3);
    p.metric = (esc_metric)(a % 2);
    p.rate = 0.01;
    p.steps = FUSED_STEPS;
    check_same_as_cpu(&esc_cuda_fused_engine, &p, 2, (block_steps){17, 3});
    problem_free(&p);
  }
}

/* The largest residual of the ledger, relative to its gross (docs/theory, section 1.5); 0 before
 * the first update. */
static double ledger_error(const esc_results *r, int interfaces) {
  double worst = 0;
  for (int k = 0; k < r->members * interfaces; k++) {
    const double gross = r->ledger_gross[k];
    const double error = fabs(r->ledger_residual[k]) / (gross == 0 ? 1 : gross);
    if (!(error <= worst)) worst = error;
  }
  return worst;
}

/* The same outcomes; losses and weights to a few roundings of float, and a residual of the ledger
 * of the same size. */
static void assert_close_results(const esc_problem *p, const esc_results *want,
                                 const esc_results *got) {
  const int layers = p->shape.layers, interfaces = layers - 1;
  for (int i = 0; i < want->members; i++) {
    assert_int_equal(got->status[i], want->status[i]);
    assert_int_equal(got->steps_run[i], want->steps_run[i]);
    esc_assert_close(got->signal_initial[i], want->signal_initial[i], 0, 0);
    esc_assert_close(got->final_loss[i], want->final_loss[i], 0, 1e-5);
    for (int k = i * layers; k < (i + 1) * layers; k++)
      esc_assert_close(got->norm2_final[k], want->norm2_final[k], 0, 1e-6);
  }
  esc_assert_close(ledger_error(got, interfaces), 0, 5 * ledger_error(want, interfaces) + 1e-8, 0);
}

/* Matrix products in another order and with another rounding, but of the same accuracy. Measured
 * differences: 1e-6 of the loss, 1e-8 of the weights, 4e-9 of the ledger. */
static void path_fused_3xtf32_is_near_the_cpu_engine(void **state) {
  (void)state;
  for (int i = 0; i < FUSED_SHAPES; i++) {
    esc_problem p = fused_problem(i, (esc_update)(i % 2));
    if (FUSED_STEPS < 100) p.steps = fused_shapes[i].simt_steps;
    esc_results *cpu = train(&esc_cpu_engine, &p, 2, 50);
    esc_results *cuda = train(&esc_cuda_fused_3xtf32_engine, &p, 2, 77);
#ifdef ESC_SIMT
    assert_true(esc_simt_launches("esc_fused_kernel") > 0);
#endif
    assert_false(same_bits(cpu, cuda)); /* those are path fused's */
    assert_close_results(&p, cpu, cuda);
    esc_results_free(cpu);
    esc_results_free(cuda);
    problem_free(&p);
  }
}

static void path_fused_3xtf32_supports_every_activation_and_loss(void **state) {
  (void)state;
  for (int a = 0; a < ACTIVATIONS; a++) {
    esc_problem p = escape_problem(3, 13, 19, 70);
    problem_activation(&p, activation_names[a]);
    p.loss = (esc_loss_kind)(a % 3);
    p.metric = (esc_metric)(a % 2);
    p.update = ESC_UPDATE_COMPENSATED;
    p.rate = 0.01;
    p.steps = FUSED_STEPS;
    esc_results *cpu = train(&esc_cpu_engine, &p, 2, 17);
    esc_results *cuda = train(&esc_cuda_fused_3xtf32_engine, &p, 2, 3);
    assert_close_results(&p, cpu, cuda);
    esc_results_free(cpu);
    esc_results_free(cuda);
    problem_free(&p);
  }
}

/* Results do not depend on the chunk's size, the other networks of the chunk, or the number of
 * steps a launch. */
static void path_fused_3xtf32_does_not_depend_on_other_networks(void **state) {
  (void)state;
  static const struct {
    const char *chunk;
    int64_t block;
  } other[] = {{"1", 4}, {"5", 3}, {"16", 1}};
  esc_problem p = escape_problem(3, 20, 20, 70);
  p.steps = 4;
  p.update = ESC_UPDATE_COMPENSATED;
  esc_results *first = train(&esc_cuda_fused_3xtf32_engine, &p, 5, 4); /* in chunks of 2 */
  for (size_t i = 0; i < sizeof other / sizeof other[0]; i++) {
    setenv("ESCAPEMENT_CUDA_CHUNK", other[i].chunk, 1);
    esc_results *again = train(&esc_cuda_fused_3xtf32_engine, &p, 5, other[i].block);
    setenv("ESCAPEMENT_CUDA_CHUNK", "2", 1);
    assert_true(same_bits(first, again));
    esc_results_free(again);
  }
  esc_results *alone = train(&esc_cuda_fused_3xtf32_engine, &p, 1, 4);
  assert_true(alone->final_loss[0] == first->final_loss[0]);
  assert_true(alone->ledger_residual[0] == first->ledger_residual[0]);
  esc_results_free(alone);
  esc_results_free(first);
  problem_free(&p);
}

/* Weights that overflow float end a network, by NaN or infinity. */
static void path_fused_3xtf32_detects_divergence(void **state) {
  (void)state;
  esc_problem p = escape_problem(3, 16, 8, 20);
  problem_activation(&p, "linear");
  p.rate = 1000;
  p.steps = 40;
  esc_results *cpu = train(&esc_cpu_engine, &p, 3, 10);
  esc_results *cuda = train(&esc_cuda_fused_3xtf32_engine, &p, 3, 10);
  for (int i = 0; i < 3; i++) {
    assert_int_equal(cpu->status[i], ESC_MEMBER_DIVERGED);
    assert_int_equal(cuda->status[i], ESC_MEMBER_DIVERGED);
    assert_true(llabs(cuda->steps_run[i] - cpu->steps_run[i]) <= 1);
  }
  esc_results_free(cpu);
  esc_results_free(cuda);
  problem_free(&p);
}

static void path_fused_is_selected_if_the_shape_fits(void **state) {
  (void)state;
  static const struct {
    int layers, width, inputs, batch;
    bool fits;
    const char *why;
  } shape[] = {{6, 32, 32, 64, true, ""},
               {6, 64, 64, 512, true, ""},
               {8, 32, 16, 64, true, ""},
               {6, 33, 33, 64, true, ""},
               {6, 32, 300, 64, true, ""},
               {2, 1, 1, 1, true, ""},
               {8, 64, 64, 64, false, "8 layers of width 64 with 64 inputs need"},
               {6, 32, 400, 64, false, "6 layers of width 32 with 400 inputs need"},
               {2, 65, 4, 64, false, "network.width is 65; allowed: at most 64"},
               {6, 16, 16, 2000, false, "train.batch is 2000; allowed: at most 1024"}};
  for (size_t i = 0; i < sizeof shape / sizeof shape[0]; i++) {
    const esc_engine_ops *engine = NULL;
    esc_problem p = problem_make(shape[i].layers, shape[i].width, shape[i].inputs, shape[i].batch);
    esc_assert_ok(esc_cuda_select(&p, 0, NULL, false, &engine));
    assert_ptr_equal(engine, shape[i].fits ? &esc_cuda_fused_engine : &esc_cuda_cublas_engine);
    assert_int_equal(esc_cuda_select(&p, 0, "fused", false, &engine),
                     shape[i].fits ? ESC_OK : ESC_BAD_INPUT);
    assert_int_equal(esc_cuda_select(&p, 0, "fused-3xtf32", false, &engine),
                     shape[i].fits ? ESC_OK : ESC_BAD_INPUT);
    if (shape[i].fits)
      assert_ptr_equal(engine, &esc_cuda_fused_3xtf32_engine);
    else
      assert_non_null(strstr(esc_error_message(), shape[i].why));
    assert_int_equal(esc_cuda_select(&p, 0, "fused-3xtf32", true, &engine), ESC_BAD_INPUT);
    assert_non_null(strstr(esc_error_message(), "--path fused-3xtf32: needs --precision fp32"));
    esc_assert_ok(esc_cuda_select(&p, 0, "cublas", false, &engine));
    assert_ptr_equal(engine, &esc_cuda_cublas_engine);
    problem_free(&p);
  }
}

/* Path fused pads a width of 8 less than fused-3xtf32 does. */
static void a_deep_narrow_network_fits_path_fused_alone(void **state) {
  (void)state;
  const esc_engine_ops *engine = NULL;
  esc_problem p = problem_make(60, 8, 8, 64);
  esc_assert_ok(esc_cuda_select(&p, 0, NULL, false, &engine));
  assert_ptr_equal(engine, &esc_cuda_fused_engine);
  assert_int_equal(esc_cuda_select(&p, 0, "fused-3xtf32", false, &engine), ESC_BAD_INPUT);
  assert_non_null(strstr(esc_error_message(), "60 layers of width 8"));
  problem_free(&p);
}

#ifdef ESC_SIMT
/* The harness's cuBLAS makes one sum over all samples. Up to one K-slice of a tile that is the
 * order of order.h; then everything else must have that order, too. */
static void whole_runs_equal_the_cpu_engine_bit_for_bit(void **state) {
  (void)state;
  static const struct {
    int layers, width, inputs, batch;
  } shape[] = {{2, 5, 3, 16}, {4, 12, 6, 16}, {3, 40, 7, 32}, {3, 70, 4, 64}};
  for (size_t i = 0; i < sizeof shape / sizeof shape[0]; i++)
    for (int update = ESC_UPDATE_PLAIN; update <= ESC_UPDATE_COMPENSATED; update++) {
      esc_problem p =
          escape_problem(shape[i].layers, shape[i].width, shape[i].inputs, shape[i].batch);
      p.update = (esc_update)update;
      p.steps = 24;
      check_same_as_cpu(&esc_cuda_cublas_engine, &p, 3, (block_steps){50, 50});
      problem_free(&p);
    }
}

static void every_activation_loss_and_teacher_equals_the_cpu_engine(void **state) {
  (void)state;
  for (int a = 0; a < ACTIVATIONS; a++) {
    esc_problem p = escape_problem(3, 9, 5, 16);
    problem_activation(&p, activation_names[a]);
    p.loss = (esc_loss_kind)(a % 3);
    p.metric = (esc_metric)(a % 2);
    p.teacher.modes = 1 + a % 3;
    p.teacher.amplitude[1] = -0.6;
    p.teacher.amplitude[2] = 0.3;
    p.teacher.directions = (esc_directions)(a / 2 % 2);
    p.rate = 0.01;
    p.steps = 18;
    check_same_as_cpu(&esc_cuda_cublas_engine, &p, 2, (block_steps){17, 17});
    problem_free(&p);
  }
}

/* Kernel that trains a network of two layers. */
static const void *kernel_of(const esc_engine_ops *engine, int width, int inputs) {
  esc_problem p = escape_problem(2, width, inputs, 1);
  p.steps = 1;
  esc_results_free(train(engine, &p, 1, 1));
  problem_free(&p);
  return esc_simt_latest_kernel();
}

static void networks_without_padding_have_kernels_of_their_own(void **state) {
  (void)state;
  static const int widths[] = {64, 48, 32, 16, 12, 8}; /* fused-3xtf32: the first four */
  const esc_engine_ops *const engines[] = {&esc_cuda_fused_engine, &esc_cuda_fused_3xtf32_engine};
  for (int i = 0; i < 10; i++) {
    const esc_engine_ops *engine = engines[i / 6];
    const int n = widths[i % 6];
    const void *padded = kernel_of(engine, n, n - 1);
    assert_ptr_equal(kernel_of(engine, n - 1, n), padded);
    assert_ptr_equal(kernel_of(engine, n, n + 1), padded);
    assert_ptr_not_equal(kernel_of(engine, n, n), padded);
  }
}

/* CUDA does not define the order of threads, blocks and streams. */
static void check_orders(const esc_engine_ops *engine, const esc_problem *p) {
  static const char *const orders[] = {"reverse", "shuffled:1"};
  esc_results *forward = train(engine, p, 3, 20); /* two chunks on two streams */
  for (int i = 0; i < 2; i++) {
    assert_int_equal(esc_simt_set_order(orders[i]), 0);
    esc_results *other = train(engine, p, 3, 20);
    assert_true(same_bits(forward, other));
    esc_results_free(other);
  }
  esc_simt_reset();
  esc_results_free(forward);
}

static void results_do_not_depend_on_the_order_of_execution(void **state) {
  (void)state;
  esc_problem p = escape_problem(3, 9, 5, 70);
  p.steps = 18; /* a graph of 16 steps and graphs of one */
  check_orders(&esc_cuda_cublas_engine, &p);
  problem_free(&p);
  p = escape_problem(4, 13, 19, 130); /* two panels of inputs, three tiles of samples */
  p.steps = 2;
  check_orders(&esc_cuda_fused_engine, &p);
  check_orders(&esc_cuda_fused_3xtf32_engine, &p);
  problem_free(&p);
  p = escape_problem(3, 64, 40, 65); /* two K-slices, more warps */
  p.steps = 1;
  check_orders(&esc_cuda_fused_engine, &p);
  check_orders(&esc_cuda_fused_3xtf32_engine, &p);
  problem_free(&p);
}

/* Fails each runtime call of a short run in turn: the result is an error, never a crash, a leak or
 * a success. */
static void check_failing_calls(const esc_engine_ops *engine, int width, int64_t calls) {
  const atomic_bool stop = false;
  const esc_engine_setup setup = {.slots = 3, .threads = 1}; /* two chunks */
  const esc_member m = member_make(1, 1, 0.5);
  esc_problem p = escape_problem(3, width, 4, 8);
  esc_results *r = NULL;
  p.steps = 18;
  esc_assert_ok(esc_results_create(1, p.thresholds, p.shape.layers, &r));
  void *state = malloc(engine->state_size(&p));
  assert_non_null(state);
  bool failed = true;
  int64_t nth = 0;
  while (failed) {
    void *e = NULL;
    esc_simt_fail_at(++nth, cudaErrorMemoryAllocation);
    esc_status status = engine->create(engine, &p, &setup, &e);
    if (status == ESC_OK) status = engine->load(e, 0, &m);
    if (status == ESC_OK) status = engine->advance(e, 17, &stop);
    if (status == ESC_OK) status = engine->advance(e, 17, &stop);
    if (status == ESC_OK) status = engine->save(e, 0, state);
    if (status == ESC_OK) status = engine->restore(e, 1, &m, state);
    if (status == ESC_OK) status = engine->report(e, 0, r, 0);
    failed = status != ESC_OK;
    if (failed) assert_non_null(strstr(esc_error_message(), "cu"));
    esc_simt_fail_at(0, cudaSuccess);
    engine->destroy(e);
    if (esc_simt_live() != 0)
      print_message("after a failure of call %lld: %s\n", (long long)nth, esc_error_message());
    assert_int_equal(esc_simt_live(), 0);
  }
  assert_true(nth > calls); /* every call was reached */
  free(state);
  esc_results_free(r);
  problem_free(&p);
}

static void every_failing_call_is_reported_by_name(void **state) {
  (void)state;
  check_failing_calls(&esc_cuda_cublas_engine, 4, 60);
  check_failing_calls(&esc_cuda_fused_3xtf32_engine, 16, 20);
}

/* `auto` warns of a driver that fails, not of a machine without a device. */
static void a_driver_that_fails_is_told_from_no_device(void **state) {
  (void)state;
  char why[200] = "";
  assert_false(esc_cuda_is_broken(0, why, sizeof why));
  esc_simt_fail_at(1, cudaErrorInsufficientDriver);
  assert_true(esc_cuda_is_broken(0, why, sizeof why));
  assert_non_null(strstr(why, "driver"));
  esc_simt_set_devices(0);
  assert_false(esc_cuda_is_broken(0, why, sizeof why));
  esc_simt_reset();
}

static void code_runs_on_its_major_version_and_ptx_on_later_ones(void **state) {
  (void)state;
  assert_true(esc_cuda_code_runs_on("80-real;90", 8, 0));
  assert_true(esc_cuda_code_runs_on("80-real;90", 8, 9));
  assert_true(esc_cuda_code_runs_on("80-real;90", 12, 0));
  assert_false(esc_cuda_code_runs_on("80-real;90", 7, 5));
  assert_false(esc_cuda_code_runs_on("80-real;90-real", 10, 0));
  assert_false(esc_cuda_code_runs_on("86-real", 8, 0));
  assert_true(esc_cuda_code_runs_on("75-virtual", 8, 0));
  assert_true(esc_cuda_code_runs_on("90a", 9, 0));
  assert_false(esc_cuda_code_runs_on("90a", 10, 0));
  assert_true(esc_cuda_code_runs_on("native", 7, 5));
}

static void check_bytes(const esc_engine_ops *engine, int width) {
  esc_problem p = escape_problem(4, width, 7, 100);
  const esc_engine_setup setup = {.slots = 9, .threads = 1};
  const double bytes = engine->bytes(engine, &p, &setup).device;
  void *e = NULL;
  esc_simt_set_memory((size_t)bytes + 4096);
  esc_assert_ok(engine->create(engine, &p, &setup, &e));
  engine->destroy(e);
  esc_simt_set_memory((size_t)(0.9 * bytes));
  assert_int_equal(engine->create(engine, &p, &setup, &e), ESC_NO_MEMORY);
  assert_non_null(strstr(esc_error_message(), "fewer --slots"));
  esc_simt_reset();
  problem_free(&p);
}

static void bytes_equal_what_create_allocates(void **state) {
  (void)state;
  check_bytes(&esc_cuda_cublas_engine, 33);
  check_bytes(&esc_cuda_fused_engine, 33);
  check_bytes(&esc_cuda_fused_3xtf32_engine, 5);
}

/* Runtime calls of a sweep of `count` networks in one chunk, all of which are saved once. */
static int64_t count_calls(int count) {
  const atomic_bool stop = false;
  const esc_engine_setup setup = {.slots = count, .threads = 8};
  const int64_t before = esc_simt_calls();
  esc_problem p = escape_problem(2, 3, 2, 4);
  esc_results *r = NULL;
  void *e = NULL, *state = malloc(esc_cuda_fused_engine.state_size(&p));
  assert_non_null(state);
  p.steps = 2;
  esc_assert_ok(esc_results_create(count, p.thresholds, p.shape.layers, &r));
  esc_assert_ok(esc_cuda_fused_engine.create(&esc_cuda_fused_engine, &p, &setup, &e));
  for (int i = 0; i < count; i++) {
    const esc_member m = member_make((uint64_t)i + 1, 1, 0.5);
    esc_assert_ok(esc_cuda_fused_engine.load(e, i, &m));
  }
  esc_assert_ok(esc_cuda_fused_engine.advance(e, 1, &stop));
  for (int i = 0; i < count; i++) esc_assert_ok(esc_cuda_fused_engine.save(e, i, state));
  esc_assert_ok(esc_cuda_fused_engine.advance(e, 1, &stop));
  for (int i = 0; i < count; i++) esc_assert_ok(esc_cuda_fused_engine.report(e, i, r, i));
  esc_cuda_fused_engine.destroy(e);
  free(state);
  esc_results_free(r);
  problem_free(&p);
  return esc_simt_calls() - before;
}

static void networks_of_a_chunk_share_their_copies(void **state) {
  (void)state;
  setenv("ESCAPEMENT_CUDA_CHUNK", "8", 1);
  const int64_t one = count_calls(1), eight = count_calls(8);
  setenv("ESCAPEMENT_CUDA_CHUNK", "2", 1);
  assert_int_equal(eight, one);
}

/* After the steps are submitted. The harness makes them when the host waits for them. */
static void initial_signals_are_computed_while_the_networks_train(void **state) {
  (void)state;
  const atomic_bool stop = false;
  const esc_engine_ops *ops = &esc_cuda_fused_engine;
  const esc_engine_setup setup = {.slots = 1, .threads = 1};
  const esc_member m = member_make(1, 1, 0.5);
  esc_problem p = escape_problem(2, 3, 2, 4);
  void *e = NULL;
  esc_assert_ok(ops->create(ops, &p, &setup, &e));
  esc_assert_ok(ops->load(e, 0, &m));
  esc_assert_ok(ops->submit(e, 0, 1, &stop));
  assert_false(ops->slot(e, 0)->measured);
  esc_assert_ok(ops->collect(e, 0));
  assert_true(ops->slot(e, 0)->measured);
  ops->destroy(e);
  problem_free(&p);
}

static void profiler_ranges_are_balanced(void **state) {
  (void)state;
  esc_problem p = escape_problem(3, 4, 4, 8);
  p.steps = 5;
  esc_results_free(train(&esc_cuda_cublas_engine, &p, 1, 10));
  assert_true(esc_simt_nvtx_pushes() > 0);
  assert_int_equal(esc_simt_nvtx_pushes(), esc_simt_nvtx_pops());
  problem_free(&p);
}
#endif

/* Sums in another order: escape steps may differ by a few where the loss crosses slowly. Float and
 * double on the CPU differed by at most 2 in 64 seeds. */
static void check_escape_steps(const esc_engine_ops *engine) {
  esc_problem p = escape_problem(4, 16, 8, 80);
  esc_results *cpu = train(&esc_cpu_engine, &p, 4, 256);
  esc_results *cuda = train(engine, &p, 4, 256);
  for (int i = 0; i < 4; i++) {
    assert_int_equal(cuda->status[i], ESC_MEMBER_ESCAPED);
    for (int k = 0; k < 2; k++)
      assert_true(llabs(cuda->escape_step[2 * i + k] - cpu->escape_step[2 * i + k]) <= 2);
    for (int l = 0; l < 3; l++)
      esc_assert_close(cuda->ledger_residual[3 * i + l] / cuda->ledger_gross[3 * i + l], 0, 1e-6,
                       0);
    esc_assert_close(cuda->signal_initial[i], cpu->signal_initial[i], 0, 0);
  }
  esc_results_free(cpu);
  esc_results_free(cuda);
  problem_free(&p);
}

static void escape_steps_of_path_cublas_equal_the_cpu_engines(void **state) {
  (void)state;
  check_escape_steps(&esc_cuda_cublas_engine);
}

static void escape_steps_of_path_fused_3xtf32_equal_the_cpu_engines(void **state) {
  (void)state;
  check_escape_steps(&esc_cuda_fused_3xtf32_engine);
}

static void graphs_equal_plain_launches_bit_for_bit(void **state) {
  (void)state;
  esc_problem p = escape_problem(4, 10, 5, 70);
  p.steps = 70; /* graphs of 16 steps and of one */
  esc_results *graphs = train(&esc_cuda_cublas_engine, &p, 5, 35);
  setenv("ESCAPEMENT_CUDA_GRAPHS", "0", 1);
  esc_results *plain = train(&esc_cuda_cublas_engine, &p, 5, 35);
  unsetenv("ESCAPEMENT_CUDA_GRAPHS");
  assert_true(same_bits(graphs, plain));
  esc_results_free(graphs);
  esc_results_free(plain);
  problem_free(&p);
}

static void tf32_differs_and_stays_close(void **state) {
  (void)state;
  esc_problem p = escape_problem(3, 16, 8, 64);
  p.steps = 20;
  esc_results *full = train(&esc_cuda_cublas_engine, &p, 2, 20);
  esc_results *tf32 = train(&esc_cuda_tf32_engine, &p, 2, 20);
  assert_true(full->final_loss[0] != tf32->final_loss[0]);
  esc_assert_close(tf32->final_loss[0], full->final_loss[0], 0,
                   1e-2); /* 2^-11 relative a product */
  esc_results_free(full);
  esc_results_free(tf32);
  problem_free(&p);
}

/* --list prints the kernels tested here, for check_kernel_table.py. */
int main(int argc, char **argv) {
  char why[200];
  const struct CMUnitTest tests[] = {
#ifdef ESC_SIMT
      cmocka_unit_test(whole_runs_equal_the_cpu_engine_bit_for_bit),
      cmocka_unit_test(every_activation_loss_and_teacher_equals_the_cpu_engine),
      cmocka_unit_test(networks_without_padding_have_kernels_of_their_own),
      cmocka_unit_test(results_do_not_depend_on_the_order_of_execution),
      cmocka_unit_test(every_failing_call_is_reported_by_name),
      cmocka_unit_test(bytes_equal_what_create_allocates),
      cmocka_unit_test(networks_of_a_chunk_share_their_copies),
      cmocka_unit_test(initial_signals_are_computed_while_the_networks_train),
      cmocka_unit_test(profiler_ranges_are_balanced),
      cmocka_unit_test(a_driver_that_fails_is_told_from_no_device),
      cmocka_unit_test(code_runs_on_its_major_version_and_ptx_on_later_ones),
#endif
      cmocka_unit_test(path_fused_equals_the_cpu_engine_bit_for_bit),
      cmocka_unit_test(path_fused_equals_it_for_every_activation_and_loss),
      cmocka_unit_test(sums_over_the_first_layer_do_not_depend_on_its_panels),
      cmocka_unit_test(path_fused_equals_it_with_every_optimizer),
      cmocka_unit_test(path_fused_3xtf32_is_near_the_cpu_engine),
      cmocka_unit_test(path_fused_3xtf32_supports_every_activation_and_loss),
      cmocka_unit_test(path_fused_3xtf32_does_not_depend_on_other_networks),
      cmocka_unit_test(path_fused_3xtf32_detects_divergence),
      cmocka_unit_test(path_fused_is_selected_if_the_shape_fits),
      cmocka_unit_test(a_deep_narrow_network_fits_path_fused_alone),
      cmocka_unit_test(escape_steps_of_path_cublas_equal_the_cpu_engines),
      cmocka_unit_test(escape_steps_of_path_fused_3xtf32_equal_the_cpu_engines),
      cmocka_unit_test(graphs_equal_plain_launches_bit_for_bit),
      cmocka_unit_test(tf32_differs_and_stays_close),
  };
  if (argc > 1 && !strcmp(argv[1], "--list")) {
    printf("esc_fused_kernel\n");
    return 0;
  }
  if (esc_cuda_devices(why, sizeof why) == 0) {
    printf("skipped: no CUDA device: %s\n", why);
    return 77;
  }
  return cmocka_run_group_tests_name("cuda engine", tests, NULL, NULL);
}
