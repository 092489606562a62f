/* What this program is: for --version and for a result's provenance. */
#ifndef ESC_VERSION_H
#define ESC_VERSION_H

const char *esc_version(void);  /* "0.1.0" */
const char *esc_commit(void);   /* git describe of the built tree, "unknown" without git */
const char *esc_compiler(void); /* compiler, build type and CFLAGS */

#endif
