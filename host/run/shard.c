/* SPDX-License-Identifier: Apache-2.0 */
/* The shard that a run trains, and the placeholders in its output's name: from --shard, or from the
 * task of a Slurm array.
 *
 * The number of shards must be the same however the tasks are submitted, together or one again
 * later, so Slurm's count is used only if the array is complete, and only if no file of another
 * task beside the output states the number. */
#include <dirent.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "base/log.h"
#include "base/names.h"
#include "run/shard.h"
#include "store/checkpoint.h"
#include "store/journal.h"
#include "store/store.h"

enum { SHARDS_MAX = 1000000 };

/* ---- names ---- */

static bool is_number(const char *text) {
  const size_t length = text ? strlen(text) : 0;
  return length > 0 && length < 16 && strspn(text, "0123456789") == length;
}

/* Replacement of the letter after '%': its length, -1 if it is not set, 0 for no placeholder. */
static int placeholder(char letter, int64_t shard, char text[24]) {
  const char *variable = letter == 'A'   ? "SLURM_ARRAY_JOB_ID"
                         : letter == 'j' ? "SLURM_JOB_ID"
                                         : NULL;
  const char *value = variable ? getenv(variable) : NULL;
  if (letter == 'a') return snprintf(text, 24, "%lld", (long long)shard);
  if (!variable) return 0;
  return is_number(value) ? snprintf(text, 24, "%s", value) : -1;
}

esc_status esc_shard_expand_path(const char *path, int64_t shard, char *out, size_t size) {
  size_t used = 0;
  char text[24];
  for (const char *c = path; *c; c++) {
    const int length = *c == '%' ? placeholder(c[1], shard, text) : 0;
    if (length < 0)
      return ESC_FAIL(
          ESC_BAD_INPUT,
          "-o %.300s: %%%c is the number of a Slurm %s, but this process is not part of one", path,
          c[1], c[1] == 'j' ? "job" : "array");
    const size_t need = length ? (size_t)length : 1;
    if (used + need >= size)
      return ESC_FAIL(ESC_BAD_INPUT, "-o: the path is longer than %zu bytes", size - 1);
    memcpy(out + used, length ? text : c, need);
    used += need;
    if (length) c++;
  }
  out[used] = 0;
  return ESC_OK;
}

/* ---- --shard ---- */

/* "I/N" with 0 <= I < N, or "%a/N" in a task of a Slurm array. */
static esc_status parse_shard(const char *text, int64_t *shard, int64_t *shards) {
  long long i = 0, n = 0;
  char rest, number[64];
  const char *id = getenv("SLURM_ARRAY_TASK_ID");
  const bool task = !strncmp(text, "%a/", 3);
  if (task && !is_number(id))
    return ESC_FAIL(ESC_BAD_INPUT,
                    "--shard %.40s: %%a is the task number of a Slurm array, but this process is "
                    "not an array task; give I/N with I from 0 to N-1",
                    text);
  snprintf(number, sizeof number, "%s%.32s", task ? id : "", task ? text + 2 : text);
  const bool plain = strspn(number, "0123456789/") == strlen(number) && strlen(number) < 32;
  if (!plain || sscanf(number, "%lld/%lld%c", &i, &n, &rest) != 2 || n < 1 || n > SHARDS_MAX ||
      i >= n)
    return ESC_FAIL(ESC_BAD_INPUT, "--shard %.40s%s%.20s: must be I/N with I from 0 to N-1%s", text,
                    task ? " in task " : "", task ? id : "",
                    task ? "; the array's tasks must be 0 to N-1 (--array=0-7 for N = 8)" : "");
  *shard = i;
  *shards = n;
  return ESC_OK;
}

/* ---- files of other tasks ---- */

static esc_status copy_identity(void *context, const char *path, esc_identity found) {
  (void)path;
  snprintf(context, 64, "%s",
           strstr(found.text, "\nshard: ") ? strstr(found.text, "\nshard: ") + 8 : "");
  return ESC_OK;
}

/* Shard "I/N" of the result, journal or checkpoint `path`; "" if unknown. */
static void read_shard(const char *path, const char *suffix, char text[64]) {
  const esc_journal_reader journal = {.context = text, .identity = copy_identity};
  const esc_checkpoint_reader checkpoint = {.context = text, .identity = copy_identity};
  esc_journal_summary summary;
  esc_results *result = NULL;
  text[0] = 0;
  if (!esc_io_exists(path)) return;
  if (!strcmp(suffix, ".journal")) {
    (void)esc_journal_read(path, &journal, &summary);
  } else if (!strcmp(suffix, ".checkpoint")) {
    (void)esc_checkpoint_read(path, &checkpoint, NULL);
  } else if (!*suffix && esc_store_read(path, &result) == ESC_OK) {
    const char *said = esc_results_attribute_text(result, "shard");
    snprintf(text, 64, "%s", said ? said : "");
  }
  esc_results_free(result);
}

/* Number of shards in the files of task `task`, 0 without files; `path`: the file read. */
static int64_t shards_of_task(const char *output, int64_t task, char path[PATH_MAX]) {
  static const char *const suffix[] = {"", ".journal", ".checkpoint"};
  char text[64], name[PATH_MAX - 32];
  if (esc_shard_expand_path(output, task, name, sizeof name) != ESC_OK) return 0;
  for (size_t i = 0; i < sizeof suffix / sizeof suffix[0]; i++) {
    long long shard = -1, shards = 0;
    snprintf(path, PATH_MAX, "%s%s", name, suffix[i]);
    read_shard(path, suffix[i], text);
    if (sscanf(text, "%lld/%lld", &shard, &shards) == 2 && shard == task && shard < shards)
      return shards;
  }
  return 0;
}

