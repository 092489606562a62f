/* SPDX-License-Identifier: Apache-2.0 */
/* The table of keys, and the texts derived from it. */
#include "spec/schema.h"

#include <math.h>
#include <stdarg.h>
#include <string.h>

#include "base/text.h"
#include "escapement/internal/problem.h"
#include "spec/groups.h"
#include "spec/spec.h"

#define ACTIVATION_CHOICE(context, kind, function, name, ...) "|" name
static const char activations[] = ESC_ACTIVATIONS(ACTIVATION_CHOICE, ) ":a0,a1,...";
#undef ACTIVATION_CHOICE

/* Choices are in the order of their enumerators in problem.h. Keys are validated in this order, so
 * that an `upper_key` precedes the keys that refer to it. */
#define RANGE(from, to) .lower = (from), .upper = (to)
#define ABOVE(from, to) .lower = (from), .lower_is_open = true, .upper = (to)
#define BELOW(from, to) .lower = (from), .upper = (to), .upper_is_open = true
#define COUNT(from, to) .min_items = (from), .max_items = (to)

/* Rates and scales below would vanish in the float arithmetic of the engines. */
#define SMALLEST 1e-30

/* 2^53: exact also in programs that represent integers as doubles. */
#define EXACT_MAX 9007199254740992.0

