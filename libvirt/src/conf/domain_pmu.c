/*
 * domain_pmu.c: which PMU counters a domain shares with its host
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

#include <config.h>

#include "domain_conf.h"
#include "domain_pmu.h"
#include "virerror.h"
#include "virstring.h"
#include "virxml.h"

#define VIR_FROM_THIS VIR_FROM_DOMAIN

VIR_ENUM_IMPL(virDomainPMUPassthrough,
              VIR_DOMAIN_PMU_PASSTHROUGH_LAST,
              "default",
              "off",
              "on",
              "auto",
);

VIR_ENUM_IMPL(virDomainPMUVisible,
              VIR_DOMAIN_PMU_VISIBLE_LAST,
              "default",
              "granted",
              "all",
);

VIR_ENUM_IMPL(virDomainPMUOrder,
              VIR_DOMAIN_PMU_ORDER_LAST,
              "default",
              "high",
              "low",
);


/* Parses the attribute that lists the fixed counters into a bit mask. */
static int
virDomainFeaturePMUParseFixed(xmlNodePtr node,
                              unsigned int *fixed)
{
    g_autofree char *str = virXMLPropString(node, "fixed");
    g_auto(GStrv) indices = NULL;
    size_t i;

    if (!str)
        return 0;

    indices = g_strsplit(str, ",", 0);

    for (i = 0; indices[i]; i++) {
        unsigned int idx;

        if (virStrToLong_uip(indices[i], NULL, 10, &idx) < 0 ||
            idx >= VIR_DOMAIN_PMU_NUM_FIXED ||
            *fixed & (1U << idx))
            goto error;

        *fixed |= 1U << idx;
    }

    if (i > 0)
        return 0;

 error:
    virReportError(VIR_ERR_XML_ERROR,
                   _("Invalid value for attribute '%1$s' in element '%2$s': '%3$s'. Expected indices of fixed counters from 0 to %4$d, each at most once, separated by commas"),
                   "fixed", node->name, str, VIR_DOMAIN_PMU_NUM_FIXED - 1);
    return -1;
}


/**
 * virDomainFeaturePMUParse:
 * @node: the <pmu> element
 * @pmu: filled with what the element says beyond the state of the feature
 *
 * Returns 0 on success, -1 with an error reported otherwise.
 */
int
virDomainFeaturePMUParse(xmlNodePtr node,
                         virDomainFeaturePMU *pmu)
{
    xmlNodePtr reserved;
    int rc;

    /* If the XML has the element twice, the second one replaces the first. */
    memset(pmu, 0, sizeof(*pmu));

    if (virXMLPropEnum(node, "passthrough",
                       virDomainPMUPassthroughTypeFromString,
                       VIR_XML_PROP_NONZERO, &pmu->passthrough) < 0)
        return -1;

    if (virXMLPropEnum(node, "visible",
                       virDomainPMUVisibleTypeFromString,
                       VIR_XML_PROP_NONZERO, &pmu->visible) < 0)
        return -1;

    if (!(reserved = virXMLNodeGetSubelement(node, "reserved")))
        return 0;

    if ((rc = virXMLPropUInt(reserved, "gp", 10,
                             VIR_XML_PROP_NONE, &pmu->gp)) < 0)
        return -1;

    pmu->gp_specified = rc > 0;

    if (virDomainFeaturePMUParseFixed(reserved, &pmu->fixed) < 0)
        return -1;

    if (virXMLPropEnum(reserved, "order",
                       virDomainPMUOrderTypeFromString,
                       VIR_XML_PROP_NONZERO, &pmu->order) < 0)
        return -1;

    return 0;
}


/**
 * virDomainFeaturePMUFixedToString:
 * @pmu: PMU configuration
 * @separator: text between the indices
 *
 * Returns the indices of the reserved fixed counters as text, or NULL if no
 * fixed counter is reserved.
 */
