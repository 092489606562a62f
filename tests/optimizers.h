/* SPDX-License-Identifier: Apache-2.0 */
/* Optimizers for tests: every one, alone and with both kinds of weight decay. */
#ifndef ESC_OPTIMIZERS_H
#define ESC_OPTIMIZERS_H

#include "escapement/internal/problem.h"

typedef struct optimizer_case {
  const char *name;
  esc_optimizer optimizer;
} optimizer_case;

#define SGD .kind = ESC_OPTIMIZER_SGD
#define ADAM .kind = ESC_OPTIMIZER_ADAM, .adam_beta1 = 0.8, .adam_beta2 = 0.97, .adam_epsilon = 1e-6

/* Those from FIRST_ADAM on have no ledger. */
enum { OPTIMIZERS = 11, FIRST_ADAM = 8 };
static const optimizer_case optimizers[OPTIMIZERS] = {
    {"heavy ball", {SGD, .momentum = 0.9}},
    {"Nesterov", {SGD, .momentum = 0.8, .nesterov = true}},
    {"decay", {SGD, .weight_decay = 0.3}},
    {"decoupled decay", {SGD, .weight_decay = 0.3, .decoupled = true}},
    {"heavy ball, decay", {SGD, .momentum = 0.7, .weight_decay = 0.2}},
    {"heavy ball, decoupled decay", {SGD, .momentum = 0.7, .weight_decay = 0.2, .decoupled = true}},
    {"Nesterov, decay", {SGD, .momentum = 0.7, .nesterov = true, .weight_decay = 0.2}},
    {"Nesterov, decoupled decay",
     {SGD, .momentum = 0.7, .nesterov = true, .weight_decay = 0.2, .decoupled = true}},
    {"Adam", {ADAM}},
    {"Adam, decay", {ADAM, .weight_decay = 0.3}},
    {"AdamW", {ADAM, .weight_decay = 0.3, .decoupled = true}},
};

#undef SGD
#undef ADAM

#endif