/* Task number if `entry` is the name of a file of a task, else -1. */
static int64_t task_of_entry(const char *pattern, const char *entry) {
  const char *at = strstr(pattern, "%a");
  const size_t before = at ? (size_t)(at - pattern) : 0;
  char name[PATH_MAX], digits[16];
  if (!at || strncmp(pattern, entry, before) != 0) return -1;
  snprintf(digits, sizeof digits, "%.*s", (int)strspn(entry + before, "0123456789"),
           entry + before);
  if (!is_number(digits)) return -1;
  const int64_t task = atoll(digits);
  if (esc_shard_expand_path(pattern, task, name, sizeof name) != ESC_OK) return -1;
  const size_t length = strlen(name);
  if (strncmp(name, entry, length) != 0) return -1;
  for (int i = 0; esc_names_suffixes[i]; i++)
    if (!strcmp(entry + length, esc_names_suffixes[i])) return task;
  return -1;
}

/* The smallest task above `above` that has files in `directory`, -1: none. */
static int64_t next_task(const char *directory, const char *pattern, int64_t above) {
  int64_t next = -1;
  DIR *entries = opendir(directory);
  if (!entries) return -1;
  for (struct dirent *e; (e = readdir(entries));) {
    const int64_t task = task_of_entry(pattern, e->d_name);
    if (task > above && (next < 0 || task < next)) next = task;
  }
  closedir(entries);
  return next;
}

/* Number of shards in the files of this task, or else of the other tasks in order; 0: unknown. */
static esc_status find_shards(const char *output, int64_t task, int64_t *shards,
                              char path[PATH_MAX]) {
  esc_status status = ESC_OK;
  char here[PATH_MAX], pattern[PATH_MAX], expanded[PATH_MAX];
  *shards = 0;
  ESC_TRY(esc_shard_expand_path(output, task, expanded, sizeof expanded));
  snprintf(pattern, sizeof pattern, "%s", output);
  const char *name = basename(pattern), *directory = dirname(expanded);
  *shards = shards_of_task(output, task, path);
  for (int64_t k = next_task(directory, name, -1); k >= 0 && *shards == 0;
       k = next_task(directory, name, k)) {
    snprintf(here, sizeof here, "%s/%s", directory, name); /* %a in the directory is this task's */
    *shards = shards_of_task(here, k, path);
  }
done:
  return status;
}

/* ---- a task of an array ---- */

/* Slurm's count of tasks if the array is complete: tasks 0 to N-1, and more than one, because a
 * single task may be a resubmitted one. */
static int64_t count_of_whole_array(void) {
  const char *count = getenv("SLURM_ARRAY_TASK_COUNT"), *first = getenv("SLURM_ARRAY_TASK_MIN"),
             *last = getenv("SLURM_ARRAY_TASK_MAX");
  const long long n = is_number(count) ? atoll(count) : 0;
  const bool whole = (!first || !strcmp(first, "0")) && (!last || atoll(last) == n - 1);
  return whole && n > 1 && n <= SHARDS_MAX ? n : 0;
}

static esc_status refuse_array(const char *id) {
  const char *count = getenv("SLURM_ARRAY_TASK_COUNT");
  return ESC_FAIL(ESC_BAD_INPUT,
                  "task %.20s of a Slurm array of %.20s tasks: the tasks are not 0 to N-1, and no "
                  "file of another task gives the number of shards; give it with --shard %%a/N",
                  id, count ? count : "an unknown number of");
}

static esc_status choose_in_array(const char *output, const char *id, int64_t *shard,
                                  int64_t *shards) {
  esc_status status = ESC_OK;
  char path[PATH_MAX] = "";
  *shard = is_number(id) ? atoll(id) : -1;
  if (*shard < 0) return refuse_array(id);
  ESC_TRY(find_shards(output, *shard, shards, path));
  if (*shards == 0) {
    path[0] = 0;
    *shards = count_of_whole_array();
  }
  if (*shards == 0) return refuse_array(id);
  if (*shard >= *shards)
    return ESC_FAIL(ESC_BAD_INPUT,
                    "task %.20s of a Slurm array: %.300s has %lld shard%s, 0 to %lld; %sgive the "
                    "shard with --shard %%a/N",
                    id, path[0] ? path : "the array", (long long)*shards, *shards == 1 ? "" : "s",
                    (long long)*shards - 1, path[0] ? "move that file away, or " : "");
  esc_log("task %s of a Slurm array: --shard %lld/%lld%s%s", id, (long long)*shard,
          (long long)*shards, path[0] ? ", as in " : "", path);
done:
  return status;
}

esc_status esc_shard_choose(const char *asked, const char *output, int64_t *shard,
                            int64_t *shards) {
  const char *id = getenv("SLURM_ARRAY_TASK_ID"), *count = getenv("SLURM_ARRAY_TASK_COUNT");
  const bool named = output && strstr(output, "%a");
  *shard = 0;
  *shards = 1;
  if (asked) return parse_shard(asked, shard, shards);
  if (id && named) return choose_in_array(output, id, shard, shards);
  if (named)
    return ESC_FAIL(ESC_BAD_INPUT,
                    "-o %.300s: %%a is the task number of a Slurm array or the I of --shard I/N; "
                    "this process is not an array task, and --shard is not given",
                    output);
  if (id && count && strcmp(count, "1") != 0)
    return ESC_FAIL(
        ESC_BAD_INPUT,
        "task %.20s of a Slurm array of %.20s tasks: to train one shard per task, put %%a in the "
        "output's name (-o out.%%a.h5); to train the whole sweep, give --shard 0/1",
        id, count);
  return ESC_OK;
}
