/* escapement run: spec -> plan -> training -> result file. */
#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/options.h"
#include "cpu/cpu.h"
#include "device.h"
#include "plan.h"
#include "progress.h"
#include "provenance.h"
#include "scheduler.h"
#include "spec/spec.h"
#include "store/io.h"
#include "store/store.h"

/* Above these a run is reported as one to doubt (README, "The ledger"). */
static const double ledger_bound_float = 1e-2, ledger_bound_double = 1e-9, lost_bound = 0.01;

typedef struct request {
  const char *output, *backend, *shard;
  int64_t threads, slots;
  bool resume, force, dry_run, quiet, json;
  char **argv;
  int argc;
} request;

typedef struct run {
  request ask;
  esc_spec *spec;
  char *resolved; /* the spec's text with every default */
  char output[4096];
  int64_t shard, shards;
  esc_plan plan;
  const esc_engine_ops *engine;
  char engine_text[128], device[256];
  esc_results *results;
  esc_journal *journal;
  bool *done; /* (members) */
  esc_progress progress;
  char warning[ESC_WARNING_SIZE];
} run;

static atomic_bool stop;

static esc_status parse_shard(const char *text, int64_t *shard, int64_t *shards) {
  long long i = 0, n = 1;
  char rest = 0;
  const int read = text ? sscanf(text, "%lld/%lld%c", &i, &n, &rest) : 2;
  if (read != 2 || n < 1 || n > 1000000 || i < 0 || i >= n)
    return ESC_FAIL(ESC_BAD_INPUT, "--shard %.40s: must be I/N with I from 0 to N-1", text);
  *shard = i;
  *shards = n;
  return ESC_OK;
}

static esc_status choose_engine(const char *backend, const esc_engine_ops **engine) {
  if (!backend || !strcmp(backend, "auto") || !strcmp(backend, "cpu"))
    *engine = &esc_cpu_engine;
  else if (!strcmp(backend, "reference"))
    *engine = &esc_reference_engine;
  else if (!strcmp(backend, "cuda"))
    return ESC_FAIL(ESC_BAD_INPUT, "--backend cuda: this build has no CUDA backend");
  else
    return ESC_FAIL(ESC_BAD_INPUT, "--backend %.40s: must be auto, reference, cpu or cuda",
                    backend);
  return ESC_OK;
}

static esc_status parse(request *ask, int argc, char **argv, int *first, bool *help) {
  const esc_option options[] = {
      {"output", 'o', "OUT.h5", "result file (default: the spec's name with .h5)",
       .text = &ask->output},
      {"backend", 0, "NAME", "auto, reference, cpu or cuda (default auto)", .text = &ask->backend},
      {"threads", 0, "N", "threads (default: all processors)", .number = &ask->threads, .min = 1,
       .max = 4096},
      {"slots", 0, "N", "networks in flight (default: 4 a thread)", .number = &ask->slots, .min = 1,
       .max = 1000000},
      {"shard", 0, "I/N", "train only members I, I+N, I+2N, ... (I from 0)", .text = &ask->shard},
      {"resume", 0, NULL, "go on where an interrupted run stopped, or start", .flag = &ask->resume},
      {"force", 0, NULL, "replace an existing result file or journal", .flag = &ask->force},
      {"dry-run", 0, NULL, "say what would be trained, its memory and time; train nothing",
       .flag = &ask->dry_run},
      {"quiet", 'q', NULL, "no progress on stderr", .flag = &ask->quiet},
      {"json", 0, NULL, "the summary as one JSON object on stdout", .flag = &ask->json},
      {0},
  };
  const esc_command command = {
      "run SPEC [-o OUT.h5] [options] [key=value ...]",
      "Trains the sweep that SPEC (YAML) describes; key=value replaces a key of it.", options};
  return esc_options_parse(&command, argc, argv, first, help);
}

/* The output's path; with none given the spec's name in the current directory. */
static esc_status choose_output(run *r) {
  const char *path = r->ask.output;
  const int length = path ? snprintf(r->output, sizeof r->output, "%s", path)
                          : snprintf(r->output, sizeof r->output, "%s.h5", r->spec->name);
  if (length >= (int)sizeof r->output - 16)
    return ESC_FAIL(ESC_BAD_INPUT, "-o: the path is longer than %d bytes",
                    (int)sizeof r->output - 16);
  if (!path && strchr(r->spec->name, '/'))
    return ESC_FAIL(ESC_BAD_INPUT, "name '%s' has a '/': name the output with -o", r->spec->name);
  return ESC_OK;
}

