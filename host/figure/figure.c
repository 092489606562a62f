/* SPDX-License-Identifier: Apache-2.0 */
/* A figure from its runs: panels, checks and caption by the figure's own function. */
#include "figure/figure.h"

#include <stdlib.h>

/* The training of each sweep. */
static void caption_runs(esc_figure *f) {
  fputs("\nTrained:", f->caption);
  for (int i = 0; i < f->runs; i++) {
    const esc_spec *s = f->run[i].spec;
    const esc_problem *p = &s->problem;
    char activation[128];
    esc_activation_title(&p->activation, activation, sizeof activation);
    esc_caption_add(f,
                    "%s %s, $L = %d$, width $N = %d$, inputs $d = %d$, batch $B = %d$, rate "
                    "$\\eta = %g$, %lld seed%s",
                    i ? ";" : "", activation, p->shape.layers, p->shape.width, p->shape.inputs,
                    p->batch, p->rate, (long long)s->seeds, s->seeds == 1 ? "" : "s");
  }
  esc_caption_add(f, ".\nMade by: escapement figure %d -o DIR%s", f->number,
                  f->options ? f->options : "");
}

/* Opens the caption with the title, has the maker fill panels, checks and caption, and ends it. */
static esc_status make_captioned(esc_figure *f, esc_figure_maker *maker) {
  esc_status status = ESC_OK;
  ESC_TRY_ALLOCATE(f->caption = open_memstream(&f->caption_text, &f->caption_size));
  status = maker(f);
  if (status == ESC_OK) caption_runs(f);
  fclose(f->caption);
  f->caption = NULL;
done:
  return status;
}

esc_status esc_figure_make(esc_figure *figure) {
  static esc_figure_maker *const makers[ESC_FIGURES] = {esc_figure_1, esc_figure_2, esc_figure_3,
                                                        esc_figure_4, esc_figure_5};
  esc_status status = ESC_OK;
  ESC_TRY_ALLOCATE(figure->panels = json_array());
  ESC_TRY_ALLOCATE(figure->checks = json_array());
  ESC_TRY(make_captioned(figure, makers[figure->number - 1]));
done:
  return status;
}

void esc_figure_free(esc_figure *figure) {
  for (int i = 0; i < figure->runs; i++) {
    esc_results_free(figure->run[i].results);
    esc_spec_free(figure->run[i].spec);
  }
  json_decref(figure->panels);
  json_decref(figure->checks);
  free(figure->caption_text);
}
