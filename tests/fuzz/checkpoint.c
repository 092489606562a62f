/* SPDX-License-Identifier: Apache-2.0 */
/* The checkpoint: what is taken, is taken the same way again; what is not, says why. */
#include "store/checkpoint.h"

#include "scratch_file.h"

enum { STATE = 24 };

static esc_status open_checkpoint(const char *result, esc_checkpoint **out) {
  return esc_checkpoint_open(&(esc_checkpoint_request){.result_path = result,
                                                       .identity = (esc_identity){"spec", 3},
                                                       .state_size = STATE,
                                                       .resume = true},
                             out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const char *const result = scratch_path(".h5"), *const file = scratch_path(".h5.checkpoint");
  esc_checkpoint *first = NULL, *again = NULL;
  write_scratch(file, data, size);
  const esc_status status = open_checkpoint(result, &first);
  if (status != ESC_OK) {
    demand_refusal(status);
  } else {
    char state[STATE];
    bool found;
    DEMAND(open_checkpoint(result, &again) == ESC_OK);
    DEMAND(esc_checkpoint_count_pending(first) == esc_checkpoint_count_pending(again));
    DEMAND(esc_checkpoint_restore(again, (esc_member_key){0}, state, &found) == ESC_OK);
  }
  esc_checkpoint_close(again, false);
  esc_checkpoint_close(first, true);
  unlink(file);
  return 0;
}
