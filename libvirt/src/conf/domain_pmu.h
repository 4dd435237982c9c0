/*
 * domain_pmu.h: which PMU counters a domain shares with its host
 *
 * This library is free software; you can redistribute it and/or
 * modify it under the terms of the GNU Lesser General Public
 * License as published by the Free Software Foundation; either
 * version 2.1 of the License, or (at your option) any later version.
 *
 * This library is distributed in the hope that it will be useful,
 * but WITHOUT ANY WARRANTY; without even the implied warranty of
 * MERCHANTABILITY or FITNESS FOR A PARTICULAR PURPOSE.  See the GNU
 * Lesser General Public License for more details.
 *
 * You should have received a copy of the GNU Lesser General Public
 * License along with this library.  If not, see
 * <http://www.gnu.org/licenses/>.
 */

#pragma once

#include <libxml/tree.h>

#include "internal.h"
#include "virbuffer.h"
#include "virconftypes.h"
#include "virenum.h"

#define VIR_DOMAIN_PMU_MAX_GP 8
#define VIR_DOMAIN_PMU_NUM_FIXED 3

typedef enum {
    VIR_DOMAIN_PMU_PASSTHROUGH_DEFAULT = 0,
    VIR_DOMAIN_PMU_PASSTHROUGH_OFF,
    VIR_DOMAIN_PMU_PASSTHROUGH_ON,
    VIR_DOMAIN_PMU_PASSTHROUGH_AUTO,

    VIR_DOMAIN_PMU_PASSTHROUGH_LAST
} virDomainPMUPassthrough;

VIR_ENUM_DECL(virDomainPMUPassthrough);

typedef enum {
    VIR_DOMAIN_PMU_VISIBLE_DEFAULT = 0,
    VIR_DOMAIN_PMU_VISIBLE_GRANTED,
    VIR_DOMAIN_PMU_VISIBLE_ALL,

    VIR_DOMAIN_PMU_VISIBLE_LAST
} virDomainPMUVisible;

VIR_ENUM_DECL(virDomainPMUVisible);

typedef enum {
    VIR_DOMAIN_PMU_ORDER_DEFAULT = 0,
    VIR_DOMAIN_PMU_ORDER_HIGH,
    VIR_DOMAIN_PMU_ORDER_LOW,

    VIR_DOMAIN_PMU_ORDER_LAST
} virDomainPMUOrder;

VIR_ENUM_DECL(virDomainPMUOrder);

/* If all fields are zero, the XML says nothing but the state of the feature. */
typedef struct _virDomainFeaturePMU virDomainFeaturePMU;
struct _virDomainFeaturePMU {
    virDomainPMUPassthrough passthrough;
    virDomainPMUVisible visible;
    /* The counters that are reserved for the host */
    bool gp_specified;
    unsigned int gp; /* number of general-purpose counters */
    unsigned int fixed; /* bit mask of fixed counters */
    virDomainPMUOrder order;
};

int
virDomainFeaturePMUParse(xmlNodePtr node,
                         virDomainFeaturePMU *pmu);

void
virDomainFeaturePMUFormat(virBuffer *attrBuf,
                          virBuffer *childBuf,
                          const virDomainFeaturePMU *pmu);

bool
virDomainFeaturePMUIsSpecified(const virDomainFeaturePMU *pmu);

char *
virDomainFeaturePMUFixedToString(const virDomainFeaturePMU *pmu,
                                 const char *separator);

int
virDomainFeaturePMUValidate(const virDomainDef *def);

bool
virDomainFeaturePMUCheckABIStability(const virDomainFeaturePMU *src,
                                     const virDomainFeaturePMU *dst);
