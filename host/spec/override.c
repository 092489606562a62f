/* SPDX-License-Identifier: Apache-2.0 */
/* Overrides: parsed and validated as the file is. */
#include "spec/override.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "spec/schema.h"
#include "spec/validate.h"

static bool is_section(const esc_key *key) { return key->type == ESC_VALUE_SECTION && !key->shape; }

static esc_status refuse(const esc_argument *argument, const char *key, const char *why) {
  return ESC_FAIL(ESC_BAD_INPUT, "%s: '%s' %s", argument->label, esc_quote(key, strlen(key)).text,
                  why);
}

/* ---- paths: names with dots between, elements of lists in brackets ---- */

enum { PATH_SIZE = 64, INDEX_DIGITS = 6 };

/* One part of a path: a name, or the index of an element. */
typedef struct path_part {
  const char *name; /* NULL: an index */
  size_t length;    /* of the name */
  int index;
} path_part;

/* Reads "[12]" behind *path; false if it is something else. */
static bool read_index(const char **path, path_part *out) {
  const size_t digits = strspn(*path + 1, "0123456789");
  if (digits == 0 || digits > INDEX_DIGITS || (*path)[digits + 1] != ']') return false;
  *out = (path_part){.index = atoi(*path + 1)};
  *path += digits + 2;
  return **path == '\0' || **path == '.' || **path == '[';
}

/* Reads the part at *path, `first` being the start of the whole; false if there is none. */
static bool read_part(const char **path, const char *first, path_part *out) {
  if (**path == '[') return *path > first && read_index(path, out);
  if (**path == '.' && *path > first) ++*path;
  *out = (path_part){.name = *path, .length = strcspn(*path, ".[]")};
  *path += out->length;
  return out->length > 0 && **path != ']';
}

/* `key` as the schema writes it, "sweep.groups[].scales"; false if it is no path. */
static bool to_schema_path(const char *key, char path[PATH_SIZE]) {
  path_part p = {0};
  size_t used = 0;
  for (const char *rest = key; *rest;) {
    if (!read_part(&rest, key, &p) || used + p.length + 3 > PATH_SIZE) return false;
    used += p.name ? (size_t)sprintf(path + used, "%s%.*s", used ? "." : "", (int)p.length, p.name)
                   : (size_t)sprintf(path + used, "[]");
  }
  path[used] = '\0';
  return used > 0;
}

/* ---- against the schema ---- */

/* Maximum depth of nested lists in a value of `row`. */
static int list_depth(const esc_key *row) {
  return row->shape & ESC_SHAPE_NESTED_LIST ? 2 : row->shape & ESC_SHAPE_LIST ? 1 : 0;
}

/* The row of a schema path, which may end in an element of the row's list; it is cut to the
 * row's own path, and *depth receives the number of brackets cut. */
static const esc_key *find_row(char path[PATH_SIZE], int *depth) {
  const esc_key *row = esc_schema_find(path);
  for (*depth = 0; !row && strlen(path) > 2 && !strcmp(path + strlen(path) - 2, "[]"); ++*depth) {
    path[strlen(path) - 2] = '\0';
    row = esc_schema_find(path);
  }
  return row;
}

/* The list that `key` enters without an index: "sweep.groups.scales". */
static const esc_key *list_without_index(const char *key) {
  for (int i = 0; i < esc_schema_keys; i++) {
    const size_t length = strlen(esc_schema[i].path);
    const bool section = esc_schema[i].type == ESC_VALUE_SECTION && esc_schema[i].shape;
    if (section && !strncmp(key, esc_schema[i].path, length) && key[length] == '.')
      return &esc_schema[i];
  }
  return NULL;
}