char *
virDomainFeaturePMUFixedToString(const virDomainFeaturePMU *pmu,
                                 const char *separator)
{
    g_auto(virBuffer) buf = VIR_BUFFER_INITIALIZER;
    size_t i;

    for (i = 0; i < VIR_DOMAIN_PMU_NUM_FIXED; i++) {
        if (pmu->fixed & (1U << i))
            virBufferAsprintf(&buf, "%zu%s", i, separator);
    }

    virBufferTrim(&buf, separator);

    return virBufferContentAndReset(&buf);
}


/**
 * virDomainFeaturePMUFormat:
 * @attrBuf: buffer for the attributes of the <pmu> element
 * @childBuf: buffer for the children of the <pmu> element
 * @pmu: PMU configuration
 */
void
virDomainFeaturePMUFormat(virBuffer *attrBuf,
                          virBuffer *childBuf,
                          const virDomainFeaturePMU *pmu)
{
    g_auto(virBuffer) reservedBuf = VIR_BUFFER_INITIALIZER;

    if (pmu->passthrough)
        virBufferAsprintf(attrBuf, " passthrough='%s'",
                          virDomainPMUPassthroughTypeToString(pmu->passthrough));

    if (pmu->visible)
        virBufferAsprintf(attrBuf, " visible='%s'",
                          virDomainPMUVisibleTypeToString(pmu->visible));

    if (pmu->gp_specified)
        virBufferAsprintf(&reservedBuf, " gp='%u'", pmu->gp);

    if (pmu->fixed) {
        g_autofree char *fixed = virDomainFeaturePMUFixedToString(pmu, ",");

        virBufferAsprintf(&reservedBuf, " fixed='%s'", fixed);
    }

    if (pmu->order)
        virBufferAsprintf(&reservedBuf, " order='%s'",
                          virDomainPMUOrderTypeToString(pmu->order));

    virXMLFormatElement(childBuf, "reserved", &reservedBuf, NULL);
}


/**
 * virDomainFeaturePMUIsSpecified:
 * @pmu: PMU configuration
 *
 * Returns true if the XML says more than the state of the feature.
 */
bool
virDomainFeaturePMUIsSpecified(const virDomainFeaturePMU *pmu)
{
    return pmu->passthrough || pmu->visible ||
           pmu->gp_specified || pmu->fixed || pmu->order;
}


/**
 * virDomainFeaturePMUValidate:
 * @def: domain definition
 *
 * Checks the attributes of <pmu> and <reserved> against each other and against
 * the domain type.
 *
 * Returns 0 if they are valid, -1 with an error reported otherwise.
 */
int
virDomainFeaturePMUValidate(const virDomainDef *def)
{
    const virDomainFeaturePMU *pmu = &def->pmu;
    bool passthrough = pmu->passthrough == VIR_DOMAIN_PMU_PASSTHROUGH_ON ||
                       pmu->passthrough == VIR_DOMAIN_PMU_PASSTHROUGH_AUTO;

    if (!virDomainFeaturePMUIsSpecified(pmu))
        return 0;

    /* Most drivers look at nothing but the state of the feature.  They would
     * ignore the rest, so it is refused here for all of them. */
    if (def->virtType != VIR_DOMAIN_VIRT_QEMU &&
        def->virtType != VIR_DOMAIN_VIRT_KVM) {
        virReportError(VIR_ERR_CONFIG_UNSUPPORTED,
                       _("PMU passthrough is not supported for domain type '%1$s', only for 'qemu' and 'kvm'"),
                       virDomainVirtTypeToString(def->virtType));
        return -1;
    }

    if (passthrough &&
        def->features[VIR_DOMAIN_FEATURE_PMU] == VIR_TRISTATE_SWITCH_OFF) {
        virReportError(VIR_ERR_CONFIG_UNSUPPORTED,
                       _("Attribute 'passthrough' in element 'pmu' cannot be '%1$s' while attribute 'state' is 'off'"),
                       virDomainPMUPassthroughTypeToString(pmu->passthrough));
        return -1;
    }

    if (!passthrough && pmu->visible) {
        virReportError(VIR_ERR_CONFIG_UNSUPPORTED, "%s",
                       _("Attribute 'visible' in element 'pmu' requires attribute 'passthrough' to be 'on' or 'auto'"));
        return -1;
    }

    if (!passthrough && (pmu->gp_specified || pmu->fixed || pmu->order)) {
        virReportError(VIR_ERR_CONFIG_UNSUPPORTED, "%s",
                       _("Element 'reserved' in element 'pmu' requires attribute 'passthrough' to be 'on' or 'auto'"));
        return -1;
    }

    if (pmu->gp > VIR_DOMAIN_PMU_MAX_GP) {
        virReportError(VIR_ERR_CONFIG_UNSUPPORTED,
                       _("Invalid value for attribute 'gp' in element 'reserved': '%1$u'. Expected number of general-purpose counters from 0 to %2$d"),
                       pmu->gp, VIR_DOMAIN_PMU_MAX_GP);
        return -1;
    }

    return 0;
}


