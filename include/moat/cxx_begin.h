/* SPDX-License-Identifier: MIT */
/*
 * Public headers stand between this and cxx_end.h, once each time, so there is no
 * include guard. What is inline in them raises no warning in an embedder's build.
 *
 * In C++ names have C linkage, and a member that is called as a keyword gets an
 * underscore (class_, private_). Members that are _Atomic have their plain type: C++ code
 * leaves those to the library. Macros that take common words (min, likely) are set
 * aside outside of our headers; in C they stay, as in the kernel.
 */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-parameter"
#pragma GCC diagnostic ignored "-Wsign-compare"
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
#ifdef __cplusplus
#include <cassert>
#include <cerrno>
#include <cstdarg>
#include <cstddef>
#include <cstdint>
#include <pthread.h>
#include <sys/types.h>

#ifdef MOAT_MACROS_SET_ASIDE
#undef MOAT_MACROS_SET_ASIDE
#pragma pop_macro("ALIGN")
#pragma pop_macro("BIT")
#pragma pop_macro("fallthrough")
#pragma pop_macro("guard")
#pragma pop_macro("likely")
#pragma pop_macro("max")
#pragma pop_macro("min")
#pragma pop_macro("unlikely")
#endif

extern "C" {
#define class class_
#define private private_
#define new new_
#define _Atomic
/* Nothing that is inline here uses the functions of <stdatomic.h>. */
#define __CLANG_STDATOMIC_H
#define _STDATOMIC_H
#endif
