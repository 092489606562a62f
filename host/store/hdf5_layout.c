/* SPDX-License-Identifier: Apache-2.0 */
/* The columns of a result file, their checksum, the file checksum, HDF5's errors. */
#include "store/hdf5_layout.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

#include "base/file_kind.h"
#include "escapement/internal/observe.h"
#include "store/file_refuse.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "the checksums are of little-endian bytes");

typedef struct file_checksum {
  char mark[8];
  uint64_t size, xxh3;
} file_checksum;
static const char checksum_mark[] = "ESCSEAL1";

_Static_assert(sizeof(file_checksum) == ESC_FILE_CHECKSUM_BYTES,
               "the file checksum has no padding");

/* The coordinate `snapshot`, the observables along it and those at the end. */
static void add_observables(const esc_results *r, esc_layout *t) {
  t->column[t->columns++] = (esc_layout_column){
      "snapshot",       "step", "step of the snapshot: weight updates made before it",
      ESC_TYPE_INT64,   1,      {ESC_AXIS_SNAPSHOT},
      r->snapshot_step, true};
  for (int k = 0; k < ESC_OBSERVABLES; k++) {
    const esc_observable *o = &esc_observables[k];
    const int rank = o->axis == ESC_AXIS_NONE ? 2 : 3;
    t->column[t->columns++] =
        (esc_layout_column){o->name,          o->units, o->long_name,
                            ESC_TYPE_FLOAT64, rank,     {ESC_AXIS_NONE, ESC_AXIS_SNAPSHOT, o->axis},
                            r->observable[k], false};
  }
  for (int k = 0; k < ESC_OBSERVABLES; k++) {
    const esc_observable *o = &esc_observables[k];
    const int rank = o->axis == ESC_AXIS_NONE ? 1 : 2;
    t->column[t->columns++] =
        (esc_layout_column){o->end_name,          o->units, o->end_long_name,
                            ESC_TYPE_FLOAT64,     rank,     {ESC_AXIS_NONE, o->axis},
                            r->observable_end[k], false};
  }
}

static const char *const axis_name[ESC_AXES] = {[ESC_AXIS_NONE] = "member",
                                                [ESC_AXIS_THRESHOLD] = "threshold",
                                                [ESC_AXIS_LAYER] = "layer",
                                                [ESC_AXIS_INTERFACE] = "interface",
                                                [ESC_AXIS_SNAPSHOT] = "snapshot",
                                                [ESC_AXIS_OUTPUT] = "output",
                                                [ESC_AXIS_UNIT] = "unit",
                                                [ESC_AXIS_INPUT] = "input",
                                                [ESC_AXIS_UNIT_BELOW] = "unit_below"};

const char *esc_axis_name(esc_axis axis) { return axis_name[axis]; }

static void add_point(const esc_results *r, esc_layout *t) {
  t->column[t->columns++] =
      (esc_layout_column){"point",        "1",  "point of the sweep's grid, counted from 0",
                          ESC_TYPE_INT32, 1,    {ESC_AXIS_NONE},
                          r->point,       false};
}

/* A coordinate variable. */
static esc_layout_column coordinate(const char *name, const char *long_name, esc_type type,
                                    esc_axis axis, void *data) {
  return (esc_layout_column){.name = name,
                             .units = "1",
                             .long_name = long_name,
                             .type = type,
                             .rank = 1,
                             .axis = {axis},
                             .data = data,
                             .coordinate = true};
}

static void add_variables(const esc_results *r, esc_layout *t) {
  for (int i = 0; i < esc_result_variable_count; i++) {
    const esc_result_variable *v = &esc_result_variables[i];
    const int rank = v->axis == ESC_AXIS_NONE ? 1 : 2;
    t->column[ESC_COORDINATES + i] = (esc_layout_column){v->name,
                                                         v->units,
                                                         v->long_name,
                                                         v->type,
                                                         rank,
                                                         {ESC_AXIS_NONE, v->axis},
                                                         esc_result_data(r, v),
                                                         false};
  }
}

