/* SPDX-License-Identifier: Apache-2.0 */
// The same in C++, in memory: a sweep whose results are a vector.
#include <escapement/escapement.h>

#include <iostream>
#include <memory>
#include <string>
#include <vector>

int main(int argc, char **argv) {
  const std::vector<const char *> pairs = {"network.layers=3",
                                           "network.width=8",
                                           "train.rate=0.05",
                                           "train.batch=8",
                                           "train.steps=400",
                                           "escape.thresholds=[1.0e-9]",
                                           "sweep.seeds=2",
                                           "escape.false_escapes=allow",
                                           "sweep.groups=[{bottleneck: 2, scales: [0.5, 0.1]}]"};
  esc_spec *spec = nullptr;
  esc_results *results = nullptr;
  esc_run_options options;
  esc_run_report report;
  esc_column steps;
  esc_run_options_init(&options);
  if (argc != 2 || esc_spec_build(static_cast<int>(pairs.size()), pairs.data(), &spec) != ESC_OK ||
      esc_sweep_run(spec, &options, &report, &results) != ESC_OK ||
      esc_results_find_column(results, "steps_run", &steps) != ESC_OK ||
      esc_results_write(results, argv[1]) != ESC_OK) {
    std::cerr << esc_error_message() << "\n";
    return 1;
  }
  const std::unique_ptr<esc_results, void (*)(esc_results *)> owner(results, esc_results_free);
  const auto *data = static_cast<const int64_t *>(steps.data);
  const std::vector<int64_t> last(data, data + steps.length[0]);
  std::cout << "libescapement " << esc_library_version() << ": " << report.members
            << " members, cancelled: no, steps of the last: " << last.back() << "\n";
  esc_spec_free(spec);
  return std::string(esc_library_version()) != ESC_VERSION_STRING;
}
