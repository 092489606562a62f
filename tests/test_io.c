/* SPDX-License-Identifier: Apache-2.0 */
/* Files are published whole or not at all, read whole, and refused with a reason. */
#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/time.h>
#include <sys/wait.h>

#include "scratch.h"

static void assert_holds(const char *path, const char *text) {
  size_t size;
  char *bytes = scratch_read(path, &size);
  assert_int_equal(size, strlen(text));
  assert_memory_equal(bytes, text, size);
  free(bytes);
}

static void a_published_file_holds_its_bytes_and_nothing_else_is_left(void **state) {
  (void)state;
  esc_assert_ok(esc_io_publish(scratch("a file"), "one", 3));
  assert_holds(scratch("a file"), "one");
  esc_assert_ok(esc_io_publish(scratch("a file"), "another", 7));
  assert_holds(scratch("a file"), "another");
  esc_assert_ok(esc_io_publish(scratch("empty"), "", 0));
  assert_holds(scratch("empty"), "");
  assert_int_equal(scratch_count(), 2);
}

static void a_relative_path_is_published_where_it_says(void **state) {
  (void)state;
  char here[PATH_MAX];
  assert_non_null(getcwd(here, sizeof here));
  assert_int_equal(chdir(scratch_directory), 0);
  assert_int_equal(mkdir("sub", 0777), 0);
  esc_assert_ok(esc_io_publish("plain", "1", 1));
  esc_assert_ok(esc_io_publish("sub/../-o", "2", 1));
  esc_assert_ok(esc_io_publish("./sub/ünïcode", "3", 1));
  assert_int_equal(chdir(here), 0);
  assert_holds(scratch("plain"), "1");
  assert_holds(scratch("-o"), "2");
  assert_holds(scratch("sub/ünïcode"), "3");
}

static void the_mode_is_what_umask_leaves(void **state) {
  (void)state;
  struct stat info;
  const mode_t before = umask(027);
  esc_assert_ok(esc_io_publish(scratch("file"), "x", 1));
  umask(before);
  assert_int_equal(stat(scratch("file"), &info), 0);
  assert_int_equal(info.st_mode & 0777, 0640);
}

static void a_link_stays_and_its_file_is_replaced(void **state) {
  (void)state;
  struct stat info;
  assert_int_equal(mkdir(scratch("far"), 0777), 0);
  scratch_write(scratch("far/file"), "old", 3);
  assert_int_equal(symlink("far/file", scratch("relative")), 0);
  assert_int_equal(symlink(scratch("relative"), scratch("absolute")), 0);
  esc_assert_ok(esc_io_publish(scratch("absolute"), "new", 3));
  assert_holds(scratch("far/file"), "new");
  assert_int_equal(lstat(scratch("absolute"), &info), 0);
  assert_true(S_ISLNK(info.st_mode));
  assert_int_equal(lstat(scratch("relative"), &info), 0);
  assert_true(S_ISLNK(info.st_mode));
}

static void a_link_to_nothing_makes_the_file_it_names(void **state) {
  (void)state;
  assert_int_equal(symlink("later", scratch("link")), 0);
  assert_false(esc_io_exists(scratch("link")));
  esc_assert_ok(esc_io_publish(scratch("link"), "x", 1));
  assert_holds(scratch("later"), "x");
}

/* Both publishing and the check before it refuse `path` and say `why`. */
static void assert_refused(const char *path, const char *why) {
  assert_int_equal(esc_io_publish(path, "x", 1), ESC_BAD_INPUT);
  assert_message_names(why, NULL);
  assert_int_equal(esc_io_check_writable(path), ESC_BAD_INPUT);
  assert_message_names(why, NULL);
}

static void what_is_no_place_for_a_file_is_refused(void **state) {
  (void)state;
  char name[PATH_MAX + 100];
  assert_int_equal(symlink("loop", scratch("loop")), 0);
  assert_int_equal(mkfifo(scratch("fifo"), 0666), 0);
  scratch_write(scratch("file"), "x", 1);
  assert_refused("", "empty");
  assert_refused(scratch_directory, "is a directory");
  assert_refused(scratch(""), "the name of a directory");
  assert_refused(scratch("."), "is a directory");
  assert_refused(scratch("loop"), "symbolic links");
  assert_refused(scratch("fifo"), "not a regular file");
  assert_refused(scratch("none/out.h5"), "No such file or directory");
  assert_refused(scratch("file/out.h5"), "Not a directory");
  memset(name, 'n', sizeof name - 1);
  name[sizeof name - 1] = '\0';
  assert_refused(name, "too long");
  assert_refused(scratch(name + PATH_MAX - 200), "too long");
  assert_int_equal(scratch_count(), 3);
}

