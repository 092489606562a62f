/* SPDX-License-Identifier: Apache-2.0 */
/* Limits of control groups, read from made-up trees of /proc and /sys, and the default number of
 * threads that they and the affinity leave. */
#include "machine/control_group.h"

#include <sched.h>

#include "machine/processor.h"
#include "scratch.h"

static const double kib = 1024, mib = 1024 * 1024;

/* Writes `text` to `path` in the tree and makes the folders above it. */
static void put(const char *path, const char *text) {
  char full[1024];
  snprintf(full, sizeof full, "%s%s", scratch_directory, path);
  for (char *at = full + strlen(scratch_directory) + 1; (at = strchr(at, '/')); at++) {
    *at = '\0';
    mkdir(full, 0700);
    *at = '/';
  }
  scratch_write(full, text, strlen(text));
}

#define V2_MOUNT "30 25 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
#define V1_MOUNT(controllers) \
  "33 25 0:29 / /sys/fs/cgroup/" controllers " rw - cgroup cgroup rw," controllers "\n"

static void put_process(const char *groups, const char *mounts) {
  put("/proc/self/cgroup", groups);
  put("/proc/self/mountinfo", mounts);
}

static double memory(void) { return esc_control_group_memory(scratch_directory); }
static double processors(void) { return esc_control_group_processors(scratch_directory); }

static void without_control_groups_nothing_is_limited(void **state) {
  (void)state;
  assert_true(isinf(memory()));
  put_process("0::/\n", "");
  assert_true(isinf(memory()) && isinf(processors()));
  put_process("not a group\n\n:\n", V2_MOUNT);
  assert_true(isinf(memory()) && isinf(processors()));
}

static void v2_memory_is_the_groups_limit_less_what_it_uses(void **state) {
  (void)state;
  put_process("0::/job\n", V2_MOUNT);
  put("/sys/fs/cgroup/job/memory.max", "1048576\n");
  put("/sys/fs/cgroup/job/memory.current", "262144\n");
  esc_assert_close(memory(), 768 * kib, 0, 0);
}

static void v2_memory_high_counts_as_memory_max_does(void **state) {
  (void)state;
  put_process("0::/job\n", V2_MOUNT);
  put("/sys/fs/cgroup/job/memory.max", "max\n");
  put("/sys/fs/cgroup/job/memory.high", "524288\n");
  esc_assert_close(memory(), 512 * kib, 0, 0);
}

static void the_least_limit_along_the_path_counts(void **state) {
  (void)state;
  put_process("0::/slurm/job_7/step_0\n", V2_MOUNT);
  put("/sys/fs/cgroup/slurm/job_7/step_0/memory.max", "max\n");
  put("/sys/fs/cgroup/slurm/job_7/memory.max", "3145728\n");
  put("/sys/fs/cgroup/slurm/job_7/memory.current", "1048576\n");
  put("/sys/fs/cgroup/slurm/memory.max", "104857600\n");
  esc_assert_close(memory(), 2 * mib, 0, 0);
}

static void a_group_beside_the_path_does_not_count(void **state) {
  (void)state;
  put_process("0::/mine\n", V2_MOUNT);
  put("/sys/fs/cgroup/mine/memory.max", "2097152\n");
  put("/sys/fs/cgroup/other/memory.max", "1024\n");
  esc_assert_close(memory(), 2 * mib, 0, 0);
}

static void file_pages_that_the_kernel_gives_up_are_free(void **state) {
  (void)state;
  put_process("0::/job\n", V2_MOUNT);
  put("/sys/fs/cgroup/job/memory.max", "1048576\n");
  put("/sys/fs/cgroup/job/memory.current", "1048576\n");
  put("/sys/fs/cgroup/job/memory.stat", "anon 262144\nfile 786432\ninactive_file 524288\n");
  esc_assert_close(memory(), 512 * kib, 0, 0);
}

static void a_group_that_uses_more_than_its_limit_has_nothing_left(void **state) {
  (void)state;
  put_process("0::/job\n", V2_MOUNT);
  put("/sys/fs/cgroup/job/memory.max", "1024\n");
  put("/sys/fs/cgroup/job/memory.current", "2048\n");
  esc_assert_close(memory(), 0, 0, 0);
}

static void v1_memory_is_read_where_its_own_controller_is_mounted(void **state) {
  (void)state;
  put_process("5:cpu,cpuacct:/a\n4:memory:/jobs/1\n0::/elsewhere\n",
              V1_MOUNT("cpu,cpuacct") V1_MOUNT("memory"));
  put("/sys/fs/cgroup/memory/jobs/1/memory.limit_in_bytes", "9223372036854771712\n");
  put("/sys/fs/cgroup/memory/jobs/memory.limit_in_bytes", "4194304\n");
  put("/sys/fs/cgroup/memory/jobs/memory.usage_in_bytes", "2097152\n");
  put("/sys/fs/cgroup/memory/jobs/memory.stat", "inactive_file 5\ntotal_inactive_file 1048576\n");
  esc_assert_close(memory(), 3 * mib, 0, 0);
}

