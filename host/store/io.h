/* The only place that writes files. Nothing is written in place: a file is
 * published whole (write, fsync, rename, fsync of the directory) or it is the
 * append-only journal. Failures are ESC_IO_FAILED with path and errno's text;
 * what a user got wrong (no such directory, read-only, is a directory) is
 * ESC_BAD_INPUT. */
#ifndef ESC_IO_H
#define ESC_IO_H

#include <stdbool.h>
#include <stddef.h>

#include "escapement/status.h"

/* Whose fault `error`, an errno of opening or writing a path, is: ESC_BAD_INPUT
 * or ESC_IO_FAILED. */
esc_status esc_io_status(int error);

/* Replaces or creates `path` with `bytes`, so that a crash at any moment leaves
 * the old file, the new file or none, never a part. */
esc_status esc_io_publish(const char *path, const void *bytes, size_t size);

/* Reads a whole file of at most `limit` bytes; *bytes is malloc'd and has a NUL
 * behind its *size bytes. */
esc_status esc_io_read(const char *path, size_t limit, char **bytes, size_t *size);

/* Fails with ESC_BAD_INPUT unless a file could be published at `path`: not
 * empty, not a directory, its directory there and writable. Leaves nothing. */
esc_status esc_io_check_writable(const char *path);

/* Where a file at `path` really lies, links followed: absolute, at most size - 1
 * bytes. What cannot be a file there is ESC_BAD_INPUT as above. */
esc_status esc_io_resolve(const char *path, char *resolved, size_t size);

bool esc_io_exists(const char *path);

/* Writes all of `bytes` to `fd`, through short writes and EINTR; errno
 * says why when it fails. */
esc_status esc_io_write_all(int fd, const char *path, const void *bytes, size_t size);

/* fsync of the directory that holds `path`. */
esc_status esc_io_sync_directory(const char *path);

#endif
