/* SPDX-License-Identifier: Apache-2.0 */
/* From text to a spec: tree, overrides, schema, and then the constraints between keys. */
#include "spec/spec.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file_kind.h"
#include "base/io.h"
#include "base/text.h"
#include "escapement/internal/library.h"
#include "spec/grid.h"
#include "spec/groups.h"
#include "spec/override.h"
#include "spec/schema.h"
#include "spec/validate.h"
#include "spec/yaml_tree.h"

enum { LABEL_SIZE = 200 };

/* ---- values that the schema has checked ---- */

static int64_t integer(const esc_node *root, const char *path) {
  return esc_node_find(root, path)->integer;
}
static double number(const esc_node *root, const char *path) {
  return esc_node_find(root, path)->number;
}
static int word(const esc_node *root, const char *path) { return esc_node_find(root, path)->word; }

/* Copies a list of numbers, whose length the schema limits; returns their number. */
static int numbers(const esc_node *root, const char *path, double *out) {
  const esc_node *list = esc_node_find(root, path);
  for (int i = 0; i < list->children; i++) out[i] = list->child[i]->number;
  return list->children;
}

/* Refuses the value of `path`, which contradicts other keys. */
__attribute__((format(printf, 3, 4))) static esc_status refuse(const esc_node *root,
                                                               const char *path, const char *format,
                                                               ...) {
  char what[256];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(what, sizeof what, format, arguments);
  va_end(arguments);
  return ESC_FAIL(ESC_BAD_INPUT, "%s: %s: %s", esc_node_location(esc_node_find(root, path)).text,
                  path, what);
}

/* ---- sections ---- */

static void read_network(const esc_node *root, esc_problem *p) {
  const esc_node *inputs = esc_node_find(root, "network.inputs");
  p->shape.layers = (int)integer(root, "network.layers");
  p->shape.width = (int)integer(root, "network.width");
  p->shape.inputs = inputs ? (int)inputs->integer : p->shape.width;
  esc_activation_parse(esc_node_find(root, "network.activation")->text, &p->activation);
}

static esc_status read_teacher(const esc_node *root, esc_problem *p) {
  p->teacher.modes = numbers(root, "teacher.amplitudes", p->teacher.amplitude);
  p->teacher.directions = (esc_directions)word(root, "teacher.directions");
  if (p->teacher.modes <= p->shape.inputs) return ESC_OK;
  return refuse(root, "teacher.amplitudes",
                "%d modes in %d inputs; allowed: at most as many modes as network.inputs",
                p->teacher.modes, p->shape.inputs);
}

static esc_status read_scheme(const esc_node *root, esc_problem *p) {
  const int modes = p->teacher.modes, width = p->shape.width;
  p->scheme = (esc_scheme)word(root, "init.scheme");
  if (p->scheme == ESC_SCHEME_SYMMETRIC && modes != 1)
    return refuse(root, "init.scheme",
                  "symmetric with %d amplitudes; allowed: exactly 1 amplitude, or blocks", modes);
  if (p->scheme == ESC_SCHEME_BLOCKS && width % modes != 0)
    return refuse(root, "init.scheme",
                  "blocks with width %d and %d amplitudes; allowed: a width that is a multiple "
                  "of the number of amplitudes",
                  width, modes);
  return ESC_OK;
}

/* One row of init.scales: a single number for all layers, or a list. */
static esc_status read_scale_row(const esc_node *root, const esc_node *row, int layers,
                                 double *scale) {
  const bool list = row->kind == ESC_NODE_LIST;
  if (list && row->children != layers)
    return ESC_FAIL(
        ESC_BAD_INPUT, "%s: init.scales: %d scales for %d layers; allowed: one for each layer",
        esc_node_location(row).text, row->children, (int)integer(root, "network.layers"));
  for (int l = 0; l < layers; l++) scale[l] = list ? row->child[l]->number : row->number;
  return ESC_OK;
}

static esc_status check_scale_rows(const esc_node *root, const esc_problem *p, int rows) {
  if (p->scheme != ESC_SCHEME_BLOCKS)
    return refuse(root, "init.scales", "a list of lists; allowed: only with scheme blocks");
  if (rows != p->teacher.modes)
    return refuse(root, "init.scales",
                  "%d lists for %d amplitudes; allowed: one list for each amplitude", rows,
                  p->teacher.modes);
  return ESC_OK;
}

