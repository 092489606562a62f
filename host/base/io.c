/* SPDX-License-Identifier: Apache-2.0 */
/* Atomic writing of files.
 *
 * Publishing writes a temporary file beside the target, syncs it, renames it
 * over the target and syncs the directory, so that every crash leaves the old
 * file, the new one or none. Symbolic links are resolved first: the target is replaced, the link is
 * kept. */
#include "base/io.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/io_location.h"
#include "base/names.h"

enum { TEMPORARY_TRIES_MAX = 1000, TEMPORARY_NAME_BYTES = 200 };

/* ".NAME.PID-RANDOM.tmp"; NAME is truncated to fit. The random number makes the name unpredictable.
 */
static bool temporary_name(const esc_io_location *at, char full[PATH_MAX]) {
  char name[NAME_MAX + 1];
  uint64_t random;
  if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random) random = (uint64_t)clock();
  snprintf(name, sizeof name, ".%.*s.%ld-%016llx.tmp", (int)TEMPORARY_NAME_BYTES, at->name,
           (long)getpid(), (unsigned long long)random);
  return esc_io_join(full, at->directory, name);
}

/* Locks a file; on a file system without locks it stays unlocked. False if another process holds
 * the lock or has removed the file. */
static bool lock_new_file(int fd) {
  struct stat info;
  int result;
  do {
    result = flock(fd, LOCK_EX | LOCK_NB);
  } while (result != 0 && errno == EINTR);
  if (result != 0 && errno == EWOULDBLOCK) return false;
  return fstat(fd, &info) != 0 || info.st_nlink > 0;
}

/* Opens a new file beside the target, locked while open, as a sign that its writer is alive; umask
 * applies. */
static esc_status open_temporary(const char *path, const esc_io_location *at, char full[PATH_MAX],
                                 int *fd) {
  for (int i = 0; i < TEMPORARY_TRIES_MAX; i++) {
    if (!temporary_name(at, full))
      return ESC_FAIL(ESC_BAD_INPUT, "%.200s...: the name is too long", path);
    *fd = open(full, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (*fd >= 0 && lock_new_file(*fd)) return ESC_OK;
    if (*fd >= 0)
      close(*fd);
    else if (errno != EEXIST && errno != EINTR)
      break;
  }
  *fd = -1;
  return ESC_FAIL(esc_io_status_of_errno(errno), "%s: cannot write into %s: %s", path,
                  at->directory, strerror(errno));
}

esc_status esc_io_write_all(int fd, const char *path, const void *bytes, size_t size) {
  const char *from = bytes;
  while (size > 0) {
    const ssize_t written = write(fd, from, size);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) {
      const int error = written < 0 ? errno : ENOSPC;
      const esc_status status =
          ESC_FAIL(ESC_IO_FAILED, "%s: writing failed: %s", path, strerror(error));
      errno = error;
      return status;
    }
    from += written;
    size -= (size_t)written;
  }
  return ESC_OK;
}

static esc_status sync_directory(const char *path, const char *directory) {
  const int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0 && errno == EACCES) return ESC_OK; /* writable but not readable: cannot be synced */
  if (fd < 0)
    return ESC_FAIL(esc_io_status_of_errno(errno), "%s: cannot open directory %s: %s", path,
                    directory, strerror(errno));
  const int error = fsync(fd) == 0 ? 0 : errno;
  close(fd);
  if (error == 0 || error == EINVAL)
    return ESC_OK; /* not supported, and not needed, on some file systems */
  return ESC_FAIL(ESC_IO_FAILED, "%s: syncing directory %s failed: %s", path, directory,
                  strerror(error));
}

esc_status esc_io_sync_directory(const char *path) {
  char directory[PATH_MAX], name[NAME_MAX + 1];
  if (!esc_io_split(path, directory, name))
    return ESC_FAIL(ESC_BAD_INPUT, "%.200s...: the name is too long", path);
  return sync_directory(path, directory);
}

/* Whether the process has ended, or is a zombie, which in a container can remain forever. */
static bool has_exited(long pid) {
  char path[48], text[256] = "";
  if (kill((pid_t)pid, 0) != 0) return errno == ESRCH;
  snprintf(path, sizeof path, "/proc/%ld/stat", pid);
  FILE *file = fopen(path, "re");
  if (!file) return false;
  text[fread(text, 1, sizeof text - 1, file)] = '\0';
  fclose(file);
  const char *state = strrchr(text, ')'); /* the process name is arbitrary */
  return state && (!strncmp(state, ") Z", 3) || !strncmp(state, ") X", 3));
}

