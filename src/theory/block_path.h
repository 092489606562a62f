/* SPDX-License-Identifier: Apache-2.0 */
/* Integration of a block flow, or of the homotopy between two closure levels, until its modes have
 * escaped, by CVODES; private to src/theory. */
#ifndef ESCAPEMENT_THEORY_BLOCK_PATH_H
#define ESCAPEMENT_THEORY_BLOCK_PATH_H

#include <nvector/nvector_serial.h>
#include <sundials/sundials_context.h>
#include <sundials/sundials_nonlinearsolver.h>

#include "escapement/internal/blocks.h"

/* Events: S_1..S_K, then H_1..H_K, pass half of their final values; the loss its threshold. */
enum { ESC_BLOCK_LOSS = 2 * ESC_BLOCK_MODES_MAX, ESC_BLOCK_EVENTS };

/* The initial value problem y' = (1 - lambda) P F(P y) + lambda F(y) (docs/theory, section 6.6): F
 * the flow of `problem`, P the mask of level `lower`. */
typedef struct esc_block_plan {
  const esc_block_problem *problem;
  const esc_block_grid *grid;
  esc_block_level lower;
  double lambda;           /* 1: the flow of `problem` */
  bool hermite;            /* watch H_k too, where c_3 is not 0 */
  bool loss;               /* watch the loss too, where the problem has a threshold */
  bool sensitivities;      /* integrate dy/dlambda too, by channel */
  double tolerance_factor; /* of the solver's relative tolerance, over esc_block_path_tolerance */
} esc_block_plan;

/* The end of a path. */
typedef enum esc_block_end {
  ESC_BLOCK_ALL_TIMED,   /* every event has its time */
  ESC_BLOCK_EQUILIBRIUM, /* so near to an equilibrium that no remaining event is reached */
  ESC_BLOCK_DECAYED,     /* every coordinate is below 1e-4 of the smallest initial scale */
  ESC_BLOCK_GAVE_UP      /* limit of time or steps */
} esc_block_end;

typedef struct esc_block_path {
  esc_block_plan plan;
  esc_block_problem lower, upper;
  double c1, c3;                  /* E[He_1 sigma], E[He_3 sigma]; 0 where they vanish */
  int channels;                   /* L with sensitivities, else 0 */
  bool watched[ESC_BLOCK_EVENTS]; /* the event is to be located */
  double time[ESC_BLOCK_EVENTS];  /* NaN: not yet */
  int pending;                    /* watched events without a time */
  double *state;                  /* (mode, 1 + channels, size): y and dy/dlambda where S_k passed;
                                     owned */
  double t;                       /* current time */
  double tolerance, min_scale;    /* relative, of the solver; smallest scale at the start */
  esc_block_end end;
  char message[200]; /* of the solver */
  SUNContext context;
  N_Vector y; /* (1 + channels, size) */
  SUNNonlinearSolver solver;
  void *cvode;
} esc_block_path;

/* The solver's default relative tolerance for `modes` modes. */
double esc_block_path_tolerance(int modes);

/* Opens the path at the problem's initial state. The path borrows the grid. ESC_BAD_INPUT where the
 * flow overflows a double there. Close with esc_block_path_close, also after a failure. */
esc_status esc_block_path_open(const esc_block_plan *plan, esc_block_path *path);

/* Integrates until all events have their time, or to t = end. */
esc_status esc_block_path_run(esc_block_path *path, double end);

/* Integrates until all events have their time, or the remaining events cannot occur, or a limit is
 * reached: path->end is the reason. `time_scale` > 0: order of magnitude of the times. */
esc_status esc_block_path_search(esc_block_path *path, double time_scale);

/* Whether the flow, linearised at the path's state, moves too little until t + horizon for any
 * remaining event. */
esc_status esc_block_path_check_equilibrium(const esc_block_path *path, double horizon,
                                            bool *at_rest);

void esc_block_path_close(esc_block_path *path);

/* Right-hand side at y: of the state and its sensitivities (1 + channels, size), or of the state
 * (size) alone. */
esc_status esc_block_path_extended_rhs(const esc_block_path *path, const double *y, double *out);
esc_status esc_block_path_rhs(const esc_block_path *path, const double *y, double *rhs);

/* Event functions: an event occurs where its function rises through 0; -1: not watched. */
esc_status esc_block_path_events(const esc_block_path *path, const double *y, double *distance);

/* Leading-order escape time of each mode alone (docs/theory, section 6.5), NaN where there is none:
 * the smallest layer's scale reaches 1/2, or twice its start if that is larger. *time_scale is the
 * slowest mode's order of magnitude, by these times or by the right-hand side at the start. */
esc_status esc_block_decoupled_times(const esc_block_problem *problem, const esc_block_grid *grid,
                                     double *decoupled, double *time_scale);

/* Status of a return code of CVODES, with the message of CVODES. */
esc_status esc_block_path_check(const esc_block_path *path, int result);

#endif