static esc_status read_scales(const esc_node *root, esc_problem *p) {
  const esc_node *scales = esc_node_find(root, "init.scales");
  const bool nested = scales->kind == ESC_NODE_LIST && scales->child[0]->kind == ESC_NODE_LIST;
  const int layers = p->shape.layers;
  esc_status status = ESC_OK;
  if (nested) ESC_TRY(check_scale_rows(root, p, scales->children));
  p->scale_modes = nested ? scales->children : 1;
  p->scale = calloc((size_t)p->scale_modes * (size_t)layers, sizeof *p->scale);
  ESC_TRY_ALLOCATE(p->scale);
  for (int k = 0; k < p->scale_modes; k++)
    ESC_TRY(read_scale_row(root, nested ? scales->child[k] : scales, layers,
                           p->scale + (size_t)k * (size_t)layers));
done:
  return status;
}

/* A factor below 1 that the float engines would round to 1. */
static esc_status check_factor(const esc_node *root, const char *path) {
  if ((double)(float)number(root, path) < 1) return ESC_OK;
  return refuse(root, path, "%.17g is 1 in float; allowed: at most 0.99999994", number(root, path));
}

/* Refuses a key that the optimizer does not read. */
static esc_status check_unused(const esc_node *root, const char *path, const char *optimizer) {
  if (esc_node_find(root, path)->is_default) return ESC_OK;
  return refuse(root, path, "given, but train.optimizer is not %s; allowed: only with optimizer %s",
                optimizer, optimizer);
}

static esc_status read_adam(const esc_node *root, esc_optimizer *o) {
  esc_status status = ESC_OK;
  ESC_TRY(check_factor(root, "train.adam_beta1"));
  ESC_TRY(check_factor(root, "train.adam_beta2"));
  if (o->momentum != 0) ESC_TRY(check_unused(root, "train.momentum", "sgd"));
  o->adam_beta1 = number(root, "train.adam_beta1");
  o->adam_beta2 = number(root, "train.adam_beta2");
  o->adam_epsilon = number(root, "train.adam_epsilon");
done:
  return status;
}

static esc_status read_optimizer(const esc_node *root, esc_optimizer *o) {
  esc_status status = ESC_OK;
  o->kind = (esc_optimizer_kind)word(root, "train.optimizer");
  o->momentum = number(root, "train.momentum");
  o->nesterov = word(root, "train.nesterov") == 1;
  o->weight_decay = number(root, "train.weight_decay");
  o->decoupled = o->weight_decay != 0 && word(root, "train.decoupled_decay") == 1;
  ESC_TRY(check_factor(root, "train.momentum"));
  if (o->nesterov && o->momentum == 0)
    return refuse(root, "train.nesterov",
                  "true without momentum; allowed: with train.momentum > 0");
  if (o->kind == ESC_OPTIMIZER_ADAM) return read_adam(root, o);
  ESC_TRY(check_unused(root, "train.adam_beta1", "adam"));
  ESC_TRY(check_unused(root, "train.adam_beta2", "adam"));
  ESC_TRY(check_unused(root, "train.adam_epsilon", "adam"));
done:
  return status;
}

/* 1 for every layer, which a resolved spec states as a list. */
static bool is_one(const esc_node *node) {
  bool one = node->kind == ESC_NODE_SCALAR ? node->number == 1 : node->children > 0;
  for (int i = 0; node->kind != ESC_NODE_SCALAR && i < node->children; i++)
    one &= node->child[i]->kind == ESC_NODE_SCALAR && node->child[i]->number == 1;
  return one;
}

/* The keys of a file are allowed with scheme file only, and init.scales without. */
static esc_status check_init_keys(const esc_node *root, bool file) {
  static const char *const keys[] = {"init.file",      "init.weights", "init.step",
                                     "init.threshold", "init.match",   "init.checksum"};
  for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
    const esc_node *node = esc_node_find(root, keys[i]);
    if (node && !node->is_default && !file)
      return refuse(root, keys[i], "given, but init.scheme is not file; allowed: with scheme file");
  }
  if (file && !esc_node_find(root, "init.file"))
    return refuse(root, "init.scheme", "file without init.file; allowed: with init.file");
  if (file && !is_one(esc_node_find(root, "init.scales")))
    return refuse(root, "init.scales", "allowed: 1 with scheme file, whose weights are not scaled");
  return ESC_OK;
}