static esc_status prepare(run *r, int argc, char **argv, int first) {
  esc_status status = ESC_OK;
  if (first >= argc) return ESC_FAIL(ESC_BAD_INPUT, "run: needs a SPEC file; see --help");
  ESC_TRY(choose_engine(r->ask.backend, &r->engine));
  ESC_TRY(parse_shard(r->ask.shard, &r->shard, &r->shards));
  ESC_TRY(esc_spec_load(argv[first], argc - first - 1, (const char *const *)argv + first + 1,
                        &r->spec));
  ESC_TRY_ALLOCATE(r->resolved = esc_spec_resolved(r->spec));
  ESC_TRY(choose_output(r));
  ESC_TRY(esc_plan_create(r->spec, r->shard, r->shards, &r->plan));
  ESC_TRY(esc_plan_check_false_escapes(r->spec, &r->plan, r->warning));
  if (r->warning[0]) esc_note("warning: %s", r->warning);
  if (!r->ask.threads) r->ask.threads = omp_get_max_threads();
  if (!r->ask.slots) r->ask.slots = esc_default_slots((int)r->ask.threads);
  if (r->ask.slots > r->plan.members) r->ask.slots = r->plan.members > 0 ? r->plan.members : 1;
  esc_device_name(r->device, sizeof r->device);
done:
  return status;
}

static void take_row(void *context, int64_t member, const void *row) {
  run *r = context;
  const int64_t place = (member - r->shard) / r->shards;
  if (member % r->shards != r->shard || place < 0 || place >= r->plan.members) return;
  esc_results_unpack(r->results, place, row);
  r->results->member[place] = member;
  r->done[place] = true;
}

static esc_status train(run *r) {
  esc_status status = ESC_OK;
  const esc_problem *p = &r->spec->problem;
  esc_progress_bar bar;
  esc_progress_bar_init(&bar, r->ask.quiet);
  ESC_TRY(esc_results_create(r->plan.members, p->thresholds, p->shape.layers, &r->results));
  for (int i = 0; i < p->thresholds; i++) r->results->threshold[i] = p->threshold[i];
  ESC_TRY_ALLOCATE(r->done = calloc((size_t)r->plan.members + 1, sizeof *r->done));
  ESC_TRY(esc_io_check_writable(r->output));
  ESC_TRY(esc_journal_open(r->output, r->resolved, p->thresholds, p->shape.layers, r->ask.resume,
                           r->ask.force, take_row, r, &r->journal));
  esc_schedule schedule = {.engine = r->engine,
                           .threads = (int)r->ask.threads,
                           .slots = (int)r->ask.slots,
                           .stop = &stop,
                           .journal = r->journal,
                           .done = r->done,
                           .report = esc_progress_bar_report,
                           .context = &bar};
  status = esc_train(p, &r->plan, &schedule, r->results, &r->progress, r->engine_text);
  esc_progress_bar_finish(&bar);
done:
  return status;
}

/* The larger one; a NaN is larger than any number, so that it is seen. */
static double larger(double a, double b) { return isnan(a) || a > b ? a : b; }

/* Largest residual of a member over its largest accumulated drift, over all members. */
static double ledger_residual_max(const esc_results *r) {
  const int64_t interfaces = r->layers - 1;
  double worst = 0;
  for (int64_t i = 0; i < r->members; i++) {
    double residual = 0, drift = 0;
    for (int64_t k = i * interfaces; k < (i + 1) * interfaces; k++) {
      residual = larger(residual, fabs(r->ledger_residual[k]));
      drift = larger(drift, r->ledger_drift[k]);
    }
    if (r->status[i] != ESC_MEMBER_DIVERGED && drift != 0) worst = larger(worst, residual / drift);
  }
  return worst;
}

static double lost_updates_max(const esc_results *results) {
  double worst = 0;
  for (int64_t i = 0; i < results->members; i++) worst = larger(worst, results->lost_updates[i]);
  return worst;
}

