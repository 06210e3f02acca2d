/* Certificates and keys from PEM files, with errors that a person can act on. Main thread. */
#ifndef MF_NET_TLS_PEM_H
#define MF_NET_TLS_PEM_H

#include <openssl/ssl.h>

#include "base/err.h"

/* Gives ctx a certificate chain and its key. key_path NULL: the key is in cert_path, too. Encrypted keys are refused:
 * nobody is there to type. */
MF_MUSTCHECK int tls_use_pair(SSL_CTX *ctx, const char *cert_path, const char *key_path, struct err *err);
/* Is there such a file, and may we read it? Directories are fine with `directories`. */
MF_MUSTCHECK int tls_check_file(const char *path, bool directories, struct err *err);
/* Fills err with path and the oldest text in OpenSSL's queue, and drains that. */
int tls_file_error(struct err *err, const char *path, const char *what);

#endif
