#include "trace/trace-target_i386_vmx.h"
