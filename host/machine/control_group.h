/* SPDX-License-Identifier: Apache-2.0 */
/* Limits that control groups (cgroup v1 and v2) set on this process. */
#ifndef ESC_CONTROL_GROUP_H
#define ESC_CONTROL_GROUP_H

/* `root` stands before /proc and below the mount points: "" for this machine, or the path of a
 * made-up tree. A group limits everything below it, so that the least over the path from the
 * process's own group up to the mounted root counts. Where nothing is limited, or what is there
 * cannot be read: infinity. */

/* Bytes that may still be allocated: limit (v2 memory.max and memory.high, v1
 * memory.limit_in_bytes) less what is used; file pages that the kernel gives up first
 * (inactive_file) count as free. */
double esc_control_group_memory(const char *root);

/* Processors' worth of time: v2 cpu.max, v1 cpu.cfs_quota_us over cpu.cfs_period_us. */
double esc_control_group_processors(const char *root);

#endif
