/* SPDX-License-Identifier: Apache-2.0 */
/* The whole public interface of libescapement.
 *
 * State of the process that the library changes, once, when it is first used: GSL's error handler
 * is set to off (it would abort), and HDF5 is told not to clean up at exit if it was not in use
 * before. Signal handlers, the locale, OpenMP's default number of threads, the working directory
 * and the umask stay the caller's; errno has no meaning after a call. Numbers are read and written
 * in the C locale whatever that of the caller. The library prints nothing: it tells by callbacks
 * and by esc_error_message.
 *
 * Functions may be called from several threads at a time; reading and writing of result files takes
 * turns. A handle is used by one thread at a time, but for esc_stop_request. A child of fork that
 * has not called exec trains with one thread, with a warning, if the thread that forked had trained
 * with more: OpenMP's are not in the child. Relative paths are those of the working directory,
 * which must not change during a call. */
#ifndef ESCAPEMENT_H
#define ESCAPEMENT_H

#include "escapement/activation.h"
#include "escapement/bench.h"
#include "escapement/blocks.h"
#include "escapement/compare.h"
#include "escapement/fit.h"
#include "escapement/merge.h"
#include "escapement/plateau.h"
#include "escapement/results.h"
#include "escapement/run.h"
#include "escapement/spec.h"
#include "escapement/status.h"
#include "escapement/theory.h"
#include "escapement/verify.h"
#include "escapement/version.h"

#endif