static void devices_are_refused_however_they_are_named(void **state) {
  (void)state;
  assert_int_equal(symlink("/dev/stdout", scratch("out.h5")), 0);
  assert_refused("/dev/stdout", "/dev/stdout: is a device, not a file");
  assert_refused("/dev/null", "device");
  assert_refused("/proc/self/fd/1", "device");
  assert_refused("/dev/fd/1", "device");
  assert_refused(scratch("out.h5"), "device");
}

static void a_directory_that_may_not_be_written_is_refused(void **state) {
  (void)state;
  const uid_t user = geteuid();
  assert_int_equal(mkdir(scratch("locked"), 0555), 0);
  if (user == 0) { /* root may write anywhere, so be somebody else */
    assert_int_equal(chmod(scratch_directory, 0755), 0);
    assert_int_equal(seteuid(65534), 0);
  }
  assert_refused(scratch("locked/out.h5"), "Permission denied");
  assert_int_equal(seteuid(user), 0);
}

static void checking_leaves_nothing(void **state) {
  (void)state;
  esc_assert_ok(esc_io_check_writable(scratch("new")));
  assert_int_equal(scratch_count(), 0);
  scratch_write(scratch("old"), "x", 1);
  esc_assert_ok(esc_io_check_writable(scratch("old")));
  assert_holds(scratch("old"), "x");
  assert_int_equal(scratch_count(), 1);
}

static void a_failed_write_keeps_the_old_file_and_leaves_no_temporary(void **state) {
  (void)state;
  static char bytes[100000];
  scratch_write(scratch("file"), "old", 3);
  scratch_limit_files(50000);
  const esc_status status = esc_io_publish(scratch("file"), bytes, sizeof bytes);
  scratch_limit_files(RLIM_INFINITY);
  assert_int_equal(status, ESC_IO_FAILED);
  assert_message_names(scratch("file"), strerror(EFBIG), NULL);
  assert_holds(scratch("file"), "old");
  assert_int_equal(scratch_count(), 1);
}

static void a_full_device_is_told_with_its_reason(void **state) {
  (void)state;
  const int fd = open("/dev/full", O_WRONLY);
  assert_true(fd >= 0);
  errno = 0;
  assert_int_equal(esc_io_write_all(fd, "a name", "x", 1), ESC_IO_FAILED);
  assert_int_equal(errno, ENOSPC);
  assert_message_names("a name", strerror(ENOSPC), NULL);
  close(fd);
}

static pid_t dead_process(void) {
  const pid_t pid = fork();
  if (pid == 0) _exit(0);
  assert_true(pid > 0);
  assert_int_equal(waitpid(pid, NULL, 0), pid);
  return pid;
}

static void temporaries_of_the_dead_are_cleared_away_and_others_stay(void **state) {
  (void)state;
  char dead[64], other[64], alive[64];
  const long pid = dead_process();
  snprintf(dead, sizeof dead, ".out.h5.%ld-7.tmp", pid);
  snprintf(other, sizeof other, ".out.%ld-7.tmp", pid);
  snprintf(alive, sizeof alive, ".out.h5.%ld-999999.tmp", (long)getppid());
  scratch_write(scratch(dead), "x", 1);
  scratch_write(scratch(other), "x", 1);
  scratch_write(scratch(alive), "x", 1);
  esc_assert_ok(esc_io_publish(scratch("out.h5"), "x", 1));
  assert_false(esc_io_exists(scratch(dead)));
  assert_true(esc_io_exists(scratch(other)));
  assert_true(esc_io_exists(scratch(alive)));
}

static void a_name_of_the_longest_length_is_published(void **state) {
  (void)state;
  char name[NAME_MAX + 1];
  memset(name, 'n', NAME_MAX);
  name[NAME_MAX] = '\0';
  esc_assert_ok(esc_io_publish(scratch(name), "x", 1));
  assert_holds(scratch(name), "x");
}

