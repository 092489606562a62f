/* SPDX-License-Identifier: Apache-2.0 */
#include "base/environment.h"

const esc_environment_variable esc_environment[] = {
    {"ESCAPEMENT_ISA",
     "instruction set of the CPU engine: generic, avx2 or avx512 (default: the widest of the "
     "processor); results do not depend on it",
     false},
    {"ESCAPEMENT_PYTHON",
     "Python with matplotlib for figures (default: python3 in PATH, then the system's)", false},
    {"ESCAPEMENT_CUDA_GRAPHS", "0: kernels are launched one by one instead of as CUDA graphs",
     false},
    {"ESCAPEMENT_CUDA_CHUNK", "networks of one chunk on a GPU, for tests and tuning", false},
    {"ESCAPEMENT_PARENT", "the parent process of a worker of --devices", true},
    {"OMP_NUM_THREADS", "threads, within the limits of the machine", false},
    {"OMP_PROC_BIND", "binding of threads to processors; recorded in results", false},
    {"OMP_PLACES", "places that threads are bound to; recorded in results", false},
    {"OMP_STACKSIZE", "stack of a thread", false},
    {"GOMP_STACKSIZE", "stack of a thread, where OMP_STACKSIZE is not set", false},
    {"OMP_THREAD_LIMIT", "maximum number of threads of the process; recorded in results", false},
    {"GOMP_CPU_AFFINITY", "processors that threads are bound to; recorded in results", false},
    {"CUDA_VISIBLE_DEVICES", "GPUs that the program may use", false},
    {"SLURM_JOB_ID", "number of the job: %j in the name of the output", false},
    {"SLURM_ARRAY_JOB_ID", "number of the job array: %A in the name of the output", false},
    {"SLURM_ARRAY_TASK_ID", "task of the job array: %a in the name of the output and in --shard",
     false},
    {"SLURM_ARRAY_TASK_COUNT", "tasks of the job array: the number of shards without --shard",
     false},
    {"SLURM_ARRAY_TASK_MIN", "first task of the job array (0 in a complete array)", false},
    {"SLURM_ARRAY_TASK_MAX", "the last task of the job array", false},
    {"PATH", "search path for python3", false},
    {"TERM", "dumb: no progress line that is redrawn in place", false},
    {"COLUMNS", "width of the progress line", false},
};
const int esc_environment_variables = (int)(sizeof esc_environment / sizeof esc_environment[0]);
