/* SPDX-License-Identifier: Apache-2.0 */
/* The only place that writes files. Nothing is written in place: a file is
 * published whole (write, fsync, rename, fsync of the directory) or it is the
 * append-only journal. Failures are ESC_IO_FAILED with path and errno's text;
 * what a user got wrong (no such directory, read-only, is a directory) is
 * ESC_BAD_INPUT. */
#ifndef ESC_IO_H
#define ESC_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

#include "escapement/internal/status.h"

/* Whose fault `error`, an errno of opening or writing a path, is: ESC_BAD_INPUT
 * or ESC_IO_FAILED. */
esc_status esc_io_status_of_errno(int error);

/* Replaces or creates `path` with `bytes`, so that a crash at any moment leaves
 * the old file, the new file or none, never a part. */
esc_status esc_io_publish(const char *path, const void *bytes, size_t size);

/* The same in pieces: begin, write as often as needed, and then commit or discard, which
 * both free it. Commit keeps the file that it replaces under the name `previous` (NULL: it
 * does not); at every instant one of the two is whole. `path` is not to be a link then. */
typedef struct esc_io_file esc_io_file;
esc_status esc_io_begin(const char *path, esc_io_file **out);
esc_status esc_io_write(esc_io_file *file, const void *bytes, size_t size);
esc_status esc_io_commit(esc_io_file *file, const char *previous);
void esc_io_discard(esc_io_file *file); /* NULL is fine */

/* `fd`, or a descriptor of the same file that replaces it where `fd` is 0, 1 or 2: in a program
 * that has closed its standard input, output or error the next file that is opened gets that
 * number, and a child would lose the file to its own. Closed on exec. */
int esc_io_move_above_stderr(int fd);

/* Whether a file found at `path` (its lstat) is a plain file of this user: of the user that runs
 * the process, of the one that new files belong to there (some mounts), or, for root, of the one
 * whom the folder belongs to. */
bool esc_io_is_owned(const char *path, const struct stat *info);

/* Deletes `path` if it is a plain file of this user (esc_io_is_owned), and leaves anything else.
 * True if it was deleted. */
bool esc_io_remove_owned(const char *path);

/* Run by root: the new file open as `fd`, to be found at `path`, gets the owner of the one that it
 * replaces, or of the journal of the run that it is a part of, so that a user's run stays the
 * user's. Nothing is done to
 * a file that is not empty or has another name too, nor for other users. */
void esc_io_adopt_owner(int fd, const char *path);

/* A file that this program names itself, beside a result. What is not a plain file there (a
 * symbolic link above all), or belongs to another user, is ESC_BAD_INPUT: nothing is followed.
 * begin: as above. open: for reading, or with `create` for writing too, made if it is missing.
 * commit_locked: fails where the name has been taken meanwhile; *fd is the open file, under an
 * exclusive flock since before it had its name. */
esc_status esc_io_begin_sidecar(const char *path, esc_io_file **out);
esc_status esc_io_open_sidecar(const char *path, bool create, int *fd);
esc_status esc_io_commit_locked(esc_io_file *file, int *fd);

/* fdatasync of such a file, what others wrote to it too; who reads it next reads the disk, where
 * the system can forget what it has in memory. */
esc_status esc_io_sync_sidecar(const char *path);

/* Checks that `path` with each of `count` suffixes is a name that its file system and this
 * system allow. */
esc_status esc_io_check_names(const char *path, const char *const *suffix, size_t count);

/* Deletes what killed runs left of writing `path`; remove: and `path` itself, if there. */
void esc_io_remove_temporaries(const char *path);
void esc_io_remove(const char *path);

/* Opens a plain file for reading in pieces, to be closed with close(2). */
esc_status esc_io_open(const char *path, int *fd, size_t *size);

/* Reads `size` bytes at `offset`; a file that ends before is ESC_IO_FAILED. */
esc_status esc_io_read_at(int fd, const char *path, void *bytes, size_t size, size_t offset);

/* Reads a whole file of at most `limit` bytes; *bytes is malloc'd and has a NUL
 * behind its *size bytes. */
esc_status esc_io_read(const char *path, size_t limit, char **bytes, size_t *size);

/* The same of a plain file alone: pipes, sockets and devices, which could block or never end, are
 * ESC_BAD_INPUT. */
esc_status esc_io_read_plain(const char *path, size_t limit, char **bytes, size_t *size);

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
