/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/thread_limit.h"

#include <ctype.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

esc_status esc_threads_check_stack(void) {
  struct rlimit stack;
  if (getrlimit(RLIMIT_STACK, &stack) != 0 || stack.rlim_cur >= ESC_STACK_MIN) return ESC_OK;
  return ESC_FAIL(
      ESC_LIBRARY_FAILED,
      "the stack limit is %llu KiB (ulimit -s); allowed: at least %d KiB; nothing was started",
      (unsigned long long)stack.rlim_cur / 1024, ESC_STACK_MIN / 1024);
}

double esc_threads_stack_size(const char *text) {
  char *end = NULL;
  while (isspace((unsigned char)*text)) text++;
  if (!isdigit((unsigned char)*text)) return 0;
  const double number = strtod(text, &end);
  while (isspace((unsigned char)*end)) end++;
  const int unit = *end ? tolower((unsigned char)*end++) : 'k';
  while (isspace((unsigned char)*end)) end++;
  const char *const units = "bkmg", *const found = strchr(units, unit);
  if (!found || *end) return 0;
  double bytes = number;
  for (const char *step = units; step < found; step++) bytes *= 1024;
  return bytes;
}

/* Stack size of OpenMP's threads from the environment, 0 for the system's default; *name is the
 * variable. */
static double requested_stack(const char **name) {
  static const char *const names[] = {"OMP_STACKSIZE", "GOMP_STACKSIZE"};
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
    const char *text = getenv(names[i]);
    const double bytes = text ? esc_threads_stack_size(text) : 0;
    *name = names[i];
    if (bytes > 0) return bytes;
  }
  return 0;
}

/* Started threads block here until all are started. */
typedef struct gate {
  pthread_mutex_t lock;
  pthread_cond_t opened;
  bool open;
} gate;

static void *wait_at(void *context) {
  gate *g = context;
  pthread_mutex_lock(&g->lock);
  while (!g->open) pthread_cond_wait(&g->opened, &g->lock);
  pthread_mutex_unlock(&g->lock);
  return NULL;
}

static void open_gate(gate *g) {
  pthread_mutex_lock(&g->lock);
  g->open = true;
  pthread_cond_broadcast(&g->opened);
  pthread_mutex_unlock(&g->lock);
}

/* How many of `count` threads start. */
static int start_threads(const pthread_attr_t *attributes, int count, pthread_t *thread) {
  gate g = {.lock = PTHREAD_MUTEX_INITIALIZER, .opened = PTHREAD_COND_INITIALIZER};
  int started = 0;
  while (started < count && !pthread_create(&thread[started], attributes, wait_at, &g)) started++;
  open_gate(&g);
  for (int i = 0; i < started; i++) pthread_join(thread[i], NULL);
  return started;
}

esc_status esc_threads_probe(int threads, int *possible) {
  esc_status status = ESC_OK;
  pthread_attr_t attributes;
  pthread_t *thread = NULL;
  const char *name;
  const double stack = requested_stack(&name), least = (double)sysconf(_SC_THREAD_STACK_MIN);
  *possible = 1;
  if (pthread_attr_init(&attributes) != 0)
    return ESC_FAIL(ESC_NO_MEMORY, "out of memory (attributes of threads)");
  ESC_TRY_ALLOCATE(thread = malloc((size_t)threads * sizeof *thread));
  if (stack >= least && stack < ESC_STACK_MIN) { /* OpenMP ignores what is below `least` */
    status = ESC_FAIL(ESC_LIBRARY_FAILED,
                      "%s gives each thread a stack of %.3g KiB; allowed: at least %d KiB, or "
                      "unset; nothing was started",
                      name, stack / 1024, ESC_STACK_MIN / 1024);
    goto done;
  }
  if (stack >= least && (stack > 1e18 || pthread_attr_setstacksize(&attributes, (size_t)stack)))
    goto done; /* not a possible stack size */
  *possible = 1 + start_threads(&attributes, threads - 1, thread);
done:
  free(thread);
  pthread_attr_destroy(&attributes);
  return status;
}
