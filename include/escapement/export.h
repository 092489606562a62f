/* SPDX-License-Identifier: Apache-2.0 */
/* Marks of a public declaration. A header of this folder is C17 and C++17, declares what is
 * installed and nothing else, and names each function with ESC_API:
 *
 *   ESC_BEGIN_DECLS
 *   ESC_API esc_status esc_spec_load(const char *path, ...);
 *   ESC_END_DECLS */
#ifndef ESCAPEMENT_EXPORT_H
#define ESCAPEMENT_EXPORT_H

#if defined(__GNUC__)
#define ESC_API __attribute__((visibility("default")))
#define ESC_PRINTF(format, first) __attribute__((format(printf, format, first)))
#else
#define ESC_API
#define ESC_PRINTF(format, first)
#endif

#ifdef __cplusplus
#define ESC_BEGIN_DECLS extern "C" {
#define ESC_END_DECLS }
#else
#define ESC_BEGIN_DECLS
#define ESC_END_DECLS
#endif

#endif
