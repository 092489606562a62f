/* SPDX-License-Identifier: Apache-2.0 */
/* The table of keys, and what can be read off it. */
#include "spec/schema.h"

#include <math.h>
#include <stdarg.h>
#include <string.h>

#include "base/text.h"
#include "escapement/internal/problem.h"
#include "spec/groups.h"
#include "spec/spec.h"

#define ACTIVATION_WORD(context, kind, function, name, ...) "|" name
static const char activations[] = ESC_ACTIVATIONS(ACTIVATION_WORD, ) ":a0,a1,...";
#undef ACTIVATION_WORD

/* Words are in the order of their enumerators in problem.h. Rows are checked in
 * this order, so a `limit` stands above the rows that name it. */
#define RANGE(from, to) .lower = (from), .upper = (to)
#define ABOVE(from, to) .lower = (from), .above = true, .upper = (to)
#define BELOW(from, to) .lower = (from), .upper = (to), .below = true
#define COUNT(from, to) .fewest = (from), .most = (to)

/* Rates and scales below would vanish in the float arithmetic of the engines. */
#define SMALLEST 1e-30

/* 2^53: exact even where a program passes whole numbers on as doubles. */
#define EXACT_MAX 9007199254740992.0

const esc_key esc_schema[] = {
    {"name", ESC_VALUE_TEXT, RANGE(1, 200), .standard = "sweep",
     .help = "name of the sweep in results and figures"},

    {"network", ESC_VALUE_SECTION,
     .help = "the student, f(x) = W_L s(... s(W_1 x)), without biases"},
    {"network.layers", ESC_VALUE_INTEGER, RANGE(2, ESC_LAYERS_MAX),
     .help = "number of weight layers, L"},
    {"network.width", ESC_VALUE_INTEGER, RANGE(1, ESC_WIDTH_MAX), .unit = "units",
     .help = "hidden units of a layer, N"},
    {"network.inputs", ESC_VALUE_INTEGER, RANGE(1, ESC_INPUTS_MAX), .otherwise = "network.width",
     .help = "input dimension, d"},
    {"network.activation", ESC_VALUE_ACTIVATION, .words = &activations[1], .standard = "tanh",
     .help = "activation of student and teacher; poly has 1 to 17 coefficients, "
             "each from -1e30 to 1e30"},

    {"teacher", ESC_VALUE_SECTION,
     .help = "the target, T(x) = sum_k a_k s(v_k.x), v_k orthonormal"},
    {"teacher.amplitudes", ESC_VALUE_NUMBER, .shape = ESC_SHAPE_LIST, RANGE(-1e6, 1e6),
     .nonzero = true, COUNT(1, ESC_MODES_MAX), .standard = "[1.0]",
     .help = "amplitudes a_k, one for each mode; no more modes than inputs"},
    {"teacher.directions", ESC_VALUE_WORD, .words = "axes|random", .standard = "axes",
     .help = "directions v_k: the first coordinate axes, or random (from sweep.seed)"},

    {"init", ESC_VALUE_SECTION, .help = "initial weights, before the small scales of the sweep"},
    {"init.scheme", ESC_VALUE_WORD, .words = "he-normal|symmetric|blocks", .standard = "he-normal",
     .help = "random, or on the symmetric manifold of one mode or of several"},
    {"init.scales", ESC_VALUE_NUMBER, .shape = ESC_SHAPE_ONE | ESC_SHAPE_LIST | ESC_SHAPE_ROWS,
     RANGE(SMALLEST, 1e6), COUNT(1, ESC_LAYERS_MAX), .standard = "1.0",
     .help =
         "layer scales, multiplied by the scales of the sweep: one number for all layers, a list "
         "with one number for each layer, or, for blocks, one such list for each mode"},

    {"train", ESC_VALUE_SECTION,
     .help = "gradient descent on a fresh Gaussian minibatch at every step"},
    {"train.metric", ESC_VALUE_WORD, .words = "euclidean|normalized", .standard = "euclidean",
     .help = "factors of the rate by layer: all 1, or n, 1, ..., 1, 1/n"},
    {"train.rate", ESC_VALUE_NUMBER, RANGE(SMALLEST, 10), .unit = "flow time per step",
     .help = "learning rate, eta"},
    {"train.batch", ESC_VALUE_INTEGER, RANGE(1, ESC_BATCH_MAX), .unit = "samples",
     .help = "size of the minibatch, B"},
    {"train.steps", ESC_VALUE_INTEGER, RANGE(1, 1e15), .unit = "steps",
     .help = "maximum steps of each network; a network without an escape by then is censored"},
    {"train.loss", ESC_VALUE_WORD, .words = "squared|logistic|huber", .standard = "squared",
     .help = "loss of a sample; squared is (f-T)^2/2"},
    {"train.huber_delta", ESC_VALUE_NUMBER, ABOVE(0, INFINITY), .standard = "1.0",
     .help = "residual at which the Huber loss becomes linear; only with train.loss: huber"},
    {"train.update", ESC_VALUE_WORD, .words = "plain|compensated", .standard = "compensated",
     .help = "addition of updates to float32 weights; compensated: with the rounding error carried "
             "over"},

    {"escape", ESC_VALUE_SECTION,
     .help = "the escape step of a network: its first step with a loss below a threshold"},
    {"escape.thresholds", ESC_VALUE_NUMBER, .shape = ESC_SHAPE_LIST, ABOVE(0, INFINITY),
     .distinct = true, COUNT(1, ESC_THRESHOLDS_MAX), .unit = "loss",
     .help = "loss thresholds; an escape step is recorded for each"},
    {"escape.smoothing", ESC_VALUE_NUMBER, BELOW(0, 1), .words = "none", .standard = "none",
     .help = "factor of the moving average of the loss; none: the minibatch loss itself"},
    {"escape.false_escapes", ESC_VALUE_WORD, .words = "refuse|allow", .standard = "refuse",
     .help = "action if noise alone would cross a threshold in more than 1% of the networks"},

    {"sweep", ESC_VALUE_SECTION, .help = "the networks: each seed with each scale of each group"},
    {"sweep.seeds", ESC_VALUE_INTEGER, RANGE(1, ESC_MEMBERS_MAX), .standard = "1",
     .help = "number of seeds"},
    {"sweep.seed", ESC_VALUE_INTEGER, RANGE(0, EXACT_MAX), .standard = "1",
     .help = "first seed; the next seeds are consecutive"},
    {"sweep.groups", ESC_VALUE_SECTION, .shape = ESC_SHAPE_LIST, COUNT(1, ESC_GROUPS_MAX),
     .help = "small layers and their scales"},
    {"sweep.groups[].bottleneck", ESC_VALUE_INTEGER, RANGE(0, INFINITY), .limit = "network.layers",
     .help = "number of layers that carry the small scale, r"},
    {"sweep.groups[].scales", ESC_VALUE_NUMBER, .shape = ESC_SHAPE_LIST | ESC_SHAPE_MAPPING,
     RANGE(SMALLEST, 10), COUNT(1, ESC_GROUP_SCALES_MAX),
     .help = "small scales, epsilon; a mapping is spaced logarithmically"},
    {"sweep.groups[].scales.from", ESC_VALUE_NUMBER, RANGE(SMALLEST, 10),
     .help = "the first scale"},
    {"sweep.groups[].scales.to", ESC_VALUE_NUMBER, RANGE(SMALLEST, 10), .help = "the last scale"},
    {"sweep.groups[].scales.count", ESC_VALUE_INTEGER, RANGE(1, ESC_GROUP_SCALES_MAX),
     .help = "number of scales, both ends included"},
    {"sweep.groups[].layers", ESC_VALUE_INTEGER, .shape = ESC_SHAPE_LIST, RANGE(1, INFINITY),
     .limit = "network.layers", .distinct = true, COUNT(0, ESC_LAYERS_MAX),
     .otherwise = "the first `bottleneck` layers",
     .help = "layers that carry the small scale, counted from 1; `bottleneck` of them"},

    {"record", ESC_VALUE_SECTION, .help = "snapshots of observables, in addition to events"},
    {"record.every", ESC_VALUE_INTEGER, RANGE(0, 1e15), .standard = "0", .unit = "steps",
     .help = "steps between snapshots; 0 records events only"},
    {"record.per_decade", ESC_VALUE_INTEGER, RANGE(0, 1000), .standard = "0",
     .help = "snapshots per decade of steps, spaced logarithmically; replaces `every`"},
    {"record.samples", ESC_VALUE_INTEGER, RANGE(0, ESC_BATCH_MAX), .standard = "0",
     .help = "size of the evaluation sample: even, at least 2 network.inputs; 0: 4 network.inputs, "
             "rounded up to a multiple of 128, enough to estimate sampling errors"},
};
const int esc_schema_keys = (int)(sizeof esc_schema / sizeof esc_schema[0]);