static esc_status set_attributes(run *r, const char *start_time) {
  esc_status status = ESC_OK;
  char text[1024] = "";
  size_t used = 0;
  ESC_TRY(esc_results_set(r->results, "name", r->spec->name));
  ESC_TRY(esc_results_set(r->results, "spec", r->resolved));
  ESC_TRY(esc_results_set(r->results, "backend", r->engine->name));
  ESC_TRY(esc_results_set(r->results, "engine", r->engine_text));
  ESC_TRY(esc_results_set(r->results, "precision", r->engine->precision));
  ESC_TRY(esc_results_set(r->results, "device", r->device));
  snprintf(text, sizeof text, "%lld/%lld", (long long)r->shard, (long long)r->shards);
  ESC_TRY(esc_results_set(r->results, "shard", text));
  snprintf(text, sizeof text, "%.3f", r->progress.seconds);
  ESC_TRY(esc_results_set(r->results, "wall_s", text));
  for (int i = 0; i < r->spec->problem.thresholds; i++)
    used += (size_t)snprintf(text + used, sizeof text - used, "%s%.3g", i ? " " : "",
                             r->plan.false_escape[i]);
  ESC_TRY(esc_results_set(r->results, "false_escape_probability", text));
  ESC_TRY(esc_provenance(r->results, r->ask.argc, r->ask.argv, start_time));
done:
  return status;
}

static void warn(const run *r) {
  const double residual = ledger_residual_max(r->results), lost = lost_updates_max(r->results);
  const bool exact = r->engine == &esc_reference_engine;
  const double bound = exact ? ledger_bound_double : ledger_bound_float;
  if (r->progress.diverged)
    esc_note("warning: %lld members diverged (loss not finite): use a smaller train.rate",
             (long long)r->progress.diverged);
  if (!(residual <= bound))
    esc_note(
        "warning: ledger residual %.2g of the accumulated drift is above %.0e: the arithmetic "
        "of this run is in doubt; compare with --backend reference",
        residual, bound);
  if (lost > lost_bound)
    esc_note(
        "warning: up to %.1f%% of a member's weight updates were rounded away; "
        "train.update=compensated keeps them",
        100 * lost);
}

static esc_status print_summary(const run *r) {
  const esc_progress *p = &r->progress;
  const double rate = p->seconds > 0 ? (double)p->network_steps / p->seconds : 0;
  const double residual = ledger_residual_max(r->results);
  const double flops = rate * esc_flop_per_step(&r->spec->problem);
  if (!r->ask.json) {
    printf("%lld members: %lld escaped, %lld censored, %lld diverged\n", (long long)p->members,
           (long long)p->escaped, (long long)p->censored, (long long)p->diverged);
    if (p->network_steps)
      printf("%lld network-steps in %.1f s: %.0f a second, %.1f GFLOP/s (%s: %s)\n",
             (long long)p->network_steps, p->seconds, rate, flops / 1e9, r->engine->name,
             r->engine_text);
    printf("largest ledger residual: %.1e of the accumulated drift\n%s\n", residual, r->output);
    return ESC_OK;
  }
  json_t *json = json_object();
  json_object_set_new(json, "members", json_integer(p->members));
  json_object_set_new(json, "escaped", json_integer(p->escaped));
  json_object_set_new(json, "censored", json_integer(p->censored));
  json_object_set_new(json, "diverged", json_integer(p->diverged));
  json_object_set_new(json, "steps", json_integer(p->network_steps));
  json_object_set_new(json, "wall_s", esc_json_number(p->seconds));
  json_object_set_new(json, "network_steps_per_s", esc_json_number(rate));
  json_object_set_new(json, "flop_per_s", esc_json_number(flops));
  json_object_set_new(json, "backend", json_string(r->engine->name));
  json_object_set_new(json, "engine", json_string(r->engine_text));
  json_object_set_new(json, "device", json_string(r->device));
  json_object_set_new(json, "ledger_residual_max", esc_json_number(residual));
  json_object_set_new(json, "lost_updates_max", esc_json_number(lost_updates_max(r->results)));
  json_object_set_new(json, "output", json_string(r->output));
  return esc_json_print(json);
}

