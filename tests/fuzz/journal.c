/* SPDX-License-Identifier: Apache-2.0 */
/* The journal: opened again it holds what it held when it was opened first. */
#include "store/journal.h"

#include "scratch_file.h"

enum { THRESHOLDS = 1, LAYERS = 2 };

static void count(void *context, esc_member_key member, const void *row) {
  (void)row;
  (void)member;
  ++*(int *)context;
}

static esc_status open_journal(const char *result, int *records, esc_journal **out) {
  *records = 0;
  const esc_journal_reader reader = {.context = records, .row = count};
  return esc_journal_open(&(esc_journal_request){.result_path = result,
                                                 .identity = (esc_identity){"spec", 3},
                                                 .resume = true,
                                                 .reader = &reader},
                          THRESHOLDS, LAYERS, out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const char *const result = scratch_path(".h5"), *const file = scratch_path(".h5.journal");
  const char *const copy = scratch_path(".h5.journal.damaged-1");
  int first, again;
  esc_journal *journal = NULL;
  write_scratch(file, data, size);
  const esc_status status = open_journal(result, &first, &journal);
  if (status != ESC_OK) {
    demand_refusal(status);
  } else {
    esc_journal_close(journal, false);
    DEMAND(open_journal(result, &again, &journal) == ESC_OK);
    DEMAND(again == first);
    esc_journal_close(journal, true);
  }
  unlink(file);
  unlink(copy);
  return 0;
}
