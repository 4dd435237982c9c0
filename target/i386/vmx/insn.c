/*
 * VMX for TCG: decode an instruction that has caused a VM exit
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * TCG's translator has decoded it already, but keeps nothing of that, and
 * VM exits are rare enough to do it again.  Known are the instructions that
 * can cause an exit, those that can switch tasks or raise a software exception,
 * and VMX's own.
 */
#include "qemu/osdep.h"
#include "exec/cpu_ldst.h"
#include "exec/exec-all.h"
#include "exec/memop.h"
#include "internal.h"

#define INSN_MAX 15

/* Where the bytes come from */
typedef struct InsnFetch {
    CPUX86State *env;
    bool may_fault;
    uint64_t address;
    unsigned done;
    const uint8_t *host;
    unsigned left;
    bool failed;
} InsnFetch;

static uint64_t insn_linear(CPUX86State *env, uint64_t address)
{
    return env->hflags & HF_CS64_MASK ? address : (uint32_t)address;
}

static uint8_t insn_byte(InsnFetch *fetch)
{
    CPUX86State *env = fetch->env;

    if (fetch->failed || fetch->done == INSN_MAX) {
        fetch->failed = true;
        return 0;
    }
    if (!fetch->left) {
        uint64_t at = insn_linear(env, fetch->address + fetch->done);
        void *host = NULL;
        int flags = probe_access_flags(env, at, 1, MMU_INST_FETCH,
                                       vmx_mmu_index(env), !fetch->may_fault,
                                       &host, 0);

        if (flags & TLB_INVALID_MASK) {
            fetch->failed = true;
            return 0;
        }
        if (!host) {
            fetch->done++;
            return cpu_ldub_code(env, at);
        }
        fetch->host = host;
        fetch->left = -(at | TARGET_PAGE_MASK);
    }
    fetch->done++;
    fetch->left--;
    return *fetch->host++;
}

static int64_t insn_signed(InsnFetch *fetch, unsigned bytes)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < bytes; i++) {
        value |= (uint64_t)insn_byte(fetch) << (8 * i);
    }
    return sextract64(value, 0, 8 * bytes);
}

/* Prefixes.  Returns the first byte of the opcode; @rex is 0 without REX. */
static uint8_t insn_prefixes(InsnFetch *fetch, VMXInsn *insn, bool *is_67,
                             uint8_t *rex)
{
    bool is_64 = fetch->env->hflags & HF_CS64_MASK;
    uint8_t byte;

    insn->segment = UINT8_MAX;
    for (;;) {
        byte = insn_byte(fetch);
        switch (byte) {
        case 0x26:
        case 0x2e:
        case 0x36:
        case 0x3e:
            if (!is_64) {
                insn->segment = byte >> 3 & 3;
            }
            break;
        case 0x64:
        case 0x65:
            insn->segment = R_FS + (byte & 1);
            break;
        case 0x66:
            insn->is_66 = true;
            break;
        case 0x67:
            *is_67 = true;
            break;
        case 0xf0:
            insn->is_lock = true;
            break;
        case 0xf2:
            insn->is_f2 = true;
            break;
        case 0xf3:
            insn->is_f3 = true;
            break;
        default:
            if (is_64 && (byte & 0xf0) == 0x40) {
                *rex = byte;
                continue;
            }
            return byte;
        }
        *rex = 0;
        if (fetch->failed) {
            return 0;
        }
    }
}

static void insn_sizes(CPUX86State *env, VMXInsn *insn, bool is_67,
                       uint8_t rex)
{
    if (env->hflags & HF_CS64_MASK) {
        insn->operand_size = rex & 8 ? MO_64 : insn->is_66 ? MO_16 : MO_32;
        insn->address_size = is_67 ? MO_32 : MO_64;
    } else {
        bool is_32 = env->hflags & HF_CS32_MASK;

        insn->operand_size = is_32 != insn->is_66 ? MO_32 : MO_16;
        insn->address_size = is_32 != is_67 ? MO_32 : MO_16;
    }
}