const esc_key esc_schema[] = {
    {"name", ESC_VALUE_TEXT, RANGE(1, 200), .default_value = "sweep",
     .help = "name of the sweep in results and figures"},

    {"network", ESC_VALUE_SECTION,
     .help = "the student, f(x) = W_L s(... s(W_1 x)), without biases"},
    {"network.layers", ESC_VALUE_INTEGER, RANGE(2, ESC_LAYERS_MAX),
     .help = "number of weight layers, L"},
    {"network.width", ESC_VALUE_INTEGER, RANGE(1, ESC_WIDTH_MAX), .unit = "units",
     .help = "hidden units of a layer, N"},
    {"network.inputs", ESC_VALUE_INTEGER, RANGE(1, ESC_INPUTS_MAX), .default_rule = "network.width",
     .help = "input dimension, d"},
    {"network.activation", ESC_VALUE_ACTIVATION, .choices = &activations[1],
     .default_value = "tanh",
     .help = "activation of student and teacher; poly has 1 to 17 coefficients, "
             "each from -1e30 to 1e30"},

    {"teacher", ESC_VALUE_SECTION,
     .help = "the target, T(x) = sum_k a_k s(v_k.x), v_k orthonormal"},
    {"teacher.amplitudes", ESC_VALUE_NUMBER, .shape = ESC_SHAPE_LIST, RANGE(-1e6, 1e6),
     .nonzero = true, COUNT(1, ESC_MODES_MAX), .default_value = "[1.0]",
     .help = "amplitudes a_k, one for each mode; no more modes than inputs"},
    {"teacher.directions", ESC_VALUE_CHOICE, .choices = "axes|random", .default_value = "axes",
     .help = "directions v_k: the first coordinate axes, or random (from sweep.seed)"},

    {"init", ESC_VALUE_SECTION, .help = "initial weights, before the small scales of the sweep"},
    {"init.scheme", ESC_VALUE_CHOICE, .choices = "he-normal|symmetric|blocks|file",
     .default_value = "he-normal",
     .help =
         "random, on the symmetric manifold of one mode or of several, or weights of init.file"},
    {"init.scales", ESC_VALUE_NUMBER,
     .shape = ESC_SHAPE_SCALAR | ESC_SHAPE_LIST | ESC_SHAPE_NESTED_LIST, RANGE(SMALLEST, 1e6),
     COUNT(1, ESC_LAYERS_MAX), .default_value = "1.0",
     .help =
         "layer scales, multiplied by the scales of the sweep: one number for all layers, a list "
         "with one number for each layer, or, for blocks, one such list for each mode"},
    {"init.file", ESC_VALUE_TEXT, RANGE(1, 4000), .default_rule = "none",
     .help = "file of scheme file: a result with record.weights, or a NumPy .npz with its arrays"},
    {"init.weights", ESC_VALUE_CHOICE, .choices = "start|snapshots|escape|end",
     .default_value = "end", .help = "weights of init.file that training starts from, unscaled"},
    {"init.step", ESC_VALUE_INTEGER, RANGE(0, 1e15), .default_rule = "none", .unit = "steps",
     .help = "snapshot of init.file, with init.weights: snapshots"},
    {"init.threshold", ESC_VALUE_NUMBER, ABOVE(0, INFINITY), .default_rule = "none", .unit = "loss",
     .help = "threshold of init.file, with init.weights: escape"},
    {"init.match", ESC_VALUE_CHOICE, .choices = "key|index|single", .default_value = "key",
     .help =
         "network of init.file that starts a member: the one of the same seed, small layers and "
         "scale; the one of the same index in the sweep; or its only one, for all members"},
    {"init.checksum", ESC_VALUE_TEXT, RANGE(16, 16), .default_rule = "computed from init.file",
     .help = "checksum of init.file; a file with another checksum is refused"},

    {"train", ESC_VALUE_SECTION,
     .help = "gradient descent on a fresh Gaussian minibatch at every step"},
    {"train.metric", ESC_VALUE_CHOICE, .choices = "euclidean|normalized",
     .default_value = "euclidean",
     .help = "factors of the rate by layer: all 1, or n, 1, ..., 1, 1/n"},
    {"train.rate", ESC_VALUE_NUMBER, RANGE(SMALLEST, 10), .unit = "flow time per step",
     .help = "learning rate, eta"},
    {"train.batch", ESC_VALUE_INTEGER, RANGE(1, ESC_BATCH_MAX), .unit = "samples",
     .help = "size of the minibatch, B"},
    {"train.steps", ESC_VALUE_INTEGER, RANGE(1, 1e15), .unit = "steps",
     .help = "maximum steps of each network; a network without an escape by then is censored"},
    {"train.loss", ESC_VALUE_CHOICE, .choices = "squared|logistic|huber",
     .default_value = "squared", .help = "loss of a sample; squared is (f-T)^2/2"},
    {"train.huber_delta", ESC_VALUE_NUMBER, ABOVE(0, INFINITY), .default_value = "1.0",
     .help = "residual at which the Huber loss becomes linear; only with train.loss: huber"},
    {"train.optimizer", ESC_VALUE_CHOICE, .choices = "sgd|adam", .default_value = "sgd",
     .help =
         "rule that makes a step from gradients: gradient descent, with or without momentum, or "
         "Adam"},
    {"train.momentum", ESC_VALUE_NUMBER, BELOW(0, 1), .default_value = "0",
     .help = "factor of the velocity from one step to the next, beta; only with train.optimizer: "
             "sgd"},
    {"train.nesterov", ESC_VALUE_CHOICE, .choices = "false|true", .default_value = "false",
     .help = "Nesterov's momentum instead of the heavy ball; needs train.momentum"},
    {"train.weight_decay", ESC_VALUE_NUMBER, RANGE(0, 1e6), .default_value = "0",
     .help = "weight decay, lambda: adds lambda W to each gradient"},
    {"train.decoupled_decay", ESC_VALUE_CHOICE, .choices = "false|true", .default_value = "false",
     .help = "decay outside the gradient, as in AdamW: multiplies weights by 1 - rate lambda"},
    {"train.adam_beta1", ESC_VALUE_NUMBER, BELOW(0, 1), .default_value = "0.9",
     .help = "decay factor of Adam's first moment; only with train.optimizer: adam"},
    {"train.adam_beta2", ESC_VALUE_NUMBER, BELOW(0, 1), .default_value = "0.999",
     .help = "decay factor of Adam's second moment; only with train.optimizer: adam"},
    {"train.adam_epsilon", ESC_VALUE_NUMBER, RANGE(SMALLEST, 1), .default_value = "1e-8",
     .help = "addend of Adam's denominator; only with train.optimizer: adam"},
    {"train.update", ESC_VALUE_CHOICE, .choices = "plain|compensated",
     .default_value = "compensated",
     .help = "addition of updates to float32 weights; compensated: with the rounding error carried "
             "over"},

    {"escape", ESC_VALUE_SECTION,
     .help = "the escape step of a network: its first step with a loss below a threshold"},
    {"escape.thresholds", ESC_VALUE_NUMBER, .shape = ESC_SHAPE_LIST, ABOVE(0, INFINITY),
     .distinct = true, COUNT(1, ESC_THRESHOLDS_MAX), .unit = "loss",
     .help = "loss thresholds; an escape step is recorded for each"},
    {"escape.smoothing", ESC_VALUE_NUMBER, BELOW(0, 1), .choices = "none", .default_value = "none",
     .help = "factor of the moving average of the loss; none: the minibatch loss itself"},
    {"escape.false_escapes", ESC_VALUE_CHOICE, .choices = "refuse|allow", .default_value = "refuse",
     .help = "action if noise alone would cross a threshold in more than 1% of the networks"},

    {"sweep", ESC_VALUE_SECTION, .help = "the networks: each seed with each scale of each group"},
    {"sweep.seeds", ESC_VALUE_INTEGER, RANGE(1, ESC_MEMBERS_MAX), .default_value = "1",
     .help = "number of seeds"},
    {"sweep.seed", ESC_VALUE_INTEGER, RANGE(0, EXACT_MAX), .default_value = "1",
     .help = "first seed; the next seeds are consecutive"},
    {"sweep.groups", ESC_VALUE_SECTION, .shape = ESC_SHAPE_LIST, COUNT(1, ESC_GROUPS_MAX),
     .help = "small layers and their scales"},
    {"sweep.groups[].bottleneck", ESC_VALUE_INTEGER, RANGE(0, INFINITY),
     .upper_key = "network.layers", .help = "number of layers that carry the small scale, r"},
    {"sweep.groups[].scales", ESC_VALUE_NUMBER, .shape = ESC_SHAPE_LIST | ESC_SHAPE_MAPPING,
     RANGE(SMALLEST, 10), COUNT(1, ESC_GROUP_SCALES_MAX),
     .help = "small scales, epsilon; a mapping is spaced logarithmically"},
    {"sweep.groups[].scales.from", ESC_VALUE_NUMBER, RANGE(SMALLEST, 10),
     .help = "the first scale"},
    {"sweep.groups[].scales.to", ESC_VALUE_NUMBER, RANGE(SMALLEST, 10), .help = "the last scale"},
    {"sweep.groups[].scales.count", ESC_VALUE_INTEGER, RANGE(1, ESC_GROUP_SCALES_MAX),
     .help = "number of scales, both ends included"},
    {"sweep.groups[].layers", ESC_VALUE_INTEGER, .shape = ESC_SHAPE_LIST, RANGE(1, INFINITY),
     .upper_key = "network.layers", .distinct = true, COUNT(0, ESC_LAYERS_MAX),
     .default_rule = "the first `bottleneck` layers",
     .help = "layers that carry the small scale, counted from 1; `bottleneck` of them"},
    {"sweep.grid", ESC_VALUE_SWEPT, .default_rule = "none",
     .help = "other keys to sweep; every combination of their values is a point, trained with all "
             "groups and seeds"},
    {"sweep.zip", ESC_VALUE_SWEPT, .default_rule = "none",
     .help = "keys that change together: lists of one length, whose first values are one "
             "combination, their second values the next"},

    {"record", ESC_VALUE_SECTION, .help = "snapshots of observables, in addition to events"},
    {"record.every", ESC_VALUE_INTEGER, RANGE(0, 1e15), .default_value = "0", .unit = "steps",
     .help = "steps between snapshots; 0 records events only"},
    {"record.per_decade", ESC_VALUE_INTEGER, RANGE(0, 1000), .default_value = "0",
     .help = "snapshots per decade of steps, spaced logarithmically; replaces `every`"},
    {"record.samples", ESC_VALUE_INTEGER, RANGE(0, ESC_BATCH_MAX), .default_value = "0",
     .help = "size of the evaluation sample: even, at least 2 network.inputs; 0: 4 network.inputs, "
             "rounded up to a multiple of 128, enough to estimate sampling errors"},
    {"record.weights", ESC_VALUE_CHOICE, .shape = ESC_SHAPE_LIST,
     .choices = "start|snapshots|escape|end", .distinct = true, COUNT(0, ESC_WEIGHTS_KINDS),
     .default_value = "[]",
     .help = "moments at which the weights of each network are stored, in float32: initial, at "
             "each snapshot, at each escape step, final"},
};
const int esc_schema_keys = (int)(sizeof esc_schema / sizeof esc_schema[0]);

