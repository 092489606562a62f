/* escapement merge: the shards of one sweep joined to the file of the whole. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "cli/cli.h"
#include "cli/options.h"
#include "cli/output.h"
#include "escapement/internal/observe.h"
#include "spec/spec.h"
#include "store/lock.h"
#include "store/segments.h"
#include "store/store.h"

typedef struct merge {
  const char *output;
  bool force, json;
  int files;
  char **file;
  esc_results **part; /* (file), and after ordering (shard) */
  int64_t members;    /* of the whole sweep */
  esc_results *whole;
} merge;

/* Its shard's number; the number of shards in *shards. */
static esc_status read_shard(const char *file, const esc_results *r, int64_t *shard,
                             int64_t *shards) {
  long long i = -1, n = 0;
  const char *text = esc_results_get(r, "shard");
  if (!text || sscanf(text, "%lld/%lld", &i, &n) != 2 || i < 0 || i >= n)
    return ESC_FAIL(ESC_BAD_INPUT, "%s: does not say which shard it is", file);
  *shard = i;
  *shards = n;
  return ESC_OK;
}

/* All files are of one run, but for their shard. */
static esc_status check_alike(const merge *m, int i, const char *attribute) {
  const char *first = esc_results_get(m->part[0], attribute);
  const char *here = esc_results_get(m->part[i], attribute);
  if (first && here && !strcmp(first, here)) return ESC_OK;
  return ESC_FAIL(ESC_BAD_INPUT, "%.300s and %.300s do not belong together: another %s", m->file[0],
                  m->file[i], attribute);
}

/* Puts `part` and `file` in the order of shards; refuses what is there twice. Of more shards than
 * files one of the first files + 1 is missing, so that no more of them need a place. */
static esc_status order_parts(merge *m, int64_t shards) {
  esc_status status = ESC_OK;
  int64_t shard = 0, others = 0;
  const int64_t places = shards < m->files ? shards : m->files + 1;
  esc_results **part = calloc((size_t)places, sizeof *part);
  char **file = calloc((size_t)places, sizeof *file);
  ESC_TRY_ALLOCATE(part);
  ESC_TRY_ALLOCATE(file);
  for (int i = 0; i < m->files; i++) {
    ESC_TRY(read_shard(m->file[i], m->part[i], &shard, &others));
    if (shard >= places) continue;
    if (part[shard])
      status = ESC_FAIL(ESC_BAD_INPUT, "%.300s and %.300s are both shard %lld of %lld", file[shard],
                        m->file[i], (long long)shard, (long long)shards);
    if (status != ESC_OK) goto done;
    part[shard] = m->part[i];
    file[shard] = m->file[i];
  }
  for (int64_t i = 0; i < shards; i++) {
    if (i >= places || !part[i])
      status = ESC_FAIL(ESC_BAD_INPUT, "shard %lld of %lld is missing: %d files were named",
                        (long long)i, (long long)shards, m->files);
    if (status != ESC_OK) goto done;
  }
  memcpy(m->part, part, (size_t)m->files * sizeof *part);
  memcpy(m->file, file, (size_t)m->files * sizeof *file);
done:
  free(part);
  free(file);
  return status;
}

/* Counts the members of the sweep that the files' spec describes, and checks that the files have
 * the spec's shape: rows of another length must not be copied. */
static esc_status check_shapes(merge *m) {
  esc_status status = ESC_OK;
  esc_spec *spec = NULL;
  const char *text = esc_results_get(m->part[0], "spec");
  ESC_TRY(esc_spec_parse(m->file[0], text, strlen(text), 0, NULL, &spec));
  m->members = esc_spec_members(spec);
  for (int i = 0; i < m->files; i++)
    ESC_TRY(esc_results_check(m->file[i], m->part[i], &spec->problem));
done:
  esc_spec_free(spec);
  return status;
}

/* Every shard holds its members, all of them and no others. */
static esc_status check_members(const merge *m) {
  for (int i = 0; i < m->files; i++) {
    const esc_results *r = m->part[i];
    const int64_t count = (m->members - i + m->files - 1) / m->files;
    for (int64_t k = 0; k < r->members && k < count; k++)
      if (r->member[k] != i + k * m->files)
        return ESC_FAIL(ESC_BAD_INPUT, "%s: row %lld holds member %lld instead of %lld", m->file[i],
                        (long long)k, (long long)r->member[k], (long long)(i + k * m->files));
    if (r->members != count)
      return ESC_FAIL(ESC_BAD_INPUT, "%s: holds %lld members of the shard's %lld", m->file[i],
                      (long long)r->members, (long long)count);
  }
  return ESC_OK;
}