static void in_a_container_the_mounted_root_is_a_group_of_the_hosts(void **state) {
  (void)state;
  put_process("4:memory:/docker/0af/inner\n",
              "33 25 0:29 /docker/0af /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n");
  put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "3145728\n");
  put("/sys/fs/cgroup/memory/inner/memory.limit_in_bytes", "2097152\n");
  esc_assert_close(memory(), 2 * mib, 0, 0);
}

static void a_group_outside_of_the_mounted_root_has_the_roots_limits(void **state) {
  (void)state;
  put("/sys/fs/cgroup/memory.max", "1048576\n");
  put_process("0::/../other\n", V2_MOUNT);
  esc_assert_close(memory(), 1 * mib, 0, 0);
  put_process("0::/docker/0afff\n", "30 25 0:26 /docker/0af /sys/fs/cgroup rw - cgroup2 none rw\n");
  esc_assert_close(memory(), 1 * mib, 0, 0);
}

static void processors_are_the_least_quota_over_its_period(void **state) {
  (void)state;
  put_process("0::/a/b\n", V2_MOUNT);
  put("/sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
  assert_true(isinf(processors()));
  put("/sys/fs/cgroup/a/cpu.max", "250000 100000\n");
  esc_assert_close(processors(), 2.5, 0, 0);
}

static void v1_processors_are_quota_over_period_and_minus_one_is_no_limit(void **state) {
  (void)state;
  put_process("3:cpuacct,cpu:/a\n", V1_MOUNT("cpuacct,cpu"));
  put("/sys/fs/cgroup/cpuacct,cpu/a/cpu.cfs_quota_us", "-1\n");
  put("/sys/fs/cgroup/cpuacct,cpu/cpu.cfs_quota_us", "50000\n");
  put("/sys/fs/cgroup/cpuacct,cpu/cpu.cfs_period_us", "100000\n");
  esc_assert_close(processors(), 0.5, 0, 0);
}

/* The default number of threads, with an affinity to the first `processors` of those allowed. */
static int default_threads(int processors) {
  cpu_set_t allowed, some;
  int taken = 0;
  assert_int_equal(sched_getaffinity(0, sizeof allowed, &allowed), 0);
  CPU_ZERO(&some);
  for (size_t i = 0; i < CPU_SETSIZE && taken < processors; i++)
    if (CPU_ISSET(i, &allowed)) {
      CPU_SET(i, &some);
      taken++;
    }
  if (taken < processors) skip();
  assert_int_equal(sched_setaffinity(0, sizeof some, &some), 0);
  const int threads = esc_processor_count_below(scratch_directory);
  assert_int_equal(sched_setaffinity(0, sizeof allowed, &allowed), 0);
  return threads;
}

static void threads_are_as_many_as_the_affinity_has_processors(void **state) {
  (void)state;
  assert_int_equal(default_threads(1), 1);
  assert_int_equal(default_threads(2), 2);
}

static void threads_are_no_more_than_the_quota_rounded_up(void **state) {
  (void)state;
  put_process("0::/job\n", V2_MOUNT);
  put("/sys/fs/cgroup/job/cpu.max", "50000 100000\n");
  assert_int_equal(default_threads(2), 1);
  put("/sys/fs/cgroup/job/cpu.max", "150000 100000\n");
  assert_int_equal(default_threads(2), 2);
}

static void threads_are_no_more_than_the_quota_of_v1(void **state) {
  (void)state;
  put_process("3:cpu:/a\n", V1_MOUNT("cpu"));
  put("/sys/fs/cgroup/cpu/a/cpu.cfs_quota_us", "100000\n");
  put("/sys/fs/cgroup/cpu/a/cpu.cfs_period_us", "100000\n");
  assert_int_equal(default_threads(2), 1);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      CASE(without_control_groups_nothing_is_limited),
      CASE(v2_memory_is_the_groups_limit_less_what_it_uses),
      CASE(v2_memory_high_counts_as_memory_max_does),
      CASE(the_least_limit_along_the_path_counts),
      CASE(a_group_beside_the_path_does_not_count),
      CASE(file_pages_that_the_kernel_gives_up_are_free),
      CASE(a_group_that_uses_more_than_its_limit_has_nothing_left),
      CASE(v1_memory_is_read_where_its_own_controller_is_mounted),
      CASE(in_a_container_the_mounted_root_is_a_group_of_the_hosts),
      CASE(a_group_outside_of_the_mounted_root_has_the_roots_limits),
      CASE(processors_are_the_least_quota_over_its_period),
      CASE(v1_processors_are_quota_over_period_and_minus_one_is_no_limit),
      CASE(threads_are_as_many_as_the_affinity_has_processors),
      CASE(threads_are_no_more_than_the_quota_rounded_up),
      CASE(threads_are_no_more_than_the_quota_of_v1),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
