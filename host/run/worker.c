/* SPDX-License-Identifier: Apache-2.0 */
#include "run/worker.h"

#include <stdlib.h>
#include <string.h>

#include "run/run.h"
#include "run/worker_request.h"

esc_status esc_worker_run(int descriptor, esc_stop *stop, const esc_run_callbacks *callbacks) {
  esc_status status = ESC_OK;
  esc_worker_request r;
  esc_spec *spec = NULL;
  ESC_TRY(esc_worker_request_read(descriptor, &r));
  r.options.resume = true;
  r.options.quiet = true;
  r.options.stop = stop;
  r.options.callbacks = *callbacks;
  ESC_TRY(esc_spec_parse("spec of the run", r.spec, strlen(r.spec), 0, NULL, &spec));
  status = esc_run_as_worker(spec, &r.options, r.lock);
done:
  esc_spec_free(spec);
  free(r.text);
  return status;
}