static void a_file_is_read_whole_with_a_nul_behind_it(void **state) {
  (void)state;
  static char pattern[200001];
  char *bytes;
  size_t size;
  for (size_t i = 0; i < sizeof pattern; i++) pattern[i] = (char)(i * 7 + i / 256);
  scratch_write(scratch("file"), pattern, sizeof pattern);
  esc_assert_ok(esc_io_read(scratch("file"), sizeof pattern, &bytes, &size));
  assert_int_equal(size, sizeof pattern);
  assert_memory_equal(bytes, pattern, size);
  assert_int_equal(bytes[size], '\0');
  free(bytes);
}

static void a_file_at_its_limit_is_read_and_one_byte_more_is_refused(void **state) {
  (void)state;
  char *bytes;
  size_t size;
  scratch_write(scratch("file"), "12345", 5);
  scratch_write(scratch("empty"), "", 0);
  esc_assert_ok(esc_io_read(scratch("file"), 5, &bytes, &size));
  free(bytes);
  assert_int_equal(esc_io_read(scratch("file"), 4, &bytes, &size), ESC_BAD_INPUT);
  assert_message_names(scratch("file"), "4 bytes", NULL);
  esc_assert_ok(esc_io_read(scratch("empty"), 0, &bytes, &size));
  assert_int_equal(size, 0);
  free(bytes);
}

static void a_pipe_is_read_to_its_end_and_held_to_the_limit(void **state) {
  (void)state;
  char path[64], *bytes;
  size_t size;
  int ends[2];
  assert_int_equal(pipe(ends), 0);
  assert_int_equal(write(ends[1], "from a pipe", 11), 11);
  close(ends[1]);
  snprintf(path, sizeof path, "/dev/fd/%d", ends[0]);
  esc_assert_ok(esc_io_read(path, 1000000, &bytes, &size));
  assert_string_equal(bytes, "from a pipe");
  free(bytes);
  close(ends[0]);
  assert_int_equal(esc_io_read("/dev/zero", 300000, &bytes, &size), ESC_BAD_INPUT);
  assert_message_names("/dev/zero", "300000 bytes", NULL);
}

static void what_cannot_be_read_is_named_with_the_reason(void **state) {
  (void)state;
  char *bytes;
  size_t size;
  assert_int_equal(esc_io_read(scratch("none"), 10, &bytes, &size), ESC_BAD_INPUT);
  assert_message_names(scratch("none"), strerror(ENOENT), NULL);
  assert_int_equal(esc_io_read(scratch_directory, 1 << 20, &bytes, &size), ESC_BAD_INPUT);
  assert_message_names(scratch_directory, strerror(EISDIR), NULL);
}

static void ignore(int signal) { (void)signal; }

/* Reads a pipe slowly and exits with 0 if all `size` bytes came in order. */
static void check_pipe(int fd, size_t size) {
  size_t got = 0;
  unsigned char block[4000];
  for (ssize_t n; (n = read(fd, block, sizeof block)) > 0;) {
    for (ssize_t i = 0; i < n; i++)
      if (block[i] != (unsigned char)((got + (size_t)i) % 251)) _exit(1);
    got += (size_t)n;
    usleep(200);
  }
  _exit(got == size ? 0 : 2);
}

static void interrupted_and_short_writes_lose_nothing(void **state) {
  (void)state;
  static unsigned char bytes[1 << 19];
  int ends[2], result;
  for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (unsigned char)(i % 251);
  assert_int_equal(pipe(ends), 0);
  const pid_t child = fork();
  if (child == 0) {
    close(ends[1]);
    check_pipe(ends[0], sizeof bytes);
  }
  close(ends[0]);
  const struct sigaction action = {.sa_handler = ignore}; /* without SA_RESTART */
  const struct itimerval every = {{0, 500}, {0, 500}}, never = {{0, 0}, {0, 0}};
  sigaction(SIGALRM, &action, NULL);
  setitimer(ITIMER_REAL, &every, NULL);
  const esc_status status = esc_io_write_all(ends[1], "pipe", bytes, sizeof bytes);
  setitimer(ITIMER_REAL, &never, NULL);
  close(ends[1]);
  assert_int_equal(waitpid(child, &result, 0), child);
  assert_int_equal(status, ESC_OK);
  assert_true(WIFEXITED(result) && WEXITSTATUS(result) == 0);
}

/* ---- files that the program names itself ---- */

