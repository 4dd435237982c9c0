/*
 * Code whose counts amd.h declares
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#define ASSEMBLY
#include "rt.h"
#include "amd.h"

        .text

/*
 * void amd_count(uint32_t msr, uint64_t select, void (*code)(void))
 *
 * The counter has CALL, the code, 2 XOR and WRMSR: 4 instructions, a branch
 * that is taken, and a store, besides the code's own.
 */
        .global amd_count, amd_code, amd_after_nops, amd_callee
amd_count:
        mov %rdx, %r8
        mov %edi, %ecx
        mov %esi, %eax
        mov %rsi, %rdx
        shr $32, %rdx
        wrmsr
        call *%r8
        xor %eax, %eax
        xor %edx, %edx
        wrmsr
        ret

/*
 * 22 instructions, with the callee's NOP and RET, the loop's second turn, and
 * the IRET of the interrupt's handler.  Among them are 10 branches, 2 of them
 * conditional and not taken, 5 loads and 2 stores.
 */
amd_code:
        nop
        nop
        nop
amd_after_nops:
        call amd_callee
        mov $2, %r9d
1:      dec %r9d
        jnz 1b                  /* taken once */
        cmp %eax, %eax
        jz 2f                   /* taken */
2:      jmp 3f
3:      mov %eax, -8(%rsp)
        mov -8(%rsp), %r9d
        mov -8(%rsp), %r9d
        test %ecx, %ecx         /* the number of an MSR is not 0 */
        jz 4f
4:      int $0x40
        ret
amd_callee:
        nop
        ret

/*
 * void amd_enter_guest(uint32_t msr, uint64_t select, uint64_t vmcb)
 *
 * The counter has MOV, VMRUN, 2 XOR and WRMSR in the host, and the guest's ten
 * NOPs; VMMCALL is intercepted and does not retire.
 */
        .global amd_enter_guest, amd_guest
amd_enter_guest:
        mov %rdx, %r8
        mov %edi, %ecx
        mov %esi, %eax
        mov %rsi, %rdx
        shr $32, %rdx
        wrmsr
        mov %r8, %rax
        vmrun
        xor %eax, %eax
        xor %edx, %edx
        wrmsr
        stgi                    /* #VMEXIT clears the flag */
        ret
amd_guest:
        .rept AMD_GUEST_INSNS
        nop
        .endr
        vmmcall

/* Send this CPU an SMI: AMD_SMI_INSNS, besides the handler's. */
        .global amd_smi
amd_smi:
        mov $APIC + APIC_ICR, %r9d
        movl $APIC_SELF_SMI, (%r9)
        ret

        .section .note.GNU-stack, "", @progbits