/* Whether `name` is a temporary file of the target whose process has ended, as far as this machine
 * knows. */
static bool is_stale_temporary(const esc_io_location *at, const char *name) {
  char prefix[NAME_MAX + 1];
  long pid;
  unsigned long long random;
  int end = 0;
  const int length = snprintf(prefix, sizeof prefix, ".%.*s.", (int)TEMPORARY_NAME_BYTES, at->name);
  if (strncmp(name, prefix, (size_t)length) != 0) return false;
  if (sscanf(name + length, "%ld-%16llx.tmp%n", &pid, &random, &end) != 2) return false;
  if (end == 0 || name[length + end] != '\0' || pid <= 0 || pid > INT_MAX) return false;
  return has_exited(pid);
}

/* ---- ownership ---- */

/* Whether files of `owner` beside `path` count as this process's own: `owner` is its user; or new
 * files get that owner there (set by some mounts); or the process is root and the directory belongs
 * to `owner`, who controls its contents anyway. */
static bool is_owner_in_directory(const char *path, uid_t owner) {
  esc_io_location at;
  struct stat info = {.st_uid = owner + 1};
  char full[PATH_MAX];
  int fd;
  if (owner == geteuid()) return true;
  if (esc_io_locate(path, path, &at) != ESC_OK) return false;
  if (geteuid() == 0 && stat(at.directory, &info) == 0 && info.st_uid == owner) return true;
  if (open_temporary(path, &at, full, &fd) != ESC_OK) return false;
  const bool same = fstat(fd, &info) == 0 && info.st_uid == owner;
  unlink(full);
  close(fd);
  return same;
}

int esc_io_move_above_stderr(int fd) {
  if (fd < 0 || fd > STDERR_FILENO) return fd;
  const int above = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
  const int error = errno;
  close(fd);
  errno = error;
  return above;
}

bool esc_io_is_owned(const char *path, const struct stat *info) {
  return S_ISREG(info->st_mode) && is_owner_in_directory(path, info->st_uid);
}

bool esc_io_remove_owned(const char *path) {
  struct stat info;
  return lstat(path, &info) == 0 && esc_io_is_owned(path, &info) && unlink(path) == 0;
}

/* A user's file that root continues. */
static bool is_users_file(const char *path, struct stat *info) {
  return lstat(path, info) == 0 && info->st_uid != 0 && esc_io_is_owned(path, info);
}

/* Whether the open file is empty and has no other hard link. */
static bool is_new_and_empty(int fd) {
  struct stat info;
  return fstat(fd, &info) == 0 && S_ISREG(info.st_mode) && info.st_size == 0 && info.st_nlink == 1;
}

void esc_io_adopt_owner(int fd, const char *path) {
  struct stat info;
  char journal[PATH_MAX];
  const char *suffix = esc_names_sidecar_suffix(path);
  const size_t length = strlen(path) - (suffix ? strlen(suffix) : 0);
  if (geteuid() != 0 || !is_new_and_empty(fd)) return;
  if (snprintf(journal, sizeof journal, "%.*s.journal", (int)length, path) >= (int)sizeof journal)
    return;
  if (is_users_file(path, &info) || is_users_file(journal, &info))
    (void)!fchown(fd, info.st_uid, info.st_gid); /* on failure the file remains root's */
}

/* Deletes a regular file of this user that is not locked: its writer may be alive on another
 * machine or in another container. */
static void remove_unlocked(const char *full) {
  struct stat info;
  const int fd = open(full, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) return;
  if (fstat(fd, &info) == 0 && esc_io_is_owned(full, &info) && flock(fd, LOCK_EX | LOCK_NB) == 0)
    unlink(full);
  close(fd);
}

/* A run that was killed while writing leaves its temporary file; the next writer of the same target
 * deletes it. */
static void remove_stale_temporaries(const esc_io_location *at) {
  char full[PATH_MAX];
  DIR *directory = opendir(at->directory);
  if (!directory) return;
  for (struct dirent *entry; (entry = readdir(directory));)
    if (is_stale_temporary(at, entry->d_name) && esc_io_join(full, at->directory, entry->d_name))
      remove_unlocked(full);
  closedir(directory);
}

struct esc_io_file {
  char path[PATH_MAX], target[PATH_MAX], temporary[PATH_MAX]; /* path: for messages */
  esc_io_location at;
  int fd;
};