static void a_file_of_its_own_follows_no_link_and_opens_no_pipe(void **state) {
  (void)state;
  esc_io_file *file;
  int fd;
  scratch_write(scratch("victim"), "precious", 8);
  assert_int_equal(symlink(scratch("victim"), scratch("link")), 0);
  assert_int_equal(symlink(scratch("nothing"), scratch("dangling")), 0);
  assert_int_equal(mkfifo(scratch("pipe"), 0666), 0);
  static const char *const names[] = {"link", "dangling", "pipe", "."};
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
    const char *const why = i < 2 ? "symbolic link" : "not a regular file";
    assert_int_equal(esc_io_begin_sidecar(scratch(names[i]), &file), ESC_BAD_INPUT);
    assert_message_names(names[i], why, NULL);
    for (int create = 0; create < 2; create++) {
      assert_int_equal(esc_io_open_sidecar(scratch(names[i]), create, &fd), ESC_BAD_INPUT);
      assert_message_names(names[i], why, NULL);
    }
  }
  esc_io_remove(scratch("link")); /* not a file of its own */
  assert_holds(scratch("link"), "precious");
  assert_int_equal(scratch_count(), 4);
}

static void a_name_taken_meanwhile_is_not_written_over(void **state) {
  (void)state;
  esc_io_file *file;
  int fd = -1;
  esc_assert_ok(esc_io_begin_sidecar(scratch("file"), &file));
  esc_assert_ok(esc_io_write(file, "ours", 4));
  scratch_write(scratch("file"), "theirs", 6);
  assert_int_equal(esc_io_commit_locked(file, &fd), ESC_IO_FAILED);
  assert_message_names("file", strerror(EEXIST), NULL);
  assert_holds(scratch("file"), "theirs");
  assert_int_equal(scratch_count(), 1);
}

static void a_temporary_that_another_process_holds_locked_stays(void **state) {
  (void)state;
  scratch_write(scratch(".file.2147483646-1234.tmp"), "x", 1);
  const int fd = open(scratch(".file.2147483646-1234.tmp"), O_RDWR | O_CLOEXEC);
  assert_int_equal(flock(fd, LOCK_EX), 0);
  esc_io_remove_temporaries(scratch("file"));
  assert_int_equal(scratch_count(), 1);
  close(fd);
  assert_int_equal(symlink("elsewhere", scratch(".file.2147483646-99.tmp")), 0);
  esc_io_remove_temporaries(scratch("file"));
  assert_int_equal(scratch_count(), 1); /* the link, which is none of its own */
}

/* Whether a run with all its files could be at a name of `length` bytes, and at a path. */
static esc_status check_length_of(size_t length, const char *suffix) {
  char name[NAME_MAX + 2];
  const char *const suffixes[] = {".journal", suffix, ".x"};
  memset(name, 'n', length);
  name[length] = '\0';
  return esc_io_check_names(scratch(name), suffixes, 3);
}

static void names_are_checked_to_the_byte(void **state) {
  (void)state;
  esc_assert_ok(check_length_of(235, ".checkpoint.previous"));
  for (size_t length = 236; length <= NAME_MAX; length++) {
    char told[80];
    assert_int_equal(check_length_of(length, ".checkpoint.previous"), ESC_BAD_INPUT);
    snprintf(told, sizeof told, "%zu bytes too long", length - 235);
    assert_message_names(told, ".checkpoint.previous", "allows 255", NULL);
  }
  esc_assert_ok(check_length_of(221, ".part-63-of-64.checkpoint.previous"));
  assert_int_equal(check_length_of(222, ".part-63-of-64.checkpoint.previous"), ESC_BAD_INPUT);
}

static void paths_are_checked_to_the_byte(void **state) {
  (void)state;
  static const char *const suffix[] = {".checkpoint.previous"};
  char path[PATH_MAX + 10];
  const size_t base = strlen(scratch_directory);
  for (size_t whole = PATH_MAX - 2; whole <= PATH_MAX + 1; whole++) {
    const size_t given = whole - strlen(suffix[0]);
    strcpy(path, scratch_directory);
    for (size_t end = base; end < given - 6; end += 2) memcpy(path + end, "/.", 3);
    memset(path + strlen(path), 'n', given - strlen(path));
    path[given] = '\0';
    *strrchr(path, '.') = '/'; /* "//nnn" */
    assert_int_equal(esc_io_check_names(path, suffix, 1),
                     whole < PATH_MAX ? ESC_OK : ESC_BAD_INPUT);
  }
}

