/* SPDX-License-Identifier: Apache-2.0 */
/* Limits that control groups (cgroup v1 and v2) set on this process. */
#ifndef ESC_CONTROL_GROUP_H
#define ESC_CONTROL_GROUP_H

/* `root` is a prefix of all paths: "" for this machine, or a test's directory. A group limits
 * everything below it, so the result is the lowest limit from the process's group up to the mounted
 * root. Infinity without a limit, or if it cannot be read. */

/* Bytes that may still be allocated: limit (v2 memory.max and memory.high, v1
 * memory.limit_in_bytes) minus usage; file pages that the kernel gives up first (inactive_file)
 * count as free. */
double esc_control_group_memory(const char *root);

/* CPU quota in processors: v2 cpu.max, v1 cpu.cfs_quota_us over cpu.cfs_period_us. */
double esc_control_group_processors(const char *root);

#endif
