/* What this machine is. */
#ifndef ESC_DEVICE_H
#define ESC_DEVICE_H

#include <stddef.h>

/* The processor's name and how many of them this process may use. */
void esc_device_name(char *text, size_t size);

/* Bytes of memory that this process can still have: what the system calls
 * available, the control group's limit, the process's own (ulimit -v). */
double esc_memory_available(void);

#endif
