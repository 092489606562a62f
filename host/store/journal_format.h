/* SPDX-License-Identifier: Apache-2.0 */
/* Format of a journal, shared by its reader (journal_read.c) and its writer (journal.c).
 *
 * Layout, little-endian:
 *   header    "ESCJRNL" NUL, version (u32), thresholds, layers (2 x u16), bytes of a row,
 *             bytes of the identity (2 x u32), XXH3-64 of the identity, of the table of
 *             variables, of the header so far
 *   identity  members (i64), text: the run that began the journal
 *   entries "EPRT", kind, bytes of the payload (3 x u32), low half of the XXH3-64 of these (u32);
 * payload; XXH3-64 of all bytes before it. Both checksums are seeded with the hash of the first
 * identity, those of a header copy with 0. Payloads: a record is a key (seed, layers: u64, scale:
 * f64) and a row; an identity as above; a segment its text; a header copy is the header and the
 * first identity; padding overwrites damaged bytes. Entries are only appended, so that the entries
 * before a crash stay intact. Each entry states its start and length, so that the reader finds the
 * next valid entry after damaged bytes. */
#ifndef ESC_JOURNAL_FORMAT_H
#define ESC_JOURNAL_FORMAT_H

#include <stdint.h>
#include <sys/types.h>

#include "store/journal.h"

enum {
  ESC_JOURNAL_VERSION = 3,
  ESC_JOURNAL_PAYLOAD_MAX = 1 << 26, /* larger than any spec and any row */
  ESC_JOURNAL_PAD_BYTE = 'x',        /* overwrites damage shorter than an entry */
};
#define ESC_JOURNAL_ENTRY_MAGIC 0x54525045u /* "EPRT" */

typedef struct esc_journal_header {
  char magic[8];
  uint32_t version;
  uint16_t thresholds, layers;
  uint32_t row_size, identity_size;
  uint64_t identity, schema;
  uint64_t checksum; /* of all bytes before it */
} esc_journal_header;

_Static_assert(sizeof(esc_journal_header) == 48, "the header has no padding");

typedef enum esc_journal_entry_kind {
  ESC_ENTRY_RECORD = 1,
  ESC_ENTRY_IDENTITY,
  ESC_ENTRY_SEGMENT_BEGIN,
  ESC_ENTRY_SEGMENT,
  ESC_ENTRY_HEADER_COPY, /* copy of the header and the first identity */
  ESC_ENTRY_PADDING
} esc_journal_entry_kind;

typedef struct esc_journal_entry_header {
  uint32_t magic, kind, size; /* of the payload, which follows, then its checksum */
  uint32_t checksum;          /* of all bytes before it */
} esc_journal_entry_header;

_Static_assert(sizeof(esc_journal_entry_header) == 16, "a part's head has no padding");

enum { ESC_JOURNAL_ENTRY_MIN = sizeof(esc_journal_entry_header) + sizeof(uint64_t) };

/* Damaged bytes between valid entries. */
typedef struct esc_journal_region {
  off_t offset, size;
} esc_journal_region;

struct esc_journal {
  char *path;
  const char *record_name; /* name of the records in messages */
  int fd;
  esc_journal_header header; /* as this run writes it; after opening, as in the file */
  char *identity;            /* payload of this run's identity; NULL: reading only */
  size_t identity_size;
  char *first_identity;               /* payload of the first identity in the file; owned */
  const esc_journal_reader *reader;   /* while opening */
  esc_journal_warn *warn;             /* NULL: silent */
  char *buffer;                       /* bytes being read, or entries to be written */
  size_t capacity;                    /* of the buffer */
  off_t window;                       /* offset in the file of the buffer's first byte */
  size_t filled;                      /* bytes read into it */
  off_t size;                         /* of the file when reading began */
  off_t scanned_bytes;                /* bytes read and hashed in the search for entries */
  esc_journal_region *damaged_region; /* owned */
  int64_t damaged_regions;
  bool header_damaged;            /* the header or the first identity; restored from the copy */
  bool has_header_copy;           /* the file contains a valid copy of the header */
  uint64_t last_identity;         /* hash of the newest in the file */
  size_t unwritten;               /* bytes of the buffer's entries */
  int64_t unwritten_records;      /* records among them */
  esc_member_key unwritten_first; /* of the first of these */
  off_t end;                      /* end of the valid entries in the file */
  int64_t records;                /* valid ones in the file */
  int64_t segment_updates;        /* updates of segments */
  int64_t synced;                 /* records confirmed by a sync */
  off_t synced_bytes;             /* end of the bytes confirmed by a sync */
  bool has_torn_tail;             /* a failed append could not be truncated */
  bool sync_failed;               /* the system may have dropped unwritten pages */
  bool is_open;                   /* locked, header written */
  bool was_empty;                 /* empty when locked: removed again if opening fails */
};

uint64_t esc_journal_header_checksum(const esc_journal_header *header);

/* Checksums of an entry's header, and of header and payload; `seed` is the hash of the first
 * identity. */
uint32_t esc_journal_entry_header_checksum(const esc_journal_entry_header *head, uint64_t seed);
uint64_t esc_journal_entry_checksum(const char *bytes, size_t size, uint64_t seed);

/* Makes the header of an entry with a payload of `size` bytes. */
esc_journal_entry_header esc_journal_make_entry_header(esc_journal_entry_kind kind, size_t size,
                                                       uint64_t seed);

/* Seed of the checksums of entries of this kind. */
uint64_t esc_journal_checksum_seed(const esc_journal *journal, uint32_t kind);

/* Hash of a record's layout. */
uint64_t esc_journal_schema_hash(bool snapshots);
uint64_t esc_journal_weights_hash(void);

/* Allocates a journal for `result_path` with `suffix`; opens no file. */
esc_status esc_journal_allocate(const char *result_path, const char *suffix, const char *what,
                                esc_journal **out);

/* Closes and frees it without changing the file. NULL is allowed. */
void esc_journal_free(esc_journal *journal);

/* Grows the buffer to at least `size` bytes. */
esc_status esc_journal_reserve(esc_journal *journal, size_t size);

/* Checks the header of the open file and passes the first identity to the reader. *is_new: the file
 * ends within its header, because a run died while starting. */
esc_status esc_journal_read_header(esc_journal *journal, bool *is_new);

/* Passes the valid entries after the header to the reader and records the damaged regions between
 * them; sets end, records, segment_updates. An incomplete last entry, as left by a crash, is not
 * damage. */
esc_status esc_journal_read_entries(esc_journal *journal);

/* Total size of the damaged regions. */
off_t esc_journal_damaged_bytes(const esc_journal *journal);

#endif
