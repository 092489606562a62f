/* A block flow integrated until its modes have escaped, by CVODES; between two closure levels
 * where a homotopy asks for it. */
#ifndef ESCAPEMENT_THEORY_BLOCK_PATH_H
#define ESCAPEMENT_THEORY_BLOCK_PATH_H

#include <nvector/nvector_serial.h>
#include <sundials/sundials_context.h>
#include <sundials/sundials_nonlinearsolver.h>

#include "escapement/blocks.h"

/* S_1..S_K, then H_1..H_K, through a half; the loss through its threshold. */
enum { ESC_BLOCK_LOSS = 2 * ESC_BLOCK_MODES_MAX, ESC_BLOCK_EVENTS };

/* The rate is (1 - lambda) M F(M y) + lambda F(y): F of `upper`, M the mask of `lower`. */
typedef struct esc_block_path {
  esc_block_problem lower, upper;
  double lambda; /* 1: the upper level's flow */
  const esc_block_grid *grid;
  double c1, c3;                 /* E[He_1 sigma], E[He_3 sigma] */
  bool hermite;                  /* H_k is waited for */
  double tolerance;              /* relative, of the solver */
  char message[200];             /* of the solver */
  double time[ESC_BLOCK_EVENTS]; /* NaN: not yet */
  double *state;                 /* (mode, size) where S_k passed; owned */
  SUNContext context;
  N_Vector y;
  SUNNonlinearSolver solver;
  void *cvode;
} esc_block_path;

/* Puts the path at the start of `problem`, at its own level: lambda = 1. `grid` and the
 * problem's copy stay the path's. On failure close it all the same. */
esc_status esc_block_path_open(const esc_block_problem *problem, const esc_block_grid *grid,
                               esc_block_path *path);

/* Goes on until all events have come, or to t = end. */
esc_status esc_block_path_run(esc_block_path *path, double end);

/* Goes from the start to t = end again and keeps what adjoints need. */
esc_status esc_block_path_keep(esc_block_path *path, double end);

void esc_block_path_close(esc_block_path *path);

/* rate of the homotopy at y; `lower` (NULL: not wanted) gets M F(M y), `upper` F(y). */
esc_status esc_block_path_rate(const esc_block_path *path, const double *y, double *rate,
                               double *lower, double *upper);

/* c_1 and c_3 of an activation; |c_3| below 1e-10 counts as none. */
esc_status esc_block_constants(const esc_activation *activation, double *c1, double *c3);

/* Leading-order escape time of each mode alone, to a half at its smallest layer; *end: how long
 * to wait for all of them together, 0 if none has a positive drive. */
esc_status esc_block_predict(const esc_block_problem *problem, double *decoupled, double *end);

/* Status of a call into CVODES, with its own message. */
esc_status esc_block_path_check(const esc_block_path *path, int result);

#endif