/* 16-bit addressing, SDM volume 2, table 2-1 */
static void insn_modrm_16(InsnFetch *fetch, VMXInsn *insn, unsigned mod,
                          unsigned rm)
{
    static const int8_t base[] = {
        R_EBX, R_EBX, R_EBP, R_EBP, R_ESI, R_EDI, R_EBP, R_EBX
    };
    static const int8_t index[] = {
        R_ESI, R_EDI, R_ESI, R_EDI, -1, -1, -1, -1
    };

    insn->base = mod == 0 && rm == 6 ? -1 : base[rm];
    insn->index = index[rm];
    if (mod == 1) {
        insn->displacement = insn_signed(fetch, 1);
    } else if (mod == 2 || insn->base < 0) {
        insn->displacement = insn_signed(fetch, 2);
    }
}

/* 32-bit and 64-bit addressing, SDM volume 2, tables 2-2 and 2-3 */
static void insn_modrm_32(InsnFetch *fetch, VMXInsn *insn, unsigned mod,
                          unsigned rm, uint8_t rex)
{
    bool is_relative = false;

    if (rm == 4) {
        uint8_t sib = insn_byte(fetch);
        unsigned index = (sib >> 3 & 7) | (rex & 2) << 2;

        insn->scale = sib >> 6;
        insn->index = index == 4 ? -1 : index;
        insn->base = (sib & 7) | (rex & 1) << 3;
        if ((sib & 7) == 5 && mod == 0) {
            insn->base = -1;
        }
    } else if (rm == 5 && mod == 0) {
        insn->base = -1;
        is_relative = fetch->env->hflags & HF_CS64_MASK;
    } else {
        insn->base = rm | (rex & 1) << 3;
    }
    if (mod == 1) {
        insn->displacement = insn_signed(fetch, 1);
    } else if (mod == 2 || insn->base < 0) {
        insn->displacement = insn_signed(fetch, 4);
    }
    if (is_relative) {
        /* None of the instructions with a memory operand has an immediate. */
        insn->displacement += fetch->env->eip + fetch->done;
    }
}

static void insn_modrm(InsnFetch *fetch, VMXInsn *insn, uint8_t rex)
{
    uint8_t modrm = insn_byte(fetch);
    unsigned mod = modrm >> 6;

    insn->modrm = modrm;
    insn->reg = (modrm >> 3 & 7) | (rex & 4) << 1;
    insn->rm = (modrm & 7) | (rex & 1) << 3;
    insn->is_memory = mod != 3;
    if (!insn->is_memory) {
        return;
    }
    if (insn->address_size == MO_16) {
        insn_modrm_16(fetch, insn, mod, modrm & 7);
    } else {
        insn_modrm_32(fetch, insn, mod, modrm & 7, rex);
    }
    if (insn->segment == UINT8_MAX) {
        insn->segment = insn->base == R_ESP || insn->base == R_EBP ?
                        R_SS : R_DS;
    }
}

/* What follows the opcode; false if the opcode is not known */
static bool insn_operands(InsnFetch *fetch, VMXInsn *insn, uint8_t rex)
{
    switch (insn->opcode) {
    case 0x6c ... 0x6f:     /* INS, OUTS */
    case 0x90:              /* PAUSE */
    case 0xcc:              /* INT3 */
    case 0xce ... 0xcf:     /* INTO, IRET */
    case 0xec ... 0xef:     /* IN, OUT with DX */
    case 0xf1:              /* INT1 */
    case 0xf4:              /* HLT */
    case 0x0f06:            /* CLTS */
    case 0x0f08:            /* INVD */
    case 0x0f09:            /* WBINVD */
    case 0x0f30 ... 0x0f33: /* WRMSR, RDTSC, RDMSR, RDPMC */
    case 0x0fa2:            /* CPUID */
    case 0x0faa:            /* RSM */
        return true;
    case 0x9a:              /* far CALL */
    case 0xea:              /* far JMP */
        insn_signed(fetch, insn->operand_size == MO_16 ? 4 : 6);
        return true;
    case 0xcd:              /* INT n */
    case 0xe4 ... 0xe7:     /* IN, OUT with a port */
        insn->immediate = insn_byte(fetch);
        return true;
    case 0xff:              /* far CALL, far JMP */
    case 0x0f00:            /* SLDT, STR, LLDT, LTR */
    case 0x0f01:            /* SGDT and many others */
    case 0x0f78:            /* VMREAD */
    case 0x0f79:            /* VMWRITE */
    case 0x0fc7:            /* VMPTRLD, VMCLEAR, VMXON, VMPTRST */
    case 0x0f3880:          /* INVEPT */
    case 0x0f3881:          /* INVVPID */
        insn_modrm(fetch, insn, rex);
        return true;
    case 0x0f20 ... 0x0f23: /* MOV to or from a control or debug register */
        insn->modrm = insn_byte(fetch);
        insn->reg = (insn->modrm >> 3 & 7) | (rex & 4) << 1;
        insn->rm = (insn->modrm & 7) | (rex & 1) << 3;
        return true;
    default:
        return false;
    }
}

