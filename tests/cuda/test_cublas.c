/* SPDX-License-Identifier: Apache-2.0 */
/* cuBLAS is loaded when it is wanted; that needs the toolkit, and no device. */
#include "check.h"
#include "cuda/check.h"

static void the_functions_are_those_of_the_library(void **state) {
  (void)state;
  assert_int_equal(esc_cublas_load(), ESC_OK);
  assert_non_null(strstr(cublasGetStatusString(CUBLAS_STATUS_NOT_SUPPORTED), "not supported"));
  assert_int_equal(cublasSetStream(NULL, NULL), CUBLAS_STATUS_NOT_INITIALIZED);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(the_functions_are_those_of_the_library)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
