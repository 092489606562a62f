/* SPDX-License-Identifier: Apache-2.0 */
/* escapement watch: a live table and text plot of a run, from its files. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "base/signals.h"
#include "base/text.h"
#include "cli/cli.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/watch_frame.h"

enum {
  COLUMNS = 80,
  LINES = 24,
  FAILURES_MAX = 5,
  PAUSE_FACTOR = 4 /* so that reading a large journal is no load */
};
static const struct timespec moment = {0, 100000000};

/* Sequences of a terminal: alternate screen without cursor, and back; home; to the end. */
static const char enter[] = "\033[?1049h\033[?25l", leave[] = "\033[?25h\033[?1049l",
                  home[] = "\033[H", to_line_end[] = "\033[K", to_end[] = "\033[J";

static void write_raw(const char *text, size_t size) {
  while (size > 0) {
    const ssize_t written = write(STDOUT_FILENO, text, size);
    if (written <= 0) return;
    text += written;
    size -= (size_t)written;
  }
}

static esc_watch_window find_window(void) {
  struct winsize size;
  const bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1;
  return (esc_watch_window){known && size.ws_row > 1 ? size.ws_row - 1 : LINES,
                            known ? size.ws_col : COLUMNS};
}

/* ---- one print ---- */

static esc_status print_once(const char *output, bool as_json) {
  esc_status status = ESC_OK;
  esc_watch_state state;
  json_t *json = NULL;
  esc_unfinished_forecast forecast = {0};
  FILE *out = as_json ? fopen("/dev/null", "w") : stdout;
  ESC_TRY_ALLOCATE(out);
  ESC_TRY(esc_watch_frame(output, &forecast, (esc_watch_window){0, COLUMNS}, out, &state,
                          as_json ? &json : NULL));
  if (as_json) status = esc_json_print(json);
done:
  esc_unfinished_forecast_free(&forecast);
  if (as_json && out) fclose(out);
  return status;
}

/* ---- live ---- */

typedef struct screen {
  char *text; /* of the last frame; owned */
  size_t size;
  int failures; /* successive: files can vanish while they are read, as a run ends */
  esc_unfinished_forecast forecast;
} screen;

/* Writes the frame line by line, so that lines that stay do not flicker; control characters of
 * names are escaped. */
static void show(const screen *s, int lines) {
  char *escaped = NULL, *line, *rest;
  size_t size = 0;
  FILE *out = open_memstream(&escaped, &size);
  if (!out) return;
  esc_text_print_escaped(out, s->text, s->size, true);
  if (fclose(out) != 0) return;
  write_raw(home, sizeof home - 1);
  rest = escaped;
  for (int i = 0; i < lines && (line = strsep(&rest, "\n")); i++) {
    write_raw(line, strlen(line));
    write_raw(to_line_end, sizeof to_line_end - 1);
    if (rest) write_raw("\r\n", 2);
  }
  write_raw(to_end, sizeof to_end - 1);
  free(escaped);
}

/* Reads and shows the run. */
static esc_status refresh(screen *s, const char *output, esc_watch_state *state) {
  char *text = NULL;
  size_t size = 0;
  const esc_watch_window window = find_window();
  FILE *out = open_memstream(&text, &size);
  if (!out) return ESC_FAIL(ESC_NO_MEMORY, "out of memory (watch)");
  const esc_status status = esc_watch_frame(output, &s->forecast, window, out, state, NULL);
  fclose(out);
  if (status != ESC_OK) {
    free(text);
    return ++s->failures < FAILURES_MAX && s->text ? ESC_OK : status;
  }
  free(s->text);
  s->text = text;
  s->size = size;
  s->failures = 0;
  show(s, window.lines);
  return ESC_OK;
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void wait_until(const esc_stop *stop, double end) {
  while (now() < end && esc_stop_level(stop) == 0) nanosleep(&moment, NULL);
}

static bool goes_on(esc_watch_state state) {
  return state != ESC_WATCH_FINISHED && state != ESC_WATCH_STOPPED;
}

/* The last frame stays behind on the ordinary screen. */
static esc_status watch(const char *output, int64_t seconds) {
  esc_status status = ESC_OK;
  esc_watch_state state = ESC_WATCH_STARTING;
  esc_stop *stop = NULL;
  screen s = {.text = NULL};
  ESC_TRY(esc_stop_create(&stop));
  esc_signals_install(stop);
  write_raw(enter, sizeof enter - 1);
  while (esc_stop_level(stop) == 0) {
    const double start = now();
    status = refresh(&s, output, &state);
    if (status != ESC_OK || !goes_on(state)) break;
    const double reading = now() - start;
    wait_until(stop, fmax(start + (double)seconds, now() + PAUSE_FACTOR * reading));
  }
  write_raw(leave, sizeof leave - 1);
  esc_signals_restore();
  if (status == ESC_OK && s.text) fputs(s.text, stdout);
done:
  esc_stop_free(stop);
  esc_unfinished_forecast_free(&s.forecast);
  free(s.text);
  return status;
}

esc_status esc_command_watch(int argc, char **argv) {
  esc_status status = ESC_OK;
  bool once = false, json = false, help = false;
  int64_t seconds = 2;
  int first = 0;
  const esc_option options[] = {
      {"every", 0, "N", "seconds between refreshes (default: 2)", .number = &seconds, .min = 1,
       .max = 86400},
      {"once", 0, NULL, "print once; the default if the output is no terminal", .flag = &once},
      {"json", 0, NULL, "print once, as one JSON object", .flag = &json},
      {0},
  };
  const esc_command command = {
      "watch OUT.h5 [options]",
      "Shows a run while it trains, from its files: members by state, mean escape steps\n"
      "so far as a table and a text plot, throughput, time left. Ends when the run has\n"
      "ended or stopped, or with Ctrl-C, which does not affect the run.",
      .options = options, .suffixes = ESC_RESULT_SUFFIXES "|journal"};
  ESC_TRY(esc_options_parse(&command, argc, argv, &first, &help));
  if (help) return ESC_OK;
  if (argc - first != 1)
    return ESC_FAIL(ESC_BAD_INPUT, "watch: one file is required: the output of a run (OUT.h5)");
  const char *term = getenv("TERM");
  const bool live = isatty(STDOUT_FILENO) && !(term && !strcmp(term, "dumb"));
  status = once || json || !live ? print_once(argv[first], json) : watch(argv[first], seconds);
done:
  return status;
}
