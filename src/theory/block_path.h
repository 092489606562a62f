/* SPDX-License-Identifier: Apache-2.0 */
/* A block flow integrated until its modes have escaped, by CVODES; between two closure levels
 * where a homotopy asks for it. */
#ifndef ESCAPEMENT_THEORY_BLOCK_PATH_H
#define ESCAPEMENT_THEORY_BLOCK_PATH_H

#include <nvector/nvector_serial.h>
#include <sundials/sundials_context.h>
#include <sundials/sundials_nonlinearsolver.h>

#include "escapement/internal/blocks.h"

/* S_1..S_K, then H_1..H_K, through a half; the loss through its threshold. */
enum { ESC_BLOCK_LOSS = 2 * ESC_BLOCK_MODES_MAX, ESC_BLOCK_EVENTS };

/* What to integrate. The rate is (1 - lambda) M F(M y) + lambda F(y): F the flow of `problem`, M
 * the mask of level `lower`. */
typedef struct esc_block_plan {
  const esc_block_problem *problem;
  const esc_block_grid *grid;
  esc_block_level lower;
  double lambda;           /* 1: the problem's own flow */
  bool hermite;            /* H_k is timed too, where c_3 is not 0 */
  bool loss;               /* the loss is timed too, where the problem has a threshold */
  bool sensitivities;      /* dy/dlambda is integrated too, by channel */
  double tolerance_factor; /* the solver's relative tolerance is the usual one times this */
} esc_block_plan;

/* Why a path ended. */
typedef enum esc_block_end {
  ESC_BLOCK_ALL_TIMED,   /* every event has its time */
  ESC_BLOCK_EQUILIBRIUM, /* the flow cannot move as far as any event that is left */
  ESC_BLOCK_DECAYED,     /* every coordinate fell below what the start's errors allow to follow */
  ESC_BLOCK_GAVE_UP      /* end of the time or the steps allowed */
} esc_block_end;

typedef struct esc_block_path {
  esc_block_plan plan;
  esc_block_problem lower, upper;
  double c1, c3;                  /* E[He_1 sigma], E[He_3 sigma]; 0 where they vanish */
  int channels;                   /* L with slopes, else 0 */
  bool watched[ESC_BLOCK_EVENTS]; /* the event is looked for */
  double time[ESC_BLOCK_EVENTS];  /* NaN: not yet */
  int pending;                    /* events looked for without a time yet */
  double *state;                  /* (mode, 1 + channels, size): y and dy/dlambda where S_k passed;
                                     owned */
  double t;                       /* reached */
  double tolerance, min_scale;    /* relative, of the solver; least scale at the start */
  esc_block_end end;
  char message[200]; /* of the solver */
  SUNContext context;
  N_Vector y; /* (1 + channels, size) */
  SUNNonlinearSolver solver;
  void *cvode;
} esc_block_path;

/* The usual relative tolerance of the solver for so many modes. */
double esc_block_path_tolerance(int modes);

/* Puts the path at the start of the problem. The grid stays the caller's, and the path needs it.
 * ESC_BAD_INPUT where the flow overflows a double there. On failure close the path all the same. */
esc_status esc_block_path_open(const esc_block_plan *plan, esc_block_path *path);

/* Integrates until all events have their time, or to t = end. */
esc_status esc_block_path_run(esc_block_path *path, double end);

/* Integrates until all events have their time or it is certain, or out of reach, that the others
 * never pass: path->end says which. `time_scale` > 0 is the order of the times. */
esc_status esc_block_path_search(esc_block_path *path, double time_scale);

/* Whether the flow at the path's state moves so little until t + horizon that no event left can
 * pass. Linear: J's eigenvectors carry the rate on. */
esc_status esc_block_path_check_equilibrium(const esc_block_path *path, double horizon,
                                            bool *at_rest);

void esc_block_path_close(esc_block_path *path);

/* Rate of the flow at y (1 + channels, size), with its slopes; without them. */
esc_status esc_block_path_extended_rhs(const esc_block_path *path, const double *y, double *out);
esc_status esc_block_path_rhs(const esc_block_path *path, const double *y, double *rhs);

/* Distance of each event to its passage, which is a rise through 0; -1: not timed. */
esc_status esc_block_path_events(const esc_block_path *path, const double *y, double *distance);

/* Leading-order escape time of each mode alone, to a half at its smallest layer, NaN where there
 * is none; *unit: the order of the time that the slowest mode takes, from that or from its rate at
 * the start. */
esc_status esc_block_decoupled_times(const esc_block_problem *problem, const esc_block_grid *grid,
                                     double *decoupled, double *time_scale);

/* Status of a call into CVODES, with its own message. */
esc_status esc_block_path_check(const esc_block_path *path, int result);

#endif