const esc_key *esc_schema_find(const char *path) {
  for (int i = 0; i < esc_schema_keys; i++)
    if (!strcmp(esc_schema[i].path, path)) return &esc_schema[i];
  return NULL;
}

const char *esc_schema_below(const esc_key *key, const char *prefix) {
  const size_t length = strlen(prefix);
  const char *name = key->path + length;
  if (strncmp(key->path, prefix, length) != 0) return NULL;
  return *name && !strpbrk(name, ".[") ? name : NULL;
}

/* ---- words ---- */

const char *esc_word_at(const char *words, int index, int *length) {
  for (; words && index > 0; index--) {
    words = strchr(words, '|');
    words = words ? words + 1 : NULL;
  }
  *length = words ? (int)strcspn(words, "|") : 0;
  return words;
}

int esc_word_index(const char *words, const char *text) {
  int length;
  const char *word;
  for (int i = 0; (word = esc_word_at(words, i, &length)); i++)
    if ((int)strlen(text) == length && !strncmp(word, text, (size_t)length)) return i;
  return -1;
}

/* ---- what is allowed ---- */

/* Adds to `out` as far as there is room. */
__attribute__((format(printf, 2, 3))) static void add(esc_allowed *out, const char *format, ...) {
  const size_t used = strlen(out->text);
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(out->text + used, sizeof out->text - used, format, arguments);
  va_end(arguments);
}