bool vmx_decode(CPUX86State *env, VMXInsn *insn, bool may_fault)
{
    InsnFetch fetch = {
        .env = env,
        .may_fault = may_fault,
        .address = env->eip +
            (env->hflags & HF_CS64_MASK ? 0 : env->segs[R_CS].base),
    };
    bool is_67 = false;
    uint8_t rex = 0;

    *insn = (VMXInsn) { .base = -1, .index = -1 };
    insn->opcode = insn_prefixes(&fetch, insn, &is_67, &rex);
    if (insn->opcode == 0x0f) {
        insn->opcode = 0x0f00 | insn_byte(&fetch);
        if (insn->opcode == 0x0f38) {
            insn->opcode = 0x0f3800 | insn_byte(&fetch);
        }
    }
    insn_sizes(env, insn, is_67, rex);
    if (fetch.failed || !insn_operands(&fetch, insn, rex) || fetch.failed) {
        return false;
    }
    if (insn->segment == UINT8_MAX) {
        insn->segment = R_DS;
    }
    insn->length = fetch.done;
    return true;
}

static uint64_t insn_truncate(uint64_t value, unsigned size)
{
    return size == MO_16 ? (uint16_t)value :
           size == MO_32 ? (uint32_t)value : value;
}

uint64_t vmx_operand_address(CPUX86State *env, const VMXInsn *insn,
                             uint64_t *offset)
{
    uint64_t address = insn->displacement;

    if (insn->base >= 0) {
        address += env->regs[insn->base];
    }
    if (insn->index >= 0) {
        address += env->regs[insn->index] << insn->scale;
    }
    address = insn_truncate(address, insn->address_size);
    if (offset) {
        *offset = address;
    }
    if (!(env->hflags & HF_CS64_MASK)) {
        return (uint32_t)(address + env->segs[insn->segment].base);
    }
    return insn->segment >= R_FS ? address + env->segs[insn->segment].base :
                                   address;
}

/* SDM volume 3, "VM-Exit Instruction Information" */
uint32_t vmx_insn_info(const VMXInsn *insn)
{
    uint32_t address_size = insn->address_size - MO_16;
    uint32_t memory = insn->scale | address_size << 7 | insn->segment << 15 |
                      (insn->index < 0 ? 1u << 22 : insn->index << 18) |
                      (insn->base < 0 ? 1u << 27 : insn->base << 23);
    bool is_32 = insn->operand_size != MO_16;

    switch (insn->opcode) {
    case 0x6c ... 0x6f:
        return address_size << 7 |
               (insn->opcode < 0x6e ? R_ES : insn->segment) << 15;
    case 0x0f00:
        if (!insn->is_memory) {
            memory = insn->rm << 3 | 1 << 10;
        }
        return memory | (insn->modrm >> 3 & 3) << 28;
    case 0x0f01:
        return memory | is_32 << 11 | (insn->modrm >> 3 & 3) << 28;
    case 0x0f78:
    case 0x0f79:
    case 0x0f3880:
    case 0x0f3881:
        if (!insn->is_memory) {
            memory = insn->rm << 3 | 1 << 10;
        }
        return memory | (uint32_t)insn->reg << 28;
    case 0x0fc7:
        return memory;
    default:
        return 0;
    }
}
