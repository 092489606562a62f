/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/info_progress.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/names.h"
#include "cli/cli.h"
#include "run/run.h"
#include "store/checkpoint.h"
#include "store/journal.h"
#include "store/segments.h"

/* Contents of a file, collected while it is read. */
typedef struct found {
  char *identity; /* the latest; owned */
  int64_t members;
  json_t *segments;              /* owned */
  esc_results *one;              /* holds one row; NULL: rows are unreadable */
  int64_t ended[3];              /* (status) */
  int64_t networks, least, most; /* running networks, and the range of their steps */
} found;

static void found_free(found *f) {
  free(f->identity);
  json_decref(f->segments);
  esc_results_free(f->one);
}

static esc_status store_identity(void *context, const char *path, esc_identity identity) {
  found *f = context;
  (void)path;
  free(f->identity);
  f->members = identity.members;
  f->identity = strdup(identity.text);
  return f->identity ? ESC_OK : ESC_FAIL(ESC_NO_MEMORY, "out of memory (identity)");
}

static void store_segment(void *context, const char *text, bool begins) {
  const found *f = context;
  esc_segments_add_text(f->segments, text, begins);
}

static void count_row(void *context, esc_member_key member, const void *row) {
  found *f = context;
  (void)member;
  if (!f->one) return;
  esc_results_unpack(f->one, 0, row);
  const int32_t status = f->one->status[0];
  if (status >= 0 && status < 3) f->ended[status]++;
}

static void count_network(void *context, esc_member_key member, int64_t step) {
  found *f = context;
  (void)member;
  if (f->networks == 0 || step < f->least) f->least = step;
  if (f->networks == 0 || step > f->most) f->most = step;
  f->networks++;
}

/* Time of the last modification, ISO 8601 in UTC. */
static void time_of(const char *path, char text[32]) {
  struct stat info;
  struct tm utc;
  text[0] = 0;
  if (stat(path, &info) == 0 && gmtime_r(&info.st_mtim.tv_sec, &utc))
    strftime(text, 32, "%Y-%m-%dT%H:%M:%SZ", &utc);
}

/* `path` without its suffix. */
static void output_of(const char *path, char *out, size_t size) {
  static const char *const suffix[] = {".journal", ".snapshots", ".weights", ".checkpoint",
                                       ".checkpoint.previous"};
  size_t length = strlen(path);
  for (size_t i = 0; i < sizeof suffix / sizeof suffix[0]; i++)
    if (length > strlen(suffix[i]) && !strcmp(path + length - strlen(suffix[i]), suffix[i])) {
      length -= strlen(suffix[i]);
      break;
    }
  size_t whole;
  uint64_t id;
  if (esc_names_parse_point(path, &whole, &id)) length = whole; /* of the run of the whole grid */
  snprintf(out, size, "%.*s", (int)length, path);
}

void esc_info_print_segments(const json_t *segments) {
  for (size_t i = 0; i < json_array_size(segments); i++) {
    const json_t *s = json_array_get(segments, i);
    const char *start = json_string_value(json_object_get(s, "start_time"));
    const char *ended = json_string_value(json_object_get(s, "ended"));
    const char *backend = json_string_value(json_object_get(s, "backend"));
    const char *device = json_string_value(json_object_get(s, "device"));
    printf("  %zu. %s: %.1f s, %lld network-steps, %lld members, %s on %s; %s\n", i + 1,
           start ? start : "?", json_number_value(json_object_get(s, "wall_s")),
           (long long)json_integer_value(json_object_get(s, "steps")),
           (long long)json_integer_value(json_object_get(s, "members")), backend ? backend : "?",
           device ? device : "?", ended ? ended : "not ended: running, or killed");
  }
}

/* The keys that all three kinds of file have. */
static json_t *describe(const char *kind, const char *path, const found *f) {
  char text[4200];
  json_t *object = json_object();
  json_object_set_new(object, "kind", json_string(kind));
  json_object_set_new(object, "members", json_integer(f->members));
  time_of(path, text);
  json_object_set_new(object, "modified", json_string(text));
  output_of(path, text, sizeof text);
  json_object_set_new(object, "output", esc_json_text(text));
  const char *rest = f->identity ? esc_run_identity_rest(f->identity) : NULL;
  char precision[32] = "", shard[64] = "";
  if (rest) (void)sscanf(rest, "precision: %31s shard: %63s", precision, shard);
  if (rest) f->identity[rest - f->identity] = 0;
  json_object_set_new(object, "precision", json_string(precision));
  json_object_set_new(object, "shard", json_string(shard));
  json_object_set_new(object, "spec", f->identity ? esc_json_text(f->identity) : json_null());
  return object;
}