const esc_key *esc_schema_find(const char *path) {
  for (int i = 0; i < esc_schema_keys; i++)
    if (!strcmp(esc_schema[i].path, path)) return &esc_schema[i];
  return NULL;
}

const char *esc_schema_child_name(const esc_key *key, const char *prefix) {
  const size_t length = strlen(prefix);
  const char *name = key->path + length;
  if (strncmp(key->path, prefix, length) != 0) return NULL;
  return *name && !strpbrk(name, ".[") ? name : NULL;
}

/* ---- choices ---- */

const char *esc_choice_get(const char *choices, int index, int *length) {
  for (; choices && index > 0; index--) {
    choices = strchr(choices, '|');
    choices = choices ? choices + 1 : NULL;
  }
  *length = choices ? (int)strcspn(choices, "|") : 0;
  return choices;
}

int esc_choice_find(const char *choices, const char *text) {
  int length;
  const char *word;
  for (int i = 0; (word = esc_choice_get(choices, i, &length)); i++)
    if ((int)strlen(text) == length && !strncmp(word, text, (size_t)length)) return i;
  return -1;
}

/* ---- what is allowed ---- */

/* Appends to `out`, truncated to its size. */
__attribute__((format(printf, 2, 3))) static void append(esc_allowed *out, const char *format,
                                                         ...) {
  const size_t used = strlen(out->text);
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(out->text + used, sizeof out->text - used, format, arguments);
  va_end(arguments);
}

