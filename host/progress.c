#include "progress.h"

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

/* "1h02m", "3m05s" or "12s"; "?" while nothing has finished. */
static void duration(double seconds, char text[24]) {
  const long s = (long)(seconds + 0.5);
  if (!(seconds >= 0 && seconds < 1e8))
    snprintf(text, 24, "?");
  else if (s >= 3600)
    snprintf(text, 24, "%ldh%02ldm", s / 3600, s % 3600 / 60);
  else if (s >= 60)
    snprintf(text, 24, "%ldm%02lds", s / 60, s % 60);
  else
    snprintf(text, 24, "%lds", s);
}

static void draw_bar(double share, char text[24]) {
  const int full = (int)(share * 20);
  for (int i = 0; i < 20; i++) text[i] = i < full ? '#' : '.';
  text[20] = 0;
}

static int columns(void) {
  struct winsize size;
  return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1 ? size.ws_col : 256;
}

void esc_progress_bar_report(void *context, const esc_progress *p) {
  esc_progress_bar *bar = context;
  if (bar->quiet || p->seconds < bar->next) return;
  const int64_t finished = p->escaped + p->censored + p->diverged;
  const int64_t waiting = p->members - finished - p->running;
  const double share = p->members ? (double)finished / (double)p->members : 1;
  char drawn[24], left[24];
  draw_bar(share, drawn);
  /* The longest members start first, so this is rather too long than too short. */
  duration(finished ? p->seconds * (1 - share) / share : -1, left);
  char line[256];
  snprintf(line, sizeof line,
           "[%s] %lld escaped, %lld censored, %lld running, %lld waiting; %.3g network-steps/s, "
           "ETA %s",
           drawn, (long long)p->escaped, (long long)(p->censored + p->diverged),
           (long long)p->running, (long long)waiting, (double)p->network_steps / p->seconds, left);
  if (bar->terminal)
    fprintf(stderr, "\r%.*s\033[K", columns() - 1, line); /* a wrapped bar would flood */
  else
    fprintf(stderr, "%s\n", line);
  if (!bar->terminal && bar->gap < longest_gap) bar->gap *= 1.5;
  bar->next = p->seconds + bar->gap;
}

void esc_progress_bar_finish(const esc_progress_bar *bar) {
  if (bar->terminal && !bar->quiet) fputs("\r\033[K", stderr);
}
