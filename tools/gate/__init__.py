# SPDX-License-Identifier: Apache-2.0
"""The parts of tools/gpu_gate.

calls      commands with a time limit, and their outcomes
bundle     programs for a GPU node: a build, or a folder to bring along
machine    the GPU and the processor
report     the JSON file, replaced after every part, and the table that is printed
stages     the work: tests, bench, main job, peers, ncu, sanitizers
plan       the order of the stages, their shares of the time, and their expected times
rehearsal  the programs on the SIMT harness and stand-ins for NVIDIA's tools
"""
