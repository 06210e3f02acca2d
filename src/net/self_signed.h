/* The certificate for TLS without a certificate: made on first use, kept for the next.
 *
 * P-256, for localhost, 127.0.0.1, ::1 and the host name as it was when the certificate was made (a new host name does
 * not make a new certificate: clients may have been told to trust this one). Main thread; other processes may do the
 * same. */
#ifndef MF_NET_SELF_SIGNED_H
#define MF_NET_SELF_SIGNED_H

#include <limits.h>

#include "base/err.h"

struct self_signed_paths {
    char cert[PATH_MAX], key[PATH_MAX];
};

/* Sees to it that dir/cert.pem and dir/key.pem exist, belong together and are valid for another day. Creates dir. */
MF_MUSTCHECK int self_signed_ensure(const char *dir, struct self_signed_paths *paths, struct err *err);

#endif
