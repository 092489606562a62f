/* SPDX-License-Identifier: Apache-2.0 */
/* All writing of files. A file is published atomically (written under a temporary name, fsync,
 * rename, fsync of the directory), except for the append-only journal. Failures are ESC_IO_FAILED
 * with path and errno's text; user errors (no such directory, read-only, is a directory) are
 * ESC_BAD_INPUT. */
#ifndef ESC_IO_H
#define ESC_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

#include "escapement/internal/status.h"

/* Status of `error`, an errno of opening or writing a path: ESC_BAD_INPUT or ESC_IO_FAILED. */
esc_status esc_io_status_of_errno(int error);

/* Atomically creates or replaces `path` with `bytes`: a crash leaves the old file, the new file or
 * none. */
esc_status esc_io_publish(const char *path, const void *bytes, size_t size);

/* The same in pieces: begin, write as often as needed, and then commit or discard, which
 * both free it. Commit renames the replaced file to `previous` (NULL: deletes it); at every instant
 * one of the two is intact. `path` must not be a link then. */
typedef struct esc_io_file esc_io_file;
esc_status esc_io_begin(const char *path, esc_io_file **out);
esc_status esc_io_write(esc_io_file *file, const void *bytes, size_t size);
esc_status esc_io_commit(esc_io_file *file, const char *previous);
void esc_io_discard(esc_io_file *file); /* NULL is allowed */

/* `fd`, or a descriptor of the same file that replaces it where `fd` is 0, 1 or 2: in a program
 * that has closed its standard streams, the next opened file gets such a number, and a child
 * process would replace it by its own stream. Close-on-exec. */
int esc_io_move_above_stderr(int fd);

/* Whether the file at `path` (`info`: its lstat) is a regular file of this user: the user of the
 * process, the owner of new files in that directory (on some mounts), or, for root, the owner of
 * the directory. */
bool esc_io_is_owned(const char *path, const struct stat *info);

/* Deletes `path` if it is a regular file of this user (esc_io_is_owned); true if it was deleted. */
bool esc_io_remove_owned(const char *path);

/* For root: gives the new file `fd` of `path` the owner of the file that it replaces, or of the
 * journal of its run, so that a user's run still belongs to the user. Files that are not empty or
 * have several links are left unchanged. */
void esc_io_adopt_owner(int fd, const char *path);

/* Sidecar files: files beside a result, named by the program. Symbolic links are not followed;
 * anything but a regular file of this user is ESC_BAD_INPUT. begin: as above. open: for reading, or
 * with `create` for writing too, made if it is missing. commit_locked: fails if the name exists by
 * then; *fd is the open file, under an exclusive flock since before it had its name. */
esc_status esc_io_begin_sidecar(const char *path, esc_io_file **out);
esc_status esc_io_open_sidecar(const char *path, bool create, int *fd);
esc_status esc_io_commit_locked(esc_io_file *file, int *fd);

/* fdatasync of such a file, also for data of other processes; drops it from the page cache where
 * possible, so that the next read is from the disk. */
esc_status esc_io_sync_sidecar(const char *path);

/* Checks that `path` with each of `count` suffixes is within the name limits of its file system and
 * of this system. */
esc_status esc_io_check_names(const char *path, const char *const *suffix, size_t count);

/* Deletes temporary files that killed runs left beside `path`; remove: also `path` itself. */
void esc_io_remove_temporaries(const char *path);
void esc_io_remove(const char *path);

/* Opens a regular file for reading in pieces, to be closed with close(2). */
esc_status esc_io_open(const char *path, int *fd, size_t *size);

/* Reads `size` bytes at `offset`; a file that ends before is ESC_IO_FAILED. */
esc_status esc_io_read_at(int fd, const char *path, void *bytes, size_t size, size_t offset);

/* Reads a whole file of at most `limit` bytes; *bytes is malloc'd and has a NUL
 * behind its *size bytes. */
esc_status esc_io_read(const char *path, size_t limit, char **bytes, size_t *size);

/* The same for regular files only: pipes, sockets and devices, which could block or never end, are
 * ESC_BAD_INPUT. */
esc_status esc_io_read_plain(const char *path, size_t limit, char **bytes, size_t *size);

/* Fails with ESC_BAD_INPUT unless a file could be published at `path`: not
 * empty, not a directory, its directory there and writable. Leaves nothing. */
esc_status esc_io_check_writable(const char *path);

/* Absolute path of `path` with links resolved, at most size - 1 bytes. ESC_BAD_INPUT as above. */
esc_status esc_io_resolve(const char *path, char *resolved, size_t size);

bool esc_io_exists(const char *path);

/* Writes all of `bytes` to `fd`, also after short writes and EINTR. On failure errno is
 * the reason. */
esc_status esc_io_write_all(int fd, const char *path, const void *bytes, size_t size);

/* fsync of the directory that holds `path`. */
esc_status esc_io_sync_directory(const char *path);

#endif
