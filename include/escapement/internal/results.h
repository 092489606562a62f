/* SPDX-License-Identifier: Apache-2.0 */
/* Result table of a sweep: variables, each an array over the members (and thresholds, layers or
 * interfaces).
 *
 * The list below is the only definition of the variables: store, journal and reader iterate over
 * it, so that a new variable is one new line. */
#ifndef ESCAPEMENT_INTERNAL_RESULTS_H
#define ESCAPEMENT_INTERNAL_RESULTS_H

#include <stddef.h>
#include <stdint.h>

#include "escapement/internal/grid.h"
#include "escapement/internal/observables.h"
#include "escapement/internal/problem.h"
#include "escapement/internal/status.h"
#include "escapement/internal/weights.h"
#include "escapement/results.h"

/* The second axis of a variable; the first is always `member`. */
typedef enum esc_axis {
  ESC_AXIS_NONE,
  ESC_AXIS_THRESHOLD,
  ESC_AXIS_LAYER,
  ESC_AXIS_INTERFACE,
  ESC_AXIS_SNAPSHOT,
  ESC_AXIS_OUTPUT, /* rows of weights: of the last layer */
  ESC_AXIS_UNIT,   /* of the others */
  ESC_AXIS_INPUT,  /* columns of weights: of the first layer */
  ESC_AXIS_UNIT_BELOW,
  ESC_AXES
} esc_axis;
/* X(name, C type, type, axis, units, long_name) */
#define ESC_RESULT_LIST(X)                                                                      \
  X(seed, int64_t, INT64, NONE, "1", "seed of the member's random numbers")                     \
  X(group, int32_t, INT32, NONE, "1", "sweep group, counted from 0")                            \
  X(bottleneck, int32_t, INT32, NONE, "1", "number of layers at the small scale, r")            \
  X(small_layers, int64_t, INT64, NONE, "1",                                                    \
    "which layers carry the small scale, bit l-1 for layer l")                                  \
  X(scale, double, FLOAT64, NONE, "1", "small initialisation scale, epsilon")                   \
  X(status, int32_t, INT32, NONE, "1", "how the member ended")                                  \
  X(escape_step, int64_t, INT64, THRESHOLD, "step",                                             \
    "first step below the threshold, -1 where it was not crossed")                              \
  X(steps_run, int64_t, INT64, NONE, "step", "weight updates made")                             \
  X(final_loss, double, FLOAT64, NONE, "1", "last minibatch loss")                              \
  X(final_smoothed_loss, double, FLOAT64, NONE, "1", "last value compared with the thresholds") \
  X(signal_initial, double, FLOAT64, NONE, "1",                                                 \
    "S(0) = E[(v.x) f(x)] at initialisation, divided by scale^r")                               \
  X(signal_initial_error, double, FLOAT64, NONE, "1", "standard error of signal_initial")       \
  X(lost_updates, double, FLOAT64, NONE, "1",                                                   \
    "fraction of weight updates that rounding made vanish")                                     \
  X(norm2_initial, double, FLOAT64, LAYER, "1",                                                 \
    "squared Frobenius norm of the layer at initialisation")                                    \
  X(norm2_final, double, FLOAT64, LAYER, "1", "squared Frobenius norm of the layer at the end") \
  X(ledger_sum, double, FLOAT64, INTERFACE, "1",                                                \
    "accumulated right side of the imbalance identity")                                         \
  X(ledger_drift, double, FLOAT64, INTERFACE, "1",                                              \
    "accumulated absolute terms of the imbalance identity")                                     \
  X(ledger_gross, double, FLOAT64, INTERFACE, "1",                                              \
    "accumulated size of the products that the identity is a difference of")                    \
  X(ledger_residual, double, FLOAT64, INTERFACE, "1",                                           \
    "ledger_sum minus the change of the imbalance")

typedef struct esc_attribute {
  char *name, *text; /* owned */
} esc_attribute;

/* Values of `status` in the results of an unfinished run, which are never written to a file: in
 * training at the time of the checkpoint, and not started then. */
enum { ESC_MEMBER_RUNNING = 3, ESC_MEMBER_WAITING = 4 };

/* Members of each status. */
typedef struct esc_status_counts {
  int64_t escaped, censored, diverged, running, waiting;
} esc_status_counts;

