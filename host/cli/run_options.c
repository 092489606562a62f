/* SPDX-License-Identifier: Apache-2.0 */
/* What the user asked of run: options, output. */
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
    "Trains the sweep that SPEC (YAML) describes; key=value replaces a key of it.";

/* Options whose text or number becomes something else in the request. */
typedef struct texts {
  const char *checkpoint, *longest;
  int64_t device, threads, slots;
} texts;

static esc_status read_options(esc_run_request *ask, texts *t, int argc, char **argv, int *first,
                               bool *help) {
  esc_run_options *const o = &ask->options;
  const esc_option options[] = {
      {"output", 'o', "OUT.h5", "result file (default: the spec's name with .h5)",
       .text = &ask->output, .suffixes = ESC_RESULT_SUFFIXES},
      {"backend", 0, "NAME", "auto, reference, cpu or cuda (default auto)", .text = &o->backend,
       .words = "auto|" ESC_ENGINE_WORDS},
      {"path", 0, "NAME",
       "on a GPU: auto, fused (a network a block), fused-3xtf32 or cublas (cuBLAS)",
       .text = &o->path, .words = "auto|" ESC_PATH_WORDS},
      {"precision", 0, "NAME", "fp32, or on a GPU tf32 (default fp32)", .text = &o->precision,
       .words = ESC_PRECISION_WORDS},
      {"device", 0, "N", "index of the GPU (default 0)", .number = &t->device, .max = 1023},
      {"devices", 0, "LIST", "several GPUs, 0,1,... (or cpu,cpu): a worker process for each",
       .text = &o->devices},
      {"threads", 0, "N", "threads (default: all processors)", .number = &t->threads, .min = 1,
       .max = 4096},
      {"slots", 0, "N", "networks in flight (default: what suits the backend)", .number = &t->slots,
       .min = 1, .max = 1000000},
      {"shard", 0, "I/N",
       "train only members I, I+N, ... (I from 0; %a in OUT.h5 is I); %a/N in a Slurm array",
       .text = &ask->shard},
      {"checkpoint", 0, "TIME", "seconds between checkpoints (default 60; 0: only when stopped)",
       .text = &t->checkpoint},
      {"max-time", 0, "TIME",
       "stop after TIME (seconds or HH:MM:SS) with a checkpoint; exit status 143",
       .text = &t->longest},
      {"resume", 0, NULL, "continue an interrupted run; add members to a finished one",
       .flag = &o->resume},
      {"from", 0, "OLD.h5", "take the members that this result holds, train only the others",
       .text = &o->from, .suffixes = ESC_RESULT_SUFFIXES},
      {"force", 0, NULL, "replace an existing result; without --resume its journal too",
       .flag = &o->force},
      {"dry-run", 0, NULL, "print memory, time and a forecast of the run; train nothing",
       .flag = &ask->dry_run},
      {"quiet", 'q', NULL, "no progress on stderr", .flag = &ask->quiet},
      {"json", 0, NULL, "the summary as one JSON object on stdout", .flag = &ask->json},
      {0},
  };
  const esc_command command = {usage, summary, .options = options, .suffixes = "yaml|yml",
                               .overrides = true};
  return esc_options_parse(&command, argc, argv, first, help);
}

static esc_status apply(esc_run_request *ask, const texts *t) {
  esc_status status = ESC_OK;
  esc_run_options *const o = &ask->options;
  ESC_TRY(parse_time("checkpoint", t->checkpoint, &o->checkpoint_seconds));
  if (t->longest) ESC_TRY(parse_time("max-time", t->longest, &o->seconds_max));
  o->device = (int)t->device;
  o->threads = (int)t->threads;
  o->slots = (int)t->slots;
  o->quiet = ask->quiet;
  if (o->devices && ask->shard)
    return ESC_FAIL(ESC_BAD_INPUT, "--devices divides the whole sweep: not together with --shard");
  if (t->longest && o->seconds_max == 0)
    status = ESC_FAIL(ESC_BAD_INPUT, "--max-time %.40s: must be more than 0", t->longest);
done:
  return status;
}

esc_status esc_run_parse(esc_run_request *ask, int argc, char **argv, int *first, bool *help) {
  esc_status status = ESC_OK;
  texts t = {.checkpoint = "60", .device = -1};
  esc_run_options_init(&ask->options);
  ESC_TRY(read_options(ask, &t, argc, argv, first, help));
  status = apply(ask, &t);
done:
  return status;
}

esc_status esc_run_choose_shard(esc_run_request *ask) {
  esc_run_options *const o = &ask->options;
  return esc_shard_choose(ask->shard, ask->output, &o->shard, &o->shards);
}

esc_status esc_run_choose_output(esc_run_request *ask, const esc_spec *spec, const char *spec_path,
                                 char *output, size_t size) {
  esc_status status = ESC_OK;
  char target[PATH_MAX], source[PATH_MAX];
  const char *const name = esc_spec_name(spec);
  if (!ask->output && strchr(name, '/'))
    return ESC_FAIL(ESC_BAD_INPUT, "name '%s' has a '/': name the output with -o", name);
  if (ask->output)
    ESC_TRY(esc_shard_expand_path(ask->output, ask->options.shard, output, size));
  else
    snprintf(output, size, "%s.h5", name);
  ESC_TRY(esc_output_check(output, "HDF5", ESC_RESULT_SUFFIXES, true));
  ESC_TRY(esc_io_check_writable(output));
  ESC_TRY(esc_io_resolve(output, target, sizeof target));
  if (realpath(spec_path, source) && !strcmp(source, target))
    status =
        ESC_FAIL(ESC_BAD_INPUT, "%s: is the spec itself; choose another output with -o", output);
  ask->options.output = output;
done:
  return status;
}