/* Begins a file whose location and target are set; frees it on failure. */
static esc_status begin_temporary(const char *path, esc_io_file *f, esc_io_file **out) {
  snprintf(f->path, sizeof f->path, "%s", path);
  remove_stale_temporaries(&f->at);
  const esc_status status = open_temporary(path, &f->at, f->temporary, &f->fd);
  if (status != ESC_OK) {
    free(f);
    return status;
  }
  esc_io_adopt_owner(f->fd, f->target);
  *out = f;
  return ESC_OK;
}

esc_status esc_io_begin(const char *path, esc_io_file **out) {
  esc_status status = ESC_OK;
  esc_io_file *f = calloc(1, sizeof *f);
  ESC_TRY_ALLOCATE(f);
  f->fd = -1;
  ESC_TRY(esc_io_find_target(path, &f->at, f->target));
  return begin_temporary(path, f, out);
done:
  free(f);
  return status;
}

/* ---- sidecar files ---- */

/* Refuses anything that the program did not make. */
static esc_status check_sidecar(const char *path, const struct stat *info) {
  if (S_ISLNK(info->st_mode))
    return ESC_FAIL(ESC_BAD_INPUT,
                    "%s: is a symbolic link, and escapement follows no links for the files beside "
                    "an output; remove it, or choose another output with -o",
                    path);
  if (!S_ISREG(info->st_mode))
    return ESC_FAIL(ESC_BAD_INPUT,
                    "%s: is not a regular file, so not one of escapement's; remove it, or choose "
                    "another output with -o",
                    path);
  if (!is_owner_in_directory(path, info->st_uid))
    return ESC_FAIL(ESC_BAD_INPUT,
                    "%s: belongs to another user (uid %u); copy the run into a directory of your "
                    "own, or choose another output with -o",
                    path, (unsigned)info->st_uid);
  return ESC_OK;
}

esc_status esc_io_open_sidecar(const char *path, bool create, int *fd) {
  struct stat info;
  const int flags = create ? O_RDWR | O_CREAT : O_RDONLY;
  *fd = -1;
  if (lstat(path, &info) == 0) { /* devices must not be opened */
    const esc_status status = check_sidecar(path, &info);
    if (status != ESC_OK) return status;
  }
  *fd = open(path, flags | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0666);
  if (*fd < 0 || fstat(*fd, &info) != 0)
    return ESC_FAIL(esc_io_status_of_errno(errno), "%s: cannot open: %s", path, strerror(errno));
  if (create && info.st_uid == 0) esc_io_adopt_owner(*fd, path);
  return check_sidecar(path, &info);
}

