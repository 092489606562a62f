/* SPDX-License-Identifier: Apache-2.0 */
/* escapement info: contents of a result file, or devices of this machine. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/registry.h"
#include "base/file_kind.h"
#include "base/io.h"
#include "base/text.h"
#include "cli/cli.h"
#include "cli/info_progress.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cpu/network.h"
#include "escapement/internal/observe.h"
#include "machine/processor.h"
#include "store/segments.h"
#include "store/store.h"

static esc_status print_devices_text(const char *cpu, const char *isa) {
  esc_status status = ESC_OK;
  char text[256];
  const int devices = esc_backend_cuda_devices(text, sizeof text);
  printf("cpu:  %s, %s\n", cpu, isa);
  if (devices == 0) printf("cuda: none: %s\n", text);
  for (int i = 0; i < devices; i++) {
    ESC_TRY(esc_backend_cuda_name(i, text, sizeof text));
    printf("cuda: %d: %s\n", i, text);
  }
done:
  return status;
}

static esc_status print_devices(bool json) {
  esc_status status = ESC_OK;
  char device[256], text[256];
  esc_processor_name(device, sizeof device);
  const char *isa = esc_cpu_isa_find(NULL)->name;
  if (!json) return print_devices_text(device, isa);
  json_t *object = json_object(), *cpu = json_object(), *cuda = json_array(), *ids = json_array();
  json_object_set_new(cpu, "name", json_string(device));
  json_object_set_new(cpu, "instruction_set", json_string(isa));
  json_object_set_new(cpu, "processors", json_integer(esc_processor_count()));
  json_object_set_new(object, "cpu", cpu);
  json_object_set_new(object, "cuda", cuda);
  json_object_set_new(object, "cuda_bus_ids", ids);
  const int devices = esc_backend_cuda_devices(text, sizeof text);
  for (int i = 0; i < devices; i++) {
    ESC_TRY(esc_backend_cuda_name(i, text, sizeof text));
    json_array_append_new(cuda, json_string(text));
    ESC_TRY(esc_backend_cuda_bus_id(i, text, sizeof text));
    json_array_append_new(ids, json_string(text));
  }
  return esc_json_print(object);
done:
  json_decref(object);
  return status;
}

static int64_t count_status(const esc_results *r, int32_t status) {
  int64_t count = 0;
  for (int64_t i = 0; i < r->members; i++) count += r->status[i] == status;
  return count;
}

enum { NAME_SIZE = 96, POINT_LINES_MAX = 24 };

/* Members at each point of the grid, and those that escaped. */
static void print_grid(const esc_results *r) {
  if (!r->grid) return;
  printf("\ngrid of %d points:\n", r->grid->points);
  for (int p = 0; p < r->grid->points && p < POINT_LINES_MAX; p++) {
    int64_t members = 0, escaped = 0;
    char *const label = esc_grid_print_point(r->grid, p);
    for (int64_t i = 0; i < r->members; i++) {
      members += r->point[i] == p;
      escaped += r->point[i] == p && r->status[i] == ESC_MEMBER_ESCAPED;
    }
    printf("  ");
    if (label) esc_text_print_escaped(stdout, label, strlen(label), false);
    printf(": %lld members, %lld escaped\n", (long long)members, (long long)escaped);
    free(label);
  }
  if (r->grid->points > POINT_LINES_MAX)
    printf("  and %d more points\n", r->grid->points - POINT_LINES_MAX);
}

static void print_grid_variables(const esc_results *r) {
  char name[NAME_SIZE];
  if (!r->grid) return;
  printf("  point(member)  point of the sweep's grid, counted from 0\n");
  for (int k = 0; k < r->grid->keys; k++) {
    esc_grid_print_variable(r->grid->key[k], name, sizeof name);
    printf("  %s(member)  %s of the member's point of the grid\n", name, r->grid->key[k]);
  }
}

/* Names of all variables, including recorded observables. */
static json_t *list_variables(const esc_results *r) {
  json_t *names = json_array();
  for (int i = 0; i < esc_result_variable_count; i++)
    json_array_append_new(names, json_string(esc_result_variables[i].name));
  for (int k = 0; k < ESC_OBSERVABLES && r->snapshots; k++)
    json_array_append_new(names, json_string(esc_observables[k].name));
  if (r->grid) json_array_append_new(names, json_string("point"));
  for (int k = 0; r->grid && k < r->grid->keys; k++) {
    char name[NAME_SIZE];
    esc_grid_print_variable(r->grid->key[k], name, sizeof name);
    json_array_append_new(names, json_string(name));
  }
  return names;
}

/* Sets a key that may be invalid UTF-8. */
static void set_text(json_t *object, const char *name, const char *text) {
  json_t *key = esc_json_text(name);
  if (key) json_object_set_new(object, json_string_value(key), esc_json_text(text));
  json_decref(key);
}

static esc_status print_json(const esc_results *r) {
  json_t *object = json_object(), *attributes = json_object(), *thresholds = json_array();
  json_object_set_new(object, "members", json_integer(r->members));
  json_object_set_new(object, "escaped", json_integer(count_status(r, ESC_MEMBER_ESCAPED)));
  json_object_set_new(object, "censored", json_integer(count_status(r, ESC_MEMBER_CENSORED)));
  json_object_set_new(object, "diverged", json_integer(count_status(r, ESC_MEMBER_DIVERGED)));
  json_object_set_new(object, "layers", json_integer(r->layers));
  for (int i = 0; i < r->thresholds; i++)
    json_array_append_new(thresholds, json_real(r->threshold[i]));
  json_object_set_new(object, "thresholds", thresholds);
  for (int i = 0; i < r->attributes; i++)
    set_text(attributes, r->attribute[i].name, r->attribute[i].text);
  json_object_set_new(object, "attributes", attributes);
  json_object_set_new(object, "segments", esc_segments_from_results(r));
  json_object_set_new(object, "variables", list_variables(r));
  json_object_set_new(object, "snapshots", json_integer(r->snapshots));
  return esc_json_print(object);
}

