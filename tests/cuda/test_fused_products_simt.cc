/* SPDX-License-Identifier: Apache-2.0 */
/* The products on the SIMT harness. */
#include "test_fused_products.cu"
