/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/fit_keys.h"

#include <stdio.h>
#include <string.h>

enum { WIDTH_MAX = 24 };

static const char *short_name(const char *name) {
  const char *const dot = strrchr(name, '.');
  return dot ? dot + 1 : name;
}

static int larger(int width, const char *text) {
  const int length = (int)strlen(text);
  return length > width ? length : width;
}

/* Width of the column of key k, at most WIDTH_MAX. */
static int width_of(const esc_fit *fit, int k) {
  int width = 0;
  for (int i = 0; i < fit->groups; i++) {
    if (k >= fit->group[i].keys) continue;
    width = larger(width, short_name(fit->group[i].key[k].name));
    width = larger(width, fit->group[i].key[k].value);
  }
  return width < WIDTH_MAX ? width : WIDTH_MAX;
}

void esc_fit_keys_print_head(const esc_fit *fit) {
  for (int k = 0; fit->groups && k < fit->group[0].keys; k++)
    printf("%*.*s  ", width_of(fit, k), WIDTH_MAX, short_name(fit->group[0].key[k].name));
}

void esc_fit_keys_print_values(const esc_fit *fit, const esc_fit_group *g) {
  for (int k = 0; k < g->keys; k++) printf("%*.*s  ", width_of(fit, k), WIDTH_MAX, g->key[k].value);
}

void esc_fit_keys_print(const esc_fit_group *g, char *text, size_t size) {
  size_t used = 0;
  text[0] = 0;
  for (int k = 0; k < g->keys && used < size; k++)
    used += (size_t)snprintf(text + used, size - used, "%s = %s%s", g->key[k].name, g->key[k].value,
                             k + 1 < g->keys ? ", " : "; ");
}
