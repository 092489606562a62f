/* SPDX-License-Identifier: Apache-2.0 */
/* Types of the CUDA runtime: errors, handles, enumerations and structures, with
 * the numeric values of CUDA 13. Only what the project may use is here; what is
 * missing does not compile, which is how one learns that it must be added. */
#ifndef ESC_SIMT_DRIVER_TYPES_H
#define ESC_SIMT_DRIVER_TYPES_H

#include <stddef.h>

/* X(name, value, text of cudaGetErrorString) */
#define ESC_SIMT_ERRORS(X)                                                                        \
  X(cudaSuccess, 0, "no error")                                                                   \
  X(cudaErrorInvalidValue, 1, "invalid argument")                                                 \
  X(cudaErrorMemoryAllocation, 2, "out of memory")                                                \
  X(cudaErrorInitializationError, 3, "initialization error")                                      \
  X(cudaErrorCudartUnloading, 4, "driver shutting down")                                          \
  X(cudaErrorInvalidConfiguration, 9, "invalid configuration argument")                           \
  X(cudaErrorInvalidPitchValue, 12, "invalid pitch argument")                                     \
  X(cudaErrorInvalidSymbol, 13, "invalid device symbol")                                          \
  X(cudaErrorInvalidDevicePointer, 17, "invalid device pointer")                                  \
  X(cudaErrorInvalidMemcpyDirection, 21, "invalid copy direction for memcpy")                     \
  X(cudaErrorStubLibrary, 34, "CUDA driver is a stub library")                                    \
  X(cudaErrorInsufficientDriver, 35,                                                              \
    "CUDA driver version is insufficient for CUDA runtime version")                               \
  X(cudaErrorDevicesUnavailable, 46, "CUDA-capable device(s) is/are busy or unavailable")         \
  X(cudaErrorInvalidDeviceFunction, 98, "invalid device function")                                \
  X(cudaErrorNoDevice, 100, "no CUDA-capable device is detected")                                 \
  X(cudaErrorInvalidDevice, 101, "invalid device ordinal")                                        \
  X(cudaErrorDeviceUninitialized, 201, "invalid device context")                                  \
  X(cudaErrorNoKernelImageForDevice, 209,                                                         \
    "no kernel image is available for execution on the device")                                   \
  X(cudaErrorECCUncorrectable, 214, "uncorrectable ECC error encountered")                        \
  X(cudaErrorDeviceAlreadyInUse, 216,                                                             \
    "exclusive-thread device already in use by a different thread")                               \
  X(cudaErrorUnsupportedPtxVersion, 222,                                                          \
    "the provided PTX was compiled with an unsupported toolchain.")                               \
  X(cudaErrorOperatingSystem, 304, "OS call failed or operation not supported on this OS")        \
  X(cudaErrorInvalidResourceHandle, 400, "invalid resource handle")                               \
  X(cudaErrorIllegalState, 401, "the operation cannot be performed in the present state")         \
  X(cudaErrorNotReady, 600, "device not ready")                                                   \
  X(cudaErrorIllegalAddress, 700, "an illegal memory access was encountered")                     \
  X(cudaErrorLaunchOutOfResources, 701, "too many resources requested for launch")                \
  X(cudaErrorLaunchTimeout, 702, "the launch timed out and was terminated")                       \
  X(cudaErrorAssert, 710, "device-side assert triggered")                                         \
  X(cudaErrorHardwareStackError, 714, "hardware stack error")                                     \
  X(cudaErrorIllegalInstruction, 715, "an illegal instruction was encountered")                   \
  X(cudaErrorMisalignedAddress, 716, "misaligned address")                                        \
  X(cudaErrorInvalidAddressSpace, 717, "operation not supported on global/shared address space")  \
  X(cudaErrorInvalidPc, 718, "invalid program counter")                                           \
  X(cudaErrorLaunchFailure, 719, "unspecified launch failure")                                    \
  X(cudaErrorNotPermitted, 800, "operation not permitted")                                        \
  X(cudaErrorNotSupported, 801, "operation not supported")                                        \
  X(cudaErrorSystemNotReady, 802, "system not yet initialized")                                   \
  X(cudaErrorSystemDriverMismatch, 803,                                                           \
    "system has unsupported display driver / cuda driver combination")                            \
  X(cudaErrorCompatNotSupportedOnDevice, 804,                                                     \
    "forward compatibility was attempted on non supported HW")                                    \
  X(cudaErrorStreamCaptureUnsupported, 900, "operation not permitted when stream is capturing")   \
  X(cudaErrorStreamCaptureInvalidated, 901,                                                       \
    "operation failed due to a previous error during capture")                                    \
  X(cudaErrorStreamCaptureMerge, 902,                                                             \
    "operation would result in a merge of separate capture sequences")                            \
  X(cudaErrorStreamCaptureUnmatched, 903, "capture was not ended in the same stream as it began") \
  X(cudaErrorStreamCaptureUnjoined, 904, "capturing stream has unjoined work")                    \
  X(cudaErrorStreamCaptureIsolation, 905,                                                         \
    "dependency created on uncaptured work in another stream")                                    \
  X(cudaErrorStreamCaptureImplicit, 906,                                                          \
    "operation would make the legacy stream depend on a capturing blocking stream")               \
  X(cudaErrorCapturedEvent, 907,                                                                  \
    "operation not permitted on an event last recorded in a capturing stream")                    \
  X(cudaErrorStreamCaptureWrongThread, 908,                                                       \
    "attempt to terminate a thread-local capture sequence from another thread")                   \
  X(cudaErrorUnknown, 999, "unknown error")

