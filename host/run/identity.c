/* SPDX-License-Identifier: Apache-2.0 */
/* Identity of a run: the earlier runs that may continue as this one. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "run/run.h"
#include "spec/difference.h"
#include "spec/grid_growth.h"

esc_status esc_run_set_identity(esc_run *r) {
  if (asprintf(&r->identity, "%sprecision: %s\nshard: %lld/%lld\n", r->resolved,
               r->engine->precision, (long long)r->shard, (long long)r->shards) >= 0)
    return ESC_OK;
  r->identity = NULL;
  return ESC_FAIL(ESC_NO_MEMORY, "out of memory (the run's identity)");
}

const char *esc_run_identity_rest(const char *identity) {
  const char *end = strstr(identity, "\nprecision: ");
  return end ? end + 1 : NULL;
}

/* After a sweep is extended, members can belong to another shard. */
static esc_status check_shard(const esc_run *r, const char *path, const esc_spec *before) {
  esc_status status = ESC_OK;
  esc_plan plan = {0};
  const bool by_devices = strstr(path, ".part-") != NULL; /* shards of a run with --devices */
  ESC_TRY(esc_plan_create(before, r->shard, r->shards, &plan));
  for (int64_t i = 0; i < plan.members; i++)
    if (esc_plan_find_member(&r->plan, esc_member_key_of(&plan.member[i])) < 0) {
      status = ESC_FAIL(ESC_BAD_INPUT,
                        "%s: in the larger sweep, its member of seed %llu at scale %g belongs to "
                        "another shard than %lld/%lld; %s",
                        path, (unsigned long long)plan.member[i].seed, plan.member[i].scale,
                        (long long)r->shard, (long long)r->shards,
                        by_devices ? "finish the run with its original spec first (--devices and "
                                     "--resume), then add members to its result"
                                   : "finish and merge the shards of the smaller sweep first, then "
                                     "add members to the merged file");
      goto done;
    }
done:
  esc_plan_free(&plan);
  return status;
}

/* Precision and shard of an identity, on one line. */
static const char *show_rest(const char *rest, char *text, size_t size) {
  char precision[32] = "?", shard[64] = "?";
  (void)sscanf(rest, "precision: %31s shard: %63s", precision, shard);
  snprintf(text, size, "precision %s, shard %s", precision, shard);
  return text;
}

esc_status esc_run_check_identity(void *context, const char *path, esc_identity found) {
  esc_status status = ESC_OK;
  const esc_run *r = context;
  esc_spec *before = NULL;
  char *spec = NULL, theirs[120], ours[120];
  if (!strcmp(found.text, r->identity)) return ESC_OK;
  const char *rest = esc_run_identity_rest(found.text);
  if (!rest) rest = found.text + strlen(found.text);
  const char *own = r->identity + strlen(r->resolved);
  if (strcmp(rest, own) != 0)
    return ESC_FAIL(ESC_BAD_INPUT,
                    "%s: belongs to a run with %s, but this run has %s; choose another output with "
                    "-o, or start over with --force",
                    path, show_rest(rest, theirs, sizeof theirs),
                    show_rest(own, ours, sizeof ours));
  ESC_TRY_ALLOCATE(spec = strndup(found.text, (size_t)(rest - found.text)));
  if (r->spec->grid) {
    status = esc_grid_check_growth(path, spec, r->spec);
    goto done;
  }
  ESC_TRY(esc_spec_check_growth(path, spec, r->spec, r->resolved, &before));
  if (r->shards > 1) ESC_TRY(check_shard(r, path, before));
done:
  esc_spec_free(before);
  free(spec);
  return status;
}

void esc_run_set_row(esc_run *r, int64_t index, const void *row) {
  const esc_member *m = &r->plan.member[index];
  esc_results_unpack(r->results, index, row);
  r->results->member[index] = m->index;
  r->results->group[index] = m->group; /* can change when a sweep is extended */
  r->done[index] = true;
}
