/* SPDX-License-Identifier: Apache-2.0 */
/* The tree builder: converts libyaml's events to nodes with locations.
 *
 * Every limit is checked before the next event is requested, so that a malicious text costs no more
 * than the part read so far. */
#include "spec/yaml_tree.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "base/text.h"

typedef struct builder {
  yaml_parser_t parser;
  const esc_source *source;
  const char *text;
  size_t length;
  esc_node *root;
  esc_node *open[ESC_YAML_DEPTH_MAX]; /* lists and mappings not ended yet, outermost first */
  int depth, nodes;
  bool has_document;
  char *key; /* key whose value follows; owned */
  int key_line;
} builder;

static esc_location make_location(const esc_source *source, int line) {
  esc_location location;
  if (source->subject)
    snprintf(location.text, sizeof location.text, "%.200s", source->label);
  else
    snprintf(location.text, sizeof location.text, "%.200s:%d", source->label, line);
  return location;
}

esc_location esc_node_location(const esc_node *node) {
  return make_location(node->source, node->line);
}
esc_location esc_node_key_location(const esc_node *node) {
  return make_location(node->source, node->key_line);
}

/* Messages of an override contain its key instead of a line. */
__attribute__((format(printf, 3, 4))) static esc_status refuse(const esc_source *source, int line,
                                                               const char *format, ...) {
  const esc_location location = make_location(source, line);
  const char *subject = source->subject ? source->subject : "";
  const char *colon = source->subject ? ": " : "";
  char what[256];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(what, sizeof what, format, arguments);
  va_end(arguments);
  return ESC_FAIL(ESC_BAD_INPUT, "%s: %s%s%s", location.text, subject, colon, what);
}

static int line_of(yaml_mark_t mark) { return (int)mark.line + 1; }

/* libyaml reports the location of an invalid byte as an offset only. */
static int line_of_offset(const char *text, size_t offset) {
  int line = 1;
  for (size_t i = 0; i < offset; i++)
    line += text[i] == '\r' || (text[i] == '\n' && (i == 0 || text[i - 1] != '\r'));
  return line;
}

/* libyaml reports the end of the text one line too late. */
static int line_in_text(const builder *b, yaml_mark_t mark) {
  const int last = line_of_offset(b->text, b->length > 0 ? b->length - 1 : 0);
  return line_of(mark) < last ? line_of(mark) : last;
}

/* Whether line `line` (from 1) has a tab in its indentation. */
static bool is_indented_by_tab(const builder *b, int line) {
  size_t start = 0;
  for (int passed = 1; passed < line && start < b->length; start++) {
    const char c = b->text[start];
    passed += c == '\n' || (c == '\r' && !(start + 1 < b->length && b->text[start + 1] == '\n'));
  }
  while (start < b->length && b->text[start] == ' ') start++;
  return start < b->length && b->text[start] == '\t';
}

static esc_status refuse_syntax(const builder *b) {
  const yaml_parser_t *p = &b->parser;
  const int line = line_in_text(b, p->problem_mark);
  if (p->error == YAML_MEMORY_ERROR) return ESC_FAIL(ESC_NO_MEMORY, "out of memory (YAML)");
  if (p->error != YAML_READER_ERROR && is_indented_by_tab(b, line))
    return refuse(b->source, line,
                  "not valid YAML: the line is indented by a tab; allowed: spaces");
  if (p->error == YAML_READER_ERROR)
    return refuse(b->source, line_of_offset(b->text, p->problem_offset),
                  "not valid UTF-8 text (%s)", p->problem);
  if (!p->context) return refuse(b->source, line, "not valid YAML: %s", p->problem);
  return refuse(b->source, line, "not valid YAML: %s %s from line %d on", p->problem, p->context,
                line_in_text(b, p->context_mark));
}

/* ---- nodes ---- */

void esc_node_free(esc_node *node) {
  if (!node) return;
  for (int i = 0; i < node->children; i++) esc_node_free(node->child[i]);
  free(node->child);
  free(node->key);
  free(node->text);
  free(node);
}

static esc_node *node_new(esc_node_kind kind, const esc_source *source, int line) {
  esc_node *node = calloc(1, sizeof *node);
  if (!node) return NULL;
  node->kind = kind;
  node->source = source;
  node->line = node->key_line = line;
  return node;
}

esc_node *esc_node_create_mapping(const esc_node *parent) {
  return node_new(ESC_NODE_MAPPING, parent->source, parent->line);
}