/* Layer l of one kind: (member[, snapshot or threshold], row, column). */
static esc_layout_column layer_weights(const esc_results *r, esc_weights_kind kind, int l) {
  const esc_axis entry = esc_weights_axis(kind);
  const int row = entry == ESC_AXIS_NONE ? 1 : 2;
  esc_layout_column c = {.name = esc_weights_name(kind, l),
                         .units = "1",
                         .long_name = esc_weights_long_name(kind, l),
                         .type = ESC_TYPE_FLOAT32,
                         .rank = row + 2,
                         .axis = {ESC_AXIS_NONE, entry},
                         .data = r->weight[kind][l]};
  c.axis[row] = l == r->layers - 1 ? ESC_AXIS_OUTPUT : ESC_AXIS_UNIT;
  c.axis[row + 1] = l == 0 ? ESC_AXIS_INPUT : ESC_AXIS_UNIT_BELOW;
  return c;
}

static void add_weights(const esc_results *r, esc_layout *t) {
  static const char *const text[ESC_WEIGHTS_COORDINATES] = {
      "output of the network", "unit of a layer, a row of its weights", "input of the network",
      "unit of the layer below, a column of the weights"};
  for (int a = 0; a < ESC_WEIGHTS_COORDINATES; a++)
    t->column[t->columns++] = coordinate(axis_name[ESC_AXIS_OUTPUT + a], text[a], ESC_TYPE_INT32,
                                         (esc_axis)(ESC_AXIS_OUTPUT + a), r->number);
  for (int k = 0; k < ESC_WEIGHTS_KINDS; k++)
    for (int l = 0; l < r->layers && esc_results_has_weights(r, (esc_weights_kind)k); l++)
      t->column[t->columns++] = layer_weights(r, (esc_weights_kind)k, l);
}

void esc_layout_init(const esc_results *r, esc_layout *t) {
  const esc_layout_column coordinates[ESC_COORDINATES] = {
      coordinate("member", "index in the whole sweep", ESC_TYPE_INT64, ESC_AXIS_NONE, r->member),
      coordinate("threshold", "loss below which a network has escaped", ESC_TYPE_FLOAT64,
                 ESC_AXIS_THRESHOLD, r->threshold),
      coordinate("layer", "weight layer, counted from the input", ESC_TYPE_INT32, ESC_AXIS_LAYER,
                 t->layer),
      coordinate("interface", "pair of layers l and l+1, counted from the input", ESC_TYPE_INT32,
                 ESC_AXIS_INTERFACE, t->interface)};
  memcpy(t->column, coordinates, sizeof coordinates);
  add_variables(r, t);
  t->columns = ESC_VARIABLES;
  if (r->snapshots > 0) add_observables(r, t);
  if (r->weights) add_weights(r, t);
  if (r->grid) add_point(r, t);
  t->length[ESC_AXIS_NONE] = r->members;
  for (int a = 1; a < ESC_AXES; a++) t->length[a] = esc_axis_length(r, (esc_axis)a);
  for (int l = 0; l < ESC_LAYERS_MAX; l++) t->layer[l] = t->interface[l] = l + 1;
}

esc_status esc_layout_check_shape(const char *path, int64_t members, int64_t thresholds,
                                  int64_t layers) {
  if (members >= 0 && thresholds >= 1 && thresholds <= ESC_THRESHOLDS_MAX && layers >= 2 &&
      layers <= ESC_LAYERS_MAX)
    return ESC_OK;
  return ESC_FAIL(ESC_BAD_INPUT,
                  "%s: a result of %lld members, %lld thresholds and %lld layers; allowed are 0 or "
                  "more, 1 to %d and 2 to %d",
                  path, (long long)members, (long long)thresholds, (long long)layers,
                  ESC_THRESHOLDS_MAX, ESC_LAYERS_MAX);
}

size_t esc_layout_row_bytes(const esc_layout *t, const esc_layout_column *c) {
  size_t bytes = esc_type_size(c->type);
  for (int a = 1; a < c->rank; a++) bytes *= (size_t)t->length[c->axis[a]];
  return bytes;
}