static void print_end(const char *path, const found *f) {
  char text[4200], whole[4200];
  time_of(path, text);
  printf("last written: %s\n", text);
  if (json_array_size(f->segments)) printf("\nsegments:\n");
  esc_info_print_segments(f->segments);
  output_of(path, text, sizeof text);
  const bool is_part = esc_unfinished_whole(text, whole, sizeof whole);
  printf("\ncontinue with: escapement run SPEC -o %s --resume%s\n", whole,
         is_part ? " --devices LIST" : "");
  if (f->identity) printf("\nspec, with precision and shard of the run:\n%s", f->identity);
}

static void print_damage(const esc_journal_summary *s) {
  if (s->damaged_regions)
    printf("damaged: %lld bytes in %lld regions, the first at offset %lld; the rest is intact\n",
           (long long)s->damaged_bytes, (long long)s->damaged_regions,
           (long long)s->first_damaged_offset);
}

static esc_status print_journal(const char *path, const found *f, const esc_journal_summary *s,
                                bool json) {
  const char *kind = s->weights ? "weights" : s->snapshots ? "snapshots" : "journal";
  const char *count = s->weights ? "records" : s->snapshots ? "snapshots" : "finished";
  const bool finished = !s->weights && !s->snapshots;
  if (json) {
    json_t *object = describe(kind, path, f);
    json_object_set_new(object, count, json_integer(s->records));
    json_object_set_new(object, "running", json_boolean(s->locked));
    json_object_set_new(object, "damages", json_integer(s->damaged_regions));
    json_object_set_new(object, "damaged_bytes", json_integer(s->damaged_bytes));
    json_object_set_new(object, "segments", json_incref(f->segments));
    if (!finished || !s->readable) return esc_json_print(object);
    json_object_set_new(object, "escaped", json_integer(f->ended[ESC_MEMBER_ESCAPED]));
    json_object_set_new(object, "censored", json_integer(f->ended[ESC_MEMBER_CENSORED]));
    json_object_set_new(object, "diverged", json_integer(f->ended[ESC_MEMBER_DIVERGED]));
    return esc_json_print(object);
  }
  if (s->weights)
    printf("%s: journal with %lld records of weights of an unfinished run\n", path,
           (long long)s->records);
  else if (s->snapshots)
    printf("%s: journal with %lld snapshots of an unfinished run\n", path, (long long)s->records);
  else
    printf("%s: journal with %lld of %lld members finished; the run %s\n", path,
           (long long)s->records, (long long)s->members, s->locked ? "is active" : "is unfinished");
  if (finished && s->readable)
    printf("%lld escaped, %lld censored, %lld diverged\n", (long long)f->ended[ESC_MEMBER_ESCAPED],
           (long long)f->ended[ESC_MEMBER_CENSORED], (long long)f->ended[ESC_MEMBER_DIVERGED]);
  print_damage(s);
  print_end(path, f);
  return ESC_OK;
}

esc_status esc_info_journal(const char *path, bool json) {
  esc_status status = ESC_OK;
  esc_journal_summary summary;
  found f = {0};
  const esc_journal_reader reader = {&f, store_identity, store_segment, count_row, NULL};
  ESC_TRY_ALLOCATE(f.segments = json_array());
  ESC_TRY(esc_journal_read(path, NULL, &summary));
  if (summary.readable && !summary.snapshots && !summary.weights)
    ESC_TRY(esc_results_create(1, summary.thresholds, summary.layers, &f.one));
  ESC_TRY(esc_journal_read(path, &reader, &summary));
  ESC_TRY(print_journal(path, &f, &summary, json));
done:
  found_free(&f);
  return status;
}

esc_status esc_info_checkpoint(const char *path, bool json) {
  esc_status status = ESC_OK;
  found f = {0};
  const esc_checkpoint_reader reader = {&f, store_identity, NULL};
  ESC_TRY(esc_checkpoint_read(path, &reader, count_network));
  if (json) {
    json_t *object = describe("checkpoint", path, &f);
    json_object_set_new(object, "in_flight", json_integer(f.networks));
    json_object_set_new(object, "least_steps", json_integer(f.least));
    json_object_set_new(object, "most_steps", json_integer(f.most));
    status = esc_json_print(object);
    goto done;
  }
  printf(
      "%s: checkpoint of %lld running networks, after %lld to %lld steps, of an unfinished run of "
      "%lld members\n",
      path, (long long)f.networks, (long long)f.least, (long long)f.most, (long long)f.members);
  print_end(path, &f);
done:
  found_free(&f);
  return status;
}
