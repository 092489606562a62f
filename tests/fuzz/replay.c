/* SPDX-License-Identifier: Apache-2.0 */
/* Stands in for libFuzzer where the compiler has none: runs a target on every file of a corpus,
 * then on that many mutations of them, the same ones each time.
 *
 *   fuzz_TARGET CORPUS [RUNS] */
#include <dirent.h>

#include "fuzz.h"

enum { FILES_MAX = 1000, BYTES_MAX = 1 << 16 };

typedef struct input {
  uint8_t *data;
  size_t size;
} input;

static input corpus[FILES_MAX];
static int files;

static void read_file(const char *directory, const char *name) {
  char path[512];
  snprintf(path, sizeof path, "%s/%s", directory, name);
  FILE *file = fopen(path, "rb");
  DEMAND(file && files < FILES_MAX);
  input *in = &corpus[files++];
  in->data = malloc(BYTES_MAX);
  DEMAND(in->data);
  in->size = fread(in->data, 1, BYTES_MAX, file);
  fclose(file);
}

static int by_content(const void *a, const void *b) {
  const input *x = a, *y = b;
  if (x->size != y->size) return x->size < y->size ? -1 : 1;
  return memcmp(x->data, y->data, x->size);
}

static void read_corpus(const char *directory) {
  DIR *entries = opendir(directory);
  DEMAND(entries);
  for (struct dirent *e; (e = readdir(entries));)
    if (e->d_name[0] != '.') read_file(directory, e->d_name);
  closedir(entries);
  DEMAND(files > 0);
  qsort(corpus, (size_t)files, sizeof *corpus, by_content); /* the file system has its own order */
}

/* splitmix64 */
static uint64_t next(void) {
  static uint64_t state = 1;
  uint64_t z = state += 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

static size_t below(size_t bound) { return bound ? (size_t)(next() % bound) : 0; }

/* Changes a byte, cuts, repeats, or brings a piece of another file. */
static void mutate(input *in) {
  const input *other = &corpus[below((size_t)files)];
  const size_t offset = below(in->size), length = below(in->size - offset + 1),
               from = below(other->size);
  switch (below(5)) {
    case 0:
      if (in->size) in->data[offset] = (uint8_t)next();
      break;
    case 1:
      if (in->size) in->data[offset] ^= (uint8_t)(1u << below(8));
      break;
    case 2: in->size = offset; break;
    case 3:
      if (in->size + length <= BYTES_MAX) {
        memmove(in->data + offset + length, in->data + offset, in->size - offset);
        in->size += length;
      }
      break;
    default: {
      const size_t capacity = BYTES_MAX - offset, piece = other->size - from;
      const size_t taken = piece < capacity ? piece : capacity;
      memmove(in->data + offset, other->data + from, taken);
      if (offset + taken > in->size) in->size = offset + taken;
    }
  }
}

int main(int argc, char **argv) {
  DEMAND(argc >= 2);
  const long runs = argc > 2 ? strtol(argv[2], NULL, 10) : 0;
  input in = {.data = malloc(BYTES_MAX)};
  DEMAND(in.data);
  read_corpus(argv[1]);
  for (int i = 0; i < files; i++) LLVMFuzzerTestOneInput(corpus[i].data, corpus[i].size);
  for (long run = 0; run < runs; run++) {
    const input *seed = &corpus[below((size_t)files)];
    memcpy(in.data, seed->data, in.size = seed->size);
    for (size_t k = 1 + below(4); k > 0; k--) mutate(&in);
    LLVMFuzzerTestOneInput(in.data, in.size);
  }
  printf("%d files, %ld mutations\n", files, runs);
  for (int i = 0; i < files; i++) free(corpus[i].data);
  free(in.data);
  return 0;
}