esc_status esc_layout_checksum(const esc_layout *t, char text[ESC_CHECKSUM_TEXT_SIZE]) {
  esc_status status = ESC_OK;
  XXH3_state_t *state = XXH3_createState();
  ESC_TRY_ALLOCATE(state);
  XXH3_64bits_reset(state);
  for (int i = 0; i < t->columns; i++) {
    const esc_layout_column *c = &t->column[i];
    XXH3_64bits_update(state, c->data, (size_t)t->length[c->axis[0]] * esc_layout_row_bytes(t, c));
  }
  snprintf(text, ESC_CHECKSUM_TEXT_SIZE, "%016llx", (unsigned long long)XXH3_64bits_digest(state));
done:
  XXH3_freeState(state);
  return status;
}

static file_checksum make_file_checksum(const char *image, size_t size) {
  file_checksum s = {.size = size, .xxh3 = XXH3_64bits(image, size)};
  memcpy(s.mark, checksum_mark, sizeof s.mark);
  return s;
}

void esc_file_checksum_write(char *image, size_t size) {
  const file_checksum s = make_file_checksum(image, size);
  memcpy(image + size, &s, sizeof s);
}

/* Whether a file without a file checksum is truncated, by the end of file that HDF5's superblock of
 * version 0 states at byte 40; an intact file of another program has exactly that size. */
bool esc_image_is_truncated(const char *bytes, size_t size) {
  enum { VERSION_AT = 8, END_AT = 40 };
  uint64_t end;
  if (size < END_AT + sizeof end) return true;
  memcpy(&end, bytes + END_AT, sizeof end);
  return bytes[VERSION_AT] == 0 &&
         (size < end || (size > end && size - end < ESC_FILE_CHECKSUM_BYTES));
}

esc_status esc_file_checksum_verify(const char *path, const char *bytes, size_t size,
                                    size_t *image_size) {
  file_checksum found;
  if (esc_file_kind_of(bytes, size) != ESC_FILE_HDF5) return esc_file_refuse(path, bytes, size);
  const bool has_checksum =
      size > sizeof found && !memcmp(bytes + size - sizeof found, checksum_mark, sizeof found.mark);
  if (!has_checksum && esc_image_is_truncated(bytes, size))
    return ESC_FAIL(ESC_BAD_INPUT, "%s: truncated after %zu bytes", path, size);
  if (!has_checksum)
    return ESC_FAIL(ESC_BAD_INPUT,
                    "%s: is an HDF5 file, but not a result of escapement, or it was changed by "
                    "another program (no checksum at its end)",
                    path);
  const file_checksum want = make_file_checksum(bytes, size - sizeof found);
  memcpy(&found, bytes + size - sizeof found, sizeof found);
  if (memcmp(&found, &want, sizeof want) != 0)
    return ESC_FAIL(
        ESC_BAD_INPUT,
        "%s: damaged, or changed by another program: the checksum of its %zu bytes is wrong", path,
        size);
  *image_size = size - sizeof found;
  return ESC_OK;
}

static herr_t copy_first_message(unsigned n, const H5E_error2_t *error, void *text) {
  if (n == 0) snprintf(text, 256, "%s", error->desc ? error->desc : "no reason given");
  return 0;
}

esc_status esc_hdf5_failed(const char *file, int line, const esc_hdf5 *h, const char *name) {
  char reason[256] = "HDF5 gives no reason";
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, copy_first_message, reason);
  return esc_fail_at(file, line, h->failure_status, "%s: %s %s: %s", h->path, h->action, name,
                     reason);
}

esc_status esc_hdf5_release(const esc_hdf5 *h, esc_status status, const char *name, hid_t id) {
  if (id >= 0 && H5Idec_ref(id) < 0 && status == ESC_OK)
    return esc_hdf5_failed(__FILE__, __LINE__, h, name);
  return status;
}

