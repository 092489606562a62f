/* SPDX-License-Identifier: Apache-2.0 */
/* Checks names of output files: the suffix has to match the format. */
#ifndef ESC_OUTPUT_H
#define ESC_OUTPUT_H

#include <stdbool.h>

#include "escapement/internal/status.h"

/* Result files: HDF5 in the layout of netCDF-4. */
#define ESC_RESULT_SUFFIXES "h5|hdf5|nc"

/* Refuses `path` (ESC_BAD_INPUT) if it is the name of an internal file of a run (base/names.h), or
 * if its suffix is not in `allowed` ("png|svg|pdf", case ignored). A suffix is a letter and up to 7
 * letters or digits after the last dot: "sweep-0.05" and "out.h5.part-0-of-2" have none, which is
 * allowed only with `bare`. `format` ("HDF5") is for the message. */
esc_status esc_output_check(const char *path, const char *format, const char *allowed, bool bare);

#endif