/* init.step and init.threshold are required by their kinds of weights, and refused with others. */
static esc_status check_init_entry(const esc_node *root, const char *key, bool needed) {
  const bool given = esc_node_find(root, key) != NULL;
  if (given && !needed)
    return refuse(root, key,
                  "given, but init.weights has no such axis; allowed: step with "
                  "snapshots, threshold with escape");
  if (!given && needed)
    return refuse(root, "init.weights", "without %s, which selects one of them", key);
  return ESC_OK;
}

static esc_status read_init_file(const esc_node *root, esc_spec *spec) {
  esc_status status = ESC_OK;
  esc_init_file *init = &spec->init;
  const bool file = spec->problem.scheme == ESC_SCHEME_FILE;
  ESC_TRY(check_init_keys(root, file));
  if (!file) return ESC_OK;
  init->kind = (esc_weights_kind)word(root, "init.weights");
  init->match = (esc_init_match)word(root, "init.match");
  ESC_TRY(check_init_entry(root, "init.step", init->kind == ESC_WEIGHTS_SNAPSHOTS));
  ESC_TRY(check_init_entry(root, "init.threshold", init->kind == ESC_WEIGHTS_ESCAPE));
  if (init->kind == ESC_WEIGHTS_SNAPSHOTS) init->step = integer(root, "init.step");
  if (init->kind == ESC_WEIGHTS_ESCAPE) init->threshold = number(root, "init.threshold");
  if (esc_node_find(root, "init.checksum"))
    snprintf(init->checksum, sizeof init->checksum, "%s",
             esc_node_find(root, "init.checksum")->text);
  ESC_TRY_ALLOCATE(init->path = strdup(esc_node_find(root, "init.file")->text));
done:
  return status;
}

static esc_status read_train(const esc_node *root, esc_problem *p) {
  p->metric = (esc_metric)word(root, "train.metric");
  p->rate = number(root, "train.rate");
  p->batch = (int)integer(root, "train.batch");
  p->steps = integer(root, "train.steps");
  p->loss = (esc_loss_kind)word(root, "train.loss");
  p->huber_delta = number(root, "train.huber_delta");
  p->update = (esc_update)word(root, "train.update");
  if (p->loss != ESC_LOSS_HUBER && !esc_node_find(root, "train.huber_delta")->is_default)
    return refuse(root, "train.huber_delta",
                  "given, but train.loss is not huber; allowed: only with loss huber");
  return read_optimizer(root, &p->optimizer);
}

static void read_escape(const esc_node *root, esc_spec *spec) {
  spec->problem.thresholds = numbers(root, "escape.thresholds", spec->problem.threshold);
  spec->problem.smoothing = number(root, "escape.smoothing");
  spec->allow_false_escapes = word(root, "escape.false_escapes") == 1;
}

static esc_status read_weights(const esc_node *root, esc_spec *spec) {
  const esc_node *list = esc_node_find(root, "record.weights");
  esc_record *r = &spec->record;
  for (int i = 0; i < list->children; i++) r->weights |= 1u << list->child[i]->word;
  spec->problem.pauses_at_escape = r->weights >> ESC_WEIGHTS_ESCAPE & 1;
  if (r->weights >> ESC_WEIGHTS_SNAPSHOTS & 1 && !esc_record_on(r))
    return refuse(root, "record.weights",
                  "snapshots without record.every or record.per_decade; allowed: with one of them");
  return ESC_OK;
}

static esc_status read_record(const esc_node *root, esc_spec *spec) {
  esc_record *r = &spec->record;
  const esc_shape shape = spec->problem.shape;
  r->every = integer(root, "record.every");
  r->per_decade = (int)integer(root, "record.per_decade");
  r->samples = (int)integer(root, "record.samples");
  if (r->every && r->per_decade)
    return refuse(root, "record.per_decade", "given beside record.every; allowed: one of them");
  if (r->samples && (r->samples % 2 || r->samples < 2 * shape.inputs))
    return refuse(
        root, "record.samples",
        "is odd or too small; allowed: 0, or an even number of at least 2 network.inputs");
  if (!r->samples) r->samples = esc_observer_samples(shape);
  return read_weights(root, spec);
}

static esc_status read_spec(const esc_node *root, esc_spec *spec) {
  esc_status status = ESC_OK;
  spec->name = strdup(esc_node_find(root, "name")->text);
  ESC_TRY_ALLOCATE(spec->name);
  read_network(root, &spec->problem);
  ESC_TRY(read_teacher(root, &spec->problem));
  ESC_TRY(read_scheme(root, &spec->problem));
  ESC_TRY(read_init_file(root, spec));
  ESC_TRY(read_scales(root, &spec->problem));
  ESC_TRY(read_train(root, &spec->problem));
  read_escape(root, spec);
  spec->seeds = integer(root, "sweep.seeds");
  spec->seed = (uint64_t)integer(root, "sweep.seed");
  spec->problem.run_seed = spec->seed;
  ESC_TRY(read_record(root, spec));
  ESC_TRY(esc_groups_read(root, spec));
done:
  return status;
}