static void add_words(esc_allowed *out, const char *words) {
  int length;
  const char *word;
  for (int i = 0; (word = esc_word_at(words, i, &length)); i++)
    add(out, "%s%.*s", i == 0 ? "" : ", ", length, word);
}

static void add_keys_below(esc_allowed *out, const char *prefix) {
  const char *name, *comma = "";
  for (int i = 0; i < esc_schema_keys; i++)
    if ((name = esc_schema_below(&esc_schema[i], prefix))) {
      add(out, "%s%s", comma, name);
      comma = ", ";
    }
}

static void add_keys(esc_allowed *out, const esc_key *key, const char *separator) {
  char prefix[64];
  snprintf(prefix, sizeof prefix, "%s%s", key->path, separator);
  add_keys_below(out, prefix);
}

static void add_range(esc_allowed *out, const esc_key *key) {
  const bool whole = key->type != ESC_VALUE_NUMBER;
  if (whole && key->lower == key->upper)
    add(out, " that is %.0f", key->lower);
  else if (whole && isinf(key->upper))
    add(out, " %.0f..%s", key->lower, key->limit);
  else if (whole)
    add(out, " %.0f..%.0f%s%s", key->lower, key->upper, key->limit ? " = " : "",
        key->limit ? key->limit : "");
  else
    add(out, " %s %g", key->above ? ">" : ">=", key->lower);
  if (!whole && isfinite(key->upper)) add(out, " and %s %g", key->below ? "<" : "<=", key->upper);
  if (key->nonzero) add(out, ", not 0");
}

