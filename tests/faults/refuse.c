/* SPDX-License-Identifier: Apache-2.0 */
/* Preloaded before a program, refuses memory to it: the REFUSE_AT-th allocation that the
 * program itself asks for (not its libraries), and with REFUSE_ON all after it too. Counted from
 * the call of main: before it, static libraries allocate without a check (CUDA's runtime). With
 * REFUSE_COUNT the number of allocations is written to that file at the end. */
#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *old, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);

typedef int main_function(int, char **, char **);
typedef int start_function(main_function *, int, char **, void (*)(void), void (*)(void),
                           void (*)(void), void *);

static uintptr_t program_begin, program_end;
static long refuse_at;
static bool refuse_on;
static atomic_bool main_is_called;
static main_function *program_main;
static atomic_long allocations;

/* The first object is the program. */
static int find_program(struct dl_phdr_info *info, size_t size, void *data) {
  (void)size, (void)data;
  for (int i = 0; i < info->dlpi_phnum; i++) {
    const ElfW(Phdr) *h = &info->dlpi_phdr[i];
    if (h->p_type != PT_LOAD || !(h->p_flags & PF_X)) continue;
    program_begin = (uintptr_t)(info->dlpi_addr + h->p_vaddr);
    program_end = program_begin + (uintptr_t)h->p_memsz;
  }
  return 1;
}

__attribute__((constructor)) static void begin(void) {
  const char *at = getenv("REFUSE_AT");
  refuse_at = at ? atol(at) : 0;
  refuse_on = getenv("REFUSE_ON") != NULL;
  dl_iterate_phdr(find_program, NULL);
}

static int call_main(int count, char **argument, char **environment) {
  atomic_store(&main_is_called, true);
  return program_main(count, argument, environment);
}

int __libc_start_main(main_function *main, int count, char **argument, void (*init)(void),
                      void (*finish)(void), void (*loader)(void), void *stack) {
  start_function *start;
  *(void **)&start = dlsym(RTLD_NEXT, "__libc_start_main");
  program_main = main;
  return start(call_main, count, argument, init, finish, loader, stack);
}

__attribute__((destructor)) static void end(void) {
  const char *path = getenv("REFUSE_COUNT");
  FILE *file = path ? fopen(path, "w") : NULL;
  if (!file) return;
  fprintf(file, "%ld\n", atomic_load(&allocations));
  fclose(file);
}

static bool is_refused(const void *caller) {
  const uintptr_t from = (uintptr_t)caller;
  if (from < program_begin || from >= program_end || !atomic_load(&main_is_called)) return false;
  const long n = atomic_fetch_add(&allocations, 1) + 1;
  if (refuse_at == 0 || n < refuse_at || (n > refuse_at && !refuse_on)) return false;
  errno = ENOMEM;
  return true;
}

void *malloc(size_t size) {
  return is_refused(__builtin_return_address(0)) ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size) {
  return is_refused(__builtin_return_address(0)) ? NULL : __libc_calloc(count, size);
}

void *realloc(void *old, size_t size) {
  return is_refused(__builtin_return_address(0)) ? NULL : __libc_realloc(old, size);
}

void *aligned_alloc(size_t alignment, size_t size) {
  return is_refused(__builtin_return_address(0)) ? NULL : __libc_memalign(alignment, size);
}
