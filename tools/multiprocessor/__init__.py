# SPDX-License-Identifier: Apache-2.0
"""A modelled GPU multiprocessor: the parts of tools/gpu_model.

cards     every assumption about hardware, with its source
cubin     machine code, line numbers and metadata of a kernel, by nvdisasm
phases    the phase of a training step that an instruction belongs to
launch    kernels compiled, their arguments, and how many blocks a multiprocessor holds
operands  operands and integer operations, exactly, on 32 lanes
memory    bank conflicts and sectors of a warp's access
warp      the instructions that a warp executes
replay    the cycles that the warps of a multiprocessor need for them
"""