static bool
virDomainFeaturePMUCheckAttribute(const char *name,
                                  const char *src,
                                  const char *dst)
{
    if (STREQ(src, dst))
        return true;

    virReportError(VIR_ERR_CONFIG_UNSUPPORTED,
                   _("Attribute '%1$s' in element 'pmu' differs: source: '%2$s', destination: '%3$s'"),
                   name, src, dst);
    return false;
}


/* The guest does not see counters that are reserved for the host. */
static bool
virDomainFeaturePMUCheckReserved(const virDomainFeaturePMU *src,
                                 const virDomainFeaturePMU *dst)
{
    g_autofree char *srcFixed = virDomainFeaturePMUFixedToString(src, ",");
    g_autofree char *dstFixed = virDomainFeaturePMUFixedToString(dst, ",");

    if (src->gp == dst->gp && src->fixed == dst->fixed)
        return true;

    virReportError(VIR_ERR_CONFIG_UNSUPPORTED,
                   _("Element 'reserved' in element 'pmu' differs: source: gp='%1$u' fixed='%2$s', destination: gp='%3$u' fixed='%4$s'. It may differ only if attribute 'visible' is 'all'"),
                   src->gp, NULLSTR_EMPTY(srcFixed),
                   dst->gp, NULLSTR_EMPTY(dstFixed));
    return false;
}


/**
 * virDomainFeaturePMUCheckABIStability:
 * @src: PMU configuration of the source
 * @dst: PMU configuration of the destination
 *
 * An attribute that is missing compares equal to its default.  The
 * reservation may differ if the guest sees the reserved counters, too.
 *
 * Returns true if the guest sees the same PMU, false with an error reported
 * otherwise.
 */
bool
virDomainFeaturePMUCheckABIStability(const virDomainFeaturePMU *src,
                                     const virDomainFeaturePMU *dst)
{
    virDomainPMUPassthrough srcPassthrough = src->passthrough;
    virDomainPMUPassthrough dstPassthrough = dst->passthrough;
    virDomainPMUVisible srcVisible = src->visible;
    virDomainPMUVisible dstVisible = dst->visible;

    if (!srcPassthrough)
        srcPassthrough = VIR_DOMAIN_PMU_PASSTHROUGH_OFF;
    if (!dstPassthrough)
        dstPassthrough = VIR_DOMAIN_PMU_PASSTHROUGH_OFF;
    if (!srcVisible)
        srcVisible = VIR_DOMAIN_PMU_VISIBLE_GRANTED;
    if (!dstVisible)
        dstVisible = VIR_DOMAIN_PMU_VISIBLE_GRANTED;

    return virDomainFeaturePMUCheckAttribute("passthrough",
                                             virDomainPMUPassthroughTypeToString(srcPassthrough),
                                             virDomainPMUPassthroughTypeToString(dstPassthrough)) &&
           virDomainFeaturePMUCheckAttribute("visible",
                                             virDomainPMUVisibleTypeToString(srcVisible),
                                             virDomainPMUVisibleTypeToString(dstVisible)) &&
           (srcVisible == VIR_DOMAIN_PMU_VISIBLE_ALL ||
            virDomainFeaturePMUCheckReserved(src, dst));
}
