/* SPDX-License-Identifier: Apache-2.0 */
/* End of a run: the result and its attributes, messages about saved members, warnings, report. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "run/provenance.h"
#include "run/run.h"
#include "store/grid_attribute.h"
#include "store/segments.h"
#include "store/store.h"

/* The attribute of a result without a ledger. */
static const char no_ledger[] =
    "not defined: the step of train.optimizer adam has no imbalance identity; ledger variables are "
    "NaN";

/* Rounding explains residuals up to these fractions of ledger_gross (docs/guide/trust.md). */
static const double ledger_bound_float = 1e-6, ledger_bound_double = 1e-14, lost_bound = 0.01;

static esc_status set_grid(esc_results *results) {
  esc_status status = ESC_OK;
  char *text = NULL;
  ESC_TRY_ALLOCATE(text = esc_grid_attribute_print(results->grid));
  status = esc_results_set_attribute(results, "grid", text);
done:
  free(text);
  return status;
}

esc_status esc_run_set_attributes(esc_run *r) {
  esc_status status = ESC_OK;
  char text[1024] = "", now[32];
  size_t used = 0;
  esc_time_now(now);
  ESC_TRY(esc_results_set_attribute(r->results, "name", r->spec->name));
  ESC_TRY(esc_results_set_attribute(r->results, "spec", r->resolved));
  if (r->results->grid) ESC_TRY(set_grid(r->results));
  ESC_TRY(esc_results_set_attribute(r->results, "backend", r->engine->name));
  ESC_TRY(esc_results_set_attribute(r->results, "engine", r->engine_text));
  ESC_TRY(esc_results_set_attribute(r->results, "precision", r->engine->precision));
  ESC_TRY(esc_results_set_attribute(r->results, "device", r->device));
  if (!esc_optimizer_has_ledger(&r->spec->problem.optimizer))
    ESC_TRY(esc_results_set_attribute(r->results, "ledger", no_ledger));
  if (r->libraries[0]) ESC_TRY(esc_results_set_attribute(r->results, "libraries", r->libraries));
  snprintf(text, sizeof text, "%lld/%lld", (long long)r->shard, (long long)r->shards);
  ESC_TRY(esc_results_set_attribute(r->results, "shard", text));
  for (int i = 0; i < r->spec->problem.thresholds; i++)
    used += (size_t)snprintf(text + used, sizeof text - used, "%s%.3g", i ? " " : "",
                             r->plan.false_escape[i]);
  ESC_TRY(esc_results_set_attribute(r->results, "false_escape_probability", text));
  ESC_TRY(
      esc_provenance_set(r->results, r->options.command_line ? r->options.command_line : "", now));
  ESC_TRY(esc_segments_store(r->segments, r->results));
done:
  return status;
}

/* Whether the output has changed since the run began. */
static bool output_has_changed(const esc_run *r) {
  const esc_file_stamp now = esc_file_stamp_read(r->output);
  return !r->options.force && memcmp(&now, &r->output_stamp, sizeof now) != 0;
}

/* Message for a result that could not be written: the members in the journal, read again. */
static esc_status explain_unpublished(esc_run *r, const char *why, bool changed) {
  const int64_t members_safe = esc_run_count_synced_members(r) + r->members_reused;
  char safe[80];
  if (members_safe == r->plan.members)
    snprintf(safe, sizeof safe, "all %lld members are saved", (long long)members_safe);
  else
    snprintf(safe, sizeof safe, "%lld of %lld members are saved", (long long)members_safe,
             (long long)r->plan.members);
  return ESC_FAIL(changed ? ESC_BAD_INPUT : ESC_IO_FAILED,
                  "%s%s%s; %s in %s%s%s; write the result with the same command and --resume%s",
                  changed ? r->output : "", changed ? ": " : "", why, safe,
                  r->output_stamp.inode ? "the earlier result and " : "", r->output,
                  r->spec->grid ? ".point-*" : ".journal",
                  changed && !r->output_stamp.inode ? " --force" : "");
}

esc_status esc_run_publish(esc_run *r) {
  char why[900];
  esc_status status = esc_run_set_attributes(r);
  if (status == ESC_OK && r->recorder) status = esc_recorder_copy_results(r->recorder, r->results);
  if (status == ESC_OK && r->weight_recorder)
    status = esc_weight_recorder_copy_results(r->weight_recorder, r->results);
  if (!r->output[0]) return status;
  const bool changed = output_has_changed(r);
  if (status == ESC_OK && !changed) status = esc_store_write(r->output, r->results);
  if (status == ESC_OK && !changed) {
    esc_run_close_files(r, true);
    return ESC_OK;
  }
  snprintf(why, sizeof why, "%s",
           changed ? r->output_stamp.inode ? "was changed by another program during the run"
                                           : "was created by another program during the run"
                   : esc_error_message());
  return explain_unpublished(r, why, changed);
}

