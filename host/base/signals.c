/* SPDX-License-Identifier: Apache-2.0 */
#include "base/signals.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

const char esc_signals_parent_variable[] = "ESCAPEMENT_PARENT";

static const int stop_signals[] = {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2, SIGXCPU};
enum {
  STOP_SIGNALS = sizeof stop_signals / sizeof stop_signals[0],
  LEVEL_END_AFTER_SAVING = 2,
  LEVEL_END_AT_ONCE = ESC_STOP_LEVEL_MAX
};
static const double repeat_seconds = 1;

static esc_stop *stop;
static struct sigaction previous_actions[STOP_SIGNALS];
static atomic_int level_now, saving, first_number;
static atomic_llong level_changed_ns; /* nanoseconds of CLOCK_MONOTONIC */
static atomic_bool supervising;
static atomic_int parent_pid; /* its process id, 0: not a worker process */

int esc_signals_level_signal(void) { return SIGRTMIN; }

int esc_signals_next_level(int level, int number, double seconds) {
  if (level == 0) return 1;
  return number == SIGINT && level < LEVEL_END_AT_ONCE && seconds >= repeat_seconds ? level + 1
                                                                                    : level;
}

static long long now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (long long)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Ends the process by the signal's default action; in a handler, when the handler returns. */
static void end_with_signal(int number) {
  signal(number, SIG_DFL);
  raise(number);
}

static void end_if_due(void) {
  const int level = atomic_load(&level_now);
  if (atomic_load(&supervising)) return;
  if (level >= LEVEL_END_AT_ONCE || (level >= LEVEL_END_AFTER_SAVING && atomic_load(&saving) == 0))
    end_with_signal(SIGINT);
}

/* Raises the level to `wanted`. */
static void raise_level(int wanted, int number) {
  int level = atomic_load(&level_now), none = 0;
  while (level < wanted && !atomic_compare_exchange_weak(&level_now, &level, wanted)) continue;
  if (level >= wanted) return;
  atomic_store(&level_changed_ns, now());
  atomic_compare_exchange_strong(&first_number, &none, number);
  esc_stop_raise(stop, wanted);
  end_if_due();
}

static void on_signal(int number, siginfo_t *info, void *context) {
  const int error = errno, level = atomic_load(&level_now);
  (void)context;
  if (number == esc_signals_level_signal()) {
    if (info->si_code == SI_QUEUE && info->si_pid == atomic_load(&parent_pid))
      raise_level(info->si_value.sival_int, SIGTERM);
  } else if (atomic_load(&parent_pid)) {
    raise_level(1, number); /* higher levels are sent by the parent */
  } else {
    raise_level(esc_signals_next_level(level, number, 1e-9 * (double)(now() - level_changed_ns)),
                number);
  }
  errno = error;
}

static bool is_ignored(int number) {
  struct sigaction now;
  return sigaction(number, NULL, &now) == 0 && !(now.sa_flags & SA_SIGINFO) &&
         now.sa_handler == SIG_IGN;
}

/* Whether the signal is a stop signal: INT and HUP only if they were not ignored at the start
 * (shell, nohup). */
static bool is_stop(int number) {
  return (number != SIGINT && number != SIGHUP) || !is_ignored(number);
}

void esc_signals_fill_set(sigset_t *set) {
  sigemptyset(set);
  for (int i = 0; i < STOP_SIGNALS; i++) sigaddset(set, stop_signals[i]);
  sigaddset(set, esc_signals_level_signal());
}

void esc_signals_install(esc_stop *to) {
  struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_RESTART | SA_SIGINFO};
  stop = to;
  esc_signals_fill_set(&action.sa_mask);
  for (int i = 0; i < STOP_SIGNALS; i++)
    if (sigaction(stop_signals[i], NULL, &previous_actions[i]) == 0 && is_stop(stop_signals[i]))
      sigaction(stop_signals[i], &action, NULL);
  if (!atomic_load(&parent_pid)) return;
  sigaction(esc_signals_level_signal(), &action, NULL);
  sigprocmask(SIG_UNBLOCK, &action.sa_mask, NULL);
}

void esc_signals_restore(void) {
  for (int i = 0; i < STOP_SIGNALS; i++) sigaction(stop_signals[i], &previous_actions[i], NULL);
}

void esc_signals_supervise(bool on) {
  atomic_store(&supervising, on);
  if (!on) end_if_due();
}

void esc_signals_save_begin(void) { atomic_fetch_add(&saving, 1); }

void esc_signals_save_end(void) {
  if (atomic_fetch_sub(&saving, 1) == 1) end_if_due();
}

int esc_signals_exit_code(void) {
  const int number = atomic_load(&first_number);
  return 128 + (number == SIGINT || number == 0 ? SIGINT : SIGTERM);
}

void esc_signals_stop_with_parent(void) {
  const char *text = getenv(esc_signals_parent_variable);
  if (!text) return;
  atomic_store(&parent_pid, atoi(text));
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (getppid() != atoi(text)) raise(SIGTERM); /* the parent has already died */
  unsetenv(esc_signals_parent_variable);
}

void esc_signals_ignore_write_errors(bool pipes) {
  signal(SIGXFSZ, SIG_IGN);
  if (pipes) signal(SIGPIPE, SIG_IGN);
}
