/* SPDX-License-Identifier: Apache-2.0 */
/* States of a machine in which a GPU cannot be used: each gives one line with its reason, and a
 * list of devices needs no context. On the SIMT harness, whose calls fail as told. */
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "cuda/check.h"
#include "cuda/cuda.h"
#include "esc_simt.h"

static int reset(void **state) {
  (void)state;
  unsetenv("CUDA_VISIBLE_DEVICES");
  esc_simt_reset();
  return 0;
}

/* The message of opening device 0 when the next call that needs a context fails. */
static const char *message_of(cudaError_t error) {
  double available = 0, total = 0;
  esc_simt_fail_at(2, error); /* 1: the number of devices */
  assert_int_not_equal(esc_cuda_device_memory(0, &available, &total), ESC_OK);
  esc_simt_reset();
  assert_null(strchr(esc_error_message(), '\n'));
  return esc_error_message();
}

static void a_device_that_cannot_be_opened_is_reported_with_its_reason(void **state) {
  (void)state;
  static const struct {
    cudaError_t error;
    const char *words;
  } cases[] = {{cudaErrorMemoryAllocation, "other processes use all of its memory"},
               {cudaErrorDevicesUnavailable, "EXCLUSIVE_PROCESS"},
               {cudaErrorDeviceAlreadyInUse, "EXCLUSIVE_PROCESS"},
               {cudaErrorInsufficientDriver, "update the driver"},
               {cudaErrorUnsupportedPtxVersion, "older than the CUDA Toolkit"},
               {cudaErrorSystemNotReady, "nvidia-fabricmanager"},
               {cudaErrorSystemDriverMismatch, "kernel module"},
               {cudaErrorCompatNotSupportedOnDevice, "compatibility libraries"},
               {cudaErrorOperatingSystem, "/dev/nvidia"}};
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
    assert_non_null(strstr(message_of(cases[i].error), cases[i].words));
}

static void memory_that_others_have_taken_is_a_lack_of_memory(void **state) {
  (void)state;
  double available = 0, total = 0;
  esc_simt_fail_at(2, cudaErrorMemoryAllocation);
  assert_int_equal(esc_cuda_device_memory(0, &available, &total), ESC_NO_MEMORY);
  esc_simt_set_memory(1000);
  esc_assert_ok(esc_cuda_device_memory(0, &available, &total));
  assert_true(available == 900 && total == 1000);
}

static void an_old_driver_is_told_from_none(void **state) {
  (void)state;
  char why[300];
  esc_simt_set_driver(0);
  assert_int_equal(esc_cuda_devices(why, sizeof why), 0);
  assert_string_equal(why, "no NVIDIA driver was found");
  assert_false(esc_cuda_is_broken(0, why, sizeof why));
  esc_simt_set_driver(11080);
  assert_int_equal(esc_cuda_devices(why, sizeof why), 0);
  assert_non_null(strstr(why, "update the driver"));
  assert_true(esc_cuda_is_broken(0, why, sizeof why));
  assert_non_null(strstr(why, "driver for CUDA 11.8: "));
}

static void hidden_devices_are_named(void **state) {
  (void)state;
  char why[300];
  setenv("CUDA_VISIBLE_DEVICES", "7", 1);
  assert_int_equal(esc_cuda_check_device(1), ESC_BAD_INPUT);
  assert_non_null(strstr(esc_error_message(), "CUDA devices, with CUDA_VISIBLE_DEVICES=7"));
  esc_simt_set_devices(0);
  assert_int_equal(esc_cuda_devices(why, sizeof why), 0);
  assert_string_equal(why, "no CUDA-capable device is detected with CUDA_VISIBLE_DEVICES=7");
}

static void a_process_that_sees_one_mig_slice_is_told_how_to_select_another(void **state) {
  (void)state;
  esc_simt_set_name("NVIDIA A100-SXM4-40GB MIG 1g.5gb");
  assert_int_equal(esc_cuda_check_device(1), ESC_BAD_INPUT);
  assert_non_null(strstr(esc_error_message(), "one slice of a GPU in MIG mode"));
  assert_non_null(strstr(esc_error_message(), "CUDA_VISIBLE_DEVICES=MIG-"));
}

static void versions_are_those_of_the_libraries(void **state) {
  (void)state;
  char text[128], want[128];
  esc_assert_ok(esc_cuda_versions(false, text, sizeof text));
  snprintf(want, sizeof want, "CUDA driver %d.%d, runtime %d.%d", CUDART_VERSION / 1000,
           CUDART_VERSION % 1000 / 10, CUDART_VERSION / 1000, CUDART_VERSION % 1000 / 10);
  assert_string_equal(text, want);
  esc_assert_ok(esc_cuda_versions(true, text, sizeof text));
  assert_non_null(strstr(text, ", cuBLAS "));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_teardown(a_device_that_cannot_be_opened_is_reported_with_its_reason, reset),
      cmocka_unit_test_teardown(memory_that_others_have_taken_is_a_lack_of_memory, reset),
      cmocka_unit_test_teardown(an_old_driver_is_told_from_none, reset),
      cmocka_unit_test_teardown(hidden_devices_are_named, reset),
      cmocka_unit_test_teardown(a_process_that_sees_one_mig_slice_is_told_how_to_select_another,
                                reset),
      cmocka_unit_test_teardown(versions_are_those_of_the_libraries, reset),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