/* The capacity doubles at each power of two. */
static bool append_child(esc_node *parent, esc_node *child) {
  const int n = parent->children;
  if ((n & (n - 1)) == 0) {
    const size_t capacity = n == 0 ? 1 : 2 * (size_t)n;
    esc_node **more = realloc(parent->child, capacity * sizeof(esc_node *));
    if (!more) return false;
    parent->child = more;
  }
  parent->child[parent->children++] = child;
  return true;
}

static int index_of(const esc_node *mapping, const char *key) {
  for (int i = 0; i < mapping->children; i++)
    if (!strcmp(mapping->child[i]->key, key)) return i;
  return -1;
}

esc_node *esc_node_get(const esc_node *mapping, const char *key) {
  const int i = index_of(mapping, key);
  return i < 0 ? NULL : mapping->child[i];
}

esc_status esc_node_set(esc_node *mapping, const char *key, esc_node *value) {
  esc_status status = ESC_OK;
  const int i = index_of(mapping, key);
  free(value->key);
  value->key = strdup(key);
  ESC_TRY_ALLOCATE(value->key);
  if (i >= 0) {
    esc_node_free(mapping->child[i]);
    mapping->child[i] = value;
  } else if (!append_child(mapping, value)) {
    ESC_TRY_ALLOCATE((esc_node *)NULL);
  }
  value = NULL;
done:
  esc_node_free(value);
  return status;
}

esc_node *esc_node_create_scalar(const esc_node *like, const char *text) {
  esc_node *node = node_new(ESC_NODE_SCALAR, like->source, like->line);
  if (!node) return NULL;
  node->text = strdup(text);
  if (node->text) return node;
  esc_node_free(node);
  return NULL;
}

esc_node *esc_node_create_list(const esc_node *like) {
  return node_new(ESC_NODE_LIST, like->source, like->line);
}

esc_status esc_node_append(esc_node *list, esc_node *child) {
  if (child && append_child(list, child)) return ESC_OK;
  esc_node_free(child);
  return ESC_FAIL(ESC_NO_MEMORY, "out of memory (YAML)");
}

esc_node *esc_node_remove(esc_node *mapping, const char *key) {
  const int index = mapping->kind == ESC_NODE_MAPPING ? index_of(mapping, key) : -1;
  if (index < 0) return NULL;
  esc_node *const node = mapping->child[index];
  mapping->children--;
  for (int i = index; i < mapping->children; i++) mapping->child[i] = mapping->child[i + 1];
  return node;
}

static bool copy_children(const esc_node *node, esc_node *copy) {
  for (int i = 0; i < node->children; i++) {
    esc_node *const child = esc_node_copy(node->child[i]);
    if (!child) return false;
    if (append_child(copy, child)) continue;
    esc_node_free(child);
    return false;
  }
  return true;
}

esc_node *esc_node_copy(const esc_node *node) {
  esc_node *copy = node_new(node->kind, node->source, node->line);
  if (!copy) return NULL;
  copy->key_line = node->key_line;
  copy->quoted = node->quoted;
  copy->is_default = node->is_default;
  copy->number = node->number;
  copy->integer = node->integer;
  copy->word = node->word;
  copy->key = node->key ? strdup(node->key) : NULL;
  copy->text = node->text ? strdup(node->text) : NULL;
  if (!(node->key && !copy->key) && !(node->text && !copy->text) && copy_children(node, copy))
    return copy;
  esc_node_free(copy);
  return NULL;
}

/* ---- events ---- */

static esc_node *innermost(const builder *b) { return b->depth ? b->open[b->depth - 1] : NULL; }

static bool expects_key(const builder *b) {
  const esc_node *parent = innermost(b);
  return parent && parent->kind == ESC_NODE_MAPPING && !b->key;
}

/* Checks of any node, before it is built. */
static esc_status check_node(builder *b, int line, const yaml_char_t *anchor,
                             const yaml_char_t *tag) {
  if (anchor) return refuse(b->source, line, "anchors (&name) are not allowed; write it out");
  if (tag) return refuse(b->source, line, "tags (!name) are not allowed; remove it");
  if (++b->nodes > ESC_YAML_NODES_MAX)
    return refuse(b->source, line, "more than %d values and keys", ESC_YAML_NODES_MAX);
  return ESC_OK;
}

static esc_status add_key(builder *b, const char *key, int line) {
  const esc_node *parent = innermost(b);
  const esc_node *duplicate = esc_node_get(parent, key);
  const esc_quoted shown = esc_quote(key, strlen(key));
  if (parent->children == ESC_YAML_KEYS_MAX)
    return refuse(b->source, line, "more than %d keys in one mapping", ESC_YAML_KEYS_MAX);
  if (duplicate)
    return refuse(b->source, line, "key '%s' appears twice, first in line %d", shown.text,
                  duplicate->key_line);
  b->key = strdup(key);
  b->key_line = line;
  return b->key ? ESC_OK : ESC_FAIL(ESC_NO_MEMORY, "out of memory (key)");
}

