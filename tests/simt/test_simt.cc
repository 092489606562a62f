/* SPDX-License-Identifier: Apache-2.0 */
/* Runs the tests of the harness and says which failed. */
#include "test_simt.h"

#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

namespace {

struct Entry {
  const char *name;
  void (*body)();
};

std::vector<Entry> &entries() {
  static std::vector<Entry> all;
  return all;
}

int failures;

bool is_wanted(const char *name, int count, char **parts) {
  for (int i = 0; i < count; i++) {
    if (strstr(name, parts[i]) != nullptr) return true;
  }
  return count == 0;
}

/* True if it passed. */
bool run(const Entry &entry) {
  const int before = failures;
  esc_simt_reset();
  entry.body();
  esc_simt_reset();
  CHECK_EQUAL(esc_simt_live(), 0);
  CHECK_EQUAL(cudaGetLastError(), cudaSuccess);
  const bool passed = failures == before;
  printf("%s  %s\n", passed ? "ok    " : "FAILED", entry.name);
  fflush(stdout);
  return passed;
}

std::string read_all(int file) {
  std::string text;
  char bytes[4096];
  for (ssize_t n; (n = read(file, bytes, sizeof bytes)) > 0;) {
    text.append(bytes, static_cast<size_t>(n));
  }
  return text;
}

} /* namespace */

Test::Test(const char *name, void (*body)()) { entries().push_back({name, body}); }

void test_fail(const char *file, int line, const std::string &what) {
  failures++;
  fprintf(stderr, "%s:%d: %s\n", file, line, what.c_str());
}

void check_dies(const char *file, int line, const std::function<void()> &body,
                const std::vector<std::string> &texts) {
  int ends[2];
  fflush(nullptr);
  if (pipe(ends) != 0) return test_fail(file, line, "no pipe");
  const pid_t child = fork();
  if (child < 0) return test_fail(file, line, "no child");
  if (child == 0) {
    dup2(ends[1], STDERR_FILENO);
    body();
    _exit(0);
  }
  close(ends[1]);
  const std::string said = read_all(ends[0]);
  close(ends[0]);
  int status = 0;
  if (waitpid(child, &status, 0) != child || (WIFEXITED(status) && WEXITSTATUS(status) == 0)) {
    test_fail(file, line, "the child should not end well; it said: " + said);
  }
  for (const std::string &text : texts) {
    if (said.find(text) == std::string::npos) {
      test_fail(file, line, "\"" + text + "\" is missing in: " + said);
    }
  }
}

int main(int argc, char **argv) {
  int ran = 0, failed = 0;
  for (const Entry &entry : entries()) {
    if (!is_wanted(entry.name, argc - 1, argv + 1)) continue;
    ran++;
    failed += !run(entry);
  }
  printf("%d tests, %d failed\n", ran, failed);
  return failed != 0 || ran == 0;
}
