/* SPDX-License-Identifier: Apache-2.0 */
/* Preloaded before a program, keeps what a power loss would leave of the folder POWER_DIRECTORY: in
 * POWER_DISK, `entries` has the names and inodes of the folder's last fsync, and a file named by
 * its inode the bytes of each file's last fsync or fdatasync. Files that exist at the start count
 * as on disk. Every inode kept is linked, so that no other file gets its number. */
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *watched, *disk;
static struct stat watched_stat;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void fail(const char *what) {
  perror(what);
  _exit(99);
}

static void put(const char *name, const char *bytes, size_t size) {
  char path[4096], temporary[4096];
  snprintf(path, sizeof path, "%s/%s", disk, name);
  snprintf(temporary, sizeof temporary, "%s/%s.tmp", disk, name);
  FILE *file = fopen(temporary, "w");
  if (!file || fwrite(bytes, 1, size, file) != size || fclose(file) || rename(temporary, path))
    fail(path);
}

/* The names in the folder now. */
static void keep_entries(void) {
  char *text = NULL;
  size_t size = 0;
  FILE *out = open_memstream(&text, &size);
  DIR *folder = opendir(watched);
  if (!out || !folder) fail(watched);
  for (struct dirent *e; (e = readdir(folder));)
    if (e->d_name[0] != '.') fprintf(out, "%llu %s\n", (unsigned long long)e->d_ino, e->d_name);
  closedir(folder);
  fclose(out);
  put("entries", text, size);
  free(text);
}

static void keep_file(const char *path, const struct stat *info) {
  char name[32], link_path[4096];
  char *bytes = malloc((size_t)info->st_size + 1);
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (!bytes || fd < 0) fail(path);
  const ssize_t size = read(fd, bytes, (size_t)info->st_size);
  if (size < 0) fail(path);
  close(fd);
  snprintf(name, sizeof name, "%llu", (unsigned long long)info->st_ino);
  snprintf(link_path, sizeof link_path, "%s/%s.link", disk, name);
  linkat(AT_FDCWD, path, AT_FDCWD, link_path, AT_SYMLINK_FOLLOW); /* or it is there already */
  put(name, bytes, (size_t)size);
  free(bytes);
}

static void keep(int fd) {
  char path[64];
  struct stat info;
  if (!disk || fstat(fd, &info) != 0) return;
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  pthread_mutex_lock(&lock);
  if (S_ISREG(info.st_mode)) keep_file(path, &info);
  if (info.st_dev == watched_stat.st_dev && info.st_ino == watched_stat.st_ino) keep_entries();
  pthread_mutex_unlock(&lock);
}

__attribute__((constructor)) static void begin(void) {
  watched = getenv("POWER_DIRECTORY");
  disk = getenv("POWER_DISK");
  if (!watched || !disk || stat(watched, &watched_stat) != 0) fail("POWER_DIRECTORY, POWER_DISK");
  DIR *folder = opendir(watched);
  if (!folder) fail(watched);
  for (struct dirent *e; (e = readdir(folder));) {
    char path[4096];
    struct stat info;
    snprintf(path, sizeof path, "%s/%s", watched, e->d_name);
    if (stat(path, &info) == 0 && S_ISREG(info.st_mode)) keep_file(path, &info);
  }
  closedir(folder);
  keep_entries();
}

static int synced(const char *name, int fd) {
  int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
  const int failed = real(fd);
  if (!failed) keep(fd);
  return failed;
}

int fsync(int fd) { return synced("fsync", fd); }
int fdatasync(int fd) { return synced("fdatasync", fd); }
