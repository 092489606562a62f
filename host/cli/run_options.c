/* SPDX-License-Identifier: Apache-2.0 */
/* Options and output of run. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "cli/cli.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/run.h"
#include "run/shard.h"

/* Seconds, or HH:MM:SS. */
static esc_status parse_time(const char *option, const char *text, double *seconds) {
  int h = 0, m = 0, s = 0;
  char rest, *end = NULL;
  const bool plain = *text && strspn(text, "0123456789.:") == strlen(text) && strlen(text) < 40;
  *seconds = plain ? strtod(text, &end) : 0;
  if (plain && !*end && *seconds <= 1e8) return ESC_OK;
  const bool clock = plain && sscanf(text, "%6d:%2d:%2d%c", &h, &m, &s, &rest) == 3;
  *seconds = 3600.0 * h + 60 * m + s;
  if (clock && m < 60 && s < 60) return ESC_OK;
  return ESC_FAIL(ESC_BAD_INPUT, "--%s %.40s: must be seconds or HH:MM:SS", option, text);
}

static const char usage[] = "run SPEC [-o OUT.h5] [options] [key=value ...]";
static const char summary[] =
    "Trains the networks of the sweep described by SPEC (YAML) and writes a result\n"
    "file. key=value replaces a value of SPEC. TIME is seconds or HH:MM:SS.";

static const char path_summary[] =
    "auto; GPU: fused, fused-3xtf32 or cublas; CPU: interleaved or padded (default: auto)";

/* Values of options that are converted for the request. */
typedef struct texts {
  const char *checkpoint, *longest;
  int64_t device, threads, slots;
} texts;

static esc_status parse_options(const esc_option *options, int argc, char **argv, int *first,
                                bool *help) {
  const esc_command command = {usage, summary, .options = options, .suffixes = "yaml|yml",
                               .overrides = true};
  return esc_options_parse(&command, argc, argv, first, help);
}

static esc_status read_options(esc_run_request *request, texts *t, int argc, char **argv,
                               int *first, bool *help) {
  esc_run_options *const o = &request->options;
  const esc_option options[] = {
      {"output", 'o', "OUT.h5", "result file (default: the spec's name with .h5)",
       .text = &request->output, .suffixes = ESC_RESULT_SUFFIXES},
      {"backend", 0, "NAME", "auto, reference, cpu or cuda (default: auto)", .text = &o->backend,
       .words = "auto|" ESC_ENGINE_WORDS},
      {"path", 0, "NAME", path_summary, .text = &o->path, .words = "auto|" ESC_PATH_WORDS},
      {"precision", 0, "NAME", "fp32, or tf32 on a GPU (default: fp32)", .text = &o->precision,
       .words = ESC_PRECISION_WORDS},
      {"device", 0, "N", "index of the GPU (default: 0)", .number = &t->device, .max = 1023},
      {"devices", 0, "LIST", "several devices, 0,1,... or cpu,cpu: one worker process each",
       .text = &o->devices},
      {"threads", 0, "N", "CPU threads (default: all processors)", .number = &t->threads, .min = 1,
       .max = 4096},
      {"slots", 0, "N", "networks trained concurrently (default: chosen for the backend)",
       .number = &t->slots, .min = 1, .max = 1000000},
      {"shard", 0, "I/N",
       "train only members I, I+N, ... (from 0); %a is the index of a Slurm array, also in OUT.h5",
       .text = &request->shard},
      {"checkpoint", 0, "TIME", "time between checkpoints (default: 60; 0: only at a stop)",
       .text = &t->checkpoint},
      {"max-time", 0, "TIME", "stop after TIME, with a checkpoint; exit status 143",
       .text = &t->longest},
      {"resume", 0, NULL,
       "continue from the checkpoint, or start a new run; add members to a finished result",
       .flag = &o->resume},
      {"from", 0, "OLD.h5", "reuse the members of this result; train only the others",
       .text = &o->from, .suffixes = ESC_RESULT_SUFFIXES},
      {"log", 0, "FILE", "append the run's events to FILE as JSON lines", .text = &o->log,
       .suffixes = "jsonl|log"},
      {"force", 0, NULL, "replace an existing result and, without --resume, its journal",
       .flag = &o->force},
      {"dry-run", 0, NULL, "print memory, run time, a forecast of escape steps; train nothing",
       .flag = &request->dry_run},
      {"quiet", 'q', NULL, "no progress on standard error", .flag = &request->quiet},
      {"json", 0, NULL, "print the summary as one JSON object", .flag = &request->json},
      {0},
  };
  return parse_options(options, argc, argv, first, help);
}

static esc_status apply(esc_run_request *request, const texts *t) {
  esc_status status = ESC_OK;
  esc_run_options *const o = &request->options;
  ESC_TRY(parse_time("checkpoint", t->checkpoint, &o->checkpoint_seconds));
  if (t->longest) ESC_TRY(parse_time("max-time", t->longest, &o->seconds_max));
  o->device = (int)t->device;
  o->threads = (int)t->threads;
  o->slots = (int)t->slots;
  o->quiet = request->quiet;
  if (o->devices && request->shard)
    return ESC_FAIL(ESC_BAD_INPUT,
                    "--devices and --shard exclude each other: --devices divides the whole sweep");
  if (t->longest && o->seconds_max == 0)
    status = ESC_FAIL(ESC_BAD_INPUT, "--max-time %.40s: must be more than 0", t->longest);
done:
  return status;
}

esc_status esc_run_parse(esc_run_request *request, int argc, char **argv, int *first, bool *help) {
  esc_status status = ESC_OK;
  texts t = {.checkpoint = "60", .device = -1};
  esc_run_options_init(&request->options);
  ESC_TRY(read_options(request, &t, argc, argv, first, help));
  status = apply(request, &t);
done:
  return status;
}

esc_status esc_run_choose_shard(esc_run_request *request) {
  esc_run_options *const o = &request->options;
  return esc_shard_choose(request->shard, request->output, &o->shard, &o->shards);
}

esc_status esc_run_choose_output(esc_run_request *request, const esc_spec *spec,
                                 const char *spec_path, char *output, size_t size) {
  esc_status status = ESC_OK;
  char target[PATH_MAX], source[PATH_MAX];
  const char *const name = esc_spec_name(spec);
  if (!request->output && strchr(name, '/'))
    return ESC_FAIL(ESC_BAD_INPUT, "name: '%s' contains a '/'; choose the output with -o", name);
  if (request->output)
    ESC_TRY(esc_shard_expand_path(request->output, request->options.shard, output, size));
  else
    snprintf(output, size, "%s.h5", name);
  ESC_TRY(esc_output_check(output, "HDF5", ESC_RESULT_SUFFIXES, true));
  ESC_TRY(esc_io_check_writable(output));
  ESC_TRY(esc_io_resolve(output, target, sizeof target));
  if (realpath(spec_path, source) && !strcmp(source, target))
    status = ESC_FAIL(ESC_BAD_INPUT, "%s: is the file of the spec; choose another output with -o",
                      output);
  request->options.output = output;
done:
  return status;
}
