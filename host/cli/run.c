/* escapement run: spec -> plan -> training -> result file. */
#include "cli/run.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "backends.h"
#include "cli/cli.h"
#include "cli/options.h"
#include "device.h"
#include "progress.h"
#include "provenance.h"
#include "store/io.h"
#include "store/store.h"
#include "trace.h"

static atomic_bool stop;

/* "I/N" with 0 <= I < N. */
static esc_status parse_shard(const char *text, int64_t *shard, int64_t *shards) {
  *shard = 0;
  *shards = 1;
  if (!text) return ESC_OK;
  long long i = 0, n = 0;
  const bool plain = strspn(text, "0123456789/") == strlen(text) && strlen(text) < 32;
  char rest;
  if (!plain || sscanf(text, "%lld/%lld%c", &i, &n, &rest) != 2 || n < 1 || n > 1000000 || i >= n)
    return ESC_FAIL(ESC_BAD_INPUT, "--shard %.40s: must be I/N with I from 0 to N-1", text);
  *shard = i;
  *shards = n;
  return ESC_OK;
}

static esc_status parse(esc_run_request *ask, int argc, char **argv, int *first, bool *help) {
  const esc_option options[] = {
      {"output", 'o', "OUT.h5", "result file (default: the spec's name with .h5)",
       .text = &ask->output},
      {"backend", 0, "NAME", "auto, reference, cpu or cuda (default auto)",
       .text = &ask->backend.backend},
      {"path", 0, "NAME", "on a GPU: auto, chip (a network a block), chip-tf32x3 or gemm (cuBLAS)",
       .text = &ask->backend.path},
      {"precision", 0, "NAME", "fp32, or on a GPU tf32 (default fp32)",
       .text = &ask->backend.precision},
      {"device", 0, "N", "index of the GPU (default 0)", .number = &ask->device, .max = 1023},
      {"threads", 0, "N", "threads (default: all processors)", .number = &ask->threads, .min = 1,
       .max = 4096},
      {"slots", 0, "N", "networks in flight (default: what suits the backend)",
       .number = &ask->slots, .min = 1, .max = 1000000},
      {"shard", 0, "I/N", "train only members I, I+N, I+2N, ... (I from 0)", .text = &ask->shard},
      {"resume", 0, NULL, "go on where an interrupted run stopped, or start", .flag = &ask->resume},
      {"force", 0, NULL, "replace an existing result; without --resume its journal too",
       .flag = &ask->force},
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

/* Fills r->output: what was asked for, or the spec's name in the current
 * directory; where that is a link, the file behind it, so that two names of one
 * file meet at one journal. Refuses the spec itself. */
static esc_status choose_output(esc_run *r, const char *spec) {
  esc_status status = ESC_OK;
  char wanted[PATH_MAX], target[PATH_MAX], source[PATH_MAX];
  struct stat info;
  const char *path = r->ask.output;
  if (!path && strchr(r->spec->name, '/'))
    return ESC_FAIL(ESC_BAD_INPUT, "name '%s' has a '/': name the output with -o", r->spec->name);
  const int length = path ? snprintf(wanted, sizeof wanted, "%s", path)
                          : snprintf(wanted, sizeof wanted, "%s.h5", r->spec->name);
  if (length >= (int)sizeof r->output - 16)
    return ESC_FAIL(ESC_BAD_INPUT, "-o: the path is longer than %d bytes",
                    (int)sizeof r->output - 16);
  ESC_TRY(esc_io_check_writable(wanted));
  ESC_TRY(esc_io_resolve(wanted, target, sizeof target));
  const bool link = lstat(wanted, &info) == 0 && S_ISLNK(info.st_mode);
  snprintf(r->output, sizeof r->output, "%.4000s", link ? target : wanted);
  if (realpath(spec, source) && !strcmp(source, target))
    status = ESC_FAIL(ESC_BAD_INPUT, "%s: is the spec itself; name another output with -o", wanted);
done:
  return status;
}

static esc_status prepare(esc_run *r, int argc, char **argv, int first) {
  esc_status status = ESC_OK;
  r->ask.backend.device = (int)r->ask.device;
  if (first >= argc) return ESC_FAIL(ESC_BAD_INPUT, "run: needs a SPEC file; see --help");
  ESC_TRY(parse_shard(r->ask.shard, &r->shard, &r->shards));
  ESC_TRY(esc_spec_load(argv[first], argc - first - 1, (const char *const *)argv + first + 1,
                        &r->spec));
  ESC_TRY(esc_backend_find(&r->ask.backend, &r->spec->problem, &r->engine));
  ESC_TRY_ALLOCATE(r->resolved = esc_spec_resolved(r->spec));
  ESC_TRY(choose_output(r, argv[first]));
  ESC_TRY(esc_plan_create(r->spec, r->shard, r->shards, &r->plan));
  ESC_TRY(esc_plan_check_false_escapes(r->spec, &r->plan, r->warning));
  if (r->warning[0]) esc_note("warning: %s", r->warning);
  ESC_TRY(esc_run_size(r));
  if (r->engine->device_memory)
    ESC_TRY(esc_backend_cuda_name(r->setup.device, r->device, sizeof r->device));
  else
    esc_device_name(r->device, sizeof r->device);
done:
  return status;
}

static void take_row(void *context, int64_t member, const void *row) {
  esc_run *r = context;
  const int64_t place = (member - r->shard) / r->shards;
  if (member % r->shards != r->shard || place < 0 || place >= r->plan.members) return;
  esc_results_unpack(r->results, place, row);
  r->results->member[place] = member;
  r->done[place] = true;
}

static void take_snapshot(void *context, int64_t member, const void *row) {
  esc_run *r = context;
  const int64_t place = (member - r->shard) / r->shards;
  if (member % r->shards == r->shard && place >= 0 && place < r->plan.members)
    esc_recorder_restore(r->recorder, place, row);
}

/* Snapshots of the run so far. A finished member that lacks some is trained again. */
static esc_status open_snapshots(esc_run *r, const char *identity) {
  esc_status status = ESC_OK;
  const esc_problem *p = &r->spec->problem;
  const bool exact = r->engine == &esc_reference_engine;
  if (!esc_record_on(&r->spec->record)) return ESC_OK;
  ESC_TRY(esc_recorder_create(p, &r->spec->record, &r->plan, &r->setup, exact, &r->recorder));
  ESC_TRY(esc_journal_open_snapshots(r->output, identity, esc_observation_length(p->shape.layers),
                                     r->ask.resume, r->ask.force && !r->ask.resume, take_snapshot,
                                     r, &r->snapshots));
  esc_recorder_keep(r->recorder, r->snapshots);
  for (int64_t i = 0; i < r->plan.members; i++)
    r->done[i] = r->done[i] && esc_recorder_is_complete(r->recorder, i, r->results->steps_run[i]);
done:
  return status;
}

/* The spec is not all that the numbers depend on: neither precision nor shard may
 * change between the parts of a run. */
static esc_status open_journal(esc_run *r) {
  esc_status status = ESC_OK;
  const esc_problem *p = &r->spec->problem;
  char *identity = NULL;
  if (asprintf(&identity, "%sprecision: %s\nshard: %lld/%lld\n", r->resolved, r->engine->precision,
               (long long)r->shard, (long long)r->shards) < 0)
    return ESC_FAIL(ESC_NO_MEMORY, "out of memory (the journal's header)");
  ESC_TRY(esc_journal_open(r->output, identity, p->thresholds, p->shape.layers, r->ask.resume,
                           r->ask.force && !r->ask.resume, take_row, r, &r->journal));
  ESC_TRY(open_snapshots(r, identity));
done:
  free(identity);
  return status;
}

static esc_status train(esc_run *r) {
  esc_status status = ESC_OK;
  const esc_problem *p = &r->spec->problem;
  esc_progress_bar bar;
  esc_progress_bar_init(&bar, r->ask.quiet);
  ESC_TRY(esc_results_create(r->plan.members, p->thresholds, p->shape.layers, &r->results));
  for (int i = 0; i < p->thresholds; i++) r->results->threshold[i] = p->threshold[i];
  ESC_TRY_ALLOCATE(r->done = calloc((size_t)r->plan.members + 1, sizeof *r->done));
  ESC_TRY(open_journal(r));
  esc_schedule schedule = {.engine = r->engine,
                           .setup = r->setup,
                           .stop = &stop,
                           .journal = r->journal,
                           .recorder = r->recorder,
                           .done = r->done,
                           .report = esc_progress_bar_report,
                           .context = &bar};
  status = esc_train(p, &r->plan, &schedule, r->results, &r->progress, r->engine_text);
  esc_progress_bar_finish(&bar);
done:
  return status;
}

static esc_status set_attributes(esc_run *r, const char *start_time) {
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

/* Publishes the result. Whatever fails here, the members are in the journal. */
static esc_status publish(esc_run *r, const char *start_time) {
  char why[900];
  const bool appeared = !r->ask.force && esc_io_exists(r->output);
  esc_status status = set_attributes(r, start_time);
  if (status == ESC_OK && r->recorder) status = esc_recorder_fill(r->recorder, r->results);
  if (status == ESC_OK && !appeared) status = esc_store_write(r->output, r->results);
  if (status == ESC_OK && !appeared) {
    esc_journal_close(r->snapshots, true);
    esc_journal_close(r->journal, true);
    r->journal = r->snapshots = NULL;
    return ESC_OK;
  }
  snprintf(why, sizeof why, "%s",
           appeared ? "appeared while this run was training" : esc_error_message());
  return ESC_FAIL(appeared ? ESC_BAD_INPUT : ESC_IO_FAILED,
                  "%s%s%s; all %lld members are safe in %s.journal, and the same command with "
                  "--resume%s publishes them",
                  appeared ? r->output : "", appeared ? ": " : "", why, (long long)r->plan.members,
                  r->output, appeared ? " --force" : "");
}

/* Whether what is at r->output is this very run's result, complete. */
static esc_status compare_existing(esc_run *r) {
  char shard[64];
  const char *const spec = esc_results_get(r->results, "spec");
  const char *const precision = esc_results_get(r->results, "precision");
  const char *const part = esc_results_get(r->results, "shard");
  const char *difference = NULL;
  snprintf(shard, sizeof shard, "%lld/%lld", (long long)r->shard, (long long)r->shards);
  if (!spec || strcmp(spec, r->resolved))
    difference = "another spec";
  else if (!part || strcmp(part, shard))
    difference = "another shard";
  else if (!precision || strcmp(precision, r->engine->precision))
    difference = "another precision (backend)";
  if (!difference && r->results->members == r->plan.members) return ESC_OK;
  return ESC_FAIL(ESC_BAD_INPUT,
                  "%s: holds the result of %s; -o names another file, --force replaces it",
                  r->output, difference ? difference : "another sweep");
}

/* Without --force an existing output is kept: with --resume it may be complete. */
static esc_status check_existing(esc_run *r, bool *complete) {
  esc_status status = ESC_OK;
  *complete = false;
  if (!esc_io_exists(r->output) || r->ask.force) return ESC_OK;
  if (!r->ask.resume)
    return ESC_FAIL(ESC_BAD_INPUT, "%s: exists already; --force replaces it, -o names another",
                    r->output);
  ESC_TRY(esc_store_read(r->output, &r->results));
  ESC_TRY(compare_existing(r));
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

static esc_status explain_interrupt(const esc_run *r) {
  int64_t saved = 0;
  for (int64_t i = 0; i < r->plan.members; i++) saved += r->done[i];
  if (saved == 0)
    return ESC_FAIL(ESC_INTERRUPTED, "interrupted: no member had finished, so nothing is saved");
  return ESC_FAIL(ESC_INTERRUPTED,
                  "interrupted: %lld of %lld members are safe in %s.journal; the same command with "
                  "--resume goes on",
                  (long long)saved, (long long)r->plan.members, r->output);
}

static esc_status execute(esc_run *r) {
  esc_status status = ESC_OK;
  bool complete = false;
  char start_time[32];
  esc_time_now(start_time);
  ESC_TRY(check_existing(r, &complete));
  if (complete) {
    esc_note("%s is complete: nothing to do", r->output);
    return esc_run_summary(r);
  }
  esc_signals_install(&stop);
  status = train(r);
  if (status == ESC_INTERRUPTED) status = explain_interrupt(r);
  if (status != ESC_OK) goto done;
  esc_trace_begin("store");
  status = publish(r, start_time);
  esc_trace_end();
  if (status != ESC_OK) goto done;
  esc_run_warn(r);
  ESC_TRY(esc_run_summary(r));
done:
  return status;
}

esc_status esc_verb_run(int argc, char **argv) {
  esc_status status = ESC_OK;
  esc_run r = {.ask = {.argc = argc, .argv = argv}};
  int first = 0;
  bool help = false;
  ESC_TRY(parse(&r.ask, argc, argv, &first, &help));
  if (help) return ESC_OK;
  ESC_TRY(prepare(&r, argc, argv, first));
  ESC_TRY(r.ask.dry_run ? esc_run_dry(&r) : execute(&r));
done:
  esc_journal_close(r.snapshots, false);
  esc_journal_close(r.journal, false);
  esc_recorder_free(r.recorder);
  esc_results_free(r.results);
  esc_plan_free(&r.plan);
  esc_spec_free(r.spec);
  free(r.resolved);
  free(r.done);
  return status;
}