/* ---- points of a grid ---- */

static esc_status read_point(esc_node *tree, esc_spec **out) {
  esc_status status = ESC_OK;
  esc_spec *spec = calloc(1, sizeof *spec);
  ESC_TRY_ALLOCATE(spec);
  ESC_TRY(esc_node_validate(tree));
  ESC_TRY(read_spec(tree, spec));
  *out = spec;
  spec = NULL;
done:
  esc_spec_free(spec);
  return status;
}

/* Reads the points: their trees and resolved texts, both (points), and specs. */
static esc_status read_points(const esc_grid_axes *axes, const esc_node *base, esc_node **tree,
                              char **text, esc_spec **point) {
  esc_status status = ESC_OK;
  for (int i = 0; i < esc_grid_axes_count(axes); i++) {
    ESC_TRY(esc_grid_axes_apply(axes, i, base, &tree[i]));
    ESC_TRY(read_point(tree[i], &point[i]));
    ESC_TRY_ALLOCATE(text[i] = esc_spec_resolved(point[i]));
  }
done:
  return status;
}

static int compare_texts(const void *left, const void *right) {
  return strcmp(*(const char *const *)left, *(const char *const *)right);
}

/* `repeated`: the resolved text of two points. */
static esc_status refuse_repeated_points(const esc_node *root, const esc_grid *grid,
                                         char *const *text, const char *repeated) {
  esc_status status = ESC_OK;
  int i = 0;
  while (strcmp(text[i], repeated) != 0) i++;
  char *const label = esc_grid_print_point(grid, i);
  ESC_TRY_ALLOCATE(label);
  status = ESC_FAIL(ESC_BAD_INPUT,
                    "%s: sweep.grid and sweep.zip: two points have the same values of all keys "
                    "(%.300s); allowed: each network once, for instance pairs of values in "
                    "sweep.zip",
                    esc_node_location(esc_node_get(root, "sweep")).text, label);
done:
  free(label);
  return status;
}

/* Two points with one resolved text would be the same networks twice. */
static esc_status check_points_differ(const esc_node *root, const esc_grid *grid,
                                      char *const *text) {
  esc_status status = ESC_OK;
  const int points = grid->points;
  const char **sorted = malloc((size_t)points * sizeof *sorted);
  ESC_TRY_ALLOCATE(sorted);
  for (int i = 0; i < points; i++) sorted[i] = text[i];
  qsort(sorted, (size_t)points, sizeof *sorted, compare_texts);
  for (int i = 1; i < points && status == ESC_OK; i++)
    if (!strcmp(sorted[i], sorted[i - 1]))
      status = refuse_repeated_points(root, grid, text, sorted[i]);
done:
  free(sorted);
  return status;
}

static esc_status check_grid_members(const esc_node *root, const esc_spec *spec) {
  const int64_t members = esc_spec_count_members(spec);
  if (members <= ESC_MEMBERS_MAX) return ESC_OK;
  return ESC_FAIL(ESC_BAD_INPUT,
                  "%s: sweep.grid: %lld networks in %d points; allowed: at most %d networks",
                  esc_node_location(esc_node_get(root, "sweep")).text, (long long)members,
                  spec->grid->grid->points, ESC_MEMBERS_MAX);
}

/* Arrays of weights, in a result and in init.file, have one shape for all members, but points may
 * differ in theirs. */
static esc_status check_grid_weights(const esc_node *root, const esc_spec *spec) {
  for (int i = 0; i < esc_spec_count_points(spec); i++) {
    const esc_spec *point = esc_spec_point(spec, i);
    const bool file = point->problem.scheme == ESC_SCHEME_FILE;
    if (point->record.weights || file)
      return ESC_FAIL(ESC_BAD_INPUT,
                      "%s: sweep.grid: is not supported with %s; allowed: one point as a sweep",
                      esc_node_location(esc_node_get(root, "sweep")).text,
                      file ? "init.scheme file" : "record.weights");
  }
  return ESC_OK;
}

