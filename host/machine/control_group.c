/* SPDX-License-Identifier: Apache-2.0 */
/* Reads /proc/self/cgroup (which group), /proc/self/mountinfo (where its files are), and the
 * limits of the group and of those above it. */
#include "machine/control_group.h"

#include <limits.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* A control group of this process in one hierarchy. */
typedef struct group {
  char path[PATH_MAX]; /* directory of the process's group, shortened towards the root */
  size_t top;          /* length of the path of the mounted root */
  bool unified;        /* v2 */
} group;

static FILE *open_below(const char *root, const char *path) {
  char full[PATH_MAX];
  if (snprintf(full, sizeof full, "%s%s", root, path) >= (int)sizeof full) return NULL;
  return fopen(full, "re");
}

/* Whether `word` is an element of the list `words`, which is separated by commas and ends at a
 * colon, a blank or the end of the line. */
static bool has_word(const char *words, const char *word) {
  const size_t length = strlen(word);
  for (const char *at = words;; at++) {
    const size_t here = strcspn(at, ",: \n");
    if (here == length && !strncmp(at, word, length)) return true;
    at += here;
    if (*at != ',') return false;
  }
}

/* The group's path within its hierarchy. A controller is in one hierarchy only: of v1 (a line that
 * names it), else of v2 ("0::/path"). */
static bool read_group(const char *root, const char *controller, char path[PATH_MAX],
                       bool *unified) {
  char line[PATH_MAX + 256];
  bool found = false;
  FILE *file = open_below(root, "/proc/self/cgroup");
  while (file && fgets(line, sizeof line, file)) {
    const char *names = strchr(line, ':');
    const char *where = names ? strchr(names + 1, ':') : NULL;
    if (!where) continue;
    const bool is_v2 = !strncmp(line, "0::", 3), is_v1 = !is_v2 && has_word(names + 1, controller);
    if (!is_v1 && (!is_v2 || found)) continue;
    snprintf(path, PATH_MAX, "%.*s", (int)strcspn(where + 1, "\n"), where + 1);
    *unified = is_v2;
    found = true;
    if (is_v1) break;
  }
  if (file) fclose(file);
  return found;
}

/* A line of mountinfo: "36 35 0:3 ROOT POINT options ... - TYPE source SUPER-OPTIONS". */
static bool read_mount(const char *line, const char *controller, bool unified, char *from,
                       char *point) {
  char type[64], options[1024];
  const char *behind = strstr(line, " - ");
  if (!behind || sscanf(behind, " - %63s %*s %1023s", type, options) != 2) return false;
  if (strcmp(type, unified ? "cgroup2" : "cgroup") != 0) return false;
  if (!unified && !has_word(options, controller)) return false;
  return sscanf(line, "%*s %*s %*s %4095s %4095s", from, point) == 2;
}

/* Joins mount point and group. In a container the mounted root may be a group of the host, whose
 * path is a prefix of the process's group; for other groups only the root's files are visible. */
static bool make_group_path(const char *root, const char *point, const char *from, const char *path,
                            group *g) {
  const size_t length = strcmp(from, "/") ? strlen(from) : 0;
  const bool below = !strncmp(path, from, length) && (path[length] == '/' || !path[length]) &&
                     !strstr(path, "/..");
  const char *rest = below && strcmp(path + length, "/") ? path + length : "";
  g->top = strlen(root) + strlen(point);
  return snprintf(g->path, sizeof g->path, "%s%s%s", root, point, rest) < (int)sizeof g->path;
}

static bool find_group(const char *root, const char *controller, group *g) {
  char path[PATH_MAX], from[PATH_MAX], point[PATH_MAX], line[3 * PATH_MAX];
  bool found = false;
  if (!read_group(root, controller, path, &g->unified)) return false;
  FILE *file = open_below(root, "/proc/self/mountinfo");
  while (file && !found && fgets(line, sizeof line, file))
    found = read_mount(line, controller, g->unified, from, point) &&
            make_group_path(root, point, from, path, g);
  if (file) fclose(file);
  return found;
}

/* Moves to the parent group; false at the mounted root. */
static bool to_parent_group(group *g) {
  char *slash = strrchr(g->path, '/');
  if (!slash || (size_t)(slash - g->path) < g->top) return false;
  *slash = '\0';
  return true;
}

/* The number behind `key` in a file of lines "key number", else `fallback`; "max" is no number. */
static double read_number(const group *g, const char *name, const char *key, double fallback) {
  char line[256];
  double number = fallback;
  FILE *file = open_below(g->path, name);
  while (file && fgets(line, sizeof line, file))
    if (!strncmp(line, key, strlen(key)) && sscanf(line + strlen(key), "%lf", &number) == 1) break;
  if (file) fclose(file);
  return number;
}

static double group_memory(const group *g) {
  const char *used = g->unified ? "/memory.current" : "/memory.usage_in_bytes";
  const char *kept = g->unified ? "inactive_file " : "total_inactive_file ";
  const char *limit = g->unified ? "/memory.max" : "/memory.limit_in_bytes";
  const double most =
      fmin(read_number(g, limit, "", INFINITY),
           g->unified ? read_number(g, "/memory.high", "", INFINITY) : (double)INFINITY);
  const double files = read_number(g, "/memory.stat", kept, 0);
  return fmax(most - fmax(read_number(g, used, "", 0) - files, 0), 0);
}

static double group_processors(const group *g) {
  double quota = INFINITY, period = 100000;
  if (!g->unified) {
    quota = read_number(g, "/cpu.cfs_quota_us", "", INFINITY);
    period = read_number(g, "/cpu.cfs_period_us", "", period);
    return quota > 0 && period > 0 ? quota / period : (double)INFINITY; /* -1: no limit */
  }
  FILE *file = open_below(g->path, "/cpu.max");
  if (file && fscanf(file, "%lf %lf", &quota, &period) < 1) quota = INFINITY;
  if (file) fclose(file);
  return quota > 0 && period > 0 ? quota / period : (double)INFINITY;
}

static double lowest_limit(const char *root, const char *controller,
                           double (*limit_of)(const group *)) {
  group g;
  double lowest = INFINITY;
  if (!find_group(root, controller, &g)) return lowest;
  do lowest = fmin(lowest, limit_of(&g));
  while (to_parent_group(&g));
  return lowest;
}

double esc_control_group_memory(const char *root) {
  return lowest_limit(root, "memory", group_memory);
}

double esc_control_group_processors(const char *root) {
  return lowest_limit(root, "cpu", group_processors);
}
