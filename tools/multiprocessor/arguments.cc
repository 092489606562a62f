/* SPDX-License-Identifier: Apache-2.0 */
/* The arguments of a launch of the fused kernels, for tools/gpu_model: prints the bytes of shared
 * memory of a block and the number of the activation, then the launch's arguments and one
 * network's track as hexadecimal digits.
 *
 *   arguments WIDTH LAYERS INPUTS BATCH ACTIVATION STEPS TRACK-ADDRESS */
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "fused_step.cuh"

static void print_bytes(const void *from, size_t count) {
  for (size_t i = 0; i < count; i++) printf("%02x", ((const unsigned char *)from)[i]);
  printf("\n");
}

/* ESC_ACTIVATION_COUNT where there is none of that name. */
static esc_activation_kind find_activation(const char *name) {
#define SAME_NAME(context, kind, function, text, ...) \
  if (strcmp(name, text) == 0) return ESC_ACTIVATION_##kind;
  ESC_ACTIVATIONS(SAME_NAME, )
#undef SAME_NAME
  return ESC_ACTIVATION_COUNT;
}

static void set_problem(esc_device_problem *p, char **argument) {
  p->width = atoi(argument[0]);
  p->layers = atoi(argument[1]);
  p->inputs = atoi(argument[2]);
  p->batch = atoi(argument[3]);
  p->activation = find_activation(argument[4]);
  p->modes = 1;
  p->axes = true;
  p->amplitude[0] = 1;
  for (int l = 0; l < p->layers; l++) {
    const int rows = l == p->layers - 1 ? 1 : p->width, columns = l == 0 ? p->inputs : p->width;
    p->offset[l + 1] = p->offset[l] + (size_t)rows * (size_t)columns;
    p->rate[l] = 0.01f;
  }
}

/* Addresses that only need to be different and aligned: nothing is read through them. */
static void set_chunk(esc_chunk *chunk, size_t weights, char *track) {
  chunk->slots = 1;
  chunk->weight_stride = (weights + 31) / 32 * 32;
  chunk->track = reinterpret_cast<esc_track *>(track);
  chunk->seed = reinterpret_cast<uint64_t *>(track + (1 << 24));
  chunk->partials = reinterpret_cast<float *>(track + (2 << 24));
  chunk->w = reinterpret_cast<float *>(track + (3 << 24));
  chunk->compensation = reinterpret_cast<float *>(track + (4 << 24));
  chunk->tile_z = reinterpret_cast<float *>(track + (5 << 24));
}

int main(int count, char **argument) {
  if (count != 9) return 2;
  static esc_fused_arguments run;
  static esc_track track;
  set_problem(&run.problem, argument + 1);
  if (run.problem.activation == ESC_ACTIVATION_COUNT) {
    fprintf(stderr, "no activation is named %s\n", argument[5]);
    return 2;
  }
  run.rules.layers = run.problem.layers;
  run.rules.thresholds = 1;
  run.rules.steps = INT64_MAX;
  run.steps = atoll(argument[6]);
  set_chunk(&run.chunk, run.problem.offset[run.problem.layers],
            reinterpret_cast<char *>(strtoull(argument[7], nullptr, 0)));
  track.step = 7;
  track.step_limit = INT64_MAX;
  for (int i = 0; i < ESC_THRESHOLDS_MAX; i++) track.escape_step[i] = -1;
  const esc_device_problem &p = run.problem;
  const int padded_width = strcmp(argument[8], "fused") ? esc_fused_3xtf32_padded_width(p.width)
                                                        : esc_fused_padded_width(p.width);
  printf("%zu %d\n", esc_fused_block_bytes(p.layers, padded_width, p.inputs), (int)p.activation);
  print_bytes(&run, sizeof run);
  print_bytes(&track, sizeof track);
  return 0;
}
