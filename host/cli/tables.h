/* Whether result files may be fitted, or drawn, together. */
#ifndef ESC_TABLES_H
#define ESC_TABLES_H

#include "escapement/internal/results.h"

/* Refuses tables of different experiments (other width, rate, ...): their specs must
 * agree in every key but those that say how much was done: name, sweep, train.steps,
 * escape.thresholds, escape.false_escapes, record. Tables without a spec (made by
 * other programs) are not compared. file[i] is where table[i] was read from. The
 * message names two files and the first key that differs. */
esc_status esc_tables_same_experiment(int tables, esc_results *const *table, char *const *file);

#endif
