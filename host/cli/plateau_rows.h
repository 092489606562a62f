/* The rows of the command plateau: numbers of many networks, what theory says of each, and
 * a verdict. */
#ifndef ESC_PLATEAU_ROWS_H
#define ESC_PLATEAU_ROWS_H

#include <stdbool.h>

#include "escapement/internal/plateau.h"

/* Every network of a result, measured. */
typedef struct esc_plateau_table {
  esc_results *results;
  esc_plateau_rules rules;
  esc_plateau *plateau; /* (member); owned */
  bool squared;         /* the loss whose dS/dt has the three terms */
  bool odd;             /* class B, for which the T_perp term's exponent is predicted */
  double *work[3];      /* (member + 1) each: columns of numbers; owned */
  int64_t *index;       /* (member + 1); owned */
} esc_plateau_table;

typedef struct esc_plateau_row {
  const char *name, *heading;
  char theory[32];
  double predicted; /* NaN: a bound, or nothing */
  int64_t networks, measured;
  double least, median, most; /* over networks that are measured; NaN without one */
  esc_estimate estimate;      /* of an exponent */
  double low, high;           /* range of an exponent's abscissa over all networks */
  char verdict[160];          /* "" where theory says nothing */
} esc_plateau_row;

enum { ESC_PLATEAU_ROWS = 24 };

/* Rows of the networks first..end-1, of one group and scale. Exponents along the run: */
int esc_plateau_exponent_rows(const esc_plateau_table *table, int64_t first, int64_t end,
                              esc_plateau_row row[ESC_PLATEAU_ROWS]);

/* ... and the other numbers, with the verdicts over the scales of their group, whose rows are
 * `scaling`. */
int esc_plateau_number_rows(const esc_plateau_table *table, int64_t first, int64_t end,
                            int scalings, const esc_plateau_row *scaling,
                            esc_plateau_row row[ESC_PLATEAU_ROWS]);

/* Rows of a whole group over its scales, each network's slope in epsilon being a number:
 * exponents at the start, and whether constants stay bounded as epsilon falls. */
int esc_plateau_scaling_rows(const esc_plateau_table *table, int64_t first, int64_t end,
                             esc_plateau_row row[ESC_PLATEAU_ROWS]);

/* One network's exponents: self, orthogonal, signal. */
enum { ESC_PLATEAU_EXPONENTS = 3 };
extern const char *const esc_plateau_exponent_name[ESC_PLATEAU_EXPONENTS];
const esc_exponent *esc_plateau_exponent(const esc_plateau *plateau, int which);
void esc_plateau_member_verdict(const esc_plateau_table *table, int64_t member, int which,
                                char *text, size_t size);

#endif