esc_status esc_run_explain_stop(const esc_run *r, esc_status status) {
  const char *reason = status == ESC_INTERRUPTED ? "interrupted" : "stopped at --max-time";
  char finished[64] = "no member had finished", in_flight_text[4200] = "";
  int64_t done = -r->members_reused; /* these are in the earlier result */
  if (!r->output[0])
    return ESC_FAIL(status, "%s: nothing was saved, because the run has no output", reason);
  for (int64_t i = 0; i < r->plan.members; i++) done += r->done[i];
  const int64_t saved = esc_run_count_synced_members(r);
  const int64_t in_flight = r->progress.in_flight ? esc_run_count_synced_networks(r) : 0;
  if (saved < done || in_flight < r->progress.in_flight)
    return ESC_FAIL(ESC_IO_FAILED,
                    "%s, but another program changed what was saved: %lld members are saved of "
                    "%lld that had finished, in %.1500s.journal, and %lld of %lld networks in "
                    "flight; continue with the same command and --resume from there",
                    reason, (long long)saved, (long long)done, r->output, (long long)in_flight,
                    (long long)r->progress.in_flight);
  if (saved == 0 && in_flight == 0)
    return ESC_FAIL(status, "%s: no network had made a step; nothing was saved", reason);
  if (saved)
    snprintf(finished, sizeof finished, "%lld of %lld members are saved in", (long long)saved,
             (long long)(r->plan.members - r->members_reused));
  if (in_flight)
    snprintf(in_flight_text, sizeof in_flight_text,
             "; %lld networks in flight are saved in %s.checkpoint", (long long)in_flight,
             r->output);
  return ESC_FAIL(status, "%s: %s%s%.4096s%s%s; continue with the same command and --resume",
                  reason, finished, saved ? " " : "", saved ? r->output : "",
                  saved ? ".journal" : "", in_flight_text);
}

/* ---- warnings and report ---- */

/* The larger number; NaN if one is NaN. */
static double larger(double a, double b) { return isnan(a) || a > b ? a : b; }

static bool have_all_diverged(const esc_results *r) {
  return esc_results_count_statuses(r).diverged == r->members;
}

/* Largest residual of an interface relative to ledger_gross, 0 where nothing was balanced; NaN if
 * every member diverged, or there is none. */
static double ledger_residual_max(const esc_results *r) {
  const int64_t interfaces = r->layers - 1;
  double worst = have_all_diverged(r) ? (double)NAN : 0;
  for (int64_t k = 0; k < r->members * interfaces; k++)
    if (r->status[k / interfaces] != ESC_MEMBER_DIVERGED && r->ledger_gross[k] != 0 &&
        !esc_results_is_padded(r, k / interfaces, (int)(k % interfaces) + 1))
      worst = larger(worst, fabs(r->ledger_residual[k]) / r->ledger_gross[k]);
  return worst;
}

static double lost_updates_max(const esc_results *r) {
  double worst = 0;
  for (int64_t i = 0; i < r->members; i++) worst = larger(worst, r->lost_updates[i]);
  return worst;
}

static bool is_exact(const esc_run *r) { return r->engine == &esc_reference_engine; }

static bool has_ledger(const esc_run *r) {
  return esc_optimizer_has_ledger(&r->spec->problem.optimizer);
}

static double ledger_bound(const esc_run *r) {
  if (!has_ledger(r)) return (double)NAN;
  return is_exact(r) ? ledger_bound_double : ledger_bound_float;
}

void esc_run_log_warnings(const esc_run *r) {
  const double residual = ledger_residual_max(r->results),
               rounded_away = lost_updates_max(r->results);
  const bool plain = r->spec->problem.update == ESC_UPDATE_PLAIN;
  const bool optimized = !esc_optimizer_is_plain(&r->spec->problem.optimizer);
  if (r->progress.diverged)
    esc_log("warning: %lld members diverged (loss not finite): use a smaller train.rate",
            (long long)r->progress.diverged);
  if (!(rounded_away <= lost_bound))
    esc_log("warning: up to %.1f%% of a member's weight updates were rounded away%s",
            100 * rounded_away,
            plain ? "; train.update=compensated keeps them"
            : optimized
                ? ": train.rate is too small for float, or weights have come to rest (units "
                  "without gradient, weights decayed to 0)"
                : ": train.rate is too small for float; use a larger one or --backend "
                  "reference");
  if (has_ledger(r) && !have_all_diverged(r->results) && !(residual <= ledger_bound(r)))
    esc_log("warning: imbalance ledger: relative residual %.2g exceeds the rounding bound %.0e%s",
            residual, ledger_bound(r),
            is_exact(r) ? ""
            : plain     ? "; see train.update=compensated"
                        : ": compare with --backend reference");
}

static void count_members(const esc_results *results, esc_run_report *report) {
  const esc_status_counts n = esc_results_count_statuses(results);
  report->members = results->members;
  report->escaped += n.escaped;
  report->censored += n.censored;
  report->diverged += n.diverged;
}

void esc_run_fill_report(const esc_run *r, esc_run_report *report) {
  *report =
      (esc_run_report){.members_kept = r->finished_before,
                       .network_steps = r->progress.network_steps,
                       .seconds = r->progress.seconds,
                       .ledger_residual_max = ledger_residual_max(r->results),
                       .ledger_bound = ledger_bound(r),
                       .lost_updates_max = lost_updates_max(r->results),
                       .flop_per_step = r->flop_per_step > 0 ? r->flop_per_step
                                                             : esc_flop_per_step(&r->spec->problem),
                       .shards_merged = r->shards_merged};
  count_members(r->results, report);
  snprintf(report->backend, sizeof report->backend, "%s", r->engine->name);
  snprintf(report->engine, sizeof report->engine, "%s", r->engine_text);
  snprintf(report->device, sizeof report->device, "%s", r->device);
  snprintf(report->output, sizeof report->output, "%s", r->output);
}
