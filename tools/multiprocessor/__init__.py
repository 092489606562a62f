# SPDX-License-Identifier: Apache-2.0
"""A modelled GPU multiprocessor, and an interpreter of its machine code: the parts of
tools/gpu_model.

cards       every assumption about hardware, with its source
cubin       machine code, line numbers and metadata of a kernel, by nvdisasm
phases      the phase of a training step that an instruction belongs to
sources     digest of what is modelled
launch      kernels compiled, their arguments, and how many blocks a multiprocessor holds
values      integers and predicates of the 32 lanes of a warp
operands    how instructions read and write them
operations  what instructions do
memory      bank conflicts and sectors of a warp's access
warp        the instructions that a warp executes
replay      the cycles that the warps of a multiprocessor need for them
model       the cost of a step, by phase and source line
report      how it is printed

With --bits, which computes floats too:

floats            arithmetic on floats, with the device's bits
float_operations  what instructions on floats do
contents          what is in memory, and the instructions that read and write it
bits              a launch executed, and compared with the SIMT harness (expected.cc)
"""
