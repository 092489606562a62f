/* SPDX-License-Identifier: Apache-2.0 */
/* test_fused_products on the SIMT harness. */
#include "test_fused_products.cu"
