/* SPDX-License-Identifier: Apache-2.0 */
/* The journal object, shared by its reader and its writer, and the checksums. */
#include "store/journal_format.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

/* ---- the object ---- */

esc_status esc_journal_allocate(const char *result_path, const char *suffix, const char *what,
                                esc_journal **out) {
  esc_status status = ESC_OK;
  esc_journal *j = calloc(1, sizeof *j);
  ESC_TRY_ALLOCATE(j);
  j->fd = -1;
  j->record_name = what;
  j->path = malloc(strlen(result_path) + strlen(suffix) + 1);
  ESC_TRY_ALLOCATE(j->path);
  sprintf(j->path, "%s%s", result_path, suffix);
  *out = j;
  j = NULL;
done:
  esc_journal_free(j);
  return status;
}

esc_status esc_journal_reserve(esc_journal *j, size_t size) {
  if (size <= j->capacity) return ESC_OK;
  char *grown = realloc(j->buffer, size);
  if (!grown) return ESC_FAIL(ESC_NO_MEMORY, "%s: out of memory (%zu bytes)", j->path, size);
  j->buffer = grown;
  j->capacity = size;
  return ESC_OK;
}

void esc_journal_free(esc_journal *journal) {
  if (!journal) return;
  if (journal->fd >= 0) close(journal->fd);
  free(journal->identity);
  free(journal->first_identity);
  free(journal->damaged_region);
  free(journal->buffer);
  free(journal->path);
  free(journal);
}

/* ---- checksums ---- */

/* Hash of the table of variables, which determines the meaning of a row. */
static uint64_t hash_variables(void) {
  uint64_t hash = 0;
  for (int i = 0; i < esc_result_variable_count; i++) {
    const esc_result_variable *v = &esc_result_variables[i];
    const int kind[2] = {(int)v->type, (int)v->axis};
    hash = XXH3_64bits_withSeed(v->name, strlen(v->name), hash);
    hash = XXH3_64bits_withSeed(kind, sizeof kind, hash);
  }
  return hash;
}

static uint64_t hash_observables(void) {
  uint64_t hash = 1;
  for (int i = 0; i < ESC_OBSERVABLES; i++)
    hash = XXH3_64bits_withSeed(esc_observables[i].name, strlen(esc_observables[i].name), hash);
  return hash;
}

uint64_t esc_journal_schema_hash(bool snapshots) {
  return snapshots ? hash_observables() : hash_variables();
}

/* Of the record's layout and of the kinds of weights. */
uint64_t esc_journal_weights_hash(void) {
  uint64_t hash = 2;
  for (int k = 0; k < ESC_WEIGHTS_KINDS; k++) {
    const char *word = esc_weights_word((esc_weights_kind)k);
    hash = XXH3_64bits_withSeed(word, strlen(word), hash);
  }
  return hash;
}

size_t esc_journal_weights_in_block(size_t weights, size_t first) {
  const size_t rest = weights - first;
  return rest < ESC_JOURNAL_WEIGHTS_BLOCK ? rest : ESC_JOURNAL_WEIGHTS_BLOCK;
}

size_t esc_journal_weights_row_size(size_t weights) {
  return sizeof(esc_journal_weights) + esc_journal_weights_in_block(weights, 0) * sizeof(float);
}

uint64_t esc_journal_header_checksum(const esc_journal_header *h) {
  return XXH3_64bits(h, offsetof(esc_journal_header, checksum));
}

uint32_t esc_journal_entry_header_checksum(const esc_journal_entry_header *head, uint64_t seed) {
  return (uint32_t)XXH3_64bits_withSeed(head, offsetof(esc_journal_entry_header, checksum), seed);
}

uint64_t esc_journal_entry_checksum(const char *bytes, size_t size, uint64_t seed) {
  return XXH3_64bits_withSeed(bytes, size, seed);
}

uint64_t esc_journal_checksum_seed(const esc_journal *j, uint32_t kind) {
  return kind == ESC_ENTRY_HEADER_COPY ? 0 : j->header.identity;
}

esc_journal_entry_header esc_journal_make_entry_header(esc_journal_entry_kind kind, size_t size,
                                                       uint64_t seed) {
  esc_journal_entry_header p = {ESC_JOURNAL_ENTRY_MAGIC, kind, (uint32_t)size, 0};
  p.checksum = esc_journal_entry_header_checksum(&p, seed);
  return p;
}
