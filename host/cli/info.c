/* escapement info: what a result file holds, or what this machine has. */
#include <omp.h>
#include <stdio.h>
#include <string.h>

#include "backends.h"
#include "cli/cli.h"
#include "cli/options.h"
#include "cpu/network.h"
#include "device.h"
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
  esc_device_name(device, sizeof device);
  const char *isa = esc_cpu_isa_find(NULL)->name;
  if (!json) return print_devices_text(device, isa);
  json_t *object = json_object(), *cpu = json_object(), *cuda = json_array();
  json_object_set_new(cpu, "name", json_string(device));
  json_object_set_new(cpu, "instruction_set", json_string(isa));
  json_object_set_new(cpu, "processors", json_integer(omp_get_num_procs()));
  json_object_set_new(object, "cpu", cpu);
  json_object_set_new(object, "cuda", cuda);
  const int devices = esc_backend_cuda_devices(text, sizeof text);
  for (int i = 0; i < devices; i++) {
    ESC_TRY(esc_backend_cuda_name(i, text, sizeof text));
    json_array_append_new(cuda, json_string(text));
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
    json_object_set_new(attributes, r->attribute[i].name, json_string(r->attribute[i].text));
  json_object_set_new(object, "attributes", attributes);
  return esc_json_print(object);
}

static void print_text(const esc_results *r) {
  printf("%lld members (%lld escaped, %lld censored, %lld diverged), %d thresholds, %d layers\n",
         (long long)r->members, (long long)count_status(r, ESC_MEMBER_ESCAPED),
         (long long)count_status(r, ESC_MEMBER_CENSORED),
         (long long)count_status(r, ESC_MEMBER_DIVERGED), r->thresholds, r->layers);
  for (int i = 0; i < r->attributes; i++)
    if (strcmp(r->attribute[i].name, "spec"))
      printf("%-25s %s\n", r->attribute[i].name, r->attribute[i].text);
  printf("\nvariables:\n");
  for (int i = 0; i < esc_result_variable_count; i++) {
    static const char *const axis[] = {"member", "member, threshold", "member, layer",
                                       "member, interface"};
    const esc_result_variable *v = &esc_result_variables[i];
    printf("  %s(%s)  %s\n", v->name, axis[v->axis], v->long_name);
  }
  const char *spec = esc_results_get(r, "spec");
  if (spec) printf("\nspec:\n%s", spec);
}

esc_status esc_verb_info(int argc, char **argv) {
  esc_status status = ESC_OK;
  bool json = false, devices = false, help = false;
  int first = 0, tables = 0;
  esc_results **table = NULL;
  const esc_option options[] = {
      {"json", 0, NULL, "one JSON object on stdout", .flag = &json},
      {"devices", 0, NULL, "what this machine has", .flag = &devices},
      {0},
  };
  const esc_command command = {"info OUT.h5 | info --devices",
                               "What a result file holds, or what this machine has.", options};
  ESC_TRY(esc_options_parse(&command, argc, argv, &first, &help));
  if (help) return ESC_OK;
  if (argc - first > (devices ? 0 : 1))
    return ESC_FAIL(ESC_BAD_INPUT, "info: takes one file, or --devices");
  if (devices) return print_devices(json);
  ESC_TRY(esc_tables_read(argc, argv, first, &tables, &table));
  if (json)
    ESC_TRY(print_json(table[0]));
  else
    print_text(table[0]);
done:
  esc_tables_free(tables, table);
  return status;
}
