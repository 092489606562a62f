/* SPDX-License-Identifier: Apache-2.0 */
/* cuBLAS is loaded on demand; that needs the toolkit, but no device. */
#include "check.h"
#include "cuda/check.h"

static void the_functions_of_the_library_are_called(void **state) {
  (void)state;
  assert_int_equal(esc_cublas_load(), ESC_OK);
  assert_non_null(strstr(cublasGetStatusString(CUBLAS_STATUS_NOT_SUPPORTED), "not supported"));
  assert_int_equal(cublasSetStream(NULL, NULL), CUBLAS_STATUS_NOT_INITIALIZED);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(the_functions_of_the_library_are_called)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
