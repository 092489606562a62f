/* The whole public interface of libescapement. */
#ifndef ESCAPEMENT_H
#define ESCAPEMENT_H

#include "escapement/results.h"
#include "escapement/run.h"
#include "escapement/spec.h"
#include "escapement/status.h"

#endif
