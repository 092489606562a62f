/* SPDX-License-Identifier: Apache-2.0 */
/* Merging the parts of a run under the lock that the run already holds. */
#ifndef ESC_RUN_MERGE_H
#define ESC_RUN_MERGE_H

#include "escapement/merge.h"
#include "store/lock.h"

/* esc_files_merge for a run that already holds the lock of the output (`held`; NULL: it holds
 * none). */
esc_status esc_files_merge_held(const esc_merge_request *request, const esc_lock *held,
                                esc_merge_summary *summary);

#endif
