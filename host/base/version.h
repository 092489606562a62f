/* SPDX-License-Identifier: Apache-2.0 */
/* Version, sources and build options, for --version and for a result's provenance. */
#ifndef ESC_BASE_VERSION_H
#define ESC_BASE_VERSION_H

#include "escapement/version.h"

const char *esc_commit(void);   /* git describe of the built tree, "unknown" without git */
const char *esc_compiler(void); /* compiler, build type and CFLAGS */

#endif
