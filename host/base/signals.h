/* SPDX-License-Identifier: Apache-2.0 */
/* Stop signals: handling, propagation to child processes, and the effect of a second signal.
 *
 * INT, TERM, HUP, USR1, USR2 and XCPU ask the process to stop: to save and end. INT and HUP that
 * were ignored at the start stay so (a script's job in the background, nohup). Only INT (Ctrl-C)
 * counts further, and only if it follows the one before by a second: the second ends the process at
 * once, but never while it saves; the third in any case. All others count once, however many there
 * are.
 *
 * A worker process gets its parent's count by a separate signal number, so that a signal to a whole
 * job, which also reaches the worker directly, counts once. It saves and ends when its parent dies.
 */
#ifndef ESC_SIGNALS_H
#define ESC_SIGNALS_H

#include <signal.h>
#include <stdbool.h>

#include "base/stop.h"

/* Writing to a closed pipe and beyond RLIMIT_FSIZE are failures of the call, not of the process. */
void esc_signals_ignore_write_errors(bool pipes);

/* All stop signals, ignored or not, and the signal of the parent's count. */
void esc_signals_fill_set(sigset_t *set);

/* Installs handlers that raise *stop; esc_signals_restore restores the previous actions, after
 * which *stop is not accessed. */
void esc_signals_install(esc_stop *stop);
void esc_signals_restore(void);

/* While true, a second and third INT are only counted: the process passes the count to others. */
void esc_signals_supervise(bool on);

/* Around saving; may be nested. The last save_end ends the process if a second INT arrived
 * meanwhile. */
void esc_signals_save_begin(void);
void esc_signals_save_end(void);

/* Number of the signal with which a parent sends its stop level (base/stop.h). */
int esc_signals_level_signal(void);

/* 130 after INT, else 143 (also for HUP, USR1, USR2 and XCPU: the run is saved and can be resumed).
 */
int esc_signals_exit_code(void);

/* In a worker process: from now on it saves and ends when its parent dies. Its signals are blocked
 * until esc_signals_install. */
void esc_signals_stop_with_parent(void);

/* Environment variable that marks a worker process: its parent's process id. */
extern const char esc_signals_parent_variable[];

/* For tests: the level after `level` when signal `number` arrives `seconds` after the last change
 * of the level. */
int esc_signals_next_level(int level, int number, double seconds);

#endif
