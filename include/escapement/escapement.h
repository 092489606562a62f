/* The whole public interface of libescapement.
 *
 * State of the process that the library changes, once, when it is first used: GSL's error handler
 * is set to off (it would abort), and HDF5 is told not to clean up at exit if it was not in use
 * before. Numbers are read and written in the C locale whatever that of the caller. Functions may
 * be called from several threads at a time; reading and writing of result files takes turns. A
 * handle is used by one thread at a time, but for esc_stop_request. */
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
