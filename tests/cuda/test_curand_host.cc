/* SPDX-License-Identifier: Apache-2.0 */
/* test_curand with cuRAND's header functions compiled for the host. */
#include "test_curand.cu"
