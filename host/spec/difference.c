/* SPDX-License-Identifier: Apache-2.0 */
#include "spec/difference.h"

#include <stdio.h>
#include <string.h>

/* ---- the text, key by key ---- */

typedef struct entry {
  char key[96]; /* "section.key" */
  const char *value;
  int length; /* of the value; -1: the spec lacks this key */
} entry;

typedef struct reader {
  const char *at;
  char section[48];
} reader;

/* Reads one line; true if it is that of a key. */
static bool read_line(reader *r, const char *line, int length, entry *e) {
  const int indent = (int)strspn(line, " ");
  const char *key = line + indent, *colon = memchr(line, ':', (size_t)length);
  if (!colon || colon < key || (indent != 0 && indent != 2)) return false;
  const int name = (int)(colon - key), spaces = (int)strspn(colon + 1, " ");
  if (indent == 0) r->section[0] = 0;
  snprintf(e->key, sizeof e->key, "%s%s%.*s", r->section, r->section[0] ? "." : "", name, key);
  e->value = colon + 1 + spaces;
  e->length = (int)(line + length - e->value);
  if (indent == 0 && e->length == 0) snprintf(r->section, sizeof r->section, "%.*s", name, key);
  return indent != 0 || e->length != 0;
}

static bool next_entry(reader *r, entry *e) {
  while (*r->at) {
    const char *line = r->at;
    const size_t length = strcspn(line, "\n");
    r->at = line + length + (line[length] == '\n');
    if (read_line(r, line, (int)length, e)) return true;
  }
  return false;
}

static bool find(const char *spec, const char *key, entry *e) {
  for (reader r = {.at = spec}; next_entry(&r, e);)
    if (!strcmp(e->key, key)) return true;
  *e = (entry){.length = -1};
  return false;
}

static bool is_allowed(const char *key, const char *const *allowed) {
  for (; *allowed; allowed++) {
    const size_t length = strlen(*allowed);
    if (!strncmp(key, *allowed, length) && (key[length] == 0 || key[length] == '.')) return true;
  }
  return false;
}

/* The first key of `one` that `other` lacks, or has with another value. */
static bool first_difference(const char *first, const char *second, const char *const *allowed,
                             entry *a, entry *b) {
  for (reader r = {.at = first}; next_entry(&r, a);) {
    if (is_allowed(a->key, allowed)) continue;
    if (!find(second, a->key, b) || a->length != b->length ||
        memcmp(a->value, b->value, (size_t)a->length) != 0)
      return true;
  }
  return false;
}

/* The value from a little before byte `from`, where long values begin to differ. */
static esc_quoted show(const entry *e, int from) {
  char text[256];
  const int skip = e->length < 60 || from < 24 ? 0 : from - 20;
  if (e->length < 0) return esc_quote("absent", strlen("absent"));
  const int used =
      snprintf(text, sizeof text, "%s%.*s", skip ? "..." : "", e->length - skip, e->value + skip);
  return esc_quote(text, used < (int)sizeof text ? (size_t)used : sizeof text - 1);
}

bool esc_spec_differ(const char *first, const char *second, const char *const *allowed,
                     esc_spec_difference *out) {
  entry a, b;
  int same = 0;
  if (!first_difference(first, second, allowed, &a, &b) &&
      !first_difference(second, first, allowed, &b, &a))
    return false;
  const char *key = a.length < 0 ? b.key : a.key;
  while (same < a.length && same < b.length && a.value[same] == b.value[same]) same++;
  *out = (esc_spec_difference){esc_quote(key, strlen(key)), show(&a, same), show(&b, same)};
  return true;
}

/* ---- growth ---- */

static const char hint[] =
    "--resume may add seeds, scales and groups (sweep.seeds, sweep.groups); choose another output "
    "with -o, or start over with --force";

static bool has_scale(const esc_spec *spec, uint64_t layers, double scale) {
  for (int g = 0; g < spec->groups; g++)
    for (int s = 0; s < spec->group[g].scales; s++)
      if (spec->group[g].small_layers == layers && spec->group[g].scale[s] == scale) return true;
  return false;
}

/* Every network of `before` is one of `now`. */
static esc_status check_members(const char *path, const esc_spec *before, const esc_spec *now) {
  if (now->seeds < before->seeds)
    return ESC_FAIL(
        ESC_BAD_INPUT,
        "%s: sweep.seeds was %lld and is now %lld, which would remove finished members; %s", path,
        (long long)before->seeds, (long long)now->seeds, hint);
  for (int g = 0; g < before->groups; g++)
    for (int s = 0; s < before->group[g].scales; s++)
      if (!has_scale(now, before->group[g].small_layers, before->group[g].scale[s]))
        return ESC_FAIL(ESC_BAD_INPUT,
                        "%s: sweep.groups had bottleneck %d at scale %.10g (sweep.groups[%d]) and "
                        "no longer has it, which would remove its members; %s",
                        path, before->group[g].bottleneck, before->group[g].scale[s], g, hint);
  return ESC_OK;
}

static esc_status refuse_key(const char *path, const esc_spec_difference *d) {
  const char *why = !strcmp(d->key.text, "train.steps")
                        ? ", which would change the members that were censored"
                        : "";
  return ESC_FAIL(ESC_BAD_INPUT, "%s: %s was %s and is now %s%s; %s", path, d->key.text,
                  d->first.text, d->second.text, why, hint);
}

esc_status esc_spec_check_growth(const char *path, const char *before_text, const esc_spec *now,
                                 const char *now_text, esc_spec **out) {
  static const char *const allowed[] = {"name",        "init.file",    "escape.false_escapes",
                                        "sweep.seeds", "sweep.groups", NULL};
  esc_status status = ESC_OK;
  esc_spec *before = NULL;
  esc_spec_difference difference;
  if (esc_spec_differ(before_text, now_text, allowed, &difference))
    return refuse_key(path, &difference);
  ESC_TRY(esc_spec_parse(path, before_text, strlen(before_text), 0, NULL, &before));
  ESC_TRY(check_members(path, before, now));
  *out = before;
  before = NULL;
done:
  esc_spec_free(before);
  return status;
}