static void add_one(esc_allowed *out, const esc_key *key) {
  switch (key->type) {
    case ESC_VALUE_SECTION:
      add(out, "a mapping with the keys ");
      add_keys(out, key, ".");
      return;
    case ESC_VALUE_WORD:
    case ESC_VALUE_ACTIVATION:
      add(out, "one of ");
      add_words(out, key->words);
      return;
    case ESC_VALUE_TEXT:
      add(out, "text of %.0f..%.0f printable bytes", key->lower, key->upper);
      return;
    case ESC_VALUE_INTEGER: add(out, "a whole number"); break;
    case ESC_VALUE_NUMBER: add(out, "a number"); break;
  }
  add_range(out, key);
  if (key->words) {
    add(out, ", or ");
    add_words(out, key->words);
  }
}

static void add_list(esc_allowed *out, const esc_key *key) {
  add(out, "a list of %d..%d %s", key->fewest, key->most, key->distinct ? "distinct " : "");
  switch (key->type) {
    case ESC_VALUE_SECTION:
      add(out, "mappings with the keys ");
      add_keys(out, key, "[].");
      return;
    case ESC_VALUE_INTEGER: add(out, "whole numbers"); break;
    default: add(out, "numbers"); break;
  }
  add_range(out, key);
}

esc_allowed esc_schema_allowed(const esc_key *key) {
  esc_allowed out = {""};
  if (!key->shape || key->shape & ESC_SHAPE_ONE) add_one(&out, key);
  if (key->shape & ESC_SHAPE_LIST) {
    if (key->shape & ESC_SHAPE_ONE) add(&out, ", or ");
    add_list(&out, key);
  }
  if (key->shape & ESC_SHAPE_ROWS) add(&out, ", or a list of such lists");
  if (key->shape & ESC_SHAPE_MAPPING) {
    add(&out, ", or a mapping with the keys ");
    add_keys(&out, key, ".");
  }
  return out;
}

esc_allowed esc_schema_allowed_keys(const char *prefix) {
  esc_allowed out = {""};
  add_keys_below(&out, prefix);
  return out;
}

/* ---- did you mean ---- */

static const char *last_name(const char *path) {
  const char *dot = strrchr(path, '.');
  return dot ? dot + 1 : path;
}

/* Edits that may be a slip of the keys; more make another word. */
static int slips_of(const char *word) { return strlen(word) < 4 ? 1 : 2; }

esc_hint esc_schema_hint(const char *path) {
  esc_hint hint = {""};
  const char *name = last_name(path), *nearest = NULL;
  int least = slips_of(name) + 1;
  for (int i = 0; i < esc_schema_keys; i++) {
    const char *other = esc_schema[i].path;
    int distance = esc_text_distance(path, other);
    if (distance > 1 && !strcmp(name, last_name(other))) distance = 1; /* in another section */
    if (distance >= least) continue;
    least = distance;
    nearest = other;
  }
  if (nearest) snprintf(hint.text, sizeof hint.text, " (did you mean %s?)", nearest);
  return hint;
}

esc_hint esc_word_hint(const char *words, const char *text) {
  esc_hint hint = {""};
  int length, least = slips_of(text) + 1;
  const char *next;
  for (int i = 0; (next = esc_word_at(words, i, &length)); i++) {
    char word[64];
    snprintf(word, sizeof word, "%.*s", length, next);
    const int distance = esc_text_distance(text, word);
    if (distance >= least) continue;
    least = distance;
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
  const char *standard = key->standard ? key->standard : key->otherwise;
  fprintf(out, "  %s%s%s%s\n", key->path, key->unit ? " (" : "", key->unit ? key->unit : "",
          key->unit ? ")" : "");
  print_wrapped(out, key->help, "", "");
  print_wrapped(out, allowed.text, standard ? "; default: " : "; required",
                standard ? standard : "");
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
