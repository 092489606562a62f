/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/progress.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static const double bar_gap = 0.1, first_line = 5, longest_gap = 60;

void esc_progress_bar_init(esc_progress_bar *bar, bool quiet) {
  const char *term = getenv("TERM");
  bar->quiet = quiet;
  bar->terminal = isatty(STDERR_FILENO) && !(term && !strcmp(term, "dumb"));
  bar->next = bar->terminal ? 0 : first_line;
  bar->gap = bar->terminal ? bar_gap : first_line;
}

/* "1h02m", "3m05s" or "12s"; "?" if unknown. */
static void print_duration(double seconds, char text[24]) {
  const bool is_known = seconds >= 0 && seconds < 1e8;
  const long s = is_known ? (long)(seconds + 0.5) : 0;
  if (!is_known)
    snprintf(text, 24, "?");
  else if (s >= 3600)
    snprintf(text, 24, "%ldh%02ldm", s / 3600, s % 3600 / 60);
  else if (s >= 60)
    snprintf(text, 24, "%ldm%02lds", s / 60, s % 60);
  else
    snprintf(text, 24, "%lds", s);
}

/* "873", "12.3k", "4.51M", "2.00G": three digits. */
static void print_count(double value, char text[24]) {
  static const char units[] = " kMGTPE";
  int unit = 0;
  for (; value >= 999.5 && units[unit + 1]; unit++) value /= 1000;
  if (unit == 0)
    snprintf(text, 24, "%.0f", value);
  else
    snprintf(text, 24, "%.*f%c", value < 9.995 ? 2 : value < 99.95 ? 1 : 0, value, units[unit]);
}

/* ---- parts of the line ---- */

enum { BAR, SHARE, STEPS, ELAPSED, ETA, MEMBERS, ENDS, RATE, PARTS, PART_SIZE = 80 };

static void print_bar(double share, char text[PART_SIZE]) {
  enum { CELLS = 10 };
  const int full = (int)(fmin(fmax(share, 0), 1) * CELLS);
  text[0] = '[';
  for (int i = 0; i < CELLS; i++) text[1 + i] = i < full ? '#' : '.';
  memcpy(text + 1 + CELLS, "]", 2);
}

/* An upper bound of the steps gives an upper bound of the remaining time. */
static void print_steps(const esc_progress *p, double share, double rate,
                        char part[PARTS][PART_SIZE]) {
  char made[24], all[24], left[24], rate_text[24];
  print_count((double)p->steps.made, made);
  print_count(p->steps.expected, all);
  print_count(rate, rate_text);
  print_duration(rate > 0 ? (p->steps.expected - (double)p->steps.made) / rate : -1, left);
  snprintf(part[SHARE], PART_SIZE, "%.0f%%", floor(100 * share));
  snprintf(part[STEPS], PART_SIZE, "%s of %s%s steps", made,
           p->steps.is_upper_bound ? "at most " : "", all);
  snprintf(part[ETA], PART_SIZE, "ETA %s%s", p->steps.is_upper_bound && rate > 0 ? "<" : "", left);
  snprintf(part[RATE], PART_SIZE, "%s steps/s", rate_text);
}

static void print_members(const esc_progress *p, char part[PARTS][PART_SIZE]) {
  const int64_t finished = p->escaped + p->censored + p->diverged;
  char diverged[32] = "";
  if (p->diverged) snprintf(diverged, sizeof diverged, ", %lld diverged", (long long)p->diverged);
  snprintf(part[MEMBERS], PART_SIZE, "%lld/%lld members", (long long)finished,
           (long long)p->members);
  snprintf(part[ENDS], PART_SIZE, "%lld escaped, %lld censored%s, %lld running",
           (long long)p->escaped, (long long)p->censored, diverged, (long long)p->running);
}

/* Chooses the parts that fit in a line of `columns`, in order of importance. */
static void choose(char part[PARTS][PART_SIZE], int columns, bool chosen[PARTS]) {
  static const int importance[PARTS] = {SHARE, ETA, ELAPSED, STEPS, MEMBERS, BAR, ENDS, RATE};
  int used = -2;
  for (int i = 0; i < PARTS; i++) {
    const int k = importance[i], length = 2 + (int)strlen(part[k]);
    chosen[k] = columns ? used + length <= columns : k != BAR;
    if (chosen[k]) used += length;
  }
}

void esc_progress_print(const esc_progress *p, int columns, char *line, size_t size) {
  char part[PARTS][PART_SIZE];
  bool chosen[PARTS];
  size_t used = 0;
  const double rate = p->seconds > 0 ? (double)p->network_steps / p->seconds : 0;
  const double share = p->steps.expected > 0 ? (double)p->steps.made / p->steps.expected : 0;
  print_bar(share, part[BAR]);
  print_steps(p, share, rate, part);
  print_members(p, part);
  print_duration(p->seconds, part[ELAPSED]);
  choose(part, columns, chosen);
  line[0] = 0;
  for (int i = 0; i < PARTS; i++)
    if (chosen[i] && used < size)
      used += (size_t)snprintf(line + used, size - used, "%s%s", used ? "  " : "", part[i]);
}

/* ---- the terminal ---- */

/* Width of the terminal, or $COLUMNS if the terminal reports none. */
static int terminal_columns(void) {
  struct winsize size;
  const char *named = getenv("COLUMNS");
  const int columns = named ? atoi(named) : 0;
  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1) return size.ws_col;
  return columns > 1 ? columns : 80;
}

void esc_progress_bar_report(void *context, const esc_progress *p) {
  esc_progress_bar *bar = context;
  char line[PARTS * PART_SIZE];
  if (bar->quiet || p->seconds < bar->next) return;
  /* One column stays free, because a wrapped bar could not be rewritten. */
  esc_progress_print(p, bar->terminal ? terminal_columns() - 1 : 0, line, sizeof line);
  fprintf(stderr, bar->terminal ? "\r%s\033[K" : "%s\n", line);
  if (!bar->terminal && bar->gap < longest_gap) bar->gap *= 1.5;
  bar->next = p->seconds + bar->gap;
}

void esc_progress_bar_finish(const esc_progress_bar *bar) {
  if (bar->terminal && !bar->quiet) fputs("\r\033[K", stderr);
}
