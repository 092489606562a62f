/* What the user asked of run: options, output. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/io.h"
#include "cli/cli.h"
#include "cli/options.h"
#include "cli/output.h"
#include "run/run.h"

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

esc_status esc_run_parse(esc_run_request *ask, int argc, char **argv, int *first, bool *help) {
  const char *checkpoint = "60", *longest = NULL;
  int64_t device = -1;
  const esc_option options[] = {
      {"output", 'o', "OUT.h5", "result file (default: the spec's name with .h5)",
       .text = &ask->output, .suffixes = ESC_RESULT_SUFFIXES},
      {"backend", 0, "NAME", "auto, reference, cpu or cuda (default auto)",
       .text = &ask->backend.backend, .words = "auto|" ESC_ENGINE_WORDS},
      {"path", 0, "NAME", "on a GPU: auto, chip (a network a block), chip-tf32x3 or gemm (cuBLAS)",
       .text = &ask->backend.path, .words = "auto|" ESC_PATH_WORDS},
      {"precision", 0, "NAME", "fp32, or on a GPU tf32 (default fp32)",
       .text = &ask->backend.precision, .words = ESC_PRECISION_WORDS},
      {"device", 0, "N", "index of the GPU (default 0)", .number = &device, .max = 1023},
      {"devices", 0, "LIST", "several GPUs, 0,1,... (or cpu,cpu): a worker process for each",
       .text = &ask->devices},
      {"threads", 0, "N", "threads (default: all processors)", .number = &ask->threads, .min = 1,
       .max = 4096},
      {"slots", 0, "N", "networks in flight (default: what suits the backend)",
       .number = &ask->slots, .min = 1, .max = 1000000},
      {"shard", 0, "I/N",
       "train only members I, I+N, ... (I from 0; %a in OUT.h5 is I); %a/N in a Slurm array",
       .text = &ask->shard},
      {"checkpoint", 0, "TIME", "seconds between checkpoints (default 60; 0: only when stopped)",
       .text = &checkpoint},
      {"max-time", 0, "TIME",
       "stop after TIME (seconds or HH:MM:SS) with a checkpoint; exit status 143",
       .text = &longest},
      {"resume", 0, NULL, "continue an interrupted run; add members to a finished one",
       .flag = &ask->resume},
      {"from", 0, "OLD.h5", "take the members that this result holds, train only the others",
       .text = &ask->from, .suffixes = ESC_RESULT_SUFFIXES},
      {"force", 0, NULL, "replace an existing result; without --resume its journal too",
       .flag = &ask->force},
      {"dry-run", 0, NULL, "print memory, time and a forecast of the run; train nothing",
       .flag = &ask->dry_run},
      {"quiet", 'q', NULL, "no progress on stderr", .flag = &ask->quiet},
      {"json", 0, NULL, "the summary as one JSON object on stdout", .flag = &ask->json},
      {0},
  };
  const esc_command command = {
      "run SPEC [-o OUT.h5] [options] [key=value ...]",
      "Trains the sweep that SPEC (YAML) describes; key=value replaces a key of it.",
      .options = options, .suffixes = "yaml|yml", .overrides = true};
  esc_status status = ESC_OK;
  ESC_TRY(esc_options_parse(&command, argc, argv, first, help));
  ESC_TRY(parse_time("checkpoint", checkpoint, &ask->checkpoint_seconds));
  ask->device_named = device >= 0;
  ask->device = device >= 0 ? device : 0;
  if (ask->devices && ask->device_named)
    return ESC_FAIL(ESC_BAD_INPUT,
                    "--device %lld: not together with --devices; allowed: one of them",
                    (long long)device);
  if (longest) ESC_TRY(parse_time("max-time", longest, &ask->seconds_max));
  if (ask->devices) ESC_TRY(esc_run_devices_check(ask->devices));
  if (ask->devices && !ask->backend.backend)
    ask->backend.backend = strncmp(ask->devices, "cpu", 3) ? "cuda" : "cpu";
  if (ask->devices && ask->shard)
    return ESC_FAIL(ESC_BAD_INPUT, "--devices divides the whole sweep: not together with --shard");
  if (longest && ask->seconds_max == 0)
    status = ESC_FAIL(ESC_BAD_INPUT, "--max-time %.40s: must be more than 0", longest);
done:
  return status;
}

/* Fills r->output: what was asked for, or the spec's name in the current
 * directory; where that is a link, the file behind it, so that two names of one
 * file meet at one journal. Refuses the spec itself. */
esc_status esc_run_choose_output(esc_run *r, const char *spec) {
  esc_status status = ESC_OK;
  char wanted[PATH_MAX], target[PATH_MAX], source[PATH_MAX];
  struct stat info;
  const char *path = r->ask.output;
  if (!path && strchr(r->spec->name, '/'))
    return ESC_FAIL(ESC_BAD_INPUT, "name '%s' has a '/': name the output with -o", r->spec->name);
  const int longest = (int)sizeof r->output - 32;
  if (path) ESC_TRY(esc_run_expand(path, r->shard, wanted, (size_t)longest));
  if (!path && snprintf(wanted, sizeof wanted, "%s.h5", r->spec->name) >= longest)
    return ESC_FAIL(ESC_BAD_INPUT, "-o: the path is longer than %d bytes", longest - 1);
  ESC_TRY(esc_output_check(wanted, "HDF5", ESC_RESULT_SUFFIXES, true));
  ESC_TRY(esc_io_check_writable(wanted));
  ESC_TRY(esc_io_resolve(wanted, target, sizeof target));
  const bool link = lstat(wanted, &info) == 0 && S_ISLNK(info.st_mode);
  snprintf(r->output, sizeof r->output, "%.4000s", link ? target : wanted);
  if (realpath(spec, source) && !strcmp(source, target))
    status = ESC_FAIL(ESC_BAD_INPUT, "%s: is the spec itself; name another output with -o", wanted);
done:
  return status;
}