/* Appends `node` to the innermost open list or mapping, which then owns it. */
static esc_status attach(builder *b, esc_node *node) {
  esc_node *parent = innermost(b);
  if (!parent) {
    b->root = node;
    return ESC_OK;
  }
  if (b->key) {
    node->key = b->key;
    node->key_line = b->key_line;
    b->key = NULL;
  }
  if (append_child(parent, node)) return ESC_OK;
  esc_node_free(node);
  return ESC_FAIL(ESC_NO_MEMORY, "out of memory (YAML)");
}

static esc_status add_scalar(builder *b, const yaml_event_t *event) {
  const int line = line_of(event->start_mark);
  const char *text = (const char *)event->data.scalar.value;
  esc_node *node = NULL;
  esc_status status = ESC_OK;
  ESC_TRY(check_node(b, line, event->data.scalar.anchor, event->data.scalar.tag));
  if (strlen(text) != event->data.scalar.length)
    return refuse(b->source, line, "NUL characters (\\0) are not allowed");
  if (expects_key(b)) return add_key(b, text, line);
  node = node_new(ESC_NODE_SCALAR, b->source, line);
  ESC_TRY_ALLOCATE(node);
  node->quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
  node->text = strdup(text);
  ESC_TRY_ALLOCATE(node->text);
  status = attach(b, node);
  node = NULL;
done:
  esc_node_free(node);
  return status;
}

static esc_status open_node(builder *b, const yaml_event_t *event, esc_node_kind kind,
                            const yaml_char_t *anchor, const yaml_char_t *tag) {
  const int line = line_of(event->start_mark);
  const esc_status status = check_node(b, line, anchor, tag);
  if (status != ESC_OK) return status;
  if (expects_key(b)) return refuse(b->source, line, "a key must be plain text");
  if (b->depth == ESC_YAML_DEPTH_MAX)
    return refuse(b->source, line, "nested deeper than %d", ESC_YAML_DEPTH_MAX);
  esc_node *node = node_new(kind, b->source, line);
  if (!node) return ESC_FAIL(ESC_NO_MEMORY, "out of memory (YAML)");
  const esc_status attached = attach(b, node);
  if (attached == ESC_OK) b->open[b->depth++] = node;
  return attached;
}

/* ---- the whole text ---- */

/* Offset of the first byte that is neither blank nor in a comment. */
static size_t first_content(const char *text, size_t length) {
  bool comment = false;
  for (size_t i = 0; i < length; i++) {
    const char c = text[i];
    if (c == '\n' || c == '\r')
      comment = false;
    else if (c == '#')
      comment = true;
    else if (!comment && c != ' ' && c != '\t')
      return i;
  }
  return length;
}

/* Refuses a text without a value: empty, or only comments or document marks. */
static esc_status refuse_empty(const builder *b) {
  if (b->source->subject) return refuse(b->source, 1, "the value is empty; a value is needed");
  if (b->length == 0)
    return refuse(b->source, 1, "the file is empty; a spec is lines of `key: value`");
  if (first_content(b->text, b->length) == b->length)
    return refuse(b->source, 1,
                  "the file holds only blank lines and comments; a spec is lines of `key: value`");
  return refuse(b->source, 1, "the document is empty; a spec is lines of `key: value`");
}

static esc_status begin_document(builder *b, const yaml_event_t *event) {
  if (b->has_document)
    return refuse(b->source, line_of(event->start_mark), "a second document; only one is allowed");
  b->has_document = true;
  return ESC_OK;
}

static esc_status handle_event(builder *b, const yaml_event_t *event) {
  switch (event->type) {
    case YAML_DOCUMENT_START_EVENT: return begin_document(b, event);
    case YAML_ALIAS_EVENT:
      return refuse(b->source, line_of(event->start_mark),
                    "aliases (*name) are not allowed; write it out");
    case YAML_SCALAR_EVENT: return add_scalar(b, event);
    case YAML_SEQUENCE_START_EVENT:
      return open_node(b, event, ESC_NODE_LIST, event->data.sequence_start.anchor,
                       event->data.sequence_start.tag);
    case YAML_MAPPING_START_EVENT:
      return open_node(b, event, ESC_NODE_MAPPING, event->data.mapping_start.anchor,
                       event->data.mapping_start.tag);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT: b->depth--; return ESC_OK;
    default: return ESC_OK;
  }
}