/* Its parent, the test, has not asked for it yet. */
static void a_temporary_of_a_process_that_ended_unseen_is_left_over(void **state) {
  (void)state;
  siginfo_t info;
  char name[64];
  const pid_t ended = fork();
  if (ended == 0) _exit(0);
  assert_int_equal(waitid(P_PID, (id_t)ended, &info, WEXITED | WNOWAIT), 0);
  snprintf(name, sizeof name, ".out.h5.%ld-1234.tmp", (long)ended);
  scratch_write(scratch(name), "x", 1);
  esc_assert_ok(esc_io_publish(scratch("out.h5"), "x", 1));
  assert_int_equal(scratch_count(), 1);
  assert_int_equal(waitpid(ended, NULL, 0), ended);
}

static uid_t owner_of(const char *name) {
  struct stat info;
  assert_int_equal(stat(scratch(name), &info), 0);
  return info.st_uid;
}

static void root_goes_on_with_a_users_files_which_stay_the_users(void **state) {
  (void)state;
  esc_io_file *file;
  int fd;
  scratch_write(scratch("a.h5.journal"), "x", 1);
  if (geteuid() != 0 || chown(scratch("a.h5.journal"), 12345, 12345) != 0) skip();
  assert_int_equal(esc_io_open_sidecar(scratch("a.h5.journal"), true, &fd), ESC_BAD_INPUT);
  assert_int_equal(chown(scratch_directory, 12345, 12345),
                   0); /* now the folder is the user's too */
  esc_assert_ok(esc_io_open_sidecar(scratch("a.h5.journal"), true, &fd));
  close(fd);
  esc_assert_ok(esc_io_open_sidecar(scratch("a.h5.snapshots"), true, &fd));
  close(fd);
  esc_assert_ok(esc_io_begin_sidecar(scratch("a.h5.checkpoint.previous"), &file));
  esc_assert_ok(esc_io_commit(file, NULL));
  esc_assert_ok(esc_io_publish(scratch("a.h5"), "x", 1));
  esc_assert_ok(esc_io_publish(scratch("b.h5"), "x", 1)); /* root's own */
  scratch_write(scratch("roots"), "", 0);
  assert_int_equal(link(scratch("roots"), scratch("a.h5.lock")), 0);
  esc_assert_ok(esc_io_open_sidecar(scratch("a.h5.lock"), true, &fd));
  close(fd);
  assert_int_equal(owner_of("roots"), 0);
  assert_int_equal(owner_of("a.h5.journal"), 12345);
  assert_int_equal(owner_of("a.h5.snapshots"), 12345);
  assert_int_equal(owner_of("a.h5.checkpoint.previous"), 12345);
  assert_int_equal(owner_of("a.h5"), 12345);
  assert_int_equal(owner_of("b.h5"), 0);
  assert_true(chown(scratch_directory, 0, 0) == 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      CASE(a_published_file_holds_its_bytes_and_nothing_else_is_left),
      CASE(a_relative_path_is_published_where_it_says),
      CASE(the_mode_is_what_umask_leaves),
      CASE(a_link_stays_and_its_file_is_replaced),
      CASE(a_link_to_nothing_makes_the_file_it_names),
      CASE(what_is_no_place_for_a_file_is_refused),
      CASE(devices_are_refused_however_they_are_named),
      CASE(a_directory_that_may_not_be_written_is_refused),
      CASE(checking_leaves_nothing),
      CASE(a_failed_write_keeps_the_old_file_and_leaves_no_temporary),
      CASE(a_full_device_is_told_with_its_reason),
      CASE(temporaries_of_the_dead_are_cleared_away_and_others_stay),
      CASE(a_name_of_the_longest_length_is_published),
      CASE(a_file_is_read_whole_with_a_nul_behind_it),
      CASE(a_file_at_its_limit_is_read_and_one_byte_more_is_refused),
      CASE(a_pipe_is_read_to_its_end_and_held_to_the_limit),
      CASE(what_cannot_be_read_is_named_with_the_reason),
      CASE(interrupted_and_short_writes_lose_nothing),
      CASE(a_file_of_its_own_follows_no_link_and_opens_no_pipe),
      CASE(a_temporary_of_a_process_that_ended_unseen_is_left_over),
      CASE(root_goes_on_with_a_users_files_which_stay_the_users),
      CASE(a_name_taken_meanwhile_is_not_written_over),
      CASE(a_temporary_that_another_process_holds_locked_stays),
      CASE(names_are_checked_to_the_byte),
      CASE(paths_are_checked_to_the_byte),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
