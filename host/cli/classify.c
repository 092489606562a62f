/* SPDX-License-Identifier: Apache-2.0 */
/* escapement classify: class and constants of an activation (docs/theory, section 2). */
#include <math.h>
#include <stdio.h>

#include "cli/cli.h"
#include "cli/options.h"
#include "escapement/theory.h"

enum { WARNINGS_SIZE = 1024 };

static json_t *deficit_to_json(const esc_classification *c) {
  int order;
  double coefficient;
  if (!esc_classification_deficit(c, &order, &coefficient)) return json_null();
  json_t *deficit = json_object();
  json_object_set_new(deficit, "order", json_integer(order));
  json_object_set_new(deficit, "coefficient", json_real(coefficient));
  return deficit;
}

static esc_status print_json(const char *name, const esc_classification *c, const char *warnings) {
  json_t *object = json_object(), *taylor = json_array();
  const bool nonlinear = c->q > 0;
  for (int k = 0; k < ESC_TAYLOR_TERMS; k++) json_array_append_new(taylor, json_real(c->a[k]));
  json_object_set_new(object, "name", json_string(name));
  json_object_set_new(object, "class", json_string(esc_class_name(c->class_)));
  json_object_set_new(object, "a0", json_real(c->a[0]));
  json_object_set_new(object, "a1", json_real(c->a[1]));
  json_object_set_new(object, "q", nonlinear ? json_integer(c->q) : json_null());
  json_object_set_new(object, "aq", nonlinear ? json_real(c->aq) : json_null());
  json_object_set_new(object, "c1", json_real(c->c1));
  json_object_set_new(object, "c1_error", json_real(c->c1_error));
  json_object_set_new(object, "escapes", json_boolean(c->escapes));
  json_object_set_new(object, "moment", nonlinear ? json_real(c->moment) : json_null());
  json_object_set_new(object, "correction",
                      nonlinear ? esc_json_number(c->correction) : json_null());
  json_object_set_new(object, "kappa", deficit_to_json(c));
  json_object_set_new(object, "taylor", taylor);
  json_object_set_new(object, "doubts", json_string(warnings));
  return esc_json_print(object);
}

static void print_nonlinear(const esc_classification *c) {
  printf("q        %d\na_q      %.15g\n", c->q, c->aq);
  printf("m_q      %-18.15g  E[sigma(g) g^q]\n", c->moment);
  if (isfinite(c->correction))
    printf("C        %-18.15g  a_q m_q / (a_1 c_1), next order of the escape time\n",
           c->correction);
}

static void print_text(const char *name, const esc_classification *c, const char *warnings) {
  int order;
  double coefficient;
  printf("%s: class %s (%s)\n", name, esc_class_name(c->class_), esc_class_meaning(c->class_));
  printf("a_0      %.15g\na_1      %.15g\n", c->a[0], c->a[1]);
  if (c->q) print_nonlinear(c);
  printf("c_1      %-18.15g  E[sigma'(g)], to %.0e\n", c->c1, c->c1_error);
  if (!esc_classification_deficit(c, &order, &coefficient))
    printf("kappa    0\n");
  else if (order == 0)
    printf("kappa    %.15g + ...\n", coefficient);
  else
    printf("kappa    %.15g z^%d + ...\n", coefficient, order);
  printf("escapes  %s\n",
         c->escapes ? "yes: c_1 > 0 and a_1 > 0" : "no: the assumption of the paper does not hold");
  if (warnings[0]) printf("note     %s\n", warnings);
}

esc_status esc_command_classify(int argc, char **argv) {
  esc_status status = ESC_OK;
  bool json = false, help = false;
  int first = 0;
  char name[ESC_ACTIVATION_NAME_MAX], warnings[WARNINGS_SIZE];
  esc_activation activation;
  esc_classification c;
  const esc_option options[] = {
      {"json", 0, NULL, "print one JSON object", .flag = &json},
      {0},
  };
  const esc_command command = {
      "classify ACTIVATION",
      "Computes the class and the constants of an activation (tanh, ..., or\n"
      "poly:a0,a1,...): Taylor coefficients, first nonlinear order q, c_1 and the\n"
      "leading term of kappa, and tests the assumptions of the escape theory.",
      .options = options, .words = esc_activation_words()};
  ESC_TRY(esc_options_parse(&command, argc, argv, &first, &help));
  if (help) return ESC_OK;
  if (argc - first != 1)
    return ESC_FAIL(ESC_BAD_INPUT, "classify: one activation is required, %d given", argc - first);
  ESC_TRY(esc_activation_from_text(argv[first], &activation));
  ESC_TRY(esc_activation_classify(&activation, &c));
  esc_activation_print(&activation, name, sizeof name);
  esc_classification_warn(&c, warnings, sizeof warnings);
  if (json)
    ESC_TRY(print_json(name, &c, warnings));
  else
    print_text(name, &c, warnings);
done:
  return status;
}
