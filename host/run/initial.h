/* SPDX-License-Identifier: Apache-2.0 */
/* Reads the initial weights of a spec with init.scheme: file. */
#ifndef ESC_RUN_INITIAL_H
#define ESC_RUN_INITIAL_H

#include "run/plan.h"

/* Networks of the spec's file, with its checksum. ESC_BAD_INPUT for a file that is damaged, lacks
 * these weights, has another shape, or another checksum than init.checksum. */
esc_status esc_initial_networks_read(const esc_spec *spec, char checksum[ESC_CHECKSUM_TEXT_SIZE],
                                     esc_initial_networks **out);

/* ESC_BAD_INPUT unless every member of the plan has a network, of finite weights. */
esc_status esc_initial_networks_check(const esc_spec *spec, const esc_initial_networks *initial,
                                      const esc_plan *plan);

#endif