/* Fills `spec`: the fields of the first point, and all points. */
static esc_status read_grid(const esc_grid_axes *axes, const esc_node *base, esc_spec *spec) {
  esc_status status = ESC_OK;
  const int points = esc_grid_axes_count(axes);
  esc_node **tree = calloc((size_t)points, sizeof(esc_node *));
  char **text = calloc((size_t)points, sizeof(char *));
  ESC_TRY_ALLOCATE(tree);
  ESC_TRY_ALLOCATE(text);
  ESC_TRY_ALLOCATE(spec->grid = calloc(1, sizeof *spec->grid));
  ESC_TRY_ALLOCATE(spec->grid->point = calloc((size_t)points + 1, sizeof(esc_spec *)));
  ESC_TRY(read_points(axes, base, tree, text, spec->grid->point));
  ESC_TRY(esc_grid_axes_list(axes, (const esc_node *const *)tree, &spec->grid->grid));
  ESC_TRY(read_spec(tree[0], spec));
  ESC_TRY(check_points_differ(base, spec->grid->grid, text));
  ESC_TRY(check_grid_members(base, spec));
  ESC_TRY(check_grid_weights(base, spec));
  ESC_TRY_ALLOCATE(spec->grid->resolved =
                       esc_grid_print_spec(axes, base, (const char *const *)text));
done:
  for (int i = 0; i < points; i++) {
    if (tree) esc_node_free(tree[i]);
    if (text) free(text[i]);
  }
  free(tree);
  free(text);
  return status;
}

static void free_grid(esc_spec_grid *g) {
  for (int i = 0; g && g->point && g->point[i]; i++) esc_spec_free(g->point[i]);
  if (g) free(g->point);
  if (g) esc_grid_free(g->grid);
  if (g) free(g->resolved);
  free(g);
}

int esc_spec_count_points(const esc_spec *spec) {
  return spec->grid ? spec->grid->grid->points : 1;
}

const esc_spec *esc_spec_point(const esc_spec *spec, int point) {
  return spec->grid ? spec->grid->point[point] : spec;
}

int esc_spec_layers_max(const esc_spec *spec) {
  int layers = 0;
  for (int i = 0; i < esc_spec_count_points(spec); i++) {
    const int here = esc_spec_point(spec, i)->problem.shape.layers;
    if (here > layers) layers = here;
  }
  return layers;
}

esc_status esc_spec_refuse_grid(const esc_spec *spec, const char *who) {
  if (!spec->grid) return ESC_OK;
  return ESC_FAIL(
      ESC_BAD_INPUT,
      "%s: sweep.grid: allowed is a sweep without a grid; `escapement run POINT.yaml -o "
      "POINT.h5 --from GRID.h5` copies one point of a grid without training",
      who);
}

/* ---- the whole ---- */

static bool is_terminal(const struct stat *info) {
  struct stat input;
  return S_ISCHR(info->st_mode) && isatty(STDIN_FILENO) && fstat(STDIN_FILENO, &input) == 0 &&
         input.st_rdev == info->st_rdev;
}

/* Reading a device may never end; a pipe ends, `<(...)` and /dev/stdin too. */
static esc_status check_can_be_read(const char *path) {
  struct stat info;
  if (stat(path, &info) != 0 || S_ISREG(info.st_mode) || S_ISFIFO(info.st_mode) ||
      is_terminal(&info))
    return ESC_OK; /* opening reports a missing file */
  return ESC_FAIL(ESC_BAD_INPUT, "%s: is %s, not a YAML spec; allowed: a file or a pipe", path,
                  S_ISDIR(info.st_mode)   ? "a directory"
                  : S_ISCHR(info.st_mode) ? "a device"
                                          : "neither a file nor a pipe");
}

/* A file of another kind where a spec should be. */
static esc_status check_is_text(const char *path) {
  switch (esc_file_kind_at(path)) {
    case ESC_FILE_HDF5:
      return ESC_FAIL(
          ESC_BAD_INPUT,
          "%s: is an HDF5 file, not a YAML spec; `escapement info %s` prints the spec of "
          "a result",
          path, path);
    case ESC_FILE_JOURNAL:
    case ESC_FILE_CHECKPOINT:
      return ESC_FAIL(
          ESC_BAD_INPUT,
          "%s: is a journal or checkpoint of a run, not a YAML spec; `escapement info %s` "
          "prints its spec",
          path, path);
    default: return ESC_OK;
  }
}

