/* SPDX-License-Identifier: Apache-2.0 */
/* escapement VERB [options]: find the verb, run it, turn its status into an
 * exit code and one line on stderr. */
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

typedef struct verb {
  const char *name;
  esc_verb *run;
  const char *help;
  bool prints; /* nothing else, so that a reader who has enough may end it */
} verb;

static const verb verbs[] = {
    {"run", esc_verb_run, "train a sweep and write its result file", false},
    {"fit", esc_verb_fit, "slopes of log t* on log epsilon from result files", true},
    {"plot", esc_verb_plot, "draw t* against epsilon from result files", false},
    {"plateau", esc_verb_plateau, "what theory assumes of a plateau, measured from snapshots",
     true},
    {"classify", esc_verb_classify, "class and constants of an activation", true},
    {"escape", esc_verb_escape, "escape time on the symmetric manifold: ODE and closed forms",
     true},
    {"blocks", esc_verb_blocks, "escape of several modes on the exact block reduction", true},
    {"figure", esc_verb_figure, "a figure of the paper: data, picture and checks", false},
    {"report", esc_verb_report, "figures, checks and studies as one HTML page", false},
    {"verify", esc_verb_verify, "checks of theory, gradients and engines on this machine", true},
    {"bench", esc_verb_bench, "throughput of a training step beside the machine's ceiling", true},
    {"compare", esc_verb_compare, "two result files of one sweep, variable by variable", true},
    {"merge", esc_verb_merge, "join the shards of a sweep to one result file", false},
    {"info", esc_verb_info, "what a result file holds, or what this machine has", true},
};
enum { VERBS = sizeof verbs / sizeof verbs[0] };

static const esc_option program_options[] = {
    {.name = "version", .letter = 'V', .help = "print version, commit and compiler"},
    {0},
};
static const esc_command program = {
    "VERB [options]",
    "Trains thousands of small teacher-student networks and times their escape from the saddle.",
    .options = program_options};

static void print_help(void) {
  printf("Usage: escapement %s\n%s\n\n", program.usage, program.summary);
  for (int i = 0; i < VERBS; i++) printf("  %-8s %s\n", verbs[i].name, verbs[i].help);
  printf(
      "\n'escapement help VERB' describes the options of a verb; 'escapement --version' (-V) "
      "prints\n"
      "version, commit and compiler.\n\n"
      "Keys of a spec, with defaults:\n");
  esc_spec_help(stdout);
}

/* The same, and all that the library knows of itself, as JSON. */
static esc_status print_description(void) {
  json_t *json = esc_describe_command(&program), *tables = esc_describe_program();
  json_t *commands = json_array();
  for (int i = 0; i < VERBS; i++)
    json_array_append_new(commands,
                          json_pack("{ss,ss}", "name", verbs[i].name, "summary", verbs[i].help));
  json_object_set_new(json, "commands", commands);
  json_object_update(json, tables);
  json_decref(tables);
  return esc_json_print(json);
}

static const verb *find_verb(const char *name) {
  static const verb worker = {"worker", esc_verb_worker, "", false}; /* not for people */
  if (!strcmp(name, worker.name)) return &worker;
  for (int i = 0; i < VERBS; i++)
    if (!strcmp(name, verbs[i].name)) return &verbs[i];
  return NULL;
}

static esc_status refuse_verb(const char *name) {
  const verb *nearest = NULL;
  for (int i = 0; i < VERBS; i++)
    if (esc_text_edit_distance(name, verbs[i].name) < 3) nearest = &verbs[i];
  return ESC_FAIL(ESC_BAD_INPUT, "%s: no such verb; %s%s", esc_quote(name, strlen(name)).text,
                  nearest ? "did you mean " : "see --help", nearest ? nearest->name : "");
}

/* "help", or "help VERB", which is "VERB --help". */
static esc_status help(const char *name) {
  if (!name) {
    print_help();
    return ESC_OK;
  }
  const verb *asked = find_verb(name);
  char *const arguments[] = {(char *)name, (char *)"--help", NULL};
  return asked ? asked->run(2, (char **)arguments) : refuse_verb(name);
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
  if (argc < 2) return ESC_FAIL(ESC_BAD_INPUT, "needs a verb; see --help");
  const verb *asked = find_verb(name);
  if (!asked) return refuse_verb(name);
  esc_signals_ignore_write_errors(!asked->prints);
  return asked->run(argc - 1, argv + 1);
}

/* A result that did not reach its reader is a failure too (a full disk). */
static esc_status flush_output(void) {
  if (fflush(stdout) == 0 && !ferror(stdout)) return ESC_OK;
  return ESC_FAIL(ESC_IO_FAILED, "standard output: %s; files that were written are whole",
                  strerror(errno));
}

/* A file that we open must never become standard input, output or error. */
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
  H5dont_atexit(); /* its own clean-up prints of damaged files; we close what we open */
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
