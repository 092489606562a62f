/* SPDX-License-Identifier: Apache-2.0 */
/* cuRAND's header functions as the host's. */
#include "test_curand.cu"