/* Row-major arrays, owned; e.g. escape_step is (member, threshold). */
struct esc_results {
  int64_t members;
  int thresholds, layers; /* interfaces = layers - 1 */
  double *threshold;      /* (threshold) coordinate */
  int64_t *member;        /* (member) coordinate: index in the whole sweep, ascending */
#define ESC_RESULT_FIELD(name, ctype, type, axis, units, text) ctype *name;
  ESC_RESULT_LIST(ESC_RESULT_FIELD)
#undef ESC_RESULT_FIELD
  double *observed;  /* (member) of an unfinished run: steps that are known of the member whatever
                        its escape steps are, so that they censor independently (docs/theory,
                        section 11.6); NULL: the run is finished. Never in a file. */
  int64_t snapshots; /* 0: none were recorded */
  int64_t *snapshot_step;                  /* (snapshot) coordinate, ascending */
  double *observable[ESC_OBSERVABLES];     /* (member, snapshot[, layer or interface]); NaN after a
                                              member's last snapshot */
  double *observable_end[ESC_OBSERVABLES]; /* (member[, layer or interface]) at steps_run; only
                                              where there are snapshots */
  unsigned weights;                        /* bit k: weights of kind k; 0: none are held */
  int width, inputs;                       /* of the networks, where weights are held */
  int32_t *number;                         /* (width or inputs) 1, 2, ...: coordinates */
  float *weight[ESC_WEIGHTS_KINDS][ESC_LAYERS_MAX]; /* (member[, snapshot or threshold], row,
                                                       column) of each layer; NaN: none */
  esc_grid *grid;                                   /* swept keys of the sweep; NULL: none */
  int32_t *point; /* (member) point of the grid; only with a grid */
  int attributes;
  esc_attribute *attribute; /* (attributes) */
};

typedef struct esc_result_variable {
  const char *name, *units, *long_name;
  esc_type type;
  esc_axis axis;
  size_t field; /* offset of the array's pointer in esc_results */
} esc_result_variable;

extern const esc_result_variable esc_result_variables[];
extern const int esc_result_variable_count;

typedef struct esc_observable {
  const char *name, *units, *long_name;
  const char *end_name, *end_long_name; /* of the network at the end of training */
  esc_axis axis;                        /* NONE, LAYER or INTERFACE */
} esc_observable;

extern const esc_observable esc_observables[ESC_OBSERVABLES];

/* An observation is all observables of one network at one step: doubles, in the order of the list.
 * Its length, and the offset and length of observable k in it. */
int esc_observation_length(int layers);
int esc_observable_offset(int layers, int k);
int esc_observable_length(int layers, esc_axis axis);

/* Size of one element of `type` in bytes; length of `axis` in `results` (1 for none). */
size_t esc_type_size(esc_type type);
int64_t esc_axis_length(const esc_results *results, esc_axis axis);

/* The array of variable v, as bytes. */
void *esc_result_data(const esc_results *results, const esc_result_variable *v);

/* Allocates zeroed arrays. Free with esc_results_free (NULL is fine). */
esc_status esc_results_create(int64_t members, int thresholds, int layers, esc_results **out);

esc_status_counts esc_results_count_statuses(const esc_results *results);

/* Allocates `snapshots` of every member, all NaN. */
esc_status esc_results_add_snapshots(esc_results *results, int64_t snapshots);

/* Allocates weights of the kinds whose bits are set, all NaN; after the snapshots, without which
 * the kind ESC_WEIGHTS_SNAPSHOTS is left out. Freed by esc_results_free, after a failure too. */
esc_status esc_results_add_weights(esc_results *results, unsigned kinds, int width, int inputs);

bool esc_results_has_weights(const esc_results *results, esc_weights_kind kind);

/* Layers, width and inputs of the networks, where weights are held. */
esc_shape esc_results_shape(const esc_results *results);

/* The axis between member and row: snapshot, threshold or none. */
esc_axis esc_weights_axis(esc_weights_kind kind);

/* Copies a network, flat as in esc_weight_offset, to and from member i; `entry` is the index along
 * that axis, 0 without one. */
void esc_results_set_weights(esc_results *results, esc_weights_kind kind, int64_t i, int64_t entry,
                             const float *flat);
void esc_results_get_weights(const esc_results *results, esc_weights_kind kind, int64_t i,
                             int64_t entry, float *flat);
/* Adds a copy of the grid, with all members at point 0. In such results every variable along
 * layers or interfaces has as many as the deepest networks; values beyond a network's are NaN. */
esc_status esc_results_add_grid(esc_results *results, const esc_grid *grid);

/* Whether member i has fewer layers than `layer` + 1 (from 0). */
bool esc_results_is_padded(const esc_results *results, int64_t i, int layer);

/* Sets attribute `name`, copying `text`; replaces an earlier value. */
esc_status esc_results_set_attribute(esc_results *results, const char *name, const char *text);

/* Bytes of one member's row over all variables, and copies to and from `row`
 * in the order of the list. The journal's payload. */
size_t esc_results_row_size(int thresholds, int layers);

/* ESC_BAD_INPUT, naming the file `path`, unless the results have the thresholds of `problem` and
 * `layers` layers, and no member more small layers than there are. */
esc_status esc_results_check_layers(const char *path, const esc_results *results,
                                    const esc_problem *problem, int layers);

/* The same with the layers of `problem`. */
esc_status esc_results_check(const char *path, const esc_results *results,
                             const esc_problem *problem);

/* Row i to and from esc_results_row_size bytes; both must have the same shape. */
void esc_results_pack(const esc_results *results, int64_t i, void *row);
void esc_results_unpack(esc_results *results, int64_t i, const void *row);

#endif