/* Whether the output is there already: the same spec's with --resume is done. */
static esc_status check_existing(run *r, bool *complete) {
  esc_status status = ESC_OK;
  *complete = false;
  if (!esc_io_exists(r->output) || r->ask.force) return ESC_OK;
  if (!r->ask.resume)
    return ESC_FAIL(ESC_BAD_INPUT, "%s: exists already; --force replaces it, -o names another",
                    r->output);
  ESC_TRY(esc_store_read(r->output, &r->results));
  const char *spec = esc_results_get(r->results, "spec");
  if (!spec || strcmp(spec, r->resolved) || r->results->members != r->plan.members) {
    status = ESC_FAIL(ESC_BAD_INPUT,
                      "%s: holds the result of another spec or shard; -o names another file, "
                      "--force replaces it",
                      r->output);
    goto done;
  }
  for (int64_t i = 0; i < r->results->members; i++) {
    r->progress.escaped += r->results->status[i] == ESC_MEMBER_ESCAPED;
    r->progress.censored += r->results->status[i] == ESC_MEMBER_CENSORED;
    r->progress.diverged += r->results->status[i] == ESC_MEMBER_DIVERGED;
  }
  r->progress.members = r->results->members;
  *complete = true;
done:
  return status;
}

static esc_status explain_interrupt(const run *r) {
  int64_t saved = 0;
  for (int64_t i = 0; i < r->plan.members; i++) saved += r->done[i];
  return ESC_FAIL(ESC_INTERRUPTED,
                  "interrupted: %lld of %lld members are safe in %s.journal; the same command with "
                  "--resume goes on",
                  (long long)saved, (long long)r->plan.members, r->output);
}

static esc_status execute(run *r) {
  esc_status status = ESC_OK;
  bool complete = false;
  char start_time[32];
  esc_time_now(start_time);
  ESC_TRY(check_existing(r, &complete));
  if (complete) {
    esc_note("%s is complete: nothing to do", r->output);
    return print_summary(r);
  }
  esc_signals_install(&stop);
  status = train(r);
  if (status == ESC_INTERRUPTED) status = explain_interrupt(r);
  if (status != ESC_OK) goto done;
  ESC_TRY(set_attributes(r, start_time));
  ESC_TRY(esc_store_write(r->output, r->results));
  esc_journal_close(r->journal, true);
  r->journal = NULL;
  warn(r);
  ESC_TRY(print_summary(r));
done:
  return status;
}

/* Times a few steps of the first members and scales up to the whole budget. */
static esc_status dry_run(run *r) {
  esc_status status = ESC_OK;
  const esc_problem *p = &r->spec->problem;
  void *engine = NULL;
  const int slots = (int)r->ask.slots;
  const double weights = (double)esc_weight_offset(p->shape, p->shape.layers);
  ESC_TRY(r->engine->create(p, slots, (int)r->ask.threads, &engine));
  r->engine->describe(engine, r->engine_text, sizeof r->engine_text);
  for (int i = 0; i < slots; i++)
    ESC_TRY(r->engine->load(engine, i, &r->plan.member[r->plan.order[i]]));
  const int64_t steps = 20;
  ESC_TRY(r->engine->advance(engine, 1, &stop)); /* draws the weights */
  const double start = omp_get_wtime();
  ESC_TRY(r->engine->advance(engine, steps, &stop));
  const double each = (omp_get_wtime() - start) / (double)(steps * slots);
  const double longest = each * (double)p->steps * (double)r->plan.members;
  printf("members: %lld of %lld in %d groups, %lld seeds\n", (long long)r->plan.members,
         (long long)r->plan.total, r->spec->groups, (long long)r->spec->seeds);
  printf("network: %d layers, %d wide, %d inputs: %.0f weights\n", p->shape.layers, p->shape.width,
         p->shape.inputs, weights);
  printf("backend: %s (%s), %d networks in flight\n", r->engine->name, r->engine_text, slots);
  printf(
      "result:  %.3g MB in %s\n",
      (double)r->plan.members * (double)esc_results_row_size(p->thresholds, p->shape.layers) / 1e6,
      r->output);
  printf("time:    %.3g us a network-step; at most %.3g s if no member escapes before step %lld\n",
         1e6 * each, longest, (long long)p->steps);
done:
  r->engine->destroy(engine);
  return status;
}

esc_status esc_verb_run(int argc, char **argv) {
  esc_status status = ESC_OK;
  run r = {.ask = {.argc = argc, .argv = argv}};
  int first = 0;
  bool help = false;
  ESC_TRY(parse(&r.ask, argc, argv, &first, &help));
  if (help) return ESC_OK;
  ESC_TRY(prepare(&r, argc, argv, first));
  ESC_TRY(r.ask.dry_run ? dry_run(&r) : execute(&r));
done:
  esc_journal_close(r.journal, false);
  esc_results_free(r.results);
  esc_plan_free(&r.plan);
  esc_spec_free(r.spec);
  free(r.resolved);
  free(r.done);
  return status;
}
