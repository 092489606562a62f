/* SPDX-License-Identifier: Apache-2.0 */
/* Declarations that the fuzz targets share. A target gets arbitrary bytes and checks that they are
 * accepted, or refused with a message of one line, and the guarantees of the tested reader. */
#ifndef ESC_FUZZ_H
#define ESC_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "escapement/internal/status.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define DEMAND(claim)                                             \
  do {                                                            \
    if (!(claim)) {                                               \
      fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #claim); \
      abort();                                                    \
    }                                                             \
  } while (0)

/* A refusal blames the input, in one line. */
static inline void demand_refusal(esc_status status) {
  const char *message = esc_error_message();
  DEMAND(status == ESC_BAD_INPUT);
  DEMAND(message[0] && !strchr(message, '\n'));
}

#endif
