/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/output.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/names.h"
#include "base/text.h"

enum { SUFFIX_MAX = 8 };

/* The suffix after the last dot of the file name, or NULL. */
static const char *suffix_of(const char *path) {
  const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
  const char *dot = strrchr(name, '.');
  if (!dot || dot == name || !isalpha((unsigned char)dot[1])) return NULL;
  for (const char *c = dot + 1; *c; c++)
    if (!isalnum((unsigned char)*c)) return NULL;
  return strlen(dot + 1) <= SUFFIX_MAX ? dot + 1 : NULL;
}

static bool is_among(const char *suffix, const char *allowed) {
  const size_t length = strlen(suffix);
  for (const char *word = allowed; word; word = strchr(word, '|')) {
    word += *word == '|';
    if (strcspn(word, "|") == length && !strncasecmp(word, suffix, length)) return true;
  }
  return false;
}

/* "png|svg|pdf" as ".png, .svg, .pdf". */
static void print_suffixes(const char *allowed, char *text, size_t size) {
  size_t used = (size_t)snprintf(text, size, ".");
  for (const char *c = allowed; *c && used + 4 < size; c++)
    used += (size_t)snprintf(text + used, size - used, "%s", *c == '|' ? ", ." : (char[2]){*c, 0});
}

esc_status esc_output_check(const char *path, const char *format, const char *allowed, bool bare) {
  const char *suffix = suffix_of(path);
  const char *own = esc_names_sidecar_suffix(path);
  char list[64];
  if (own)
    return ESC_FAIL(
        ESC_BAD_INPUT,
        "-o %s: the suffix %s is reserved for internal files of a run; choose another name",
        esc_quote(path, strlen(path)).text, own);
  if (suffix ? is_among(suffix, allowed) : bare) return ESC_OK;
  print_suffixes(allowed, list, sizeof list);
  return ESC_FAIL(ESC_BAD_INPUT, "-o %s: the format is %s; allowed suffixes: %s%s",
                  esc_quote(path, strlen(path)).text, format, list, bare ? ", or none" : "");
}
