/*
 * A vCPU's virtual counters on its physical ones
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The software PMU is on in everything here.  All functions are called by the
 * vCPU's own thread outside of translated code, or while it is stopped.
 */
#ifndef TARGET_I386_VPMU_COUNTING_H
#define TARGET_I386_VPMU_COUNTING_H

#include "cpu.h"
#include "events.h"

/**
 * vpmu_sync: bring the physical counters up to date, and handle overflows of
 * them and the threshold of BTS
 *
 * At an instruction boundary.  What changes a counter, a configuration or a
 * register calls this first, and vpmu_commit() or vpmu_update() last.
 * Returns: whether there was something to handle.
 */
bool vpmu_sync(CPUX86State *env);

/**
 * vpmu_update: have map and physical counters follow the guest's registers
 *
 * After vpmu_sync().  Returns: whether the map has changed.
 */
bool vpmu_update(CPUX86State *env);

/**
 * vpmu_read: the value of vPMC @v
 * @retaddr: as for vpmu_read_ppmc()
 */
uint64_t vpmu_read(CPUX86State *env, unsigned v, uintptr_t retaddr);

/**
 * vpmu_write: set the value of vPMC @v, 48 bits
 *
 * After vpmu_sync(), before vpmu_commit().
 */
void vpmu_write(CPUX86State *env, unsigned v, uint64_t value);

/**
 * vpmu_unload, vpmu_load: copy the values of all vPMCs from the pPMCs to
 * vpmu_value() and VPMUState.high, and back
 *
 * They are the bracket around savevm and migration.  A reset only loads, and
 * vpmu_refresh() only unloads.  vpmu_load() has the map follow the registers, too.
 */
void vpmu_unload(CPUX86State *env);
void vpmu_load(CPUX86State *env);

/**
 * vpmu_refresh: bring all that query-vpmu and query-stats show up to date
 *
 * This is VPMUProvider.refresh of the software PMU.
 */
void vpmu_refresh(CPUX86State *env);

/**
 * vpmu_retry_record: make the PEBS record that waits for memory
 *
 * At an instruction boundary of the guest that it belongs to.  The record waits
 * again if the memory is still not there.
 */
void vpmu_retry_record(CPUX86State *env);

/**
 * vpmu_would_starve: the vPMCs that a reservation would leave without a pPMC
 *
 * Changes nothing.
 */
VPMUCounterMask vpmu_would_starve(CPUX86State *env, VPMUCounterMask reserved);

/**
 * vpmu_reserve: reserve these pPMCs of one vCPU, and no others, for the host
 * @force: do it even if vPMCs become starved
 *
 * pPMCs that are no longer reserved stop counting for the host.  Returns: the
 * vPMCs that become starved; if there are some, nothing has changed unless
 * @force is set.
 */
VPMUCounterMask vpmu_reserve(CPUX86State *env, VPMUCounterMask reserved,
                             bool force);

/**
 * vpmu_host_count: count for the host, from zero
 * @p: a reserved pPMC
 * @event: NULL to stop
 * @rings: as in SoftPMUConfig
 */
void vpmu_host_count(CPUX86State *env, unsigned p, const VPMUEvent *event,
                     uint8_t rings);

#endif /* TARGET_I386_VPMU_COUNTING_H */
