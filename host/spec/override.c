/* Overrides: the same parser and the same tree as the file, so the same checks. */
#include "spec/override.h"

#include <stdio.h>
#include <string.h>

#include "spec/schema.h"
#include "spec/text.h"
#include "spec/validate.h"

/* The list that `key` reaches into ("sweep.groups[0].scales"), or NULL. */
static const esc_key *list_around(const char *key) {
  for (int i = 0; i < esc_schema_keys; i++) {
    const size_t length = strlen(esc_schema[i].path);
    const bool inside =
        !strncmp(key, esc_schema[i].path, length) && (key[length] == '.' || key[length] == '[');
    if (inside && esc_schema[i].shape & ESC_SHAPE_LIST) return &esc_schema[i];
  }
  return NULL;
}

static bool is_section(const esc_key *key) { return key->type == ESC_VALUE_SECTION && !key->shape; }

static esc_status refuse(const esc_argument *argument, const char *key, const char *why) {
  return ESC_FAIL(ESC_BAD_INPUT, "%s: '%s' %s", argument->label, esc_show(key, strlen(key)).text,
                  why);
}

/* `key` may be overridden as a whole. */
static esc_status check_key(const esc_argument *argument, const char *key) {
  char why[192];
  const esc_key *list = list_around(key), *row = esc_schema_find(key);
  if (list) {
    snprintf(why, sizeof why,
             "is inside a list, of which no part can be overridden; give all of it, "
             "%s='[...]'",
             list->path);
    return refuse(argument, key, why);
  }
  if (!row) {
    snprintf(why, sizeof why, "is an unknown key%s", esc_schema_hint(key).text);
    return refuse(argument, key, why);
  }
  if (is_section(row)) return refuse(argument, key, "is a section; override its keys one by one");
  return ESC_OK;
}

/* Splits at the first '='; *value is the text behind it. */
static esc_status split(const char *override, esc_argument *argument, const char **value) {
  const char *equals = strchr(override, '=');
  const size_t length = equals ? (size_t)(equals - override) : 0;
  if (!equals || length == 0)
    return refuse(argument, override, "is not of the form key=value, as train.batch=128 is");
  if (length >= sizeof argument->key) return refuse(argument, override, "has too long a key");
  memcpy(argument->key, override, length);
  argument->key[length] = '\0';
  *value = equals + 1;
  return ESC_OK;
}

/* The mapping that holds `key`, and *name, the key's name in it. */
static esc_status open_section(esc_node *root, const char *key, esc_node **section,
                               const char **name) {
  const char *dot = strchr(key, '.');
  char prefix[64];
  *section = root;
  *name = dot ? dot + 1 : key;
  if (!dot) return ESC_OK;
  snprintf(prefix, sizeof prefix, "%.*s", (int)(dot - key), key);
  esc_node *there = esc_node_get(root, prefix);
  if (!there) {
    there = esc_node_mapping(root);
    if (!there) return ESC_FAIL(ESC_NO_MEMORY, "out of memory (override)");
    const esc_status status = esc_node_put(root, prefix, there);
    if (status != ESC_OK) return status;
  }
  *section = there;
  return there->kind == ESC_NODE_MAPPING ? ESC_OK
                                         : ESC_FAIL(ESC_BAD_INPUT, "%s: %s: must be a mapping",
                                                    esc_node_place(there).text, prefix);
}

esc_status esc_override_apply(esc_node *root, int number, const char *override,
                              esc_argument *argument) {
  esc_node *value = NULL, *section = NULL;
  const char *text = NULL, *name = NULL;
  esc_status status = ESC_OK;
  snprintf(argument->label, sizeof argument->label, "argument %d", number);
  argument->source = (esc_source){.label = argument->label, .subject = argument->key};
  ESC_TRY(split(override, argument, &text));
  ESC_TRY(check_key(argument, argument->key));
  ESC_TRY(esc_yaml_parse(&argument->source, text, strlen(text), &value));
  ESC_TRY(open_section(root, argument->key, &section, &name));
  status = esc_node_put(section, name, value);
  value = NULL;
done:
  esc_node_free(value);
  return status;
}
