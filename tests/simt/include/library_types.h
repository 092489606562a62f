/* SPDX-License-Identifier: Apache-2.0 */
/* Element types as cuBLAS names them; the harness computes CUDA_R_32F only. */
#ifndef ESC_SIMT_LIBRARY_TYPES_H
#define ESC_SIMT_LIBRARY_TYPES_H

typedef enum cudaDataType_t {
  CUDA_R_32F = 0,
  CUDA_R_64F = 1,
  CUDA_R_16F = 2,
  CUDA_R_16BF = 14
} cudaDataType;

typedef enum libraryPropertyType_t {
  MAJOR_VERSION = 0,
  MINOR_VERSION = 1,
  PATCH_LEVEL = 2
} libraryPropertyType;

#endif
