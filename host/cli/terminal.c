/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/terminal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"

/* First bytes of an incomplete character. */
static struct {
  char byte[4];
  size_t count;
} pending;

static bool write_all(const char *bytes, size_t size) {
  while (size > 0) {
    const ssize_t written = write(STDOUT_FILENO, bytes, size);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    bytes += written;
    size -= (size_t)written;
  }
  return true;
}

/* `bytes` with escapes, after the pending bytes; an incomplete character at the end is pending
 * then. malloc'd, NULL without memory. */
static char *escape(const char *bytes, size_t size, size_t *length) {
  char *escaped = NULL, *all = malloc(pending.count + size);
  FILE *out = all ? open_memstream(&escaped, length) : NULL;
  if (out) {
    memcpy(all, pending.byte, pending.count);
    memcpy(all + pending.count, bytes, size);
    const size_t whole = esc_text_whole_characters(all, pending.count + size);
    esc_text_print_escaped(out, all, whole, true);
    pending.count = pending.count + size - whole;
    memcpy(pending.byte, all + whole, pending.count);
    if (fclose(out) != 0) {
      free(escaped);
      escaped = NULL;
    }
  }
  free(all);
  return escaped;
}

/* For fopencookie: 0 on failure, never negative. */
static ssize_t write_escaped(void *cookie, const char *bytes, size_t size) {
  size_t length = 0;
  (void)cookie;
  char *escaped = escape(bytes, size, &length);
  if (!escaped) errno = ENOMEM;
  const bool written = escaped && write_all(escaped, length);
  free(escaped);
  return written ? (ssize_t)size : 0;
}

void esc_terminal_guard(void) {
  FILE *guarded = fopencookie(NULL, "w", (cookie_io_functions_t){.write = write_escaped});
  if (!guarded) return;
  if (isatty(STDOUT_FILENO)) setvbuf(guarded, NULL, _IOLBF, BUFSIZ);
  stdout = guarded;
}
