/* SPDX-License-Identifier: Apache-2.0 */
/* The page's provenance: this machine, this program and its libraries. */
#include <gsl/gsl_version.h>
#include <hdf5.h>
#include <sundials/sundials_version.h>
#include <sys/utsname.h>
#include <xxhash.h>
#include <yaml.h>

#include "backend/registry.h"
#include "base/version.h"
#include "machine/processor.h"
#include "report/html.h"
#include "report/report.h"
#include "run/provenance.h"

static void put(FILE *out, const char *what, const char *text) {
  esc_html_print(out, "<tr><th>%s</th>\n<td>%s</td>\n</tr>", what, text);
}

static void put_system(FILE *out) {
  struct utsname name;
  char text[512];
  if (uname(&name) != 0) return;
  snprintf(text, sizeof text, "%s %s, %s", name.sysname, name.release, name.machine);
  put(out, "system", text);
}

static void put_libraries(FILE *out) {
  unsigned major, minor, patch;
  char sundials[64] = "unknown", text[512];
  H5get_libversion(&major, &minor, &patch);
  SUNDIALSGetVersion(sundials, sizeof sundials);
  snprintf(text, sizeof text,
           "HDF5 %u.%u.%u, GSL %s, SUNDIALS %s, libyaml %s, jansson %s, xxHash %d.%d.%d", major,
           minor, patch, gsl_version, sundials, yaml_get_version_string(), jansson_version_str(),
           (int)(XXH_versionNumber() / 10000), (int)(XXH_versionNumber() / 100 % 100),
           (int)(XXH_versionNumber() % 100));
  put(out, "libraries", text);
}

void esc_report_machine(esc_report *report) {
  FILE *out = report->body;
  char text[512], now[32];
  esc_report_section(report, "machine", "Machine and versions");
  esc_html_print(out, "<table>");
  esc_time_now(now);
  put(out, "made", now);
  snprintf(text, sizeof text, "escapement %s, commit %s, %s", esc_library_version(), esc_commit(),
           esc_compiler());
  put(out, "by", text);
  esc_processor_name(text, sizeof text);
  put(out, "processor", text);
  const int devices = esc_backend_cuda_devices(text, sizeof text);
  if (devices == 0) put(out, "GPU", text);
  for (int i = 0; i < devices; i++)
    if (esc_backend_cuda_name(i, text, sizeof text) == ESC_OK) put(out, "GPU", text);
  put_system(out);
  put_libraries(out);
  esc_html_print(
      out,
      "</table>\n<p class=quiet>Each figure and study names the machine and the commit that its "
      "data came from, which need not be these.</p>\n");
}
