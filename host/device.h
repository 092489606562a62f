/* What this machine is. */
#ifndef ESC_DEVICE_H
#define ESC_DEVICE_H

#include <stddef.h>

/* The processor's name and how many of them this process may use. */
void esc_device_name(char *text, size_t size);

#endif
