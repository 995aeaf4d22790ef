/* The machines that rbench is for, said before anything else is compiled. Refuses all others at
 * build time, with the reason; tests/check_hosts.sh holds it to that.
 * Read next: types.h. */
#ifndef RB_HOST_H
#define RB_HOST_H

#if __SIZEOF_POINTER__ != 8
#error "rbench needs a 64-bit machine: models and caches are larger than 4 GiB"
#elif __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "rbench needs a little-endian machine: weights are used as they stand in files"
#elif !defined __x86_64__ && !defined __aarch64__
#error "rbench needs an x86-64 or AArch64 machine: there are kernels for no other"
#endif

#endif
