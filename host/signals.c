#include "signals.h"

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

const char esc_signals_parent_variable[] = "ESCAPEMENT_PARENT";

static const int stop_signals[] = {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2, SIGXCPU};
enum {
  STOP_SIGNALS = sizeof stop_signals / sizeof stop_signals[0],
  AT_ONCE = 2,
  IN_ANY_CASE = ESC_SIGNALS_LEVEL_MAX
};
static const double repeat_seconds = 1;

static atomic_bool *stop_flag;
static atomic_int level_now, saving, first_number;
static atomic_llong changed; /* nanoseconds of CLOCK_MONOTONIC */
static atomic_bool supervising, child_follows, installed;
static atomic_int child, parent; /* process ids, 0: none */

/* Of the count that a parent sends. */
static int level_signal(void) { return SIGRTMIN; }

int esc_signals_next_level(int level, int number, double seconds) {
  if (level == 0) return 1;
  return number == SIGINT && level < IN_ANY_CASE && seconds >= repeat_seconds ? level + 1 : level;
}

static long long now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (long long)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* By the signal's own action; in a handler when it returns. */
static void end_by(int number) {
  signal(number, SIG_DFL);
  raise(number);
}

static void pass_on(pid_t pid, int level) {
  if (child_follows)
    esc_signals_send_level(pid, level);
  else
    kill(pid, level < AT_ONCE ? SIGTERM : SIGKILL);
}

static void end_if_due(void) {
  const int level = atomic_load(&level_now);
  if (atomic_load(&supervising) || atomic_load(&child)) return;
  if (level >= IN_ANY_CASE || (level >= AT_ONCE && atomic_load(&saving) == 0)) end_by(SIGINT);
}

/* The level becomes `wanted`, if it is not that high. */
static void raise_level(int wanted, int number) {
  int level = atomic_load(&level_now), none = 0;
  while (level < wanted && !atomic_compare_exchange_weak(&level_now, &level, wanted)) continue;
  if (level >= wanted) return;
  atomic_store(&changed, now());
  atomic_compare_exchange_strong(&first_number, &none, number);
  if (stop_flag) atomic_store(stop_flag, true);
  if (atomic_load(&child)) pass_on(atomic_load(&child), wanted);
  end_if_due();
}

static void on_signal(int number, siginfo_t *info, void *context) {
  const int error = errno, level = atomic_load(&level_now);
  (void)context;
  if (number == level_signal()) {
    if (info->si_code == SI_QUEUE && info->si_pid == atomic_load(&parent))
      raise_level(info->si_value.sival_int, SIGTERM);
  } else if (!stop_flag && !atomic_load(&child)) {
    end_by(number);
  } else if (atomic_load(&parent)) {
    raise_level(1, number); /* whoever wants more tells the parent */
  } else {
    raise_level(esc_signals_next_level(level, number, 1e-9 * (double)(now() - changed)), number);
  }
  errno = error;
}

static void collect_signals(sigset_t *set) {
  sigemptyset(set);
  for (int i = 0; i < STOP_SIGNALS; i++) sigaddset(set, stop_signals[i]);
  sigaddset(set, level_signal());
}

static bool is_ignored(int number) {
  struct sigaction before;
  return sigaction(number, NULL, &before) == 0 && !(before.sa_flags & SA_SIGINFO) &&
         before.sa_handler == SIG_IGN;
}

static void install(void) {
  struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_RESTART | SA_SIGINFO};
  if (atomic_exchange(&installed, true)) return;
  collect_signals(&action.sa_mask);
  for (int i = 0; i < STOP_SIGNALS; i++) {
    const int number = stop_signals[i];
    if ((number == SIGINT || number == SIGHUP) && is_ignored(number)) continue;
    sigaction(number, &action, NULL);
  }
  if (atomic_load(&parent)) sigaction(level_signal(), &action, NULL);
}

void esc_signals_install(atomic_bool *stop) {
  sigset_t set;
  stop_flag = stop;
  install();
  collect_signals(&set);
  if (atomic_load(&parent)) sigprocmask(SIG_UNBLOCK, &set, NULL);
}

void esc_signals_set_child(pid_t pid, bool follower) {
  atomic_store(&child_follows, follower);
  atomic_store(&child, pid);
  install();
}

void esc_signals_supervise(bool on) {
  atomic_store(&supervising, on);
  if (!on) end_if_due();
}

void esc_signals_save_begin(void) { atomic_fetch_add(&saving, 1); }

void esc_signals_save_end(void) {
  if (atomic_fetch_sub(&saving, 1) == 1) end_if_due();
}

int esc_signals_level(void) { return atomic_load(&level_now); }

void esc_signals_send_level(pid_t follower, int level) {
  sigqueue(follower, level_signal(), (union sigval){.sival_int = level});
}

int esc_signals_exit_code(void) {
  const int number = atomic_load(&first_number);
  return 128 + (number == SIGINT || number == 0 ? SIGINT : SIGTERM);
}

void esc_signals_follow_parent(void) {
  const char *text = getenv(esc_signals_parent_variable);
  if (!text) return;
  atomic_store(&parent, atoi(text));
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (getppid() != atoi(text)) raise(SIGTERM); /* it died before */
  unsetenv(esc_signals_parent_variable);
}

void esc_signals_block(sigset_t *before, sigset_t *blocked) {
  sigset_t set;
  collect_signals(&set);
  sigprocmask(SIG_BLOCK, &set, before);
  sigprocmask(SIG_BLOCK, NULL, blocked);
}

void esc_signals_ignore_write(bool pipes) {
  signal(SIGXFSZ, SIG_IGN);
  if (pipes) signal(SIGPIPE, SIG_IGN);
}
