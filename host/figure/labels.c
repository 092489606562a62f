/* SPDX-License-Identifier: Apache-2.0 */
/* Words and colours that figures and plots share. */
#include <stdio.h>
#include <string.h>

#include "figure/figure.h"

void esc_activation_title(const esc_activation *activation, char *text, size_t size) {
  static const char *const title[][2] = {{"gelu", "GELU"}, {"relu", "ReLU"}, {"swish", "Swish"}};
  esc_activation_print(activation, text, size);
  for (size_t i = 0; i < sizeof title / sizeof title[0]; i++)
    if (!strcmp(text, title[i][0])) snprintf(text, size, "%s", title[i][1]);
}

int esc_bottleneck_colour(int r) {
  enum { PALETTE = 8 };
  return (r - 3 + PALETTE) % PALETTE;
}

void esc_layers_list(int64_t layers, char *text, size_t size) {
  size_t used = 0;
  text[0] = 0;
  for (int l = 0; l < ESC_LAYERS_MAX && used + 12 < size; l++) {
    if (!((uint64_t)layers >> l & 1)) continue;
    int end = l;
    while (end + 1 < ESC_LAYERS_MAX && (uint64_t)layers >> (end + 1) & 1) end++;
    used += (size_t)snprintf(text + used, size - used, end > l ? "%s%d–%d" : "%s%d",
                             used > 0 ? ", " : "", l + 1, end + 1);
    l = end;
  }
}

void esc_layers_text(int64_t layers, char *text, size_t size) {
  const bool one = ((uint64_t)layers & ((uint64_t)layers - 1)) == 0;
  const size_t used = (size_t)snprintf(text, size, one ? "layer " : "layers ");
  esc_layers_list(layers, text + used, size - used);
}
