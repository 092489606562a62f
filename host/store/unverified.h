/* SPDX-License-Identifier: Apache-2.0 */
/* Results that escapement did not write: what they must have, and what follows from that. Private
 * to the store. */
#ifndef ESC_UNVERIFIED_H
#define ESC_UNVERIFIED_H

#include "store/hdf5_layout.h"

/* What `fit` cannot do without; the rest of such results may be missing. */
bool esc_column_is_needed(const esc_layout_column *column);

/* The attributes that the store itself writes are not the results'. */
bool esc_attribute_is_own(const char *name);

/* Members in their order, if `number`; if `with_status` escaped where every threshold was crossed,
 * else censored. */
void esc_members_derive(esc_results *results, bool number, bool with_status);

/* Refuses what cannot be compared with anything: fits group members by these. `name` is the
 * results' in messages. */
esc_status esc_results_check_comparable(const char *name, const esc_results *results);

#endif
