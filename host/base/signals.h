/* SPDX-License-Identifier: Apache-2.0 */
/* Stop signals, how they reach child processes, and what a second one does.
 *
 * INT, TERM, HUP, USR1, USR2 and XCPU ask the process to stop: to save and end. INT and HUP that
 * were ignored at the start stay so (a script's job in the background, nohup). Only INT (Ctrl-C)
 * counts further, and only if it follows the one before by a second: the second ends the process at
 * once, but never while it saves; the third in any case. All others count once, however many there
 * are.
 *
 * A child that this program starts of itself gets its parent's count by a signal of another number,
 * so that a signal to a whole job, which reaches the child directly too, counts once there. It
 * ends, saved, when its parent dies. */
#ifndef ESC_SIGNALS_H
#define ESC_SIGNALS_H

#include <signal.h>
#include <stdbool.h>

#include "base/stop.h"

/* Writing to a closed pipe and beyond RLIMIT_FSIZE are failures of the call, not of the process. */
void esc_signals_ignore_write_errors(bool pipes);

/* The signals that ask a process to stop, ignored or not, and that of a parent's count. */
void esc_signals_fill_set(sigset_t *set);

/* A process that works until it is asked to stop: raises *stop then. Until esc_signals_restore they
 * do nothing else; behind it what they did before, and *stop is not touched any more. */
void esc_signals_install(esc_stop *stop);
void esc_signals_restore(void);

/* While true, a second and third INT are only counted: the process passes the count to others. */
void esc_signals_supervise(bool on);

/* Around saving; may be nested. The end may end the process, if INT came twice meanwhile. */
void esc_signals_save_begin(void);
void esc_signals_save_end(void);

/* The number of the signal by which a parent tells its level (base/stop.h). */
int esc_signals_level_signal(void);

/* 130 after INT, else 143 (of HUP, USR1, USR2 and XCPU too: the run is saved and can go on). */
int esc_signals_exit_code(void);

/* If this process was started as a follower: from now on it ends, saved, when its parent does. Its
 * signals are blocked until esc_signals_install. */
void esc_signals_stop_with_parent(void);

/* The environment variable that makes a process a follower: its parent's process id. */
extern const char esc_signals_parent_variable[];

/* What a signal does, for tests: the level that follows `level` when `number` comes `seconds` after
 * the level changed last. */
int esc_signals_next_level(int level, int number, double seconds);

#endif
