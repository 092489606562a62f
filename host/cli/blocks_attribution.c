/* SPDX-License-Identifier: Apache-2.0 */
/* The attribution of escape times between closure levels: table and JSON. */
#include "cli/blocks_attribution.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "cli/cli.h"

static const double line_gap = 10; /* s between lines, without a terminal */

typedef struct progress {
  bool terminal;
  double start, next; /* s; times of the start and of the next line */
} progress;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* The first two points, at both ends of lambda, are enough for the estimate. */
static void show_progress(void *context, int done, int expected) {
  progress *p = context;
  const double spent = now() - p->start, left = spent / done * (expected - done);
  if (done < 2 || (spent < p->next && !p->terminal)) return;
  fprintf(stderr,
          "%sescapement: attribution: %d of about %d points of lambda, %.0f s, about %.0f s "
          "left%s",
          p->terminal ? "\r" : "", done, expected, spent, left, p->terminal ? "\033[K" : "\n");
  p->next = spent + line_gap;
}

esc_status esc_blocks_attribute(const esc_homotopy *homotopy, bool quiet, esc_attribution *out) {
  progress p = {.terminal = isatty(STDERR_FILENO) != 0, .start = now()};
  const esc_status status =
      esc_attribution_compute(homotopy, quiet ? NULL : show_progress, &p, out);
  if (p.terminal && !quiet) fprintf(stderr, "\r\033[K");
  return status;
}

static json_t *numbers(int count, const double *value) {
  json_t *list = json_array();
  for (int k = 0; k < count; k++) json_array_append_new(list, esc_json_number(value[k]));
  return list;
}

/* (channel, mode) */
static json_t *channels(const esc_block_problem *p, const double value[][ESC_LAYERS_MAX]) {
  json_t *object = json_object();
  for (int c = 0; c < p->layers; c++) {
    char name[32];
    double row[ESC_BLOCK_MODES_MAX];
    for (int k = 0; k < p->modes; k++) row[k] = value[k][c];
    if (c == 0)
      snprintf(name, sizeof name, "scales");
    else
      snprintf(name, sizeof name, "layer_%d", c);
    json_object_set_new(object, name, numbers(p->modes, row));
  }
  return object;
}

static json_t *path(const esc_block_problem *p, const esc_attribution *a) {
  json_t *list = json_array();
  for (int i = 0; i < a->points; i++) {
    const esc_homotopy_point *node = &a->point[i];
    json_t *point = json_object();
    json_object_set_new(point, "lambda", esc_json_number(node->lambda));
    json_object_set_new(point, "escape", numbers(p->modes, node->escape));
    json_object_set_new(point, "slope", numbers(p->modes, node->derivative));
    json_object_set_new(point, "channels", channels(p, node->channel));
    json_array_append_new(list, point);
  }
  return list;
}

static json_t *jumps(const esc_block_problem *p, const esc_attribution *a) {
  json_t *list = json_array();
  for (int i = 0; i < a->jumps; i++) {
    json_t *jump = json_object();
    json_object_set_new(jump, "from", esc_json_number(a->jump[i].from));
    json_object_set_new(jump, "to", esc_json_number(a->jump[i].to));
    json_object_set_new(jump, "size", numbers(p->modes, a->jump[i].size));
    json_array_append_new(list, jump);
  }
  return list;
}

json_t *esc_blocks_attribution_json(const esc_homotopy *h, const esc_attribution *a) {
  const esc_block_problem *p = &h->problem;
  json_t *json = json_object();
  json_object_set_new(json, "lower", json_integer(h->lower));
  json_object_set_new(json, "upper", json_integer(p->level));
  json_object_set_new(json, "from", numbers(p->modes, a->from));
  json_object_set_new(json, "to", numbers(p->modes, a->to));
  json_object_set_new(json, "channels", channels(p, a->channel));
  json_object_set_new(json, "residual", numbers(p->modes, a->residual));
  json_object_set_new(json, "error", numbers(p->modes, a->error));
  json_object_set_new(json, "node_error", numbers(p->modes, a->node_error));
  json_object_set_new(json, "converged", json_boolean(a->converged));
  json_object_set_new(json, "jumps", jumps(p, a));
  json_object_set_new(json, "cancellation", numbers(p->modes, a->cancellation));
  json_object_set_new(json, "cancels_at", numbers(p->modes, a->cancellation_lambda));
  json_object_set_new(json, "path", path(p, a));
  return json;
}

static void print_warnings(const esc_block_problem *p, const esc_attribution *a) {
  printf("change of the escape times along lambda with a coarser grid of nodes: up to");
  for (int k = 0; k < p->modes; k++) printf("%s %.2g", k ? "," : "", a->node_error[k]);
  printf(" (modes in order)\n");
  for (int i = 0; i < a->jumps; i++) {
    printf("the escape time jumps at lambda = %.6g..%.6g, by", a->jump[i].from, a->jump[i].to);
    for (int k = 0; k < p->modes; k++) printf("%s %.6g", k ? "," : "", a->jump[i].size[k]);
    printf(" (modes in order); the jump is in no channel\n");
  }
  if (a->converged) return;
  printf("warning: not converged with %d points of lambda; estimated error of the channels:",
         a->points);
  for (int k = 0; k < p->modes; k++) printf("%s %.2g", k ? "," : "", a->error[k]);
  printf(" (modes in order)\n");
}

void esc_blocks_attribution_print(const esc_homotopy *h, const esc_attribution *a) {
  const esc_block_problem *p = &h->problem;
  printf("\nshift of S_k half from level %d to level %d, by channel\n%4s %12s %12s", h->lower,
         p->level, "mode", "shift", "scales");
  for (int l = 1; l < p->layers; l++) printf("    layer %2d", l);
  printf(" %10s\n", "residual");
  for (int k = 0; k < p->modes; k++) {
    printf("%4d %12.6g", k + 1, a->to[k] - a->from[k]);
    for (int c = 0; c < p->layers; c++) printf(c == 0 ? " %12.6g" : " %11.5g", a->channel[k][c]);
    printf(" %10.1e\n", a->residual[k]);
  }
  for (int k = 0; k < p->modes; k++)
    if (a->cancellation[k] < 0.9)
      printf("mode %d: the channels cancel to %.2g of their size at lambda = %.3g\n", k + 1,
             a->cancellation[k], a->cancellation_lambda[k]);
  print_warnings(p, a);
}
