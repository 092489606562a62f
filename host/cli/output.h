/* SPDX-License-Identifier: Apache-2.0 */
/* Names of output files: the suffix has to be that of the format that is written. */
#ifndef ESC_OUTPUT_H
#define ESC_OUTPUT_H

#include <stdbool.h>

#include "escapement/internal/status.h"

/* Result files; the format is HDF5, laid out as netCDF-4 has it. */
#define ESC_RESULT_SUFFIXES "h5|hdf5|nc"

/* Refuses `path` (ESC_BAD_INPUT) if it is the name of a run's own file (base/names.h), or if its
 * suffix is none of `allowed` ("png|svg|pdf", compared without regard to case). A suffix is a
 * letter and up to 7 letters or digits behind the last dot, so "sweep-0.05" and
 * "out.h5.part-0-of-2" have none, which is allowed with `bare` only. `format` is what is written
 * ("HDF5"), for the message. */
esc_status esc_output_check(const char *path, const char *format, const char *allowed, bool bare);

#endif
