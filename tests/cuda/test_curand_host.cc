/* cuRAND's header functions as the host's. */
#include "test_curand.cu"