/* The keys of the innermost section that `path` names, else the sections. */
static esc_allowed keys_beside(const char *path) {
  char prefix[PATH_SIZE + 1];
  size_t length = strlen(path) < PATH_SIZE ? strlen(path) : 0;
  for (; length > 0; length--) {
    if (path[length - 1] != '.') continue;
    snprintf(prefix, sizeof prefix, "%.*s", (int)length, path);
    const esc_allowed keys = esc_schema_allowed_keys(prefix);
    if (keys.text[0]) return keys;
  }
  return esc_schema_allowed_keys("");
}

static esc_status refuse_unknown(const esc_argument *argument, const char *key, const char *path) {
  char why[sizeof(esc_allowed) + 256];
  const esc_key *list = list_without_index(key);
  if (list)
    snprintf(why, sizeof why,
             "is inside the list %s: give the index of an element, for example %s[0]", list->path,
             list->path);
  else
    snprintf(why, sizeof why, "is an unknown key%s; allowed: %s", esc_schema_hint(path).text,
             keys_beside(path).text);
  return refuse(argument, key, why);
}

static esc_status refuse_section(const esc_argument *argument, const char *key, const char *path) {
  char prefix[PATH_SIZE + 1], why[sizeof(esc_allowed) + 64];
  snprintf(prefix, sizeof prefix, "%s.", path);
  snprintf(why, sizeof why, "is a section; override its keys one by one; allowed: %s",
           esc_schema_allowed_keys(prefix).text);
  return refuse(argument, key, why);
}

/* `key` is in the schema, and may be replaced as a whole. */
static esc_status check_key(const esc_argument *argument, const char *key) {
  char path[PATH_SIZE], why[128];
  int depth = 0;
  if (!to_schema_path(key, path))
    return strpbrk(key, "[]")
               ? refuse(argument, key,
                        "is not a key; an element of a list is written sweep.groups[0].scales[1]")
               : refuse_unknown(argument, key, key);
  const esc_key *row = find_row(path, &depth);
  if (!row) return refuse_unknown(argument, key, path);
  if (depth > list_depth(row)) {
    snprintf(why, sizeof why, "has more brackets than %s, which is %s", row->path,
             list_depth(row) ? "a list of single values" : "no list");
    return refuse(argument, key, why);
  }
  if (is_section(row)) return refuse_section(argument, key, path);
  return ESC_OK;
}

/* Splits at the first '='; *value is the text behind it. */
static esc_status split(const char *override, esc_argument *argument, const char **value) {
  const char *equals = strchr(override, '=');
  const size_t length = equals ? (size_t)(equals - override) : 0;
  if (!equals || length == 0)
    return refuse(argument, override, "is not of the form key=value, for example train.batch=128");
  if (length >= sizeof argument->key) return refuse(argument, override, "has too long a key");
  memcpy(argument->key, override, length);
  argument->key[length] = '\0';
  *value = equals + 1;
  return ESC_OK;
}

/* ---- in the tree ---- */

/* Position in the tree: `key` up to `end` leads to `node`. */
typedef struct tree_path {
  const esc_argument *argument;
  const char *key, *end;
  esc_node *node;
} tree_path;

/* The path so far, as the user wrote it. */
static esc_quoted path_so_far(const tree_path *w) {
  return esc_quote(w->key, (size_t)(w->end - w->key));
}

/* The element of w->node at `index`, or why there is none. */
static esc_status find_element(const tree_path *w, int index, esc_node ***element) {
  esc_node *list = w->node;
  const esc_quoted path = path_so_far(w);
  if (list->kind != ESC_NODE_LIST)
    return ESC_FAIL(ESC_BAD_INPUT,
                    "%s: '%s': %s is %s in %s, not a list; replace the whole value with %s=...",
                    w->argument->label, w->key, path.text,
                    list->kind == ESC_NODE_MAPPING ? "a mapping" : "a single value",
                    esc_node_location(list).text, path.text);
  if (index >= list->children)
    return ESC_FAIL(ESC_BAD_INPUT,
                    "%s: '%s': %s has %d element%s in %s; allowed indices: 0 to %d; to change "
                    "their number, replace the whole list with %s='[...]'",
                    w->argument->label, w->key, path.text, list->children,
                    list->children == 1 ? "" : "s", esc_node_location(list).text,
                    list->children - 1, path.text);
  *element = &list->child[index];
  return ESC_OK;
}

