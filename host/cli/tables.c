/* Compares the resolved specs of result files key by key. Such a text has a line
 * "section:" for each section and "  key: value" for each of its keys
 * (host/spec/resolve.c); what is deeper is the sweep's. */
#include "cli/tables.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "spec/text.h"

typedef struct entry {
  char key[96]; /* "section.key" */
  const char *value;
  int length; /* of the value; -1: the spec has not this key */
} entry;

typedef struct reader {
  const char *at;
  char section[48];
} reader;

/* Takes one line; true if it is that of a key. */
static bool take_line(reader *r, const char *line, int length, entry *e) {
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
    if (take_line(r, line, (int)length, e)) return true;
  }
  return false;
}

static bool find(const char *spec, const char *key, entry *e) {
  for (reader r = {.at = spec}; next_entry(&r, e);)
    if (!strcmp(e->key, key)) return true;
  *e = (entry){.length = -1};
  return false;
}

/* Keys that say how much was done, not what. */
static bool may_differ(const char *key) {
  static const char *const free_keys[] = {
      "name", "train.steps", "escape.thresholds", "escape.false_escapes", "sweep", "record"};
  for (size_t i = 0; i < sizeof free_keys / sizeof free_keys[0]; i++) {
    const size_t length = strlen(free_keys[i]);
    if (!strncmp(key, free_keys[i], length) && (key[length] == 0 || key[length] == '.'))
      return true;
  }
  return false;
}

/* The first key of `one` that `other` has not, or has with another value. */
static bool first_difference(const char *one, const char *other, entry *a, entry *b) {
  for (reader r = {.at = one}; next_entry(&r, a);) {
    if (may_differ(a->key)) continue;
    if (!find(other, a->key, b) || a->length != b->length ||
        memcmp(a->value, b->value, (size_t)a->length) != 0)
      return true;
  }
  return false;
}

/* The value from a little before byte `from`, where long values begin to differ. */
static esc_shown show(const entry *e, int from) {
  char text[256];
  const int skip = e->length < 60 || from < 24 ? 0 : from - 20;
  if (e->length < 0) return esc_show("absent", strlen("absent"));
  const int used =
      snprintf(text, sizeof text, "%s%.*s", skip ? "..." : "", e->length - skip, e->value + skip);
  return esc_show(text, used < (int)sizeof text ? (size_t)used : sizeof text - 1);
}

static esc_status refuse(const entry *a, const entry *b, const char *one, const char *other) {
  const char *key = a->length < 0 ? b->key : a->key;
  int same = 0;
  while (same < a->length && same < b->length && a->value[same] == b->value[same]) same++;
  return ESC_FAIL(ESC_BAD_INPUT,
                  "%s and %s are different experiments: %s is %s in the first and %s in the "
                  "second; only name, sweep, record, train.steps, escape.thresholds and "
                  "escape.false_escapes may differ",
                  one, other, esc_show(key, strlen(key)).text, show(a, same).text,
                  show(b, same).text);
}

esc_status esc_tables_same_experiment(int tables, esc_results *const *table, char *const *file) {
  const char *first = NULL;
  int named = 0;
  entry a, b;
  for (int i = 0; i < tables; i++) {
    const char *spec = esc_results_get(table[i], "spec");
    if (!spec) continue;
    if (first && (first_difference(first, spec, &a, &b) || first_difference(spec, first, &b, &a)))
      return refuse(&a, &b, file[named], file[i]);
    if (!first) named = i;
    if (!first) first = spec;
  }
  return ESC_OK;
}