/* HDF5's exit handler prints messages about damaged files, and this library closes what it opens.
 * No effect if the program has used HDF5 before. */
static void skip_exit_handler(void) { H5dont_atexit(); }

/* Most builds of HDF5 are not thread-safe, so that threads of a caller take turns. */
static pthread_mutex_t hdf5_mutex;

/* The program's own lock around HDF5, and how often the thread in turn has entered. */
static esc_hdf5_guard guard;
static int depth;

void esc_hdf5_guard_set(const esc_hdf5_guard *wanted) {
  guard = wanted ? *wanted : (esc_hdf5_guard){0};
}

static void enter(void) {
  pthread_mutex_lock(&hdf5_mutex);
  if (depth++ == 0 && guard.lock) guard.lock(guard.context);
}

static void leave(void) {
  if (--depth == 0 && guard.unlock) guard.unlock(guard.context);
  pthread_mutex_unlock(&hdf5_mutex);
}

void esc_hdf5_guard_forget(void) { guard = (esc_hdf5_guard){0}; }

static void prepare(void) {
  pthread_mutexattr_t nested;
  skip_exit_handler();
  pthread_mutexattr_init(&nested);
  pthread_mutexattr_settype(&nested, PTHREAD_MUTEX_RECURSIVE);
  pthread_mutex_init(&hdf5_mutex, &nested);
  pthread_mutexattr_destroy(&nested);
}

esc_status esc_hdf5_open(esc_hdf5 *h) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  esc_status status = ESC_OK;
  pthread_once(&once, prepare);
  enter();
  h->file = h->text = -1;
  H5PLget_loading_state(&h->plugin_state);
  H5PLset_loading_state(0); /* load no code from directories named by the environment */
  H5Eget_auto2(H5E_DEFAULT, &h->error_printer, &h->error_printer_data);
  H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
  ESC_HDF5_TRY(h, "strings", h->text = H5Tcopy(H5T_C_S1));
  ESC_HDF5_TRY(h, "strings", H5Tset_size(h->text, H5T_VARIABLE));
  ESC_HDF5_TRY(h, "strings", H5Tset_cset(h->text, H5T_CSET_UTF8));
done:
  return status;
}

esc_status esc_hdf5_close(esc_hdf5 *h, esc_status status) {
  status = esc_hdf5_release(h, status, "strings", h->text);
  if (h->file >= 0 && H5Fclose(h->file) < 0 && status == ESC_OK)
    status = esc_hdf5_failed(__FILE__, __LINE__, h, "the file");
  H5Eset_auto2(H5E_DEFAULT, h->error_printer, h->error_printer_data);
  H5PLset_loading_state(h->plugin_state);
  leave();
  return status;
}

esc_status esc_hdf5_make_access(const esc_hdf5 *h, hid_t *access) {
  static const char what[] = "the file";
  enum { GROW_BY = 1 << 20 };
  esc_status status = ESC_OK;
  ESC_HDF5_TRY(h, what, *access = H5Pcreate(H5P_FILE_ACCESS));
  ESC_HDF5_TRY(h, what, H5Pset_fapl_core(*access, GROW_BY, false));
  ESC_HDF5_TRY(h, what, H5Pset_fclose_degree(*access, H5F_CLOSE_STRONG));
done:
  return status;
}

hid_t esc_hdf5_memory_type(esc_type type) {
  if (type == ESC_TYPE_INT32) return H5T_NATIVE_INT32;
  if (type == ESC_TYPE_FLOAT32) return H5T_NATIVE_FLOAT;
  return type == ESC_TYPE_INT64 ? H5T_NATIVE_INT64 : H5T_NATIVE_DOUBLE;
}

hid_t esc_hdf5_file_type(esc_type type) {
  if (type == ESC_TYPE_INT32) return H5T_STD_I32LE;
  if (type == ESC_TYPE_FLOAT32) return H5T_IEEE_F32LE;
  return type == ESC_TYPE_INT64 ? H5T_STD_I64LE : H5T_IEEE_F64LE;
}
