/* SPDX-License-Identifier: MIT */
/* The end of what cxx_begin.h began. */
#ifdef __cplusplus
#undef class
#undef private
#undef new
#undef _Atomic
#undef __CLANG_STDATOMIC_H
#undef _STDATOMIC_H
#define MOAT_MACROS_SET_ASIDE
#pragma push_macro("ALIGN")
#pragma push_macro("BIT")
#pragma push_macro("fallthrough")
#pragma push_macro("guard")
#pragma push_macro("likely")
#pragma push_macro("max")
#pragma push_macro("min")
#pragma push_macro("unlikely")
#undef ALIGN
#undef BIT
#undef fallthrough
#undef guard
#undef likely
#undef max
#undef min
#undef unlikely
}
#endif
#pragma GCC diagnostic pop