static esc_status parse_root(const esc_source *source, const char *text, size_t length,
                             esc_node **out) {
  esc_node *root = NULL;
  esc_status status = ESC_OK;
  ESC_TRY(esc_yaml_parse(source, text, length, &root));
  if (root->kind != ESC_NODE_MAPPING) {
    status = ESC_FAIL(ESC_BAD_INPUT, "%s: %s, not a spec; allowed: a mapping (lines of key: value)",
                      esc_node_location(root).text,
                      root->kind == ESC_NODE_LIST ? "a list" : "a single value");
    goto done;
  }
  *out = root;
  root = NULL;
done:
  esc_node_free(root);
  return status;
}

/* Long paths are shortened to their end in messages. */
static void clean_label(char to[LABEL_SIZE], const char *label) {
  const size_t length = strlen(label), kept = LABEL_SIZE - 8;
  const size_t cut = length > kept ? length - kept : 0;
  strcpy(to, cut ? "..." : "");
  esc_text_escape(to + strlen(to), LABEL_SIZE - strlen(to), label + cut, length - cut);
}

esc_status esc_spec_parse(const char *label, const char *text, size_t length, int overrides,
                          const char *const *override, esc_spec **out) {
  const esc_library_scope scope = esc_library_enter();
  char shown[LABEL_SIZE];
  const esc_source source = {.label = shown, .subject = NULL};
  esc_node *root = NULL;
  esc_grid_axes *axes = NULL;
  esc_status status = ESC_OK;
  esc_argument *arguments = calloc((size_t)overrides + 1, sizeof *arguments);
  esc_spec *spec = calloc(1, sizeof *spec);
  ESC_TRY_ALLOCATE(arguments);
  ESC_TRY_ALLOCATE(spec);
  clean_label(shown, label);
  ESC_TRY(parse_root(&source, text, length, &root));
  for (int i = 0; i < overrides; i++)
    ESC_TRY(esc_override_apply(root, i + 1, override[i], &arguments[i]));
  ESC_TRY(esc_grid_axes_read(root, &axes));
  if (!axes) ESC_TRY(esc_node_validate(root));
  ESC_TRY(axes ? read_grid(axes, root, spec) : read_spec(root, spec));
  *out = spec;
  spec = NULL;
done:
  esc_spec_free(spec);
  esc_grid_axes_free(axes);
  esc_node_free(root);
  free(arguments);
  esc_library_leave(scope);
  return status;
}

esc_status esc_spec_load(const char *path, int overrides, const char *const *override,
                         esc_spec **out) {
  char *text = NULL;
  size_t length = 0;
  esc_status status = ESC_OK;
  if (!*path) return ESC_FAIL(ESC_BAD_INPUT, "the name of the spec is empty; allowed: a YAML file");
  ESC_TRY(check_can_be_read(path));
  ESC_TRY(check_is_text(path));
  ESC_TRY(esc_io_read(path, ESC_YAML_BYTES_MAX, &text, &length));
  ESC_TRY(esc_spec_parse(path, text, length, overrides, override, out));
done:
  free(text);
  return status;
}

int64_t esc_spec_count_members(const esc_spec *spec) {
  int64_t scales = 0;
  for (int g = 0; g < spec->groups; g++) scales += spec->group[g].scales;
  return scales * spec->seeds * esc_spec_count_points(spec);
}

void esc_spec_free(esc_spec *spec) {
  if (!spec) return;
  for (int g = 0; g < spec->groups; g++) free(spec->group[g].scale);
  free(spec->group);
  free(spec->problem.scale);
  free_grid(spec->grid);
  free(spec->init.path);
  free(spec->name);
  free(spec);
}

const char *esc_spec_name(const esc_spec *spec) { return spec->name; }

esc_status esc_spec_build(int pairs, const char *const *pair, esc_spec **out) {
  static const char empty[] = "{}";
  return esc_spec_parse("spec", empty, sizeof empty - 1, pairs, pair, out);
}

int esc_spec_count_keys(void) { return esc_schema_keys; }

esc_status esc_spec_describe_key(int index, esc_spec_key *out) {
  if (index < 0 || index >= esc_schema_keys)
    return ESC_FAIL(ESC_BAD_INPUT, "key %d of a spec: there are 0 to %d", index,
                    esc_schema_keys - 1);
  const esc_key *key = &esc_schema[index];
  *out = (esc_spec_key){key->path, key->default_value, key->default_rule, key->unit, key->help, ""};
  snprintf(out->allowed, sizeof out->allowed, "%s", esc_schema_allowed(key).text);
  return ESC_OK;
}