static void append_choices(esc_allowed *out, const char *choices) {
  int length;
  const char *word;
  for (int i = 0; (word = esc_choice_get(choices, i, &length)); i++)
    append(out, "%s%.*s", i == 0 ? "" : ", ", length, word);
}

static void append_child_keys(esc_allowed *out, const char *prefix) {
  const char *name, *comma = "";
  for (int i = 0; i < esc_schema_keys; i++)
    if ((name = esc_schema_child_name(&esc_schema[i], prefix))) {
      append(out, "%s%s", comma, name);
      comma = ", ";
    }
}

static void append_keys(esc_allowed *out, const esc_key *key, const char *separator) {
  char prefix[64];
  snprintf(prefix, sizeof prefix, "%s%s", key->path, separator);
  append_child_keys(out, prefix);
}

static void append_range(esc_allowed *out, const esc_key *key) {
  const bool whole = key->type != ESC_VALUE_NUMBER;
  if (whole && key->lower == key->upper)
    append(out, " that is %.0f", key->lower);
  else if (whole && isinf(key->upper))
    append(out, " %.0f..%s", key->lower, key->upper_key);
  else if (whole)
    append(out, " %.0f..%.0f%s%s", key->lower, key->upper, key->upper_key ? " = " : "",
           key->upper_key ? key->upper_key : "");
  else
    append(out, " %s %g", key->lower_is_open ? ">" : ">=", key->lower);
  if (!whole && isfinite(key->upper))
    append(out, " and %s %g", key->upper_is_open ? "<" : "<=", key->upper);
  if (key->nonzero) append(out, ", not 0");
}

static void append_scalar(esc_allowed *out, const esc_key *key) {
  switch (key->type) {
    case ESC_VALUE_SECTION:
      append(out, "a mapping with the keys ");
      append_keys(out, key, ".");
      return;
    case ESC_VALUE_CHOICE:
    case ESC_VALUE_ACTIVATION:
      append(out, "one of ");
      append_choices(out, key->choices);
      return;
    case ESC_VALUE_TEXT:
      append(out, "text of %.0f..%.0f printable bytes", key->lower, key->upper);
      return;
    case ESC_VALUE_SWEPT:
      append(out,
             "a mapping from keys (network.width) of network, teacher, init, train, escape and "
             "record to lists of values, or to {from, to, count}, spaced logarithmically");
      return;
    case ESC_VALUE_INTEGER: append(out, "a whole number"); break;
    case ESC_VALUE_NUMBER: append(out, "a number"); break;
  }
  append_range(out, key);
  if (key->choices) {
    append(out, ", or ");
    append_choices(out, key->choices);
  }
}