static esc_status handle_events(builder *b) {
  for (bool ended = false; !ended;) {
    yaml_event_t event;
    if (!yaml_parser_parse(&b->parser, &event)) return refuse_syntax(b);
    ended = event.type == YAML_STREAM_END_EVENT;
    const esc_status status = handle_event(b, &event);
    yaml_event_delete(&event);
    if (status != ESC_OK) return status;
  }
  const esc_node *root = b->root;
  if (!root || (root->kind == ESC_NODE_SCALAR && !root->quoted && !root->text[0]))
    return refuse_empty(b);
  return ESC_OK;
}

/* YAML treats these as line breaks or ignores them; other programs do not. */
static esc_status check_characters(const esc_source *source, const char *text, size_t length) {
  static const struct {
    const char *bytes, *name;
  } refused[] = {{"\xc2\x85", "U+0085"},
                 {"\xe2\x80\xa8", "U+2028"},
                 {"\xe2\x80\xa9", "U+2029"},
                 {"\xef\xbb\xbf", "U+FEFF"}};
  for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
    const char *at = memmem(text, length, refused[i].bytes, strlen(refused[i].bytes));
    if (at)
      return refuse(source, line_of_offset(text, (size_t)(at - text)),
                    "the character %s is not allowed", refused[i].name);
  }
  const char *nul = memchr(text, '\0', length);
  if (nul)
    return refuse(source, line_of_offset(text, (size_t)(nul - text)),
                  "NUL characters are not allowed; allowed: UTF-8 text");
  return ESC_OK;
}

/* The encoding of text that is not UTF-8: by its byte order mark, or by NULs where the ASCII
 * characters of YAML have their high bytes, at which offsets modulo 4 (bits); NULL: none of them.
 */
static const char *wide_encoding(const char *text, size_t length) {
  static const struct {
    const char *mark;
    size_t size;
    unsigned nuls;
    const char *name;
  } known[] = {{"\xff\xfe\0\0", 4, 0xe, "UTF-32LE"},
               {"\0\0\xfe\xff", 4, 0x7, "UTF-32BE"},
               {"\xff\xfe", 2, 0xa, "UTF-16LE"},
               {"\xfe\xff", 2, 0x5, "UTF-16BE"}};
  const size_t fours = length < 256 ? length / 4 : 64;
  unsigned nuls = 0;
  for (size_t offset = 0; offset < 4; offset++) {
    size_t count = 0;
    for (size_t i = 0; i < fours; i++) count += text[4 * i + offset] == 0;
    nuls |= (unsigned)(2 * count > fours) << offset;
  }
  for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
    if (nuls == known[i].nuls ||
        (length >= known[i].size && !memcmp(text, known[i].mark, known[i].size)))
      return known[i].name;
  return NULL;
}

static esc_status check_encoding(const esc_source *source, const char *text, size_t length) {
  const char *encoding = wide_encoding(text, length);
  if (!encoding) return ESC_OK;
  return refuse(source, 1, "the text is %s; allowed: UTF-8 (`iconv -f %s -t UTF-8` converts it)",
                encoding, encoding);
}

/* Directives are useless here and slow: the parser compares each %TAG with all others. */
static esc_status check_text(const esc_source *source, const char *text, size_t length) {
  if (length > ESC_YAML_BYTES_MAX)
    return refuse(source, 1, "longer than %d bytes", ESC_YAML_BYTES_MAX);
  const esc_status status = check_encoding(source, text, length);
  if (status != ESC_OK) return status;
  const size_t first = first_content(text, length);
  if (first < length && text[first] == '%')
    return refuse(source, line_of_offset(text, first),
                  "directives (%%) are not allowed; remove the line");
  return check_characters(source, text, length);
}

esc_status esc_yaml_parse(const esc_source *source, const char *text, size_t length,
                          esc_node **out) {
  static const char byte_order_mark[] = "\xef\xbb\xbf";
  if (length >= 3 && !memcmp(text, byte_order_mark, 3)) text += 3, length -= 3;
  esc_status status = check_text(source, text, length);
  if (status != ESC_OK) return status;
  builder b = {.source = source, .text = text, .length = length};
  if (!yaml_parser_initialize(&b.parser)) return ESC_FAIL(ESC_NO_MEMORY, "out of memory (YAML)");
  yaml_parser_set_encoding(&b.parser, YAML_UTF8_ENCODING);
  yaml_parser_set_input_string(&b.parser, (const unsigned char *)text, length);
  ESC_TRY(handle_events(&b));
  *out = b.root;
  b.root = NULL;
done:
  yaml_parser_delete(&b.parser);
  esc_node_free(b.root);
  free(b.key);
  return status;
}