/* Snapshots of member i: those up to its last step. */
static int64_t count_snapshots(const esc_results *r, int64_t i) {
  int64_t count = 0;
  while (count < r->snapshots && r->snapshot_step[count] <= r->steps_run[i]) count++;
  return count;
}

static void print_recorded(const esc_results *r) {
  static const char *const axis[] = {"", "", ", layer", ", interface"};
  int64_t all = 0;
  if (r->snapshots == 0) return;
  for (int64_t i = 0; i < r->members; i++) all += count_snapshots(r, i);
  printf("\nrecorded at %lld steps from %lld to %lld, %lld snapshots of %lld members:\n",
         (long long)r->snapshots, (long long)r->snapshot_step[0],
         (long long)r->snapshot_step[r->snapshots - 1], (long long)all, (long long)r->members);
  for (int k = 0; k < ESC_OBSERVABLES; k++)
    printf("  %s(member, snapshot%s)  %s\n", esc_observables[k].name, axis[esc_observables[k].axis],
           esc_observables[k].long_name);
}

static void print_variables(const esc_results *r) {
  static const char *const axis[] = {"member", "member, threshold", "member, layer",
                                     "member, interface"};
  printf("\nvariables:\n");
  for (int i = 0; i < esc_result_variable_count; i++) {
    const esc_result_variable *v = &esc_result_variables[i];
    printf("  %s(%s)  %s\n", v->name, axis[v->axis], v->long_name);
  }
  print_grid_variables(r);
  print_recorded(r);
}

/* An attribute on one line. */
static void print_attribute(const esc_attribute *a) {
  const int width = 25;
  esc_text_print_escaped(stdout, a->name, strlen(a->name), false);
  printf("%*s ", strlen(a->name) < (size_t)width ? width - (int)strlen(a->name) : 0, "");
  esc_text_print_escaped(stdout, a->text, strlen(a->text), false);
  putchar('\n');
}

static void print_text(const esc_results *r) {
  json_t *segments = esc_segments_from_results(r);
  printf("%lld members (%lld escaped, %lld censored, %lld diverged), %d thresholds, %d layers\n",
         (long long)r->members, (long long)count_status(r, ESC_MEMBER_ESCAPED),
         (long long)count_status(r, ESC_MEMBER_CENSORED),
         (long long)count_status(r, ESC_MEMBER_DIVERGED), r->thresholds, r->layers);
  for (int i = 0; i < r->attributes; i++)
    if (strcmp(r->attribute[i].name, "spec") != 0 &&
        strcmp(r->attribute[i].name, "segments") != 0 && strcmp(r->attribute[i].name, "grid") != 0)
      print_attribute(&r->attribute[i]);
  if (json_array_size(segments)) printf("\nsegments:\n");
  esc_info_print_segments(segments);
  json_decref(segments);
  print_grid(r);
  print_variables(r);
  const char *spec = esc_results_attribute_text(r, "spec");
  if (spec) printf("\nspec:\n%s", spec);
}

esc_status esc_command_info(int argc, char **argv) {
  esc_status status = ESC_OK;
  bool json = false, devices = false, help = false;
  char output[4096];
  int first = 0, tables = 0;
  esc_results **table = NULL;
  const esc_option options[] = {
      {"json", 0, NULL, "print one JSON object", .flag = &json},
      {"devices", 0, NULL, "list the CPU and the GPUs of this machine", .flag = &devices},
      {0},
  };
  const esc_command command = {
      "info FILE | info --devices",
      "Prints the contents of a result, of an unfinished run (OUT.h5 before it exists),\n"
      "of a journal or checkpoint, or the devices of this machine.",
      .options = options, .suffixes = ESC_RESULT_SUFFIXES "|journal|checkpoint"};
  ESC_TRY(esc_options_parse(&command, argc, argv, &first, &help));
  if (help) return ESC_OK;
  if (argc - first > (devices ? 0 : 1))
    return ESC_FAIL(ESC_BAD_INPUT, "info: one file or --devices is required");
  if (devices) return print_devices(json);
  const esc_file_kind kind = first < argc ? esc_file_kind_at(argv[first]) : ESC_FILE_OTHER;
  if (kind == ESC_FILE_JOURNAL) return esc_info_journal(argv[first], json);
  if (kind == ESC_FILE_CHECKPOINT) return esc_info_checkpoint(argv[first], json);
  if (first < argc) ESC_TRY(esc_table_refuse_grid(argv[first]));
  if (first < argc && !esc_io_exists(argv[first]) &&
      esc_unfinished_exists(argv[first], output, sizeof output))
    return esc_info_unfinished(output, json);
  ESC_TRY(esc_tables_read(argc, argv, first, &tables, &table));
  if (json)
    ESC_TRY(print_json(table[0]));
  else
    print_text(table[0]);
done:
  esc_tables_free(tables, table);
  return status;
}
