/* SPDX-License-Identifier: Apache-2.0 */
/* State of a run that may be unfinished, from the files beside its output: journal, checkpoint, and
 * the parts of a run with --devices. Reads only; safe while a run writes them.
 *
 * Two views. `now`: every member that has finished until now, for tables of progress. `results`:
 * the members in their state at the newest checkpoint, for statistics, because the steps of the
 * members in training are known at checkpoints only (docs/theory, section 11.6). */
#ifndef ESC_UNFINISHED_H
#define ESC_UNFINISHED_H

#include <jansson.h>

#include "escapement/internal/results.h"
#include "escapement/run.h"
#include "spec/spec.h"
#include "store/lock.h"

/* Origin of the statistics. */
typedef enum esc_unfinished_basis {
  ESC_BASIS_COMPLETE,   /* every member has finished */
  ESC_BASIS_CHECKPOINT, /* the members at the newest checkpoint */
  ESC_BASIS_SCALES /* no checkpoint belongs to the journal: scales of which every member finished */
} esc_unfinished_basis;

typedef struct esc_unfinished {
  char output[4096];
  esc_spec *spec;
  esc_results *now;     /* every member of the plan; status with ESC_MEMBER_RUNNING and _WAITING */
  esc_results *results; /* the same for statistics, with `observed` */
  esc_unfinished_basis basis;
  int64_t members;
  esc_status_counts
      count; /* now; running: in training, or saved in training where no run is active */
  esc_progress progress; /* of all segments and parts; seconds and network_steps: of the last one */
  json_t *segments;
  esc_lock_state lock;
  int parts;             /* of a run with --devices; 0: none */
  int64_t damaged_bytes; /* of the journals */
} esc_unfinished;

/* Whether the files beside `path` (a result, or a journal or checkpoint beside it) are of an
 * unfinished run. `output`: the result. */
bool esc_unfinished_exists(const char *path, char *output, size_t size);

/* Of a grid, whose points are trained one after another into OUT.h5.point-ID: the point whose
 * journal was written last, as its output. *begun: points that have a file. False without one. */
bool esc_unfinished_find_point(const char *output, char *point, size_t size, int *begun);

/* The output that a part (OUT.h5.part-I-of-S) or a point (OUT.h5.point-ID) belongs to. Returns
 * whether it is a part, of a run with --devices. */
bool esc_unfinished_whole(const char *output, char *whole, size_t size);

/* Whether a run holds the lock of `output`, which may be a part or a point. */
esc_lock_state esc_unfinished_peek(const char *output);

/* Steps of every member expected by theory, for the time left; made by the first read (about a
 * second) and kept for later ones. Initialize with zeros. */
typedef struct esc_unfinished_forecast {
  int64_t members;
  double *steps; /* (members) NaN without a forecast; owned */
} esc_unfinished_forecast;
void esc_unfinished_forecast_free(esc_unfinished_forecast *forecast);

/* Reads the run whose result is, or will be, `output`. `forecast` may be NULL. ESC_BAD_INPUT where
 * there are no files of a run, or where they are damaged beyond use. Free with esc_unfinished_free
 * in either case. */
esc_status esc_unfinished_read(const char *output, esc_unfinished_forecast *forecast,
                               esc_unfinished *out);
void esc_unfinished_free(esc_unfinished *unfinished);

/* Members that have finished, in either view. */
int64_t esc_unfinished_count_finished(const esc_unfinished *unfinished);

/* "OUT.h5: unfinished run: 37 of 96 members finished (30 escaped, 7 censored), ...": one line. */
void esc_unfinished_print(const esc_unfinished *unfinished, char *text, size_t size);

#endif
