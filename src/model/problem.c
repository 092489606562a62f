/* SPDX-License-Identifier: Apache-2.0 */
/* Activations by name: `tanh`, `softplus-raw`, `poly:0,1,-0.5`. Letters are compared without
 * regard to case, and some activations have a second name; what is printed is always the name
 * of the table in activation_list.h. */
#include "escapement/internal/problem.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "escapement/internal/number.h"

static const struct {
  const char *name;
  bool odd, corner;
} table[] = {
#define ROW(context, kind, function, name, odd, corner) {name, odd, corner},
    ESC_ACTIVATIONS(ROW, )
#undef ROW
};

/* Other programs' names for activations of the table. */
static const struct {
  const char *name;
  esc_activation_kind kind;
} aliases[] = {{"silu", ESC_ACTIVATION_SWISH}};

/* `text`: the coefficients behind "poly:". */
static bool parse_coefficients(const char *text, esc_activation *activation) {
  esc_activation a = {.kind = ESC_ACTIVATION_POLYNOMIAL};
  for (;; text++) {
    const size_t length = strcspn(text, ",");
    if (a.terms == ESC_POLYNOMIAL_TERMS_MAX) return false;
    if (esc_number_parse(text, length, &a.coefficient[a.terms])) return false;
    a.terms++;
    text += length;
    if (*text == '\0') break;
  }
  *activation = a;
  return true;
}

/* The kind that `text` names; ESC_ACTIVATION_POLYNOMIAL if none without coefficients. */
static int kind_of_name(const char *text) {
  int kind = 0;
  while (kind < ESC_ACTIVATION_POLYNOMIAL && strcasecmp(text, table[kind].name) != 0) kind++;
  for (size_t i = 0; i < sizeof aliases / sizeof aliases[0]; i++)
    if (!strcasecmp(text, aliases[i].name)) kind = (int)aliases[i].kind;
  return kind;
}

bool esc_activation_parse(const char *text, esc_activation *activation) {
  const char *polynomial = table[ESC_ACTIVATION_POLYNOMIAL].name;
  const size_t length = strlen(polynomial);
  if (!strncasecmp(text, polynomial, length) && text[length] == ':')
    return parse_coefficients(text + length + 1, activation);
  const int kind = kind_of_name(text);
  if (kind == ESC_ACTIVATION_POLYNOMIAL) return false; /* no name, or one without coefficients */
  *activation = (esc_activation){.kind = (esc_activation_kind)kind};
  return true;
}

bool esc_activation_is_trainable(const esc_activation *activation) {
  if (activation->kind == ESC_ACTIVATION_PIECEWISE) return false;
  for (int i = 0; i < activation->terms; i++)
    if (!(fabs(activation->coefficient[i]) <= ESC_COEFFICIENT_MAX)) return false;
  return true;
}

const char *esc_activation_kind_name(esc_activation_kind kind) {
  return kind == ESC_ACTIVATION_PIECEWISE ? "function" : table[kind].name;
}

/* Appends `more` to `text`, cut off at its capacity. */
static void append(char *text, size_t size, const char *more) {
  const size_t used = strlen(text);
  snprintf(text + used, size - used, "%s", more);
}

void esc_activation_print(const esc_activation *activation, char *text, size_t size) {
  char number[ESC_NUMBER_SIZE];
  if (size == 0) return;
  text[0] = '\0';
  append(text, size, esc_activation_kind_name(activation->kind));
  if (activation->kind != ESC_ACTIVATION_POLYNOMIAL) return;
  for (int i = 0; i < activation->terms; i++) {
    esc_number_print(activation->coefficient[i], number, sizeof number);
    append(text, size, i == 0 ? ":" : ",");
    append(text, size, number);
  }
}

bool esc_activation_is_odd(const esc_activation *a) {
  if (a->kind == ESC_ACTIVATION_PIECEWISE) return a->pieces->odd;
  if (a->kind != ESC_ACTIVATION_POLYNOMIAL) return table[a->kind].odd;
  for (int k = 0; k < a->terms; k += 2)
    if (a->coefficient[k] != 0) return false;
  return true;
}

bool esc_activation_has_corner(const esc_activation *a) {
  return a->kind != ESC_ACTIVATION_PIECEWISE && table[a->kind].corner;
}