enum cudaError {
#define ESC_SIMT_ENUM(name, value, text) name = value,
  ESC_SIMT_ERRORS(ESC_SIMT_ENUM)
#undef ESC_SIMT_ENUM
};
typedef enum cudaError cudaError_t;

typedef struct CUstream_st *cudaStream_t;
typedef struct CUevent_st *cudaEvent_t;
typedef struct CUgraph_st *cudaGraph_t;
typedef struct CUgraphNode_st *cudaGraphNode_t;
typedef struct CUgraphExec_st *cudaGraphExec_t;

#define cudaHostAllocDefault 0x00
#define cudaHostAllocPortable 0x01
#define cudaHostAllocMapped 0x02
#define cudaHostAllocWriteCombined 0x04
#define cudaStreamDefault 0x00
#define cudaStreamNonBlocking 0x01
#define cudaStreamLegacy ((cudaStream_t)0x1)
#define cudaEventDefault 0x00
#define cudaEventBlockingSync 0x01
#define cudaEventDisableTiming 0x02
#define cudaEventRecordDefault 0x00
#define cudaEventWaitDefault 0x00

enum cudaMemcpyKind {
  cudaMemcpyHostToHost = 0,
  cudaMemcpyHostToDevice = 1,
  cudaMemcpyDeviceToHost = 2,
  cudaMemcpyDeviceToDevice = 3,
  cudaMemcpyDefault = 4
};

enum cudaStreamCaptureStatus {
  cudaStreamCaptureStatusNone = 0,
  cudaStreamCaptureStatusActive = 1,
  cudaStreamCaptureStatusInvalidated = 2
};

enum cudaStreamCaptureMode {
  cudaStreamCaptureModeGlobal = 0,
  cudaStreamCaptureModeThreadLocal = 1,
  cudaStreamCaptureModeRelaxed = 2
};

enum cudaFuncAttribute {
  cudaFuncAttributeMaxDynamicSharedMemorySize = 8,
  cudaFuncAttributePreferredSharedMemoryCarveout = 9
};

enum cudaSharedCarveout {
  cudaSharedmemCarveoutDefault = -1,
  cudaSharedmemCarveoutMaxL1 = 0,
  cudaSharedmemCarveoutMaxShared = 100
};

struct cudaFuncAttributes {
  size_t sharedSizeBytes;
  size_t constSizeBytes;
  size_t localSizeBytes;
  int maxThreadsPerBlock;
  int numRegs;
  int ptxVersion;
  int binaryVersion;
  int cacheModeCA;
  int maxDynamicSharedSizeBytes;
  int preferredShmemCarveout;
};

enum cudaDeviceAttr {
  cudaDevAttrMaxThreadsPerBlock = 1,
  cudaDevAttrMaxBlockDimX = 2,
  cudaDevAttrMaxBlockDimY = 3,
  cudaDevAttrMaxBlockDimZ = 4,
  cudaDevAttrMaxGridDimX = 5,
  cudaDevAttrMaxGridDimY = 6,
  cudaDevAttrMaxGridDimZ = 7,
  cudaDevAttrMaxSharedMemoryPerBlock = 8,
  cudaDevAttrTotalConstantMemory = 9,
  cudaDevAttrWarpSize = 10,
  cudaDevAttrMaxRegistersPerBlock = 12,
  cudaDevAttrClockRate = 13,
  cudaDevAttrMultiProcessorCount = 16,
  cudaDevAttrIntegrated = 18,
  cudaDevAttrConcurrentKernels = 31,
  cudaDevAttrEccEnabled = 32,
  cudaDevAttrMemoryClockRate = 36,
  cudaDevAttrGlobalMemoryBusWidth = 37,
  cudaDevAttrL2CacheSize = 38,
  cudaDevAttrMaxThreadsPerMultiProcessor = 39,
  cudaDevAttrUnifiedAddressing = 41,
  cudaDevAttrComputeCapabilityMajor = 75,
  cudaDevAttrComputeCapabilityMinor = 76,
  cudaDevAttrMaxSharedMemoryPerMultiprocessor = 81,
  cudaDevAttrMaxRegistersPerMultiprocessor = 82,
  cudaDevAttrCooperativeLaunch = 95,
  cudaDevAttrMaxSharedMemoryPerBlockOptin = 97,
  cudaDevAttrMaxBlocksPerMultiprocessor = 106,
  cudaDevAttrReservedSharedMemoryPerBlock = 111,
  cudaDevAttrClusterLaunch = 120
};

typedef struct CUuuid_st {
  char bytes[16];
} cudaUUID_t;

struct cudaDeviceProp {
  char name[256];
  cudaUUID_t uuid;
  size_t totalGlobalMem;
  size_t sharedMemPerBlock;
  int regsPerBlock;
  int warpSize;
  int maxThreadsPerBlock;
  int maxThreadsDim[3];
  int maxGridSize[3];
  size_t totalConstMem;
  int major;
  int minor;
  int multiProcessorCount;
  int integrated;
  int concurrentKernels;
  int ECCEnabled;
  int pciBusID;
  int pciDeviceID;
  int pciDomainID;
  int unifiedAddressing;
  int memoryBusWidth;
  int l2CacheSize;
  int maxThreadsPerMultiProcessor;
  size_t sharedMemPerMultiprocessor;
  int regsPerMultiprocessor;
  int cooperativeLaunch;
  size_t sharedMemPerBlockOptin;
  int maxBlocksPerMultiProcessor;
  size_t reservedSharedMemPerBlock;
  int clusterLaunch;
};

#endif
