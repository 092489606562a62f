/* SPDX-License-Identifier: Apache-2.0 */
/* Results written by another program: required columns, and the values derived from them. Private
 * to the store. */
#ifndef ESC_UNVERIFIED_H
#define ESC_UNVERIFIED_H

#include "store/hdf5_layout.h"

/* Columns that `fit` requires; unverified results may lack all others. */
bool esc_column_is_required(const esc_layout_column *column);

/* Attributes written by the store, which are not part of the results. */
bool esc_attribute_is_of_store(const char *name);

/* If `number`, numbers the members in order; if `with_status`, sets the status: escaped if every
 * threshold was crossed, else censored. */
void esc_members_derive(esc_results *results, bool number, bool with_status);

/* Refuses NaN and infinite keys, because fits group members by these values, and a status that is
 * none. `name` stands for the results in messages. */
esc_status esc_results_check_keys(const char *name, const esc_results *results);

#endif
