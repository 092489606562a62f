/* SPDX-License-Identifier: Apache-2.0 */
/* A result file with a checksum of every byte: any other file is refused. */
#include "fuzz.h"
#include "scratch_file.h"
#include "store/store.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const char *const path = scratch_path(".h5");
  esc_results *results = NULL;
  write_scratch(path, data, size);
  const esc_status status = esc_store_read(path, &results);
  if (status != ESC_OK)
    demand_refusal(status);
  else
    DEMAND(results->members > 0);
  esc_results_free(results);
  unlink(path);
  return 0;
}