static esc_status check_parts(merge *m) {
  esc_status status = ESC_OK;
  int64_t shard = 0, shards = 0, others = 0;
  ESC_TRY(read_shard(m->file[0], m->part[0], &shard, &shards));
  for (int i = 0; i < m->files; i++) {
    ESC_TRY(check_alike(m, i, "spec"));
    ESC_TRY(check_alike(m, i, "precision"));
    ESC_TRY(read_shard(m->file[i], m->part[i], &shard, &others));
    if (others != shards)
      return ESC_FAIL(ESC_BAD_INPUT,
                      "%.300s and %.300s do not belong together: %lld shards and %lld shards",
                      m->file[0], m->file[i], (long long)shards, (long long)others);
  }
  ESC_TRY(order_parts(m, shards));
  ESC_TRY(check_shapes(m));
  ESC_TRY(check_members(m));
done:
  return status;
}

/* Row k of shard i is member i + k * shards, and that row of the whole. */
static esc_status join_rows(merge *m) {
  esc_status status = ESC_OK;
  const esc_results *first = m->part[0];
  char *row = NULL;
  ESC_TRY_ALLOCATE(row = malloc(esc_results_row_size(first->thresholds, first->layers)));
  ESC_TRY(esc_results_create(m->members, first->thresholds, first->layers, &m->whole));
  for (int t = 0; t < first->thresholds; t++) m->whole->threshold[t] = first->threshold[t];
  for (int64_t j = 0; j < m->members; j++) {
    esc_results_pack(m->part[j % m->files], j / m->files, row);
    esc_results_unpack(m->whole, j, row);
    m->whole->member[j] = j;
  }
done:
  free(row);
  return status;
}

static void copy_snapshots(const merge *m, int64_t j) {
  const esc_results *from = m->part[j % m->files];
  for (int o = 0; o < ESC_OBSERVABLES && from->snapshots; o++) {
    const int64_t length = esc_observable_length(from->layers, esc_observables[o].axis);
    memcpy(m->whole->observable[o] + j * m->whole->snapshots * length,
           from->observable[o] + j / m->files * from->snapshots * length,
           (size_t)(from->snapshots * length) * sizeof(double));
    memcpy(m->whole->observable_end[o] + j * length,
           from->observable_end[o] + j / m->files * length, (size_t)length * sizeof(double));
  }
}

/* A shard's snapshots end with its longest member, so one is the beginning of the other. */
static esc_status join_snapshots(merge *m) {
  esc_status status = ESC_OK;
  int longest = 0;
  for (int i = 1; i < m->files; i++)
    if (m->part[i]->snapshots > m->part[longest]->snapshots) longest = i;
  const esc_results *full = m->part[longest];
  if (full->snapshots == 0) return ESC_OK;
  for (int i = 0; i < m->files; i++) {
    if (m->part[i]->members > 0 && m->part[i]->snapshots == 0)
      return ESC_FAIL(ESC_BAD_INPUT, "%.300s has snapshots and %.300s has none", m->file[longest],
                      m->file[i]);
    for (int64_t k = 0; k < m->part[i]->snapshots; k++)
      if (m->part[i]->snapshot_step[k] != full->snapshot_step[k])
        return ESC_FAIL(ESC_BAD_INPUT, "%.300s and %.300s have snapshots of different steps",
                        m->file[longest], m->file[i]);
  }
  ESC_TRY(esc_results_add_snapshots(m->whole, full->snapshots));
  memcpy(m->whole->snapshot_step, full->snapshot_step,
         (size_t)full->snapshots * sizeof *full->snapshot_step);
  for (int64_t j = 0; j < m->members; j++) copy_snapshots(m, j);
done:
  return status;
}

/* Whether a shard before i says the same. */
static bool said_before(const merge *m, int i, const char *name, const char *text) {
  for (int k = 0; k < i; k++) {
    const char *other = esc_results_get(m->part[k], name);
    if (other && !strcmp(other, text)) return true;
  }
  return false;
}

/* The different texts of an attribute, in the order of shards. */
static esc_status join_attribute(merge *m, const char *name) {
  esc_status status = ESC_OK;
  char *text = NULL;
  size_t size = 1;
  for (int i = 0; i < m->files; i++) {
    const char *here = esc_results_get(m->part[i], name);
    size += here ? strlen(here) + 2 : 0;
  }
  ESC_TRY_ALLOCATE(text = calloc(1, size));
  char *end = text;
  for (int i = 0; i < m->files; i++) {
    const char *here = esc_results_get(m->part[i], name);
    if (!here || said_before(m, i, name, here)) continue;
    end = stpcpy(stpcpy(end, end == text ? "" : "; "), here);
  }
  ESC_TRY(esc_results_set(m->whole, name, text));
done:
  free(text);
  return status;
}

