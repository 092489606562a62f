/* SPDX-License-Identifier: Apache-2.0 */
/* escapement merge: merges the shards of one sweep into one result file. */
#include "escapement/merge.h"

#include <stdio.h>

#include "cli/cli.h"
#include "cli/options.h"
#include "cli/output.h"

esc_status esc_merge_print(const char *output, const esc_merge_summary *s, bool as_json) {
  if (!as_json) {
    printf("%lld members of %d shards: %lld escaped, %lld censored, %lld diverged\n%s\n",
           (long long)s->members, s->shards, (long long)s->escaped, (long long)s->censored,
           (long long)s->diverged, output);
    return ESC_OK;
  }
  json_t *json = json_object();
  json_object_set_new(json, "members", json_integer(s->members));
  json_object_set_new(json, "shards", json_integer(s->shards));
  json_object_set_new(json, "escaped", json_integer(s->escaped));
  json_object_set_new(json, "censored", json_integer(s->censored));
  json_object_set_new(json, "diverged", json_integer(s->diverged));
  json_object_set_new(json, "output", esc_json_text(output));
  return esc_json_print(json);
}

static esc_status parse(esc_merge_request *m, bool *json, int argc, char **argv, bool *help) {
  esc_status status = ESC_OK;
  int first = 0;
  const esc_option options[] = {
      {"output", 'o', "OUT.h5", "merged result file (required)", .text = &m->output,
       .suffixes = ESC_RESULT_SUFFIXES},
      {"force", 0, NULL, "replace an existing result", .flag = &m->force},
      {"json", 0, NULL, "print the summary as one JSON object", .flag = json},
      {0},
  };
  const esc_command command = {
      "merge -o OUT.h5 SHARD.h5...",
      "Merges the results of run --shard 0/N ... N-1/N into one file, identical to that\n"
      "of a run without --shard.",
      .options = options, .suffixes = ESC_RESULT_SUFFIXES};
  ESC_TRY(esc_options_parse(&command, argc, argv, &first, help));
  if (*help) return ESC_OK;
  if (!m->output) return ESC_FAIL(ESC_BAD_INPUT, "merge: -o OUT.h5 is missing");
  ESC_TRY(esc_output_check(m->output, "HDF5", ESC_RESULT_SUFFIXES, true));
  if (first >= argc) return ESC_FAIL(ESC_BAD_INPUT, "merge: the files of the shards are missing");
  m->file = (const char *const *)(argv + first);
  m->files = argc - first;
done:
  return status;
}

esc_status esc_command_merge(int argc, char **argv) {
  esc_status status = ESC_OK;
  esc_merge_request m = {0};
  esc_merge_summary summary;
  bool json = false, help = false;
  ESC_TRY(parse(&m, &json, argc, argv, &help));
  if (help) goto done;
  ESC_TRY(esc_files_merge(&m, &summary));
  ESC_TRY(esc_merge_print(m.output, &summary, json));
done:
  return status;
}
