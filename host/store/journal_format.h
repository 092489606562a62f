/* SPDX-License-Identifier: Apache-2.0 */
/* Format of a journal (journal_format.c), which its reader (journal_read.c) and its writer
 * (journal.c) share.
 *
 * Layout, little-endian:
 *   header    "ESCJRNL" NUL, version (u32), thresholds, layers (2 x u16), bytes of a row,
 *             bytes of the identity (2 x u32), XXH3-64 of the identity, of the table of
 *             variables, of the header so far
 *   identity  members (i64), text: the run that began the journal
 *   parts     "EPRT", kind, bytes of the payload (3 x u32), low half of the XXH3-64 of these
 *             (u32); payload; XXH3-64 of all before it. Both checksums are seeded with the first
 *             identity's hash, those of a copy of the start with 0. Payloads: a record is a key
 *             (seed, layers: u64, scale: f64) and a row; an identity as above; a segment its
 *             text; a copy of the start is the header and the first identity; a void is what
 *             covers damaged bytes
 * Parts are only ever appended, so whatever a crash cuts off, the parts before it are whole. A
 * part says itself where it begins and how long it is: behind damaged bytes the next whole part
 * is searched. */
#ifndef ESC_JOURNAL_FORMAT_H
#define ESC_JOURNAL_FORMAT_H

#include <stdint.h>
#include <sys/types.h>

#include "store/journal.h"

enum {
  ESC_JOURNAL_VERSION = 3,
  ESC_JOURNAL_PAYLOAD_MAX = 1 << 26, /* larger than any spec and any row */
  ESC_JOURNAL_PAD_BYTE = 'x',        /* covers damage too short for a void */
};
#define ESC_JOURNAL_ENTRY_MAGIC 0x54525045u /* "EPRT" */

typedef struct esc_journal_header {
  char magic[8];
  uint32_t version;
  uint16_t thresholds, layers;
  uint32_t row_size, identity_size;
  uint64_t identity, schema;
  uint64_t checksum; /* of all before it */
} esc_journal_header;

_Static_assert(sizeof(esc_journal_header) == 48, "the header has no padding");

typedef enum esc_journal_entry_kind {
  ESC_ENTRY_RECORD = 1,
  ESC_ENTRY_IDENTITY,
  ESC_ENTRY_SEGMENT_BEGIN,
  ESC_ENTRY_SEGMENT,
  ESC_ENTRY_HEADER_COPY, /* copy of the header and of the first identity */
  ESC_ENTRY_PADDING
} esc_journal_entry_kind;

typedef struct esc_journal_entry_header {
  uint32_t magic, kind, size; /* of the payload, which follows with its checksum behind it */
  uint32_t checksum;          /* of all before it */
} esc_journal_entry_header;

_Static_assert(sizeof(esc_journal_entry_header) == 16, "a part's head has no padding");

enum { ESC_JOURNAL_ENTRY_MIN = sizeof(esc_journal_entry_header) + sizeof(uint64_t) };

/* Bytes that are no whole part, between whole ones. */
typedef struct esc_journal_region {
  off_t offset, size;
} esc_journal_region;

struct esc_journal {
  char *path;
  const char *record_name; /* name of its records in messages */
  int fd;
  esc_journal_header header; /* as this run writes it, and once opened as it is in the file */
  char *identity;            /* payload of this run's; NULL: it only reads */
  size_t identity_size;
  char *first_identity;               /* payload of the first identity in the file; owned */
  const esc_journal_reader *reader;   /* while opening */
  esc_journal_warn *warn;             /* NULL: silent */
  char *buffer;                       /* bytes being read, or a part being written */
  size_t capacity;                    /* of the buffer */
  off_t window;                       /* offset in the file of the buffer's first byte */
  size_t filled;                      /* bytes read into it */
  off_t size;                         /* of the file when reading began */
  off_t scanned_bytes;                /* bytes read and hashed in search of whole parts */
  esc_journal_region *damaged_region; /* damaged bytes; owned */
  int64_t damaged_regions;
  bool header_damaged;     /* the header or the first identity, which the copy replaces */
  bool has_header_copy;    /* a whole copy of the start is in the file */
  uint64_t last_identity;  /* hash of the newest in the file */
  off_t end;               /* of the whole parts in the file */
  int64_t records;         /* whole ones in the file */
  int64_t segment_updates; /* of segments behind their begin */
  int64_t synced;          /* of the records, those that a sync has confirmed */
  off_t synced_bytes;      /* what a sync has confirmed ends here */
  bool has_torn_tail;      /* a failed append could not be undone */
  bool sync_failed;        /* a sync failed: the system may have dropped what it did not write */
  bool is_open;            /* opened: locked, header written */
  bool was_empty;          /* when it was locked: removed again if it cannot be started */
};

uint64_t esc_journal_header_checksum(const esc_journal_header *header);

/* Checksums of a part's head and of head and payload; `seed` is the first identity's hash. */
uint32_t esc_journal_entry_header_checksum(const esc_journal_entry_header *head, uint64_t seed);
uint64_t esc_journal_entry_checksum(const char *bytes, size_t size, uint64_t seed);

/* Fills the head of a part of `size` bytes. */
esc_journal_entry_header esc_journal_make_entry_header(esc_journal_entry_kind kind, size_t size,
                                                       uint64_t seed);

/* Seed of the checksums of parts of this kind. */
uint64_t esc_journal_checksum_seed(const esc_journal *journal, uint32_t kind);

uint64_t esc_journal_schema_hash(bool snapshots);

/* A journal object of `result_path` with `suffix`, nothing opened. */
esc_status esc_journal_allocate(const char *result_path, const char *suffix, const char *what,
                                esc_journal **out);

/* Closes and frees it, and leaves the file as it is. NULL is fine. */
void esc_journal_free(esc_journal *journal);

/* Makes the buffer hold at least `size` bytes. */
esc_status esc_journal_reserve(esc_journal *journal, size_t size);

/* Checks the header of the open file and shows the first identity to the reader. A file that
 * ends within its start is a run that died while starting: *fresh. */
esc_status esc_journal_read_header(esc_journal *journal, bool *is_new);

/* Shows the reader the whole parts behind the start and notes the gaps between them; sets end,
 * records, notes. What ends the file as a crash leaves it is no gap. */
esc_status esc_journal_read_entries(esc_journal *journal);

/* Bytes of all gaps. */
off_t esc_journal_damaged_bytes(const esc_journal *journal);

#endif
