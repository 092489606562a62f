/* SPDX-License-Identifier: Apache-2.0 */
/* cuBLAS as host/cuda uses it: cublas.c loads the library and forwards these functions to it. Their
 * names get the project's prefix, because a program that links libescapement.a and cuBLAS must get
 * the functions of cuBLAS under their own names. */
#ifndef ESC_CUDA_CUBLAS_H
#define ESC_CUDA_CUBLAS_H

#ifndef ESC_SIMT
#define cublasCreate_v2 esc_cublasCreate_v2
#define cublasDestroy_v2 esc_cublasDestroy_v2
#define cublasGetProperty esc_cublasGetProperty
#define cublasGetStatusString esc_cublasGetStatusString
#define cublasSetMathMode esc_cublasSetMathMode
#define cublasSetStream_v2 esc_cublasSetStream_v2
#define cublasSetWorkspace_v2 esc_cublasSetWorkspace_v2
#define cublasSgemmStridedBatched esc_cublasSgemmStridedBatched
#define cublasSgemm_v2 esc_cublasSgemm_v2
#endif

#include <cublas_v2.h>

#endif