static esc_status require_mapping(const tree_path *w) {
  if (w->node->kind == ESC_NODE_MAPPING) return ESC_OK;
  return ESC_FAIL(ESC_BAD_INPUT, "%s: %s: must be a mapping", esc_node_location(w->node).text,
                  path_so_far(w).text);
}

/* Adds a missing section or default that an override enters to w->node. `next` is the end of the
 * missing name in the key. */
static esc_status add_default(const tree_path *w, const char *name, const char *next) {
  static const esc_source defaults = {.label = "the defaults", .subject = "default"};
  char prefix[PATH_SIZE], path[PATH_SIZE];
  esc_node *value = NULL;
  esc_status status = ESC_OK;
  snprintf(prefix, sizeof prefix, "%.*s", (int)(next - w->key), w->key);
  const esc_key *row = to_schema_path(prefix, path) ? esc_schema_find(path) : NULL;
  if (row && is_section(row))
    ESC_TRY_ALLOCATE(value = esc_node_create_mapping(w->node));
  else if (row && row->default_value)
    ESC_TRY(esc_yaml_parse(&defaults, row->default_value, strlen(row->default_value), &value));
  else
    return ESC_FAIL(ESC_BAD_INPUT, "%s: '%s': the spec has no %s; set the whole value with %s=...",
                    w->argument->label, w->key, prefix, prefix);
  status = esc_node_set(w->node, name, value);
done:
  return status;
}

/* Descends by one part of the path. */
static esc_status descend(tree_path *w, const path_part *p, const char *next) {
  esc_status status = ESC_OK;
  esc_node **element = NULL;
  char name[PATH_SIZE];
  if (p->name) {
    snprintf(name, sizeof name, "%.*s", (int)p->length, p->name);
    ESC_TRY(require_mapping(w));
    if (!esc_node_get(w->node, name)) ESC_TRY(add_default(w, name, next));
    w->node = esc_node_get(w->node, name);
  } else {
    ESC_TRY(find_element(w, p->index, &element));
    w->node = *element;
  }
  w->end = next;
done:
  return status;
}

/* Sets the value of the last part of the key to *value, which the tree then owns. */
static esc_status set_value(const tree_path *w, const path_part *last, esc_node **value) {
  esc_status status = ESC_OK;
  esc_node **element = NULL, *given = *value;
  if (last->name) {
    ESC_TRY(require_mapping(w));
    *value = NULL;
    ESC_TRY(esc_node_set(w->node, last->name, given));
  } else {
    ESC_TRY(find_element(w, last->index, &element));
    *value = NULL;
    esc_node_free(*element);
    *element = given;
  }
done:
  return status;
}

esc_status esc_override_apply(esc_node *root, int number, const char *override,
                              esc_argument *argument) {
  esc_node *value = NULL;
  const char *text = NULL;
  path_part p = {0};
  esc_status status = ESC_OK;
  snprintf(argument->label, sizeof argument->label, "argument %d", number);
  argument->source = (esc_source){.label = argument->label, .subject = argument->key};
  ESC_TRY(split(override, argument, &text));
  ESC_TRY(check_key(argument, argument->key));
  ESC_TRY(esc_yaml_parse(&argument->source, text, strlen(text), &value));
  tree_path w = {.argument = argument, .key = argument->key, .end = argument->key, .node = root};
  for (const char *next = argument->key;;) {
    read_part(&next, argument->key, &p); /* check_key has read them all */
    if (!*next) break;
    ESC_TRY(descend(&w, &p, next));
  }
  status = set_value(&w, &p, &value);
done:
  esc_node_free(value);
  return status;
}