static void append_list(esc_allowed *out, const esc_key *key) {
  append(out, "a list of %d..%d %s", key->min_items, key->max_items,
         key->distinct ? "distinct " : "");
  switch (key->type) {
    case ESC_VALUE_SECTION:
      append(out, "mappings with the keys ");
      append_keys(out, key, "[].");
      return;
    case ESC_VALUE_CHOICE:
      append(out, "words of ");
      append_choices(out, key->choices);
      return;
    case ESC_VALUE_INTEGER: append(out, "whole numbers"); break;
    default: append(out, "numbers"); break;
  }
  append_range(out, key);
}

esc_allowed esc_schema_allowed(const esc_key *key) {
  esc_allowed out = {""};
  if (!key->shape || key->shape & ESC_SHAPE_SCALAR) append_scalar(&out, key);
  if (key->shape & ESC_SHAPE_LIST) {
    if (key->shape & ESC_SHAPE_SCALAR) append(&out, ", or ");
    append_list(&out, key);
  }
  if (key->shape & ESC_SHAPE_NESTED_LIST) append(&out, ", or a list of such lists");
  if (key->shape & ESC_SHAPE_MAPPING) {
    append(&out, ", or a mapping with the keys ");
    append_keys(&out, key, ".");
  }
  return out;
}

esc_allowed esc_schema_allowed_keys(const char *prefix) {
  esc_allowed out = {""};
  append_child_keys(&out, prefix);
  return out;
}

/* ---- did you mean ---- */

static const char *last_name(const char *path) {
  const char *dot = strrchr(path, '.');
  return dot ? dot + 1 : path;
}

/* Maximum number of edits of a typing error. */
static int max_edits(const char *word) { return strlen(word) < 4 ? 1 : 2; }

esc_hint esc_schema_hint(const char *path) {
  esc_hint hint = {""};
  const char *name = last_name(path), *nearest = NULL;
  int min_distance = max_edits(name) + 1;
  for (int i = 0; i < esc_schema_keys; i++) {
    const char *other = esc_schema[i].path;
    int distance = esc_text_edit_distance(path, other);
    if (distance > 1 && !strcmp(name, last_name(other)))
      distance = 1; /* the same key in another section */
    if (distance >= min_distance) continue;
    min_distance = distance;
    nearest = other;
  }
  if (nearest) snprintf(hint.text, sizeof hint.text, " (did you mean %s?)", nearest);
  return hint;
}

esc_hint esc_choice_hint(const char *choices, const char *text) {
  esc_hint hint = {""};
  int length, min_distance = max_edits(text) + 1;
  const char *next;
  for (int i = 0; (next = esc_choice_get(choices, i, &length)); i++) {
    char word[64];
    snprintf(word, sizeof word, "%.*s", length, next);
    const int distance = esc_text_edit_distance(text, word);
    if (distance >= min_distance) continue;
    min_distance = distance;
    snprintf(hint.text, sizeof hint.text, " (did you mean %s?)", word);
  }
  return hint;
}

/* ---- help ---- */

enum { HELP_INDENT = 6, HELP_COLUMNS = 80 };

/* Texts in a row, indented below a key. */
static void print_wrapped(FILE *out, const char *a, const char *b, const char *c) {
  char line[2048];
  snprintf(line, sizeof line, "%s%s%s", a, b, c);
  fprintf(out, "%*s", HELP_INDENT, "");
  esc_text_print_wrapped(out, line, HELP_INDENT, HELP_COLUMNS);
}

static void print_key(FILE *out, const esc_key *key) {
  const esc_allowed allowed = esc_schema_allowed(key);
  const char *default_text = key->default_value ? key->default_value : key->default_rule;
  fprintf(out, "  %s%s%s%s\n", key->path, key->unit ? " (" : "", key->unit ? key->unit : "",
          key->unit ? ")" : "");
  print_wrapped(out, key->help, "", "");
  print_wrapped(out, allowed.text, default_text ? "; default: " : "; required",
                default_text ? default_text : "");
}

void esc_spec_help(FILE *out) {
  for (int i = 0; i < esc_schema_keys; i++) {
    const esc_key *key = &esc_schema[i];
    if (key->type != ESC_VALUE_SECTION || key->shape) {
      print_key(out, key);
      continue;
    }
    const int indent = fprintf(out, "\n%s: ", key->path) - 1;
    esc_text_print_wrapped(out, key->help, indent, HELP_COLUMNS);
  }
}
