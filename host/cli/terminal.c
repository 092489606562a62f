/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/terminal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"

/* The first bytes of a character whose others are still to come. */
static struct {
  char byte[4];
  size_t count;
} held;

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

/* `size` bytes behind those that are held, which then are the rest of an unfinished character;
 * malloc'd, NULL without memory. */
static char *show(const char *bytes, size_t size, size_t *length) {
  char *shown = NULL, *all = malloc(held.count + size);
  FILE *out = all ? open_memstream(&shown, length) : NULL;
  if (out) {
    memcpy(all, held.byte, held.count);
    memcpy(all + held.count, bytes, size);
    const size_t whole = esc_text_whole_characters(all, held.count + size);
    esc_text_print_escaped(out, all, whole, true);
    held.count = held.count + size - whole;
    memcpy(held.byte, all + whole, held.count);
    if (fclose(out) != 0) {
      free(shown);
      shown = NULL;
    }
  }
  free(all);
  return shown;
}

/* As the C library wants it: 0 for a failure, never a negative number. */
static ssize_t write_shown(void *cookie, const char *bytes, size_t size) {
  size_t length = 0;
  (void)cookie;
  char *shown = show(bytes, size, &length);
  if (!shown) errno = ENOMEM;
  const bool written = shown && write_all(shown, length);
  free(shown);
  return written ? (ssize_t)size : 0;
}

void esc_terminal_guard(void) {
  FILE *guarded = fopencookie(NULL, "w", (cookie_io_functions_t){.write = write_shown});
  if (!guarded) return;
  if (isatty(STDOUT_FILENO)) setvbuf(guarded, NULL, _IOLBF, BUFSIZ);
  stdout = guarded;
}
