/* SPDX-License-Identifier: Apache-2.0 */
/* escapement COMMAND [options]: finds the command, runs it, and turns its status into an exit code
 * and one line on standard error. */
#include <errno.h>
#include <fcntl.h>
#include <gsl/gsl_errno.h>
#include <hdf5.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "base/version.h"
#include "cli/cli.h"
#include "cli/describe.h"
#include "cli/terminal.h"
#include "machine/thread_limit.h"
#include "spec/spec.h"

typedef struct command {
  const char *name;
  esc_command_function *run;
  const char *help;
  bool only_prints; /* writes no file: a closed pipe may end it */
} command;

static const command commands[] = {
    {"run", esc_command_run, "train a sweep and write its result file", false},
    {"watch", esc_command_watch, "a run while it trains: members, escape steps, time left", true},
    {"fit", esc_command_fit, "slopes of log t* on log epsilon from result files", true},
    {"plot", esc_command_plot, "draw t* against epsilon from result files", false},
    {"plateau", esc_command_plateau,
     "assumptions of the theory on the plateau, measured from snapshots", true},
    {"observe", esc_command_observe, "observables of recorded weights", false},
    {"classify", esc_command_classify, "class and constants of an activation", true},
    {"escape", esc_command_escape, "escape time on the symmetric manifold: ODE and closed forms",
     true},
    {"blocks", esc_command_blocks, "escape times of several modes, by the exact block reduction",
     true},
    {"figure", esc_command_figure, "a figure of the paper: data, image and checks", false},
    {"report", esc_command_report, "figures, checks and studies as one HTML page", false},
    {"verify", esc_command_verify, "checks of theory, gradients and engines on this machine", true},
    {"bench", esc_command_bench, "throughput of a training step, against the peak of the machine",
     true},
    {"compare", esc_command_compare, "two result files of one sweep, variable by variable", true},
    {"merge", esc_command_merge, "merge the shards of a sweep into one result file", false},
    {"info", esc_command_info, "contents of a result file, or devices of this machine", true},
};
enum { COMMANDS = sizeof commands / sizeof commands[0] };

static const esc_option program_options[] = {
    {.name = "version", .letter = 'V', .help = "print version, commit and compiler"},
    {0},
};
static const esc_command program = {
    "COMMAND [options]",
    "Trains thousands of small teacher-student networks and measures the step at\n"
    "which each escapes its saddle.",
    .options = program_options};

static void print_help(void) {
  printf("Usage: escapement %s\n%s\n\n", program.usage, program.summary);
  for (int i = 0; i < COMMANDS; i++) printf("  %-8s %s\n", commands[i].name, commands[i].help);
  printf(
      "\n'escapement help COMMAND' describes the options of a command; 'escapement\n"
      "--version' (-V) prints version, commit and compiler.\n\n"
      "Keys of a spec, with defaults:\n");
  esc_spec_help(stdout);
}

/* The help and the tables of the library as JSON. */
static esc_status print_description(void) {
  json_t *json = esc_describe_command(&program), *tables = esc_describe_program();
  json_t *list = json_array();
  for (int i = 0; i < COMMANDS; i++)
    json_array_append_new(
        list, json_pack("{ss,ss}", "name", commands[i].name, "summary", commands[i].help));
  json_object_set_new(json, "commands", list);
  json_object_update(json, tables);
  json_decref(tables);
  return esc_json_print(json);
}

static const command *find_command(const char *name) {
  static const command worker = {"worker", esc_command_worker, "", false}; /* internal */
  if (!strcmp(name, worker.name)) return &worker;
  for (int i = 0; i < COMMANDS; i++)
    if (!strcmp(name, commands[i].name)) return &commands[i];
  return NULL;
}

static esc_status refuse_command(const char *name) {
  const command *nearest = NULL;
  for (int i = 0; i < COMMANDS; i++)
    if (esc_text_edit_distance(name, commands[i].name) < 3) nearest = &commands[i];
  return ESC_FAIL(ESC_BAD_INPUT, "%s: unknown command; %s%s", esc_quote(name, strlen(name)).text,
                  nearest ? "did you mean " : "see --help", nearest ? nearest->name : "");
}

/* "help", or "help COMMAND", which is "COMMAND --help". */
static esc_status help(const char *name) {
  if (!name) {
    print_help();
    return ESC_OK;
  }
  const command *found = find_command(name);
  char *const arguments[] = {(char *)name, (char *)"--help", NULL};
  return found ? found->run(2, (char **)arguments) : refuse_command(name);
}

static esc_status dispatch(int argc, char **argv) {
  const char *name = argc > 1 ? argv[1] : "";
  if (!strcmp(name, "help")) return help(argv[2]);
  if (!strcmp(name, "--help") || !strcmp(name, "-h")) return help(NULL);
  if (!strcmp(name, "--help=json")) return print_description();
  if (!strcmp(name, "--version") || !strcmp(name, "-V")) {
    printf("escapement %s (commit %s; %s)\n", esc_library_version(), esc_commit(), esc_compiler());
    return ESC_OK;
  }
  if (argc < 2) return ESC_FAIL(ESC_BAD_INPUT, "a command is missing; see --help");
  const command *found = find_command(name);
  if (!found) return refuse_command(name);
  esc_signals_ignore_write_errors(!found->only_prints);
  return found->run(argc - 1, argv + 1);
}

/* Output that could not be written, on a full disk for instance, is a failure. */
static esc_status flush_output(void) {
  if (fflush(stdout) == 0 && !ferror(stdout)) return ESC_OK;
  return ESC_FAIL(ESC_IO_FAILED, "standard output: %s; output files are complete", strerror(errno));
}

/* Keeps files opened later from becoming standard input, output or error. */
static void fill_standard_files(void) {
  int fd;
  do {
    fd = open("/dev/null", O_RDWR);
  } while (fd >= 0 && fd <= STDERR_FILENO);
  if (fd >= 0) close(fd);
}

int main(int argc, char **argv) {
  fill_standard_files();
  esc_terminal_guard();
  esc_log_to_stderr();
  H5dont_atexit(); /* its clean-up prints errors for damaged files; all files are closed here */
  setlocale(LC_NUMERIC, "C");
  gsl_set_error_handler_off();
  esc_status status = esc_threads_check_stack();
  if (status == ESC_OK) status = dispatch(argc, argv);
  const esc_status flushed = flush_output();
  if (status == ESC_OK) status = flushed;
  if (status == ESC_OK) return 0;
  const int code = esc_status_exit_code(status);
  if (code == 3)
    esc_log("%s (%s)", esc_error_message(), esc_error_location());
  else
    esc_log("%s", esc_error_message());
  return status == ESC_INTERRUPTED ? esc_signals_exit_code() : code;
}
