/* The products on the SIMT harness. */
#include "test_chip_products.cu"
