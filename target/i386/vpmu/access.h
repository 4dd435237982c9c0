/*
 * Accesses of TCG's helpers go through the simulated caches, too
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A file that includes this after all other headers calls the simulation before
 * each of these accesses, while it is on.
 */
#ifndef TARGET_I386_VPMU_ACCESS_H
#define TARGET_I386_VPMU_ACCESS_H

#include "exec/cpu_ldst.h"
#include "sim-calls.h"

#ifndef CONFIG_USER_ONLY

/*
 * An access of a helper is about to be made.  There was no counter that it can
 * make overflow, or the instruction is the only one of its block.
 */
static inline void vpmu_touch(CPUX86State *env, vaddr address, unsigned size,
                              unsigned use, int mmu_idx, uintptr_t ra)
{
    if (unlikely(env->hflags & HF_VPMU_SIM_MASK)) {
        vpmu_tcg_touch(env, address, size, use | VPMU_TOUCH_FINAL, mmu_idx,
                       ra);
    }
}

#define VPMU_LOAD(name, type, size)                                           \
    static inline type                                                        \
    vpmu_##name##_mmuidx_ra(CPUX86State *env, vaddr address, int mmu_idx,     \
                            uintptr_t ra)                                     \
    {                                                                         \
        vpmu_touch(env, address, size, VPMU_TOUCH_LOAD, mmu_idx, ra);         \
        return cpu_##name##_mmuidx_ra(env, address, mmu_idx, ra);             \
    }
#define VPMU_STORE(name, type, size)                                          \
    static inline void                                                        \
    vpmu_##name##_mmuidx_ra(CPUX86State *env, vaddr address, type value,      \
                            int mmu_idx, uintptr_t ra)                        \
    {                                                                         \
        vpmu_touch(env, address, size, VPMU_TOUCH_STORE, mmu_idx, ra);        \
        cpu_##name##_mmuidx_ra(env, address, value, mmu_idx, ra);             \
    }

VPMU_LOAD(ldub, uint32_t, 1)
VPMU_LOAD(lduw, uint32_t, 2)
VPMU_LOAD(ldsw, int, 2)
VPMU_LOAD(ldl, uint32_t, 4)
VPMU_LOAD(ldq, uint64_t, 8)
VPMU_STORE(stb, uint32_t, 1)
VPMU_STORE(stw, uint32_t, 2)
VPMU_STORE(stl, uint32_t, 4)
VPMU_STORE(stq, uint64_t, 8)

#undef VPMU_LOAD
#undef VPMU_STORE

/* The accesses with the rights of the code that runs */
#define VPMU_DATA(env)      cpu_mmu_index(env_cpu(env), false)

#undef cpu_lduw_mmuidx_ra
#undef cpu_ldsw_mmuidx_ra
#undef cpu_ldl_mmuidx_ra
#undef cpu_ldq_mmuidx_ra
#undef cpu_lduw_data_ra
#undef cpu_ldsw_data_ra
#undef cpu_ldl_data_ra
#undef cpu_ldq_data_ra
#undef cpu_stw_mmuidx_ra
#undef cpu_stl_mmuidx_ra
#undef cpu_stq_mmuidx_ra
#undef cpu_stw_data_ra
#undef cpu_stl_data_ra
#undef cpu_stq_data_ra

#define cpu_ldub_mmuidx_ra  vpmu_ldub_mmuidx_ra
#define cpu_lduw_mmuidx_ra  vpmu_lduw_mmuidx_ra
#define cpu_ldsw_mmuidx_ra  vpmu_ldsw_mmuidx_ra
#define cpu_ldl_mmuidx_ra   vpmu_ldl_mmuidx_ra
#define cpu_ldq_mmuidx_ra   vpmu_ldq_mmuidx_ra
#define cpu_ldub_data_ra(env, address, ra)                                    \
    vpmu_ldub_mmuidx_ra(env, address, VPMU_DATA(env), ra)
#define cpu_lduw_data_ra(env, address, ra)                                    \
    vpmu_lduw_mmuidx_ra(env, address, VPMU_DATA(env), ra)
#define cpu_ldsw_data_ra(env, address, ra)                                    \
    vpmu_ldsw_mmuidx_ra(env, address, VPMU_DATA(env), ra)
#define cpu_ldl_data_ra(env, address, ra)                                     \
    vpmu_ldl_mmuidx_ra(env, address, VPMU_DATA(env), ra)
#define cpu_ldq_data_ra(env, address, ra)                                     \
    vpmu_ldq_mmuidx_ra(env, address, VPMU_DATA(env), ra)
#define cpu_stb_mmuidx_ra   vpmu_stb_mmuidx_ra
#define cpu_stw_mmuidx_ra   vpmu_stw_mmuidx_ra
#define cpu_stl_mmuidx_ra   vpmu_stl_mmuidx_ra
#define cpu_stq_mmuidx_ra   vpmu_stq_mmuidx_ra
#define cpu_stb_data_ra(env, address, value, ra)                              \
    vpmu_stb_mmuidx_ra(env, address, value, VPMU_DATA(env), ra)
#define cpu_stw_data_ra(env, address, value, ra)                              \
    vpmu_stw_mmuidx_ra(env, address, value, VPMU_DATA(env), ra)
#define cpu_stl_data_ra(env, address, value, ra)                              \
    vpmu_stl_mmuidx_ra(env, address, value, VPMU_DATA(env), ra)
#define cpu_stq_data_ra(env, address, value, ra)                              \
    vpmu_stq_mmuidx_ra(env, address, value, VPMU_DATA(env), ra)

#else

static inline void vpmu_touch(CPUX86State *env, vaddr address, unsigned size,
                              unsigned use, int mmu_idx, uintptr_t ra)
{
}

#endif

#endif /* TARGET_I386_VPMU_ACCESS_H */