/* The segments of all shards; those of an earlier result that all grew from once. */
static esc_status join_segments(merge *m) {
  esc_status status = ESC_OK;
  json_t *segments = json_array(), *more = NULL;
  ESC_TRY_ALLOCATE(segments);
  for (int i = 0; i < m->files; i++) {
    json_decref(more);
    ESC_TRY_ALLOCATE(more = esc_segments_of(m->part[i]));
    ESC_TRY(esc_segments_join(segments, more));
  }
  ESC_TRY(esc_segments_sort(&segments));
  ESC_TRY(esc_segments_store(segments, m->whole));
done:
  json_decref(more);
  json_decref(segments);
  return status;
}

static esc_status join_attributes(merge *m) {
  esc_status status = ESC_OK;
  char text[64];
  for (int i = 0; i < m->part[0]->attributes; i++)
    ESC_TRY(join_attribute(m, m->part[0]->attribute[i].name));
  ESC_TRY(join_segments(m));
  ESC_TRY(esc_results_set(m->whole, "shard", "0/1"));
  snprintf(text, sizeof text, "%d", m->files);
  ESC_TRY(esc_results_set(m->whole, "merged_shards", text));
done:
  return status;
}

static esc_status print_summary(const merge *m) {
  int64_t ended[3] = {0};
  for (int64_t i = 0; i < m->members; i++)
    if (m->whole->status[i] >= 0 && m->whole->status[i] < 3) ended[m->whole->status[i]]++;
  if (!m->json) {
    printf("%lld members of %d shards: %lld escaped, %lld censored, %lld diverged\n%s\n",
           (long long)m->members, m->files, (long long)ended[ESC_MEMBER_ESCAPED],
           (long long)ended[ESC_MEMBER_CENSORED], (long long)ended[ESC_MEMBER_DIVERGED], m->output);
    return ESC_OK;
  }
  json_t *json = json_object();
  json_object_set_new(json, "members", json_integer(m->members));
  json_object_set_new(json, "shards", json_integer(m->files));
  json_object_set_new(json, "escaped", json_integer(ended[ESC_MEMBER_ESCAPED]));
  json_object_set_new(json, "censored", json_integer(ended[ESC_MEMBER_CENSORED]));
  json_object_set_new(json, "diverged", json_integer(ended[ESC_MEMBER_DIVERGED]));
  json_object_set_new(json, "output", esc_json_text(m->output));
  return esc_json_print(json);
}

static esc_status parse(merge *m, int argc, char **argv, bool *help) {
  esc_status status = ESC_OK;
  int first = 0;
  const esc_option options[] = {
      {"output", 'o', "OUT.h5", "the joined file (needed)", .text = &m->output,
       .suffixes = ESC_RESULT_SUFFIXES},
      {"force", 0, NULL, "replace an existing one", .flag = &m->force},
      {"json", 0, NULL, "the summary as one JSON object on stdout", .flag = &m->json},
      {0},
  };
  const esc_command command = {
      "merge -o OUT.h5 SHARD.h5...",
      "Joins the results of run --shard 0/N .. N-1/N: the file that run without it gives.",
      .options = options, .suffixes = ESC_RESULT_SUFFIXES};
  ESC_TRY(esc_options_parse(&command, argc, argv, &first, help));
  if (*help) return ESC_OK;
  if (!m->output) return ESC_FAIL(ESC_BAD_INPUT, "merge: needs -o OUT.h5");
  ESC_TRY(esc_output_check(m->output, "HDF5", ESC_RESULT_SUFFIXES, true));
  if (first >= argc) return ESC_FAIL(ESC_BAD_INPUT, "merge: needs the shards' files");
  m->file = argv + first;
  ESC_TRY_ALLOCATE(m->part = calloc((size_t)(argc - first), sizeof(esc_results *)));
  for (; m->files < argc - first; m->files++)
    ESC_TRY(esc_store_read(m->file[m->files], &m->part[m->files]));
done:
  return status;
}

esc_status esc_verb_merge(int argc, char **argv) {
  esc_status status = ESC_OK;
  merge m = {0};
  esc_lock *lock = NULL;
  char output[PATH_MAX];
  bool help = false;
  ESC_TRY(parse(&m, argc, argv, &help));
  if (help) goto done;
  ESC_TRY(esc_io_check_writable(m.output));
  ESC_TRY(esc_io_resolve(m.output, output, sizeof output)); /* a link is another name of one lock */
  ESC_TRY(esc_lock_take(output, -1, esc_log, &lock));
  if (!m.force && esc_io_exists(m.output)) {
    status = ESC_FAIL(ESC_BAD_INPUT, "%s: exists already; --force replaces it", m.output);
    goto done;
  }
  ESC_TRY(check_parts(&m));
  ESC_TRY(join_rows(&m));
  ESC_TRY(join_snapshots(&m));
  ESC_TRY(join_attributes(&m));
  ESC_TRY(esc_store_write(m.output, m.whole));
  ESC_TRY(print_summary(&m));
done:
  esc_lock_release(lock);
  esc_tables_free(m.files, m.part);
  esc_results_free(m.whole);
  return status;
}
