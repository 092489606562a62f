/* SPDX-License-Identifier: Apache-2.0 */
/* Tree of YAML nodes with their locations.
 *
 * YAML features that a spec does not need are refused while reading, before they cost time or
 * memory: aliases, anchors, tags, directives, duplicate keys, keys that are no plain text, deep
 * nesting, many nodes, long text, a second document, an empty one, NUL and invalid UTF-8. Each is
 * ESC_BAD_INPUT with its location. */
#ifndef ESC_SPEC_YAML_TREE_H
#define ESC_SPEC_YAML_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "escapement/internal/status.h"

enum {
  ESC_YAML_BYTES_MAX = 1 << 20,
  ESC_YAML_DEPTH_MAX = 16,
  ESC_YAML_NODES_MAX = 100000,
  ESC_YAML_KEYS_MAX = 64, /* of one mapping */
};

/* Source of a text; nodes borrow it, so it must outlive them. */
typedef struct esc_source {
  const char *label;   /* "sweep.yaml" or "argument 3" */
  const char *subject; /* key whose value is the text; NULL for a file */
} esc_source;

typedef enum esc_node_kind { ESC_NODE_SCALAR, ESC_NODE_LIST, ESC_NODE_MAPPING } esc_node_kind;

typedef struct esc_node {
  esc_node_kind kind;
  const esc_source *source;
  int line, key_line; /* from 1 */
  char *key;          /* in a mapping; NULL for an element of a list */

  char *text; /* scalars */
  bool quoted;

  struct esc_node **child; /* lists and mappings */
  int children;

  /* Value of a scalar, set by esc_node_validate. */
  bool is_default;
  double number;
  int64_t integer;
  int word;
} esc_node;

typedef struct esc_location {
  char text[256];
} esc_location;

/* Builds the tree of the one document in `text`. */
esc_status esc_yaml_parse(const esc_source *source, const char *text, size_t length,
                          esc_node **out);

/* "sweep.yaml:12" or "argument 3": of the value, and of its key. */
esc_location esc_node_location(const esc_node *node);
esc_location esc_node_key_location(const esc_node *node);

/* The value of `key` in a mapping, or NULL. */
esc_node *esc_node_get(const esc_node *mapping, const char *key);

/* Sets `key` of `mapping` to `value`, replacing an earlier one. The mapping owns `value` from then
 * on; on failure it is freed. */
esc_status esc_node_set(esc_node *mapping, const char *key, esc_node *value);

/* An empty mapping with the location of `parent`. NULL when out of memory. */
esc_node *esc_node_create_mapping(const esc_node *parent);

/* A scalar, or an empty list, with the location of `like`. NULL when out of memory. */
esc_node *esc_node_create_scalar(const esc_node *like, const char *text);
esc_node *esc_node_create_list(const esc_node *like);

/* Adds `child` at the end of a list, which owns it from then on. NULL, or a failure:
 * ESC_NO_MEMORY. */
esc_status esc_node_append(esc_node *list, esc_node *child);

/* Removes `key` from a mapping and returns its value, owned by the caller, or NULL. */
esc_node *esc_node_remove(esc_node *mapping, const char *key);

/* A copy with all nodes below. NULL when out of memory. */
esc_node *esc_node_copy(const esc_node *node);

void esc_node_free(esc_node *node);

#endif