esc_status esc_io_sync_sidecar(const char *path) {
  int fd, error = 0;
  const esc_status status = esc_io_open_sidecar(path, false, &fd);
  if (status != ESC_OK) return status;
  if (fdatasync(fd) != 0) error = errno;
  (void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
  close(fd);
  if (!error) return ESC_OK;
  return ESC_FAIL(ESC_IO_FAILED, "%s: syncing failed: %s", path, strerror(error));
}

esc_status esc_io_begin_sidecar(const char *path, esc_io_file **out) {
  esc_status status = ESC_OK;
  struct stat info;
  esc_io_file *f = calloc(1, sizeof *f);
  ESC_TRY_ALLOCATE(f);
  f->fd = -1;
  ESC_TRY(esc_io_locate(path, path, &f->at));
  if (!esc_io_join(f->target, f->at.directory, f->at.name)) {
    status = ESC_FAIL(ESC_BAD_INPUT, "%.200s...: the name is too long", path);
    goto done;
  }
  if (lstat(f->target, &info) == 0) ESC_TRY(check_sidecar(path, &info));
  return begin_temporary(path, f, out);
done:
  free(f);
  return status;
}

/* Renames the temporary file if the name is free. */
static int rename_without_replacing(const esc_io_file *f) {
  if (renameat2(AT_FDCWD, f->temporary, AT_FDCWD, f->target, RENAME_NOREPLACE) == 0) return 0;
  if (errno != EINVAL && errno != ENOSYS) return -1;
  if (link(f->temporary, f->target) != 0) return -1;
  return unlink(f->temporary);
}

esc_status esc_io_commit_locked(esc_io_file *f, int *fd) {
  esc_status status = ESC_OK;
  if (fsync(f->fd) != 0 || rename_without_replacing(f) != 0) {
    status = ESC_FAIL(esc_io_status_of_errno(errno), "%s: cannot complete the file: %s", f->path,
                      strerror(errno));
    goto done;
  }
  f->temporary[0] = '\0';
  ESC_TRY(sync_directory(f->path, f->at.directory));
  *fd = f->fd;
  f->fd = -1;
done:
  esc_io_discard(f);
  return status;
}

/* Longest name and path of the file system of `directory`. */
static void find_name_limits(const char *directory, size_t *name, size_t *path) {
  const long names = pathconf(directory, _PC_NAME_MAX), paths = pathconf(directory, _PC_PATH_MAX);
  *name = names > 0 && names < NAME_MAX ? (size_t)names : NAME_MAX;
  *path = (paths > 0 && paths < PATH_MAX ? (size_t)paths : PATH_MAX) - 1; /* with its NUL */
}

esc_status esc_io_check_names(const char *path, const char *const *suffix, size_t count) {
  esc_io_location at;
  size_t longest = 0, name_max, path_max;
  const esc_status status = esc_io_locate(path, path, &at);
  if (status != ESC_OK) return status;
  for (size_t i = 1; i < count; i++)
    if (strlen(suffix[i]) > strlen(suffix[longest])) longest = i;
  const size_t more = count ? strlen(suffix[longest]) : 0, name = strlen(at.name) + more;
  const size_t given = strlen(path) + more, whole = strlen(at.directory) + 1 + name;
  const size_t full = given > whole ? given : whole;
  find_name_limits(at.directory, &name_max, &path_max);
  if (name > name_max)
    return ESC_FAIL(ESC_BAD_INPUT,
                    "%.300s: the name is %zu bytes too long: with the suffix \"%s\" it has %zu "
                    "bytes, and this file system allows %zu",
                    path, name - name_max, count ? suffix[longest] : "", name, name_max);
  if (full > path_max)
    return ESC_FAIL(ESC_BAD_INPUT,
                    "%.300s...: the path is %zu bytes too long: with the suffix \"%s\" it has %zu "
                    "bytes, and this system allows %zu",
                    path, full - path_max, count ? suffix[longest] : "", full, path_max);
  return ESC_OK;
}

esc_status esc_io_write(esc_io_file *f, const void *bytes, size_t size) {
  return esc_io_write_all(f->fd, f->path, bytes, size);
}

void esc_io_discard(esc_io_file *f) {
  if (!f) return;
  if (f->fd >= 0) close(f->fd);
  if (f->temporary[0]) unlink(f->temporary);
  free(f);
}

/* Renames the complete temporary file to the target. */
static bool rename_over_target(esc_io_file *f, const char *previous) {
  const int closed = close(f->fd);
  f->fd = -1;
  if (closed != 0) return false;
  if (previous && rename(f->target, previous) != 0 && errno != ENOENT) return false;
  if (rename(f->temporary, f->target) != 0) return false;
  f->temporary[0] = '\0';
  return true;
}

esc_status esc_io_commit(esc_io_file *f, const char *previous) {
  esc_status status = ESC_OK;
  if (fsync(f->fd) != 0)
    status = ESC_FAIL(ESC_IO_FAILED, "%s: writing failed: %s", f->path, strerror(errno));
  else if (!rename_over_target(f, previous))
    status = ESC_FAIL(esc_io_status_of_errno(errno), "%s: cannot complete the file: %s", f->path,
                      strerror(errno));
  else
    status = sync_directory(f->path, f->at.directory);
  esc_io_discard(f);
  return status;
}

esc_status esc_io_publish(const char *path, const void *bytes, size_t size) {
  esc_io_file *f = NULL;
  esc_status status = esc_io_begin(path, &f);
  if (status != ESC_OK) return status;
  status = esc_io_write(f, bytes, size);
  if (status == ESC_OK) return esc_io_commit(f, NULL);
  esc_io_discard(f);
  return status;
}

void esc_io_remove_temporaries(const char *path) {
  esc_io_location at;
  char full[PATH_MAX];
  if (esc_io_find_target(path, &at, full) == ESC_OK) remove_stale_temporaries(&at);
}

void esc_io_remove(const char *path) {
  esc_io_remove_owned(path);
  esc_io_remove_temporaries(path);
}

esc_status esc_io_check_writable(const char *path) {
  esc_io_location at;
  char full[PATH_MAX];
  int fd;
  esc_status status = esc_io_find_target(path, &at, full);
  if (status == ESC_OK) status = open_temporary(path, &at, full, &fd);
  if (status != ESC_OK) return status;
  close(fd);
  unlink(full);
  return ESC_OK;
}
